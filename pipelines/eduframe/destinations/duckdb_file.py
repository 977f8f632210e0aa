"""The DuckDB file: one process at a time may write it, so we hold it briefly, and wait for it."""

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from pipelines.eduframe.pipeline import duckdb_path, first_line
from sources.eduframe.errors import EduframeError

log = logging.getLogger("eduframe.duckdb")

RETRY_SECONDS = 0.25
HURRIED_SECONDS = 2.0
"""Who was told to end waits no longer than this for a file."""
LITTLE = "80MB"
"""DuckDB fills what it may have with what it might need again; a load needs less than this."""


class FileBusyError(EduframeError):
    """Another program holds the DuckDB file open."""


class FileUnusableError(EduframeError):
    """The DuckDB file cannot be opened."""


@contextmanager
def holding_file(
    path: Path | None,
    seconds: float,
    *,
    sparing: bool = False,
    hurry: threading.Event | None = None,
) -> Iterator[None]:
    """Hold a DuckDB file open for writing; nothing where there is none, in other destinations.

    All that dlt and we do to the file in the meantime shares the one opening of it: nobody can
    come in between, and the file is read and checkpointed once. It is free again afterwards.
    ``sparing`` gives DuckDB :data:`LITTLE` memory instead of most of what the machine has, and one
    thread: enough for most, and where it is not, DuckDB says so. Once ``hurry`` is set the wait
    for the file is a short one.

    Raises:
        FileBusyError: another program still holds it after so many seconds; names it.
        FileUnusableError: no right to write, no folder, no DuckDB file, a disk that is full.
    """
    if path is None:
        yield
        return
    existed = path.exists()
    connection = _open(path, seconds, hurry=hurry)
    if sparing:
        connection.execute(f"SET memory_limit = '{LITTLE}'")
        connection.execute("SET threads = 1")  # each has buffers of its own
    try:
        yield
    finally:
        unused = not existed and _is_empty(connection)
        connection.close()
        if unused:
            path.unlink(missing_ok=True)


@contextmanager
def reading_file(pipeline: Any, seconds: float) -> Iterator[None]:
    """Hold the pipeline's DuckDB file open for reading, as other programs may at the same time.

    From then on the pipeline can only read it. Raises like :func:`holding_file`.
    """
    path = duckdb_path(pipeline)
    if path is None or not path.exists():
        with holding_file(path, seconds):
            yield
        return
    pipeline.destination.config_params["credentials"] = DuckDbCredentials(
        str(path), read_only=True
    )
    with _open(path, seconds, read_only=True):
        yield


def _open(
    path: Path,
    seconds: float,
    *,
    read_only: bool = False,
    hurry: threading.Event | None = None,
) -> duckdb.DuckDBPyConnection:
    began = time.monotonic()
    deadline = began + seconds
    told = False
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only)
        except duckdb.Error as error:
            if "lock" not in str(error).lower():
                raise FileUnusableError(
                    f"The DuckDB file {path} cannot be {'read' if read_only else 'written'}: "
                    f"{first_line(error)}. Set DESTINATION__DUCKDB__CREDENTIALS to a file "
                    f"{'that you may read' if read_only else 'in a folder you may write in'}."
                ) from error
            now = time.monotonic()
            if hurry and hurry.is_set():
                deadline, hurry = min(deadline, now + HURRIED_SECONDS), None
            if now >= deadline:
                raise FileBusyError(
                    f"The DuckDB file {path} is held open by {_holder(str(error))}, even after "
                    f"waiting {now - began:.0f} s. Close it there, or let it read only, and try "
                    "again; nothing is lost."
                ) from error
            if not told:
                log.info("%s is held open by %s; waiting", path, _holder(str(error)))
                told = True
            time.sleep(RETRY_SECONDS)


def _is_empty(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        return not connection.execute("SELECT 1 FROM duckdb_tables() LIMIT 1").fetchall()
    except duckdb.Error as error:
        log.debug("the new file cannot be looked into: %s", first_line(error))
        return False


def _holder(message: str) -> str:
    found = re.search(r"held in (.+?) \(PID (\d+)\)", message)
    return f"{Path(found[1]).name} (process {found[2]})" if found else "another program"
