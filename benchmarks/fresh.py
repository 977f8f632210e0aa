"""Freshness against requests: the planner beside reading everything over and over.

The process is that of `fresh_process.py`, under a virtual clock; planner, ledger, rates and account
are the real ones. A line for each way to read:

- *over and over*: all lists whole, one after the other, with the same requests;
- *planner*: with a ``reconcile_every`` that a fifth for the sweep just keeps;
- *true rates*: the same, told the rates instead of learning them;
- *each day*: the planner with a ``reconcile_every`` of a day (of a week for payments).

The account alone bounds a run: the 250 requests that a real run may always make are not given here.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from math import nan
from statistics import median

import numpy as np

from benchmarks.fresh_process import DAY, HOUR, Customer, TrueRates, customer
from benchmarks.fresh_runs import EVERY, Mirror, OverAndOver, Pending
from benchmarks.report import Table
from sources.eduframe.planning.blocks import Floats
from sources.eduframe.planning.budget import Budget
from sources.eduframe.planning.rates import Rates

LIMIT = 500 / 300
"""Requests a second."""
WAYS = ("over and over", "planner", "true rates", "each day")
BUDGETS = ("5%", "10%", "20%", "50%", "100%")
WITHIN = (0.25, 1.0, 4.0, 24.0)
"""Hours."""
LEARNING = 2.0
SWEEP = 0.2
SLACK = 1.1
FOR_PARENTS = 0.1
"""The part of the sweep that is meant for lists under parents."""


@dataclass(frozen=True)
class Case:
    """One simulation."""

    way: str
    customer: str
    budget: str
    alpha: float
    days: float
    seed: int
    learning: float = LEARNING
    """Days before those that count."""

    @property
    def after(self) -> float:
        """Days after them, in which the last changes may be seen."""
        return min(1.0, self.days)


@dataclass(frozen=True)
class Outcome:
    """What came of it, over the days that count."""

    within_15_min: float
    within_1_h: float
    within_4_h: float
    within_24_h: float
    payments_within_1_h: float
    unseen: float
    requests: float
    """A run."""
    oldest: float
    """The oldest block, in times of what over and over takes for all lists that have pages."""
    import_runs: float
    """From the run that saw the first row of an import to the one that saw the last."""


def fresh(options: Namespace) -> Iterator[Table]:
    """How soon changes are seen, on a share of the request limit."""
    days = options.days or (0.5 if options.quick else 14.0)
    learning = 0.25 if options.quick else LEARNING
    seeds = range(1, (options.seeds or (1 if options.quick else 5)) + 1)
    processes = options.processes or min(len(seeds), os.cpu_count() or 1)
    header = ("customer, budget, way", *(f"{hours:g} h" for hours in WITHIN), "payments, 1 h",
              "unseen", "requests", "oldest", "import")  # fmt: skip
    for alpha in options.alphas or [1.0]:
        for name in options.customers or (["small"] if options.quick else ["middle", "large"]):
            table = Table(
                f"Freshness: {name} customer, α {alpha:g}, {days:g} days after {learning:g} of "
                f"learning, medians of {len(seeds)}",
                header,
                note="Share of changes visible within so many hours, imports apart; changes "
                "unseen, on the average; requests a run of 15 minutes; the oldest block in times "
                "of what over and over takes; runs until all of an import was seen.",
            )
            for budget in options.budgets or BUDGETS[: 1 if options.quick else None]:
                for way in WAYS:
                    cases = [Case(way, name, budget, alpha, days, seed, learning) for seed in seeds]
                    table.rows.append((f"{name}, {budget}, {way}", *_cells(_all(cases, processes))))
                    print("  ".join(table.rows[-1]), file=sys.stderr, flush=True)
            yield table


def _all(cases: Sequence[Case], processes: int) -> list[Outcome]:
    if processes == 1:
        return [simulate(case) for case in cases]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(simulate, cases))


def _cells(outcomes: Sequence[Outcome]) -> list[str]:
    columns = zip(*(astuple(outcome) for outcome in outcomes), strict=True)
    medians = [median(column) for column in columns]
    shares = [f"{share:.1%}" for share in medians[:5]]
    return [*shares, f"{medians[5]:,.0f}", f"{medians[6]:,.0f}", *(f"{x:.1f}" for x in medians[7:])]


def simulate(case: Case) -> Outcome:
    """One simulation."""
    days = case.learning + case.days + case.after
    of = customer(case.customer, days, case.alpha, case.seed)
    budget = Budget.parse(case.budget)
    a_run = (budget.share or 1.0) * LIMIT * EVERY
    pages = sum(-(-len(keys) // 100) for keys in of.keys.values())
    every = SLACK * pages / (SWEEP * a_run) * EVERY
    rest = SWEEP - SWEEP / SLACK
    parents_every = len(of.keys["invoices"]) / (rest * a_run) * EVERY
    if case.way == "each day":
        every, parents_every = DAY, 7 * DAY
    runs = np.arange(1, int(days * DAY / EVERY)) * EVERY
    mirror: Mirror | OverAndOver
    if case.way == "over and over":
        mirror = OverAndOver(of)
        for now in runs:
            mirror.run(float(now), int(a_run))
    else:
        true = case.way == "true rates"
        rates = TrueRates.of(of, case.alpha) if true else Rates()
        empty = budget.account(LIMIT, 0.0).book(10**9, 0.0)
        mirror = Mirror(of, empty, rates, every, parents_every)
        for now in runs:
            mirror.run(float(now))
    return _outcome(case, of, mirror, pages / a_run * EVERY)


def _outcome(case: Case, of: Customer, mirror: Mirror | OverAndOver, round_: float) -> Outcome:
    first, last = case.learning * DAY, (case.learning + case.days) * DAY
    pendings = [of.pending for of in mirror.lists.values()]
    changes = np.concatenate([_delays(p, first, last) for p in [*pendings, mirror.payments]])
    paid = _delays(mirror.payments, first, last)
    counted = slice(int(first / EVERY), int(last / EVERY))
    soon = [_share(changes, hours) for hours in WITHIN]
    return Outcome(
        soon[0],
        soon[1],
        soon[2],
        soon[3],
        _share(paid, 1.0),
        float(np.mean(mirror.unseen[counted])),
        float(np.mean(mirror.spent[counted])),
        max(mirror.oldest[counted]) / round_ if mirror.oldest else nan,
        max((runs for p in pendings for runs in _import_runs(p, first, last)), default=nan),
    )


def _delays(pending: Pending, first: float, last: float) -> Floats:
    """Seconds until what happened in this time was seen; infinite for never."""
    events = pending.events
    counts = (events.time >= first) & (events.time < last) & (events.imported < 0)
    delays: Floats = (pending.seen - events.time)[counts]
    return np.where(np.isnan(delays), np.inf, delays)


def _share(delays: Floats, hours: float) -> float:
    return float((delays <= hours * HOUR).mean()) if len(delays) else nan


def _import_runs(pending: Pending, first: float, last: float) -> Iterator[float]:
    events = pending.events
    for number in np.unique(events.imported[events.imported >= 0]):
        mine = events.imported == number
        seen = pending.seen[mine]
        if first <= events.time[mine][0] < last and not np.isnan(seen).all():
            yield float((np.nan_to_num(seen, nan=np.inf).max() - np.nanmin(seen)) / EVERY)
