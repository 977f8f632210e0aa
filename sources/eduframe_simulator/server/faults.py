"""What can go wrong, as data: inject a :class:`Fault` and the next matching requests meet it."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, Literal

import orjson

from sources.eduframe_simulator.server.messages import Answer, Request, error

Kind = Literal[
    "status",
    "too_many",
    "redirect",
    "empty",
    "html",
    "object",
    "bad_gzip",
    "cut_json",
    "tamper",
    "link_loop",
    "link_anew",
    "link_elsewhere",
    "no_link",
    "stall",
    "stall_body",
    "reset",
    "reset_body",
    "short_body",
]
"""
- ``status``: an error with ``status``; 401 with ``after=n`` and ``times=None`` revokes the token.
- ``too_many``: 429, with ``retry_after`` as seconds, as a date, as text, or left out.
- ``redirect``: 302 to ``target``.
- ``empty``, ``html``, ``object``, ``bad_gzip``, ``cut_json``: a 200 with that instead of the list
  (``cut_json`` is half of the list, under a length that fits).
- ``tamper``: the list's rows as ``tamper`` gives them back.
- ``link_loop``, ``link_anew``, ``link_elsewhere``: the next page is this one again, at its own
  address or at a new one, or at ``target``.
- ``no_link``: there is said to be no next page.
- ``stall``, ``stall_body``: nothing for ``seconds``, before the answer or in the middle of it.
- ``reset``, ``reset_body``: the connection is reset, before the answer or in the middle of it.
- ``short_body``: the connection ends in good order after half of the body.
"""

_UP = itertools.count(1)


@dataclass(frozen=True, eq=False)
class Fault:
    """Something that goes wrong with ``times`` requests (None: with all) whose path matches.

    ``path`` is a pattern such as ``/orders*``. The first ``after`` matching requests are spared.
    Where several faults match, the one injected first strikes.
    """

    kind: Kind
    path: str = "*"
    times: int | None = 1
    after: int = 0
    status: int = 500
    retry_after: int | str | datetime | None = None
    target: str = "http://elsewhere.invalid/api/v1/orders?cursor=x"
    seconds: float = 1.0
    tamper: Callable[[list[Any]], list[Any] | bytes] | None = None

    def strike(self, answer: Answer, url: str) -> Answer:
        """What becomes of an answer to the request with this URL."""
        match self.kind:
            case "status":
                return error(self.status)
            case "too_many":
                refusal = error(429)
                if self.retry_after is not None:
                    refusal.headers["Retry-After"] = _header(self.retry_after)
                return refusal
            case "redirect":
                return Answer(302, b"", {"Location": self.target})
            case "empty":
                answer.body = b""
            case "html":
                answer.body = b"<!DOCTYPE html><title>Maintenance</title><p>Back soon</p>"
                answer.headers["Content-Type"] = "text/html; charset=utf-8"
            case "object":
                answer.body = b'{"data":' + answer.body + b"}"
            case "bad_gzip":
                answer.body = b"\x1f\x8b\x08\x00" + answer.body[:100]
                answer.headers["Content-Encoding"] = "gzip"
            case "cut_json":
                answer.body = answer.body[: len(answer.body) // 2]
            case "tamper":
                if self.tamper is not None and answer.status == 200:
                    changed = self.tamper(orjson.loads(answer.body))
                    answer.body = changed if isinstance(changed, bytes) else orjson.dumps(changed)
            case "link_loop":
                answer.headers["Link"] = f'<{url}>; rel="next"'
            case "link_anew":
                other = url + ("" if "?" in url else "?") + "&" * next(_UP)
                answer.headers["Link"] = f'<{other}>; rel="next"'
            case "link_elsewhere":
                answer.headers["Link"] = f'<{self.target}>; rel="next"'
            case "no_link":
                answer.headers.pop("Link", None)
            case "stall":
                answer.delay = self.seconds
            case "stall_body":
                answer.delivery, answer.delay = "stall_body", self.seconds
            case "reset" | "reset_body" | "short_body":
                answer.delivery = self.kind
        return answer


def _header(retry_after: int | str | datetime) -> str:
    if isinstance(retry_after, datetime):
        return format_datetime(retry_after, usegmt=True)
    return str(retry_after)


class Faults:
    """The faults that are injected, and how often each was met."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._met: dict[Fault, int] = {}

    def inject(self, fault: Fault) -> None:
        with self._lock:
            self._met[fault] = 0

    def clear(self) -> None:
        with self._lock:
            self._met.clear()

    def take(self, request: Request) -> Fault | None:
        """The fault that this request meets."""
        struck = None
        with self._lock:
            for fault in self._met:
                if not fnmatchcase(request.path, fault.path):
                    continue
                spared = self._met[fault] < fault.after
                used_up = fault.times is not None and self._met[fault] >= fault.after + fault.times
                if spared or (struck is None and not used_up):
                    self._met[fault] += 1
                    struck = struck if spared else fault
        return struck
