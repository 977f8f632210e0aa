"""How the tables in the destination fit what is written into them: looked up before a run reads.

People alter tables: they drop a column, change a type, add an index. A load would fail for it, or
leave nulls without a word. What is missing is added again; what is in the way is named.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.eduframe.destinations.postgres.rights import Foreign, foreign_tables
from pipelines.eduframe.destinations.postgres.views import dropping_ours
from pipelines.eduframe.destinations.tables.schema_upgrade import (
    OURS,
    AnyTable,
    as_stored,
    lists_of,
    statements_for,
)
from pipelines.eduframe.place.target import is_a
from schemas.eduframe.models.column_types import DECIMAL_PRECISION, DECIMAL_SCALE
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import Table

LOAD_ID = Column("_dlt_load_id", "text")
"""dlt's own column in all of our tables."""

_LENIENT = {
    "bigint": {"bigint", "hugeint", "numeric"},
    "text": {"text", "varchar", "character varying"},
    "bool": {"boolean"},
    "timestamp": {"timestamp with time zone", "timestamp(6) with time zone"},
    "date": {"date"},
    "json": {"json", "jsonb"},
}
"""The SQL types that hold all values of a type of ours; for decimals see :func:`_holds`."""
_WIDER = {"hugeint", "numeric"}
"""Those that are read back as something else: too good for a key."""

_CATALOGS = {
    "duckdb": (
        "SELECT table_name, column_name, lower(data_type), is_nullable, "
        "column_default, table_oid IN (SELECT view_oid FROM duckdb_views()) FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = %s ORDER BY column_index",
        "SELECT table_name, index_name, CAST(NULL AS VARCHAR[]), false FROM duckdb_indexes() "
        "WHERE database_name = current_database() AND schema_name = %s AND is_unique "
        "UNION ALL SELECT table_name, constraint_name, constraint_column_names, true "
        "FROM duckdb_constraints() WHERE database_name = current_database() "
        "AND schema_name = %s AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')",
    ),
    "postgres": (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, "
        "CASE WHEN a.attgenerated <> '' THEN 'EXPRESSION' WHEN a.attidentity = 'a' THEN 'IDENTITY' "
        "WHEN a.attidentity = 'd' THEN 'identity' WHEN a.atthasdef THEN 'default' END, "
        "c.relkind NOT IN ('r', 'p') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') "
        "AND a.attnum > 0 AND NOT a.attisdropped "
        "ORDER BY a.attnum",
        "SELECT c.relname, i.relname, ARRAY(SELECT a.attname::text FROM pg_attribute a "
        "WHERE a.attrelid = c.oid AND a.attnum = ANY(x.indkey[0:x.indnkeyatts - 1])), "
        "k.conname IS NOT NULL FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid "
        "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x') "
        "WHERE n.nspname IN (%s, %s) AND (x.indisunique OR x.indisexclusion)",
    ),
}
"""By dialect: the columns of all tables of a dataset, and what must be unique in them."""
_CHECKS = (
    "SELECT table_name, constraint_text FROM duckdb_constraints() "
    "WHERE database_name = current_database() AND schema_name = %s "
    "AND constraint_type IN ('CHECK', 'FOREIGN KEY')"
)


@dataclass(frozen=True)
class StoredColumn:
    """A column as it is in the destination."""

    type: str | None = None
    """Its SQL type in small letters; None where the catalog is not asked for it."""
    nullable: bool = True
    default: str | None = None
    """What DuckDB gives it by default, in SQL; of Postgres only what one would drop."""


@dataclass(frozen=True)
class Unique:
    """An index or constraint by which rows must differ."""

    name: str
    columns: tuple[str, ...]
    """Empty for what is no plain column."""
    constraint: bool


@dataclass
class StoredTable:
    """A table as it is in the destination."""

    columns: dict[str, StoredColumn] = field(default_factory=dict)
    uniques: list[Unique] = field(default_factory=list)
    is_view: bool = False
    """Whether it is no table, but something else in its place."""
    foreign: Foreign | None = None
    """What the sync's role may not do with it."""
    checks: list[str] = field(default_factory=list)
    """Of DuckDB: what rows must keep to, in SQL. Nothing but a table in its place removes it."""


