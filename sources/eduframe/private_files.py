"""Files that hold personal data, or tell of it: their owner's alone, whatever the umask is.

The umask is the whole process's, and so, where we are a part of a program, not ours to change for
longer than it takes to make a file. On Windows, where modes say next to nothing, nothing changes.
"""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700
_umask = threading.Lock()


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read.

    Raises:
        OSError: it cannot be written; names it.
    """
    try:
        with open(path, "w", encoding="utf-8", opener=_open_private) as file:
            file.write(text)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _open_private(path: str, flags: int) -> int:
    handle = os.open(path, flags, PRIVATE)
    restrict(Path(path), PRIVATE)
    return handle


def make_private_folder(path: Path) -> None:
    """Make a folder, and those that it is in, unless they are there; nobody else may look in."""
    if not path.is_dir():
        make_private_folder(path.parent)
        path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def close_to_others(folder: Path) -> None:
    """Let nobody else look into a folder of ours, nor read anything in it."""
    if folder.is_symlink():
        return
    restrict(folder, PRIVATE_FOLDER)
    for parent, folders, files in os.walk(folder):
        for name in folders:
            restrict(Path(parent, name), PRIVATE_FOLDER)
        for name in files:
            restrict(Path(parent, name), PRIVATE)


def restrict(path: Path, mode: int) -> None:
    """Give a file or folder these permissions, if it is ours to do so; links are left alone."""
    if os.name != "posix":
        return
    found = path.lstat()
    ours = os.geteuid() in (0, found.st_uid) and not stat.S_ISLNK(found.st_mode)
    if ours and stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)


@contextmanager
def files_made_with(mode: int) -> Iterator[None]:
    """What this process makes in the meantime has these permissions at the most."""
    with _umask:
        before = os.umask(umask_for(mode))
        try:
            yield
        finally:
            os.umask(before)


def umask_for(mode: int) -> int:
    """The umask by which files get a mode; folders can be entered by those who may read."""
    return 0o777 & ~(mode | (mode & 0o444) >> 2)


def mode_of(path: Path) -> int:
    """The permissions of a file or folder: who may read, write and enter it."""
    return stat.S_IMODE(path.stat().st_mode)
