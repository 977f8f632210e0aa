"""What ends a run early: a signal, minutes that are used up, a limit that lasts too long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.eduframe.run.report import Report
from sources.eduframe.limits.rate_limiter import Limiter


class Run:
    """The state of one run, for whoever watches it: the progress view, a signal handler."""

    def __init__(self, report: Report, limiter: Limiter) -> None:
        self.report = report
        self.limiter = limiter
        self.hurry = threading.Event()
        limiter.when_stopped(self._tell_why)

    def _tell_why(self) -> None:
        if self.limiter.ended:
            self.report.stopped = self.report.stopped or str(self.limiter.ended)

    def stop(self, why: str, *, hurry: bool = False) -> None:
        """End at the next page; what was read is loaded.

        In a ``hurry`` there is no waiting for a destination that does not take it: that is read
        again by the next run.
        """
        self.report.stopped = self.report.stopped or why
        if hurry:
            self.report.broken_off = True
            self.hurry.set()
        self.end_reading()

    @property
    def has_read(self) -> bool:
        """Whether a page of a list was read."""
        return any(run.pages for run in self.report.runs.values())

    def end_reading(self) -> None:
        """Let every list end at its next request."""
        self.limiter.stop.set()
        self.limiter.wake()


@contextmanager
def stopping_after(minutes: float | None, run: Run) -> Iterator[None]:
    """Stop the run once the minutes are used up and a page was read; None: never."""
    if minutes is None:
        yield
        return
    over = threading.Event()

    def stop_in_time() -> None:
        if over.wait(minutes * 60):
            return
        # every run comes further, however long it takes to begin; but no limit is waited for
        while not run.has_read and run.limiter.wait_now < 1 and not over.wait(0.1):
            pass
        run.stop(f"the {minutes:g} minutes are used up")

    timer = threading.Thread(target=stop_in_time, name="max_minutes", daemon=True)
    timer.start()
    try:
        yield
    finally:
        over.set()
        timer.join()
