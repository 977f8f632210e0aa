"""One run of the sync: recover, read, compare, load, tell.

:func:`sync` is what the command line calls, and what an orchestrator should call: checkpoints,
deletions and recovery happen here, around an ordinary dlt pipeline.
"""

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.duckdb_file import wait_for_file
from pipelines.lock import one_at_a_time
from pipelines.pieces import ALL_TABLES, Loader
from pipelines.pipeline import first_line
from pipelines.recovery import load_pending, recover
from pipelines.report import Report
from pipelines.runlog import LOG_TABLES
from sources.eduframe.batch import Batch, ResourceRun
from sources.eduframe.client import Answer, Client
from sources.eduframe.declare import Endpoint
from sources.eduframe.errors import (
    AuthenticationError,
    EduframeError,
    OtherCustomerError,
    ReadFailedError,
    ResourceOffError,
    StoppedError,
    UnreachableError,
)
from sources.eduframe.hashing import hash_text
from sources.eduframe.known import Ids
from sources.eduframe.limiter import Limiter
from sources.eduframe.memory import Memory
from sources.eduframe.parents import ParentBook, column_names, owner_table
from sources.eduframe.plan import Plan, Position, choose_mode, now_utc, parse
from sources.eduframe.reader import Reader
from sources.eduframe.settings import (
    Settings,
    duration,
    names,
    policies,
    resolve,
    select,
)
from sources.eduframe.source import gather_parents
from sources.eduframe.tables import CHILD_TABLES, MAIN_TABLES
from sources.eduframe.version import version
from sources.eduframe.window import WindowFile

log = logging.getLogger("eduframe.sync")

QUEUED_BATCHES = 40
LOAD_RETRY_SECONDS = 3.0
IDENTITY = "/educators/current"


class Run:
    """The state of one run, for whoever watches it: the progress view, a signal handler."""

    def __init__(self, report: Report, limiter: Limiter) -> None:
        self.report = report
        self.limiter = limiter

    def stop(self, why: str) -> None:
        """End at the next page; what was read is loaded."""
        self.report.stopped = self.report.stopped or why
        self.limiter.stop.set()
        self.limiter.wake()


