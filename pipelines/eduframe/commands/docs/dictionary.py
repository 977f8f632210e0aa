"""What the page shows, as data: areas with their tables, and where columns lead, both ways.

Everything comes from the declarations, the models and the run log; nothing is said here that stands
there.
"""

import importlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipelines.eduframe.store.relations import declared_relations
from pipelines.eduframe.store.run_log import LOG_TABLES, LogTable
from schemas.eduframe.models import common
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.relations import Relation
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, CHILD_TABLES, Table


@dataclass(frozen=True)
class Entry:
    """A table or view of the destination, as the page shows it."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """What is unique: in the table, or in a nested part within one owner; () where nothing is."""
    lists: tuple[Endpoint, ...] = ()
    """The lists of the API that it comes from; () for what is not read from it."""
    nested: bool = False
    """Whether its rows are parts of other rows."""
    parts: tuple[str, ...] = ()
    """The tables with the nested parts of its rows."""
    made_of: tuple[str, ...] = ()
    """A view: the views that it reads, by the tables' names where it is their rows."""
    kind: str = "table"
    """``table``, or what kind of view it is."""
    sql: str = ""
    """A view: its query."""
    types: Mapping[str, str] = field(default_factory=dict)
    """What there is to say of the types of some columns."""
    living: "Entry | None" = None
    """A table: the view of its living rows, which has its name."""


@dataclass(frozen=True)
class Area:
    """Tables that belong together."""

    name: str
    """In an anchor."""
    title: str
    description: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Views:
    """What there is to show of views."""

    areas: tuple[Area, ...] = ()
    living: Mapping[str, Entry] = field(default_factory=dict)
    """By the table's name: the view of its living rows."""


@dataclass(frozen=True)
class Dictionary:
    """All that there is to show."""

    areas: tuple[Area, ...]
    relations: tuple[Relation, ...]
    leads: dict[tuple[str, str], list[Relation]] = field(default_factory=dict)
    """Table and column to where it leads."""
    led_to: dict[str, list[Relation]] = field(default_factory=dict)
    """Table to what leads to it."""
    asked_by: dict[str, list[str]] = field(default_factory=dict)
    """Table or view to the views that are made of it."""
    of_views: tuple[Relation, ...] = ()
    """Where columns of views lead."""

    @property
    def entries(self) -> dict[str, Entry]:
        """All tables and views, by name."""
        return {entry.name: entry for area in self.areas for entry in area.entries}


def dictionary(views: Views | None = None) -> Dictionary:
    """The dictionary of this release; the views, if they are given, come first."""
    views = views or Views()
    relations = declared_relations()
    leads: dict[tuple[str, str], list[Relation]] = defaultdict(list)
    led_to: dict[str, list[Relation]] = defaultdict(list)
    for relation in relations:
        leads[relation.from_table, relation.from_column].append(relation)
        led_to[relation.to_table].append(relation)
    asked_by: dict[str, list[str]] = defaultdict(list)
    of_views: list[Relation] = []
    for area in views.areas:
        for entry in area.entries:
            for name in entry.made_of:
                asked_by[name].append(entry.name)
            for column in entry.columns:
                for table, name in re.findall(r"→ (\w+)\.(\w+)", column.description or ""):
                    of_view = Relation(entry.name, column.name, table, name, "", "id")
                    led_to[table].append(of_view)
                    of_views.append(of_view)
    areas = (*views.areas, *_areas(views.living))
    return Dictionary(
        areas, tuple(relations), dict(leads), dict(led_to), dict(asked_by), tuple(of_views)
    )


def _areas(living: Mapping[str, Entry]) -> Iterator[Area]:
    tables: dict[str, list[Table]] = defaultdict(list)
    for table in ALL_TABLES.values():
        tables[_module_of(table)].append(table)
    for module in dict.fromkeys((*(_module(e) for e in ENDPOINTS), common.__name__)):
        found = tables.get(module, ())
        if not found:
            continue
        title, _, description = _said_of(module).partition(": ")
        yield Area(
            module.rpartition(".")[2],
            title,
            f"{description[:1].upper()}{description[1:]}",
            tuple(_entry(table, living.get(table.name)) for table in found),
        )
    yield Area(
        "sync",
        "The sync's own tables",
        "What the sync writes down about itself: runs, deletions, where columns lead.",
        tuple(map(_log_entry, LOG_TABLES)),
    )


def _module(endpoint: Endpoint) -> str:
    return endpoint.row.__module__


def _module_of(table: Table) -> str:
    """Whose area a table is of: its list's, or that of what several areas share."""
    modules = {_module(endpoint) for endpoint in _lists_of(table)}
    return modules.pop() if len(modules) == 1 else common.__name__


def _said_of(module: str) -> str:
    if module == common.__name__:
        return "Parts of many lists: what rows of several areas have, such as addresses and grades."
    return " ".join((importlib.import_module(module).__doc__ or "").split())


def _lists_of(table: Table) -> tuple[Endpoint, ...]:
    if table.child is None:
        return (table.endpoint,)
    return tuple(
        endpoint
        for endpoint in ENDPOINTS
        if any(child.table == table.name for child in endpoint.children)
    )


def _entry(table: Table, living: Entry | None) -> Entry:
    return Entry(
        table.name,
        table.description,
        table.all_columns,
        table.key,
        _lists_of(table),
        nested=table.child is not None,
        parts=() if table.child else tuple(dict.fromkeys(_parts(table.name))),
        living=living,
    )


def _log_entry(table: LogTable) -> Entry:
    key = tuple(column.name for column in table.columns[: table.key])
    return Entry(table.name, table.description, table.columns, key)


def _parts(resource: str) -> Iterable[str]:
    return (part.name for part in CHILD_TABLES[resource])
