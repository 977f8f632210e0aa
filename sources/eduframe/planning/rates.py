"""How often rows change, learned from what reads find.

The age of a row is its rank from the growing end of its list, in pages; no dates are needed. Each
counter holds what was found (changes) in what was watched (rows × hours since their last read). A
rate is a Gamma-Poisson estimate, (prior changes + found) ÷ (prior hours + watched), where the prior
is what the other lists show at that age, times how lively this list is beside them. (Avrachenkov
et al. 2020, arXiv 2004.02167, on estimating rates from "changed or not since the last look"; a row
changes so rarely between two looks that the bias for several changes in between may be left out.)
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sources.eduframe.planning.blocks import PER_PAGE, Blocks, Floats, Ids, Ints

Kind = Literal["age", "window", "growth", "parents", "hours"]
CounterRow = tuple[str, str, int, float, float]
"""``resource, kind, bucket, found, watched``: one counter, as it is stored."""

HALF_LIFE = 30 * 86400.0
"""Seconds after which evidence counts half: habits change."""
AGES = 40
"""Buckets of age: two for each doubling of the pages from the newest."""
RANKS = PER_PAGE * (2.0 ** (np.arange(AGES + 1) / 2) - 1)
"""The rows after which each of them begins, and the last one ends."""
HOURS = np.array([0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 1e9])
"""Buckets of a window: hours since its event."""
CHANGED, NEVER, OTHER, EMPTY = range(4)
"""Buckets of parents: whose row changed since they were asked; that were never asked; the others;
those that by their own fields have no children. For the first two ``watched`` counts requests,
for the others hours since they were asked."""
SURPRISE = 10.0
"""A block teaches no more than one change and so many times what was expected of it."""
ALL_LISTS = "*"
"""The name under which the hours are counted. Buckets: the hours of a workday, then those of a day
of the weekend, in UTC; ``watched`` counts hours."""
PRIOR = 2.0
"""Changes that the prior of a bucket counts for …"""
LIVELY = 0.1
"""… and that of a list beside the others: they differ by orders of magnitude."""
NEWEST, LEAST = 0.01, 1e-7
"""Changes per row and hour that are believed before anything is known: of the newest page, halved
with each doubling of the pages, and at least."""
_BUILT_IN: dict[str, Floats] = {
    "age": np.maximum(LEAST, NEWEST * 2.0 ** (-np.arange(AGES) / 2)),
    "window": np.full(len(HOURS) - 1, NEWEST),
    "growth": np.full(1, 0.1),
    "parents": np.array([0.3, 1.0, 1e-5, 1e-6]),
    "hours": np.ones(48),
}


def age_bucket(rank: Ints | Floats) -> Ints:
    """The bucket of rows with so many rows after them."""
    doublings: Floats = np.log2(np.maximum(rank, 0) / PER_PAGE + 1)
    return np.minimum(2 * doublings, AGES - 1).astype(np.int64)


@dataclass
class Rates:
    """The counters of all lists."""

    at: float = float("nan")
    """The time, in epoch seconds, to which the evidence is weighed; nan before there is any."""
    counters: dict[tuple[str, str], tuple[Floats, Floats]] = field(default_factory=dict)
    """By list and kind: what was found, and what was watched, by bucket."""
    _known: dict[tuple[str, str], Floats] = field(default_factory=dict, repr=False)

    @classmethod
    def stored(cls, rows: Iterable[CounterRow], at: float) -> "Rates":
        """The counters as they were stored at ``at``; what is no counter of ours is left out."""
        rates = cls(at)
        for name, kind, bucket, found, watched in rows:
            if kind in _BUILT_IN and 0 <= bucket < len(_BUILT_IN[kind]):
                rates.observe(name, bucket, found, watched, kind)  # type: ignore[arg-type]
        return rates

    def rows(self) -> list[CounterRow]:
        """The counters as plain rows, to be stored with :attr:`at`; empty ones are left out."""
        return [
            (name, kind, bucket, float(found[bucket]), float(watched[bucket]))
            for (name, kind), (found, watched) in sorted(self.counters.items())
            for bucket in np.flatnonzero(watched).tolist()
        ]

    def decay(self, now: float) -> None:
        """Let old evidence count less. A clock set back changes nothing, one that jumps ahead
        costs half of the evidence at most."""
        if now > self.at:
            share = 0.5 ** min(1.0, (now - self.at) / HALF_LIFE)
            for counter in (array for pair in self.counters.values() for array in pair):
                counter *= share
            self._known.clear()
        self.at = now

    def observe(
        self, name: str, bucket: int, found: float, watched: float, kind: Kind = "age"
    ) -> None:
        """Count what was found in what was watched: for ``age`` and ``window`` changed rows in
        rows × hours, for ``growth`` new rows in hours (bucket 0), for ``parents`` see `CHANGED`."""
        counters = self._counters(name, kind)
        counters[0][bucket] += found
        counters[1][bucket] += watched

    def rate(self, name: str, bucket: int, kind: Kind = "age") -> float:
        """What is expected to be found in one of what is watched: changes per row and hour."""
        return float(self.rates(name, kind)[bucket])

    def rates(self, name: str, kind: Kind = "age") -> Floats:
        """The rates of all buckets."""
        known = self._known.get((name, kind))
        if known is None:
            known = self._known[(name, kind)] = self._estimate(name, kind)
        return known

    def between(self, name: str, newest: Floats, oldest: Floats) -> Floats:
        """The mean rate of the rows that have so many newer ones, from ``newest`` up to
        ``oldest``."""
        risen = np.append(0.0, np.cumsum(np.diff(RANKS) * self.rates(name)))
        sums = np.interp(oldest, RANKS, risen) - np.interp(newest, RANKS, risen)
        return np.asarray(sums / np.maximum(oldest - newest, 1e-9))

    def observe_rows(self, name: str, blocks: Blocks, read: Ids, changed: Ids, now: float) -> None:
        """Count a read of rows (their keys, ascending), by the blocks as they were before it.

        Args:
            read: the keys that were met; those that the blocks do not have are left out.
            changed: those among them that changed since the blocks' times of reading, or are gone.
                Where a block has far more of them than expected, somebody imported something: that
                is no habit, and the block counts for what would have been surprising enough.
        """
        if not len(blocks):
            return
        hours = blocks.ages(now) / 3600
        bucket, block = _places(blocks, read, hours)
        expected = self.rates(name)[bucket] * hours[block]
        most = 1 + SURPRISE * np.bincount(block, expected, len(blocks))
        found, watched = self._counters(name, "age")
        watched += np.bincount(bucket, hours[block], AGES)
        bucket, block = _places(blocks, changed, hours)
        share = np.minimum(1.0, most / np.maximum(np.bincount(block, minlength=len(blocks)), 1))
        found += np.bincount(bucket, share[block], AGES)

    def observe_window(
        self, name: str, since: float, until: float, changes: int, rows: int
    ) -> None:
        """Count a look at a window with ``rows`` rows of which ``changes`` had changed between so
        many hours after its event: each bucket in between gets its part."""
        overlap = np.diff(np.clip(HOURS, since, max(since, until)))
        expected = overlap * self.rates(name, "window")
        found, watched = self._counters(name, "window")
        watched += overlap * rows
        if (total := expected.sum()) > 0:
            found += changes * expected / total

    def in_window(self, name: str, since: Floats, until: Floats) -> Floats:
        """Changes expected of a row of a window between so many hours after its event."""
        risen = np.concatenate([[0.0], np.cumsum(np.diff(HOURS) * self.rates(name, "window"))])
        gained: Floats = np.interp(until, HOURS, risen) - np.interp(since, HOURS, risen)
        return gained

    def observe_run(self, found: float, since: float, now: float) -> None:
        """Count the changes that a run found, the run before having been at ``since``."""
        hours = (now - since) / 3600
        if 0 < hours <= 2:
            self.observe(ALL_LISTS, _hour_bucket((since + now) / 2), found, hours, "hours")

    def lively(self, now: float) -> float:
        """How much of what is there to spend is well spent now, beside the mean hour, which is 1:
        the square root of how many changes this hour of the day brings."""
        found, watched = self.counters.get((ALL_LISTS, "hours"), (np.zeros(48), np.zeros(48)))
        mean = max(float(found.sum()), 1.0) / max(float(watched.sum()), 1.0)
        day = np.sqrt((PRIOR + found) / (PRIOR / mean + watched))
        week = np.repeat(np.array([5.0, 2.0]), 24)
        return float(day[_hour_bucket(now)] / np.average(day, weights=week))

    def _counters(self, name: str, kind: Kind) -> tuple[Floats, Floats]:
        size = len(_BUILT_IN[kind])
        for known in ((name, kind), ("", kind)):
            self._known.pop(known, None)
        return self.counters.setdefault((name, kind), (np.zeros(size), np.zeros(size)))

    def _estimate(self, name: str, kind: str) -> Floats:
        """The prior of a bucket is what all lists show together, times this list's liveliness."""
        shared = self._known.get(("", kind))
        if shared is None:
            pairs = [pair for (_, of), pair in self.counters.items() if of == kind]
            found = sum((pair[0] for pair in pairs), np.zeros(len(_BUILT_IN[kind])))
            watched = sum((pair[1] for pair in pairs), np.zeros(len(_BUILT_IN[kind])))
            shared = (PRIOR + found) / (PRIOR / _BUILT_IN[kind] + watched)
            self._known[("", kind)] = shared
        nothing = (np.zeros_like(shared), np.zeros_like(shared))
        found, watched = self.counters.get((name, kind), nothing)
        if kind == "growth":
            return np.asarray((LIVELY + found) / (LIVELY / shared + watched))
        lively = 1.0
        if kind == "age":
            lively = (LIVELY + found.sum()) / (LIVELY + (shared * watched).sum())
        return np.asarray((PRIOR + found) / (PRIOR / (shared * lively) + watched))


def _places(blocks: Blocks, keys: Ids, hours: Floats) -> tuple[Ints, Ints]:
    """The buckets of the keys, and their blocks: of those in a block that was ever read."""
    rank = np.searchsorted(blocks.keys, keys)
    rank = rank[rank < len(blocks.keys)]
    block = np.searchsorted(blocks.starts, rank, "right") - 1
    seen = np.isfinite(hours[block])
    return age_bucket(len(blocks.keys) - 1 - rank[seen]), block[seen]


def _hour_bucket(now: float) -> int:
    days, seconds = divmod(now, 86400.0)
    # The epoch began on a Thursday.
    return int(seconds // 3600) + 24 * ((int(days) + 3) % 7 >= 5)
