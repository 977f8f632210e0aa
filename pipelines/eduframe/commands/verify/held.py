"""What the destination holds of the lists: looked up in moments, between which its file is free."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.eduframe.commands.verify.findings import State
from pipelines.eduframe.destinations.duckdb_file import reading_file
from pipelines.eduframe.destinations.tables.fit import StoredTable, look
from pipelines.eduframe.store.run_log import SYNC_RUNS
from pipelines.eduframe.store.seen_keys import seen_keys
from pipelines.eduframe.store.state import state_in_destination
from sources.eduframe.clock import parse
from sources.eduframe.comparing.audit import Difference, Field, Held, Since
from sources.eduframe.dataset.sql import flags, ints
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.declare import Endpoint, JsonRow, ParentRef
from sources.eduframe.errors import NoDatasetError
from sources.eduframe.http.pagination import PER_PAGE
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.rows.keys import Flags, Ids, key_ids, key_text
from sources.eduframe.rows.tables import ALL_TABLES, CHILD_TABLES, MAIN_TABLES, Table

NEVER: tuple[State, str] = ("left out", "never synced")
AT_ONCE = 500
"""So many rows are asked for by their ids; for more the whole table is read."""


@dataclass
class Known:
    """What the destination holds of one list, before the audit."""

    endpoint: Endpoint
    position: Position
    keys: pa.Table
    """The key, and what comes from the parent, of each living row."""
    ids: Ids
    """The key ids of the living rows, which are in their order."""
    parents: Ids
    """For each of them, the key id of its parent; empty for a list of its own."""
    refs: list[ParentRef]
    """The parents that there are."""
    in_doubt: Ids
    """Rows that the last reads missed, and that the next one decides on."""
    since: Since
    """What tells rows apart that changed since the list was read."""
    strays: list[Difference]
    """Owners that are not here, though nested rows of theirs are."""

    @property
    def rows(self) -> int:
        """How many rows live here."""
        return len(self.ids)

    @property
    def pages(self) -> int:
        """How many pages the list has, by the rows that live here."""
        return max(1, ceil(self.rows / PER_PAGE))

    @property
    def most(self) -> int:
        """The most requests that are of use."""
        endpoint = self.endpoint
        if endpoint.single:
            return 0  # whose data it is was asked for already, by the same path
        if endpoint.params:
            return len(self.refs) and len(self.refs) + self.rows // PER_PAGE
        if endpoint.detail_path:
            return 1 + self.rows
        return 1 + self.rows // PER_PAGE if endpoint.paged else 1

    @property
    def least(self) -> int:
        """The fewest requests that are of use: without one for a row, its list tells nothing."""
        return min(2, self.most) if self.endpoint.detail_path else 1

    def key(self, place: int) -> tuple[Any, ...]:
        """The key of a living row, by its place in :attr:`ids`."""
        names = self.endpoint.key
        if names == ("_row_hash",):
            return (int(self.ids[place]),)
        return tuple(self.keys.column(name)[place].as_py() for name in names)

    def key_text(self, place: int) -> str:
        """The same as the run log writes it."""
        return key_text(self.key(place))

    def outer(self, place: int) -> JsonRow:
        """What a living row has from its parent."""
        columns = self.endpoint.parent_columns if self.endpoint.params else ()
        return {name: self.keys.column(name)[place].as_py() for name in columns}


@dataclass
class Inventory:
    """What the destination holds, before the audit."""

    customer: Mapping[str, Any] | None
    loads: frozenset[str]
    """The load packages that were completed."""
    known: list[Known] = field(default_factory=list)
    unread: dict[str, tuple[State, str]] = field(default_factory=dict)
    """Why others are not compared."""


class Destination:
    """A dataset, which is only read."""

    def __init__(self, pipeline: Any, seconds: float) -> None:
        self._pipeline = pipeline
        self._seconds = seconds
        """So long another program is waited for that holds the file."""

    @contextmanager
    def moment(self) -> Iterator[StoredRows]:
        """While the dataset is looked at. A sync waits no longer than this for the file."""
        with reading_file(self._pipeline, self._seconds), StoredRows(self._pipeline) as stored:
            yield stored

    def take_stock(
        self,
        endpoints: Sequence[Endpoint],
        object_types: Sequence[str],
        besides: Callable[[StoredRows, Inventory], None],
    ) -> Inventory:
        """What is held of these lists; ``besides`` is called with the dataset in the same moment.

        Raises:
            NoDatasetError: there is no such dataset.
        """
        pipeline = self._pipeline
        with self.moment() as stored:
            tables = look(pipeline, stored)
            if not tables.keys() & {*ALL_TABLES, SYNC_RUNS.name}:
                raise NoDatasetError(
                    f"There is no dataset {pipeline.dataset_name} in "
                    f"{pipeline.destination.destination_name}: no sync has loaded anything into "
                    "it. Name another one (--dataset, --destination), or begin with eduframe sync."
                )
            state = state_in_destination(pipeline)
            found = Inventory(state.get("customer"), completed(stored))
            positions = state.get("resources", {})
            for endpoint in endpoints:
                position = Position.load(dict(positions.get(endpoint.table, {})))
                why, known = _why_not(endpoint, position, tables), None
                if why is None:
                    known = _known(stored, endpoint, position, object_types)
                    why = _never_synced(known)
                if why is not None:
                    found.unread[endpoint.table] = why
                elif known is not None:
                    found.known.append(known)
            besides(stored, found)
        return found


def completed(stored: StoredRows) -> frozenset[str]:
    """The load packages that were completed."""
    load_id = stored.column("load_id")
    sql = (
        f"SELECT {load_id} FROM {stored.name('_dlt_loads')} WHERE {stored.column('status')} = 0"
    )
    return frozenset(one for rows in stored.query(sql) for one in rows.column(0).to_pylist())


def held(stored: StoredRows, endpoint: Endpoint, ids: Ids) -> Held:
    """All that the destination holds of these rows."""
    table = MAIN_TABLES[endpoint.table]
    main = pa.concat_tables([table.arrow_schema.empty_table(), *_some(
        lambda some: stored.rows(table, some), ids, by_id=endpoint.key == ("id",)
    )])
    children = {
        child.name: pa.concat_tables([child.arrow_schema.empty_table(), *_some(
            lambda some, child=child: stored.children(child, some),  # type: ignore[misc]
            ids, by_id=len(child.owner_key) == 1,
        )])
        for child in CHILD_TABLES[endpoint.table]
    }
    return Held(main, children)


def written_by(stored: StoredRows, endpoint: Endpoint, loads: Iterable[str]) -> Ids:
    """The key ids of the rows that these load packages wrote."""
    table, of = MAIN_TABLES[endpoint.table], sorted(loads)
    columns = ", ".join(stored.column(name) for name in table.key)
    marks = ", ".join(["%s"] * len(of))
    sql = (
        f"SELECT {columns} FROM {stored.name(table.name)} "
        f"WHERE {stored.column('_dlt_load_id')} IN ({marks})"
    )
    found = [_ids(table.key, rows.columns) for rows in stored.query(sql, *of)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _some(
    ask: Callable[[Ids], pa.Table], ids: Ids, *, by_id: bool
) -> Iterator[pa.Table]:
    """The rows of these ids, so many at a time that the table need not be read for them."""
    step = AT_ONCE if by_id else max(len(ids), 1)
    for start in range(0, len(ids), step):
        yield ask(ids[start : start + step])


def _why_not(
    endpoint: Endpoint, position: Position, tables: Mapping[str, StoredTable]
) -> tuple[State, str] | None:
    """Why a list cannot be compared, if it cannot."""
    if position.readable is False:
        return "off", "the token may not read them"
    if position.checkpoint is not None and not _was_read(position):
        return "left out", "not read to their end yet"
    if endpoint.table not in tables and not _was_read(position):
        return NEVER
    lacking = []
    for table in (MAIN_TABLES[endpoint.table], *CHILD_TABLES[endpoint.table]):
        stored = tables.get(table.name)
        if stored is None:
            lacking.append(f"the table {table.name} is not there")
        elif stored.columns:
            lost = [c.name for c in table.all_columns if c.name not in stored.columns]
            lacking += [f"{table.name} lacks the column {name}" for name in lost]
    if not lacking:
        return None
    return "not comparable", f"{', '.join(lacking)}; the next sync mends that"


def _was_read(position: Position) -> bool:
    return position.began is not None or position.reconciled_at is not None


def _never_synced(known: Known) -> tuple[State, str] | None:
    """Rows without a position are of a plain dlt run, or their state was lost: they count."""
    return None if known.rows or _was_read(known.position) else NEVER


def _known(
    stored: StoredRows, endpoint: Endpoint, position: Position, object_types: Sequence[str]
) -> Known:
    table, nothing = MAIN_TABLES[endpoint.table], np.zeros(0, np.int64)
    outer = endpoint.parent_columns if endpoint.params else ()
    keys, ids, gone = _keys(stored, table, [*dict.fromkeys([*table.key, *outer])])
    missed = seen_keys(stored, table.name, position.missed) if position.missed else ()
    known = Known(
        endpoint,
        position,
        keys.filter(pa.array(~gone)),
        ids[~gone],
        nothing,
        _refs(stored, endpoint, object_types),
        np.concatenate([nothing, *missed]),
        Since(
            parse((endpoint.params and position.reconciled_at) or position.began)
            or _last_written(stored, table.name)
        ),
        _strays(stored, endpoint, ids),
    )
    if outer and known.rows:
        known.parents = key_ids([known.keys.column(name) for name in outer])
    if _tells_no_time(endpoint) and known.rows >= _rows_read(stored, table.name):
        known.since = Since(known.since.moment, int(ids[-1]) if len(ids) else 0)
    return known


def _last_written(stored: StoredRows, resource: str) -> datetime | None:
    """The start of the last run that wrote a row of the list, and so read it."""
    sql = f"SELECT MAX({stored.column('_synced_at')}) AS latest FROM {stored.name(resource)}"
    found = [rows.column(0)[0].as_py() for rows in stored.query(sql) if rows.num_rows]
    latest: datetime | None = found[0] if found else None
    return latest.replace(tzinfo=UTC) if latest and latest.tzinfo is None else latest


def _keys(
    stored: StoredRows, table: Table, names: Sequence[str]
) -> tuple[pa.Table, Ids, Flags]:
    """Some columns of all rows, their key ids, and whether they are marked as deleted; in the
    order of the key ids, so that one seed draws the same rows again."""
    sql = (
        f"SELECT {', '.join(map(stored.column, names))}, "
        f"{stored.column('_deleted_at')} IS NOT NULL AS gone FROM {stored.name(table.name)}"
    )
    schema = pa.schema([pa.field(name, pa.null()) for name in names])
    parts, ids = [schema.empty_table()], [np.zeros(0, np.int64)]
    gone = [np.zeros(0, np.bool_)]
    for rows in stored.query(sql):
        parts.append(rows.select([*range(len(names))]).rename_columns([*names]))
        ids.append(_ids(table.key, [parts[-1].column(name) for name in table.key]))
        gone.append(flags(rows.column(len(names))))
    every = np.concatenate(ids)
    order = np.argsort(every, kind="stable")
    together = pa.concat_tables(parts, promote_options="permissive")
    return together.take(order), every[order], np.concatenate(gone)[order]


def _strays(stored: StoredRows, endpoint: Endpoint, owners: Ids) -> list[Difference]:
    """The owners that nested rows name, and that are none of these, which are in order."""
    found: dict[int, Difference] = {}
    for table in CHILD_TABLES[endpoint.table]:
        assert table.child is not None
        shared = table.child.shared
        sql = (
            f"SELECT DISTINCT {', '.join(map(stored.column, table.owner_key))} "
            f"FROM {stored.name(table.name)}"
            f"{' WHERE ' + stored.column('owner_table') + ' = %s' if shared else ''}"
        )
        for rows in stored.query(sql, *([endpoint.table] if shared else [])):
            ids = key_ids([*rows.columns])
            there = np.minimum(np.searchsorted(owners, ids), len(owners) - 1)
            known = owners[there] == ids if len(owners) else np.zeros(len(ids), np.bool_)
            for place in np.flatnonzero(~known).tolist():
                one = int(ids[place])
                key = key_text(tuple(column[place].as_py() for column in rows.columns))
                before = found.get(one, Difference(one, key, "differs"))
                name = f"{table.name} (rows of an owner that is not here)"
                found[one] = replace(before, fields=(*before.fields, Field(name)))
    return [*found.values()]


def _ids(key: Sequence[str], columns: Sequence[pa.ChunkedArray]) -> Ids:
    return ints(columns[0]) if tuple(key) == ("_row_hash",) else key_ids([*columns])


def _refs(
    stored: StoredRows, endpoint: Endpoint, object_types: Sequence[str]
) -> list[ParentRef]:
    if endpoint.parent_setting:
        return [ParentRef((value,), (value,)) for value in object_types]
    found = {
        parent.ref(values)
        for parent in endpoint.parents
        for values in stored.parents(parent, None) or ()
        if None not in values
    }
    return sorted(found, key=lambda ref: ref.key_id)


def _tells_no_time(endpoint: Endpoint) -> bool:
    """Whether rows say neither when they changed nor when they came, but have rising ids."""
    columns = {column.name: column.type for column in MAIN_TABLES[endpoint.table].columns}
    by_id = endpoint.key == ("id",) and columns.get("id") == "bigint"
    return by_id and not columns.keys() & {"updated_at", "created_at"}


def _rows_read(stored: StoredRows, resource: str) -> int:
    """How many rows the last complete read met: if fewer are here, some were lost."""
    column = stored.column
    sql = (
        f"SELECT {column('rows_read')} FROM {stored.name('_sync_resources')} "
        f"WHERE {column('resource')} = %s AND {column('status')} = 'done' "
        f"AND {column('mode')} <> 'parents' ORDER BY {column('started_at')} DESC LIMIT 1"
    )
    for rows in stored.query(sql, resource):
        return int(rows.column(0)[0].as_py() or 0) if rows.num_rows else 0
    return 0
