"""Progress on stderr while a sync runs: a live view on a terminal, plain log lines elsewhere."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.eduframe.run.control import Run
from sources.eduframe.limits.waits import Wait
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.sizing import in_minutes

log = logging.getLogger("eduframe")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REFRESH = 0.25
LINE_EVERY = 15.0
"""Seconds between log lines while reading goes on."""


@contextmanager
def watching() -> Iterator[Callable[[Run], None]]:
    """Yields what to give to ``sync(watch=…)``: shows progress, and ends the run on a signal."""
    over = threading.Event()
    with ExitStack() as stack:

        def watch(run: Run) -> None:
            if threading.current_thread() is threading.main_thread():
                stack.enter_context(_ending_on_signals(run))
            target = _live if sys.stderr.isatty() else _lines
            thread = threading.Thread(target=target, args=(run, over), daemon=True, name="progress")
            thread.start()
            stack.callback(thread.join, timeout=5)
            stack.callback(over.set)

        yield watch


@contextmanager
def _ending_on_signals(run: Run) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the reading, and loads what was read; another one ends the process.

    A thread waits for them, as Python's handlers come only once the main thread is back from
    whatever it called: a load that hangs, say.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.signal(number, _heard) for number in SIGNALS}
    woken = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_obey, args=(run, reader), daemon=True, name="signals")
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()
        thread.join()
        reader.close()


def _heard(number: int, frame: FrameType | None) -> None:
    """Nothing: the thread that waits for signals has it already."""


def _obey(run: Run, signals: socket.socket) -> None:
    asked = False
    while numbers := signals.recv(1):
        number = numbers[0]
        if number not in SIGNALS:
            continue
        name = signal.Signals(number).name
        if asked:
            said = f"eduframe: ended at once by {name}; what was loaded is kept, and the next run "
            os.write(2, f"{said}goes on from there\n".encode())
            os._exit(128 + number)
        asked = True
        log.info("%s: what was read is loaded; once more ends the process at once", name)
        run.stop(f"ended by {name}", hurry=True)


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
        f"{run.limiter.waited_total:.0f} s waited{spent(run)}"
    )
    wait = run.limiter.waiting
    shown: list[Table | Text] = [table, Text(state, style="dim italic")]
    if ahead := to_go(run):
        shown.append(Text(ahead, style="dim italic"))
    if wait and wait.seconds >= 1:
        until = f"{wait.until.astimezone():%H:%M:%S}"
        shown.append(Text(f"waiting {wait.seconds:.0f} s, until {until}: {wait.reason}"))
    return Group(*shown)


def spent(run: Run) -> str:
    """How much of the budget is spent, where there is one."""
    report, allowed = run.report, run.report.allowance
    return "" if allowed is None else f", {report.requests:,} of {allowed:,} in the budget spent"


def to_go(run: Run) -> str:
    """What is still ahead, as far as is known: requests, and what they take of the limit."""
    under_way = [r for r in run.report.runs.values() if r.status in ("waiting", "reading")]
    known = [r for r in under_way if r.expected is not None]
    requests = sum(max(0, (r.expected or 0) - r.traffic.requests) for r in known)
    if not requests:
        return ""
    minutes = requests * run.limiter.window / run.limiter.requests / 60
    how = "about" if len(known) == len(under_way) else "at least"
    return f"{how} {requests:,} requests to go: {in_minutes(minutes)} of the whole limit"


def _lines(run: Run, over: threading.Event) -> None:
    told: set[str] = set()
    seconds = 0.0
    while True:
        ending = over.wait(1.0)
        seconds += 1.0
        for one in list(run.report.runs.values()):
            if one.resource not in told and one.status not in ("waiting", "reading"):
                told.add(one.resource)
                if one.passed_over:
                    continue
                log.info("%s", line(one))
        if ending:
            return
        if seconds >= LINE_EVERY:
            seconds = 0.0
            reading = [r for r in run.report.runs.values() if r.status == "reading"]
            names = ", ".join(f"{r.resource} ({r.read:,} rows)" for r in reading)
            if reading and not run.limiter.waiting:  # the limiter tells of that itself
                ahead = f"; {ahead}" if (ahead := to_go(run)) else ""
                left = run.limiter.left
                log.info("reading %s; %s requests left%s%s", names, left, spent(run), ahead)


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
