"""A made-up customer whose rows change, in numbers: what the planner is measured with.

Five years of rows, evenly spread; a row's changes fall off with its age; meetings whose attendances
change after them, payments that change their invoices, office hours, and weekly imports. A row is a
key, a change a moment: everything is drawn beforehand, sorted by time, and nothing is served.
"""

from dataclasses import dataclass, field

import numpy as np

from sources.eduframe.planning.blocks import PER_PAGE, Floats, Ids, Ints
from sources.eduframe.planning.rates import AGES, HOURS, Rates

HOUR, DAY = 3600.0, 86400.0
YEARS = 1825.0
"""Days over which the rows that there are at the beginning were made."""
SIZES = {
    "attendances": 400_000,
    "enrollments": 150_000,
    "users": 100_000,
    "meetings": 100_000,
    "orders": 80_000,
    "invoices": 80_000,
    "leads": 30_000,
    "accounts": 20_000,
    "planning_events": 15_000,
    "planned_courses": 10_000,
    "catalog_variants": 5_000,
    "courses": 2_000,
}
"""Rows of the large customer."""
CUSTOMERS = {"large": 1.0, "middle": 0.1, "small": 0.01}
"""As shares of that."""
SMALL_LISTS, SMALL_EVERY = 40, 30 * DAY
"""Lists of one page, each with one change in so many seconds."""
BUSY, QUIET = 2.9, 0.15
"""How lively workdays from 8 to 18 h are, and all other hours; the mean is 1."""
OLD_SHARE, DELETED = 0.05, 0.02
IMPORTED = 2000
MEETING_LASTS = 2 * HOUR
OF_MEETING = 10
"""Rows of attendance that change after a meeting."""
PAYMENT_DAYS = 60.0
NEW, CHANGE, DELETE = range(3)


