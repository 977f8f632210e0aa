"""What a view is: a query with a name, in words, and over which others it stands."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sources.eduframe.digest import hash_text

Kind = Literal["living", "wide", "memory", "dimension", "fact", "measure"]
"""What a view holds: a table's living rows, custom fields, what there is, or an answer."""

GENERATED = ("living", "wide", "memory")
"""Kinds whose queries are made here, in words that DuckDB and Postgres share."""

CATALOG = "_views"
"""The view that lists the others, with what they were made from: the sync's memory of them."""

MADE_BY = 1
"""Counts what changes in how definitions become statements: with it, all are made anew."""

_READ = re.compile(r"'(?:[^']|'')*'|\bEXTRACT\(\w+ FROM|\b(FROM|JOIN)\s+(\w+)\b(?!\s*[.(])")
"""A name that a query reads; or what looks like one, and has none."""
_PART = re.compile(r"\b(\w+)\s+AS\s*\(\s*SELECT\b")
"""A part of a query that ``WITH`` gives a name."""


@dataclass(frozen=True)
class View:
    """One view. ``sql`` is a query in DuckDB's dialect, over raw tables written ``raw."users"``,
    and over other views by their names."""

    name: str
    kind: Kind
    description: str
    columns: Mapping[str, str]
    """All of them, in order, each with its description ('' where there is none)."""
    sql: str
    types: str = ""
    """What is said of the tables' types, as a view is made anew when they change."""
    key: tuple[str, ...] = ()
    """The columns that no two rows share, null counting as a value; () where there are none."""

    @cached_property
    def over(self) -> frozenset[str]:
        """The views that it reads."""
        found = {match[2] for match in _READ.finditer(self.sql) if match[2]}
        return frozenset(found - {*_PART.findall(self.sql)})

    def placed(self, dataset: str) -> str:
        """The query, with other views named by the dataset that they are in (quoted)."""

        def name(match: re.Match[str]) -> str:
            known = match[2] in self.over
            return f'{match[1]} {dataset}."{match[2]}"' if known else match[0]

        return _READ.sub(name, self.sql)


def in_order(views: Iterable[View]) -> list[View]:
    """The views in an order in which each comes after those that it reads."""
    by_name = {view.name: view for view in views}
    found: dict[str, View] = {}

    def add(name: str) -> None:
        if name not in found and name in by_name:
            for other in sorted(by_name[name].over - {name}):
                add(other)
            found[name] = by_name[name]

    for name in by_name:
        add(name)
    return [*found.values()]


def fingerprints(views: Iterable[View], about: str = "") -> dict[str, str]:
    """What tells a view's definition from any other, those of the views that it reads included.

    ``about`` is what else definitions depend on.
    """
    found: dict[str, str] = {}
    for view in in_order(views):
        beneath = [found[name] for name in sorted(view.over) if name in found]
        columns = [f"{name}: {text}" for name, text in view.columns.items()]
        parts = (str(MADE_BY), about, view.sql, view.types, view.description, *columns, *beneath)
        found[view.name] = f"{hash_text(chr(31).join(parts)):014x}"
    return found


def resting_on(name: str, views: Iterable[View]) -> list[View]:
    """A view and all that read it, directly or not, in the order in which they can be made."""
    found: dict[str, View] = {}
    for view in in_order(views):
        if view.name == name or view.over & {*found}:
            found[view.name] = view
    return [*found.values()]
