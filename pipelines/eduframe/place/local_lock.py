"""One run at a time for a dataset on this machine, by a lock that a crash frees.

It is beside what the dataset is in, where that is a file or a folder, so that all programs find it,
whatever their working folders; for other destinations in the user's folder of state.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.eduframe.place.target import Target
from sources.eduframe.errors import LockedError, SettingsError
from sources.eduframe.private_files import PRIVATE, restrict, write_private
from sources.eduframe.state_folder import state_folder


@contextmanager
def local_lock(target: Target) -> Iterator[None]:
    """Hold a dataset, as far as this machine goes.

    Raises:
        LockedError: another program, or another thread of this one, holds it; says who.
        SettingsError: it belongs to another user, who keeps it private; or there can be no lock in
            its folder.
    """
    path, mode = lock_file(target), _mode(target)
    holder = path.with_suffix(".holder")
    lock = FileLock(path, timeout=0, mode=mode)
    try:
        lock.acquire()
        restrict(path, mode)
    except Timeout:
        if why := _why_never(path):
            raise _no_lock(target, path, why) from why
        raise LockedError(
            f"Another run into dataset {target.dataset} is going on{_who(holder)}. Wait for it to "
            "end."
        ) from None
    except OSError as error:
        if isinstance(error, PermissionError) and path.exists():
            raise SettingsError(
                f"The lock of dataset {target.dataset}, {path}, cannot be opened: "
                f"{error.strerror}. Its owner lets others in by making the data writable for them, "
                "and syncing once more."
            ) from error
        raise _no_lock(target, path, error) from error
    try:
        mine = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_private(holder, json.dumps(mine))
        yield
    finally:
        holder.unlink(missing_ok=True)
        if target.path is not None and not target.path.exists():
            with suppress(OSError):  # Windows keeps it while it is open
                path.unlink()  # nothing is left behind where nothing was made
        lock.release()


def _no_lock(target: Target, path: Path, why: OSError) -> SettingsError:
    return SettingsError(
        f"Dataset {target.dataset} cannot be locked, so that no two runs write it at once: "
        f"{path} cannot be made, or its file system knows no locks ({why.strerror or why}). Keep "
        "the data, or the folder in XDG_STATE_HOME where the lock is there, on another one."
    )


def _why_never(path: Path) -> OSError | None:
    """Why a lock that was not to be had is had by nobody: its folder takes no files, or no locks.

    The library that locks takes most of that for a lock that another holds.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        return error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError as error:
        return error
    finally:
        os.close(handle)
    return None  # whoever had it has let go of it


def lock_file(target: Target) -> Path:
    """The file that is locked. It stays beside what the dataset is in."""
    if target.path is not None and os.access(target.path.parent, os.W_OK | os.X_OK):
        return target.path.parent / f".{target.path.name}.{target.dataset}.lock"
    return state_folder() / f"dataset.{target.number}.lock"


def _mode(target: Target) -> int:
    """The permissions of the lock: who may write the data may hold it."""
    if target.path is None or not target.path.exists():
        return PRIVATE
    others = target.path.stat().st_mode & 0o022
    return PRIVATE | others | others << 1


def _who(holder: Path) -> str:
    try:
        known = json.loads(holder.read_text(encoding="utf-8"))
        return f": process {known['pid']} on {known['host']}, since {known['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # it has just begun, or ended
