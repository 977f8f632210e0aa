"""The API over HTTP: one GET at a time, limited, retried, and checked.

What comes out of :meth:`Client.get` is what was asked for, a list or an object. Facts about the
API: 500 requests in 5 minutes per token, 429 with ``Retry-After``, ``Link: rel="next"`` for the
next page, 403 *or 404* for a missing right.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import httpx
import tenacity

from sources.eduframe.display import Secret
from sources.eduframe.errors import (
    ExhaustedError,
    NoAnswerError,
    ProxyError,
    ReadFailedError,
    SettingsError,
    StoppedError,
    TooManyRequestsError,
    TransientError,
)
from sources.eduframe.http.answers import Answer, Checker
from sources.eduframe.http.hosts import check_base_url
from sources.eduframe.http.receive import (
    BYTES_A_VALUE,
    CompressionError,
    Reply,
    TooLargeError,
    receive,
)
from sources.eduframe.http.wire import CONNECT_SECONDS, Network, open_transport
from sources.eduframe.limits.concurrency import ReadingSlots
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.limits.traffic import Traffic
from sources.eduframe.version import version

log = logging.getLogger("eduframe.client")

ATTEMPTS = 6
LATE_IN_A_ROW = 3
"""After so many requests in a row without an answer in time a list is not asked any more."""
TOO_LATE = f"{LATE_IN_A_ROW} requests in a row had no answer in time"
RETRY_WAIT = tenacity.wait_exponential(multiplier=0.5, max=30.0) + tenacity.wait_random(0, 1)
MAX_REDIRECTS = 3
MEGABYTE = 1_000_000


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
        self.limiter = limiter
        self.slots = ReadingSlots()
        self._secret = Secret(token)
        self._check = Checker(self.base_url, self._secret)
        self._attempts = attempts
        self._sleep = sleep or self._wait
        self._bounds = bounds or Bounds()
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
        self.limiter.close()

    @property
    def notes(self) -> list[str]:
        """What was odd about the answers, each kind of it once."""
        return self._check.notes

    def shown(self, text: str) -> str:
        """A text that may be the server's words, fit to be shown: escaped, without the token."""
        return self._secret.shown(text)

    def trusts(self, url: str) -> bool:
        """Whether the address has the scheme, host and port that the token is for."""
        return self._check.trusts(url)

    def name(self, address: str) -> str:
        """An address, or a path of the API, for people."""
        return self._check.name(address if "://" in address else self.base_url + address)

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
            raise ExhaustedError(f"{self._check.name(address)}: not asked any more: {TOO_LATE}")
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
            name = self._check.name(address)
            raise ExhaustedError(f"{name}: {error} ({attempts} attempts)") from error

    def _wait(self, seconds: float) -> None:
        self.limiter.stop.wait(seconds)

    def _note_retry(self, state: tenacity.RetryCallState, address: str, traffic: Traffic) -> None:
        name = self._check.name(address)
        reason = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        traffic.retry(reason)
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
                reply = self._send(address, params, most, traffic)
                return self._check.check(reply, expect)
            except TooManyRequestsError:
                traffic.retry("429: too many requests")

    def _send(
        self, address: str, params: Mapping[str, str | int] | None, most: int, traffic: Traffic
    ) -> Reply:
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._request(address, params, most, traffic)
            target = self._check.redirect(reply)
            if target is None:
                return reply
            address, params = target, None
        raise ReadFailedError(f"{self._check.name(address)}: redirected in circles")

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
                self.limiter.pause(self._check.pause(reply))
                raise TooManyRequestsError
        except (TransientError, ReadFailedError) as error:
            if self.limiter.stop.is_set():  # what is broken off by a stop looks like a broken wire
                raise StoppedError("stopped before all was read") from None
            raise error from None
        finally:
            self.limiter.release(answered=reply is not None and reply.status != 429)
        return reply

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
                raise self._no_answer(error, words) from None
            except httpx.TransportError as error:
                words = self._secret.shown(str(error) or type(error).__name__)
                raise self._no_answer(error, words) from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise TransientError(self._secret.shown(str(error))) from None
            except CompressionError as error:
                raise TransientError(str(error)) from None
            except TooLargeError:
                where = self._check.name(address)
                raise ReadFailedError(
                    f"{where}: the answer is larger than {most / MEGABYTE:.0f} MB, or has more "
                    f"than {most // BYTES_A_VALUE:,} values; if that is right, raise max_page_mb, "
                    "or max_list_mb for a list without pages"
                ) from None

    def _no_answer(self, error: httpx.TransportError, words: str) -> NoAnswerError:
        """Why there is no answer, which may be the fault of the proxy."""
        if not self._proxy:
            return NoAnswerError(words)
        if isinstance(error, httpx.ProxyError):
            return ProxyError(f"the proxy {self._proxy} refuses: {words}")
        connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        if connecting and not self._network.connected:
            return ProxyError(f"the proxy {self._proxy} cannot be reached: {words}")
        return NoAnswerError(f"over the proxy {self._proxy}: {words}")


def _wait_before_retry(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.seconds if isinstance(error, TransientError) else 0.0
    return max(asked, RETRY_WAIT(state))
