"""A new release knows more fields, or other types: an existing dataset is brought up to date.

Columns are added and changed in place. Rows of those tables get an unknown hash, so that the
next read of their list writes them again, with what the column lacks. All types change together,
where the destination can do that; killed in between, the next run does the same once more.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from dlt.common.schema.utils import new_table

from pipelines.eduframe.destinations.postgres.rights import foreign_tables
from pipelines.eduframe.destinations.postgres.views import dropping_ours, views_aside
from pipelines.eduframe.failures import error_lines
from pipelines.eduframe.place.target import is_a
from pipelines.eduframe.store.run_log import LOG_TABLES, SYNC_RUNS, LogTable
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import UpgradeError
from sources.eduframe.rows.hashing import UNKNOWN
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, CHILD_TABLES, JSON_IN, MAIN_TABLES, Table

AnyTable = Table | LogTable

OURS: Mapping[str, AnyTable] = {**ALL_TABLES, **{table.name: table for table in LOG_TABLES}}
"""All tables that a release may change."""


def upgrade(pipeline: Any, dataset: Dataset, existing: Iterable[str]) -> list[str]:
    """Bring the columns of the tables that are there to what the models say.

    Returns what was done, in words.

    Raises:
        UpgradeError: something that others made, such as a view, holds on to a column.
    """
    if not pipeline.default_schema_name:
        return []
    schema_tables = pipeline.default_schema.tables
    changes: list[tuple[AnyTable, Column]] = []
    hints: dict[str, list[Any]] = {}
    notes: list[str] = []
    for name in sorted(set(existing) & set(OURS) & set(schema_tables)):
        table, columns = OURS[name], schema_tables[name]["columns"]
        wanted = [as_stored(pipeline, c) for c in table.all_columns]
        added = [c for c in wanted if c.name not in columns]
        changed = [
            c
            for c in wanted
            if c.name in columns and columns[c.name].get("data_type", c.type) != c.type
        ]
        if not added and not changed:
            continue
        for column in changed:
            was = columns[column.name]["data_type"]
            if not is_a(pipeline, "filesystem"):
                changes.append((table, column))
            notes.append(f"{name}.{column.name} is {column.type} now, and was {was}")
        if added and isinstance(table, Table):
            names = ", ".join(column.name for column in added)
            notes.append(f"{name} has new columns, which the next read fills: {names}")
        hints[name] = [hint_for(table, column) for column in (*added, *changed)]
    if hints and is_a(pipeline, "postgres"):
        _check_rights(pipeline, dataset, hints)
    for name in hints:
        table = OURS[name]
        if isinstance(table, Table):
            forget_hashes(dataset, lists_of(table))
        if is_a(pipeline, "filesystem"):
            pipeline.destination_client().conform(name, table.arrow_schema)
    if changes:
        _change_all(pipeline, dataset, changes)
    if hints:
        schema = pipeline.default_schema
        for name, found in hints.items():
            schema.update_table(new_table(name, columns=found))
        schema._bump_version()  # dlt refuses a schema that changed under its hash
        pipeline.schemas.save_schema(schema)  # or it takes the one from before once more
        with dataset.job_client() as client:
            client.update_stored_schema()
    return notes


def _check_rights(pipeline: Any, dataset: Dataset, hints: Mapping[str, list[Any]]) -> None:
    """Raises:
    UpgradeError: a table is another role's, which is to run some statements in the sync's stead.
    """
    said = []
    with dataset.job_client() as client:
        for (schema, name), foreign in foreign_tables(client.sql_client).items():
            if foreign.owner is None or name not in hints:
                continue
            is_staging = schema != client.sql_client.dataset_name
            with client.sql_client.with_staging_dataset() if is_staging else nullcontext():
                there = client.get_storage_table(name)[1]
            columns = [hint["name"] for hint in hints[name] if not _is_done(hint, there)]
            if not columns:
                continue
            statements = [f"DROP TABLE {foreign.name}"]  # of staging, where nothing stays
            if not is_staging:
                statements = [
                    *_in_its_stead(pipeline, client, dataset, OURS[name], columns),
                    *(helps for _, helps in foreign.wrong),
                ]
            said.append(f"{schema}.{name} ({', '.join(columns)}): {foreign.mended_by(statements)}")
    if said:
        raise UpgradeError(
            f"This release adds or changes columns, and may not: {'. '.join(said)}. Then sync "
            "again."
        )


def _is_done(hint: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether a table has a column as it is to be: its owner has done it, or a run that ended."""
    return bool(there.get(hint["name"], {}).get("data_type") == hint["data_type"])


def _in_its_stead(
    pipeline: Any, client: Any, dataset: Dataset, table: AnyTable, columns: Collection[str]
) -> Iterator[str]:
    """The SQL that adds or changes these columns."""
    there = client.get_storage_table(table.name)[1]
    for column in (as_stored(pipeline, c) for c in table.all_columns if c.name in columns):
        if column.name in there:
            yield from dropping_ours(client.sql_client, dataset.name(table.name), [column.name])
            yield from statements_for(client, dataset, table, column)
        else:
            hint = hint_for(table, column)
            kind = client.type_mapper.to_destination_type(hint, prepared(client, table))
            add = f"ADD COLUMN {dataset.column(column.name)} {kind}"
            yield f"ALTER TABLE {dataset.name(table.name)} {add}"


