"""One run of the sync: recover, read, compare, load, tell.

:func:`sync` is what the command line calls, and what an orchestrator should call: checkpoints,
deletions and recovery happen here, around an ordinary dlt pipeline.
"""

import logging
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.eduframe.destinations.duckdb_file import holding_file
from pipelines.eduframe.destinations.local_place import make_folder
from pipelines.eduframe.destinations.lock import StillHeld, one_at_a_time
from pipelines.eduframe.destinations.postgres.locks import telling_of_locks
from pipelines.eduframe.destinations.postgres.room import make_room
from pipelines.eduframe.destinations.tables.constraints import declare_constraints
from pipelines.eduframe.destinations.tables.fit import StoredTable, look
from pipelines.eduframe.destinations.tables.mending import Mended, mend_tables
from pipelines.eduframe.destinations.tables.schema_upgrade import lists_of, upgrade
from pipelines.eduframe.dlt_settings import dlt_settings
from pipelines.eduframe.failures import cause_of, naming
from pipelines.eduframe.pipeline import (
    about_destination,
    check_address,
    check_can_delete,
    check_dataset,
    duckdb_path,
    usage_of,
    use_own_destination,
)
from pipelines.eduframe.place.target import target_of
from pipelines.eduframe.place.working_folder import own_folder_note
from pipelines.eduframe.run.booking import book
from pipelines.eduframe.run.cleaning_up import clean_up
from pipelines.eduframe.run.control import Run, stopping_after
from pipelines.eduframe.run.package_contents import Loader
from pipelines.eduframe.run.package_splitting import Batches, load, split
from pipelines.eduframe.run.parts import Budgeted, plan_parts, tell_beforehand
from pipelines.eduframe.run.pending_packages import recover
from pipelines.eduframe.run.plans import Context, come_after_the_last_run, make_plans
from pipelines.eduframe.run.report import Report, new_report
from pipelines.eduframe.run.scheduler import Scheduler
from pipelines.eduframe.run.spending import begin_spending
from pipelines.eduframe.store.recent_runs import past_runs, recall_window
from pipelines.eduframe.store.relations import news_of_relations
from pipelines.eduframe.store.run_log import LOG_TABLES, SYNC_RUNS
from pipelines.eduframe.store.state import (
    come_after_stored_loads,
    source_state,
    stored_positions,
)
from pipelines.eduframe.store.versions import check_version
from pipelines.eduframe.views.keeping import check_no_views, keep_views, views_dataset
from sources.eduframe.clock import now_utc
from sources.eduframe.comparing.reader import Reader
from sources.eduframe.comparing.spill_files import SpillFiles
from sources.eduframe.dataset.customer import customer_by_rows, identify
from sources.eduframe.dataset.dlt_defaults import install_defaults
from sources.eduframe.dataset.dropped import make_dropped_tables
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import IDENTITY
from sources.eduframe.errors import (
    EduframeError,
    LockedTableError,
    SettingsError,
)
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.client import Bounds, Client
from sources.eduframe.limits.rate_limiter import Limiter, share_window
from sources.eduframe.reading.batch import Batch, ResourceRun
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.parts import Parts
from sources.eduframe.reading.read import Plan, WholeList
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.tables import ALL_TABLES, MAIN_TABLES
from sources.eduframe.settings import (
    Settings,
    check_budget,
    policies,
    resolve,
    select,
)

log = logging.getLogger("eduframe.sync")


