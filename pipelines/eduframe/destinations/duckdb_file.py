"""The DuckDB file: one process at a time may write it, so we hold it briefly, and wait for it."""

import logging
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from pipelines.eduframe.failures import cause_of, first_line, has_no_space
from pipelines.eduframe.pipeline import duckdb_path
from sources.eduframe.display import printable
from sources.eduframe.errors import FileBusyError, FileUnusableError
from sources.eduframe.private_files import PRIVATE, files_made_with, mode_of, restrict

log = logging.getLogger("eduframe.duckdb")

RETRY_SECONDS = 0.25
HURRIED_SECONDS = 2.0
"""Who was told to end waits no longer than this for a file."""
_HOLDER = re.compile(r"(?:held in|already open in)\s+(\S.*?)\s*\(PID (\d+)\)")
_CLOSING = "Unique file handle conflict"
_DAMAGED = re.compile(
    r"not a valid DuckDB|read enough bytes|corrupt|checksum|deserialize|storage version", re.I
)
HEADERS = 12_288
"""Bytes of a DuckDB file without anything in it."""
LITTLE = "80MB"
"""DuckDB fills what it may have with what it might need again; a load needs less than this."""
_opening = threading.RLock()
"""One thread at a time opens or closes a file: DuckDB refuses one that it is just closing."""
_holders: Counter[Path] = Counter()
"""How often each file is held within this program, as by runs into two datasets of one file."""


@contextmanager
def holding_file(
    path: Path | None,
    seconds: float,
    *,
    mode: int = PRIVATE,
    sparing: bool = False,
    hurry: threading.Event | None = None,
) -> Iterator[None]:
    """Hold a DuckDB file open for writing; nothing where there is none, in other destinations.

    All that dlt and we do to the file in the meantime shares the one opening of it: nobody can
    come in between, and the file is read and checkpointed once. It is free again afterwards.
    A file that is made has the permissions ``mode``, one that is there keeps its own. ``sparing``
    gives DuckDB :data:`LITTLE` memory instead of most of what the machine has, and one thread:
    enough for most, and where it is not, DuckDB says so. Once ``hurry`` is set the wait for the
    file is a short one.

    Raises:
        FileBusyError: another program still holds it after so many seconds; names it.
        FileUnusableError: no right to write, no folder, no DuckDB file, a disk that is full.
    """
    if path is None:
        yield
        return
    existed = path.exists()
    connection = _open(path, seconds, mode=mode, hurry=hurry)
    _holders[path] += 1
    if sparing:
        connection.execute(f"SET memory_limit = '{LITTLE}'")
        connection.execute("SET threads = 1")  # each has buffers of its own
    try:
        yield
    finally:
        with _opening:
            _holders[path] -= 1
            unused = not existed and not _holders[path] and _is_empty(connection)
            connection.close()
            if unused:
                _remove(path)


WAIT_TO_READ = 10.0
"""Seconds that a command which only looks waits for a file that another program holds."""


@contextmanager
def reading_file(pipeline: Any, seconds: float | None = None) -> Iterator[None]:
    """Hold the pipeline's DuckDB file open for reading, as other programs may at the same time.

    From then on the pipeline can only read it. Waits for so many seconds, else
    :data:`WAIT_TO_READ`. Raises like :func:`holding_file`.
    """
    seconds = WAIT_TO_READ if seconds is None else seconds
    path = duckdb_path(pipeline)
    if path is None or not path.exists():
        with holding_file(path, seconds):
            yield
        return
    pipeline.destination.config_params["credentials"] = DuckDbCredentials(
        str(path), read_only=True
    )
    connection = _open(path, seconds, read_only=True)
    try:
        yield
    finally:
        with _opening:
            connection.close()


