"""The umask of the command, which is a process of its own: what it makes is its user's alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sources.eduframe.private_files import PRIVATE, umask_for


@contextmanager
def private_files() -> Iterator[None]:
    """While this lasts, nobody else can read what is made."""
    before = os.umask(umask_for(PRIVATE))
    try:
        yield
    finally:
        os.umask(before)


def let_readers_in(pipeline: Any, new: int) -> None:
    """From now on, what is made can be read by those who can read the destination's files.

    Among it are those files, and what DuckDB keeps beside its own. ``new`` are the permissions of a
    destination that is not there yet.
    """
    from pipelines.eduframe.destinations.local_place import permissions_in

    os.umask(umask_for(permissions_in(pipeline, new)))