def sync(
    pipeline: Any,
    resources: Sequence[str] = (),
    *,
    settings: Settings | None = None,
    reconcile: bool = False,
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
        allow_mass_delete: resources that may lose any number of rows this once.
        max_minutes: stop reading after so long, and load what was read.
        watch: is given the run before it starts.

    Raises:
        SettingsError: a setting or a resource's name is wrong.
        LockedError: another run into this dataset is going on.
        AuthenticationError: the token is not accepted (found before anything was read).
        OtherCustomerError: the dataset holds the data of another customer.
        UnreachableError: there is no connection to the API.
    """
    settings = settings or resolve()
    selection = select(settings, resources)
    found = policies(settings, allow_mass_delete)
    report = Report(
        run_id=uuid.uuid4().hex,
        started_at=now_utc(),
        destination=pipeline.destination.destination_name,
        dataset=pipeline.dataset_name,
        version=version(),
        runs={e.table: ResourceRun(e.table) for e in selection.on},
        off=selection.off,
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
                forced=reconcile, named=bool(resources)
            )
    finally:
        if timer:
            timer.cancel()
    return report


@contextmanager
def shared_window(pipeline: Any, settings: Settings, limiter: Limiter) -> Iterator[None]:
    """Let the limiter know of the requests of the last run, and the next run of this one's."""
    host = urlsplit(settings.base_url).netloc
    name = f"window.{hash_text(f'{host} {settings.api_token}'):x}.log"
    journal = WindowFile(Path(pipeline.pipelines_dir) / name, settings.window_seconds)
    limiter.remember(journal.open(without_memory=settings.requests_per_window // 2))
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
        self.settings = settings
        self.endpoints = endpoints
        self.policies = found
        self.client = client
        self.control = run
        self.report = run.report
        self.object_types = names("custom_object_types", settings.custom_object_types)
        self.book = ParentBook(endpoints)
        self.held_parents: dict[str, list[Any]] = {}
        self.batches: queue.Queue[Batch | None] = queue.Queue(QUEUED_BATCHES)

    def run(self, *, forced: bool, named: bool) -> None:
        report = self.report
        wait_for_file(self.pipeline, self.settings.lock_wait_seconds)
        report.notes += recover(self.pipeline)
        state = self.pipeline.state.get("sources", {}).get("eduframe", {})
        customer, answer = self._identify(state.get("customer"))
        self._after_the_last_run()
        loader = Loader(
            self.pipeline, report.run_id, report.started_at, self.policies, customer
        )
        with Memory(self.pipeline) as memory:
            existing = memory.existing([*ALL_TABLES, *(t.name for t in LOG_TABLES)])
            plans = self._plan(memory, existing, state.get("resources", {}), forced, named)
        missing = {*ALL_TABLES, *(t.name for t in LOG_TABLES)} - existing
        loader.create(missing)
        heal(self.pipeline, missing)
        self._read_and_load(plans, answer, loader)
        report.pieces = loader.pieces

    # ---- before reading

    def _identify(self, stored: dict[str, Any] | None) -> tuple[dict[str, Any] | None, Any]:
        """Whose data the token reads, and that the dataset is theirs, before a row is read."""
        host = urlsplit(self.client.base_url).hostname
        run = self.report.runs.get("educators")
        traffic = run.traffic if run else self.report.identity
        answer: Answer | None = None
        try:
            answer = self.client.get(IDENTITY, expect="object", traffic=traffic)
        except (ReadFailedError, ResourceOffError) as error:
            self._give_up_if_unreachable(error)
            self.report.notes.append(f"whose data this is cannot be told: {IDENTITY}: {error}")
        except StoppedError:
            return stored, None
        if run and answer:
            run.pages = 0
        educator = answer.data.get("id") if answer else (stored or {}).get("educator_id")
        if stored and (stored.get("educator_id"), stored.get("host")) != (educator, host):
            raise OtherCustomerError(
                f"The dataset {self.report.dataset} holds the data of educator "
                f"{stored.get('educator_id')} at {stored.get('host')}, but the token reads "
                f"educator {educator} at {host}. Nothing was read. Use another dataset "
                "(--dataset), or the token of that educator."
            )
        if educator is None:
            return stored, answer
        return {"educator_id": educator, "host": host}, answer

    def _give_up_if_unreachable(self, error: EduframeError) -> None:
        cause = error.__cause__.__cause__ if error.__cause__ else None
        if isinstance(cause, httpx.TransportError):
            raise UnreachableError(
                f"Cannot reach {urlsplit(self.client.base_url).netloc}: {cause}. Check the "
                "network, and base_url (SOURCES__EDUFRAME__BASE_URL)."
            ) from error

    def _after_the_last_run(self) -> None:
        """Runs are told apart, and ordered, by their start, even if the clock was set back."""
        with Memory(self.pipeline) as memory:
            table, column = memory.name("_sync_runs"), memory.column("started_at")
            status = memory.column("status")
            running = f"FROM {table} WHERE {status} = 'running'"
            if any(rows.num_rows for rows in memory.query(f"SELECT 1 {running} LIMIT 1")):
                memory.execute(
                    f"UPDATE {table} SET {status} = 'interrupted' WHERE {status} = 'running'"
                )
                self.report.notes.append("the last run did not come to its end")
            for rows in memory.query(f"SELECT MAX({column}) AS latest FROM {table}"):
                latest = rows.column(0).to_pylist()[0] if rows.num_rows else None
                if latest is not None and latest >= self.report.started_at:
                    self.report.started_at = latest + timedelta(microseconds=1)

    def _plan(
        self,
        memory: Memory,
        existing: set[str],
        state: dict[str, Any],
        forced: bool,
        named: bool,
    ) -> dict[str, Plan]:
        plans = {}
        for endpoint in self.endpoints:
            name = endpoint.table
            position = Position.load(state.get(name, {}))
            children = {t.name for t in CHILD_TABLES[name]}
            columns = {c: c for c in column_names(endpoint)} if endpoint.params else None
            known = memory.known(MAIN_TABLES[name], columns, whole=children <= existing)
            policy = self.policies[name]
            mode = choose_mode(
                endpoint,
                position,
                known,
                policy.reconcile_every,
                self.report.started_at,
                forced=forced and (named or not endpoint.params),
            )
            plan = Plan(
                endpoint, mode, position, known, policy, self.report.started_at,
                since=parse(position.cursor),
            )
            if position.missed:
                plan.missed_before = _together(memory.seen(name, position.missed))
            self._resume(plan, memory, forced)
            plans[name] = plan
            since = None if plan.mode == "reconcile" else parse(position.parents_until)
            self.held_parents[name] = [memory.parents(p, since) for p in endpoint.parents]
        return plans

    def _resume(self, plan: Plan, memory: Memory, forced: bool) -> None:
        """Go on with an interrupted read, if there is one that can still be gone on with."""
        unfinished, name = plan.position.unfinished, plan.endpoint.table
        if unfinished is None:
            return
        run = self.report.runs[name]
        began = parse(unfinished.began)
        oldest = now_utc() - duration("max_read_age", self.settings.max_read_age)
        seen = list(memory.seen(name, unfinished.id))
        at = unfinished.parent if plan.endpoint.params else unfinished.next_url
        if at is None or began is None:
            why = ""
        elif began < oldest:
            why = f"the interrupted read is older than {self.settings.max_read_age}"
        elif unfinished.mode != plan.mode and (forced or unfinished.mode != "reconcile"):
            why = "it is to be read in another way than the interrupted read"
        elif unfinished.next_url and not self.client.trusts(unfinished.next_url):
            why = "the interrupted read was of another address"
        elif unfinished.rows and not len(plan.known):
            why = "the table was emptied since"
        elif unfinished.mode == "reconcile" and unfinished.rows and not seen:
            why = "the keys of the interrupted read are lost"
        else:
            plan.mode, plan.resumed = unfinished.mode, True
            plan.unfinished = unfinished
            for ids in seen:
                plan.known.mark_seen(ids)
            run.notes.append(f"went on after {unfinished.rows} rows of an interrupted read")
            return
        if why:
            run.notes.append(f"reading starts anew: {why}")

    # ---- reading and loading

    def _read_and_load(self, plans: dict[str, Plan], answer: Any, loader: Loader) -> None:
        report = self.report
        waiting_for = self._dependencies(plans)
        lock = threading.Lock()
        left = set(plans)
        pool = ThreadPoolExecutor(self.settings.threads, thread_name_prefix="read")

        def work(name: str) -> None:
            try:
                self._read(plans[name], answer if name == "educators" else None)
            except EduframeError as error:
                report.fatal = report.fatal or str(error)
                report.runs[name].status = "failed"
                report.runs[name].message = str(error)
                self.control.limiter.stop.set()
                self.control.limiter.wake()
            except Exception as error:
                log.exception("%s: unexpected error", name)
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
            while left:
                try:
                    self.batches.get(timeout=0.1)
                except queue.Empty:
                    continue
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
            self.batches.put(batch)

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
        patience = self.settings.lock_wait_seconds
        deadline = time.monotonic() + patience
        wait_for_file(self.pipeline, patience)
        try:
            loader.load(piece, [self.report.run_row()], self.report.resource_rows())
            return
        except PipelineStepFailed as error:
            failure = error
        while True:
            log.warning("loading failed, and is tried again: %s", cause_of(failure))
            try:
                wait_for_file(self.pipeline, patience)
                load_pending(self.pipeline)
            except PipelineStepFailed as error:
                failure = error
            else:
                if not self.pipeline.has_pending_data and failure.step != "extract":
                    self.report.notes.append(
                        f"a load failed and was tried again: {cause_of(failure)}"
                    )
                    return
            if time.monotonic() >= deadline or failure.step == "extract":
                raise LoadFailed(
                    f"The destination does not take the data: {cause_of(failure)}. Nothing is "
                    "lost: the next run goes on from what was loaded."
                ) from failure
            time.sleep(LOAD_RETRY_SECONDS)

    def _clean_up(self) -> None:
        """Forget the keys of reads that are over, and settle rows that were set aside."""
        report = self.report
        state = self.pipeline.state.get("sources", {}).get("eduframe", {}).get("resources", {})
        lasting = [s["unfinished"]["id"] for s in state.values() if s.get("unfinished")]
        lasting += [s["missed"] for s in state.values() if s.get("missed")]
        reconciled = [
            run.resource
            for run in report.runs.values()
            if run.status == "done" and run.mode == "reconcile"
        ]
        wait_for_file(self.pipeline, self.settings.lock_wait_seconds)
        with Memory(self.pipeline) as memory:
            memory.forget_seen(lasting)
            memory.resolve_rejected(reconciled, report.run_id, report.started_at)


class LoadFailed(EduframeError):
    """The destination did not take a load package."""


def _turn(plan: Plan) -> tuple[bool, str, int]:
    """The order of reading: interrupted reads, then what was read longest ago, then the longest.

    So that runs that are always cut short still come round to every list.
    """
    return not plan.resumed, plan.position.began or "", -len(plan.known)


def _together(parts: Iterable[Ids]) -> Ids:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def cause_of(error: BaseException) -> str:
    """What lies at the bottom of dlt's error, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {first_line(error)}"


def heal(pipeline: Any, missing: Iterable[str]) -> None:
    """Make dlt create tables that were dropped by hand, which it believes to be there."""
    schema = pipeline.default_schema_name and pipeline.default_schema
    if not schema or not (set(missing) & set(schema.tables)):
        return
    with pipeline.destination_client() as client:
        if client.is_storage_initialized():
            client.update_stored_schema(force=True)


__all__ = ["AuthenticationError", "LoadFailed", "Run", "sync"]
