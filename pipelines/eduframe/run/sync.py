"""One run of the sync: recover, read, compare, load, tell.

:func:`sync` is what the command line calls, and what an orchestrator should call: checkpoints,
deletions and recovery happen here, around an ordinary dlt pipeline.
"""

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.eduframe.destinations.constraints import declare
from pipelines.eduframe.destinations.duckdb_file import holding_file
from pipelines.eduframe.destinations.upgrade import upgrade
from pipelines.eduframe.pipeline import cause_of, check_can_delete, duckdb_path, fit, is_a
from pipelines.eduframe.run.customer import identify
from pipelines.eduframe.run.load_packages import Loader
from pipelines.eduframe.run.lock import one_at_a_time
from pipelines.eduframe.run.plans import Context, come_after_the_last_run, heal, make_plans
from pipelines.eduframe.run.recovery import load_pending, recover, remember_loads
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.run.spill import Spool
from pipelines.eduframe.store.rejected_rows import resolve_rejected, set_aside
from pipelines.eduframe.store.run_log import LOG_TABLES
from pipelines.eduframe.store.seen_keys import forget_seen
from pipelines.eduframe.store.state import source_state, stored_positions
from sources.eduframe.dataset.stored import StoredRows
from sources.eduframe.declare import Endpoint
from sources.eduframe.errors import (
    EduframeError,
)
from sources.eduframe.http.client import Client
from sources.eduframe.http.limiter import Limiter
from sources.eduframe.http.limiter_file import WindowFile, window_name
from sources.eduframe.reading.batch import Batch, ResourceRun
from sources.eduframe.reading.gathering import gather_parents
from sources.eduframe.reading.parents import ParentBook, owner_table
from sources.eduframe.reading.read import Plan, now_utc
from sources.eduframe.reading.reader import Reader
from sources.eduframe.rows.tables import ALL_TABLES
from sources.eduframe.settings import (
    Settings,
    names,
    policies,
    resolve,
    select,
)
from sources.eduframe.version import version

log = logging.getLogger("eduframe.sync")

LOAD_RETRY_SECONDS = 3.0


class Run:
    """The state of one run, for whoever watches it: the progress view, a signal handler."""

    def __init__(self, report: Report, limiter: Limiter) -> None:
        self.report = report
        self.limiter = limiter
        self.hurry = threading.Event()

    def stop(self, why: str, *, hurry: bool = False) -> None:
        """End at the next page; what was read is loaded.

        In a ``hurry`` there is no waiting for a destination that does not take it: that is read
        again by the next run.
        """
        self.report.stopped = self.report.stopped or why
        if hurry:
            self.hurry.set()
        self.limiter.stop.set()
        self.limiter.wake()


def sync(
    pipeline: Any,
    resources: Sequence[str] = (),
    *,
    settings: Settings | None = None,
    reconcile: bool = False,
    refresh: bool = False,
    allow_mass_delete: Sequence[str] = (),
    max_minutes: float | None = None,
    watch: Callable[[Run], None] | None = None,
) -> Report:
    """Bring the pipeline's dataset up to date with the API.

    Args:
        pipeline: a dlt pipeline with a destination and a dataset.
        resources: only these; all that are on otherwise.
        reconcile: compare by content, and find deletions, whenever that was last done. Without
            ``resources``, lists under a parent keep their own rhythm.
        refresh: read completely, and write every row again, changed or not.
        allow_mass_delete: resources that may lose any number of rows this once.
        max_minutes: stop reading after so long, and load what was read.
        watch: is given the run before it starts.

    Raises:
        SettingsError: a setting or a resource's name is wrong, or nothing can be deleted there.
        LockedError: another run into this dataset is going on.
        AuthenticationError: the token is not accepted (found before anything was read).
        OtherCustomerError: the dataset holds the data of another customer.
        UnreachableError: there is no connection to the API.
    """
    check_can_delete(pipeline)
    settings = settings or resolve()
    selection = select(settings, resources)
    found = policies(settings, allow_mass_delete)
    notes = []
    fit(pipeline)
    if is_a(pipeline, "postgres"):
        from pipelines.eduframe.destinations.postgres_copy import copies

        if not copies():
            notes.append(
                "rows go to Postgres as INSERT statements, several times slower than by COPY: "
                "pip install 'eduframe-sync[postgres]' brings the driver for that"
            )
    report = Report(
        run_id=uuid.uuid4().hex,
        started_at=now_utc(),
        destination=pipeline.destination.destination_name,
        dataset=pipeline.dataset_name,
        version=version(),
        runs={e.table: ResourceRun(e.table) for e in selection.on},
        off=selection.off,
        notes=notes,
        began=time.monotonic(),
    )
    limiter = Limiter(settings.requests_per_window, settings.window_seconds)
    run = Run(report, limiter)
    if watch:
        watch(run)
    timer = None
    if max_minutes is not None:
        timer = threading.Timer(
            max_minutes * 60, run.stop, [f"the {max_minutes:g} minutes are used up"]
        )
        timer.daemon = True
        timer.start()
    try:
        with (
            one_at_a_time(pipeline),
            shared_window(pipeline, settings, limiter),
            Client(
                settings.base_url, settings.api_token, limiter, connections=settings.threads * 6
            ) as client,
        ):
            _Sync(pipeline, settings, selection.on, found, client, run).run(
                forced=reconcile, named=bool(resources), refresh=refresh
            )
    finally:
        if timer:
            timer.cancel()
    return report


