"""A small HTTP/1.1 server on 127.0.0.1: keep-alive, a thread per connection, no buffering.

The standard library's ``http.server`` parses headers as mail; doing without makes a page three
times as fast.
"""

import socket
import socketserver
import struct
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

from sources.eduframe_simulator.server.messages import Answer, Request, error

Respond = Callable[[Request], Answer]
MAX_LINE = 65_536


class Server(socketserver.ThreadingTCPServer):
    """Answers requests until it is stopped."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, respond: Respond, clock: Callable[[], float]) -> None:
        self.respond = respond
        self.clock = clock
        """The server's idea of the time: seconds since 1970."""
        self.stopping = Event()
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Connection)
        self._thread = Thread(
            target=self.serve_forever, args=(0.05,), name="simulator", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and end all connections, also those that are stalled."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):  # It may have ended by itself.
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that the client has dropped is no error."""
        problem = sys.exc_info()[1]
        if not isinstance(problem, OSError | ValueError):
            traceback.print_exc()


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        while not self.server.stopping.is_set() and self._exchange():
            pass

    def _exchange(self) -> bool:
        """Answer one request. False when the connection ends."""
        line = self.rfile.readline(MAX_LINE)
        if not line.strip():
            return False
        at = time.monotonic()
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while (line := self.rfile.readline(MAX_LINE)).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        self.rfile.read(int(headers.get("content-length") or 0))
        url = urlsplit(target)
        query = parse_qs(url.query, keep_blank_values=True) if url.query else {}
        request = Request(method, url.path, query, at, headers=headers)
        try:
            answer = self.server.respond(request)
        except Exception:
            traceback.print_exc()
            answer = error(500)
        keep = headers.get("connection", "").lower() != "close"
        return self._send(answer, keep, head=method == "HEAD") and keep

    def _send(self, answer: Answer, keep: bool, head: bool) -> bool:
        status = HTTPStatus(answer.status)
        lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
        lines.append(f"Date: {formatdate(self.server.clock(), usegmt=True)}")
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines.append(f"Content-Length: {len(answer.body)}")
        if not keep:
            lines.append("Connection: close")
        data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        begun = len(data) + len(answer.body) // 2
        if not head:
            data += answer.body
        match answer.delivery:
            case "whole":
                self._pause(answer.delay)
                self.connection.sendall(data)
                return True
            case "stall_body":
                self.connection.sendall(data[:begun])
                self._pause(answer.delay)
                self.connection.sendall(data[begun:])
                return True
            case "short_body":
                self.connection.sendall(data[:begun])
                return False
            case "reset_body":
                self.connection.sendall(data[:begun])
                time.sleep(0.05)  # Else the reset may overtake what was sent.
        self._reset()
        return False

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.server.stopping.wait(seconds)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # On, for no time: close by a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.rfile.close()
        self.connection.close()
