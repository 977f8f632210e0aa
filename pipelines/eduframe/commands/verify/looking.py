"""What is asked of one list: all of it, random pages, random rows, or what is under random parents.

Whatever a list is read by, it gives units: raw rows that were drawn together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Literal

import numpy as np

from pipelines.eduframe.commands.verify.held import Known
from sources.eduframe.declare import JsonRow
from sources.eduframe.errors import RefusedError, ResourceOffError
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.client import Client
from sources.eduframe.http.pagination import PER_PAGE
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.reading.questions import WITNESSES, Questions, item_params
from sources.eduframe.rows.keys import Ids
from sources.eduframe.rows.normalise import key_of

How = Literal["whole", "pages", "rows", "parents", "first pages"]
LONG_ENOUGH = 10
"""So many rows are not in the order of their ids by chance."""
REFUSALS = 3
"""A list that is refused under so many parents, and answers under none, is off."""


@dataclass(frozen=True)
class Unit:
    """Rows that were drawn together, raw."""

    rows: list[Any]
    whole_rows: bool = True
    """Whether the list serves them; a row's own path may give other fields."""


@dataclass
class Look:
    """One list, while it is looked at. Use :meth:`units` once."""

    known: Known
    client: Client
    dice: np.random.Generator
    run: ResourceRun
    how: How = "whole"
    drawn: int = 0
    """Units that were looked at."""
    filled: int = 0
    """Of these, with rows, or pages that should have some."""
    units_there: int = 1
    """Units that the list has."""
    complete: bool = False
    """Whether the list was read from beginning to end."""
    proves: bool = True
    """Whether a row that a list lacks, which is read whole, is not there: rows slip from page to
    page where a list is paged by number."""
    absent: list[int] = field(default_factory=list)
    """Places of rows whose own paths answered 404, as others answered otherwise."""
    unclear: int = 0
    """Rows whose own paths do not tell."""
    notes: list[str] = field(default_factory=list)
    _spans: list[tuple[float, float]] = field(default_factory=list)
    """The lowest and the highest id that would stand on each page."""
    _order: set[int] = field(default_factory=set)
    """Whether ids rise (1), fall (-1), or both, from row to row."""
    _empty: list[int] = field(default_factory=list)
    """The numbers of pages without a row."""
    _answered: list[int] = field(default_factory=list)
    """The key ids of the parents whose lists were read."""
    _present: list[int] = field(default_factory=list)
    """The key ids of all rows of a list whose details cost requests."""

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(self.client, self.known.endpoint, self.run)

    def units(self, most: int, identity: Answer | None) -> Iterator[Unit]:
        """The units that so many requests give. Raises like :meth:`_units`."""
        for unit in self._units(most, identity):
            self.filled += bool(unit.rows) or self.how == "pages"
            yield unit

    def _units(self, most: int, identity: Answer | None) -> Iterator[Unit]:
        """
        Raises:
            ResourceError: the list cannot be read.
            StoppedError: no request is left, or the API wants to be left alone.
            AuthenticationError: the token is no longer accepted.
        """
        known, endpoint = self.known, self.known.endpoint
        if endpoint.single:
            if identity is not None:
                self.complete, self.drawn = True, 1
                yield Unit(self.fetcher.from_answer(identity).rows)
        elif endpoint.params:
            yield from self._under_parents(most)
        elif endpoint.detail_path:
            yield from self._with_details(most)
        elif not endpoint.paged or most >= known.pages:
            yield from self._in_turn(most + 1)  # it may have grown
        else:
            yield from self._at_random(most)

    # ---- the ways to read a list

    def _in_turn(self, most: int) -> Iterator[Unit]:
        """The pages from the first on: so a list is read whole, whatever its addresses are."""
        self.how = "first pages"
        self.units_there = max(self.known.pages, most + 1)
        for page in self.fetcher.walk(self.fetcher.first()):
            self.drawn += 1
            self.proves = self.proves and not page.by_number
            self._note_order(page, self.drawn)
            if page.next_url is None:
                self.how, self.complete, self.units_there = "whole", True, self.drawn
            yield Unit(page.rows)
            if self.drawn >= most:
                return

    def _at_random(self, most: int) -> Iterator[Unit]:
        """Pages by their numbers; where those are of no use, rows by their ids."""
        self.how, self.units_there = "pages", self.known.pages
        met: set[frozenset[Any]] = set()
        for number in (self.dice.permutation(self.known.pages)[:most] + 1).tolist():
            try:
                page = self.fetcher.numbered(number)
            except (RefusedError, ResourceOffError) as refused:
                if isinstance(refused, ResourceOffError):
                    self.fetcher.first()  # is it the page that is refused, or the list?
                why = f"its pages cannot be asked for by number ({refused})"
                break
            keys = self._keys(page)
            again = keys in met or (self._may_be_first(number, page) and self._is_first(keys))
            if keys and again:
                why = "it serves the same page whatever number is asked for"
                break
            met.add(keys)
            self.drawn += 1
            self._note_order(page, number)
            if not page.rows:
                self._empty.append(number)
            yield Unit(page.rows)
        else:
            if len(self._empty) == self.drawn:  # then not one row is known to be there
                yield Unit(self.fetcher.first().rows)
            return
        self._empty.clear()
        left = max(1, most - self.run.traffic.requests)
        if item_params(self.known.endpoint) is not None and self.known.rows:
            self.notes.append(f"{why}: rows were drawn by their ids, so none that is missing here")
            yield from self._by_id(left)
        else:
            self.notes.append(f"{why}, nor its rows by their ids: its first pages are no sample")
            self._spans.clear()
            yield from self._in_turn(left)

    def _by_id(self, most: int) -> Iterator[Unit]:
        known = self.known
        questions = Questions(known.endpoint, self.fetcher, most)
        self.how, self.units_there, self.drawn = "rows", known.rows, 0
        absent: list[int] = []
        for place in self.dice.permutation(known.rows)[:most].tolist():
            reply = questions.ask(known.key(place), known.outer(place))
            if reply.row is not None:
                self.drawn += 1
                yield Unit([reply.row], whole_rows=False)
            elif reply.said == "absent":
                absent.append(place)
            else:
                self.unclear += 1
                if self.unclear >= REFUSALS and not self.drawn:
                    break
        if self.drawn:
            self.drawn += len(absent)
            self.absent += absent
        else:
            self.unclear += len(absent)

    def _under_parents(self, most: int) -> Iterator[Unit]:
        known, refused = self.known, 0
        self.how, self.units_there = "parents", len(known.refs)
        for place in self.dice.permutation(len(known.refs)).tolist():
            if self.run.traffic.requests >= most:
                return
            ref = known.refs[place]
            try:
                rows = []
                for page in self.fetcher.walk(self.fetcher.first(ref), ref):
                    rows += page.rows
                    self.proves = self.proves and not page.by_number
            except ResourceOffError:
                refused += 1
                if refused >= REFUSALS and not self.drawn:
                    raise
                continue
            self.drawn += 1
            self._answered.append(ref.key_id)
            yield Unit(rows)
        self.complete = not refused
        if refused:
            self.notes.append(f"the lists under {refused} parents were refused")

    def _with_details(self, most: int) -> Iterator[Unit]:
        """A list whose rows' own paths give more than it does: as many of them as can be asked."""
        endpoint = self.known.endpoint
        assert endpoint.detail_path is not None
        plain = Fetcher(self.client, replace(endpoint, detail_path=None), self.run)
        rows: list[JsonRow] = []
        for page in plain.walk(plain.first()):
            rows += [row for row in page.rows if key_of(endpoint, row) is not None]
        self.how, self.units_there = "rows", len(rows)
        ids = [one for one in map(self._id_of, rows) if one is not None]
        for place in self.dice.permutation(len(rows)).tolist():
            if self.run.traffic.requests >= most:
                break
            [detailed] = self.fetcher.from_answer(_answer_of(rows[place])).rows
            if self.fetcher.details_refused:
                break
            self.drawn += 1
            yield Unit([detailed])
        self.complete = self.drawn == len(rows)
        self._present = ids

    # ---- what rows here should have been met

    def expected(self) -> Ids:
        """The key ids of the living rows here that the API should have served."""
        known = self.known
        if known.endpoint.params:
            there = [ref.key_id for ref in known.refs]
            lost = ~np.isin(known.parents, np.array(there, np.int64))  # their parent is not here
            return known.ids[lost | np.isin(known.parents, np.array(self._answered, np.int64))]
        if self.complete:
            return known.ids
        if known.endpoint.detail_path and self._present:
            return np.setdiff1d(known.ids, np.array(self._present, np.int64))
        return np.union1d(self.enclosed(), self.beyond_the_end())

    def beyond_the_end(self) -> Ids:
        """The key ids of the living rows that would stand on the pages that came without any."""
        if self.known.endpoint.key != ("id",):
            return np.zeros(0, np.int64)
        ranked = self.known.ids[::-1] if self._order == {-1} else self.known.ids
        pages = [ranked[(n - 1) * PER_PAGE : n * PER_PAGE] for n in self._empty]
        return np.concatenate([np.zeros(0, np.int64), *pages])

    def enclosed(self) -> Ids:
        """The key ids of the living rows that would stand on the pages met, were they there."""
        known = self.known
        if known.endpoint.key != ("id",) or len(self._order) != 1:
            return np.zeros(0, np.int64)
        within = np.zeros(known.rows, np.bool_)
        for low, high in self._spans:
            within |= (known.ids > low) & (known.ids < high)
        return known.ids[within]

    def certain(self, ids: Ids) -> Ids:
        """Of these rows, which the API did not serve, those that its list certainly lacks."""
        known = self.known
        if not self.proves or not (self.complete or known.endpoint.params):
            return np.intersect1d(ids, self.enclosed())
        if known.endpoint.params:
            under = np.isin(known.parents, np.array(self._answered, np.int64))
            return np.intersect1d(ids, known.ids[under])
        return ids

    def _note_order(self, page: Page, number: int) -> None:
        """Note between which ids a page has all rows: the first and the last page have no end."""
        ids = [one for one in map(self._id_of, page.rows) if one is not None]
        if len(ids) < LONG_ENOUGH:
            return
        self._order |= set(np.sign(np.diff(np.array(ids, np.int64))).tolist())
        last = page.next_url is None and number >= self.known.pages - 1
        begins, ends = (number == 1, last) if ids[0] < ids[-1] else (last, number == 1)
        low, high = min(ids), max(ids)
        self._spans.append((-inf if begins else low, inf if ends else high))

    def _id_of(self, row: Any) -> int | None:
        key = key_of(self.known.endpoint, row)
        return key[0] if key is not None and len(key) == 1 and isinstance(key[0], int) else None

    def _keys(self, page: Page) -> frozenset[Any]:
        return frozenset(key_of(self.known.endpoint, row) for row in page.rows)

    def _is_first(self, keys: frozenset[Any]) -> bool:
        """Whether these are the rows of the first page: that costs a request."""
        return keys == self._keys(self.fetcher.first())

    def _may_be_first(self, number: int, page: Page) -> bool:
        """Whether a page that is not the first has the rows that the first of a list in its order
        would have: the lowest where ids rise, or else the highest."""
        known = self.known
        if number == 1 or page.next_url is None or known.endpoint.key != ("id",):
            return False
        met = np.array([one for one in map(self._id_of, page.rows) if one is not None], np.int64)
        if not len(met):
            return False
        end = known.ids[:PER_PAGE] if met[0] < met[-1] else known.ids[-PER_PAGE:]
        return bool(2 * np.isin(met, end).sum() > len(met))


def witnesses(look: Look, met: Ids) -> list[tuple[Any, ...]]:
    """The keys of some rows that were met, and so are there."""
    places = np.flatnonzero(np.isin(look.known.ids, met))
    chosen = look.dice.permutation(places)[:WITNESSES]
    return [look.known.key(place) for place in chosen.tolist()]


def _answer_of(row: JsonRow) -> Answer:
    """A row as if it were a list of its own."""
    return Answer([row], None, None)