def sync(
    pipeline: Any,
    resources: Sequence[str] = (),
    *,
    settings: Settings | None = None,
    reconcile: bool = False,
    refresh: bool = False,
    allow_mass_delete: Sequence[str] = (),
    max_minutes: float | None = None,
    budget: str | None = None,
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
        budget: what this run may spend, in place of the setting: a share of the request limit
            (``50%``), a number of requests, or ``all``. Without it, ``resources``, ``reconcile``
            and ``refresh`` are read whole, whatever that costs.
        watch: is given the run before it starts.

    Raises:
        SettingsError: a setting or a resource's name is wrong, or nothing can be deleted there.
        LockedError: another run into this dataset is going on.
        AuthenticationError: the token is not accepted (found before anything was read).
        RightsError: the role may not create what the sync needs.
        OtherCustomerError: the dataset holds the data of another customer.
        OlderVersionError: the dataset was written by a newer version.
        LockLostError: the lock in the database was lost on the way.
        UnreachableError: there is no connection to the API.
    """
    install_defaults()
    dlt_settings(pipeline.pipeline_name)
    check_can_delete(pipeline)
    if budget is not None:
        check_budget(budget)
    if pipeline.refresh:
        raise SettingsError(
            f"The pipeline was made with refresh={pipeline.refresh!r}, but sync() drops nothing. "
            "Make it without, and use sync(…, refresh=True), which writes every row again."
        )
    settings = settings or resolve()
    selection = select(settings, resources)
    chosen = policies(settings, allow_mass_delete)
    use_own_destination(pipeline)
    check_dataset(pipeline)
    make_folder(pipeline, settings.permissions)
    check_address(pipeline)
    report = new_report(pipeline, selection, now_utc())
    before = usage_of(pipeline)
    report.usage = lambda: usage_of(pipeline).since(before)
    report.notes += [*about_destination(pipeline), *own_folder_note(pipeline)]
    limiter = Limiter(settings.requests_per_window, settings.window_seconds)
    run = Run(report, limiter)
    if watch:
        watch(run)
    with (
        naming(Path(pipeline.working_dir)),
        stopping_after(max_minutes, run),
        one_at_a_time(pipeline) as still_held,
        Client(
            settings.base_url,
            settings.api_token,
            limiter,
            connections=settings.threads * 6,
            bounds=Bounds.of(settings),
        ) as client,
    ):
        share_window(
            limiter, settings.base_url, settings.api_token, settings.request_seconds,
            program=f"{target_of(pipeline).number}.{report.run_id}",
        )
        make_room(pipeline, views_dataset(target_of(pipeline).dataset, settings.views))
        work = _Sync(pipeline, settings, selection.on, chosen, client, run, still_held)
        try:
            with telling_of_locks(pipeline):
                work.run(
                    forced=reconcile, named=bool(resources), refresh=refresh, budget=budget
                )
        except LockedTableError as locked:
            run.stop(str(locked))
            report.end()
    return report


class _Sync:
    def __init__(
        self,
        pipeline: Any,
        settings: Settings,
        endpoints: Sequence[Endpoint],
        policies: Mapping[str, Policy],
        client: Client,
        run: Run,
        still_held: StillHeld,
    ) -> None:
        self.pipeline = pipeline
        self.file = duckdb_path(pipeline)
        self.settings = settings
        self.endpoints = endpoints
        self.policies = policies
        self.client = client
        self.control = run
        self.still_held = still_held
        self.report = run.report
        self.book = ParentBook(endpoints)
        self.batches: Batches = queue.Queue()
        self.spill = SpillFiles(Path(pipeline.working_dir))
        self.stored = StoredRows(pipeline)
        self.first_answer: Answer | None = None
        self.anew: set[str] = set()
        """The lists of which every row is to be written again, as their tables were mended."""
        self.budgeted: Budgeted | None = None
        self.taken_over: list[str] = []
        """Runs that were cut off, whose requests this one books, as the file of the window names
        them."""
        self.relations: pa.Table | None = None
        """What is to be written of ``_relations``."""

    def run(self, *, budget: str | None, **how: bool) -> None:
        report = self.report
        with self._writing():
            report.notes += (recovered := recover(self.pipeline))
            with self.stored as stored:
                check_version(self.pipeline, stored)
                come_after_stored_loads(stored)
                stored_customer = source_state(self.pipeline).get("customer")
                if stored_customer is None:
                    check_no_views(stored)
                    stored_customer = customer_by_rows(stored, self.client)
        run = report.runs.get("educators")
        customer, self.first_answer = identify(
            self.client, report.dataset, stored_customer,
            run.traffic if run else report.identity, report.notes.append,
        )
        if run and self.first_answer:
            run.pages = 0
        with self._writing():
            plans, missing = self._plan(budget, **how)
            if dropped := make_dropped_tables(self.pipeline, missing):
                report.notes.append(
                    f"tables that were dropped are made anew, and filled as their lists are "
                    f"read: {', '.join(dropped)}"
                )
        loader = Loader(self.stored, report.run_id, report.started_at, self.policies, customer)
        loader.create(missing)
        loader.also = self._booked
        loader.tell_relations(self.relations)
        self._remember_refresh(plans, loader)
        self._read_and_load(plans, loader)
        report.notes += self.client.notes
        report.packages = loader.packages
        with self._writing():
            report.notes += declare_constraints(self.stored)
            report.notes += keep_views(
                self.stored,
                self.settings,
                news=bool(recovered) or report.total("new") + report.total("changed") > 0,
                first=SYNC_RUNS.name in missing,
            )
            clean_up(self.pipeline, self.stored, report, relations=self.relations is not None)

    def _remember_refresh(self, plans: Mapping[str, Plan], loader: Loader) -> None:
        """Let the destination know at once of a refresh, also of lists that are not begun, or not
        of this run."""
        known = stored_positions(self.pipeline)
        positions = {name: plan.position for name, plan in plans.items()}
        for name in self.anew - {*plans}:
            positions[name] = Position.load(known.get(name, {}))
            positions[name].refresh = positions[name].refresh or self.report.started_at.isoformat()
        asked = [
            Batch(name, position)
            for name, position in positions.items()
            if position.refresh and not known.get(name, {}).get("refresh")
        ]
        if asked:
            load(loader, asked, self.report, self.settings, self._writing, self.control.hurry)

    @contextmanager
    def _writing(self, *, sparing: bool = False) -> Iterator[None]:
        """While the destination is ours. Its file is free whenever we wait for the API.

        Raises:
            LockLostError: it is ours no more.
        """
        self.still_held()
        seconds = self.settings.lock_wait_seconds
        with holding_file(
            self.file,
            seconds,
            mode=self.settings.permissions,
            sparing=sparing,
            hurry=self.control.hurry,
        ):
            yield

    def _plan(self, budget: str | None, **how: bool) -> tuple[dict[str, Plan], set[str]]:
        """How each list is read, and the tables that the destination lacks."""
        report = self.report
        wanted = {*ALL_TABLES, *(table.name for table in LOG_TABLES)}
        with self.stored as stored:
            tables = look(self.pipeline, stored)
            existing = {*tables}
            self.anew = self._mend(stored, tables, refresh=how["refresh"]).anew
            self.anew |= {
                owner
                for name in ALL_TABLES.keys() - MAIN_TABLES.keys() - existing
                for owner in lists_of(ALL_TABLES[name])
                if owner in existing
            }
            past = past_runs(stored)
            recall_window(past, self.client.limiter, now_utc())
            come_after_the_last_run(stored, past, report)
            report.notes += upgrade(self.pipeline, stored, existing)
            self.relations = news_of_relations(stored)
            context = Context(
                self.settings, self.policies, self.client, report,
                stored_positions(self.pipeline), existing, self.anew,
            )
            usable = [e for e in self.endpoints if e.table not in report.unloaded]
            plans = make_plans(stored, usable, context, self.book, **how)
            unbooked = self.client.limiter.unbooked()
            self.taken_over = [*unbooked]
            spending = begin_spending(
                past, self.settings, report, budget=budget, bounded=not any(how.values()),
                unbooked={who.rpartition(".")[2]: sent for who, sent in unbooked.items()},
            )
            self.budgeted = plan_parts(plans, stored, spending)
            tell_beforehand(plans, self.budgeted, spending, self.settings)
        return plans, wanted - existing

    def _booked(self) -> Mapping[str, pa.Table]:
        """What the last package says of the reads of parts."""
        if self.budgeted is None or self.report.ended_at is None:
            return {}
        return book(self.budgeted, self.report)

    def _mend(
        self, stored: StoredRows, tables: Mapping[str, StoredTable], *, refresh: bool
    ) -> Mended:
        """Mend tables that somebody changed; the lists of what cannot be mended fail."""
        names = [endpoint.table for endpoint in self.endpoints]
        mended = mend_tables(self.pipeline, stored, tables, names if refresh else ())
        self.report.notes += mended.notes
        for endpoint in self.endpoints:
            parents = {parent.table for parent in endpoint.parents} & mended.unreliable
            if why := mended.blocked.get(endpoint.table):
                self.report.fail(endpoint.table, why)
            elif parents:
                self.report.fail(
                    endpoint.table, f"it is read under the rows of {', '.join(parents)}, whose key "
                    "was changed"
                )
        return mended

    def _read_and_load(self, plans: Mapping[str, Plan], loader: Loader) -> None:
        scheduler = Scheduler(
            plans, self._read, lambda: self.batches.put(None), self.settings.threads
        )
        scheduler.start()
        try:
            self._load_all(loader)
        finally:
            self.control.end_reading()
            scheduler.close()
            self.report.waited = self.control.limiter.waited_total

    def _read(self, plan: Plan) -> None:
        """Read one list. What goes wrong with it ends up in its record."""
        name = plan.endpoint.table
        run = self.report.runs[name]
        try:
            with self.client.slots.reading():
                if self.control.limiter.stop.is_set():
                    run.status = "stopped"
                    return
                if isinstance(plan.read, WholeList) and plan.endpoint.path == IDENTITY:
                    plan.read.first_answer = self.first_answer
                for batch in Reader(plan, self.client, run, self.book).batches():
                    if name in self.report.unloaded:
                        break
                    self.batches.put(self.spill.keep(batch))
        except EduframeError as error:
            self._end(run, error)
        except MemoryError:
            run.status, run.message = "failed", "there is no memory for its rows"
            log.error("%s: %s", name, run.message)
        except Exception as error:
            said = self.client.shown(cause_of(error, Path(self.pipeline.working_dir)))
            log.error("%s: unexpected error: %s", name, said)
            log.debug("%s", name, exc_info=True)
            run.status, run.message = "failed", f"unexpected: {said}"
        finally:
            self.book.end(name)
            nothing = isinstance(plan.read, Parts) and not run.traffic.requests
            run.passed_over = nothing and run.status == "done"

    def _end(self, run: ResourceRun, error: EduframeError) -> None:
        """Something is wrong that concerns every list."""
        self.report.fatal = self.report.fatal or str(error)
        run.status, run.message = "failed", str(error)
        self.control.end_reading()

    def _load_all(self, loader: Loader) -> None:
        """Load package after package while the reading goes on."""
        settings, report = self.settings, self.report
        packages = split(
            self.batches, settings.load_package_seconds, settings.load_package_rows
        )
        for package, last in packages:
            if last:
                report.end()
            load(loader, package, report, settings, self._writing, self.control.hurry)
            self._tell_booked(all_of_mine=last)

    def _tell_booked(self, *, all_of_mine: bool) -> None:
        """What a package said of the account is loaded."""
        limiter = self.client.limiter
        booked, self.taken_over = self.taken_over, []
        if all_of_mine and limiter.journal:
            booked.append(limiter.journal.me)
        if booked:
            limiter.book(booked)
