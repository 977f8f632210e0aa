"""Whether a list is served in the order of its keys: learned on the way through it, never assumed.

In an ordered list a row's place is its rank among the living keys, so a page can be asked for by
its number, and a row that lies between two neighbours of a page, and is not there, is missing.
"""

from collections.abc import Sequence
from typing import Any, Literal

from sources.eduframe.declare import Endpoint
from sources.eduframe.rows.tables import MAIN_TABLES

Order = Literal["ascending", "descending", "none"]
EITHER = "either"
"""What is known after less than two rows."""


def may_be_ordered(endpoint: Endpoint) -> bool:
    """Whether the rows of a list of its own have a number as key, and come page by page."""
    types = {column.name: column.type for column in MAIN_TABLES[endpoint.table].columns}
    flat = endpoint.paged and not endpoint.params and not endpoint.tree
    return flat and endpoint.key == ("id",) and types["id"] == "bigint"


def ids_of(rows: Sequence[Any]) -> list[int] | None:
    """The ids of raw rows as they come; None where one is no number."""
    try:
        ids = [row["id"] for row in rows]
    except (TypeError, KeyError):
        return None
    return ids if all(type(one) is int for one in ids) else None


def order_within(rows: Sequence[Any]) -> str:
    """The order of the rows of one page: an :data:`Order`, or :data:`EITHER`."""
    ids = ids_of(rows)
    if ids is None:
        return "none"
    if len(ids) < 2:
        return EITHER
    if ids == sorted(ids):
        return "ascending"
    return "descending" if ids == sorted(ids, reverse=True) else "none"


def order_with(known: str, last: int | None, rows: Sequence[Any]) -> tuple[str, int | None]:
    """What is known of the order with one page more, and the last key of that page.

    Args:
        known: what was known so far.
        last: the last key of the page before.

    A page that repeats rows of the one before, as rows shift under page numbers, is no disorder.
    """
    if known == "none" or not rows:
        return known, last
    within = order_within(rows)
    if within == "none":
        return "none", last
    now: int = rows[-1]["id"]
    seen = {known, within} - {EITHER}
    if last is not None and now != last:
        seen.add("ascending" if now > last else "descending")
    if len(seen) > 1:
        return "none", now
    return (seen.pop() if seen else EITHER), now
