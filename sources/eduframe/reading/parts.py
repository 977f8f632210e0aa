"""Parts of a list: pages by their number, what a filter chooses, single rows by their own paths.

All of them prove that what they bring is there. Pages of an ordered list, read one after the other,
are a witness of absence, too: a row whose key lies between two neighbours, and is not there, is
missing. A row whose own path answers 404 is one, for which its place is looked at in a later run.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sources.eduframe.declare import Endpoint
from sources.eduframe.errors import PositionLostError, RefusedError, ResourceOffError
from sources.eduframe.http.pagination import PER_PAGE
from sources.eduframe.reading.batch import ReadKind
from sources.eduframe.reading.fetching import Page
from sources.eduframe.reading.key_order import EITHER, Order, ids_of, order_within
from sources.eduframe.reading.questions import UNCLEAR, Questions
from sources.eduframe.reading.read import Progress, Proof, Read
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.rows.keys import Ids, among

AIMS = 4
"""So many pages are asked for, at the most, to find where a run of pages begins."""
LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max

BETWEEN_NEIGHBOURS = Proof(between_neighbours=True)

Span = tuple[int, int]
"""The lowest and the highest key of neighbouring pages."""


@dataclass(frozen=True)
class Pages:
    """The pages that hold the keys from ``low`` to ``high``; up to :data:`HIGHEST`: new rows, too,
    however many they are."""

    low: int
    high: int


@dataclass(frozen=True)
class Window:
    """The rows that a filter chooses: those whose column has a value."""

    column: str
    value: int | str

    @property
    def params(self) -> dict[str, int | str]:
        return {self.column: self.value}

    def __str__(self) -> str:
        return f"{self.column}={self.value}"


@dataclass(frozen=True)
class Items:
    """Single rows, by id."""

    ids: tuple[int, ...]


Part = Pages | Window | Items


def _no_ids() -> Ids:
    return np.zeros(0, np.int64)


@dataclass
class Parts(Read):
    """Some parts of a list, one after the other, as far as requests are left for them."""

    endpoint: Endpoint
    index: RowIndex
    parts: Sequence[Part]
    order: Order
    left: Callable[[], int]
    """How many requests may still be made for it."""
    more: Callable[[Ids], Sequence[Part]] | None = None
    """Given the keys that were met: what is asked for beside, in the end."""
    proof: Proof = BETWEEN_NEIGHBOURS
    spans: list[Span] = field(default_factory=list)
    """What pages enclosed: each key within that was not met is missing from the list."""
    covered: list[Span] = field(default_factory=list)
    """The same with the ends of the list: the ledger's intervals that were read."""
    places: list[tuple[int, int]] = field(default_factory=list)
    """Rows that were known, each with the number of rows that the list has before it."""
    absent: list[int] = field(default_factory=list)
    """The ids of rows whose own path answered 404."""
    unnumbered: str | None = None
    """Why pages cannot be asked for by their number, where that is so."""
    disorder: bool = False
    """Whether a page was not in the order of the keys."""
    refused_window: str | None = None
    """Why a filter is of no use, where that is so."""
    read_windows: dict[Window, list[int]] = field(default_factory=dict)
    """The filters that were read to their end, with the ids of their rows."""
    met: list[Ids] = field(default_factory=list)
    """The keys of the rows on pages, and …"""
    changed: list[Ids] = field(default_factory=list)
    """… those of them that had changed."""
    changed_in_windows: Ids = field(default_factory=_no_ids)
    _shown: list[Ids] = field(default_factory=list)
    """The keys of each page and filter that was read."""
    _shift: int = 0
    """How much later rows came lately than their rank among those that we know: new rows before
    them move them back, deleted ones forward."""

    def __post_init__(self) -> None:
        self._keys = self.index.living_keys

    def cost(self, rows: int) -> int:
        return sum(self._cost(part) for part in self.parts)

    def _cost(self, part: Part) -> int:
        if isinstance(part, Items):
            return len(part.ids)
        if isinstance(part, Window):
            return 1
        low, high = np.searchsorted(self._keys, [part.low, part.high])
        return int(high) // PER_PAGE - int(low) // PER_PAGE + 1

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        yield from self._pages_of(self.parts, progress)
        if self.more is not None:
            met = np.unique(np.concatenate([_no_ids(), *self._shown]))
            yield from self._pages_of(self.more(met), progress)

    def _pages_of(self, parts: Sequence[Part], progress: Progress) -> Iterator[Page | None]:
        for part in parts:
            if self.left() <= 0:
                return
            if isinstance(part, Items):
                yield from self._items(part, progress)
            elif isinstance(part, Window):
                yield from self._window(part, progress)
            elif not (self.unnumbered or self.disorder):
                yield from self._run_of_pages(part, progress)
            yield None

    def note_met(self, kind: ReadKind, ids: Ids, changed: Ids) -> None:
        """Note what was met by reads of a kind, and which of it had changed."""
        if kind == "pages":
            self.met.append(ids)
            self.changed.append(changed)
        elif kind == "window":
            self.changed_in_windows = np.union1d(self.changed_in_windows, changed)

    # ---- pages by number

    def _run_of_pages(self, part: Pages, progress: Progress) -> Iterator[Page]:
        """The pages of a part. What they enclose goes to :attr:`spans`."""
        read: dict[int, list[int]] = {}
        ends: set[int] = set()
        try:
            yield from self._ask_for(part, progress, read, ends)
        except (RefusedError, PositionLostError, ResourceOffError) as refusal:
            if self.left() > 0:  # it may be the list's own: then this raises
                yield replace(progress.fetcher.first(), kind="pages", next_url=None)
            self.unnumbered = str(refusal)
        if not self.unnumbered and not self.disorder:
            self._note_spans(read, ends)

    def _ask_for(
        self, part: Pages, progress: Progress, read: dict[int, list[int]], ends: set[int]
    ) -> Iterator[Page]:
        start, stop = (part.low, part.high) if self._ascending else (part.high, part.low)
        number = yield from self._aim(start, progress, read, ends)
        if number is None:
            return
        while number not in ends and self.left() > 0 and self._before(read[number][-1], stop):
            number += 1
            if not (yield from self._one(number, progress, read, ends)):
                return

    def _aim(
        self, start: int, progress: Progress, read: dict[int, list[int]], ends: set[int]
    ) -> Generator[Page, None, int | None]:
        """Find the page that holds ``start``, or the place where it was. Returns its number, or
        that of the nearest page that was found."""
        number = following = self._number(start)
        for _ in range(AIMS):
            if self.left() <= 0 or not (yield from self._one(following, progress, read, ends)):
                return None
            number, ids = following, read[following]
            if number > 1 and not ids:  # past the end: a page back, and then halfway
                following = number - 1 if len(read) == 1 else number // 2
            elif number > 1 and self._before(start, ids[0]):
                following = min(self._number(start), number - 1)
            elif ids and self._before(ids[-1], start) and number not in ends:
                following = max(self._number(start), number + 1)
            else:
                break
            if following in read:
                break
        return number if read[number] else None

    def _one(
        self, number: int, progress: Progress, read: dict[int, list[int]], ends: set[int]
    ) -> Generator[Page, None, bool]:
        """Ask for a page, once. Returns whether it is as one of an ordered list should be."""
        if number in read:
            return True
        page = progress.fetcher.numbered(number)
        yield replace(page, kind="pages", next_url=None)
        ids = ids_of(page.rows)
        if ids is None or order_within(page.rows) not in (self.order, EITHER):
            self.disorder = True
            return False
        if ids and any(before == ids for before in read.values()):
            self.unnumbered = "pages with different numbers hold the same rows"
            return False
        read[number] = ids
        self._shown.append(np.array(ids, np.int64))
        if page.next_url is None or not ids:
            ends.add(number)
        self._note_shift(number, ids)
        return True

    def _note_shift(self, number: int, ids: Sequence[int]) -> None:
        known = np.flatnonzero(among(ids, self._keys))
        if len(known):
            first = int(known[0])
            place = (number - 1) * PER_PAGE + first
            self._shift = place - self._rank(ids[first])
            self.places.append((ids[first], place))

    @property
    def _ascending(self) -> bool:
        return self.order == "ascending"

    def _before(self, one: int, other: int) -> bool:
        """Whether a row comes before another one in the list."""
        return one < other if self._ascending else one > other

    def _rank(self, key: int) -> int:
        """How many of the living rows that we know come before a key."""
        return rank(self._keys, key, self.order)

    def unknown_rows(self, keys: Ids) -> int:
        """How many rows the list has, at the least, that are not among these keys (ascending).

        So many more rows come before one of them than we know of. Rows that are gone, and not
        known to be, hide as many.
        """
        return max((place - rank(keys, key, self.order) for key, place in self.places), default=0)

    def _number(self, key: int) -> int:
        """The number of the page where a row should be."""
        return max(0, self._rank(key) + self._shift) // PER_PAGE + 1

    def _note_spans(self, read: Mapping[int, list[int]], ends: set[int]) -> None:
        """Join neighbouring pages, as far as each goes on where the one before it ended."""
        group: list[int] = []
        numbers = [number for number in sorted(read) if read[number]]
        for number in numbers:
            if group and (number - 1 not in read or not self._goes_on(read, number)):
                self._note_span(read, group, ends)
                group = []
            group.append(number)
        if group:
            self._note_span(read, group, ends)

    def _goes_on(self, read: Mapping[int, list[int]], number: int) -> bool:
        before, here = read[number - 1], read[number]
        if not before or self._before(before[-1], here[-1]):
            return bool(before)
        self.disorder = True
        return False

    def _note_span(
        self, read: Mapping[int, list[int]], group: Sequence[int], ends: set[int]
    ) -> None:
        met = [key for number in group for key in read[number]]
        low, high = min(met), max(met)
        self.spans.append((low, high))
        at_start, at_end = group[0] == 1, group[-1] in ends
        at_low, at_high = (at_start, at_end) if self._ascending else (at_end, at_start)
        self.covered.append((int(LOWEST) if at_low else low, int(HIGHEST) if at_high else high))

    # ---- filters and single rows

    def _window(self, part: Window, progress: Progress) -> Iterator[Page]:
        if self.refused_window:
            return
        try:
            page = progress.fetcher.filtered(part.params)
        except ResourceOffError:
            return  # what it is asked by is gone, say
        except RefusedError as refusal:
            self.refused_window = str(refusal)
            return
        found: list[int] = []
        for each in progress.fetcher.walk(page):
            found += ids_of(each.rows) or []
            yield replace(each, kind="window", next_url=None)
            if any(_value(row, part.column) != part.value for row in each.rows):
                self.refused_window = f"{part} gave rows outside of it"
                return
        self.read_windows[part] = found
        self._shown.append(np.array(found, np.int64))

    def _items(self, part: Items, progress: Progress) -> Iterator[Page]:
        questions = Questions(self.endpoint, progress.fetcher, len(part.ids))
        unclear = 0
        self._shown.append(np.array(part.ids, np.int64))
        for one in part.ids:
            if self.left() <= 0 or unclear >= UNCLEAR or questions.left <= 0:
                return
            reply = questions.ask((one,), {})
            if reply.row is not None:
                yield Page([reply.row], None, None, kind="items")
            elif reply.said == "absent":
                self.absent.append(one)
            else:
                unclear += 1


def rank(keys: Ids, key: int, order: Order) -> int:
    """How many of the keys (ascending) come before one of them, in a list in this order."""
    if order == "descending":
        return len(keys) - int(np.searchsorted(keys, key, "right"))
    return int(np.searchsorted(keys, key))


def _value(row: Any, column: str) -> Any:
    return row.get(column) if isinstance(row, dict) else None
