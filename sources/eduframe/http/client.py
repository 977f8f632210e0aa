"""The API over HTTP: one GET at a time, limited, retried, and checked.

What comes out of :meth:`Client.get` is what was asked for, a list or an object; anything else
(HTML, an empty or cut body, a list where an object belongs) is a failure like a 502, and is
tried again. Facts about the API: 500 requests in 5 minutes per token, 429 with ``Retry-After``,
``Link: rel="next"`` for the next page, 403 *or 404* for a missing right.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from urllib.parse import urljoin

import httpx
import tenacity

from sources.eduframe.display import Secret
from sources.eduframe.errors import (
    AuthenticationError,
    NoAnswerError,
    ReadFailedError,
    ResourceOffError,
    SettingsError,
    StoppedError,
    TooManyRequestsError,
    TransientError,
)
from sources.eduframe.http.body import read_json
from sources.eduframe.http.concurrency import ReadingSlots
from sources.eduframe.http.headers import (
    asked_wait,
    charset,
    pause_asked_for,
    retry_after,
    server_date,
)
from sources.eduframe.http.hosts import check_base_url, host_of, path_of, same_origin
from sources.eduframe.http.limiter import Limiter
from sources.eduframe.http.links import next_address
from sources.eduframe.http.receive import CompressionError, Reply, TooLargeError, receive
from sources.eduframe.http.wire import CONNECT_SECONDS, Network, open_transport
from sources.eduframe.version import version

log = logging.getLogger("eduframe.client")

ATTEMPTS = 6
LATE_IN_A_ROW = 3
"""After so many requests in a row without an answer in time a list is not asked any more."""
RETRY_WAIT = tenacity.wait_exponential_jitter(initial=0.5, max=30.0, jitter=1.0)
MAX_REDIRECTS = 3
MOST_CAUSES = 20
MEGABYTE = 1_000_000
LARGE = 4 * MEGABYTE
"""Parsed JSON takes eight times its bytes: of bodies from here on one is parsed at a time."""
ERROR_FORMAT = {"errors", "code", "message"}
"""The keys of the API's own errors."""
TOO_SLOW_OR_TOO_SOON = (408, 425)
"""Answers of the kind 4xx that may pass all the same."""


