"""Runs under a virtual clock: what the planner chooses is read, and what was seen is counted."""

from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.fresh_process import DAY, DELETE, NEW, OF_MEETING, Customer, Events
from sources.eduframe.planning.blocks import PER_PAGE, Blocks, Floats, Ids, Ints
from sources.eduframe.planning.budget import Account
from sources.eduframe.planning.hints import suspects, without
from sources.eduframe.planning.planner import FOLLOW_UP, Schedule, choose
from sources.eduframe.planning.rates import CHANGED, NEVER, OTHER, Rates
from sources.eduframe.planning.views import Flags, ListView, Parents, Window

Span = tuple[int, int]
"""An interval of keys, both ends included."""
EVERY = 900.0
"""Seconds from one run to the next."""
WINDOW_DAYS = 3.0
MONDAY = 4 * DAY
"""A Monday at midnight, as epoch seconds: time 0 of the process."""
END = 1 << 60
"""A key above all keys."""


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

    def see(self, which: Flags, now: float) -> Ints:
        """Those of the waiting for which this is true are seen."""
        found: Ints = self.waiting[which]
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
    suspect: list[Span] = field(default_factory=list)

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

    @property
    def pages(self) -> int:
        """The pages that the API has of it."""
        return max(1, -(-len(self.truth) // PER_PAGE))

    def page_of(self, page: int) -> int:
        """The page that has what should be the first row of a page: deletions that nobody knew of
        have moved it to a page before. If it is gone itself, the page before its place."""
        key = self.blocks.keys[(page - 1) * PER_PAGE :][:1]
        if not len(key):
            return page
        place = int(np.searchsorted(self.truth, key[0]))
        there = place < len(self.truth) and self.truth[place] == key[0]
        return min(page, max(0, place if there else place - 1) // PER_PAGE + 1)

    def span(self, first: int, last: int) -> Span:
        """The interval of keys that these pages cover: up to the end, if they are the last that
        the destination knows of."""
        begin, end = (first - 1) * PER_PAGE, last * PER_PAGE
        if begin >= len(self.truth):
            return (int(self.truth[-1]) + 1 if len(self.truth) else 0), END
        low = int(self.truth[begin]) if begin else 0
        if end >= min(len(self.blocks.keys), len(self.truth)):
            return low, END
        return low, int(self.truth[end - 1])

    def see(self, spans: list[Span], now: float) -> Ints:
        """The events that are seen when these intervals of keys, in order, are read."""
        keys = self.pending.events.key[self.pending.waiting]
        low, high = np.array(spans).T
        place = np.searchsorted(low, keys, "right") - 1
        return self.pending.see((place >= 0) & (keys <= high[place]), now)


class Mirror:
    """A customer, and a destination that is kept up by runs."""

    def __init__(
        self, customer: Customer, account: Account, rates: Rates, every: float, parents_every: float
    ) -> None:
        self.customer, self.account, self.rates = customer, account, rates
        self.lists = _lists(customer, every)
        self.payments = Pending(customer.payments)
        self.parents_every = parents_every
        invoices = customer.keys["invoices"]
        self.ids = invoices
        self.asked_at = np.zeros(len(invoices))
        self.changed = np.zeros(len(invoices), np.bool_)
        self.paid = np.zeros(len(invoices), np.bool_)
        self.window_read = np.where(customer.meetings < 0, 0.0, np.nan)
        self.found = 0
        self.spent: list[int] = []
        self.unseen: list[int] = []
        self.oldest: list[float] = []

    def run(self, now: float) -> None:
        """What one run does."""
        for of in self.lists.values():
            of.happen(now)
        self.payments.happen(now)
        self.rates.decay(now)
        self.found = 0
        allowance = self.account.paced(now, EVERY, self.rates.lively(MONDAY + now))
        kept = int(allowance * FOLLOW_UP)
        steady = int(min(self.account.filled(now).balance, self.account.per_second * EVERY))
        spent = self._do(self._choose(allowance - kept, now, steady - kept), now)
        spent += self._do(self._choose(max(0, allowance - spent), now, hints_only=True), now)
        self.account = self.account.book(spent, now)
        self.rates.observe_run(self.found, MONDAY + now - EVERY, MONDAY + now)
        self.spent.append(spent)
        waiting = [of.pending.waiting for of in self.lists.values()]
        self.unseen.append(sum(map(len, waiting)) + len(self.payments.waiting))
        self.oldest.append(max(float(of.blocks.ages(now).max()) for of in self.lists.values()))

    def _choose(
        self, allowance: int, now: float, most: int = 0, *, hints_only: bool = False
    ) -> Schedule:
        views = [of.view() for of in self.lists.values()]
        place = [view.name for view in views].index("attendances")
        views[place] = replace(views[place], windows=self._windows(now))
        order = slice(None, None, -1)
        parents = Parents(
            self.ids[order], self.asked_at[order], self.changed[order], ~self.paid[order]
        )
        views.append(ListView("payments", 0, parents=parents, reconcile_every=self.parents_every))
        return choose(views, self.rates, allowance, now, EVERY, most=most, hints_only=hints_only)

    def _windows(self, now: float) -> tuple[Window, ...]:
        begin, end = np.searchsorted(self.customer.meetings, [now - WINDOW_DAYS * DAY, now])
        return tuple(
            Window("meeting", {"meeting_id": str(n)}, OF_MEETING, float(self.customer.meetings[n]),
                   float(self.window_read[n]))
            for n in range(begin, end)
        )  # fmt: skip

    def _do(self, schedule: Schedule, now: float) -> int:
        spent = schedule.cost
        spans: dict[str, list[Span]] = {}
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
                first, last = (choice.first, choice.last) if choice.first else (1, of.pages)
                before = first - of.page_of(first)
                first, spent = first - before, spent + before
                span = of.span(first, last)
                if span[1] == END:
                    spent += max(0, of.pages - max(1, choice.first) + 1 - choice.cost)
                spans.setdefault(choice.name, []).append(span)
        for name, intervals in spans.items():
            spent += self._see_rows(self.lists[name], intervals, now)
        return spent

    def _see_rows(self, of: List_, intervals: list[Span], now: float) -> int:
        """Rows of some intervals are read: what became of them is seen."""
        intervals = sorted(intervals)
        events, seen = of.pending.events, of.see(intervals, now)
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
        found = of.pending.see(of.pending.events.meeting[of.pending.waiting] == meeting, now)
        event = float(self.customer.meetings[meeting])
        read = self.window_read[meeting]
        since = 0.0 if np.isnan(read) else (read - event) / 3600
        changed = len(np.unique(of.pending.events.key[found]))
        self.found += changed
        self.rates.observe_window("attendances", since, (now - event) / 3600, changed, OF_MEETING)
        self.window_read[meeting] = now


class OverAndOver:
    """Every list whole, one after the other, for ever: and the payments of changed invoices."""

    def __init__(self, customer: Customer) -> None:
        self.lists = _lists(customer, DAY)
        self.payments = Pending(customer.payments)
        self.spent: list[int] = []
        self.unseen: list[int] = []
        self.oldest: list[float] = []
        self._at, self._page = 0, 1
        """The list that is read, and the page that comes next."""

    def run(self, now: float, allowance: int) -> None:
        """Read on; no page twice in a run."""
        lists = list(self.lists.values())
        for of in lists:
            of.happen(now)
        self.payments.happen(now)
        left, everything = allowance, sum(of.pages for of in lists)
        while left > 0 and everything > 0:
            of = lists[self._at]
            last = min(of.pages, self._page + min(left, everything) - 1)
            left -= last - self._page + 1
            everything -= last - self._page + 1
            seen = of.see([of.span(self._page, last)], now)
            if of.name == "invoices":
                asked = np.unique(of.pending.events.key[seen])
                events = self.payments.events
                self.payments.see(np.isin(events.key[self.payments.waiting], asked), now)
                left -= len(asked)
            ended = last == of.pages
            self._at, self._page = (self._at + ended) % len(lists), 1 if ended else last + 1
        self.spent.append(allowance - left)
        waiting = [of.pending.waiting for of in lists]
        self.unseen.append(sum(map(len, waiting)) + len(self.payments.waiting))


def _lists(customer: Customer, reconcile_every: float) -> dict[str, List_]:
    return {
        name: List_(name, Pending(events), keys, Blocks.of(keys, 0.0), reconcile_every)
        for (name, events), keys in zip(
            customer.events.items(), customer.keys.values(), strict=True
        )
    }
