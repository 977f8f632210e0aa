"""The destination is the memory: what it holds decides what is written and what is gone.

Keys and hashes, the positions of unfinished reads, and the parents still to be asked are read
from the destination at the start of a run. A row counts only if the load package that wrote it
was completed: dlt loads table by table, so after a crash a row may be there without its
children. Such rows are known, but with an unknown hash, and so are written again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.sql_client import DBApiCursorImpl

from sources.eduframe.batch import Settled
from sources.eduframe.declare import Parent
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.hashing import UNKNOWN, VERSION, VERSION_SHIFT
from sources.eduframe.jsontext import dump_json, read_json
from sources.eduframe.known import Ids, Known, key_id, key_ids, key_values
from sources.eduframe.parents import column_names
from sources.eduframe.tables import CHILD_TABLES, MAIN_TABLES, Table

CHUNK = 100_000
"""Rows fetched at a time."""


class Memory:
    """Reads the dataset of one pipeline. A context manager: one connection, held while open.
    It may be opened again.

    In its queries each column of the result has a name of its own: BigQuery takes no others.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self._manager: Any = None
        self._client: Any = None

    def __enter__(self) -> "Memory":
        if self._manager is None:  # dlt takes a while to find what it needs for it
            self._manager = self.pipeline.sql_client()
        self._client = self._manager.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manager.__exit__(kind, error, trace)

    @property
    def client(self) -> Any:
        """dlt's SQL client."""
        return self._client

    def query(self, sql: str, *params: Any) -> Iterator[pa.Table]:
        """The result of a query, in Arrow tables. A table that is not there gives no rows."""
        try:
            with self._client.execute_query(sql, *params) as cursor:
                yield from _chunks(cursor)
        except DatabaseUndefinedRelation:
            return

    def execute(self, sql: str, *params: Any) -> None:
        """Run a statement. A table that is not there is no error."""
        try:
            self._client.execute_sql(sql, *params)
        except DatabaseUndefinedRelation:
            return

    def update(self, table: str, values: Mapping[str, Any], where: str, *params: Any) -> None:
        """Change rows of a table; ``where`` is SQL that chooses them."""
        assignments = ", ".join(f"{self.column(name)} = %s" for name in values)
        name = self.name(table)
        if self._client.capabilities.sqlglot_dialect == "clickhouse":
            sql = f"ALTER TABLE {name} UPDATE {assignments} WHERE {where}"
        else:
            sql = f"UPDATE {name} SET {assignments} WHERE {where}"
        self.execute(sql, *values.values(), *params)

    def name(self, table: str) -> str:
        """The qualified, quoted name of a table."""
        return str(self._client.make_qualified_table_name(table))

    def column(self, column: str) -> str:
        """The quoted name of a column."""
        return str(self._client.escape_column_name(column))

    def completed(self, alias: str = "") -> str:
        """SQL that is true for rows of completed load packages."""
        prefix = f"{alias}." if alias else ""
        return (
            f"{prefix}{self.column('_dlt_load_id')} IN (SELECT {self.column('load_id')} "
            f"FROM {self.name('_dlt_loads')} WHERE {self.column('status')} = 0)"
        )

    def loads(self, besides: Iterable[str] = ()) -> str:
        """How many load packages were completed, and the last of them; ``besides`` do not count.

        Two datasets of which it is the same hold the same.
        """
        load_id, others = self.column("load_id"), list(besides)
        sql = (
            f"SELECT COUNT(*) AS completed, MAX({load_id}) AS latest FROM "
            f"{self.name('_dlt_loads')} WHERE {self.column('status')} = 0"
        )
        if others:
            sql += f" AND {load_id} NOT IN ({', '.join(['%s'] * len(others))})"
        for rows in self.query(sql, *others):
            completed, latest = (column[0].as_py() for column in rows.columns)
            if completed:
                return f"{completed} {latest}"
        return "0"

    def existing(self, names: Iterable[str]) -> set[str]:
        """Which of these tables are there."""
        if not self._client.has_dataset():
            return set()
        with self.pipeline.destination_client() as client:
            return {name for name, columns in client.get_storage_tables(list(names)) if columns}

    def known(self, table: Table, parent: Mapping[str, str] | None, whole: bool) -> Known:
        """The rows of a main table. ``parent`` maps its columns to those of the parent's key.

        ``whole`` is False where a child table is missing: then every row must be written again.
        """
        columns = [*dict.fromkeys([*table.key, *(parent or {})])]
        selected = ", ".join(self.column(c) for c in columns)
        sql = (
            f"SELECT {selected}, {self.column('_row_hash')} AS row_hash, "
            f"{self.column('_deleted_at')} IS NOT NULL AS gone, "
            f"{self.completed()} AS complete FROM {self.name(table.name)}"
        )
        keys, hashes, deleted, parents = [], [], [], []
        for rows in self.query(sql):
            row_hash = _ints(rows.column(len(columns)))
            gone = _flags(rows.column(len(columns) + 1))
            complete = _flags(rows.column(len(columns) + 2))
            gone &= complete  # or else it is proven, and logged, once more
            sound = complete & ~gone & whole
            sound &= row_hash >> VERSION_SHIFT == VERSION
            named = dict(zip(columns, rows.columns, strict=False))
            keys.append(
                row_hash
                if table.key == ("_row_hash",)
                else key_ids([named[name] for name in table.key])
            )
            hashes.append(np.where(sound, row_hash, UNKNOWN))
            deleted.append(gone)
            if parent:
                parents.append(key_ids([named[name] for name in parent]))
        nothing = np.zeros(0, np.int64)
        known = Known(
            np.concatenate([nothing, *keys]),
            np.concatenate([nothing, *hashes]),
            np.concatenate([np.zeros(0, np.bool_), *deleted]),
            np.concatenate([nothing, *parents]) if parent else None,
        )
        for child in CHILD_TABLES[table.name]:
            for owners, counts in self._child_counts(child):
                known.set_child_counts(child.name, owners, counts)
        return known

    def _child_counts(self, table: Table) -> Iterator[tuple[Ids, Any]]:
        assert table.child is not None
        owner = ", ".join(self.column(name) for name in table.owner_key)
        shared = table.child.shared
        where = f"WHERE {self.column('owner_table')} = %s " if shared else ""
        sql = (
            f"SELECT {owner}, COUNT(*) AS rows_held FROM {self.name(table.name)} "
            f"{where}GROUP BY {owner}"
        )
        for rows in self.query(sql, *([table.endpoint.table] if shared else [])):
            yield key_ids(rows.columns[:-1]), _ints(rows.columns[-1])

    def parents(self, parent: Parent, since: datetime | None) -> list[tuple[Any, ...]] | None:
        """The living parents written after ``since``, as values of the path's parameters.

        None where the destination holds no parent at all.
        """
        owner, join = self._owner_of(parent.table)
        columns = [*parent.params.values(), *(parent.columns or {}).values()]
        selected = [f"p.{self.column(c)} AS value_{n}" for n, c in enumerate(columns)]
        source = f"FROM {self.name(parent.table)} AS p {join}"
        if not any(rows.num_rows for rows in self.query(f"SELECT 1 {source} LIMIT 1")):
            return None
        conditions = [f"{owner}.{self.column('_deleted_at')} IS NULL"]
        values: list[Any] = []
        for column, allowed in parent.where.items():
            conditions.append(f"p.{self.column(column)} IN ({', '.join(['%s'] * len(allowed))})")
            values += allowed
        if since is not None:
            conditions.append(f"{owner}.{self.column('_synced_at')} > %s")
            values.append(since)
        sql = (
            f"SELECT DISTINCT {', '.join(selected)} {source} "
            f"WHERE {' AND '.join(conditions)}"
        )
        found: list[tuple[Any, ...]] = []
        for rows in self.query(sql, *values):
            found += list(zip(*(c.to_pylist() for c in rows.columns), strict=True))
        return found

    def _owner_of(self, table: str) -> tuple[str, str]:
        """The alias of the main table that says whether a row lives, and the join to it."""
        if table in MAIN_TABLES:
            return "p", ""
        for endpoint in ENDPOINTS:
            for child in endpoint.children:
                if child.table == table:
                    on = " AND ".join(
                        f"p.{self.column(mine)} = o.{self.column(theirs)}"
                        for mine, theirs in child.owner.items()
                    )
                    return "o", f"JOIN {self.name(endpoint.table)} AS o ON {on}"
        raise KeyError(table)

    def rows(self, table: Table, ids: Ids) -> pa.Table:
        """The rows with these key ids, whole, in the table's own Arrow schema."""
        wanted = np.sort(ids)
        names = [c.name for c in table.all_columns]
        sql = f"SELECT {', '.join(self.column(n) for n in names)} FROM {self.name(table.name)}"
        values: tuple[Any, ...] = ()
        if len(ids) <= 500 and table.endpoint.key == ("id",) and _is_bigint(table):
            marks = ", ".join(["%s"] * len(ids))
            sql += f" WHERE {self.column('id')} IN ({marks})"
            values = tuple(int(i) for i in ids)
        parts = []
        for rows in self.query(sql, *values):
            part = _typed(rows, table.arrow_schema)
            found = _table_ids(table, part)
            places = np.minimum(np.searchsorted(wanted, found), max(len(wanted) - 1, 0))
            parts.append(part.filter(pa.array(wanted[places] == found)))
        return pa.concat_tables(parts) if parts else table.arrow_schema.empty_table()

    def table(self, table: Table) -> Iterator[pa.Table]:
        """All rows of a table, in its own Arrow schema; the hash of half-loaded ones is unknown."""
        selected = [self.column(c.name) for c in table.all_columns]
        if table.child is None and table.key != ("_row_hash",):
            row_hash = self.column("_row_hash")
            selected[selected.index(row_hash)] = (
                f"CASE WHEN {self.completed()} THEN {row_hash} ELSE {UNKNOWN} END AS {row_hash}"
            )
        yield from self.select(table.name, table.arrow_schema, selected)

    def select(
        self, table: str, schema: pa.Schema, selected: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """All rows of a table in an Arrow schema; ``selected`` is the SQL of its columns."""
        columns = ", ".join(selected or [self.column(name) for name in schema.names])
        for rows in self._streamed(f"SELECT {columns} FROM {self.name(table)}", f"all_{table}"):
            yield _typed(rows, schema)

    def _streamed(self, sql: str, name: str) -> Iterator[pa.Table]:
        """A result of any size, which Postgres's driver takes in whole but for named cursors."""
        if self._client.capabilities.sqlglot_dialect != "postgres":
            yield from self.query(sql)
            return
        with self._client.native_connection.cursor(name, withhold=True) as cursor:
            cursor.execute(sql)
            yield from _fetched(cursor)

    def count(self, table: str) -> int:
        found = self.query(f"SELECT COUNT(*) AS rows_held FROM {self.name(table)}")
        return sum(int(rows.column(0)[0].as_py()) for rows in found if rows.num_rows)

    def written(self, table: Table, since: datetime) -> Iterator[Ids]:
        """The key ids of the living rows that were written by runs from this one on."""
        columns = ", ".join(self.column(name) for name in table.key)
        sql = (
            f"SELECT {columns} FROM {self.name(table.name)} "
            f"WHERE {self.column('_synced_at')} >= %s "
            f"AND {self.column('_deleted_at')} IS NULL AND {self.completed()}"
        )
        for rows in self.query(sql, since):
            if table.key == ("_row_hash",):
                yield _ints(rows.column(0))
            else:
                yield key_ids(rows.columns)

    def seen(self, resource: str, read_id: str) -> Iterable[Ids]:
        """The key ids that were kept of a read: those that it saw, and had no need to write."""
        sql = (
            f"SELECT {self.column('key_id')} FROM {self.name('_sync_seen')} WHERE "
            f"{self.column('resource')} = %s AND {self.column('read_id')} = %s "
            f"AND {self.completed()}"
        )
        for rows in self.query(sql, resource, read_id):
            yield _ints(rows.column(0))

    def set_aside(self) -> dict[str, Ids]:
        """The rows that are set aside: resource to key ids, of those that have a usable key."""
        found: dict[str, list[int]] = {}
        columns = ", ".join(self.column(name) for name in ("resource", "key"))
        sql = (
            f"SELECT {columns} FROM {self.name('_rejected_rows')} "
            f"WHERE {self.column('resolved_at')} IS NULL"
        )
        for rows in self.query(sql):
            for resource, key in zip(*(c.to_pylist() for c in rows.columns), strict=True):
                ids = found.setdefault(resource, [])
                if resource in MAIN_TABLES and not key.startswith("#"):
                    ids.append(key_id(key_values(MAIN_TABLES[resource], key)))
        return {resource: np.array(ids, np.int64) for resource, ids in found.items()}

    def resolve_rejected(self, resource: str, settled: Settled, now: datetime) -> None:
        """Mark rows that were set aside, and by a complete read fit now or are gone."""
        column = self.column
        where = (
            f"{column('resolved_at')} IS NULL AND {column('resource')} = %s "
            f"AND {column('rejected_at')} < %s"
        )
        values = {"resolved_at": now}
        if settled.parents is None:
            self.update("_rejected_rows", values, where, resource, settled.before)
            return
        outer = column_names(MAIN_TABLES[resource].endpoint)
        sql = (
            f"SELECT {column('key')}, {column('row')} FROM {self.name('_rejected_rows')} "
            f"WHERE {where}"
        )
        keys = []
        for rows in self.query(sql, resource, settled.before):
            for key, text in zip(*(c.to_pylist() for c in rows.columns), strict=True):
                row = read_json(text.encode())[0]
                if isinstance(row, dict) and key_id(tuple(map(row.get, outer))) in settled.parents:
                    keys.append(key)
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            among = f"{where} AND {column('key')} IN ({', '.join(['%s'] * len(some))})"
            self.update("_rejected_rows", values, among, resource, settled.before, *some)

    def forget_unproven(self, resource: str, keys: Sequence[str]) -> None:
        """Remove these rows from the log of deletions, as far as no completed load logged them."""
        table, column = self.name("_deletions"), self.column
        of_resource, load = f"{column('resource')} = %s", column("_dlt_load_id")
        sql = (
            f"SELECT DISTINCT {load} FROM {table} "
            f"WHERE {of_resource} AND NOT ({self.completed()})"
        )
        cut_off = [id for rows in self.query(sql, resource) for id in rows.column(0).to_pylist()]
        for start in range(0, len(keys) if cut_off else 0, 500):
            some = keys[start : start + 500]
            loads, among = (", ".join(["%s"] * len(values)) for values in (cut_off, some))
            self.execute(
                f"DELETE FROM {table} WHERE {of_resource} AND {load} IN ({loads}) "
                f"AND {column('key')} IN ({among})",
                resource, *cut_off, *some,
            )

    def forget_seen(self, unfinished: Iterable[str]) -> None:
        """Remove the keys of reads that are over; ``unfinished`` are the ids of those that last."""
        keep = list(unfinished)
        table = self.name("_sync_seen")
        where = ""
        if keep:
            marks = ", ".join(["%s"] * len(keep))
            where = f" WHERE {self.column('read_id')} NOT IN ({marks})"
        if any(t.num_rows for t in self.query(f"SELECT 1 FROM {table}{where} LIMIT 1", *keep)):
            self.execute(f"DELETE FROM {table}{where or ' WHERE 1 = 1'}", *keep)


def _chunks(cursor: Any) -> Iterator[pa.Table]:
    """A result in Arrow tables: the driver's own where it has them, else made from its rows."""
    if type(cursor).iter_arrow is not DBApiCursorImpl.iter_arrow:
        for chunk in cursor.iter_arrow(chunk_size=CHUNK):
            yield chunk if isinstance(chunk, pa.Table) else pa.table(chunk)
    else:
        yield from _fetched(cursor)


def _fetched(cursor: Any) -> Iterator[pa.Table]:
    while rows := cursor.fetchmany(CHUNK):
        columns = [
            pa.array([dump_json(v) if isinstance(v, dict | list) else v for v in column])
            for column in zip(*rows, strict=True)
        ]
        yield pa.table(columns, names=[column[0] for column in cursor.description])


def _table_ids(table: Table, rows: pa.Table) -> Ids:
    if table.key == ("_row_hash",):
        return _ints(rows.column("_row_hash"))
    return key_ids([rows.column(name) for name in table.key])


def _is_bigint(table: Table) -> bool:
    return any(c.name == "id" and c.type == "bigint" for c in table.columns)


def _typed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    arrays = [
        _to_type(column, field.type) for column, field in zip(rows.columns, schema, strict=True)
    ]
    return pa.table(arrays, schema=schema)


def _to_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    return column.cast(kind)


def _ints(column: pa.ChunkedArray) -> Ids:
    return np.asarray(
        column.combine_chunks().cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False),
        np.int64,
    )


def _flags(column: pa.ChunkedArray) -> Any:
    filled = column.combine_chunks().cast(pa.bool_()).fill_null(False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.bool_)
