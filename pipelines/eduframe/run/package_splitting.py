"""How a load is split into packages: a package spans all lists that are being read, and is closed
after so many seconds or rows. The next one is read while it is loaded.

A package costs 0.1 to 0.9 s: much smaller ones cost more than they save.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.eduframe.failures import cause_of
from pipelines.eduframe.run.package_contents import Loader
from pipelines.eduframe.run.pending_packages import load_pending, remember_loads
from pipelines.eduframe.run.refused_tables import lists_of, refusal
from pipelines.eduframe.run.report import Report
from sources.eduframe.errors import LoadFailedError
from sources.eduframe.reading.batch import Batch
from sources.eduframe.settings import Settings

log = logging.getLogger("eduframe.load")

LOAD_RETRY_SECONDS = 3.0

Batches = queue.Queue[Batch | None]
"""The batches of all lists as they are read; None when all lists have ended."""


def split(batches: Batches, seconds: float, rows: int) -> Iterator[tuple[list[Batch], bool]]:
    """The batches, package by package, and whether it is the last, when all lists have ended.

    A package that is due while nothing comes is given at once. The last may be empty.
    """
    package: list[Batch] = []
    count, opened = 0, time.monotonic()
    while True:
        deadline = opened + seconds
        try:
            batch = batches.get(timeout=max(0.05, min(1.0, deadline - time.monotonic())))
            if batch is None:
                break
            package.append(batch)
            count += batch.rows + (len(batch.seen) if batch.seen is not None else 0)
        except queue.Empty:
            pass
        if package and (count >= rows or time.monotonic() >= deadline):
            yield package, False
            package, count, opened = [], 0, time.monotonic()
        elif not package:
            opened = time.monotonic()
    yield package, True


def load(
    loader: Loader,
    package: list[Batch],
    report: Report,
    settings: Settings,
    writing: Callable[..., AbstractContextManager[None]],
    hurry: threading.Event,
) -> None:
    """Load a package; where the destination fails, try the pending one for a while more.

    Where it refuses one table, the lists of that table fail, and the others are loaded.

    Args:
        writing: a context in which the destination is ours to write.
        hurry: set once there is no time left to try again.

    Raises:
        LoadFailedError: the destination does not take it.
    """
    deadline = time.monotonic() + settings.lock_wait_seconds
    folder = Path(loader.pipeline.working_dir)
    failure: PipelineStepFailed | None = None
    while True:
        package = [batch for batch in package if batch.resource not in report.unloaded]
        try:
            with writing(sparing=failure is None):
                if failure:
                    load_pending(loader.pipeline)
                else:
                    remember_loads(loader.stored)
                    loader.load(package, [report.run_row()], report.resource_rows())
        except PipelineStepFailed as error:
            found = refusal(loader.pipeline, error)
            late = time.monotonic() >= deadline or hurry.is_set()
            waiting = found is not None and found.locked and not late and not report.stopped
            if found and not waiting and (lists := lists_of(found.table, package)):
                report.fail_to_load(lists, found.table, found.why, found.helps)
                failure = None
                with writing():
                    loader.give_up()
                continue
            failure = error
            if late or error.step == "extract":
                helps = f" {found.helps}" if found else ""
                raise LoadFailedError(
                    f"The destination does not take the data: {cause_of(error, folder)}. Nothing "
                    f"is lost: the next run goes on from what was loaded.{helps}"
                ) from error
            why = found.why if found else cause_of(error, folder)
            log.warning("loading failed, and is tried again: %s", why)
            time.sleep(LOAD_RETRY_SECONDS)
        else:
            break
    if failure:
        report.notes.append(f"a load failed and was tried again: {cause_of(failure, folder)}")
