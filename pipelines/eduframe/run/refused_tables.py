"""One table that the destination refuses: its lists fail, and all others are loaded.

dlt loads a package whole or not at all. So a package of which one table is refused is given up, as
if the run had been killed in it, and made once more without the lists that the table is of. Their
positions stay where they were: the next run takes up what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from dlt.common.exceptions import TerminalException
from dlt.load.exceptions import LoadClientJobException
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.eduframe.destinations.postgres.locks import (
    bottom_of,
    is_locked,
    sqlstate,
    who_locks,
)
from pipelines.eduframe.destinations.tables.refused_rows import what_helps
from pipelines.eduframe.failures import first_line
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
    helps: str = ""
    """What to do about it, with {} for the list's name."""
    locked: bool = False
    """Whether somebody only keeps it locked, which may pass."""


def refusal(pipeline: Any, failed: PipelineStepFailed) -> Refusal | None:
    """The table that made a load fail; None where the destination as a whole does."""
    job = failed.exception
    if not isinstance(job, LoadClientJobException):
        return None
    error: BaseException = job.client_exception or job
    if not _is_of_a_table(error):
        return None
    table = job.job_id.split(".")[0]
    if is_locked(error):
        return Refusal(table, who_locks(pipeline, table), locked=True)
    # not the lines below the first: they hold the row
    return Refusal(table, first_line(bottom_of(error)), what_helps(pipeline, table, error))


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
    bottom = bottom_of(error)
    if state := sqlstate(error):
        return not state.startswith(OF_THE_WHOLE)
    if isinstance(bottom, duckdb.Error):
        return not isinstance(bottom, OF_THE_FILE)
    return isinstance(error, TerminalException) and not isinstance(bottom, OSError)
