"""A clock that tests turn by hand, and requests by it."""

import threading
from collections.abc import Callable
from pathlib import Path

from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.limits.rate_limiter_file import WindowFile, window_name_of


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.on_wait: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        if self.on_wait:
            self.on_wait()
        self.forward(seconds)

    def wait_together(self, changed: threading.Condition, seconds: float) -> None:
        """Let other threads go on, then move the clock."""
        changed.wait(0.0005)
        self.forward(seconds)

    def forward(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


def limiter_of(clock: Clock, requests: int = 3, window: float = 10) -> Limiter:
    return Limiter(requests, window, clock=clock, wait=clock.wait)


def ask(limiter: Limiter, clock: Clock, seconds: float = 0.0) -> float:
    """One request with an answer after so many seconds; returns when it was sent."""
    limiter.acquire()
    sent = clock.now
    clock.forward(seconds)
    limiter.release()
    return sent


def shared(limiter: Limiter, folder: Path, clock: Clock, number: str = "1") -> WindowFile:
    """Let the limiter share a window with all that are given this folder and number."""
    file = WindowFile(folder / window_name_of(number), limiter.window, longest=60, clock=clock)
    limiter.share(file)
    return file
