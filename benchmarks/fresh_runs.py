"""Runs under a virtual clock: what the planner chooses is read, and what was seen is counted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.fresh_process import (
    CHANGE,
    DAY,
    DELETE,
    HOUR,
    NEW,
    OF_MEETING,
    Customer,
    Events,
)
from sources.eduframe.planning.blocks import PER_PAGE, Blocks, Floats, Ids, Ints
from sources.eduframe.planning.budget import Account
from sources.eduframe.planning.hints import suspects, without
from sources.eduframe.planning.planner import Schedule, choose
from sources.eduframe.planning.rates import CHANGED, NEVER, OTHER, Rates
from sources.eduframe.planning.views import Choice, ListView, Parents, Window

EVERY = 900.0
"""Seconds from one run to the next."""
WINDOW_DAYS = 3.0
MONDAY = 4 * DAY
"""A Monday at midnight, as epoch seconds: time 0 of the process."""
END = 1 << 60
"""A key above all keys."""
FOLLOW_UP = 0.05
"""The share of a run that is kept for what its reads give rise to."""


@dataclass
class Pending:
    """What happened to a list, and when each of it was seen."""

    events: Events
    seen: Floats = field(init=False)
    """nan: not yet."""
    begun: int = 0
    waiting: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Those that happened and were not seen."""

    def __post_init__(self) -> None:
        self.seen = np.full(len(self.events.time), np.nan)

    def happen(self, now: float) -> Ints:
        """What happened since the last time."""
        end = int(np.searchsorted(self.events.time, now, "right"))
        new = np.arange(self.begun, end)
        self.begun, self.waiting = end, np.concatenate([self.waiting, new])
        return new

    def see(self, which: np.ndarray, now: float) -> Ints:
        """Those of the waiting for which this is true are seen."""
        found = self.waiting[which]
        self.seen[found] = now
        self.waiting = self.waiting[~which]
        return found


@dataclass
class List_:
    """One list: the truth, and what the destination knows."""

    name: str
    pending: Pending
    truth: Ids
    blocks: Blocks
    reconcile_every: float
    suspect: list[tuple[int, int]] = field(default_factory=list)
    requests: int = 0

    def happen(self, now: float) -> None:
        new = self.pending.happen(now)
        events = self.pending.events
        made = events.key[new[events.kind[new] == NEW]]
        gone = events.key[new[events.kind[new] == DELETE]]
        if len(made):
            self.truth = np.append(self.truth, made)
        if len(gone):
            self.truth = np.setdiff1d(self.truth, gone, assume_unique=True)

    def view(self) -> ListView:
        rows = len(self.blocks.keys)
        return ListView(
            self.name, rows, "ascending", True, True, self.reconcile_every, self.blocks,
            suspect=tuple(self.suspect),
        )  # fmt: skip

    def span(self, choice: Choice) -> tuple[int, int]:
        """The interval of keys that pages cover."""
        if choice.kind == "whole":
            return 0, END
        begin, end = (choice.first - 1) * PER_PAGE, choice.last * PER_PAGE
        low = int(self.truth[begin]) if 0 < begin < len(self.truth) else 0
        if end >= min(len(self.blocks.keys), len(self.truth)):
            return low, END
        return low, int(self.truth[end - 1])


