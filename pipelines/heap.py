"""Memory that was freed, given back to the system."""

import ctypes
import sys


def give_back() -> None:
    """Let the C library return what it holds of freed memory; nothing where it cannot.

    Rows come and go in many threads, and glibc keeps what they leave in pools of each: over a
    million rows that added up to 350 MB which nobody used.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
