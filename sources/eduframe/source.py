"""The dlt source: one resource per list of the API, and one per shared child table.

``pipeline.run(eduframe_source())`` reads, filters and merges in one load package, in any dlt
pipeline. A list that fails yields nothing more and moves no cursor; nothing is ever deleted.
Checkpoints, deletions and recovery are the business of ``pipelines.sync``, which loads through
the very same resources.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.common.schema.utils import dlt_load_id_column, new_table
from dlt.extract import DltResource

from sources.eduframe.batch import Batch, ResourceRun
from sources.eduframe.client import Client
from sources.eduframe.declare import Endpoint, JsonRow, Parent
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.explode import explode
from sources.eduframe.known import Known
from sources.eduframe.limiter import Limiter
from sources.eduframe.memory import Memory
from sources.eduframe.pages import read_rows
from sources.eduframe.parents import ParentBook, ParentRef, make_ref, owner_table
from sources.eduframe.plan import Plan, Position, choose_mode, now_utc, parse
from sources.eduframe.policy import Policy
from sources.eduframe.reader import Reader
from sources.eduframe.settings import (
    CUSTOM_OBJECT_TYPES,
    DEFAULT_BASE_URL,
    Settings,
    install_defaults,
    names,
    select,
)
from sources.eduframe.tables import (
    ALL_TABLES,
    CHILD_TABLES,
    JSON_IN,
    MAIN_TABLES,
    SHARED_TABLES,
    Column,
    Table,
)

log = logging.getLogger("eduframe.source")


class _QuietHints(logging.Filter):
    """Some warnings of dlt's are of no use here.

    For each JSON column, that its Arrow column is text: it is meant so. For each table with two
    foreign keys to one table, that it keeps the last: so it does. For each table on its way to
    Postgres, that rows are written out as text: slower than its CSV, which loses empty strings.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not (
            "several column hints were different" in message
            or "has multiple references to" in message
            or "ArrowToInsertValuesWriter" in message
        )


def table_hints(table: Table) -> dict[str, Any]:
    """dlt's hints for a table: merged by key, children replaced by owner."""
    hints: dict[str, Any] = {
        "write_disposition": "merge",
        "columns": table.dlt_columns(),
        "additional_table_hints": layout(table.merge_columns, table.all_columns),
    }
    references = table.dlt_references()
    return hints | ({"references": references} if references else {})


MOMENTS = ("updated_at", "_synced_at", "started_at")
"""Columns that say when a row changed, or was made: the first that a table has tells best."""


def layout(key: Sequence[str], columns: Iterable[Column]) -> dict[str, Any]:
    """dlt's hints for how BigQuery lays out a table; other destinations pay them no heed.

    It bills a merge by the partitions in which it deletes rows, so tables lie by month of the
    column that says when a row changed (what changes has mostly changed lately), and within that
    by key. By day, small tables would fall into thousands of partitions.
    """
    hints: dict[str, Any] = {"x-bigquery-cluster-columns": list(key)[:4]}
    names = {column.name for column in columns}
    if moment := next((name for name in MOMENTS if name in names), None):
        hints["x-bigquery-partition"] = {moment: "TIMESTAMP_TRUNC({column_name}, MONTH)"}
    return hints


def fit_json(columns: Mapping[str, Iterable[Column]]) -> None:
    """Within a resource, given its tables: make JSON columns text, where JSON is text.

    Only a resource that runs knows its destination; it was made before that.
    """
    if keeps_json(current_pipeline()):
        return
    resource = dlt.current.resource()
    for name, found in columns.items():
        json = [column.name for column in found if column.type == "json"]
        text: Any = {column: {"name": column, "data_type": "text"} for column in json}
        if not text:  # which would mean to dlt: no columns
            continue
        if name == resource.name:
            resource.apply_hints(columns=text)
        else:
            resource.apply_hints(table_name=name, columns=text, create_table_variant=True)


def current_pipeline() -> Any:
    """The pipeline that is running; as ``dlt.current.pipeline()``, which takes 7 ms to find it."""
    return Container()[PipelineContext].pipeline()


def keeps_json(pipeline: Any) -> bool:
    """Whether the pipeline's destination has a JSON type; in others, JSON columns are text."""
    return str(pipeline.destination.destination_type).rsplit(".", 1)[-1] in JSON_IN


def declare_tables(schema: dlt.Schema, names: Collection[str], *, as_text: bool) -> None:
    """Put these tables into a dlt schema, just as they would come with their first row.

    dlt would work that out from a resource as well, in fifty times as long.
    """
    for name, table in ALL_TABLES.items():
        if name in names:
            schema.update_table(declared(table, as_text=as_text))


