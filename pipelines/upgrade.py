"""A new release knows more fields, or other types: an existing dataset is brought up to date.

Columns are added and changed in place. Rows of those tables get an unknown hash, so that the
next read of their list writes them again, with what the column lacks.
"""

from collections.abc import Iterable
from typing import Any

from dlt.common.schema.utils import new_table

from pipelines.pieces import ALL_TABLES
from sources.eduframe.hashing import UNKNOWN
from sources.eduframe.memory import Memory
from sources.eduframe.tables import CHILD_TABLES, MAIN_TABLES, Column, Table


def upgrade(pipeline: Any, memory: Memory, existing: Iterable[str]) -> list[str]:
    """Bring the columns of the tables that are there to what the models say.

    Returns what was done, in words.
    """
    if not pipeline.default_schema_name:
        return []
    held = pipeline.default_schema.tables
    notes: list[str] = []
    for name in sorted(set(existing) & set(ALL_TABLES) & set(held)):
        table, columns = ALL_TABLES[name], held[name]["columns"]
        added = [c for c in table.all_columns if c.name not in columns]
        changed = [
            c
            for c in table.all_columns
            if c.name in columns and columns[c.name].get("data_type", c.type) != c.type
        ]
        if not added and not changed:
            continue
        _forget_hashes(memory, table)
        for column in changed:
            was = columns[column.name]["data_type"]
            _change(pipeline, memory, table, column)
            notes.append(f"{name}.{column.name} is {column.type} now, and was {was}")
        if added:
            names = ", ".join(column.name for column in added)
            notes.append(f"{name} has new columns, which the next read fills: {names}")
        hints: dict[str, Any] = table.dlt_columns()
        pipeline.default_schema.update_table(
            new_table(name, columns=[hints[c.name] for c in (*added, *changed)])
        )
    if notes:
        pipeline.default_schema._bump_version()  # dlt refuses a schema that changed under its hash
        with pipeline.destination_client() as client:
            client.update_stored_schema()
    return notes


def _forget_hashes(memory: Memory, table: Table) -> None:
    """Make the next read write the rows of this table, or the owners of its rows, again."""
    for main in MAIN_TABLES.values():
        if main is table or any(table.name == c.name for c in CHILD_TABLES[main.name]):
            row_hash = memory.column("_row_hash")
            if main.key != ("_row_hash",):
                memory.execute(
                    f"UPDATE {memory.name(main.name)} SET {row_hash} = {UNKNOWN} WHERE 1 = 1"
                )


def _change(pipeline: Any, memory: Memory, table: Table, column: Column) -> None:
    """Give a column its new type, keeping the values that have a meaning in it."""
    name = memory.column(column.name)
    with pipeline.destination_client() as client:
        kind = client.type_mapper.to_destination_type(
            table.dlt_columns()[column.name], client.prepare_load_table(table.name)
        )
        dialect = client.capabilities.sqlglot_dialect
        alter = f"ALTER TABLE {memory.name(table.name)}"
        if dialect == "duckdb":
            change = [f"{alter} ALTER COLUMN {name} TYPE {kind} USING TRY_CAST({name} AS {kind})"]
        elif dialect == "postgres" and client.sql_client.native_connection.server_version >= 160000:
            kept = f"CASE WHEN pg_input_is_valid({name}::text, '{kind}') THEN {name}::text END"
            change = [f"{alter} ALTER COLUMN {name} TYPE {kind} USING ({kept})::{kind}"]
        else:  # what the column held comes back with the next read
            change = [f"{alter} DROP COLUMN {name}", f"{alter} ADD COLUMN {name} {kind}"]
        for statement in change:
            client.sql_client.execute_sql(statement)
        with client.sql_client.with_staging_dataset():
            client.sql_client.drop_tables(table.name)
