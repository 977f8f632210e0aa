"""One table that the destination refuses: its lists fail, and all others are loaded.

dlt loads a package whole or not at all. So a package of which one table is refused is given up, as
if the run had been killed in it, and made once more without the lists that the table is of. Their
positions stay where they were: the next run takes up what is left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from dlt.common.exceptions import TerminalException
from dlt.load.exceptions import LoadClientJobException
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.eduframe.destinations.postgres_locks import LOCK_NOT_AVAILABLE, who_locks
from pipelines.eduframe.pipeline import first_line
from sources.eduframe.reading.batch import Batch
from sources.eduframe.rows.tables import CHILD_TABLES

OF_THE_WHOLE = ("08", "25", "28", "3D", "3F", "40", "53", "57P", "58", "F0", "XX")
"""How the SQLSTATE of errors begins that are no table's: no connection, a full disk, a server that
is shut down, a deadlock, …"""
OF_THE_FILE = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.InternalException,
    duckdb.FatalException,
    duckdb.ConnectionException,
    duckdb.TransactionException,
    duckdb.InterruptException,
)
"""DuckDB's errors that are no table's."""


@dataclass(frozen=True)
class Refusal:
    """A table that the destination does not take rows of, and why."""

    table: str
    why: str


def refusal(pipeline: Any, failed: PipelineStepFailed) -> Refusal | None:
    """The table that made a load fail; None where the destination as a whole does."""
    job = next((e for e in _chain(failed) if isinstance(e, LoadClientJobException)), None)
    if job is None:
        return None
    error: BaseException = job.client_exception or job
    if not _is_of_a_table(error):
        return None
    table = job.job_id.split(".")[0]
    if _sqlstate(error) == LOCK_NOT_AVAILABLE:
        return Refusal(table, who_locks(pipeline, table))
    # not the lines below the first: they hold the row
    return Refusal(table, first_line([*_chain(error)][-1]))


def lists_of(table: str, package: Sequence[Batch]) -> set[str]:
    """The lists in a package that a table is of: those with rows in it, where lists share it."""
    having = {
        batch.resource
        for batch in package
        if table == batch.resource
        or any(table in names for names in (batch.tables, batch.additions, batch.ownerless))
    }
    return having or {
        batch.resource
        for batch in package
        if any(table == child.name for child in CHILD_TABLES[batch.resource])
    }


def _is_of_a_table(error: BaseException) -> bool:
    bottom = [*_chain(error)][-1]
    if state := _sqlstate(error):
        return not state.startswith(OF_THE_WHOLE)
    if isinstance(bottom, duckdb.Error):
        return not isinstance(bottom, OF_THE_FILE)
    return isinstance(error, TerminalException) and not isinstance(bottom, OSError)


def _sqlstate(error: BaseException) -> str:
    """What Postgres calls the error, by either driver; empty for what is none of its errors."""
    bottom = [*_chain(error)][-1]
    return str(getattr(bottom, "pgcode", None) or getattr(bottom, "sqlstate", None) or "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and what lies under it."""
    known: BaseException | None = error
    while known is not None:
        yield known
        under = getattr(known, "exception", None)
        dbapi = getattr(known, "dbapi_exception", None)
        known = next(
            (e for e in (known.__cause__, dbapi, under) if isinstance(e, BaseException)), None
        )
