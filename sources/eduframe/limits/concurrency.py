"""Concurrency: lists are read side by side where that helps, and one by one where it does not.

Side by side, they wait for the network at the same time. Where answers come at once there is
nothing to wait for: threads would only take the interpreter and the processor's caches from each
other, which costs a quarter of the time.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUICK = 0.005
"""Seconds within which an answer comes at once."""
LATEST = 8
"""The quickest of so many answers counts: the others may have waited for the interpreter."""
ENOUGH = 3
"""So many answers tell that a server is slow: the first one of all also opens a connection."""
SILENCE = 0.25
"""After so many seconds without an answer nobody waits for it any longer."""


class ReadingSlots:
    """Lets in those who read. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.working = threading.Lock()
        """To be held while rows become tables, which keeps the processor busy."""
        self._clock = clock
        self._changed = threading.Condition()
        self._reading = 0
        self._latest: deque[float] = deque(maxlen=LATEST)
        self._answered_at = clock()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read a list: beside others where answers take their time, else once they are done."""
        with self._changed:
            while self._reading and self._at_once():
                self._changed.wait(SILENCE)
            self._reading += 1
        try:
            yield
        finally:
            with self._changed:
                self._reading -= 1
                self._changed.notify()

    def answered(self, seconds: float) -> None:
        """An answer took so long."""
        with self._changed:
            self._latest.append(seconds)
            self._answered_at = self._clock()
            if not self._at_once():
                self._changed.notify_all()

    def _at_once(self) -> bool:
        if self._clock() - self._answered_at >= SILENCE:
            return False
        return len(self._latest) < ENOUGH or min(self._latest) <= QUICK
