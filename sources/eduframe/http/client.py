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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
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
from sources.eduframe.http.headers import pause_asked_for, retry_after, server_date
from sources.eduframe.http.hosts import check_base_url, host_of, path_of, same_origin
from sources.eduframe.http.limiter import Limiter
from sources.eduframe.http.links import next_address
from sources.eduframe.version import version

log = logging.getLogger("eduframe.client")

TIMEOUT = httpx.Timeout(60.0, connect=15.0)
SLOWEST = 300.0
"""Seconds that one answer may take in all: a body that trickles in keeps within TIMEOUT."""
ATTEMPTS = 6
RETRY_WAIT = tenacity.wait_exponential_jitter(initial=0.5, max=30.0, jitter=1.0)
MAX_REDIRECTS = 3
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
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, requests: int = 0, waited: float = 0.0) -> None:
        with self.lock:
            self.requests += requests
            self.waited += waited

    def retry(self, cause: object) -> None:
        with self.lock:
            self.causes[str(cause)] += 1

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
    ) -> None:
        self.base_url = check_base_url(base_url)
        if not token.isascii() or not token.isprintable() or token != token.strip():
            raise SettingsError(
                "The API token holds spaces or characters that no token has; copy it anew into "
                "SOURCES__EDUFRAME__API_TOKEN."
            )
        self.limiter = limiter
        self.slots = ReadingSlots()
        self._secret = Secret(token)
        self._attempts = attempts
        self._sleep = sleep or self._wait
        self._http = _CookielessClient(
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "User-Agent": f"eduframe-sync/{version()}",
            },
            timeout=TIMEOUT,
            transport=transport,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
            event_hooks={"response": [_limit_time]},
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        *,
        expect: Literal["list", "object"] = "list",
        traffic: Traffic | None = None,
    ) -> Answer:
        """GET a path of the API, or the address of a next page.

        Raises:
            AuthenticationError: 401.
            ResourceOffError: 403 or 404.
            ReadFailedError: errors or nonsense until the attempts ended.
            StoppedError: a stop was asked for.
        """
        traffic = traffic or Traffic()
        address = url if "://" in url else self.base_url + url
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait_before_retry,
            sleep=self._sleep,
            before_sleep=lambda state: self._note_retry(state, address, traffic),
            reraise=True,
        )
        try:
            return retrying(self._once, address, params, expect, traffic)
        except TransientError as error:
            raise ReadFailedError(
                f"{self._name(address)}: {error} ({self._attempts} attempts)"
            ) from error

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
        log.warning("%s: %s; trying again", self._name(address), reason)
        if self.limiter.stop.is_set():
            raise StoppedError("stopped between attempts")

    def _once(
        self,
        address: str,
        params: Mapping[str, str | int] | None,
        expect: Literal["list", "object"],
        traffic: Traffic,
    ) -> Answer:
        while True:
            try:
                return self._check(self._send(address, params, traffic), expect)
            except TooManyRequestsError as limited:
                traffic.retry("429: too many requests")
                log.warning(
                    "the API answered 429: every thread waits %.0f s", limited.seconds
                )
                self.limiter.pause(limited.seconds)

    def _send(
        self, address: str, params: Mapping[str, str | int] | None, traffic: Traffic
    ) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            response = self._request(address, params, traffic)
            target = _redirect(response)
            if target is None:
                return response
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
        self, address: str, params: Mapping[str, str | int] | None, traffic: Traffic
    ) -> httpx.Response:
        waited = self.limiter.acquire()
        traffic.add(requests=1, waited=waited)
        try:
            began = time.monotonic()
            response = self._http.get(address, params=params)
            self.slots.answered(time.monotonic() - began)
        except httpx.TimeoutException as error:
            raise NoAnswerError(f"no answer in time ({type(error).__name__})") from None
        except httpx.DecodingError:
            raise TransientError("the body's compression is broken") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # what went wrong may be told in the server's words: nothing of it is kept but these
            words = self._secret.shown(str(error) or type(error).__name__)
            kind = NoAnswerError if isinstance(error, httpx.TransportError) else TransientError
            raise kind(words) from None
        finally:
            self.limiter.release()
        response.stream = _NOTHING_MORE
        if response.status_code == 429:
            raise TooManyRequestsError(retry_after(response.headers.get("Retry-After")))
        return response

    def _check(self, response: httpx.Response, expect: Literal["list", "object"]) -> Answer:
        status = response.status_code
        if status == 401:
            raise AuthenticationError(
                "The API does not accept the token (401). Check SOURCES__EDUFRAME__API_TOKEN: "
                "has it been revoked, or is it of another environment?"
            )
        if status in (403, 404):
            raise ResourceOffError(f"answered {status}", status)
        if status >= 500 or status in TOO_SLOW_OR_TOO_SOON:
            raise TransientError(f"the server answered {status}", pause_asked_for(response))
        if status != 200:
            raise ReadFailedError(
                f"{self._name(str(response.url))}: the server answered {status}: "
                f"{self._said(response)}"
            )
        try:
            data, mended = read_json(response.content)
        except ValueError as error:
            what = "an empty body" if not response.content.strip() else "something that is no JSON"
            raise TransientError(f"200 with {what}") from error
        if not isinstance(data, list if expect == "list" else dict):
            raise TransientError(f"200 with a JSON {type(data).__name__} where a {expect} belongs")
        if expect == "list" and data and not any(isinstance(row, dict) for row in data):
            raise TransientError(f"200 with a list of {type(data[0]).__name__} where rows belong")
        following = self._next(response) if expect == "list" else None
        return Answer(data, following, server_date(response), mended, response.headers)

    def _said(self, response: httpx.Response) -> str:
        """What an error says in the API's own format; of any other body no more than its length.

        A body may be rows: personal data, which belongs into no log.
        """
        try:
            data, _ = read_json(response.content)
        except ValueError:
            data = None
        if isinstance(data, dict) and data.keys() <= ERROR_FORMAT:
            message = data.get("message")
            if isinstance(message, str) and message.strip():
                return self._secret.shown(message)
        return f"{len(response.content):,} bytes"

    def _next(self, response: httpx.Response) -> str | None:
        url = str(response.url)
        try:
            target = next_address(response.headers.get_list("Link"), url)
        except ValueError:
            raise ReadFailedError(
                f"{self._name(url)}: a Link header speaks of a next page, but no address of it "
                "can be read from it: this page must not pass for the last one"
            ) from None
        return target and self._trusted(url, target, "the next page is said to be on")

    def trusts(self, url: str) -> bool:
        """Whether the address has the scheme, host and port that the token is for."""
        return same_origin(url, self.base_url)