class Mirror:
    """A customer, and a destination that is kept up by runs."""

    def __init__(
        self, customer: Customer, account: Account, rates: Rates, every: float, parents_every: float
    ) -> None:
        self.customer, self.account, self.rates = customer, account, rates
        self.lists = {
            name: List_(name, Pending(events), customer.keys[name],
                        Blocks.of(customer.keys[name], 0.0), every)
            for name, events in customer.events.items()
        }  # fmt: skip
        self.payments = Pending(customer.payments)
        self.parents_every = parents_every
        invoices = customer.keys["invoices"]
        self.asked = dict.fromkeys(invoices.tolist(), 0.0)
        self.ids = invoices
        self.asked_at = np.zeros(len(invoices))
        self.changed = np.zeros(len(invoices), np.bool_)
        self.paid = np.zeros(len(invoices), np.bool_)
        self.window_read = np.where(customer.meetings < 0, 0.0, np.nan)
        self.requests = 0
        self.found = 0
        self.shares: dict[str, int] = {}
        self.unseen: list[int] = []
        self.oldest: list[float] = []
        self.oldest_parent: list[float] = []

    def run(self, now: float, spend: Callable[[float, Account], int]) -> None:
        """What one run does."""
        for of in self.lists.values():
            of.happen(now)
        self.payments.happen(now)
        self.rates.decay(now)
        allowance = spend(now, self.account)
        kept = max(2, int(allowance * FOLLOW_UP))
        spent = self._do(self._choose(max(0, allowance - kept), now), now)
        left = allowance - spent
        spent += self._do(self._choose(left, now, hints_only=True), now) if left > 0 else 0
        self.rates.observe_run(self.found, MONDAY + now - EVERY, MONDAY + now)
        self.found = 0
        self.account = self.account.book(spent, now)
        self.requests += spent
        self.unseen.append(
            sum(len(of.pending.waiting) for of in self.lists.values()) + len(self.payments.waiting)
        )
        self.oldest.append(max(float(of.blocks.ages(now).max()) for of in self.lists.values()))
        self.oldest_parent.append(float(np.nanmax(now - self.asked_at, initial=0.0)))

    def _choose(self, allowance: int, now: float, hints_only: bool = False) -> Schedule:
        views = [of.view() for of in self.lists.values()]
        place = [view.name for view in views].index("attendances")
        views[place] = replace(views[place], windows=self._windows(now))
        order = slice(None, None, -1)
        parents = Parents(
            self.ids[order], self.asked_at[order], self.changed[order], ~self.paid[order]
        )
        views.append(
            ListView("payments", 0, parents=parents, reconcile_every=self.parents_every)
        )
        return choose(views, self.rates, allowance, now, EVERY, hints_only=hints_only)

    def _windows(self, now: float) -> tuple[Window, ...]:
        begin, end = np.searchsorted(self.customer.meetings, [now - WINDOW_DAYS * DAY, now])
        return tuple(
            Window("meeting", {"meeting_id": str(n)}, OF_MEETING, float(self.customer.meetings[n]),
                   float(self.window_read[n]))
            for n in range(begin, end)
        )  # fmt: skip

    def _do(self, schedule: Schedule, now: float) -> int:
        spent = schedule.cost
        for choice in schedule.choices:
            k = choice.kind + ("/sweep" if choice.reason.startswith("not read") else "")
            self.shares[k] = self.shares.get(k, 0) + choice.cost
        spans: dict[str, list[tuple[int, int]]] = {}
        for choice in schedule.choices:
            if choice.kind == "window":
                assert choice.window is not None
                self._see_window(int(choice.window.params["meeting_id"]), now)
            elif choice.kind == "under parents":
                self._see_payments(choice.ids, now)
            elif choice.name == "payments":
                self._see_payments(self.ids, now)
            else:
                of = self.lists[choice.name]
                of.requests += choice.cost
                spans.setdefault(choice.name, []).append(of.span(choice))
        for name, intervals in spans.items():
            spent += self._see_rows(self.lists[name], intervals, now)
        return spent

    def _see_rows(self, of: List_, intervals: list[tuple[int, int]], now: float) -> int:
        """Rows of some intervals are read: what became of them is seen."""
        intervals = sorted(intervals)
        events, waiting = of.pending.events, of.pending.waiting
        keys = events.key[waiting]
        low, high = (np.array([interval[side] for interval in intervals]) for side in (0, 1))
        place = np.searchsorted(low, keys, "right") - 1
        covered = (place >= 0) & (keys <= high[place])
        seen = of.pending.see(covered, now)
        self.found += int((events.imported[seen] < 0).sum())
        kinds, found = events.kind[seen], np.unique(events.key[seen])
        new = events.key[seen[kinds == NEW]]
        gone = events.key[seen[kinds == DELETE]]
        known = np.setdiff1d(found, new, assume_unique=True)
        blocks = of.blocks
        for begin, end in intervals:
            ranks = np.searchsorted(blocks.keys, [begin, end + 1])
            read = blocks.keys[ranks[0] : ranks[1]]
            changed = known[(known >= begin) & (known <= end)]
            self.rates.observe_rows(of.name, blocks, read, changed, now)
            if len(read):
                of.suspect += suspects(blocks, read, changed)
        for interval in intervals:
            of.suspect = without(of.suspect, *interval)
            if interval[1] == END:
                hours = float(blocks.ages(now)[-1]) / 3600
                self.rates.observe(of.name, 0, len(new), hours, "growth")
        if len(new) or len(gone):
            keys = np.append(blocks.keys, np.sort(new))
            blocks = blocks.fit(np.setdiff1d(keys, gone, assume_unique=True), now)
        for begin, end in intervals:
            blocks = blocks.mark(begin, end, now)
        of.blocks = blocks.fit(blocks.keys)
        if of.name == "invoices":
            self._note_invoices(found, new, gone)
        return len(gone)

    def _note_invoices(self, found: Ids, new: Ids, gone: Ids) -> None:
        if len(new):
            self.ids = np.append(self.ids, np.sort(new))
            more = np.zeros(len(new), np.bool_)
            self.asked_at = np.append(self.asked_at, np.full(len(new), np.nan))
            self.changed, self.paid = np.append(self.changed, more), np.append(self.paid, more)
        changed = np.setdiff1d(found, new, assume_unique=True)
        self.changed[np.searchsorted(self.ids, changed)] = True
        if len(gone):
            stay = ~np.isin(self.ids, gone)
            self.ids, self.asked_at = self.ids[stay], self.asked_at[stay]
            self.changed, self.paid = self.changed[stay], self.paid[stay]
            dead = np.isin(self.payments.events.key[self.payments.waiting], gone)
            self.payments.see(dead, np.inf)

    def _see_payments(self, asked: Ids, now: float) -> None:
        at = np.searchsorted(self.ids, asked)
        events = self.payments.events
        seen = self.payments.see(np.isin(events.key[self.payments.waiting], asked), now)
        found = np.isin(asked, events.key[seen])
        changed, never = self.changed[at], np.isnan(self.asked_at[at])
        rest = ~changed & ~never
        hours = (now - self.asked_at[at]) / 3600
        for bucket, which in ((CHANGED, changed), (NEVER, never & ~changed)):
            if which.any():
                tries = int(which.sum())
                self.rates.observe("payments", bucket, int(found[which].sum()), tries, "parents")
        for empty in (0, 1):
            which = rest & (self.paid[at] != bool(empty))
            if which.any():
                hits, watched = int(found[which].sum()), float(hours[which].sum())
                self.rates.observe("payments", OTHER + empty, hits, watched, "parents")
        self.asked_at[at], self.changed[at] = now, False
        self.paid[at] |= found

    def _see_window(self, meeting: int, now: float) -> None:
        of = self.lists["attendances"]
        of.requests += 1
        found = of.pending.see(of.pending.events.meeting[of.pending.waiting] == meeting, now)
        event = float(self.customer.meetings[meeting])
        read = self.window_read[meeting]
        since = 0.0 if np.isnan(read) else (read - event) / 3600
        changed = len(np.unique(of.pending.events.key[found]))
        self.found += changed
        self.rates.observe_window(
            "attendances", since, (now - event) / 3600, changed, OF_MEETING
        )
        self.window_read[meeting] = now


