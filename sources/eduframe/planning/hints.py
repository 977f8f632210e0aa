"""Hints: rows that may have changed. They are asked first, one by one or by their pages."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from sources.eduframe.planning.blocks import PER_PAGE, Blocks, Ids
from sources.eduframe.planning.views import Choice, Kind, ListView

MANY = 0.1
"""A read that found more of its rows changed than this share came upon an import …"""
NEARBY = 2000
"""… and so many rows on both sides are suspect."""


def suspects(blocks: Blocks, read: Ids, changed: Ids) -> list[tuple[int, int]]:
    """The intervals of keys beside a read that found suspiciously many changes; mostly none.

    Somebody imported something: neighbouring rows change together.

    Args:
        blocks: the list's, with its keys.
        read: the keys of one read of pages, ascending: neighbours, a page or more.
        changed: those of them that changed, ascending.
    """
    pages = np.array_split(read, max(1, len(read) // PER_PAGE))
    found: list[tuple[int, int]] = []
    for page in pages:
        inside = np.searchsorted(changed, page[-1:], "right") - np.searchsorted(changed, page[:1])
        if inside.sum() > max(MANY * len(page), 3):
            low, high = np.searchsorted(blocks.keys, page[[0, -1]])
            for begin, end in ((low - NEARBY, low - 1), (high + 1, high + NEARBY)):
                begin, end = max(begin, 0), min(end, len(blocks.keys) - 1)
                if begin <= end:
                    found.append((int(blocks.keys[begin]), int(blocks.keys[end])))
    return without(found, int(read[0]), int(read[-1])) if found else []


def without(intervals: Sequence[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    """The intervals without what was just read, from ``low`` to ``high``; those that overlap are
    joined."""
    parts = [(begin, min(end, low - 1)) for begin, end in intervals if begin < low]
    parts += [(max(begin, high + 1), end) for begin, end in intervals if end > high]
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(parts):
        if joined and begin <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def hinted_reads(lists: Sequence[ListView], requests: int) -> list[Choice]:
    """The reads that the hints of all lists ask for, in turn, as far as the requests go."""
    queued = (
        (place, view, read)
        for view in lists
        for place, read in enumerate(islice(_reads(view), requests))
    )
    in_turn = sorted(queued, key=lambda item: item[0])
    taken: dict[tuple[str, Kind], list[int]] = {}
    for _, view, (kind, at) in islice(in_turn, requests):
        taken.setdefault((view.name, kind), []).append(at)
    return [
        choice for (name, kind), ats in taken.items() for choice in _as_choices(name, kind, ats)
    ]


def _as_choices(name: str, kind: Kind, ats: list[int]) -> Iterator[Choice]:
    base = Choice(name, kind, len(ats), float(len(ats)), "may have changed")
    if kind == "items":
        yield Choice(name, kind, len(ats), float(len(ats)), base.reason, ids=np.array(ats))
    elif kind == "whole":
        yield base
    else:
        pages = np.sort(np.array(ats))
        for run in np.split(pages, np.flatnonzero(np.diff(pages) != 1) + 1):
            first, last = int(run[0]), int(run[-1])
            yield Choice(name, kind, len(run), float(len(run)), base.reason, first, last)


def _reads(view: ListView) -> Iterator[tuple[Kind, int]]:
    """Each request that the hints of a list ask for: pages of suspect rows first."""
    hinted = np.array(list(dict.fromkeys(view.hinted.tolist())), np.int64)
    if not view.paged:
        if view.pages == 1 and view.parents is None:
            if len(hinted) or view.suspect:
                yield "whole", 0
        elif view.by_item:
            yield from (("items", key) for key in hinted.tolist())
        return
    assert view.blocks is not None
    keys = view.blocks.keys
    asked: set[int] = set()
    for low, high in view.suspect:
        ranks = np.arange(*np.searchsorted(keys, [low, high + 1]))
        for page in dict.fromkeys(_page(view, ranks).tolist()):
            if page not in asked:
                asked.add(page)
                yield "pages", page
    ranks = np.searchsorted(keys, hinted)
    known = ranks < len(keys)
    known[known] = keys[ranks[known]] == hinted[known]
    pages = _page(view, np.minimum(ranks, len(keys) - 1))
    numbers, counts = np.unique(pages[known], return_counts=True)
    shared = set(numbers[counts > 1].tolist())
    for key, page, there in zip(hinted.tolist(), pages.tolist(), known.tolist(), strict=True):
        if view.by_item and not (there and page in shared):
            yield "items", key
        elif page not in asked:
            asked.add(page)
            yield "pages", page


def _page(view: ListView, ranks: Ids) -> Ids:
    """The numbers of the pages that rows of these ranks (from the low keys) are on."""
    if view.order == "descending" and view.blocks is not None:
        ranks = len(view.blocks.keys) - 1 - ranks
    return np.asarray(ranks // PER_PAGE + 1, np.int64)
