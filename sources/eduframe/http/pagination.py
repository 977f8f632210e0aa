"""From page to page: the address of the next one, which each answer gives, until there is none.

Newer servers page by an opaque ``cursor``, older ones by ``page``; whichever the ``Link`` header
holds is followed.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

from sources.eduframe.errors import ReadFailedError, ResourceOffError

PER_PAGE = 100
"""The most rows that the API gives on a page."""
MOST_EMPTY = 20
"""So many pages in a row without a single row are a list without end."""


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


def walk(first: P, get: Callable[[str], P], path: str) -> Iterator[P]:
    """A page and those after it, each from ``get(address)``; ``path`` is for the messages.

    Raises:
        ReadFailedError: a later page was refused, or the pages have no end.
    """
    visited: set[str] = set()
    page, empty = first, 0
    while True:
        empty = 0 if page.rows else empty + 1
        if page.next_url in visited or empty >= MOST_EMPTY:
            raise ReadFailedError(f"{path}: the pages go round in circles")
        yield page
        if page.next_url is None:
            return
        visited.add(page.next_url)
        try:
            page = get(page.next_url)
        except ResourceOffError as off:
            raise ReadFailedError(f"{path}: a later page answered {off.status}") from off