def _open(
    path: Path,
    seconds: float,
    *,
    read_only: bool = False,
    mode: int = PRIVATE,
    hurry: threading.Event | None = None,
) -> duckdb.DuckDBPyConnection:
    began = time.monotonic()
    deadline = began + seconds
    told = False
    while True:
        new = not read_only and not path.exists()
        try:
            if new:
                with _opening, files_made_with(mode):
                    return duckdb.connect(str(path))
            if _log(path).exists():  # of a run that was killed
                restrict(_log(path), mode_of(path))
            with _opening:
                return duckdb.connect(str(path), read_only=read_only)
        except duckdb.Error as error:
            if not is_busy(path, error):
                if new and path.exists() and path.stat().st_size <= HEADERS:
                    _remove(path)
                raise FileUnusableError(_why_unusable(path, error, read_only)) from error
            now = time.monotonic()
            if hurry and hurry.is_set():
                deadline, hurry = min(deadline, now + HURRIED_SECONDS), None
            if now >= deadline:
                raise FileBusyError(
                    f"The DuckDB file {path} is held open by {holder(error)}, even after "
                    f"waiting {now - began:.0f} s. {_what_helps(path)} Then try again; nothing "
                    "is lost."
                ) from error
            if not told:
                log.info("%s is held open by %s; waiting", path, holder(error))
                told = True
            time.sleep(RETRY_SECONDS)


def _log(path: Path) -> Path:
    """What was written last, which DuckDB keeps beside the file until it is closed."""
    return path.with_name(f"{path.name}.wal")


def _remove(path: Path) -> None:
    """Remove a file that was just made, and holds nothing."""
    path.unlink(missing_ok=True)
    _log(path).unlink(missing_ok=True)


def is_busy(path: Path, error: duckdb.Error) -> bool:
    """Whether a file cannot be opened because another program has it open.

    On Linux and macOS DuckDB says so ("Could not set lock on file"). On Windows the first half of
    its message is the system's, in the system's language, and the second names who it is, where
    Windows tells: ``File is already open in C:\\...\\python.exe (PID 1234)``. Within this program
    DuckDB refuses a file for the moment in which another thread closes it.
    """
    if _CLOSING in str(error):
        return True
    if not isinstance(error, duckdb.IOException):
        return False
    said = str(error).replace(str(path), "")
    if "Could not set lock on file" in said or _HOLDER.search(said):
        return True
    # Windows does not always tell who: then a file that is there, and ours to write, is busy
    opened = "Cannot open file" in said and path.is_file() and os.access(path, os.W_OK)
    return sys.platform == "win32" and opened


def _why_unusable(path: Path, error: duckdb.Error, read_only: bool) -> str:
    said = str(error).replace(str(path), "")
    start = f"The DuckDB file {path} cannot be {'read' if read_only else 'written'}: "
    if not path.parent.is_dir():
        return (
            f"{start}there is no folder {path.parent}. Make it, or set "
            "DESTINATION__DUCKDB__CREDENTIALS to a file in a folder that is there."
        )
    if path.is_file() and (_DAMAGED.search(said) or not isinstance(error, duckdb.IOException)):
        return (
            f"{start}it is damaged, or no DuckDB file ({first_line(error)}). Move it away, and put "
            "a backup in its place, or sync anew: everything is read again then."
        )
    if has_no_space(error):
        return (
            f"{start}{cause_of(error)}. Make room, or set DESTINATION__DUCKDB__CREDENTIALS to a "
            "file on another disk."
        )
    return (
        f"{start}{first_line(error)}. Set DESTINATION__DUCKDB__CREDENTIALS to a file "
        f"{'that you may read' if read_only else 'in a folder you may write in'}."
    )


def _what_helps(path: Path) -> str:
    """What to do about who holds a file that we want to write."""
    try:
        duckdb.connect(str(path), read_only=True).close()
    except duckdb.Error as error:
        log.debug("%s is not held for reading alone: %s", path, first_line(error))
        return "Close it there, or open it there for the time of a query only."
    return (
        "It is open there for reading, and DuckDB lets nobody write in the meantime: close it "
        "there, open it for the time of a query only, or let that program read a copy of the file."
    )


def _is_empty(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        return not connection.execute("SELECT 1 FROM duckdb_tables() LIMIT 1").fetchall()
    except duckdb.Error as error:
        log.debug("the new file cannot be looked into: %s", first_line(error))
        return False


def holder(error: duckdb.Error) -> str:
    """The program that holds a file, as DuckDB names it."""
    found = _HOLDER.search(str(error))
    if not found:
        return "another program"
    return f"{printable(PureWindowsPath(found[1].strip()).name)} (process {found[2]})"
