"""Memory: kept in one pool, and what was freed given back to the system."""

import ctypes
import gc
import os
import sys
from typing import Any

_M_ARENA_MAX = -8


def keep_in_one_pool() -> None:
    """Let all threads share one pool of memory. To be called before Arrow is imported.

    Rows come and go in many threads; glibc gives each a pool of its own, and Arrow has yet
    another. What is free in one is of no use to the others: that was a quarter of the peak.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = getattr(_libc(), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Let the C library return what it holds of freed memory; nothing where it cannot.

    What a load package leaves behind in circles, and Python looks for seldom, goes first.
    """
    gc.collect(1)
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
