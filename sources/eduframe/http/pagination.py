"""From page to page: the address of the next one, which each answer gives, until there is none.

Newer servers page by an opaque ``cursor``, older ones by ``page``; whichever the ``Link`` header
holds is followed.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import numpy as np

from sources.eduframe.errors import EndlessError, ReadFailedError, ResourceOffError

PER_PAGE = 100
"""The most rows that the API gives on a page."""
MOST_EMPTY = 20
"""So many pages in a row without a single row are a list without end …"""
MOST_REPEATED = 10
"""… and so many whose rows were all on earlier pages."""
KEPT_APART = 50_000
"""Keys that are remembered as they come; of more, eight bytes each."""


class AnyPage(Protocol):
    """What :func:`walk` needs to know of a page."""

    @property
    def rows(self) -> list[object]: ...

    @property
    def next_url(self) -> str | None: ...


P = TypeVar("P", bound=AnyPage)


def is_by_number(url: str) -> bool:
    """Whether an address names its page by number: then rows shift while the list is read."""
    return "page" in parse_qs(urlsplit(url).query)


class Met:
    """The keys of the rows that were met, to tell the pages that hold no new one."""

    def __init__(self, key: Sequence[str]) -> None:
        self._key_of = itemgetter(*key)
        self._recent: set[int] = set()
        self._older = np.zeros(0, np.int64)

    def adds(self, rows: Sequence[Any]) -> bool:
        """Whether one of the rows has a key that none had before. They count as met now."""
        keys = self._all_of(rows)
        adds = not keys <= self._recent  # which ends at the first that is new
        if adds and len(self._older):
            asked = np.fromiter(keys - self._recent, np.int64)
            places = np.searchsorted(self._older, asked)  # which is in order
            adds = bool((self._older[np.minimum(places, len(self._older) - 1)] != asked).any())
        if adds:
            self._recent |= keys
        if len(self._recent) > KEPT_APART:
            recent = np.fromiter(self._recent, np.int64, len(self._recent))
            self._older, self._recent = np.union1d(self._older, recent), set()
        return adds

    def _all_of(self, rows: Sequence[Any]) -> set[int]:
        try:
            return set(map(hash, map(self._key_of, rows)))
        except (TypeError, KeyError):  # one that is odd: each by itself
            return {self._of(row) for row in rows}

    def _of(self, row: Any) -> int:
        try:
            return hash(self._key_of(row))
        except (TypeError, KeyError):  # no object, no key, or none that is a plain value
            return self._odd(row)

    @staticmethod
    def _odd(row: Any) -> int:
        try:
            return hash(repr(row))
        except RecursionError:  # all that nests so deeply counts as one row
            return 0


def walk(
    first: P,
    get: Callable[[str], P],
    path: str,
    key: Sequence[str],
    note: Callable[[str], object],
) -> Iterator[P]:
    """A page and those after it, each from ``get(address)``; ``path`` is for the messages.

    ``key`` names the fields that tell rows apart. ``note`` is told of a page without a new row.

    Raises:
        EndlessError: the pages have no end.
        ReadFailedError: a later page was refused.
    """
    visited: set[str] = set()
    met = Met(key)
    page, empty, repeated = first, 0, 0
    while True:
        empty = 0 if page.rows else empty + 1
        if page.next_url in visited or empty >= MOST_EMPTY:
            raise EndlessError(f"{path}: the pages go round in circles")
        if met.adds(page.rows):
            repeated = 0
        elif page.rows:
            repeated += 1
            note("a page held no row that was not on an earlier one")
        if repeated >= MOST_REPEATED:
            raise EndlessError(
                f"{path}: the pages go round in circles: {repeated} in a row held no new row"
            )
        yield page
        if page.next_url is None:
            return
        visited.add(page.next_url)
        try:
            page = get(page.next_url)
        except ResourceOffError as off:
            raise ReadFailedError(f"{path}: a later page answered {off.status}") from off
