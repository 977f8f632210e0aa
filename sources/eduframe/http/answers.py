"""From a reply to an answer, or to the error that it is: what the server said is checked here.

What comes out is what was asked for, a list or an object, and addresses that the token may be
sent to. Anything else (HTML, an empty or cut body, a list where an object belongs) is a failure
like a 502, and is tried again.
"""

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qs, urljoin, urlsplit

from sources.eduframe.display import Secret
from sources.eduframe.errors import (
    AuthenticationError,
    PositionLostError,
    ReadFailedError,
    RefusedError,
    ResourceOffError,
    TransientError,
)
from sources.eduframe.http.body import read_json
from sources.eduframe.http.headers import (
    asked_wait,
    charset,
    pause_asked_for,
    retry_after,
    server_date,
)
from sources.eduframe.http.hosts import host_of, path_of, same_origin
from sources.eduframe.http.link_header import next_address
from sources.eduframe.http.receive import Reply

log = logging.getLogger("eduframe.client")

LARGE = 4_000_000
"""Parsed JSON takes eight times its bytes: of bodies from here on one is parsed at a time."""
ERROR_FORMAT = {"errors", "code", "message"}
"""The keys of the API's own errors."""
TOO_SLOW_OR_TOO_SOON = (408, 425)
"""Answers of the kind 4xx that may pass all the same."""


@dataclass(frozen=True)
class Answer:
    """A checked answer: its JSON, the next page's address, and the server's clock."""

    data: Any
    next_url: str | None
    date: datetime | None
    mended: bool = False
    """Whether its JSON held what JSON cannot hold: see :func:`read_json`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    """Bytes of JSON."""


class Checker:
    """Checks what one API answers to one token. Thread-safe."""

    def __init__(self, base_url: str, secret: Secret) -> None:
        self._base_url = base_url
        self._origin = "/".join([*base_url.split("/", 3)[:3], ""])
        self._secret = secret
        self._one_large = threading.Lock()
        self.notes: list[str] = []
        """What was odd about the answers, each kind of it once."""

    def check(self, reply: Reply, expect: Literal["list", "object"]) -> Answer:
        status = reply.status
        if status == 401:
            raise AuthenticationError(
                "The API does not accept the token (401). Check SOURCES__EDUFRAME__API_TOKEN: "
                "has it been revoked, or is it of another environment?"
            )
        if status in (403, 404):
            raise ResourceOffError(f"answered {status}", status)
        if status >= 500 or status in TOO_SLOW_OR_TOO_SOON:
            pause = pause_asked_for(*self._retry_after(reply))
            raise TransientError(f"the server answered {status}", pause)
        if status != 200:
            lost = status in (400, 410, 422) and "cursor" in parse_qs(urlsplit(reply.url).query)
            raise (PositionLostError if lost else RefusedError)(
                f"{self.name(reply.url)}: the server answered {status}: {self._said(reply)}"
            )
        data, mended = self._parsed(reply)
        if not isinstance(data, list if expect == "list" else dict):
            raise TransientError(f"200 with a JSON {type(data).__name__} where a {expect} belongs")
        if expect == "list" and data and not any(isinstance(row, dict) for row in data):
            raise TransientError(f"200 with a list of {type(data[0]).__name__} where rows belong")
        following = self._next(reply) if expect == "list" else None
        header = reply.first("Date")
        date = server_date(header)
        if header and date is None:
            self._note_once("Date", header)
        return Answer(data, following, date, mended, reply.headers, len(reply.content))

    def _parsed(self, reply: Reply) -> tuple[Any, bool]:
        content, named = reply.content, charset(reply.first("Content-Type"))
        try:
            if len(content) < LARGE:
                return read_json(content, named)
            with self._one_large:
                return read_json(content, named)
        except ValueError:
            what = "an empty body" if not content.strip() else "something that is no JSON"
            raise TransientError(f"200 with {what}") from None
        except MemoryError:
            raise ReadFailedError(
                f"{self.name(reply.url)}: there is no memory for an answer of "
                f"{len(content):,} bytes"
            ) from None

    def _said(self, reply: Reply) -> str:
        """What an error says in the API's own format; of any other body no more than its length.

        A body may be rows: personal data, which belongs into no log.
        """
        if not reply.whole:
            return "a body that is broken, or too large for an error"
        try:
            data, _ = read_json(reply.content)
        except ValueError:
            data = None
        if isinstance(data, dict) and data.keys() <= ERROR_FORMAT:
            message = data.get("message")
            if isinstance(message, str) and message.strip():
                return self._secret.shown(message)
        return f"{len(reply.content):,} bytes"

    def _next(self, reply: Reply) -> str | None:
        try:
            target = next_address(reply.headers.get_list("Link"), reply.url)
        except ValueError:
            raise ReadFailedError(
                f"{self.name(reply.url)}: a Link header speaks of a next page, but no address of "
                "it can be read from it: this page must not pass for the last one"
            ) from None
        return target and self._trusted(reply.url, target, "the next page is said to be on")

    def redirect(self, reply: Reply) -> str | None:
        """Where a reply sends its reader; a redirect that does not say is a reply like others.

        Raises:
            ReadFailedError: the token may not be sent there.
        """
        location = reply.first("Location")
        if reply.status not in (301, 302, 303, 307, 308) or not location:
            return None
        with suppress(ValueError):  # no address: refused as one that leads elsewhere
            location = urljoin(reply.url, location)
        return self._trusted(reply.url, location, "redirected to")

    def pause(self, reply: Reply) -> float:
        """Seconds that a 429 asks to wait."""
        return retry_after(*self._retry_after(reply))

    def trusts(self, url: str) -> bool:
        """Whether the address has the scheme, host and port that the token is for."""
        # what begins with our scheme, host and port is ours: to parse it takes much longer
        return url.startswith(self._origin) or same_origin(url, self._base_url)

    def name(self, address: str) -> str:
        """An address for people: its path, which may be the server's choice."""
        return self._secret.shown(path_of(address))

    def _trusted(self, address: str, target: str, what: str) -> str:
        """The target that an answer names, if the token may be sent there, and it holds none.

        Raises:
            ReadFailedError: it may not, or the address, which is logged and stored, holds it.
        """
        if self._secret.is_in(target):
            raise ReadFailedError(f"{self.name(address)}: {what} an address that holds the token")
        if not self.trusts(target):
            raise ReadFailedError(
                f"{self.name(address)}: {what} another host, or under a user name "
                f"({self._secret.shown(host_of(target))}); the token is not sent there. "
                "Is base_url right?"
            )
        return target

    def _retry_after(self, reply: Reply) -> tuple[str | None, float | None]:
        """How long the server wants to be left alone, in its words, and its clock."""
        header, date = reply.first("Retry-After"), server_date(reply.first("Date"))
        now = date.timestamp() if date else None
        if header and asked_wait(header, now) is None:
            self._note_once("Retry-After", header)
        return header, now

    def _note_once(self, header: str, value: str) -> None:
        """Tell of a header that makes no sense, the first time."""
        start = f"the API's header {header} makes no sense and counts as missing"
        if not any(note.startswith(start) for note in self.notes):
            self.notes.append(f"{start}: {self._secret.shown(value, 60)}")
            log.warning("%s", self.notes[-1])
