"""The planner: what the next run reads, given what is known and what may be spent.

A crawler's question: when to poll which of many sources that change at unknown rates (Cho and
Garcia-Molina 2003; Azar et al., PNAS 2018). The answer here is a rule that can be checked by hand:

1. What costs no more than the allowance is read whole, all of it.
2. Hints come first, and may take half of what the sweep leaves.
3. Everything else competes by expected unseen changes per request, weighed by how soon they would
   be seen; no kind takes more than half of what the sweep leaves while others have anything to
   read that is worth nearly as much.
4. The sweep has at least a fifth of the allowance, and up to four fifths, as much as it takes to
   bring everything round within its ``reconcile_every``: it reads what is furthest gone of it.

Pure: no clock, no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sources.eduframe.planning.blocks import Ints
from sources.eduframe.planning.hints import hinted_reads
from sources.eduframe.planning.rates import CHANGED, NEVER, Rates
from sources.eduframe.planning.views import Choice, Flags, ListView, in_words
from sources.eduframe.planning.worth import (
    PAGES,
    PARENTS,
    TAILS,
    WHOLE,
    WINDOWS,
    Units,
    parent_buckets,
    units,
)  # fmt: skip

LONG_AGO = 1e5 * 3600.0
"""Seconds; what was read so long ago was never read."""
FOLLOW_UP = 0.05
"""The share of what a run may spend that is best kept for a second look, at what its reads gave
rise to: payments of invoices that changed, rows beside an import."""
LEAST_SWEEP, MOST_SWEEP = 0.2, 0.8
"""The sweep's share of the allowance."""
MOST_OF_A_KIND = 0.5
"""No kind takes more of what the sweep leaves …"""
WORTH_IT = 0.25
"""… while others have something that is worth at least so much of what it would have to give up."""


@dataclass(frozen=True)
class Schedule:
    """The outcome: what to read, in order."""

    choices: list[Choice]
    sweep: float
    """The share of the allowance that the sweep has."""
    needed: int
    """Requests a run with which everything would come round within ``reconcile_every``: where
    this is more than the allowance, the run should say so."""

    @property
    def cost(self) -> int:
        return sum(choice.cost for choice in self.choices)


def choose(
    lists: Sequence[ListView],
    rates: Rates,
    allowance: int | None,
    now: float,
    every: float,
    *,
    most: int = 0,
    hints_only: bool = False,
) -> Schedule:
    """What a run reads that begins now.

    Args:
        lists: what is known of each list that can be read; names are unique. A list that is off
            is left out, or else the sweep would ask for it again and again.
        rates: what was learned so far.
        allowance: the requests that may be spent; None is no bound.
        now: epoch seconds.
        every: seconds from one run to the next, as they usually are.
        most: what may be spent, where that is more, to keep what falls due in its time: a run in
            quiet hours has less than others.
        hints_only: a second look within a run, at what its reads gave rise to: only hints,
            suspect rows and changed parents, as far as the allowance goes.
    """
    allowed = sum(view.cost for view in lists) if allowance is None else max(0, allowance)
    least = needed(lists, every)
    if not hints_only and sum(view.cost for view in lists) <= allowed:
        return Schedule([_all(view) for view in lists], 1.0, least)
    all_units = units(lists, rates, now, parents_only=hints_only)
    if hints_only:
        hints = hinted_reads(lists, allowed)
        left = allowed - sum(choice.cost for choice in hints)
        return Schedule(hints + _changed_parents(lists, all_units, left), 0.0, least)
    due = _fall_due(all_units, every)
    allowed = max(allowed, min(most, int(np.ceil(due / MOST_SWEEP))))
    sweep = int(np.ceil(min(max(due, LEAST_SWEEP * allowed), MOST_SWEEP * allowed)))
    hints = hinted_reads(lists, int(MOST_OF_A_KIND * (allowed - sweep)))
    left = allowed - sum(choice.cost for choice in hints)
    free = _not_read_by(hints, lists, all_units)
    chosen = _compete(all_units, free, left - sweep, allowed - sweep)
    left -= int(all_units.cost[chosen].sum())
    free[chosen] = False
    swept = _furthest_gone(all_units, free, left)
    choices = hints + _choices(lists, all_units, chosen, swept=False)
    choices += _choices(lists, all_units, swept, swept=True)
    return Schedule(choices, sweep / max(1, allowed), least)


def unseen(lists: Sequence[ListView], rates: Rates, now: float) -> dict[str, float]:
    """The number of changes, by list, that are expected to have happened and not to be seen."""
    found = units(lists, rates, now)
    sums = np.bincount(found.view, found.expected, len(lists))
    return {view.name: float(number) for view, number in zip(lists, sums, strict=True)}


def needed(lists: Sequence[ListView], every: float) -> int:
    """The requests a run that bring every list round within its ``reconcile_every``."""
    a_run = sum(view.cost * min(1.0, every / max(view.reconcile_every, 1.0)) for view in lists)
    return int(np.ceil(a_run / MOST_SWEEP))


def _not_read_by(hints: Sequence[Choice], lists: Sequence[ListView], found: Units) -> Flags:
    free = np.ones(len(found), np.bool_)
    for index, view in enumerate(lists):
        for hint in hints:
            if hint.name == view.name and hint.kind in ("whole", "pages"):
                mine = (found.view == index) & (found.kind <= PAGES)
                inside = (found.at >= hint.first) & (found.at <= hint.last)
                free &= ~(mine & (inside | (hint.kind == "whole")))
    return free


