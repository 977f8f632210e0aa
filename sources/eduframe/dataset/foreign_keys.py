"""The foreign keys that the sync declares in Postgres for the people who look there: Postgres drops
no table that one refers to."""

from collections.abc import Iterable
from typing import Any

from sources.eduframe.rows.tables import ALL_TABLES

_FOUND = """
SELECT c.relname, k.conname FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.oid = t.relnamespace
WHERE k.contype = 'f' AND n.nspname = %s AND c.relname = ANY(%s) AND t.relname = ANY(%s)
"""


def let_go_of(client: Any, tables: Iterable[str]) -> None:
    """Drop the keys of our tables that refer to these, as those are about to be dropped.

    Nothing outside of Postgres. Without its comment, ``_sync_runs`` says that keys are missing: the
    next sync makes them again. Keys of other people's tables stay.

    Args:
        client: dlt's SQL client, with an open connection.
    """
    names = [*tables]
    if client.capabilities.sqlglot_dialect != "postgres" or not names:
        return
    found = client.execute_sql(_FOUND, client.dataset_name, [*ALL_TABLES], names) or ()
    for table, key in found:
        client.execute_sql(
            f"ALTER TABLE {client.make_qualified_table_name(table)} "
            f"DROP CONSTRAINT {client.escape_column_name(key)}"
        )
    runs = client.make_qualified_table_name("_sync_runs")
    if found and client.execute_sql("SELECT to_regclass(%s)", runs)[0][0]:
        client.execute_sql(f"COMMENT ON TABLE {runs} IS NULL")
