"""SQL in the dataset: queries whose results are Arrow tables, for whatever destination it is in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.sql_client import DBApiCursorImpl

from sources.eduframe.rows.json_text import dump_json
from sources.eduframe.rows.keys import Ids

CHUNK = 100_000
"""Rows fetched at a time."""
SPARED = "16MB"
"""What DuckDB may keep of tables that were read, and are not needed soon."""


class Dataset:
    """Reads the dataset of one pipeline. A context manager: one connection, held while open.
    It may be opened again.

    In its queries each column of the result has a name of its own: BigQuery takes no others.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self._manager: Any = None
        self._client: Any = None

    def __enter__(self) -> Self:
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

    @contextmanager
    def job_client(self) -> Iterator[Any]:
        """dlt's other client, which knows tables; in Postgres over the connection that is open, as
        there may be no other."""
        client = self.pipeline.destination_client()
        if self._client.capabilities.sqlglot_dialect == "postgres":
            client.sql_client = self._client
            yield client
        else:
            with client:
                yield client

    def query(self, sql: str, *params: Any) -> Iterator[pa.Table]:
        """The result of a query, in Arrow tables. A table that is not there gives no rows."""
        try:
            with self._client.execute_query(sql, *params) as cursor:
                try:
                    yield from _chunks(cursor)
                except GeneratorExit:  # who has seen enough; SQLAlchemy wants it ended
                    return
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

    def spare_memory(self) -> None:
        """Let the engine drop what it keeps of tables that it has read, where it runs within our
        process: DuckDB would keep all that it met, up to most of the machine's memory."""
        if self._client.capabilities.sqlglot_dialect != "duckdb":
            return
        setting = "SELECT current_setting('memory_limit') AS most"
        number, unit = next(iter(self.query(setting))).column(0)[0].as_py().split()
        most = f"{float(number) + 0.05:.2f}{unit}"  # as it is told with the next digits cut off
        for limit in (SPARED, most):
            # Where somebody works in the same process and needs more, or where settings are
            # locked, DuckDB refuses, and what it keeps stays.
            with suppress(DatabaseException):
                self.execute(f"SET memory_limit = '{limit}'")

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

    def stored_columns(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Those of these tables that are there, with their columns as dlt sees them."""
        if not self._client.has_dataset():
            return {}
        with self.job_client() as client:
            found = client.get_storage_tables(list(names))
            return {name: columns for name, columns in found if columns}

    def existing(self, names: Iterable[str]) -> set[str]:
        """Which of these tables are there."""
        return {*self.stored_columns(names)}

    def select(
        self, table: str, schema: pa.Schema, selected: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """All rows of a table in an Arrow schema; ``selected`` is the SQL of its columns."""
        columns = ", ".join(selected or [self.column(name) for name in schema.names])
        for rows in self._streamed(f"SELECT {columns} FROM {self.name(table)}", f"all_{table}"):
            yield typed(rows, schema)

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
        yield pa.table(columns, names=_names(cursor))


def _names(cursor: Any) -> list[str]:
    if isinstance(cursor, DBApiCursorImpl):  # SQLAlchemy's result has no description
        return list(cursor._get_columns())
    return [column[0] for column in cursor.description]


def typed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
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


def ints(column: pa.ChunkedArray) -> Ids:
    return np.asarray(
        column.combine_chunks().cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False),
        np.int64,
    )


def flags(column: pa.ChunkedArray) -> Any:
    filled = column.combine_chunks().cast(pa.bool_()).fill_null(False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.bool_)