@dataclass(frozen=True)
class Misfit:
    """Something in a table that keeps rows out, or spoils them."""

    what: str
    remedy: tuple[str, ...]
    """The SQL that helps, where plain SQL does."""
    column: str | None = None
    retyped: Column | None = None
    """What the column must be, where its type is another."""
    unique: tuple[str, ...] = ()
    """The columns that a constraint in the way is over, which keys elsewhere may refer to."""


@dataclass
class Fit:
    """What a table lacks, and what is in its way."""

    table: AnyTable
    stored: StoredTable
    missing: list[Column]
    misfits: list[Misfit]

    @property
    def lost_key(self) -> bool:
        """Whether its rows cannot be told apart any more."""
        return any(column.name in key_of(self.table) for column in self.missing)


def look(pipeline: Any, dataset: Dataset) -> dict[str, StoredTable]:
    """Those of our tables that are there, as they are; of Delta tables no more than that."""
    client = dataset.client
    found: dict[str, StoredTable] = {}
    if is_a(pipeline, "duckdb", "motherduck", "postgres"):
        if not client.has_dataset():
            return {}
        columns, uniques = _CATALOGS["postgres" if is_a(pipeline, "postgres") else "duckdb"]
        for table, name, kind, nullable, default, is_view in client.execute_sql(
            columns, client.dataset_name
        ):
            if table in OURS:
                stored = found.setdefault(table, StoredTable(is_view=bool(is_view)))
                stored.columns[name] = StoredColumn(kind, bool(nullable), default)
        for table, name, keys, constraint in client.execute_sql(
            uniques, client.dataset_name, client.dataset_name
        ):
            if table in found:
                found[table].uniques.append(Unique(name, tuple(keys or ()), constraint))
        if is_a(pipeline, "postgres"):
            for (schema, table), foreign in foreign_tables(client).items():
                if schema == client.dataset_name and table in found:
                    found[table].foreign = foreign
        else:
            for table, text in client.execute_sql(_CHECKS, client.dataset_name):
                if table in found:
                    found[table].checks.append(text)
        return found
    there = dataset.stored_columns(OURS)
    if is_a(pipeline, "filesystem"):
        return {table: StoredTable() for table in there}
    return {
        table: StoredTable({name.lower(): StoredColumn() for name in columns})
        for table, columns in there.items()
    }


def compare(
    pipeline: Any,
    dataset: Dataset,
    tables: Mapping[str, StoredTable],
    whole: Collection[str] = (),
) -> Iterator[Fit]:
    """The tables that are not as they must be; of the lists in ``whole`` also what may be in the
    way of a row some day. What a new release wants besides is not looked at: see
    :mod:`pipelines.eduframe.destinations.tables.schema_upgrade`."""
    schema = pipeline.default_schema.tables if pipeline.default_schema_name else {}
    for name, stored in sorted(tables.items()):
        table, known = OURS[name], schema.get(name, {}).get("columns", {})
        wanted = [
            column
            for column in (*(as_stored(pipeline, c) for c in table.all_columns), LOAD_ID)
            if not known or column.name in known
        ]
        if not stored.columns:
            continue
        if stored.is_view:
            what = f"{name} is a view, where a table belongs: drop or rename it, and sync again"
            yield Fit(table, stored, [], [Misfit(what, (f"DROP VIEW {dataset.name(name)}",))])
            continue
        fit = Fit(table, stored, [c for c in wanted if c.name not in stored.columns], [])
        if any(column.type for column in stored.columns.values()):
            fit.misfits += _columns_in_the_way(dataset, table, stored, wanted, known)
            fit.misfits += _uniques_in_the_way(pipeline, dataset, table, stored)
        if {*lists_of(table)} & {*whole}:
            fit.misfits += [Misfit(f"{name} has a {text}", ()) for text in stored.checks]
        if stored.foreign:
            fit.misfits += [Misfit(what, (helps,)) for what, helps in stored.foreign.wrong]
        if fit.missing or fit.misfits:
            yield fit


def key_of(table: AnyTable) -> tuple[str, ...]:
    """The columns by which a table's rows are merged."""
    if isinstance(table, Table):
        return table.merge_columns
    return tuple(column.name for column in table.columns[: table.key])


