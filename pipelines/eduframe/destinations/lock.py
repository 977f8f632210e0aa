"""One run at a time for a pipeline and dataset, by locks that a crash frees.

One lock is a file beside dlt's working folder, which serves one run at a time. Where the
destination has advisory locks (Postgres) there is one in it too, which also holds between
machines; for the other destinations only one scheduler may run the sync.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fasteners

from pipelines.eduframe.pipeline import is_a
from sources.eduframe.digest import hash_text
from sources.eduframe.errors import LockedError

_held: set[Path] = set()
"""The locks that this process holds: the system's lock keeps out other processes alone."""


@contextmanager
def one_at_a_time(pipeline: Any) -> Iterator[None]:
    """Hold the locks of a pipeline and its dataset.

    Raises:
        LockedError: another run holds one; says who, and since when.
    """
    with ExitStack() as stack:
        stack.enter_context(folder_lock(pipeline))
        stack.enter_context(database_lock(pipeline))
        yield


@contextmanager
def folder_lock(pipeline: Any) -> Iterator[None]:
    """Hold the pipeline's working folder, and the window of requests kept beside it.

    Raises:
        LockedError: another run of this machine holds it.
    """
    path = Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = path.with_suffix(".holder")
    lock = fasteners.InterProcessLock(path)
    if path in _held or not lock.acquire(blocking=False):
        raise LockedError(
            f"Another run of pipeline {pipeline.pipeline_name} is going on{_who(holder)}. Wait for "
            "it to end. (Two syncs at a time need a DLT_DATA_DIR each.)"
        )
    _held.add(path)
    try:
        mine = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "dataset": pipeline.dataset_name,
        }
        holder.write_text(json.dumps(mine), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        _held.discard(path)
        lock.release()


def _who(holder: Path) -> str:
    try:
        known = json.loads(holder.read_text(encoding="utf-8"))
        return (
            f": process {known['pid']} on {known['host']}, into dataset {known['dataset']}, "
            f"since {known['since']}"
        )
    except (OSError, ValueError, KeyError):
        return ""


@contextmanager
def database_lock(pipeline: Any) -> Iterator[None]:
    """Hold the dataset, where its database has locks.

    Raises:
        LockedError: another run into it is going on, on whatever machine.
    """
    if not is_a(pipeline, "postgres"):
        yield
        return
    with pipeline.sql_client() as client:
        key = hash_text(f"eduframe-sync:{pipeline.pipeline_name}:{client.dataset_name}")
        taken = client.execute_sql("SELECT pg_try_advisory_lock(%s)", key)
        if not taken or not taken[0][0]:
            rows = client.execute_sql(
                "SELECT a.pid, a.client_addr, a.backend_start FROM pg_locks l "
                "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' "
                "AND ((l.classid::bigint << 32) | l.objid::bigint) = %s AND l.granted",
                key,
            )
            who = ""
            if rows:
                pid, address, since = rows[0]
                who = f": from {address or 'this host'}, since {since:%Y-%m-%d %H:%M:%S%z}"
                who += f" (server process {pid})"
            raise LockedError(
                f"Another run into dataset {pipeline.dataset_name} holds the lock in the "
                f"database{who}. Wait for it to end."
            )
        yield