def _redirect(response: httpx.Response) -> str | None:
    """Where an answer sends its reader; a redirect that does not say is an answer like others."""
    location: str = response.headers.get("Location", "").strip()
    if response.status_code not in (301, 302, 303, 307, 308) or not location:
        return None
    try:
        return urljoin(str(response.url), location)
    except ValueError:  # no address: refused as one that leads elsewhere
        return location


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """Take none: the API needs none, and to look takes a tenth of the time of an answer."""


class _CookielessClient(httpx.Client):
    @property
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        raise AttributeError("this client has no cookies")


_NO_COOKIES = _NoCookies()


def _limit_time(response: httpx.Response) -> None:
    """Give up on a body that takes longer than :data:`SLOWEST` in all."""
    assert isinstance(response.stream, httpx.SyncByteStream)
    response.stream = _PunctualStream(response.stream, time.monotonic() + SLOWEST)


class _PunctualStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout(f"the body took longer than {SLOWEST:.0f} s")
            yield chunk

    def close(self) -> None:
        self._stream.close()


_NOTHING_MORE = httpx.ByteStream(b"")
"""In place of a stream that was read: that one and its response hold each other, body included."""


def _wait_before_retry(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.seconds if isinstance(error, TransientError) else 0.0
    return max(asked, RETRY_WAIT(state))