def as_stored(pipeline: Any, column: Column) -> Column:
    """A column as the destination has it: in many of them, JSON is text."""
    is_text = column.type == "json" and not is_a(pipeline, *JSON_IN)
    return replace(column, type="text") if is_text else column


def hint_for(table: AnyTable, column: Column) -> dict[str, Any]:
    """dlt's hint for a column of a table, with the type that it has in the destination."""
    return {**table.dlt_columns()[column.name], "data_type": column.type}


def lists_of(table: AnyTable) -> list[str]:
    """The lists whose rows a table holds, in whole or in part."""
    return [
        name
        for name, main in MAIN_TABLES.items()
        if main is table or any(table.name == child.name for child in CHILD_TABLES[name])
    ]


def forget_hashes(dataset: Dataset, lists: Iterable[str]) -> None:
    """Make the next read of these lists write their rows again."""
    for name in lists:
        if MAIN_TABLES[name].key != ("_row_hash",):
            row_hash = dataset.column("_row_hash")
            known = f"{row_hash} <> {UNKNOWN} OR {row_hash} IS NULL"
            dataset.update(name, {"_row_hash": UNKNOWN}, known)


def _change_all(
    pipeline: Any, dataset: Dataset, changes: Iterable[tuple[AnyTable, Column]]
) -> None:
    """Give columns their new types, all of them or none, where DDL knows transactions."""
    with dataset.job_client() as client:
        sql = client.sql_client
        whole = sql.capabilities.supports_ddl_transactions
        with sql.begin_transaction() if whole else nullcontext():
            for table, column in changes:
                with sql.with_staging_dataset():
                    sql.drop_tables(table.name)
                is_postgres = sql.capabilities.sqlglot_dialect == "postgres"
                there = client.get_storage_table(table.name)[1] if is_postgres else {}
                if _is_done(hint_for(table, column), there):
                    continue
                try:
                    if is_postgres:
                        drop_references(dataset, sql, table.name, [column.name])
                    name = dataset.name(table.name)
                    ours = views_aside(sql, name, [column.name], ours_only=True)
                    with ours if is_postgres else nullcontext():
                        for statement in statements_for(client, dataset, table, column):
                            sql.execute_sql(statement)
                except Exception as error:  # each driver has exceptions of its own
                    raise UpgradeError(
                        f"In this release {table.name}.{column.name} is {column.type}, and the "
                        f"destination does not let it become that: {error_lines(error)}. "
                        f"{'Nothing was changed. ' if whole else ''}If a view of yours uses the "
                        "column, drop it, sync again, and make it anew."
                    ) from error


def drop_references(dataset: Dataset, sql: Any, table: str, columns: Collection[str]) -> None:
    """Drop our foreign keys that have one of a table's columns at either end: their columns could
    only change both at once.

    Without its comment, ``_sync_runs`` says that keys are missing: they are made again at the end
    of the run (see :mod:`pipelines.eduframe.destinations.tables.constraints`).
    """
    found = sql.execute_sql(
        "SELECT c.relname, k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a "
        "ON (a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey)) "
        "OR (a.attrelid = k.confrelid AND a.attnum = ANY(k.confkey)) "
        "WHERE n.nspname = %s AND k.contype = 'f' AND c.relname = ANY(%s) "
        "AND a.attrelid = %s::regclass AND a.attname = ANY(%s) GROUP BY 1, 2",
        sql.dataset_name,
        [*OURS],
        dataset.name(table),
        [*columns],
    )
    for owner, name in found or ():
        sql.execute_sql(f"ALTER TABLE {dataset.name(owner)} DROP CONSTRAINT {dataset.column(name)}")
    if found:
        sql.execute_sql(f"COMMENT ON TABLE {dataset.name(SYNC_RUNS.name)} IS NULL")


def prepared(client: Any, table: AnyTable) -> Any:
    """A table as dlt's type mappers want it, also where dlt's schema was lost, with what somebody
    dropped or emptied of dlt's own tables."""
    known = table.name in client.schema.tables
    return client.prepare_load_table(table.name) if known else new_table(table.name)


def statements_for(client: Any, dataset: Dataset, table: AnyTable, column: Column) -> Iterator[str]:
    """What gives a column its new type, keeping the values that have a meaning in it."""
    name, alter = dataset.column(column.name), f"ALTER TABLE {dataset.name(table.name)}"
    kind = client.type_mapper.to_destination_type(hint_for(table, column), prepared(client, table))
    dialect = client.capabilities.sqlglot_dialect
    if dialect == "duckdb":
        yield f"{alter} ALTER COLUMN {name} TYPE {kind} USING TRY_CAST({name} AS {kind})"
    elif dialect == "postgres" and client.sql_client.native_connection.server_version >= 160000:
        kept = f"CASE WHEN pg_input_is_valid({name}::text, '{kind}') THEN {name}::text END"
        yield f"{alter} ALTER COLUMN {name} TYPE {kind} USING ({kept})::{kind}"
    else:  # what the column held comes back with the next read
        if column.name in client.get_storage_table(table.name)[1]:
            yield f"{alter} DROP COLUMN {name}"
        yield f"{alter} ADD COLUMN {name} {kind}"
