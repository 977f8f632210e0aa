"""The network under the client: each request has an end, and all of them can be ended at once.

httpx knows how long to wait for the next bytes, not for an answer: headers that trickle in,
provisional answers without end, or a byte of a body each second go on for ever. Here every wait
within a request, from the look-up of the name on, ends at the request's own deadline.
"""

import os
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from sources.eduframe.display import printable
from sources.eduframe.errors import SettingsError
from sources.eduframe.http.hosts import LOCAL_HOSTS, host_of

CONNECT_SECONDS = 15.0


class Network(httpcore.SyncBackend):
    """Connections whose waits end at a deadline, or when :meth:`end` is called. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._own = threading.local()
        self._open: set[socket.socket] = set()
        self._connecting: set[Future[httpcore.NetworkStream]] = set()
        self._ended = False

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """What this thread does within ends after so many seconds, with a time-out."""
        self._own.until = self._clock() + seconds
        self._own.connected = False
        try:
            yield
        finally:
            del self._own.until

    @property
    def late(self) -> bool:
        """Whether this thread's deadline is over."""
        return self._clock() >= getattr(self._own, "until", float("inf"))

    @property
    def connected(self) -> bool:
        """Whether this thread has made a connection, since its deadline began."""
        return bool(getattr(self._own, "connected", False))

    def end(self) -> None:
        """Break off what is under way, in all threads, and begin nothing any more.

        May be called by a signal handler: it waits for nothing.
        """
        self._ended = True
        for connecting in list(self._connecting):
            with suppress(InvalidStateError):
                connecting.set_exception(httpcore.ConnectError("ended"))
        for connection in list(self._open):
            # closing it would not wake the thread that waits for it
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def left(self, timeout: float | None, error: type[Exception]) -> float:
        """Seconds to wait: ``timeout``, but not past the deadline, at which ``error`` is raised."""
        if self._ended:
            raise httpcore.ReadError("ended")
        left: float = getattr(self._own, "until", float("inf")) - self._clock()
        if left <= 0:
            raise error("the request's time is over")
        return min(left, CONNECT_SECONDS if timeout is None else timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect, in a thread of its own: nothing else can end the look-up of a name."""
        left = self.left(timeout, httpcore.ConnectTimeout)
        connecting: Future[httpcore.NetworkStream] = Future()
        plain = super().connect_tcp

        def connect() -> None:
            try:
                stream = plain(host, port, left, local_address, socket_options)
            except Exception as error:
                with suppress(InvalidStateError):
                    connecting.set_exception(error)
                return
            try:
                connecting.set_result(stream)
            except InvalidStateError:  # nobody waits for it any more
                stream.close()

        self._connecting.add(connecting)
        try:
            threading.Thread(target=connect, name="connect", daemon=True).start()
            if self._ended:
                raise httpcore.ConnectError("ended")
            stream = connecting.result(left)
        except TimeoutError:
            connecting.cancel()
            raise httpcore.ConnectTimeout(f"no connection within {left:.0f} s") from None
        finally:
            self._connecting.discard(connecting)
        self._own.connected = True
        return _Stream(stream, self, self.watch(stream.get_extra_info("socket")))

    def watch(self, connection: socket.socket) -> socket.socket:
        """A second handle of a connection, by which it can be ended whatever is made of it."""
        handle = connection.dup()
        self._open.add(handle)
        if self._ended:
            self.end()
        return handle

    def forget(self, handle: socket.socket) -> None:
        self._open.discard(handle)
        handle.close()


class _Stream(httpcore.NetworkStream):
    def __init__(
        self, stream: httpcore.NetworkStream, network: Network, handle: socket.socket
    ) -> None:
        self._stream = stream
        self._network = network
        self._handle = handle

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._network.left(timeout, httpcore.ReadTimeout)
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._network.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._network.forget(self._handle)
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            left = self._network.left(timeout, httpcore.ConnectTimeout)
            secured = self._stream.start_tls(ssl_context, server_hostname, left)
        except BaseException:
            self.close()
            raise
        return _Stream(secured, self._network, self._handle)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names for an address; none for this machine's own."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host in LOCAL_HOSTS or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def open_transport(
    base_url: str, network: Network, connections: int
) -> tuple[httpx.BaseTransport, str | None]:
    """What sends requests, and the host and port of the proxy that they go over, if any.

    Raises:
        SettingsError: the environment names a proxy or certificates that cannot be used.
    """
    proxy = proxy_for(base_url)
    name = proxy and printable(host_of(proxy))
    tls = base_url.startswith("https:")
    try:
        transport = httpx.HTTPTransport(
            verify=_certificates() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            proxy=proxy,
        )
    except (ValueError, ImportError, httpx.InvalidURL):
        raise SettingsError(
            f"The proxy {name}, named by HTTPS_PROXY or ALL_PROXY, is of no kind that can be used: "
            "it must be http://host:port or https://host:port. To go without, set NO_PROXY."
        ) from None
    # httpx passes no network backend on; its pool, which is httpcore's, takes one
    transport._pool._network_backend = network
    return transport, name


def _certificates() -> ssl.SSLContext:
    """Whose certificates are believed: those of certifi, or those that the environment names."""
    for variable, is_there in (("SSL_CERT_FILE", os.path.isfile), ("SSL_CERT_DIR", os.path.isdir)):
        path = os.environ.get(variable)
        if path and not is_there(path):
            raise SettingsError(f"{variable} names {printable(path)!r}, which is not there.")
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        path = os.environ.get("SSL_CERT_FILE", "")
        raise SettingsError(
            f"SSL_CERT_FILE names {printable(path)!r}, which holds no certificates that can be "
            f"read: {error.strerror or error}"
        ) from None