def _columns_in_the_way(
    dataset: Dataset,
    table: AnyTable,
    stored: StoredTable,
    wanted: list[Column],
    known: Mapping[str, Any],
) -> Iterator[Misfit]:
    ours = {column.name: column for column in wanted}
    alter, key = f"ALTER TABLE {dataset.name(table.name)} ALTER COLUMN", key_of(table)
    for name, column in stored.columns.items():
        quoted, place = dataset.column(name), f"{table.name}.{name}"
        mine = ours.get(name)
        if mine is not None:
            kind = known.get(name, {}).get("data_type", mine.type)
            stored_as = str(column.type)
            if mine == LOAD_ID:  # which dlt gives a length
                stored_as = stored_as.partition("(")[0]
            # what an upgrade has changed already, or the owner has in its stead, is as it must be
            if not any(_holds(one, stored_as, name in key) for one in (kind, mine.type)):
                yield Misfit(
                    f"{place} is {column.type}, which does not hold every {kind}",
                    tuple(_retyping(dataset, table, mine)), name, mine,
                )
            elif column.default in ("EXPRESSION", "IDENTITY"):
                yield Misfit(
                    f"{place} is generated, and takes no value",
                    (f"{alter} {quoted} DROP {column.default}",), name,
                )
        may_be_null = name not in (*key, LOAD_ID.name) if mine else not column.default
        made_so = known.get(name, {}).get("nullable") is False
        if may_be_null and not column.nullable and not made_so:
            yield Misfit(
                f"{place} is NOT NULL, and "
                f"{'may be null in a row' if mine is not None else 'is no column of ours'}",
                (f"{alter} {quoted} DROP NOT NULL",), name,
            )


def _retyping(dataset: Dataset, table: AnyTable, column: Column) -> Iterator[str]:
    with dataset.job_client() as client:
        if is_a(dataset.pipeline, "postgres"):  # where a view holds on to the column
            yield from dropping_ours(client.sql_client, dataset.name(table.name), [column.name])
        if column == LOAD_ID:
            alter = f"ALTER TABLE {dataset.name(table.name)} ALTER COLUMN"
            yield f"{alter} {dataset.column(column.name)} TYPE varchar"
        else:
            yield from statements_for(client, dataset, table, column)


def _uniques_in_the_way(
    pipeline: Any, dataset: Dataset, table: AnyTable, stored: StoredTable
) -> Iterator[Misfit]:
    """On DuckDB each: rows are deleted and inserted in one transaction, for which its indexes are
    checked too early. On Postgres those over something else than what we hold to be unique."""
    for unique in stored.uniques:
        over = f" over {', '.join(unique.columns)}" if unique.columns else ""
        what = f"{table.name} has a unique {'constraint' if unique.constraint else 'index'} "
        name = dataset.column(unique.name)
        if is_a(pipeline, "postgres"):
            ours = _unique_in(table)
            if ours and set(ours) <= set(unique.columns):
                continue
            drop = (
                f"ALTER TABLE {dataset.name(table.name)} DROP CONSTRAINT {name}"
                if unique.constraint
                else f"DROP INDEX {dataset.name(unique.name)}"
            )
            yield Misfit(
                f"{what}{unique.name}{over}, which its rows need not keep to",
                (drop,), unique=unique.columns,
            )
        else:
            remedy = () if unique.constraint else (f"DROP INDEX {dataset.name(unique.name)}",)
            yield Misfit(
                f"{what}{unique.name}{over}, and DuckDB lets no row be replaced under one", remedy
            )


def _unique_in(table: AnyTable) -> tuple[str, ...]:
    """The columns that no two rows of a table share; none where rows may be alike."""
    if not isinstance(table, Table) or table.child is None:
        return key_of(table)
    return (*table.owner_columns, *table.key) if table.key else ()


def _holds(kind: str, stored: str, in_key: bool) -> bool:
    """Whether an SQL type holds every value of one of ours."""
    if kind == "decimal":
        found = re.fullmatch(r"(?:decimal|numeric)(?:\((\d+),(\d+)\))?", stored)
        if not found or not found[1]:
            return found is not None
        precision, scale = int(found[1]), int(found[2])
        whole = DECIMAL_PRECISION - DECIMAL_SCALE
        return scale >= DECIMAL_SCALE and precision - scale >= whole
    return stored in _LENIENT.get(kind, {stored}) and not (in_key and stored in _WIDER)