@contextmanager
def shared_window(pipeline: Any, settings: Settings, limiter: Limiter) -> Iterator[None]:
    """Let the limiter know of the requests of the last run, and the next run of this one's."""
    name = window_name(settings.base_url, settings.api_token)
    journal = WindowFile(Path(pipeline.pipelines_dir) / name, settings.window_seconds)
    ages = journal.open(without_memory=settings.requests_per_window // 2)
    limiter.remember(ages, journal.pause_left)
    if journal.pause_left:
        log.warning("the API asked the last run to wait: %.0f s are left", journal.pause_left)
    limiter.journal = journal
    try:
        yield
    finally:
        journal.close()


class _Sync:
    def __init__(
        self,
        pipeline: Any,
        settings: Settings,
        endpoints: Sequence[Endpoint],
        found: dict[str, Any],
        client: Client,
        run: Run,
    ) -> None:
        self.pipeline = pipeline
        self.file = duckdb_path(pipeline)
        self.settings = settings
        self.endpoints = endpoints
        self.policies = found
        self.client = client
        self.control = run
        self.report = run.report
        self.object_types = names("custom_object_types", settings.custom_object_types)
        self.book = ParentBook(endpoints)
        self.held_parents: dict[str, list[Any]] = {}
        self.batches: queue.Queue[Batch | None] = queue.Queue()
        self.spool = Spool(Path(pipeline.working_dir))

    def run(self, **how: bool) -> None:
        report = self.report
        with self._writing():
            report.notes += recover(self.pipeline)
        state = source_state(self.pipeline)
        customer, answer = identify(self.client, report, state.get("customer"))
        with self._writing():
            plans, missing = self._plan(state.get("resources", {}), **how)
            heal(self.pipeline, missing)
        loader = Loader(self.pipeline, report.run_id, report.started_at, self.policies, customer)
        loader.create(missing)
        self._read_and_load(plans, answer, loader)
        report.pieces = loader.pieces
        with self._writing():
            report.notes += declare(self.pipeline)

    def _writing(self, *, sparing: bool = False) -> AbstractContextManager[None]:
        """While the destination's file is ours; it is free whenever we wait for the API."""
        seconds = self.settings.lock_wait_seconds
        return holding_file(self.file, seconds, sparing=sparing, hurry=self.control.hurry)

    def _plan(
        self, state: dict[str, Any], **how: bool
    ) -> tuple[dict[str, Plan], set[str]]:
        """How each list is read, and the tables that the destination lacks."""
        report = self.report
        wanted = {*ALL_TABLES, *(table.name for table in LOG_TABLES)}
        with StoredRows(self.pipeline) as stored:
            come_after_the_last_run(stored, report)
            existing = stored.existing(wanted)
            report.notes += upgrade(self.pipeline, stored, existing)
            context = Context(
                self.settings, self.policies, self.client, report, state, existing
            )
            plans, self.held_parents = make_plans(
                stored, self.endpoints, context, **how
            )
        return plans, wanted - existing

    def _read_and_load(self, plans: dict[str, Plan], answer: Any, loader: Loader) -> None:
        report = self.report
        waiting_for = self._dependencies(plans)
        lock = threading.Lock()
        left = set(plans)
        pool = ThreadPoolExecutor(self.settings.threads, thread_name_prefix="read")

        def work(name: str) -> None:
            try:
                with self.client.slots.reading():
                    self._read(plans[name], answer if name == "educators" else None)
            except EduframeError as error:
                report.fatal = report.fatal or str(error)
                report.runs[name].status = "failed"
                report.runs[name].message = str(error)
                self.control.limiter.stop.set()
                self.control.limiter.wake()
            except Exception as error:
                log.error("%s: unexpected error: %s", name, error)
                log.debug("%s", name, exc_info=True)
                report.runs[name].status = "failed"
                report.runs[name].message = f"unexpected: {type(error).__name__}: {error}"
            finally:
                with lock:
                    self.book.end(name)
                    left.discard(name)
                    ready = [c for c, p in waiting_for.items() if p and not (p & left)]
                    for child in ready:
                        waiting_for[child] = set()
                        pool.submit(work, child)
                    if not left:
                        self.batches.put(None)

        first = [name for name, parents in waiting_for.items() if not parents]
        for name in sorted(first, key=lambda name: _turn(plans[name])):
            pool.submit(work, name)
        if not plans:
            self.batches.put(None)
        try:
            self._load_pieces(loader)
        finally:
            self.control.limiter.stop.set()
            self.control.limiter.wake()
            while left and self.batches.get() is not None:
                pass  # what comes is not loaded any more; the end comes last
            pool.shutdown(wait=True)

    def _dependencies(self, plans: dict[str, Plan]) -> dict[str, set[str]]:
        """For each list the lists that must be read before it: its parents', if they are read.

        An interrupted read goes on at once, with the parents that the destination holds.
        """
        return {
            name: set()
            if plan.resumed
            else {owner_table(p.table) for p in plan.endpoint.parents} & set(plans)
            for name, plan in plans.items()
        }

    def _read(self, plan: Plan, answer: Any) -> None:
        name = plan.endpoint.table
        run = self.report.runs[name]
        if self.control.limiter.stop.is_set():
            run.status = "stopped"
            return
        parents = (
            gather_parents(
                self.client, plan.endpoint, self.book, self.held_parents[name], self.object_types
            )
            if plan.endpoint.params
            else ()
        )
        reader = Reader(plan, self.client, run, self.book, parents, answer)
        for batch in reader.batches():
            self.batches.put(self.spool.keep(batch))

    def _load_pieces(self, loader: Loader) -> None:
        """Gather batches, and load a piece when it is time, while the reading goes on."""
        report, piece = self.report, []
        rows, opened = 0, time.monotonic()
        while True:
            deadline = opened + self.settings.piece_seconds
            try:
                batch = self.batches.get(timeout=max(0.05, min(1.0, deadline - time.monotonic())))
                if batch is None:
                    break
                piece.append(batch)
                rows += batch.rows + (len(batch.seen) if batch.seen is not None else 0)
            except queue.Empty:
                pass
            if piece and (rows >= self.settings.piece_rows or time.monotonic() >= deadline):
                self._load(loader, piece)
                piece, rows, opened = [], 0, time.monotonic()
            elif not piece:
                opened = time.monotonic()
        report.ended_at = max(now_utc(), report.started_at)
        report.seconds = time.monotonic() - report.began
        for run in report.runs.values():
            if run.status == "waiting":
                run.status = "stopped"
        self._load(loader, piece)
        self._clean_up()

    def _load(self, loader: Loader, piece: list[Batch]) -> None:
        """Load a piece; where the destination fails, try the pending package for a while more."""
        deadline = time.monotonic() + self.settings.lock_wait_seconds
        failure: PipelineStepFailed | None = None
        while True:
            try:
                with self._writing(sparing=failure is None):
                    if failure:
                        load_pending(self.pipeline)
                    else:
                        remember_loads(self.pipeline)
                        loader.load(piece, [self.report.run_row()], self.report.resource_rows())
            except PipelineStepFailed as error:
                failure = error
                late = time.monotonic() >= deadline or self.control.hurry.is_set()
                if late or error.step == "extract":
                    raise LoadFailedError(
                        f"The destination does not take the data: {cause_of(error)}. Nothing is "
                        "lost: the next run goes on from what was loaded."
                    ) from error
                log.warning("loading failed, and is tried again: %s", cause_of(error))
                time.sleep(LOAD_RETRY_SECONDS)
            else:
                break
        if failure:
            self.report.notes.append(f"a load failed and was tried again: {cause_of(failure)}")

    def _clean_up(self) -> None:
        """Forget the keys of reads that are over, and settle rows that were set aside."""
        report = self.report
        state = stored_positions(self.pipeline)
        lasting = [s["unfinished"]["id"] for s in state.values() if s.get("unfinished")]
        lasting += [s["missed"] for s in state.values() if s.get("missed")]
        with self._writing(), StoredRows(self.pipeline) as stored:
            forget_seen(stored, lasting)
            for resource in set_aside(stored):
                run = report.runs.get(resource)
                if run and run.settled:
                    resolve_rejected(stored, resource, run.settled, report.started_at)


class LoadFailedError(EduframeError):
    """The destination did not take a load package."""


def _turn(plan: Plan) -> tuple[bool, str, int]:
    """The order of reading: interrupted reads, then what was read longest ago, then the longest.

    So that runs that are always cut short still come round to every list.
    """
    return not plan.resumed, plan.position.began or "", -len(plan.known)
