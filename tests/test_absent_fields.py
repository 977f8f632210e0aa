"""Fields that are absent or null: each costs itself, whatever stands beside it, on both paths."""

from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest

from schemas.eduframe.models.column_types import Loose
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.normalise import normalise
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import CHILD_TABLES, DEPRECATED, MAIN_TABLES, Table
from tests.single_rows import BY_TABLE, Slowly, assert_same, content, held, raw, some, unfit


def odd_value(column: Column) -> Any:
    """Something that does not fit a column."""
    return True if column.type == "json" else {"odd": [1]}


def keys(table: Table) -> set[str]:
    """The fields of a row without which it has no key."""
    return set(table.key)


def places(endpoint: Endpoint, row: dict[str, Any]) -> Iterator[tuple[str | None, str]]:
    """Every field of a row that is no key: its nested object, if it is in one, and its name."""
    table = MAIN_TABLES[endpoint.table]
    nested = {t.child.field: t for t in CHILD_TABLES[endpoint.table] if t.child and t.child.row}
    objects = {c.within.name for c in table.columns if c.within}
    for name, value in row.items():
        if name not in keys(table):
            yield None, name
        if name in nested and value:
            item = value[0] if isinstance(value, list) else value
            yield from ((name, inner) for inner in item if inner not in nested[name].key)
        if name in objects:
            yield from ((name, inner) for inner in value)


def altered(
    row: dict[str, Any], outer: str | None, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """The row with a change made in it, or in its nested object, or in the first of those."""
    if outer is None:
        return change(row)
    value = row[outer]
    return row | {
        outer: [change(value[0]), *value[1:]] if isinstance(value, list) else change(value)
    }


def neighbour(endpoint: Endpoint, row: dict[str, Any]) -> dict[str, Any]:
    """A row of which nothing fits but its key, nested rows included."""
    table = MAIN_TABLES[endpoint.table]
    odd = {
        c.name: odd_value(c) for c in table.columns if c.name not in keys(table) and not c.within
    }
    other = dict(row)
    for key in table.key:
        if key in row:
            other[key] = row[key] + 1 if isinstance(row[key], int) else f"{row[key]}x"
    for child in CHILD_TABLES[endpoint.table]:
        if child.child and child.child.row and row.get(child.child.field):
            item = {c.name: odd_value(c) for c in child.columns if c.name not in child.key}
            many = isinstance(row[child.child.field], list)
            whole = dict.fromkeys(child.key, 7) | item
            odd[child.child.field] = [whole] if many else whole
    return other | odd


def without(
    endpoint: Endpoint, tables: dict[str, list[dict[str, Any]]], outer: str | None, name: str
) -> dict[str, list[dict[str, Any]]]:
    """The tables of one row as they are where a field is null."""
    (main,) = tables[""]
    for column in MAIN_TABLES[endpoint.table].columns:
        if (outer is None and column.path[:1] == (name,)) or column.path == (outer, name):
            main[column.name] = None
    for child in endpoint.children:
        if outer is None and child.field == name:
            tables[child.table] = []
        if outer == child.field and child.row:
            tables[child.table][0][name] = None
        if outer == child.field and child.inner == name:
            objects = next(c.table for c in endpoint.children if c.field == outer and c.row)
            of, first = child.key[0], tables[objects][0]["id"]
            tables[child.table] = [row for row in tables[child.table] if row[of] != first]
        for row in tables[child.table]:
            row |= {mine: main[theirs] for mine, theirs in child.owner.items()}
    return tables


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.table)
def test_a_field_that_is_absent_or_null_costs_that_field_whatever_stands_beside_it(
    endpoint: Endpoint, one_by_one: Slowly
) -> None:
    row = max(raw(endpoint.table), key=lambda row: len(str(row)))
    beside = neighbour(endpoint, row)
    for outer, name in places(endpoint, row):
        null = altered(row, outer, lambda r, n=name: r | {n: None})
        absent = altered(row, outer, lambda r, n=name: {k: v for k, v in r.items() if k != n})
        alone = normalise(endpoint, [null])
        whole = content(normalise(endpoint, [row]))
        assert content(alone) == without(endpoint, whole, outer, name), (outer, name)
        for tried in (null, absent):
            for rows in ([tried], [beside, tried], [tried, beside]):
                found = normalise(endpoint, rows)
                with one_by_one():
                    assert_same(found, normalise(endpoint, rows))
                assert found.rejected == []
                place = rows.index(tried)
                assert found.hashes[place] == alone.hashes[0], (outer, name)
                assert found.main.slice(place, 1).equals(alone.main), (outer, name)


def described(endpoint: Endpoint) -> Iterator[tuple[str, str, bool, bool, bool]]:
    """The fields of a list: name, table, may be absent, may be null, deprecated."""
    models = [(endpoint.table, endpoint.row)]
    models += [(c.table, c.row) for c in endpoint.children if c.row is not None]
    for table, model in models:
        for name, info in model.model_fields.items():
            nullable = type(None) in get_args(info.annotation) or any(
                isinstance(fact, Loose) for fact in info.metadata
            )
            extra = info.json_schema_extra
            deprecated = isinstance(extra, dict) and bool(extra.get("deprecated"))
            yield table, name, not info.is_required(), nullable, deprecated


def test_absence_and_null_are_counted_where_the_api_says_that_they_never_are() -> None:
    bare = {"id": 1}
    found = normalise(BY_TABLE["leads"], [bare, bare | dict.fromkeys(raw("leads")[0])])
    wanted: dict[str, dict[str, int]] = {}
    # the second row has no key: what it lacks does not count
    assert len(found.rejected) == 1
    for table, name, may_be_absent, *_ in described(BY_TABLE["leads"]):
        if table == "leads" and name != "id" and not may_be_absent:
            wanted[f"leads.{name}"] = {"absent": 1}
    assert unfit(found) == wanted
    found = normalise(BY_TABLE["leads"], [dict.fromkeys(raw("leads")[0]) | bare])
    nullable = {name for table, name, _, null, _ in described(BY_TABLE["leads"]) if null}
    assert unfit(found) == {
        f"leads.{name}": {"null": 1} for name in raw("leads")[0].keys() - nullable - {"id"}
    }
    assert found.rows_checked == {"leads": 1} | dict.fromkeys(found.children, 0)


def test_deprecated_fields_are_counted_too_and_known_as_such() -> None:
    row = {k: v for k, v in some("users").items() if k not in ("slug", "teacher_enrollments_count")}
    found = normalise(BY_TABLE["users"], [row])
    assert held(found)["slug"] is None
    assert unfit(found) == {
        "users.slug": {"absent": 1},
        "users.teacher_enrollments_count": {"absent": 1},
    }
    assert unfit(found).keys() < DEPRECATED
    assert "users.last_name" not in DEPRECATED
    assert "planning_events.planning_attendee_conditions" in DEPRECATED