@dataclass
class Events:
    """What happens to one list, sorted by time: parallel arrays."""

    time: Floats
    key: Ids
    kind: Ints
    meeting: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Attendances: the meeting after which they change; -1 for none."""
    imported: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """The number of the import that the change is part of; -1 for none."""

    def __post_init__(self) -> None:
        none = np.full(len(self.time), -1)
        self.meeting = self.meeting if len(self.meeting) else none
        self.imported = self.imported if len(self.imported) else none

    def and_these(self, other: "Events") -> "Events":
        """Both, sorted by time."""
        names = ("time", "key", "kind", "meeting", "imported")
        columns = [np.concatenate([getattr(self, n), getattr(other, n)]) for n in names]
        order = np.argsort(columns[0], kind="stable")
        return Events(*(column[order] for column in columns))


@dataclass
class Customer:
    """All that happens from time 0, a Monday at midnight, on."""

    keys: dict[str, Ids]
    """The keys of each list at the beginning."""
    events: dict[str, Events]
    payments: Events
    """Payments, by the key of their invoice."""
    meetings: Floats
    """When each meeting began, ascending."""
    rates: dict[str, float]
    """Rows made in a day, by list."""


class Hours:
    """Office hours: time that runs faster while people work."""

    def __init__(self, days: float) -> None:
        hours = np.arange(-70 * 24, int((days + 70) * 24) + 1)
        day, hour = hours // 24 % 7, hours % 24
        busy = (day < 5) & (hour >= 8) & (hour < 18)
        self._time = np.append(hours, hours[-1] + 1) * HOUR
        risen = np.append(0.0, np.cumsum(np.where(busy, BUSY, QUIET)))
        self._active = (risen - np.interp(0.0, self._time, risen)) * HOUR

    def active(self, time: Floats) -> Floats:
        """Active seconds since 0."""
        return np.asarray(np.interp(time, self._time, self._active))

    def when(self, active: Floats) -> Floats:
        """The time at which so many active seconds are over."""
        return np.asarray(np.interp(active, self._active, self._time))


def customer(name: str, days: float, alpha: float, seed: int) -> Customer:
    """The events of so many days."""
    random = np.random.default_rng(seed)
    hours = Hours(days)
    end = float(hours.active(np.array([days * DAY]))[0])
    sizes = {list_: int(size * CUSTOMERS[name]) for list_, size in SIZES.items()}
    keys: dict[str, Ids] = {}
    events: dict[str, Events] = {}
    created: dict[str, Floats] = {}
    for list_, size in sizes.items():
        made = np.sort(hours.when(random.uniform(0, end, random.poisson(size * days / YEARS))))
        keys[list_] = np.arange(1, size + 1) * 3
        born = np.append(np.arange(-size + 1, 1) * (YEARS / size) * DAY, made)
        created[list_] = born
        new = Events(made, np.arange(size + 1, len(born) + 1) * 3, np.full(len(made), NEW))
        changes = 1 if list_ == "attendances" else 5
        count = random.poisson(changes * size * days / YEARS)
        time = np.sort(hours.when(random.uniform(0, end, count)))
        row = np.searchsorted(born, time - _ages(random, count, alpha) * DAY, "right") - 1
        kind = np.where(random.random(count) < DELETED, DELETE, CHANGE)
        events[list_] = new.and_these(Events(time, (np.maximum(row, 0) + 1) * 3, kind))
    for number in range(SMALL_LISTS):
        count = random.poisson(days * DAY / SMALL_EVERY)
        time = np.sort(hours.when(random.uniform(0, end, count)))
        keys[f"small_{number}"] = np.arange(1, 101)
        changes_ = Events(time, random.integers(1, 101, count), np.full(count, CHANGE))
        events[f"small_{number}"] = changes_
    begins, after = _meetings(random, sizes, created["attendances"], days)
    events["attendances"] = events["attendances"].and_these(after)
    payments = _payments(random, hours, created["invoices"], days)
    events["invoices"] = events["invoices"].and_these(payments)
    for week in range(int(np.ceil(days / 7))):
        at = (week * 7 + random.integers(0, 5)) * DAY + random.uniform(8, 18) * HOUR
        if at < days * DAY:
            large = [list_ for list_, size in sizes.items() if size >= IMPORTED]
            list_ = large[random.integers(len(large))]
            first = random.integers(1, sizes[list_] - IMPORTED + 2)
            rows = np.arange(first, first + IMPORTED) * 3
            constant = [np.full(IMPORTED, value) for value in (CHANGE, -1, week)]
            imported = Events(np.full(IMPORTED, at), rows, *constant)
            events[list_] = events[list_].and_these(imported)
    events = {list_: _of_the_living(of) for list_, of in events.items()}
    a_day = {list_: size / YEARS for list_, size in sizes.items()}
    return Customer(keys, events, payments, begins, a_day)


def _of_the_living(events: Events) -> Events:
    """Without what would happen to rows after they were deleted."""
    gone = np.flatnonzero(events.kind == DELETE)
    keys, at = np.unique(events.key[gone], return_index=True)
    place = np.minimum(np.searchsorted(keys, events.key), len(keys) - 1)
    dead = np.zeros(len(events.key), np.bool_)
    if len(keys):
        dies = gone[at][place]
        dead = (keys[place] == events.key) & (np.arange(len(events.key)) > dies)
    names = ("time", "key", "kind", "meeting", "imported")
    return Events(*(getattr(events, name)[~dead] for name in names))


def _ages(random: np.random.Generator, count: int, alpha: float) -> Floats:
    """Ages in days: most by (age + 1)^-alpha, the others any."""
    share = random.random(count)
    if alpha == 1:
        young = (YEARS + 1) ** share - 1
    else:
        power = 1 - alpha
        young = (1 + share * ((YEARS + 1) ** power - 1)) ** (1 / power) - 1
    any_ = random.uniform(0, YEARS, count)
    return np.where(random.random(count) < OLD_SHARE, any_, young)


def _meetings(
    random: np.random.Generator, sizes: dict[str, int], born: Floats, days: float
) -> tuple[Floats, Events]:
    """When meetings begin, and the changes of attendances after them."""
    a_day = sizes["meetings"] / YEARS * 7 / 5
    begins = []
    for day in range(-3, int(np.ceil(days))):
        if day % 7 < 5:
            count = int(a_day) + int(random.random() < a_day % 1)
            begins.append(day * DAY + random.uniform(8, 20, count) * HOUR)
    begin = np.sort(np.concatenate(begins))
    meeting = np.repeat(np.arange(len(begin)), OF_MEETING)
    late = random.random(len(meeting)) < 0.3
    delay = random.exponential(np.where(late, 20.0, 1.0)) * HOUR
    time = begin[meeting] + MEETING_LASTS + delay
    age = random.uniform(10, 120, len(meeting)) * DAY
    row = np.searchsorted(born, time - age, "right") - 1
    there = (time >= 0) & (time < days * DAY)
    order = np.flatnonzero(there)[np.argsort(time[there])]
    kind = np.full(len(order), CHANGE)
    return begin, Events(time[order], (row[order] + 1) * 3, kind, meeting[order])


def _payments(random: np.random.Generator, hours: Hours, born: Floats, days: float) -> Events:
    """0.9 payments an invoice, within two months; 15 % of invoices have none."""
    young = np.flatnonzero(born > -PAYMENT_DAYS * 1.2 * DAY)
    number = np.where(random.random(len(young)) < 0.05 / 0.85, 2, 1)
    number[random.random(len(young)) < 0.15] = 0
    row = np.repeat(young, number)
    delay = random.uniform(0, PAYMENT_DAYS * DAY, len(row))
    time = hours.when(hours.active(born[row]) + delay)
    there = np.flatnonzero((time >= 0) & (time < days * DAY))
    order = there[np.argsort(time[there])]
    return Events(time[order], (row[order] + 1) * 3, np.full(len(order), CHANGE))


@dataclass
class TrueRates(Rates):
    """The rates by which the process is drawn, as if they had been learned for ever."""

    sizes: dict[str, int] = field(default_factory=dict)
    """Rows by list; a list that is not named is a small one."""
    alpha: float = 1.0

    @classmethod
    def of(cls, customer: Customer, alpha: float) -> "TrueRates":
        """Those of this customer."""
        sizes = {name: len(keys) for name, keys in customer.keys.items() if name in SIZES}
        return cls(sizes=sizes, alpha=alpha)

    def _estimate(self, name: str, kind: str) -> Floats:
        learned = super()._estimate(name, kind)
        size = self.sizes.get(name, 0)
        if kind == "growth":
            return np.array([size / YEARS / 24])
        if kind == "window":
            middle = np.minimum((HOURS[1:] + HOURS[:-1]) / 2, 300.0) - MEETING_LASTS / HOUR
            late = 0.7 * np.exp(-middle) + 0.3 / 20 * np.exp(-middle / 20)
            return np.where(middle > 0, late, 1e-9)
        if kind == "parents":
            return np.array([0.15, 0.01, 1e-9, 1e-9])
        if not size:
            return np.full(len(learned), 1 / 100 / (SMALL_EVERY / HOUR))
        page = PER_PAGE / size * YEARS
        low = (2.0 ** (np.arange(AGES) / 2) - 1) * page
        high = (2.0 ** (np.arange(1, AGES + 1) / 2) - 1) * page
        age = np.sqrt((low + 1) * (high + 1))
        total = np.log(YEARS + 1)
        if self.alpha != 1:
            total = ((YEARS + 1) ** (1 - self.alpha) - 1) / (1 - self.alpha)
        changes = 1 if name == "attendances" else 5
        rate = changes * ((1 - OLD_SHARE) * age**-self.alpha / total + OLD_SHARE / YEARS)
        if name == "invoices":
            rate += np.where(age < PAYMENT_DAYS, 0.9 / PAYMENT_DAYS, 0.0)
        if name == "attendances":
            meetings = SIZES["meetings"] / SIZES["attendances"] * OF_MEETING / 110
            rate += np.where((age > 10) & (age < 120), 0.2 * meetings, 0.0)
        return np.asarray(rate / 24)
