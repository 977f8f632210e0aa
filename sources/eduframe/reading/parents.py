"""Which parents a list under a parent is read for.

While a parent's list is read, the book notes the parents that were written; a list under it asks
for those, and for the ones that the destination holds from runs whose children were not read to
the end.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.eduframe.declare import Endpoint, JsonRow, Parent, ParentRef
from sources.eduframe.endpoints import filled_by
from sources.eduframe.errors import PositionLostError, ResourceOffError
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.rows.keys import Ids, key_ids
from sources.eduframe.rows.nested import nested_rows
from sources.eduframe.rows.tables import CHILD_TABLES


@dataclass
class ParentsMet:
    """What is known of one parent table in this run."""

    started: bool = False
    ended: bool = False
    """Whether nothing more will come, however the read went."""
    complete: bool = False
    """Whether the read came to its end, and nothing was held back."""
    written: list[ParentRef] = field(default_factory=list)
    bare: list[Ids] = field(default_factory=list)
    """The key ids of those of them under which there is hardly ever anything."""
    present: list[ParentRef] = field(default_factory=list)
    """All parents of a complete read, for small tables known by a slug."""
    untold: bool = False
    """Whether there are parents of which it is not told what their lists are asked by."""
    gone: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    all_met: bool = False
    """Whether ``present`` has every parent: nothing was set aside, refused, or read before."""


@dataclass
class ParentPages:
    """Parents that are read from the API for the sake of a list alone, some pages in each run."""

    begin: str | None = None
    """The address of the page to begin with; None: the first."""
    pages: list[tuple[str | None, list[ParentRef]]] = field(default_factory=list)
    """The address of each page that was read, and the parents on it."""
    end: str | None = None
    """The address of the page after those; None: there is none."""

    def open(self, left_over: AbstractSet[int]) -> list[list[ParentRef]]:
        """Of each page the parents that are still to be asked: of the first one those that the last
        run left over, if it left any."""
        found = [refs for _, refs in self.pages]
        if found:
            left = [ref for ref in found[0] if ref.key_id in left_over]
            found[0] = left or found[0]
        return found

    def next_page(self, still_open: AbstractSet[int]) -> str | None:
        """The address of the first page with parents that are still to be asked, or the one after
        all of them."""
        for address, refs in self.pages:
            if any(ref.key_id in still_open for ref in refs):
                return address
        return self.end


@dataclass(frozen=True)
class ParentsGone:
    """What is known of parents that are no longer there, by key id."""

    proven: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """Proven gone by two witnesses, in this run or before: so are the rows under them."""
    lost: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """Parents known by a slug that complete reads of their lists lack: the rows under them are
    missing, which is one witness."""


class ParentBook:
    """The parents met in this run. Thread-safe."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._lock = threading.Lock()
        self._met: dict[tuple[str, int], ParentsMet] = {}
        self._wanted: dict[str, list[tuple[tuple[str, int], Parent]]] = {}
        for endpoint in endpoints:
            for number, parent in enumerate(endpoint.parents):
                place = (endpoint.table, number)
                self._met[place] = ParentsMet()
                self._wanted.setdefault(filled_by(parent.table).table, []).append((place, parent))

    def met(self, endpoint: Endpoint, number: int) -> ParentsMet:
        return self._met[(endpoint.table, number)]

    def start(self, table: str) -> None:
        for place, _ in self._wanted.get(table, ()):
            self._met[place].started = True

    def complete(self, table: str, gone: Ids, *, all_met: bool) -> None:
        """The list of a parent table was read to its end; these are gone.

        ``all_met``: in this run, each row whole, and none was set aside.
        """
        for place, _ in self._wanted.get(table, ()):
            self._met[place].gone = gone
            self._met[place].all_met = all_met
            self._met[place].complete = True

    def end(self, table: str) -> None:
        for place, _ in self._wanted.get(table, ()):
            self._met[place].ended = True

    def gone(self, endpoint: Endpoint, parents: Ids, before: Ids) -> ParentsGone:
        """Which of these parents of a list are gone; ``before`` were so before this run."""
        met = [self._met[(endpoint.table, n)] for n in range(len(endpoint.parents))]
        back = np.array([ref.key_id for one in met for ref in one.written], np.int64)
        before = np.setdiff1d(before, back)
        if all(by_id(parent) for parent in endpoint.parents):
            now = [one.gone for one in met if one.complete]
            return ParentsGone(np.concatenate([before, *now]))
        if not all(one.complete and one.all_met and not one.untold for one in met):
            return ParentsGone(before)
        present = np.array([ref.key_id for one in met for ref in one.present], np.int64)
        return ParentsGone(before, np.setdiff1d(parents, present))

    def note(
        self,
        table: str,
        written: Mapping[str, pa.Table],
        read: Mapping[str, pa.Table],
        untold: Collection[str] = (),
    ) -> None:
        """Note parents in a batch: the rows that are written, and all that were read.

        ``untold`` are the tables of which the batch does not tell all rows.
        """
        for place, parent in self._wanted.get(table, ()):
            refs = refs_in(parent, written.get(parent.table))
            present = [] if by_id(parent) else refs_in(parent, read.get(parent.table))
            told = parent.table not in untold and all_told(parent, read.get(parent.table))
            bare = bare_in(parent, written.get(parent.table))
            with self._lock:
                self._met[place].bare.append(bare)
                self._met[place].written += refs
                self._met[place].present += present
                self._met[place].untold |= not told


def by_id(parent: Parent) -> bool:
    """Whether children know the parent by its id, which is its key."""
    return tuple((parent.columns or parent.params).values()) == ("id",)


