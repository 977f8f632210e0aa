"""The ledger of one list: its rows in key order, cut into blocks, and when each was last read.

At the growing end, where changes are, a block is a page; further back it grows to a thousand rows,
so that a million rows take some thousand blocks. The growing end is always that of the high keys,
in whichever order the list is served.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PER_PAGE = 100
MOST_ROWS = 1000
"""No block is made larger …"""
PAGES_APART = 2000
"""… and none of more than a page within so many rows of the growing end."""
AHEAD = 3600.0
"""A time of reading more seconds in the future is a clock's mistake: it counts as never."""
SIMILAR = (900.0, 0.02)
"""Blocks are joined whose times of reading differ by no more seconds, and this share of their age
beside the newest."""

LedgerRow = tuple[int, int, float]
"""``first_key, rows, read_at``: one block, as it is stored. ``read_at`` nan: never read."""


def target(rank: int) -> int:
    """How many rows a block should have whose last row has so many rows after it."""
    return min(MOST_ROWS, max(1, rank // (PAGES_APART // 2)) * PER_PAGE)


@dataclass(frozen=True)
class Blocks:
    """The blocks of a list in key order. A value: every change gives new blocks.

    The first block begins below all keys, and the last one has no end.
    """

    keys: Ids
    """The keys of all living rows, ascending. Not stored with the blocks, and not copied."""
    first: Ids
    """The first key of each block, ascending; a key of ``keys``."""
    read_at: Floats
    """When all rows of the block were last read: the oldest, in epoch seconds; nan is never."""

    @classmethod
    def of(cls, keys: Ids, read_at: float) -> "Blocks":
        """New blocks over these keys (ascending), all read at one time."""
        starts, end = [], len(keys)
        while end > 0:
            size = target(len(keys) - end)
            start = max(0, (end - 1) // size * size if size == PER_PAGE else end - size)
            starts.append(start)
            end = start
        first = keys[np.array(starts[::-1], np.int64)]
        return cls(keys, first, np.full(len(first), read_at))

    @classmethod
    def stored(cls, ledger: Iterable[LedgerRow], keys: Ids) -> "Blocks":
        """The blocks as they were stored, brought to the keys that are there now (ascending).

        Keys above those that were stored are new, and count as never read.
        """
        rows = sorted(ledger)
        if not rows:
            return cls.of(keys, float("nan"))
        first = np.array([row[0] for row in rows], np.int64)
        read_at = np.array([row[2] for row in rows], np.float64)
        known = int(np.searchsorted(keys, first[-1])) + rows[-1][1]
        return cls(keys[:known], first, read_at).fit(keys)

    def ledger(self) -> list[LedgerRow]:
        """The blocks as plain rows, to be stored."""
        columns = self.first.tolist(), self.rows.tolist(), self.read_at.tolist()
        return list(zip(*columns, strict=True))

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def starts(self) -> Ints:
        """The rank of each block's first row, from the low keys, beginning with 0."""
        starts = np.searchsorted(self.keys, self.first)
        starts[:1] = 0
        return starts.astype(np.int64)

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """The number of rows in each block."""
        return np.diff(self.starts, append=len(self.keys)).astype(np.int32)

    def ages(self, now: float) -> Floats:
        """Seconds since each block was read; infinite for never, and none is below zero."""
        return ages(self.read_at, now)

    def fit(self, keys: Ids, read_at: float = float("nan")) -> "Blocks":
        """Bring the blocks to the keys (ascending) that are there now.

        Keys above all known ones become new blocks, read at ``read_at``; deleted ones shrink
        their blocks; small neighbours read at similar times are joined, and have the older time.
        """
        if not len(keys):
            return Blocks(keys, self.first[:0], self.read_at[:0])
        known = int(np.searchsorted(keys, self.keys[-1], "right")) if len(self.keys) else 0
        new = Blocks.of(keys[known:], read_at)
        starts = np.searchsorted(keys[:known], self.first)
        starts[:1] = 0
        there = np.diff(starts, append=known) > 0
        first = np.concatenate([keys[starts[there]], new.first])
        return Blocks(keys, first, np.concatenate([self.read_at[there], new.read_at]))._joined()

    def mark(self, low: int, high: int, at: float) -> "Blocks":
        """Note that all keys from ``low`` to ``high`` were read at ``at``.

        Blocks that are partly covered are split.
        """
        begin = int(np.searchsorted(self.keys, low))
        end = int(np.searchsorted(self.keys, high, "right"))
        if begin >= end:
            return self
        starts = self.starts
        cuts = np.union1d(starts, [begin, end] if end < len(self.keys) else [begin])
        read_at = self.read_at[np.searchsorted(starts, cuts, "right") - 1]
        read_at[(cuts >= begin) & (cuts < end)] = at
        return Blocks(self.keys, self.keys[cuts], read_at)

    def _joined(self) -> "Blocks":
        """Join neighbours, from the growing end on, where hardly anything is lost by it.

        Where there are far too many blocks all the same, the rest of it is lost.
        """
        blocks = self._join(*SIMILAR)
        if len(blocks) > 2 * len(Blocks.of(self.keys, 0.0)) + 20:
            blocks = blocks._join(float("inf"), 0.0)
        return blocks

    def _join(self, seconds: float, share: float) -> "Blocks":
        read = np.where(np.isnan(self.read_at), -np.inf, self.read_at)
        newest = float(read.max())
        starts, times = self.starts.tolist(), read.tolist()
        kept: list[tuple[int, float]] = []
        end = total = len(self.keys)
        """The end of the block that is being put together, and where it begins: kept[-1]."""
        for start, time in zip(reversed(starts), reversed(times), strict=True):
            if kept:
                begin, other = kept[-1]
                apart, older = abs(time - other), min(time, other)
                near = apart <= seconds or apart <= share * (newest - older) < float("inf")
                similar = time == other or near
                if similar and end - start <= target(total - end):
                    kept[-1] = (start, older)
                    continue
                end = begin
            kept.append((start, time))
        at = np.array([time for _, time in reversed(kept)])
        first = self.keys[np.array([start for start, _ in reversed(kept)], np.int64)]
        return Blocks(self.keys, first, np.where(np.isinf(at), np.nan, at))


def believed(read_at: Floats, now: float) -> Floats:
    """The times, those far ahead of ``now`` as never: else they would outweigh true ones."""
    return np.where(read_at - now > AHEAD, np.nan, read_at)


def ages(read_at: Floats, now: float) -> Floats:
    """Seconds since each of some times; infinite for never (nan), and none is below zero.

    A time somewhat ahead of ``now`` is now, as clocks are set; one far ahead counts as never.
    """
    seconds = now - read_at
    return np.where(np.isnan(seconds) | (seconds < -AHEAD), np.inf, np.maximum(seconds, 0.0))