def declared(table: Table, *, as_text: bool) -> Any:
    """A table as it stands in dlt's schema."""
    hints = table_hints(table)
    references: Any = hints.get("references")
    resource = table.name if table.name in SHARED_TABLES else table.endpoint.table
    columns = [*hints["columns"].values(), dlt_load_id_column()]
    if as_text:
        columns = [c | {"data_type": "text"} if c["data_type"] == "json" else c for c in columns]
    made = new_table(
        table.name,
        write_disposition=hints["write_disposition"],
        resource=resource,
        columns=columns,
        references=references,
    )
    variant = {} if table.name == resource else {"variant_name": table.name}
    return made | hints["additional_table_hints"] | variant


def own_tables(endpoint: Endpoint) -> list[Table]:
    """The tables that a list has for itself, its main table last."""
    tables = (*CHILD_TABLES[endpoint.table], MAIN_TABLES[endpoint.table])
    return [table for table in tables if table.name not in SHARED_TABLES]


def endpoint_resource(
    endpoint: Endpoint,
    batches: Callable[[], Iterable[Batch | None]],
    shared: dict[str, list[pa.Table]],
) -> DltResource:
    """The resource of a list. It yields its own tables, and leaves rows of shared ones there."""

    tables = own_tables(endpoint)

    def rows() -> Iterator[Any]:
        fit_json({table.name: table.all_columns for table in tables})
        for batch in batches():
            if batch is None:
                yield None
                continue
            for name, table in batch.tables.items():
                if name in SHARED_TABLES:
                    shared.setdefault(name, []).append(table)
                else:
                    yield dlt.mark.with_table_name(table, name)
            remember_position(batch.resource, batch.position)

    resource = dlt.resource(rows, name=endpoint.table)
    for table in tables[:-1]:
        resource.apply_hints(table_name=table.name, create_table_variant=True, **table_hints(table))
    # last, as a table variant starts from the hints that the resource has by then
    resource.apply_hints(**table_hints(tables[-1]))
    return resource


def ready_resource(
    endpoint: Endpoint, tables: Callable[[str], Iterable[pa.Table]], position: Position | None
) -> DltResource:
    """The resource of a list whose rows are at hand: a table at a time, then the position."""

    def batches() -> Iterator[Batch]:
        for table in own_tables(endpoint):
            for rows in tables(table.name):
                yield Batch(endpoint.table, None, {table.name: rows})
        yield Batch(endpoint.table, position)

    return endpoint_resource(endpoint, batches, {})


def remember_position(resource: str, position: Position | None) -> None:
    """Put the position of a list into dlt's state. To be called within a running resource."""
    if position is not None:
        state = dlt.current.resource_state(resource)
        state.clear()
        state.update(position.dump())


def shared_resource(
    name: str, tables: Callable[[str], Iterable[pa.Table]], ready: Callable[[], bool]
) -> DltResource:
    """The resource of a child table with several kinds of owner: what the lists left for it."""

    table = SHARED_TABLES[name]

    def rows() -> Iterator[Any]:
        fit_json({name: table.all_columns})
        while not ready():
            yield None
        yield from tables(name)

    return dlt.resource(rows, name=name).apply_hints(**table_hints(table))


def quiet_hints() -> None:
    """Keep dlt from warning of what is meant so."""
    logger = logging.getLogger("dlt")
    if not any(isinstance(f, _QuietHints) for f in logger.filters):
        logger.addFilter(_QuietHints())


@dlt.source(name="eduframe", section="eduframe", root_key=False)
def eduframe_source(
    api_token: str = dlt.secrets.value,
    base_url: str = DEFAULT_BASE_URL,
    requests_per_window: int = 500,
    window_seconds: float = 300.0,
    include: Any = None,
    exclude: Any = None,
    custom_object_types: Any = CUSTOM_OBJECT_TYPES,
) -> list[DltResource]:
    """The lists of the Eduframe API as dlt resources, typed, with their nested parts as tables.

    Rows with ``updated_at`` are filtered by that cursor; what remains is compared by hash with
    the destination of the running pipeline, and only what differs is yielded. Shared child tables
    (``addresses``, ``grades``, ``custom_values`` and the bookings) are resources of their own:
    select them along with their owners in ``with_resources``.

    Raises:
        AuthenticationError: the API does not accept the token.
        SettingsError: a setting is no value of its kind.
    """
    install_defaults()
    quiet_hints()
    settings = Settings()
    settings.include, settings.exclude = include, exclude
    chosen = select(settings).on
    client = Client(base_url, api_token, Limiter(requests_per_window, window_seconds))
    book = ParentBook(chosen)
    shared: dict[str, list[pa.Table]] = {}
    waiting: set[str] = set()
    reading = _PlainReading(client, book, names("custom_object_types", custom_object_types))

    def batches(endpoint: Endpoint) -> Callable[[], Iterator[Batch | None]]:
        def read() -> Iterator[Batch | None]:
            waiting.add(endpoint.table)
            try:
                yield from reading.batches(endpoint)
            finally:
                waiting.discard(endpoint.table)

        return read

    resources = [endpoint_resource(e, batches(e), shared) for e in chosen]
    return resources + [
        shared_resource(n, lambda name: shared.get(name, ()), lambda: not waiting)
        for n in SHARED_TABLES
    ]