def _all(view: ListView) -> Choice:
    return Choice(view.name, "whole", view.cost, 0.0, "everything can be read")


def _fall_due(found: Units, every: float) -> float:
    """The requests that this run has to make so that everything is read in its time.

    Things fall due one after the other. For each of them: what they cost up to it has to be spent
    by then, and so many runs are left; the most that any needs counts.
    """
    order = np.flatnonzero(~np.isnan(found.due))
    order = order[np.argsort(found.due[order])]
    runs = np.floor(np.maximum(found.due[order], 0.0) / max(every, 1.0)) + 1
    return float((np.cumsum(found.cost[order]) / runs).max(initial=0.0))


def _compete(found: Units, free: Flags, requests: int, shared: int) -> Ints:
    """The units that are worth most, so many requests of them."""
    order = np.argsort(-found.value, kind="stable")
    order = order[free[order] & (found.value[order] > 0)]
    costs = np.cumsum(found.cost[order])
    cut = int(np.searchsorted(costs, requests, "right"))
    if cut == len(order):
        return order
    worth_it = found.value[order[cut]] * WORTH_IT
    left = dict.fromkeys(range(PARENTS + 1), int(MOST_OF_A_KIND * shared))
    first = _take(found, order[found.value[order] >= worth_it], requests, left)
    rest = np.setdiff1d(order, first, assume_unique=True)
    rest = rest[np.argsort(-found.value[rest], kind="stable")]
    more = _take(found, rest, requests - int(found.cost[first].sum()), {})
    return np.concatenate([first, more])


def _take(found: Units, order: Ints, requests: int, left: dict[int, int]) -> Ints:
    """Of units in this order those that fit, ``left`` being what there is for each kind."""
    taken = []
    columns = found.kind[order].tolist(), found.cost[order].tolist()
    for unit, kind, cost in zip(order.tolist(), *columns, strict=True):
        if requests <= 0:
            break
        if cost <= requests and cost <= left.get(kind, cost):
            taken.append(unit)
            requests -= cost
            if kind in left:
                left[kind] -= cost
    return np.array(taken, np.int64)


def _furthest_gone(found: Units, free: Flags, requests: int) -> Ints:
    """What is overdue, by how many times its ``reconcile_every`` has passed; then what is due."""
    could = np.flatnonzero(free & ~np.isnan(found.gone))
    overdue = np.maximum(found.gone[could], 1.0)
    order = could[np.lexsort((found.due[could], -overdue))]
    return _take(found, order, requests, {})


def _choices(lists: Sequence[ListView], found: Units, chosen: Ints, *, swept: bool) -> list[Choice]:
    """The units as reads: pages that follow each other are one, and so are parents of a kind."""
    ranked: list[tuple[float, Choice]] = []
    chosen = np.sort(chosen)
    for index in np.unique(found.view[chosen]).tolist():
        view, mine = lists[index], chosen[found.view[chosen] == index]
        kinds = found.kind[mine]
        groups = [mine[kinds == WHOLE], *_runs(found, mine[(kinds == TAILS) | (kinds == PAGES)])]
        groups += [mine[at : at + 1] for at in np.flatnonzero(kinds == WINDOWS)]
        if (asked := mine[kinds == PARENTS]).size:
            buckets = parent_buckets(view)[found.at[asked]]
            groups += [asked[buckets == bucket] for bucket in np.unique(buckets)]
        for group in groups:
            if group.size:
                worth = found.gone if swept else found.value
                choice = _choice(view, found, group, swept=swept)
                ranked.append((-float(worth[group].max()), choice))
    return [choice for _, choice in sorted(ranked, key=lambda pair: pair[0])]


def _runs(found: Units, pages: Ints) -> list[Ints]:
    return np.split(pages, np.flatnonzero(np.diff(found.at[pages]) != 1) + 1)


def _choice(view: ListView, found: Units, group: Ints, *, swept: bool) -> Choice:
    kind, at = int(found.kind[group[0]]), found.at[group]
    expected = float(found.expected[group].sum())
    reason = f"{expected:.2g}" if expected < 100 else f"{expected:.0f}"
    reason += " changes expected"
    if swept:
        age = float(found.gone[group].max()) * view.reconcile_every
        reason = "never read" if age > LONG_AGO else f"not read for {in_words(age)}"
    cost = int(found.cost[group].sum())
    base = Choice(view.name, "whole", cost, expected, reason)
    if kind == WHOLE:
        return base
    if kind == WINDOWS:
        return replace(base, kind="window", window=view.windows[int(at[0])])
    if kind == PARENTS:
        assert view.parents is not None
        why = {CHANGED: "their own rows changed", NEVER: "never asked"}
        reason = why.get(int(parent_buckets(view)[at[0]]), reason)
        return replace(base, kind="under parents", ids=view.parents.ids[at], reason=reason)
    if len(at) >= view.pages:
        return base
    return replace(base, kind="pages", first=int(at[0]), last=int(at[-1]))


def _changed_parents(lists: Sequence[ListView], found: Units, requests: int) -> list[Choice]:
    """Parents whose rows changed, as far as the requests go."""
    parents = np.flatnonzero(found.kind == PARENTS)
    changed = [
        parents[found.view[parents] == index][view.parents.changed]
        for index, view in enumerate(lists)
        if view.parents is not None
    ]
    chosen = np.concatenate([np.zeros(0, np.int64), *changed])[: max(0, requests)]
    return _choices(lists, found, chosen, swept=False)
