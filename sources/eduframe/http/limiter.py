"""The request limit: never more than so many requests in any window, over all threads and runs.

A sliding log. A request holds its place from the moment it is allowed until one window after
its *response*: the server counted it somewhere in between, so however the network jitters, the
server never sees too many in a window. There is no smoothing beyond that: the first burst is
free, and time lost while nothing was asked is caught up.

A 429 all the same means that others use the token too: the rate is lowered, and climbs back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from sources.eduframe.errors import StoppedError

Clock = Callable[[], float]

LOWERED_TO = 0.75
"""A 429 lowers the rate to this share of what it was …"""
LEAST_SHARE = 0.1
RECOVERY_WINDOWS = 4.0
"""… and from nothing it would climb back in so many windows."""


class Journal(Protocol):
    """Keeps the window over the end of a run."""

    def sent(self) -> None: ...

    def answered(self) -> None: ...

    def paused(self, seconds: float) -> None: ...


class Limiter:
    """At most ``requests`` requests in any ``window`` seconds. Thread-safe.

    ``clock`` gives seconds and ``wait(condition, seconds)`` waits; both are injected by tests.
    ``stop`` ends every wait with :class:`StoppedError`.
    """

    def __init__(
        self,
        requests: int,
        window: float,
        *,
        clock: Clock = time.monotonic,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
        stop: threading.Event | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.requests = requests
        self.window = window
        self.stop = stop or threading.Event()
        self._clock = clock
        self._wait = wait
        self.journal = journal
        self._changed = threading.Condition()
        self._finished: deque[float] = deque()
        self._in_flight = 0
        self._paused_until = 0.0
        self._share = 1.0
        self._lowered_at = 0.0
        self._when_stopped: list[Callable[[], object]] = []

    def when_stopped(self, call: Callable[[], object]) -> None:
        """Let this be called, by a signal handler too, once a stop was asked for."""
        self._when_stopped.append(call)

    def acquire(self) -> float:
        """Wait for a place in the window and take it. Returns the seconds waited.

        Raises:
            StoppedError: a stop was asked for while waiting.
        """
        began = self._clock()
        with self._changed:
            while True:
                if self.stop.is_set():
                    raise StoppedError("stopped before all was read")
                now = self._clock()
                delay = self._delay(now)
                if delay <= 0:
                    self._in_flight += 1
                    if self.journal:
                        self.journal.sent()
                    return now - began
                self._wait(self._changed, min(delay, 1.0))

    def release(self) -> None:
        """The response is in (or the request failed): its place is free one window from now."""
        with self._changed:
            self._in_flight -= 1
            self._finished.append(self._clock())
            if self.journal:
                self.journal.answered()
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """No thread sends anything for so many seconds, and less for a while: a 429."""
        with self._changed:
            now = self._clock()
            if now >= self._paused_until:
                self._share = max(LEAST_SHARE, self._share_at(now) * LOWERED_TO)
                self._lowered_at = now + seconds
            self._paused_until = max(self._paused_until, now + seconds)
            if self.journal:
                self.journal.paused(seconds)

    def wake(self) -> None:
        """Let waiting threads look at ``stop`` now, and end what is under way if it is set."""
        with self._changed:
            self._changed.notify_all()
        if self.stop.is_set():
            for call in self._when_stopped:
                call()

    def remember(self, ages: list[float], pause: float = 0.0) -> None:
        """Take over the places of an earlier run: seconds since each of its responses.

        ``pause`` are the seconds that a 429 it got still asks to wait for.
        """
        with self._changed:
            now = self._clock()
            self._finished = deque(sorted([*self._finished, *(now - age for age in ages)]))
            self._paused_until = max(self._paused_until, now + pause)

    @property
    def left(self) -> int:
        """Requests that could be sent right now."""
        with self._changed:
            now = self._clock()
            self._forget(now)
            return max(0, self._allowed(now) - self._in_flight - len(self._finished))

    @property
    def wait_now(self) -> float:
        """Seconds until the next request may be sent."""
        with self._changed:
            return max(0.0, self._delay(self._clock()))

    def _delay(self, now: float) -> float:
        self._forget(now)
        paused = self._paused_until - now
        over = self._in_flight + len(self._finished) - self._allowed(now)
        if over < 0:
            return paused
        if over >= len(self._finished):
            return max(paused, 1.0)
        return max(paused, self._finished[over] + self.window - now)

    def _forget(self, now: float) -> None:
        while self._finished and self._finished[0] + self.window <= now:
            self._finished.popleft()

    def _allowed(self, now: float) -> int:
        return max(1, int(self.requests * self._share_at(now)))

    def _share_at(self, now: float) -> float:
        climbed = max(0.0, now - self._lowered_at) / (RECOVERY_WINDOWS * self.window)
        return min(1.0, self._share + climbed)
