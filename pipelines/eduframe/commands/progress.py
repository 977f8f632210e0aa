"""Progress on stderr while a sync runs: a live view on a terminal, plain log lines elsewhere."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.eduframe.run.sync import Run
from sources.eduframe.limits.waits import Wait
from sources.eduframe.reading.batch import ResourceRun

log = logging.getLogger("eduframe")

REFRESH = 0.25
LINE_EVERY = 15.0
"""Seconds between log lines while reading goes on."""


@contextmanager
def watching() -> Iterator[Callable[[Run], None]]:
    """Yields what to give to ``sync(watch=…)``: shows progress, and ends the run on a signal."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    handlers = {}

    def watch(run: Run) -> None:
        def stop(number: int, frame: FrameType | None) -> None:
            run.stop(f"ended by {signal.Signals(number).name}", hurry=True)

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handlers[number] = signal.signal(number, stop)
        target = _live if sys.stderr.isatty() else _lines
        thread = threading.Thread(target=target, args=(run, over), daemon=True, name="progress")
        threads.append(thread)
        thread.start()

    try:
        yield watch
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=5)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _live(run: Run, over: threading.Event) -> None:
    run.limiter.on_wait = _seen_live
    console = Console(stderr=True, highlight=False)
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not over.wait(REFRESH):
            live.update(view(run))


def _seen_live(wait: Wait) -> None:
    """Nothing: the view shows the wait as long as it lasts."""


def view(run: Run) -> Group:
    """The lists that are being read, how far the run is, and what it waits for."""
    runs = list(run.report.runs.values())
    ended = [r for r in runs if r.status not in ("waiting", "reading")]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("resource", "pages", "rows"):
        table.add_column(name, justify="left" if name == "resource" else "right")
    for one in runs:
        if one.status == "reading":
            table.add_row(one.resource, str(one.pages), f"{one.read:,}")
    state = (
        f"{len(ended)} of {len(runs)} resources, {run.limiter.left:,} requests left in the window, "
        f"{run.limiter.waited_total:.0f} s waited"
    )
    wait = run.limiter.waiting
    shown: list[Table | Text] = [table, Text(state, style="dim italic")]
    if wait and wait.seconds >= 1:
        until = f"{wait.until.astimezone():%H:%M:%S}"
        shown.append(Text(f"waiting {wait.seconds:.0f} s, until {until}: {wait.reason}"))
    return Group(*shown)


def _lines(run: Run, over: threading.Event) -> None:
    told: set[str] = set()
    seconds = 0.0
    while True:
        ending = over.wait(1.0)
        seconds += 1.0
        for one in list(run.report.runs.values()):
            if one.resource not in told and one.status not in ("waiting", "reading"):
                told.add(one.resource)
                log.info("%s", line(one))
        if ending:
            return
        if seconds >= LINE_EVERY:
            seconds = 0.0
            reading = [r for r in run.report.runs.values() if r.status == "reading"]
            names = ", ".join(f"{r.resource} ({r.read:,} rows)" for r in reading)
            if reading and not run.limiter.waiting:  # the limiter tells of that itself
                log.info("reading %s; %s requests left", names, run.limiter.left)


def line(run: ResourceRun) -> str:
    """What happened to a resource, in a line."""
    parts = [f"{run.read:,} read", f"{run.new:,} new", f"{run.changed:,} changed"]
    if run.deleted:
        parts.append(f"{run.deleted:,} deleted")
    if run.rejected:
        parts.append(f"{run.rejected:,} set aside")
    parts.append(f"{run.traffic.requests:,} requests")
    message = f": {run.message}" if run.message else ""
    return f"{run.resource}: {run.status}, {', '.join(parts)}, {run.seconds:.1f} s{message}"
