"""A disk that is full, told as such: libraries call it many names, and never say which folder."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPARE = 256 * 1024
"""Bytes that are written beside the rows: a log entry, a footer."""


@contextmanager
def telling_of_full_disk(folder: str, needed: int = 0) -> Iterator[None]:
    """While something is written into a folder, of which ``needed`` bytes are known before.

    Raises:
        OSError: no space is left there. It is looked for before, as ``deltalake`` writes of a panic
            to stderr where it runs into the end of a disk.
    """
    if needed and Path(folder).is_dir() and shutil.disk_usage(folder).free < needed + SPARE:
        raise _full(folder)
    try:
        yield
    except Exception as error:  # deltalake has several
        nameless = isinstance(error, OSError) and error.errno == errno.ENOSPC
        if nameless or f"os error {errno.ENOSPC}" in str(error):
            raise _full(folder) from None
        raise


def _full(folder: str) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