def refs_in(parent: Parent, rows: pa.Table | None) -> list[ParentRef]:
    """The parents in a table, those that ``where`` keeps, removals and untold ones left out."""
    if rows is None or not rows.num_rows:
        return []
    columns = [rows.column(name).to_pylist() for name in parent.wanted]
    keep = [True] * rows.num_rows
    if "_removed" in rows.column_names:
        keep = [not flag for flag in rows.column("_removed").to_pylist()]
    for name, allowed in parent.where.items():
        values = rows.column(name).to_pylist()
        keep = [flag and value in allowed for flag, value in zip(keep, values, strict=True)]
    return [
        parent.ref(values)
        for values, flag in zip(zip(*columns, strict=True), keep, strict=True)
        if flag and None not in values
    ]


def bare_in(parent: Parent, rows: pa.Table | None) -> Ids:
    """The key ids of the parents in a table under which there is hardly ever anything."""
    if rows is None or not rows.num_rows:
        return np.zeros(0, np.int64)
    flags = [pc.is_in(rows.column(c), pa.array(seldom)) for c, seldom in parent.bare.items()]
    if parent.bare_if_equal:
        flags.append(pc.equal(*(rows.column(name) for name in parent.bare_if_equal)))
    some = np.zeros(rows.num_rows, np.bool_)
    for flag in flags:
        some |= np.asarray(pc.fill_null(flag, False))
    found = rows.filter(pa.array(some))
    return key_ids([found.column(name) for name in (parent.columns or parent.params).values()])


def all_told(parent: Parent, rows: pa.Table | None) -> bool:
    """Whether all rows of a table tell what the lists under them are asked by."""
    names = {*parent.wanted, *parent.where}
    return rows is None or not any(rows.column(name).null_count for name in names)


def gather_parents(
    fetcher: Fetcher,
    endpoint: Endpoint,
    book: ParentBook,
    stored: Sequence[Sequence[tuple[Any, ...]] | None],
    object_types: Sequence[str],
    left: Callable[[], int] | None = None,
    pages: ParentPages | None = None,
) -> list[ParentRef]:
    """The parents to ask for: those stored that are to be asked, and those of this run.

    ``left`` tells how many requests may be made: to read parents from the API takes half of them,
    or, where it goes on over several runs (``pages``), one for each page that can be asked for.

    ``stored`` has, for each of the declared parents, what the destination says (None where it
    holds no parent at all: then they are read from the API, without loading them). The book is
    told of parents that cannot be asked.

    Raises:
        ResourceError: the parents cannot be read.
        StoppedError: a stop was asked for.
    """
    if endpoint.parent_setting:
        return [ParentRef((value,), (value,)) for value in object_types]
    refs: set[ParentRef] = set()
    for number, (parent, values) in enumerate(zip(endpoint.parents, stored, strict=True)):
        met = book.met(endpoint, number)
        found = {parent.ref(value) for value in values or () if None not in value}
        met.untold |= any(None in value for value in values or ())
        if by_id(parent):
            gone = set(met.gone.tolist())
            found = {ref for ref in found if ref.key_id not in gone}
        refs |= found
        refs.update(met.written)
        if values is None and not met.started:
            some = ParentPages() if left is None or pages is None else pages
            refs.update(_from_api(fetcher, parent, some, _enough(some, left, pages is not None)))
            met.untold |= some.begin is not None or some.end is not None
    return list(refs)


def _enough(
    some: ParentPages, left: Callable[[], int] | None, goes_on: bool
) -> Callable[[], bool]:
    """Whether no more pages of parents are to be read."""
    if left is None:
        return lambda: False
    if goes_on:
        return lambda: sum(len(refs) for _, refs in some.pages) >= left()
    most = max(1, left() // 2)
    return lambda: len(some.pages) >= most


def _from_api(
    fetcher: Fetcher, parent: Parent, some: ParentPages, enough: Callable[[], bool]
) -> list[ParentRef]:
    """The parents, straight from the API, page by page; the pages are noted in ``some``."""
    owner = filled_by(parent.table)
    others = fetcher.of(owner)
    try:
        first = _page_at(others, some)
        address = some.begin
        for page in others.walk(first):
            some.pages.append((address, list(dict.fromkeys(_on_page(owner, parent, page)))))
            some.end = address = page.next_url
            if address is not None and enough():
                break
    except ResourceOffError as off:
        what = f"its parents, {owner.path}, {off}"
        raise ResourceOffError(what, off.status, owner.needs) from off
    return [ref for _, refs in some.pages for ref in refs]


def _page_at(fetcher: Fetcher, pages: ParentPages) -> Page:
    """The page to begin with, or the first one, if its address is of no use any more."""
    if pages.begin is not None and not fetcher.client.trusts(pages.begin):
        pages.begin = None
    try:
        return fetcher.first() if pages.begin is None else fetcher.at(pages.begin)
    except (PositionLostError, ResourceOffError):
        if pages.begin is None:
            raise
        pages.begin = None  # a cursor that has expired: the round begins again
        return fetcher.first()


def _on_page(owner: Endpoint, parent: Parent, page: Page) -> Iterator[ParentRef]:
    for row in page.rows:
        if isinstance(row, dict):
            for values in _parent_values(owner, parent, row):
                ref = parent.ref_of(values)
                if ref is not None:
                    yield ref


def _parent_values(owner: Endpoint, parent: Parent, row: JsonRow) -> list[JsonRow]:
    if owner.table == parent.table:
        return [row]
    table = next(t for t in CHILD_TABLES[owner.table] if t.name == parent.table)
    return nested_rows(table, row)
