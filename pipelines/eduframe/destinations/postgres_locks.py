"""Tables that somebody locks, in Postgres: how long is waited, and who it is."""

from typing import Any

from sources.eduframe.dataset.sql import Dataset

LOCK_NOT_AVAILABLE = "55P03"
"""What Postgres calls it that ``lock_timeout`` has passed."""

_HOLDERS = (
    "SELECT a.pid, a.usename, a.application_name, a.xact_start "
    "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE l.granted AND l.pid <> pg_backend_pid() AND c.relname = %s "
    "AND n.nspname IN (%s, %s) ORDER BY a.xact_start LIMIT 1"
)


def who_locks(pipeline: Any, table: str) -> str:
    """Who has a table locked, and since when, as far as Postgres tells."""
    with Dataset(pipeline) as dataset:
        client = dataset.client
        found = client.execute_sql(
            _HOLDERS, table, client.dataset_name, client.staging_dataset_name
        )
    if not found:
        return f"{table} was locked by somebody"
    pid, user, program, since = found[0]
    known = "".join(f", {part}" for part in (user, program) if part)
    return (
        f"{table} is locked by somebody else: server process {pid}{known}, since "
        f"{since:%Y-%m-%d %H:%M:%S%z}. It lasts until that transaction ends; "
        f"SELECT pg_terminate_backend({pid}) ends it"
    )
