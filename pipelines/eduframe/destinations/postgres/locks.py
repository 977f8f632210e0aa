"""Tables that somebody locks, in Postgres: whether a statement failed for that, and who it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import LockedTableError

LOCK_NOT_AVAILABLE = "55P03"
"""What Postgres calls it that ``lock_timeout`` has passed."""

_HOLDERS = """
SELECT c.relname, a.pid, a.usename, a.application_name, a.xact_start
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.granted AND l.pid <> pg_backend_pid() AND c.relkind IN ('r', 'p')
AND n.nspname IN (%s, %s) AND (%s = '' OR c.relname = %s)
ORDER BY l.mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock'), a.xact_start LIMIT 1
"""
"""Who holds a lock on a table, or on any: the strongest and oldest first."""


def sqlstate(error: BaseException) -> str:
    """What Postgres calls an error, by either driver; empty for what is none of its errors."""
    bottom = bottom_of(error)
    return str(getattr(bottom, "pgcode", None) or getattr(bottom, "sqlstate", None) or "")


def bottom_of(error: BaseException) -> BaseException:
    """What lies under dlt's errors."""
    while True:
        under = (
            error.__cause__,
            getattr(error, "dbapi_exception", None),
            getattr(error, "client_exception", None),
            getattr(error, "exception", None),
        )
        found = next((e for e in under if isinstance(e, BaseException)), None)
        if found is None:
            return error
        error = found


def is_locked(error: BaseException) -> bool:
    """Whether a statement waited in vain for a table that somebody else has locked."""
    return sqlstate(error) == LOCK_NOT_AVAILABLE


@contextmanager
def telling_of_locks(pipeline: Any) -> Iterator[None]:
    """Raises:
    LockedTableError: a statement waited in vain for a table; says who has it locked.
    """
    try:
        yield
    except Exception as error:  # each driver has exceptions of its own
        if is_locked(error):
            raise LockedTableError(who_locks(pipeline)) from error
        raise


def who_locks(pipeline: Any, table: str = "") -> str:
    """Who has a table locked, or any of the dataset, and since when, as far as Postgres tells."""
    with Dataset(pipeline) as dataset:
        schemas = (dataset.client.dataset_name, dataset.client.staging_dataset_name)
        found = dataset.client.execute_sql(_HOLDERS, *schemas, table, table)
    if not found:
        return f"{table or 'a table'} was locked by somebody, who has let go of it since"
    name, pid, user, program, since = found[0]
    known = "".join(f", {part}" for part in (user, program) if part)
    return (
        f"the table {name} is locked by somebody else: server process {pid}{known}, since "
        f"{since:%Y-%m-%d %H:%M:%S%z}. That lasts until their transaction ends; "
        f"SELECT pg_terminate_backend({pid}) ends it"
    )
