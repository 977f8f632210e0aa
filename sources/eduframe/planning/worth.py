"""What each request is worth: every page, window, parent and part of a walk, as a row of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from sources.eduframe.planning.blocks import PER_PAGE, Blocks, Floats, Ints, ages
from sources.eduframe.planning.rates import CHANGED, EMPTY, NEVER, OTHER, Rates
from sources.eduframe.planning.views import ListView

SOON = 2.5
"""Hours within which a change is worth seeing: one that is older counts for less by e⁻¹ each."""
LONGEST = 30 * 24.0
"""Hours for which changes are expected at most: "never read" counts as so many."""
MOST_GONE = 1e6
"""Never read is so many times ``reconcile_every`` ago."""
TAIL = 8
"""So many of a list's newest pages are its tail."""
WHOLE, TAILS, PAGES, WINDOWS, PARENTS = range(5)
"""The kinds that compete."""


@dataclass(frozen=True)
class Units:
    """Things that can be read, in parallel arrays; a part of a walk is a unit for each request."""

    view: Ints
    """The index of the list."""
    kind: Ints
    at: Ints
    """The number of the page, or the index of the window or parent; for a walk its n-th part."""
    cost: Ints
    expected: Floats
    """Unseen changes expected in it."""
    value: Floats
    """The same per request, weighed by how soon they would be seen."""
    gone: Floats
    """Time since the oldest part of it was read, as a share of ``reconcile_every``; nan where the
    sweep has no business."""
    due: Floats
    """Seconds until that time is over; below zero where it is."""

    def __len__(self) -> int:
        return len(self.view)


def units(
    lists: Sequence[ListView], rates: Rates, now: float, *, parents_only: bool = False
) -> Units:
    """All that can be read of these lists, list after list, pages by their numbers."""
    nothing = np.zeros(0)
    parts = [_units(0, WHOLE, np.zeros(0, np.int64), nothing, nothing, nothing, 1.0)]
    for index, view in enumerate(lists):
        if view.parents is not None:
            parts.append(_parents(index, view, rates, now))
        elif parents_only:
            continue
        elif view.paged:
            parts.append(_pages(index, view, rates, now))
        else:
            parts.append(_whole(index, view, rates, now))
        if view.windows:
            parts.append(_windows(index, view, rates, now))
    columns = ([getattr(part, field.name) for part in parts] for field in fields(Units))
    return Units(*(np.concatenate(column) for column in columns))


def _units(
    index: int, kind: int | Ints, at: Ints, expected: Floats, value: Floats, age: Floats,
    every: float, cost: Ints | int = 1,
) -> Units:  # fmt: skip
    def full(number: int | Ints) -> Ints:
        return np.full(at.shape, number, np.int64)

    every = max(every, 1.0)
    gone = np.minimum(age / every, MOST_GONE)
    return Units(full(index), full(kind), at, full(cost), expected, value, gone, every - age)


def soon(hours: Floats) -> Floats:
    """Of the changes of so many hours, the share that is still worth as much as a new one."""
    ratio = np.maximum(hours, 1e-6) / SOON
    share: Floats = -np.expm1(-ratio) / ratio
    return share


def _changed(rows: Floats, rate: Floats, hours: Floats) -> Floats:
    """Rows of which some changed: one that changed twice is found once."""
    found: Floats = -rows * np.expm1(-rate * hours)
    return found


def _hours(seconds: Floats) -> Floats:
    return np.minimum(seconds / 3600, LONGEST)


def _growing(hours: Floats, age: Floats) -> Floats:
    """Hours for which a list is taken to have grown: "never read" tells of no time, as after a
    clock was set back, and counts as a day."""
    return np.where(np.isinf(age), 24.0, hours)


def _blocks(view: ListView, blocks: Blocks, rates: Rates, now: float) -> tuple[Floats, Floats]:
    """Changes expected in each block, and hours since it was read."""
    starts, rows = blocks.starts, blocks.rows.astype(np.float64)
    hours = _hours(blocks.ages(now))
    newer: Floats = len(blocks.keys) - starts - rows
    rate = rates.between(view.name, newer, newer + rows)
    return _changed(rows, rate, hours), hours


