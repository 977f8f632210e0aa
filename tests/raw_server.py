"""A server that speaks plain sockets: it sends what no framework would."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

Behaviour = Callable[["Peer"], None]


class Peer:
    """A request that came, and the connection on which it is answered."""

    def __init__(self, connection: socket.socket, request: bytes, over: threading.Event) -> None:
        self._connection = connection
        self.request = request
        self.over = over
        """Is set once the server stops."""

    def send(self, *parts: bytes) -> None:
        self._connection.sendall(b"".join(parts))

    def answer(self, body: bytes = b"[]", *headers: str, status: str = "200 OK") -> None:
        """An ordinary answer."""
        lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
        self.send("\r\n".join(lines).encode("latin-1"), body)

    def for_ever(self, part: bytes, pause: float = 0.0) -> None:
        """Send the same again and again, until the other end or the server has enough."""
        while not self.over.wait(pause):
            self.send(part)

    def hang(self) -> None:
        """Say nothing more."""
        self.over.wait()


class RawServer:
    """Listens on 127.0.0.1 within ``with``. ``behaviour`` answers each request."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.came = threading.Event()
        """Is set once a request came."""
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/api/v1"
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for listening in (self._listening, *self._connections):
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._connections.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            read = connection.makefile("rb")
            while not self._over.is_set():
                lines = []
                while (line := read.readline()) not in (b"\r\n", b""):
                    lines.append(line)
                if not lines:
                    return
                request = b"".join(lines)
                self.requests.append(request)
                self.came.set()
                self.behaviour(Peer(connection, request, self._over))
