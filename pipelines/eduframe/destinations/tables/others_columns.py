"""Columns that others added to our tables: rows are deleted and inserted, and what they held in
such a column is put back, where the row has a key to know it by."""

from collections.abc import Iterator, Sequence
from typing import Any

from sources.eduframe.rows.tables import ALL_TABLES

_GENERATED = {
    "duckdb": "SELECT column_name FROM duckdb_columns() AS c JOIN duckdb_tables() AS t "
    "ON t.table_oid = c.table_oid WHERE t.database_name = current_database() "
    "AND c.database_name = t.database_name AND t.schema_name = %s AND t.table_name = %s "
    "AND column_default LIKE 'CAST(%%' AND t.sql LIKE '%%GENERATED ALWAYS AS%%'",
    "postgres": "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s "
    "AND (a.attgenerated <> '' OR a.attidentity = 'a')",
}
"""Those that take no values. In a table with some, DuckDB does not tell them from such with a
default of that form."""


def keeping(client: Any, table: Any, incoming: str, merged_by: Sequence[str]) -> list[list[str]]:
    """The SQL before a merge, and that after it, in one transaction with it; none where nobody
    added anything.

    Args:
        table: dlt's table.
        incoming: in SQL, what is merged.
        merged_by: the columns by which it is.
    """
    ours = ALL_TABLES.get(table["name"])
    name = client.make_qualified_table_name(table["name"])
    with client.execute_query(f"SELECT * FROM {name} LIMIT 0") as cursor:
        added = [column[0] for column in cursor.native_cursor.description]
    added = [column for column in added if column not in table["columns"]]
    if ours is None or not added:
        return [[], []]
    dialect = client.capabilities.sqlglot_dialect
    fixed = client.execute_sql(_GENERATED[dialect], client.dataset_name, table["name"])
    added = [column for column in added if column not in {row[0] for row in fixed or ()}]
    key = (*ours.owner_columns, *ours.key) if ours.child else ours.key
    if not added or (ours.child and not ours.key):
        return [[], []]
    quoted = client.escape_column_name
    kept = quoted(f"kept_{table['name']}")
    columns = ", ".join(map(quoted, dict.fromkeys((*key, *added))))
    values = ", ".join(f"{quoted(column)} = kept.{quoted(column)}" for column in added)
    before = [
        f"CREATE TEMP TABLE {kept} AS SELECT {columns} FROM {name} AS stored "
        f"WHERE EXISTS (SELECT 1 FROM {incoming} AS incoming "
        f"WHERE {' AND '.join(_equal(quoted, merged_by, 'stored', 'incoming'))})"
    ]
    same = " AND ".join(_equal(quoted, key, "stored", "kept"))
    after = [
        f"UPDATE {name} AS stored SET {values} FROM {kept} AS kept WHERE {same}",
        f"DROP TABLE {kept}",
    ]
    return [before, after]


def _equal(quoted: Any, columns: Sequence[str], one: str, other: str) -> Iterator[str]:
    for column in columns:
        yield f"{one}.{quoted(column)} = {other}.{quoted(column)}"