def _pages(index: int, view: ListView, rates: Rates, now: float) -> Units:
    """The pages of an ordered list: each has its part of the blocks that it overlaps."""
    assert view.blocks is not None
    blocks, total = view.blocks, len(view.blocks.keys)
    expected, hours = _blocks(view, blocks, rates, now)
    new = rates.rate(view.name, 0, "growth") * _growing(hours[-1:], blocks.ages(now)[-1:])[0]
    bounds = np.append(blocks.starts, total)
    numbers = np.arange(1, view.pages + 1)
    if view.order == "ascending":
        low = (numbers - 1) * PER_PAGE
        high = np.minimum(low + PER_PAGE, total)
    else:
        high = total - (numbers - 1) * PER_PAGE
        low = np.maximum(high - PER_PAGE, 0)
    found = _shares(bounds, expected, low, high)
    value = _shares(bounds, expected * soon(hours), low, high)
    newest = high == total
    found = found + newest * new
    value = value + newest * new * soon(hours[-1:])
    begin = np.searchsorted(bounds[:-1], low, "right") - 1
    end = np.searchsorted(bounds[:-1], high - 1, "right")
    pairs = np.column_stack([begin, end]).ravel()
    age = np.maximum.reduceat(np.append(blocks.ages(now), 0.0), pairs)[::2]
    tail = np.where(total - high < TAIL * PER_PAGE, TAILS, PAGES)
    cost = 1 + newest * (int(new) // PER_PAGE)
    return _units(index, tail, numbers, found, value / cost, age, view.reconcile_every, cost)


def _shares(bounds: Ints, amounts: Floats, low: Ints, high: Ints) -> Floats:
    """What of the amounts, spread evenly between the bounds, lies in each interval."""
    sums = np.append(0.0, np.cumsum(amounts))
    within: Floats = np.interp(high, bounds, sums) - np.interp(low, bounds, sums)
    return within


def _whole(index: int, view: ListView, rates: Rates, now: float) -> Units:
    """A list that is read whole, in one go or by a walk over several runs."""
    if view.blocks is not None and len(view.blocks) and view.pages == 1:
        age = float(view.blocks.ages(now).max())
    else:
        age = float(ages(np.array([view.proven_at]), now)[0])
    hours = _hours(np.array([age]))
    newer = np.arange(view.pages, dtype=np.float64) * PER_PAGE
    older = np.minimum(newer + PER_PAGE, view.rows)
    rate = rates.between(view.name, newer, older)
    changed = _changed(older - newer, rate, hours).sum()
    found = changed + rates.rate(view.name, 0, "growth") * _growing(hours, np.array([age]))
    if view.at_once:
        at, old = np.zeros(1, np.int64), np.full(1, age)
        value = found * soon(hours) / view.at_once
        return _units(index, WHOLE, at, found, value, old, view.reconcile_every, view.at_once)
    left = min(view.walk_left, view.pages) or view.pages
    each = np.full(left, float(found[0]) / view.pages)
    at, old = np.arange(left), np.full(left, age)
    return _units(index, WHOLE, at, each, each * soon(hours), old, view.reconcile_every)


def _windows(index: int, view: ListView, rates: Rates, now: float) -> Units:
    """The windows whose event is not ahead."""
    event = np.array([window.event for window in view.windows])
    read = np.array([window.read_at for window in view.windows])
    rows = np.array([window.rows for window in view.windows])
    cost = np.array([max(1, window.cost) for window in view.windows])
    until = (now - event) / 3600
    since = np.maximum(until - ages(read, now) / 3600, 0.0)
    rate = rates.in_window(view.name, since, np.maximum(until, since))
    found = -rows * np.expm1(-rate)
    value = found * soon(until - since) / cost
    at = np.flatnonzero(until >= 0)
    nothing = np.full(len(at), np.nan)
    every = view.reconcile_every
    return _units(index, WINDOWS, at, found[at], value[at], nothing, every, cost[at])


def _parents(index: int, view: ListView, rates: Rates, now: float) -> Units:
    """The parents, each a request: those that changed or were never asked at the rate at which
    such requests find something, the others by the time since they were asked."""
    assert view.parents is not None
    of = view.parents
    rate = rates.rates(view.name, "parents")
    age = ages(of.asked_at, now)
    never = np.isinf(age)
    hours = _hours(age)
    waiting = np.where(of.likely_empty, rate[EMPTY], rate[OTHER]) * hours
    found = np.where(of.changed, rate[CHANGED] + waiting, waiting)
    found = np.where(never & ~of.likely_empty, rate[NEVER], found)
    value = found * np.where(of.changed | never, 1.0, soon(hours))
    # Never asked is just due, and no more: or else a first load would have all of the sweep.
    age = np.where(never, view.reconcile_every, age)
    at = np.arange(len(of.ids))
    return _units(index, PARENTS, at, found, value, age, view.reconcile_every)


def parent_buckets(view: ListView) -> Ints:
    """The bucket of rates that each parent is in."""
    assert view.parents is not None
    of = view.parents
    rest = np.where(of.likely_empty, EMPTY, OTHER)
    never = np.where(np.isnan(of.asked_at) & ~of.likely_empty, NEVER, rest)
    return np.where(of.changed, CHANGED, never).astype(np.int64)
