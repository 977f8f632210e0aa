"""One ``pipeline.run`` of the plain source: its lists read, compared, and given to dlt's resources.

There are no checkpoints and no deletions here. Every list is read whole, as the API gives no part
of it, and every row compared by content, which costs no request more. dlt may run resources in
threads of a pool that all share what the main thread knows of the pipeline, so the destination is
asked in a thread of its own.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from dlt.extract import DltSource

from sources.eduframe.clock import now_utc
from sources.eduframe.comparing.reader import Reader
from sources.eduframe.comparing.row_versions import later_wins
from sources.eduframe.comparing.spill_files import SpillFiles
from sources.eduframe.dataset.customer import customer_by_rows, identify
from sources.eduframe.dataset.dlt_classes import Failed, PageLimit, lists_failed
from sources.eduframe.dataset.dropped import make_dropped
from sources.eduframe.dataset.foreign_keys import let_go_of
from sources.eduframe.dataset.joining import with_stored
from sources.eduframe.dataset.memory import decide, tables_of
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import IDENTITY, filled_by
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.client import Client
from sources.eduframe.limits.traffic import Traffic
from sources.eduframe.reading.batch import Batch, ResourceRun
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import FirstPages, Plan, WholeList
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.reading.under_parents import UnderParents
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.tables import MAIN_TABLES, SHARED_TABLES

T = TypeVar("T")

log = logging.getLogger("eduframe.source")

TO_THE_END = ("done", "off")
"""How a read ends that did not fail."""


class PlainRun:
    """Reads lists within one extraction of a dlt source. Thread-safe.

    Raises:
        SettingsError: dlt cannot load our tables the way that is asked for.
        OtherCustomerError: the dataset holds the data of another educator or host.
        UnreachableError: it holds somebody's data, and there is no connection to the API.
        UnfitTableError: a table lacks a column that its rows cannot be without.
    """

    def __init__(
        self,
        pipeline: Any,
        source: DltSource,
        package: Mapping[str, Any],
        client: Client,
        endpoints: Sequence[Endpoint],
        object_types: tuple[str, ...],
        failed: Failed,
        *,
        raises: bool,
        before: "PlainRun | None",
        customer: dict[str, Any] | None,
    ) -> None:
        """``failed`` gets the lists that fail; if it ``raises``, the first of them ends the run.

        ``before`` is that of another part of the source in the same load package, into which dlt
        puts all sources of a run. ``customer`` is whose data the state tells of.
        """
        self.source = source
        self.failed = failed
        self._client = client
        self._endpoints = endpoints
        self._object_types = object_types
        self._raises = raises
        self.loaded: set[tuple[str, str]] = before.loaded if before else set()
        """Lists, each with one of its tables, that the load package has rows of."""
        self._now = now_utc()
        self._selected = {e.table for e in endpoints} & source.selected_resources.keys()
        self._loaded_before = frozenset(self.loaded)
        self._book = ParentBook(endpoints)
        self._stored = StoredRows(pipeline)
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="eduframe-destination")
        self.memory = self._asking.submit(decide, pipeline, source, endpoints, package).result()
        if not self.memory.readable:
            log.warning(
                "the destination %s cannot be asked what it holds: every row that is read is "
                "loaded, in this run and the next",
                pipeline.destination.destination_name,
            )
        self.first_answer: Answer | None = (
            before.first_answer if before else self._identify(pipeline, customer)
        )
        """That says whose data the token reads; None where it was not asked, or not told."""
        self._mended = self._ask(
            make_dropped, pipeline, self._stored, source.schema.name, source.resources
        )
        if dropped := [table["name"] for table in package.get("dropped_tables") or ()]:
            self._ask(self._let_go_of, dropped)
        self._left: dict[str, list[pa.Table]] = {}
        self._spill = SpillFiles()
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._ended: set[str] = set()

    def _identify(self, pipeline: Any, customer: dict[str, Any] | None) -> Answer | None:
        """Ask whose data the token reads, if the destination holds somebody's."""
        if customer is None and self.memory.readable:
            customer = self._ask(self._customer_by_rows)
        if customer is None:
            return None
        return identify(
            self._client, pipeline.dataset_name, customer, Traffic(), log.warning
        )[1]

    def _let_go_of(self, tables: list[str]) -> None:
        if self.memory.readable:
            with self._stored as stored:
                let_go_of(stored.client, tables)

    def _customer_by_rows(self) -> dict[str, Any] | None:
        with self._stored as stored:
            return customer_by_rows(stored, self._client)

    # ---- what the resources ask for

    def of_list(
        self, endpoint: Endpoint, state: Mapping[str, Any], limit: PageLimit | None
    ) -> Iterator[Batch | None]:
        """What must be written of a list: the last version of each row, main rows first.

        None, while it is being read. Rows of shared tables are left to their own resources.

        Raises:
            ListsFailedError: the list failed, and the run is to raise then, or would lose rows.
        """
        position: Position | None = None
        try:
            yield from self._wait_for(self._parent_lists(endpoint))
            if self._filled(endpoint):
                position = yield from self._read(endpoint, state, limit)
        finally:
            self._ended.add(endpoint.table)
        yield Batch(endpoint.table, None if limit else position)

    def of_shared_table(
        self, name: str, states: Callable[[str], Mapping[str, Any]], limit: PageLimit | None
    ) -> Iterator[pa.Table | None]:
        """The rows of a shared child table, once its owners' lists are read; None until then.

        Owners that are not selected are read for it, if none is, or if the table begins anew.
        """
        owners = self._owners(name)
        for endpoint in owners:
            with self._lock:
                mine = endpoint.table not in self._selected | self._taken
                self._taken.add(endpoint.table)
            if mine:
                for batch in self.of_list(endpoint, states(endpoint.table), limit):
                    if batch is None:
                        yield None
        yield from self._wait_for([endpoint.table for endpoint in owners])
        yield from self._left.get(name, ())

    def _owners(self, name: str) -> list[Endpoint]:
        owners = [e for e in self._endpoints if name in tables_of(e) & self._filled(e)]
        selected = [e for e in owners if e.table in self._selected]
        return owners if name in self.memory.emptied else selected or owners

    def _parent_lists(self, endpoint: Endpoint) -> set[str]:
        return {filled_by(parent.table).table for parent in endpoint.parents} & self._selected

    def _filled(self, endpoint: Endpoint) -> set[str]:
        """The tables of a list that this run fills."""
        tables = tables_of(endpoint) - self.memory.left_out
        return {name for name in tables if (endpoint.table, name) not in self._loaded_before}

    def _wait_for(self, lists: Collection[str]) -> Iterator[None]:
        while not self._ended.issuperset(lists):
            yield None

    # ---- reading

    def _read(
        self, endpoint: Endpoint, state: Mapping[str, Any], limit: PageLimit | None
    ) -> Generator[Batch | None, None, Position]:
        """Batches, and Nones in between; returns the position after them."""
        before = Position.load(dict(state))
        run = ResourceRun(endpoint.table)
        plan = self._ask(self._plan, endpoint, before)
        if limit is not None:
            began = time.monotonic()
            plan.read = FirstPages(
                plan.read, lambda pages, rows: limit.reached(pages, rows, time.monotonic() - began)
            )
        parts: list[Mapping[str, pa.Table]] = []
        after: Position | None = None
        with closing(Reader(plan, self._client, run, self._book).batches()) as batches:
            for batch in batches:
                after = batch.position
                parts.append(self._keep(batch).tables)
                yield None
        self._judge(endpoint, run, plan.index)
        left = later_wins(MAIN_TABLES[endpoint.table], parts)
        for name in sorted(left.keys() & self._filled(endpoint), key=_main_first(endpoint)):
            self.loaded.add((endpoint.table, name))
            for rows in map(self._living(name), left[name]):
                if name in SHARED_TABLES:
                    self._left.setdefault(name, []).append(rows)
                else:
                    yield Batch(endpoint.table, None, {name: rows})
        return self._position(endpoint, before, after, run)

    def _living(self, name: str) -> Callable[[pa.Table], pa.Table]:
        """Leaves out rows that stand for a removal, where there is nothing to be removed."""
        if name not in self.memory.anew:
            return lambda rows: rows
        return lambda rows: rows.filter(pc.fill_null(pc.invert(rows.column("_removed")), True))

    def _keep(self, batch: Batch) -> Batch:
        if batch.additions and self.memory.readable:
            batch.tables = self._ask(with_stored, self._stored, batch)
        return self._spill.keep(batch)

    def _ask(self, question: Callable[..., T], *about: Any) -> T:
        """Ask the destination something."""
        return self._asking.submit(question, *about).result()

    def _plan(self, endpoint: Endpoint, position: Position) -> Plan:
        position = replace(position, checkpoint=None)
        unfilled = tables_of(endpoint) & self.memory.left_out
        index = RowIndex()
        parents: list[list[tuple[Any, ...]] | None] = [None] * len(endpoint.parents)
        if self.memory.readable:
            with self._stored as stored:
                main = MAIN_TABLES[endpoint.table]
                index = stored.known(main, None, whole=True, anew=self.memory.anew)
                parents = [stored.parents(parent, None) for parent in endpoint.parents]
        for name in unfilled:
            index.children.pop(name, None)
        policy = Policy(deletes="ignore")
        plan = Plan(
            endpoint, "reconcile", position, index, policy, self._now, self._now,
            refresh=bool(tables_of(endpoint) & self._mended),
        )
        if isinstance(plan.read, WholeList) and endpoint.path == IDENTITY:
            plan.read.first_answer = self.first_answer
        if endpoint.table in self._selected:
            plan.left_out = frozenset(unfilled)
        if endpoint.params:
            plan.read = UnderParents(
                endpoint, self._book, parents, self._object_types,
                ever_answered=position.readable is True,
            )
        return plan

    # ---- what became of it

    def _judge(self, endpoint: Endpoint, run: ResourceRun, index: RowIndex) -> None:
        name = endpoint.table
        if run.status == "done":
            return
        reason = run.message or "it was stopped before its end"
        if run.status == "off":
            log.warning("%s: %s", name, reason)
        else:
            log.error("%s: %s: %s", name, run.status, reason)
            self.failed[name] = reason
        emptied = tables_of(endpoint) & self.memory.emptied
        held = self._ask(self._holds_any, emptied)
        if held:
            lost = ", ".join(sorted(emptied))
            raise lists_failed({name: reason}, f"as it would have emptied {lost}")
        if self._raises and run.status != "off":
            raise lists_failed(self.failed, 'as on_failed_list is "raise"')

    def _holds_any(self, tables: set[str]) -> bool:
        if not tables or not self.memory.readable:
            return False
        with self._stored as stored:
            return any(stored.count(name) for name in tables)

    def _position(
        self, endpoint: Endpoint, before: Position, after: Position | None, run: ResourceRun
    ) -> Position:
        """What is remembered of a list. How far the sync has proven it is the sync's alone."""
        known = replace(before, checkpoint=None)
        if after is not None and run.status in TO_THE_END:
            known.readable = after.readable
        if after is not None and run.status == "done":
            known.cursor, known.began, known.had_rows = after.cursor, after.began, after.had_rows
        if self.memory.forgets(endpoint):
            known.reconciled_at = None  # the sync is to look at every row
        return known


def _main_first(endpoint: Endpoint) -> Callable[[str], tuple[bool, str]]:
    return lambda name: (name != endpoint.table, name)
