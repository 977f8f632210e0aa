"""A server of a few long lists, in a process of its own, much faster than what is measured.

The simulator's HTTP and rate limit, with rows that are rendered beforehand and joined into pages.
``POST /touch`` changes every hundredth row, ``GET /requests`` tells what was asked since the last
time, ``POST /limit`` sets latency and rate limit.
"""

import argparse
import math
import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Event, Lock

import orjson

from benchmarks.rows import SHAPES, Rows
from sources.eduframe_simulator.server.api import PREFIX, Window
from sources.eduframe_simulator.server.http_server import Server
from sources.eduframe_simulator.server.messages import Answer, Request, error, json_answer

CHANGED_SHARE = 100
"""One of so many rows changes."""
CONTROLS = ("touch", "requests", "limit")
UNLIMITED = 10**9


class Lists:
    """Answers requests for the lists, and for what a benchmark wants of the server."""

    def __init__(self, rows: Rows, counts: Mapping[str, int], origin: str) -> None:
        self.origin = origin
        self._rows = rows
        self._lists = {
            name: [rows.make(name, number + 1) for number in range(count)]
            for name, count in counts.items()
        }
        self._touched = 0
        self._latency = 0.0
        self._window = Window(UNLIMITED, 1.0)
        self._asked: list[tuple[float, str, int]] = []
        self._lock = Lock()

    def respond(self, request: Request) -> Answer:
        name = request.path.removeprefix(PREFIX).strip("/")
        if name in CONTROLS:
            return json_answer(orjson.dumps(getattr(self, name)(request)))
        wait = self._window.wait(request.at)
        answer = self._page(name, request.query) if wait <= 0 else error(429)
        if wait > 0:
            answer.headers["Retry-After"] = str(math.ceil(wait))
        answer.delay = self._latency
        with self._lock:
            self._asked.append((request.at, f"{name} {dict(request.query)}", answer.status))
        return answer

    def _page(self, name: str, query: Mapping[str, list[str]]) -> Answer:
        if name == "educators/current":
            return json_answer(b'{"id":1,"name":"Benchmark"}')
        if name not in self._lists:
            return error(404)
        size, start = int(query.get("per_page", ["25"])[0]), int(query.get("cursor", ["0"])[0])
        rows = self._lists[name]
        headers = {}
        if start + size < len(rows):
            following = f"{self.origin}/{name}?per_page={size}&cursor={start + size}"
            headers["Link"] = f'<{following}>; rel="next"'
        return json_answer(b"[" + b",".join(rows[start : start + size]) + b"]", headers)

    def touch(self, _: Request) -> int:
        """Change every hundredth row, each time others; how many that were."""
        now, count = datetime.now(UTC), 0
        for name, rows in self._lists.items():
            for place in range(self._touched % CHANGED_SHARE, len(rows), CHANGED_SHARE):
                rows[place] = self._rows.make(name, place + 1, changed=now)
                count += 1
        self._touched += 1
        return count

    def requests(self, _: Request) -> list[tuple[float, str, int]]:
        """When, what, and the status, of each request since the last time."""
        with self._lock:
            asked, self._asked = self._asked, []
        return asked

    def limit(self, request: Request) -> None:
        """Set the latency, and begin a new rate limit."""
        given = {name: float(values[0]) for name, values in request.query.items()}
        self._latency = given.get("latency", 0.0)
        self._window = Window(int(given.get("requests", UNLIMITED)), given.get("window", 1.0))


def main() -> None:
    """Serve until SIGTERM; the first line on stdout is the address."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--count", action="append", default=[], metavar="LIST=ROWS")
    parser.add_argument("--custom", action="store_true", help="rows with custom fields")
    options = parser.parse_args()
    counts = dict.fromkeys(SHAPES, 0) | {
        name: int(rows) for name, rows in (pair.split("=") for pair in options.count)
    }
    lists = Lists(Rows(options.custom), counts, "")
    server = Server(0, lists.respond, time.time)
    lists.origin = f"http://127.0.0.1:{server.port}{PREFIX}"
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server.start()
    print(lists.origin, flush=True)
    stop.wait()
    server.stop()


if __name__ == "__main__":
    main()