class OverAndOver:
    """Every list whole, one after the other, for ever: payments of invoices that changed, too."""

    def __init__(self, customer: Customer) -> None:
        self.mirror_lists = {
            name: List_(name, Pending(events), customer.keys[name],
                        Blocks.of(customer.keys[name], 0.0), DAY)
            for name, events in customer.events.items()
        }  # fmt: skip
        self.payments = Pending(customer.payments)
        self.at = ("", 0)
        self.requests = 0
        self.unseen: list[int] = []
        self.owed: list[int] = []
        self.place = 0
        self.page = 1

    def run(self, now: float, allowance: int) -> None:
        lists = list(self.mirror_lists.values())
        for of in lists:
            of.happen(now)
        self.payments.happen(now)
        left = allowance
        started = (self.place, self.page)
        while left > 0:
            of = lists[self.place]
            pages = len(of.truth) // PER_PAGE + 1
            last = min(pages, self.page + left - 1)
            cost = last - self.page + 1
            low, high = of.span(Choice(of.name, "pages", cost, 0.0, "", self.page, last))
            keys = of.pending.events.key[of.pending.waiting]
            seen = of.pending.see((keys >= low) & (keys <= high), now)
            left -= cost
            if of.name == "invoices":
                asked = np.unique(of.pending.events.key[seen])
                which = np.isin(self.payments.events.key[self.payments.waiting], asked)
                self.payments.see(which, now)
                left -= len(asked)
            wrapped = last == pages
            self.place = (self.place + wrapped) % len(lists)
            self.page = 1 if wrapped else last + 1
            if (self.place, self.page) == started or (self.place == 0 and allowance > 1e5):
                break
        self.requests += allowance - left
        self.unseen.append(
            sum(len(of.pending.waiting) for of in lists) + len(self.payments.waiting)
        )


__all__ = ["CHANGE", "EVERY", "HOUR", "Mirror", "OverAndOver"]