@dataclass
class Traffic:
    """What the requests for one resource cost; counted here, shown in the summary."""

    requests: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    """Why requests were tried again."""
    waited: float = 0.0
    """Seconds spent waiting for the limit."""
    late: int = 0
    """How many requests, the latest ones, got no answer in time."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, requests: int = 0, waited: float = 0.0) -> None:
        with self.lock:
            self.requests += requests
            self.waited += waited

    def retry(self, cause: object) -> None:
        with self.lock:
            text = str(cause)
            known = text in self.causes or len(self.causes) < MOST_CAUSES
            self.causes[text if known else "other causes"] += 1

    def in_time(self, answered: bool) -> None:
        with self.lock:
            self.late = 0 if answered else self.late + 1

    @property
    def retries(self) -> int:
        """How many requests were tried again."""
        return self.causes.total()


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


@dataclass(frozen=True)
class Bounds:
    """What an answer may cost."""

    request_seconds: float = 60.0
    """From the sending of a request to the last byte of its answer."""
    page_bytes: int = 32 * MEGABYTE
    """The most that a page, or an object, may have, decompressed …"""
    list_bytes: int = 96 * MEGABYTE
    """… and a list that is not paged."""

    @classmethod
    def of(cls, settings: "BoundSettings") -> "Bounds":
        """As the settings have it."""
        return cls(
            settings.request_seconds,
            int(settings.max_page_mb * MEGABYTE),
            int(settings.max_list_mb * MEGABYTE),
        )


class BoundSettings(Protocol):
    """The settings of :class:`Bounds`."""

    request_seconds: float
    max_page_mb: float
    max_list_mb: float


class Client:
    """GETs from one API with one token. Thread-safe; close it, or use it as a context manager."""

    def __init__(
        self,
        base_url: str,
        token: str,
        limiter: Limiter,
        *,
        transport: httpx.BaseTransport | None = None,
        attempts: int = ATTEMPTS,
        connections: int = 8,
        sleep: Callable[[float], None] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """A client of the API at an address.

        Raises:
            SettingsError: the address or the token is none, or the environment names a proxy or
                certificates that cannot be used.
        """
        self.base_url = check_base_url(base_url)
        if not token.isascii() or not token.isprintable() or token != token.strip():
            raise SettingsError(
                "The API token holds spaces or characters that no token has; copy it anew into "
                "SOURCES__EDUFRAME__API_TOKEN."
            )
        self._origin = "/".join([*self.base_url.split("/", 3)[:3], ""])
        self.limiter = limiter
        self.slots = ReadingSlots()
        self.notes: list[str] = []
        """What was odd about the answers, each kind of it once."""
        self._secret = Secret(token)
        self._attempts = attempts
        self._sleep = sleep or self._wait
        self._bounds = bounds or Bounds()
        self._one_large = threading.Lock()
        self._headers = httpx.Headers(
            {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "User-Agent": f"eduframe-sync/{version()}",
            }
        )
        seconds = self._bounds.request_seconds
        connect = min(CONNECT_SECONDS, seconds)
        self._timeout = {"timeout": httpx.Timeout(seconds, connect=connect).as_dict()}
        self._network = Network()
        self._proxy: str | None = None
        if transport is None:
            transport, self._proxy = open_transport(self.base_url, self._network, connections)
        self._transport = transport
        limiter.when_stopped(self.abort)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        """Break off all requests, now and for good. The limiter does so when it is stopped."""
        self._network.end()

    def get(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        *,
        expect: Literal["list", "object"] = "list",
        paged: bool = True,
        traffic: Traffic | None = None,
    ) -> Answer:
        """GET a path of the API, or the address of a next page.

        What is not ``paged`` may be larger: see :class:`Bounds`.

        Raises:
            AuthenticationError: 401.
            ResourceOffError: 403 or 404.
            ReadFailedError: errors or nonsense until the attempts ended, no answer in time three
                times in a row, or an answer that is too large.
            StoppedError: a stop was asked for, or the API wants to be left alone for long.
        """
        traffic = traffic or Traffic()
        address = url if "://" in url else self.base_url + url
        most = self._bounds.page_bytes if paged else self._bounds.list_bytes
        if traffic.late >= LATE_IN_A_ROW:
            raise ReadFailedError(f"{self._name(address)}: not asked any more: {self._too_late}")
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=lambda state: (
                state.attempt_number >= self._attempts or traffic.late >= LATE_IN_A_ROW
            ),
            wait=_wait_before_retry,
            sleep=self._sleep,
            before_sleep=lambda state: self._note_retry(state, address, traffic),
            reraise=True,
        )
        try:
            return retrying(self._once, address, params, expect, most, traffic)
        except TransientError as error:
            attempts = retrying.statistics["attempt_number"]
            raise ReadFailedError(
                f"{self._name(address)}: {error} ({attempts} attempts)"
            ) from error

    @property
    def _too_late(self) -> str:
        return f"{LATE_IN_A_ROW} requests in a row had no answer in time"

    def _name(self, address: str) -> str:
        """An address for people: its path, which may be the server's choice."""
        return self._secret.shown(path_of(address))

    def _wait(self, seconds: float) -> None:
        self.limiter.stop.wait(seconds)

    def _note_retry(
        self, state: tenacity.RetryCallState, address: str, traffic: Traffic
    ) -> None:
        reason = state.outcome.exception() if state.outcome else None
        traffic.retry(reason)
        name, seconds = self._name(address), state.next_action.sleep if state.next_action else 0.0
        log.warning("%s: %s; trying again in %.0f s", name, reason, seconds)
        self.limiter.tell(seconds, f"{name} is tried again")
        if self.limiter.stop.is_set():
            raise StoppedError("stopped between attempts")

    def _once(
        self,
        address: str,
        params: Mapping[str, str | int] | None,
        expect: Literal["list", "object"],
        most: int,
        traffic: Traffic,
    ) -> Answer:
        while True:
            try:
                return self._check(self._send(address, params, most, traffic), expect)
            except TooManyRequestsError:
                traffic.retry("429: too many requests")

    def _send(
        self, address: str, params: Mapping[str, str | int] | None, most: int, traffic: Traffic
    ) -> Reply:
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._request(address, params, most, traffic)
            target = _redirect(reply)
            if target is None:
                return reply
            address, params = self._trusted(address, target, "redirected to"), None
        raise ReadFailedError(f"{self._name(address)}: redirected in circles")

    def _trusted(self, address: str, target: str, what: str) -> str:
        """The target that an answer names, if the token may be sent there, and it holds none.

        Raises:
            ReadFailedError: it may not, or the address, which is logged and stored, holds it.
        """
        where = self._name(address)
        if self._secret.is_in(target):
            raise ReadFailedError(f"{where}: {what} an address that holds the token")
        if not self.trusts(target):
            raise ReadFailedError(
                f"{where}: {what} another host, or under a user name "
                f"({self._secret.shown(host_of(target))}); the token is not sent there. "
                "Is base_url right?"
            )
        return target

    def _request(
        self, address: str, params: Mapping[str, str | int] | None, most: int, traffic: Traffic
    ) -> Reply:
        waited = self.limiter.acquire()
        traffic.add(requests=1, waited=waited)
        reply: Reply | None = None
        try:
            began = time.monotonic()
            reply = self._exchange(address, params, most, traffic)
            self.slots.answered(time.monotonic() - began)
            traffic.in_time(True)
            if reply.status == 429:
                self.limiter.pause(retry_after(*self._retry_after(reply)))
                raise TooManyRequestsError
        except (TransientError, ReadFailedError) as error:
            if self.limiter.stop.is_set():  # what is broken off by a stop looks like a broken wire
                raise StoppedError("stopped before all was read") from None
            raise error from None
        finally:
            self.limiter.release(answered=reply is not None and reply.status != 429)
        return reply

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

    def _exchange(
        self, address: str, params: Mapping[str, str | int] | None, most: int, traffic: Traffic
    ) -> Reply:
        """One request and its answer.

        Of what the network says, which may be the server's words, only what may be shown is
        kept: not the exception either, as a traceback would tell it.
        """
        seconds = self._bounds.request_seconds
        with self._network.deadline(seconds):
            try:
                request = httpx.Request(
                    "GET", address, params=params, headers=self._headers, extensions=self._timeout
                )
                response = self._transport.handle_request(request)
                return receive(response, str(request.url), most)
            except httpx.TimeoutException as error:
                if self._network.late:
                    traffic.in_time(False)
                words = f"no answer in time ({type(error).__name__})"
                raise NoAnswerError(self._over_proxy(words)) from None
            except httpx.TransportError as error:
                words = self._secret.shown(str(error) or type(error).__name__)
                raise NoAnswerError(self._over_proxy(words)) from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise TransientError(self._secret.shown(str(error))) from None
            except CompressionError as error:
                raise TransientError(str(error)) from None
            except TooLargeError:
                raise ReadFailedError(
                    f"{self._name(address)}: the answer is larger than {most / MEGABYTE:.0f} MB; "
                    "if that is right, raise max_page_mb, or max_list_mb for a list without pages"
                ) from None

    def _over_proxy(self, words: str) -> str:
        return f"over the proxy {self._proxy}: {words}" if self._proxy else words

    def _check(self, reply: Reply, expect: Literal["list", "object"]) -> Answer:
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
            raise ReadFailedError(
                f"{self._name(reply.url)}: the server answered {status}: {self._said(reply)}"
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
                f"{self._name(reply.url)}: there is no memory for an answer of "
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
                f"{self._name(reply.url)}: a Link header speaks of a next page, but no address of "
                "it can be read from it: this page must not pass for the last one"
            ) from None
        return target and self._trusted(reply.url, target, "the next page is said to be on")

    def trusts(self, url: str) -> bool:
        """Whether the address has the scheme, host and port that the token is for."""
        # what begins with our scheme, host and port is ours: to parse it takes much longer
        return url.startswith(self._origin) or same_origin(url, self.base_url)


def _redirect(reply: Reply) -> str | None:
    """Where an answer sends its reader; a redirect that does not say is an answer like others."""
    location = reply.first("Location")
    if reply.status not in (301, 302, 303, 307, 308) or not location:
        return None
    try:
        return urljoin(reply.url, location)
    except ValueError:  # no address: refused as one that leads elsewhere
        return location


def _wait_before_retry(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.seconds if isinstance(error, TransientError) else 0.0
    return max(asked, RETRY_WAIT(state))
