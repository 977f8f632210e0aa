"""The simulator's memory: every list's rows, serialised, in the order in which they are served.

Rows are kept as JSON bytes, so that a page is a join of what is already there, and a million
rows fit into memory.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from itertools import chain
from threading import RLock
from typing import Any

import orjson

from sources.eduframe.declare import Endpoint, Parent
from sources.eduframe.endpoints import ENDPOINTS

JsonRow = dict[str, Any]
Ident = Any
"""What a row is found by within its list: its id, or a serial number where it has none."""
Scope = tuple[str, ...]
"""The values of a path's parameters; () for a list that is not under a parent."""

BY_TABLE: Mapping[str, Endpoint] = {endpoint.table: endpoint for endpoint in ENDPOINTS}
OBJECT_TYPES = ("users", "accounts", "catalog_products", "catalog_variants", "teachers")
"""The object types that custom objects can be associated with."""


class RowList:
    """The rows of one list, ordered by ident."""

    def __init__(self) -> None:
        self.idents: list[Ident] = []
        self.rows: dict[Ident, bytes] = {}

    def put(self, ident: Ident, row: JsonRow) -> None:
        if ident not in self.rows:
            if self.idents and ident < self.idents[-1]:
                insort(self.idents, ident)
            else:
                self.idents.append(ident)
        self.rows[ident] = orjson.dumps(row)

    def remove(self, ident: Ident) -> None:
        del self.rows[ident]
        del self.idents[bisect_left(self.idents, ident)]

    def __iter__(self) -> Iterator[JsonRow]:
        return (orjson.loads(self.rows[ident]) for ident in self.idents)


class Store:
    """All lists. Whoever reads or writes more than one thing holds ``lock`` meanwhile."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.lists: dict[str, dict[Scope, RowList]] = {table: {} for table in BY_TABLE}
        self.versions = dict.fromkeys(BY_TABLE, 0)
        self._homes: dict[str, dict[Ident, Scope]] = {table: {} for table in BY_TABLE}
        self._known_scopes: dict[str, tuple[list[int], dict[Scope, JsonRow]]] = {}

    # Rows

    def put(self, table: str, ident: Ident, row: JsonRow, scope: Scope = ()) -> None:
        """Add or replace a row."""
        with self.lock:
            self.lists[table].setdefault(scope, RowList()).put(ident, row)
            if scope:
                self._homes[table][ident] = scope
            self.versions[table] += 1

    def remove(self, table: str, ident: Ident, scope: Scope = ()) -> None:
        """Delete a row. Raises ``KeyError`` where there is none."""
        with self.lock:
            self.lists[table][scope].remove(ident)
            self.versions[table] += 1

    def get(self, table: str, ident: Ident, scope: Scope = ()) -> JsonRow | None:
        """A row, or None."""
        with self.lock:
            rows = self.lists[table].get(scope)
            body = None if rows is None else rows.rows.get(ident)
        return None if body is None else orjson.loads(body)

    def list_at(self, table: str, scope: Scope = ()) -> RowList:
        """One list, empty where nothing was ever put."""
        return self.lists[table].get(scope) or RowList()

    def rows(self, table: str) -> list[JsonRow]:
        """All rows that can be read, over all parents that exist."""
        with self.lock:
            lists = self.lists[table]
            if BY_TABLE[table].params:
                return list(chain.from_iterable(lists[s] for s in lists if self.exists(table, s)))
            return list(self.list_at(table))

    def find(self, table: str, key: Any) -> tuple[Ident, Scope]:
        """Where the row with this key stands. Raises ``KeyError``.

        The key is the row's id, or the endpoint's whole key as a tuple. Where rows have no id,
        their number in the list (from 0) takes its place.
        """
        with self.lock:
            scope: Scope = self._homes[table].get(key, ())
            ident = key
            if isinstance(key, tuple):
                count = len(BY_TABLE[table].params)
                scope, ident = tuple(str(value) for value in key[:count]), key[count]
                if not count:
                    ident = self._number(table, key)
            if ident not in self.list_at(table, scope).rows:
                raise KeyError(f"{table} has no row {key!r}")
            return ident, scope

    def _number(self, table: str, key: tuple[Any, ...]) -> Ident | None:
        """The number of the row with this key, in a list whose rows have no id."""
        rows = self.list_at(table)
        for ident, row in zip(rows.idents, rows, strict=True):
            if tuple(row.get(column) for column in BY_TABLE[table].key) == key:
                return ident
        return None

    # Parents

    def scopes(self, table: str) -> dict[Scope, JsonRow]:
        """The parameters' values with which a list under a parent can be read, and the parents."""
        endpoint = BY_TABLE[table]
        if endpoint.parent_setting:
            return {(value,): {} for value in OBJECT_TYPES}
        with self.lock:
            versions = [self.versions[_holder(parent.table)] for parent in endpoint.parents]
            known = self._known_scopes.get(table)
            if known is None or known[0] != versions:
                found = {
                    tuple(_value(parent, param, row) for param in endpoint.params): row
                    for parent in endpoint.parents
                    for row in self._parent_rows(parent)
                }
                known = self._known_scopes[table] = versions, found
            return known[1]

    def exists(self, table: str, scope: Scope) -> bool:
        """Whether there is a parent with these values."""
        parents = BY_TABLE[table].parents
        if len(parents) == 1 and tuple(parents[0].params.values()) == ("id",):
            rows = self.list_at(parents[0].table).rows
            return scope[0] in rows or (scope[0].isdecimal() and int(scope[0]) in rows)
        return scope in self.scopes(table)

    def _parent_rows(self, parent: Parent) -> Iterator[JsonRow]:
        for row in self._rows_of(parent.table):
            if all(row.get(column) in values for column, values in parent.where.items()):
                yield row

    def _rows_of(self, table: str) -> Iterator[JsonRow]:
        if table in BY_TABLE:
            yield from self.list_at(table)
            return
        holder = BY_TABLE[_holder(table)]
        child = next(child for child in holder.children if child.table == table)
        for row in self.list_at(holder.table):
            owner = {column: row[source] for column, source in child.owner.items()}
            for item in row.get(child.field) or []:
                yield {**item, **owner}


def _holder(table: str) -> str:
    """The list that a table is filled from."""
    if table in BY_TABLE:
        return table
    return next(e.table for e in ENDPOINTS if any(child.table == table for child in e.children))


def _value(parent: Parent, param: str, row: JsonRow) -> str:
    value = row[parent.params[param]]
    return str(parent.rename.get(param, {}).get(value, value))
