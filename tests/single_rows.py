"""A row of a list at a time, with values of the test's own, made into typed tables."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import orjson

from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.normalise import Normalised, normalise
from sources.eduframe.rows.tables import MAIN_TABLES
from sources.eduframe_simulator import Simulator
from tests.warehouses import raw_rows

BY_TABLE = {endpoint.table: endpoint for endpoint in ENDPOINTS}
SIM = Simulator(seed=5, scale=0.1)
AT = "2026-01-31T09:30:00.000Z"
NESTED_OBJECTS = sorted(
    {(t.name, c.within.name) for t in MAIN_TABLES.values() for c in t.columns if c.within}
)
"""Every nested object that has no table of its own: list and field."""


def raw(table: str) -> list[dict[str, Any]]:
    return raw_rows(SIM, BY_TABLE[table])


def some(table: str, **values: Any) -> dict[str, Any]:
    """A row of the simulator's with other values; that with the most in it."""
    return max(raw(table), key=lambda row: len(str(row))) | values


def one(table: str, **values: Any) -> Normalised:
    """A single row that must fit."""
    found = normalise(BY_TABLE[table], [some(table, **values)])
    assert found.rejected == []
    assert found.main.num_rows == 1
    return found


def held(found: Normalised) -> dict[str, Any]:
    return dict(found.main.to_pylist()[0])


def extra(found: Normalised) -> Any:
    text = held(found)["_extra"]
    return None if text is None else orjson.loads(text)


def children(found: Normalised, table: str) -> list[dict[str, Any]]:
    """The rows of a child table, without what is null."""
    rows = found.children[table].to_pylist()
    return [{k: v for k, v in row.items() if v is not None} for row in rows]


def unfit(found: Normalised) -> dict[str, dict[str, int]]:
    return {name: dict(kinds) for name, kinds in found.unfit_fields.items()}


def assert_kept(table: str, field: str, served: Any, kind: str) -> None:
    """A value that does not fit costs its field alone: it is null, kept as served, and counted."""
    before, found = one(table), one(table, **{field: served})
    assert held(found) == held(before) | {field: None, "_extra": held(found)["_extra"]}
    assert extra(found) == {field: served}
    assert unfit(found) == {f"{table}.{field}": {kind: 1}}
    for name, rows in before.children.items():
        assert found.children[name].equals(rows), name


def content(found: Normalised) -> dict[str, list[dict[str, Any]]]:
    tables = {"": found.main, **found.children}
    return {name: table.to_pylist() for name, table in tables.items()}


Slowly = Callable[[], AbstractContextManager[None]]


def assert_same(one: Normalised, other: Normalised) -> None:
    assert one.main.equals(other.main)
    assert one.hashes.tolist() == other.hashes.tolist()
    assert one.children.keys() == other.children.keys()
    for name, table in one.children.items():
        assert table.equals(other.children[name]), name
        assert one.owners[name].tolist() == other.owners[name].tolist()
    assert one.unknown_fields == other.unknown_fields
    assert one.unknown_values == other.unknown_values
    assert one.unfit_fields == other.unfit_fields
    assert one.rows_checked == other.rows_checked
    assert one.rejected == other.rejected
