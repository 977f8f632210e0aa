"""The dlt source: one resource per list of the API, and one per shared child table.

``pipeline.run(eduframe_source())`` reads, filters and merges in one load package, in any dlt
pipeline. A list that fails yields nothing more and moves no cursor; nothing is ever deleted.
Checkpoints, deletions and recovery are the business of ``pipelines.eduframe``, which loads through
the very same resources.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.configuration.specs import BaseConfiguration
from dlt.extract import DltResource

from sources.eduframe.clock import now_utc, parse
from sources.eduframe.comparing.reader import Reader
from sources.eduframe.comparing.row_versions import later_wins
from sources.eduframe.comparing.spill_files import SpillFiles
from sources.eduframe.dataset.dlt_defaults import install_defaults
from sources.eduframe.dataset.dlt_resources import endpoint_resource, shared_resource
from sources.eduframe.dataset.joining import with_stored
from sources.eduframe.dataset.merge_hints import current_pipeline, quiet_hints
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.declare import Endpoint
from sources.eduframe.http.client import Client
from sources.eduframe.limits.rate_limiter import Limiter, share_window
from sources.eduframe.reading.batch import Batch, ResourceRun
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import Plan, UnderParents, choose_mode
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.tables import MAIN_TABLES, SHARED_TABLES
from sources.eduframe.settings import resolve, select

log = logging.getLogger("eduframe.source")


# by a spec without fields dlt fills in no argument: it would take them from shorter names, too
@dlt.source(name="eduframe", section="eduframe", root_key=False, spec=BaseConfiguration)
def eduframe_source(
    api_token: str | None = None,
    base_url: str | None = None,
    requests_per_window: int | None = None,
    window_seconds: float | None = None,
    include: Any = None,
    exclude: Any = None,
    custom_object_types: Any = None,
) -> list[DltResource]:
    """The lists of the Eduframe API as dlt resources, typed, with their nested parts as tables.

    Rows with ``updated_at`` are filtered by that cursor; what remains is compared by hash with
    the destination of the running pipeline, and only what differs is yielded. Shared child tables
    (``addresses``, ``grades``, ``custom_values`` and the bookings) are resources of their own:
    select them along with their owners in ``with_resources``.

    What is left out is taken from the configuration, as by the command (see
    :mod:`sources.eduframe.settings`). The request window is shared with all programs of this
    machine that use the token.

    Raises:
        AuthenticationError: the API does not accept the token.
        SettingsError: a setting is no value of its kind.
    """
    install_defaults()
    quiet_hints()
    given = {
        "api_token": api_token,
        "base_url": base_url,
        "requests_per_window": requests_per_window,
        "window_seconds": window_seconds,
        "include": include,
        "exclude": exclude,
        "custom_object_types": custom_object_types,
    }
    settings = resolve(given)
    chosen = select(settings).on
    limiter = Limiter(settings.requests_per_window, settings.window_seconds)
    share_window(limiter, settings.base_url, settings.api_token, settings.request_seconds)
    client = Client(settings.base_url, settings.api_token, limiter)
    last: list[_PlainReading] = []

    def reading() -> _PlainReading:
        """That of the extraction that is going on: each begins with nothing."""
        load_id = dlt.current.load_package_state()["load_id"]
        if not last or last[0].load_id != load_id:
            last[:] = [_PlainReading(load_id, client, chosen, settings.custom_object_types)]
        return last[0]

    def batches(endpoint: Endpoint) -> Callable[[], Iterator[Batch | None]]:
        return lambda: reading().batches(endpoint)

    return [
        *(endpoint_resource(e, batches(e), lambda n, rows: reading().leave(n, rows))
          for e in chosen),
        *(shared_resource(n, lambda name: reading().left(name), lambda: not reading().waiting)
          for n in SHARED_TABLES),
    ]


class _PlainReading:
    """Reads lists within one ordinary ``pipeline.run``, without checkpoints or deletions."""

    def __init__(
        self,
        load_id: str,
        client: Client,
        endpoints: Sequence[Endpoint],
        object_types: tuple[str, ...],
    ) -> None:
        self.load_id = load_id
        self.waiting: set[str] = set()
        """The lists that are being read."""
        self._client = client
        self._book = ParentBook(endpoints)
        self._object_types = object_types
        self._now = now_utc()
        self._stored = StoredRows(current_pipeline())
        self._left: dict[str, list[pa.Table]] = {}
        self._spill = SpillFiles()

    def leave(self, name: str, rows: pa.Table) -> None:
        """Leave rows of a shared child table to its own resource."""
        self._left.setdefault(name, []).append(rows)

    def left(self, name: str) -> Sequence[pa.Table]:
        return self._left.get(name, ())

    def batches(self, endpoint: Endpoint) -> Iterator[Batch | None]:
        """What must be written of a list, once it is read: the last version of each row."""
        self.waiting.add(endpoint.table)
        position: Position | None = None
        parts: list[Mapping[str, pa.Table]] = []
        try:
            for batch in self._read(endpoint):
                if batch is not None:
                    position = batch.position
                    batch.tables = with_stored(self._stored, batch)
                    parts.append(self._spill.keep(batch).tables)
                yield None
            for name, tables in later_wins(MAIN_TABLES[endpoint.table], parts).items():
                for rows in tables:
                    yield Batch(endpoint.table, None, {name: rows})
            yield Batch(endpoint.table, position)
        finally:
            self.waiting.discard(endpoint.table)

    def _read(self, endpoint: Endpoint) -> Iterator[Batch | None]:
        position = Position.load(dict(dlt.current.resource_state()))
        position.checkpoint = None
        index = self._index(endpoint)
        policy = Policy(deletes="ignore")
        mode = choose_mode(
            endpoint, position, index, policy.reconcile_every, self._now, forced=False
        )
        if endpoint.params:
            mode = "reconcile"
            for number in range(len(endpoint.parents)):
                met = self._book.met(endpoint, number)
                while met.started and not met.ended:
                    yield None
        plan = Plan(
            endpoint, mode, position, index, policy, self._now, self._now,
            since=parse(position.cursor),
        )
        if endpoint.params:
            plan.read = UnderParents(
                endpoint, self._book, self._parents(endpoint), self._object_types,
                ever_answered=position.readable is True,
            )
        run = ResourceRun(endpoint.table)
        for batch in Reader(plan, self._client, run, self._book).batches():
            if run.status in ("failed", "off", "held back"):
                batch.position = position
            if batch.position and self._left_out(endpoint):
                batch.position.reconciled_at = None  # the next run is to look at every row
            yield batch
        if run.status != "done":
            log.error("%s: %s: %s", endpoint.table, run.status, run.message)

    def _parents(self, endpoint: Endpoint) -> list[list[tuple[Any, ...]] | None]:
        with self._stored as stored:
            return [stored.parents(parent, None) for parent in endpoint.parents]

    def _index(self, endpoint: Endpoint) -> RowIndex:
        """What the running pipeline's destination holds; nothing where it holds nothing yet."""
        with self._stored as stored:
            index = stored.known(MAIN_TABLES[endpoint.table], None, whole=True)
        for name in self._left_out(endpoint):
            index.children.pop(name, None)
        return index

    def _left_out(self, endpoint: Endpoint) -> set[str]:
        """The shared child tables of a list that this run does not fill: they are not selected."""
        selected = dlt.current.source().selected_resources.keys()
        return {child.table for child in endpoint.children if child.shared} - selected