class _PlainReading:
    """Reads lists within an ordinary ``pipeline.run``, without checkpoints or deletions."""

    def __init__(self, client: Client, book: ParentBook, object_types: tuple[str, ...]) -> None:
        self._client = client
        self._book = book
        self._object_types = object_types
        self._now = now_utc()
        self._used: Memory | None = None

    @property
    def _memory(self) -> Memory:
        pipeline = current_pipeline()
        if self._used is None or self._used.pipeline is not pipeline:
            self._used = Memory(pipeline)
        return self._used

    def batches(self, endpoint: Endpoint) -> Iterator[Batch | None]:
        position = Position.load(dict(dlt.current.resource_state()))
        position.unfinished = None
        known = self._known(endpoint)
        policy = Policy(deletes="ignore")
        mode = choose_mode(
            endpoint, position, known, policy.reconcile_every, self._now, forced=False
        )
        parents: list[ParentRef] = []
        if endpoint.params:
            mode = "reconcile"
            for number in range(len(endpoint.parents)):
                page = self._book.page(endpoint, number)
                while page.started and not page.ended:
                    yield None
            parents = self._parents(endpoint)
        plan = Plan(
            endpoint, mode, position, known, policy, self._now, self._now,
            since=parse(position.cursor),
        )
        run = ResourceRun(endpoint.table)
        for batch in Reader(plan, self._client, run, self._book, parents).batches():
            if run.status in ("failed", "off", "held back"):
                batch.position = position
            yield batch
        if run.status != "done":
            log.error("%s: %s: %s", endpoint.table, run.status, run.message)

    def _parents(self, endpoint: Endpoint) -> list[ParentRef]:
        with self._memory as memory:
            held = [memory.parents(parent, None) for parent in endpoint.parents]
        return gather_parents(self._client, endpoint, self._book, held, self._object_types)

    def _known(self, endpoint: Endpoint) -> Known:
        """What the running pipeline's destination holds; nothing where it holds nothing yet."""
        with self._memory as memory:
            return memory.known(MAIN_TABLES[endpoint.table], None, whole=True)


def gather_parents(
    client: Client,
    endpoint: Endpoint,
    book: ParentBook,
    held: Sequence[Sequence[tuple[Any, ...]] | None],
    object_types: Sequence[str],
) -> list[ParentRef]:
    """The parents to ask for: those held to be asked, and those written in this run.

    ``held`` has, for each of the declared parents, what the destination says (None where it
    holds no parent at all: then they are read from the API, without loading them).
    """
    if endpoint.parent_setting:
        return [ParentRef((value,), (value,)) for value in object_types]
    refs: set[ParentRef] = set()
    for number, (parent, values) in enumerate(zip(endpoint.parents, held, strict=True)):
        page = book.page(endpoint, number)
        refs.update(make_ref(parent, value) for value in values or ())
        refs.update(page.written)
        if values is None and not page.started:
            refs.update(parents_from_api(client, parent))
    return list(refs)


def parents_from_api(client: Client, parent: Parent) -> Iterator[ParentRef]:
    """The parents, straight from the API."""
    owner = next(e for e in ENDPOINTS if e.table == owner_table(parent.table))
    for row in read_rows(client, owner):
        for values in _parent_values(owner, parent, row):
            if all(values.get(name) in allowed for name, allowed in parent.where.items()):
                wanted = [*parent.params.values(), *(parent.columns or {}).values()]
                yield make_ref(parent, [values.get(name) for name in wanted])


def _parent_values(owner: Endpoint, parent: Parent, row: JsonRow) -> list[JsonRow]:
    if owner.table == parent.table:
        return [row]
    child = next(c for c in owner.children if c.table == parent.table)
    from_owner = {mine: row.get(theirs) for mine, theirs in child.owner.items()}
    return [{**item, **from_owner} for item in explode(child, row.get(child.field))]
