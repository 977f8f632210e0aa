"""What a page of a list says of the API: how far it is as the models and declarations say.

Nothing here is a value of a row, so that it may be shown to others. The one exception are words
that the API does not declare: they are named if they look like the API's own and stand in several
rows.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa

from sources.eduframe.declare import Endpoint
from sources.eduframe.http.pagination import PER_PAGE
from sources.eduframe.reading.fetching import Page
from sources.eduframe.rows.findings import OTHERS as MORE
from sources.eduframe.rows.keys import Ids
from sources.eduframe.rows.normalise import Normalised
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES, Table

WORD = re.compile(r"[a-z_]{2,40}")
"""A value that may be named …"""
IN_ROWS = 2
"""… if it stands in so many rows."""
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
OTHERS = "(not shown)"
"""In place of all values and names that may not be shown."""

LIMIT_HEADER = re.compile(r"rate-?limit|retry-after|quota", re.IGNORECASE)
_ITEM = r"([a-z-]{1,20}=)?\d{1,10}"
LIMIT_VALUE = re.compile(rf"{_ITEM}([,;] ?{_ITEM})*")
"""Numbers, with names or without: nothing that a token could be."""

Order = Literal["ascending", "descending", "none", "unknown"]


@dataclass(frozen=True)
class Fit:
    """How a page of a list fits its declaration and its model. Fields are ``table.field``."""

    rows: dict[str, int]
    """Table to the rows that were looked at."""
    paging: str
    order: Order
    """That of the keys on the page."""
    set_aside: int = 0
    unknown_fields: dict[str, int] = field(default_factory=dict)
    """Field that the models do not know, to the rows that have it."""
    unfit_fields: dict[str, dict[str, int]] = field(default_factory=dict)
    """Field to the kinds of values that do not fit it, and the rows that have them."""
    unknown_values: dict[str, dict[str, int]] = field(default_factory=dict)
    """Field to the values that the API does not declare, and the rows that have them."""

    @property
    def differs(self) -> bool:
        return bool(
            self.set_aside or self.unknown_fields or self.unfit_fields or self.unknown_values
        )


def look(
    endpoint: Endpoint, page: Page, typed: Normalised, shown: Callable[[str], str]
) -> Fit:
    """What a page, and the typed rows that were made of it, say of the list.

    ``shown`` makes a text fit to be shown: a name or word that it changes is not.
    """
    tables = [MAIN_TABLES[endpoint.table], *CHILD_TABLES[endpoint.table]]
    rows = {endpoint.table: typed.main, **typed.children}
    unknown_values: dict[str, dict[str, int]] = {}
    for table in tables:
        owners = typed.owners.get(table.name, np.arange(rows[table.name].num_rows))
        unknown_values |= _unknown_values(table, rows[table.name], owners, shown)
    return Fit(
        dict(typed.rows_checked),
        how_paged(endpoint, page),
        order_of(endpoint, page.rows),
        len(typed.rejected),
        _shown_fields(endpoint.table, typed.unknown_fields, shown),
        {name: dict(kinds) for name, kinds in typed.unfit_fields.items()},
        unknown_values,
    )


def how_paged(endpoint: Endpoint, page: Page) -> str:
    """How the list goes on after this page."""
    if page.next_url is None:
        if not endpoint.paged:
            return "not paged"
        return "a full page, the last" if len(page.rows) == PER_PAGE else "a single page"
    query = parse_qs(urlsplit(page.next_url).query)
    way = next((f"by {name}" for name in ("cursor", "page") if name in query), "in another way")
    if not endpoint.paged:
        return f"{way}, though declared as not paged"
    if len(page.rows) != PER_PAGE:
        return f"{way}, {len(page.rows)} rows a page instead of {PER_PAGE}"
    return way


def order_of(endpoint: Endpoint, rows: Sequence[Any]) -> Order:
    """The order of the keys on a page; unknown, if there are not two keys to compare."""
    objects = (row for row in rows if isinstance(row, dict))
    keys = [key for row in objects if None not in (key := [row.get(k) for k in endpoint.key])]
    if len(keys) < 2:
        return "unknown"
    pairs = list(pairwise(keys))
    try:
        if all(a < b for a, b in pairs):
            return "ascending"
        return "descending" if all(a > b for a, b in pairs) else "none"
    except TypeError:  # keys of several types
        return "none"


def shown_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that speak of the request limit, with their values where these are numbers."""
    return {
        name: value if LIMIT_VALUE.fullmatch(value) else OTHERS
        for name, value in headers.items()
        if LIMIT_HEADER.search(name)
    }


def _shown_fields(
    table: str, found: Mapping[str, int], shown: Callable[[str], str]
) -> dict[str, int]:
    """Fields by name; those whose names look like data are counted together."""
    fields: Counter[str] = Counter()
    for name, count in found.items():
        plain = shown(name) == name and all(map(FIELD_NAME.fullmatch, name.split(".")))
        of = name.split(".")[0] if name != MORE else table
        fields[name if plain else f"{of}.{OTHERS}"] += count
    return dict(fields)


def _unknown_values(
    table: Table, rows: pa.Table, owners: Ids, shown: Callable[[str], str]
) -> dict[str, dict[str, int]]:
    """Field to the values that the API does not declare; what may be data is only counted.

    ``owners`` has the row of the list in which each row stands: a value counts once in each.
    """
    found = {}
    for column in table.columns:
        if not column.one_of or not rows.num_rows:
            continue
        words: Counter[str] = Counter()
        values = rows.column(column.name).to_pylist()
        apart = {*zip(values, owners.tolist(), strict=True)}
        for value, count in Counter(value for value, _ in apart).items():
            if value is not None and value not in column.one_of:
                word = str(value)
                plain = count >= IN_ROWS and WORD.fullmatch(word) and shown(word) == word
                words[word if plain else OTHERS] += count
        if words:
            found[f"{table.name}.{column.name}"] = dict(words)
    return found
