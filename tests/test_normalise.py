"""Raw rows to typed tables: every awkward value, and two speeds that come to the same."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args

import orjson
import pyarrow as pa
import pytest

from schemas.eduframe.models.column_types import Loose
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import DoesNotCastError
from sources.eduframe.rows import columns
from sources.eduframe.rows.normalise import Normalised, key_of, normalise
from sources.eduframe.rows.tables import CHILD_TABLES, DEPRECATED, MAIN_TABLES, Column, Table
from sources.eduframe.rows.trees import flatten
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


# ---- Two speeds


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """Within it no column is cast as a whole, whatever it holds."""

    def no_cast(values: Any, column: Any) -> Any:
        raise DoesNotCastError("not today")

    @contextmanager
    def slowly() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(columns, "_CASTS", dict.fromkeys(columns._CASTS, no_cast))
            yield

    return slowly


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


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.table)
def test_columns_cast_as_a_whole_and_value_by_value_come_to_the_same(
    endpoint: Endpoint, one_by_one: Slowly
) -> None:
    found = normalise(endpoint, raw(endpoint.table))
    assert found.rejected == []
    assert found.unfit_fields == {}
    with one_by_one():
        assert_same(found, normalise(endpoint, raw(endpoint.table)))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.table)
def test_what_comes_out_has_the_declared_columns_and_types(endpoint: Endpoint) -> None:
    found = normalise(endpoint, raw(endpoint.table))
    for table, made in [
        (MAIN_TABLES[endpoint.table], found.main),
        *((t, found.children[t.name]) for t in CHILD_TABLES[endpoint.table]),
    ]:
        types = {c.name: c.arrow for c in table.columns} | {"_extra": pa.string()}
        assert dict(zip(made.schema.names, made.schema.types, strict=True)) == types


AWKWARD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 1.0, 1.5, 1e300),
    *("", " ", "0", "1", "-1", "1.0", "1.50", " 1", "1 ", "1_000", "1e3", ".5", "5.", "+1", "NaN"),
    *("inf", "Infinity", "1,5", "0x10", "\u0661", "1.0123456789", "9" * 29, "9" * 30, "1e-12"),
    *(Decimal("2.0"), Decimal("0.12345678901234567890"), Decimal("1E+50"), 10**400),
    *("1.234,56", "€ 12", "9" * 5000, 10**40, "-9223372036854775809", "true", "no", "null"),
    *("2026-01-31", "0000-01-01", "0001-01-01", "9999-12-31", "2026-02-30", "2026-1-31", "12026"),
    *("2026-01-31T09:30:00Z", "2026-01-31T09:30Z", "2026-01-31T09:30:00", "2026-01-31 09:30:00Z"),
    *("2026-01-31T09:30:00.123456789Z", "2026-01-31T09:30:00+0100", "2026-01-31T09:30:00+01"),
    *("2026-01-31T24:00:00Z", "2026-01-31T23:59:60Z", "0000-01-01T00:00:00Z", "20260131T093000Z"),
    *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1-01-01T00:00:00.000000Z"),
    *("2026-01-31t09:30:00z", "2026-01-31T09:30:00.000 Z", "2026-01-31T09:30:00,000Z"),
    *("\x00", "\x1f", "é", "☕🎓", "[]", "{}", [], {}, [1], [None], [[]], {"a": 1}),
    *([1, 1], ["1", 1], [True, 1], [1.0, 1], [1, "x"], [{}], [{"id": 1}], {"": None}, {"a": [[1]]}),
    *([{"id": None}, {"id": 2}], [{"id": "2"}, {"id": 2}], {"id": None}, {"id": 2**63}),
    *({"a": None}, {"a": [4]}, {"a": {"custom_record_ids": ["x", 4, 4.0]}}, [None, {"slug": "a"}]),
]

SAMPLE_FIELDS = [
    *(("labels", "name"), ("labels", "updated_at"), ("users", "label_ids"), ("users", "roles")),
    *(("users", "custom"), ("users", "address"), ("users", "wants_newsletter")),
    *(("invoices", "total_excl"), ("invoices", "expiration_date"), ("invoices", "invoice_items")),
    *(("enrollments", "grade"), ("enrollments", "start_date"), ("meetings", "planning_attendees")),
    *(("catalog_products", "custom_associations"), ("planning_events", "required_teacher_groups")),
    *(("theses", "keywords"), ("planned_courses", "start_date"), ("custom_records", "properties")),
    *(("catalog_variants", "properties"), ("meetings", "planning_materials")),
    *(("program_edition_elements", "elements"), ("orders", "number_of_students")),
]


@pytest.mark.parametrize(("table", "field"), SAMPLE_FIELDS, ids=lambda x: x)
def test_no_value_sets_a_row_aside_or_touches_its_neighbours(
    table: str, field: str, one_by_one: Slowly
) -> None:
    """Whatever stands in a field: the row loads, and is the same alone, among other rows with odd
    values, and with its columns read value by value."""
    endpoint, row = BY_TABLE[table], some(table)
    rows = [row | {field: value} for value in AWKWARD]
    together = normalise(endpoint, rows)
    assert together.rejected == []
    for number, odd in enumerate(rows):
        alone = normalise(endpoint, [odd])
        with one_by_one():
            assert_same(alone, normalise(endpoint, [odd]))
        assert together.hashes[number] == alone.hashes[0], odd[field]
        assert together.main.slice(number, 1).equals(alone.main), odd[field]
        for name, made in alone.children.items():
            own = together.children[name].filter(pa.array(together.owners[name] == number))
            assert own.equals(made), (name, odd[field])


# ---- Absent and null


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


def content(found: Normalised) -> dict[str, list[dict[str, Any]]]:
    tables = {"": found.main, **found.children}
    return {name: table.to_pylist() for name, table in tables.items()}


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
        if outer == child.field:
            tables[child.table][0][name] = None
        for row in tables[child.table]:
            row |= {mine: main[theirs] for mine, theirs in child.owner.items()}
    return tables


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


# ---- Dates and numbers


def test_a_loose_date_that_is_none_is_null_and_kept_as_served() -> None:
    found = one("planned_courses", start_date="ergens in mei")
    assert held(found)["start_date"] is None
    assert extra(found) == {"start_date": "ergens in mei"}
    assert found.unknown_fields == {}
    assert held(one("planned_courses", start_date="2026-05-04"))["start_date"] == date(2026, 5, 4)


def test_a_number_with_too_many_decimals_is_rounded_and_kept_as_served() -> None:
    found = one("invoices", total_excl="1.00000000050001")
    assert held(found)["total_excl"] == Decimal("1.000000001")
    assert extra(found) == {"total_excl": "1.00000000050001"}
    assert extra(one("invoices", total_excl="1.5")) is None
    assert extra(one("invoices", total_excl="1.50000000000")) is None


def test_a_json_number_with_too_many_decimals_is_rounded_and_kept_as_served() -> None:
    found = one("invoices", total_excl=1.01234567891)
    assert held(found)["total_excl"] == Decimal("1.012345679")
    assert extra(found) == {"total_excl": 1.01234567891}


def test_rounded_numbers_of_nested_rows_are_kept_with_them() -> None:
    item = some("invoices")["invoice_items"][0] | {"unit_price": "0.12345678901"}
    found = one("invoices", invoice_items=[item])
    (row,) = children(found, "invoice_items")
    assert row["unit_price"] == Decimal("0.123456789")
    assert orjson.loads(row["_extra"]) == {"unit_price": "0.12345678901"}
    assert extra(found) is None


def test_moments_become_utc() -> None:
    at = held(one("labels", updated_at="2026-01-31T10:30:00+02:00"))["updated_at"]
    assert at == datetime(2026, 1, 31, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("served", "read"),
    [
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.250Z", datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("2017-01-01T00:59:60+01:00", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2024-01-01 10:00:00 UTC", datetime(2024, 1, 1, 10, tzinfo=UTC)),
        ("2024-01-01 10:00:00 +0100", datetime(2024, 1, 1, 9, tzinfo=UTC)),
        ("2024-01-01T10:00Z", datetime(2024, 1, 1, 10, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_moments_are_read_however_they_are_written(served: str, read: datetime) -> None:
    found = one("labels", updated_at=served)
    assert held(found)["updated_at"] == read
    assert (extra(found), found.unfit_fields) == (None, {})


# ---- What does not fit


@pytest.mark.parametrize(
    ("table", "field", "served", "kind"),
    [
        ("labels", "name", {"en": "x"}, "object"),
        ("labels", "name", ["x"], "list"),
        ("labels", "name", True, "boolean"),
        ("users", "locale", {"code": "nl"}, "object"),
        ("users", "wants_newsletter", "perhaps", "string"),
        ("users", "wants_newsletter", 2, "number"),
        ("orders", "number_of_students", 2.5, "number"),
        ("orders", "number_of_students", "two", "string"),
        ("orders", "number_of_students", True, "boolean"),
        ("invoices", "order_id", 2**63, "out of range"),
        ("invoices", "order_id", 1e300, "out of range"),
        ("invoices", "order_id", str(-(2**63) - 1), "out of range"),
        ("invoices", "total_excl", "much", "unreadable"),
        ("invoices", "total_excl", "1.234,56", "unreadable"),
        ("invoices", "total_excl", "€ 12", "unreadable"),
        ("invoices", "total_excl", "", "unreadable"),
        ("invoices", "total_excl", True, "boolean"),
        ("invoices", "total_excl", "9" * 30, "out of range"),
        ("invoices", "total_excl", "-" + "7" * 30, "out of range"),
        ("invoices", "total_excl", "2e35", "out of range"),
        ("invoices", "total_excl", 1e300, "out of range"),
        ("invoices", "expiration_date", "ergens in mei", "unreadable"),
        ("invoices", "expiration_date", "2026-02-30", "unreadable"),
        ("invoices", "expiration_date", 20260131, "number"),
        ("planned_courses", "start_date", "ergens in mei", "unreadable"),
        ("planned_courses", "start_date", 2026, "number"),
        ("labels", "created_at", "", "unreadable"),
        ("labels", "created_at", "0000-00-00T00:00:00Z", "unreadable"),
        ("labels", "created_at", "2024-02-30T09:30:00.000Z", "unreadable"),
        ("labels", "created_at", "12024-01-01T00:00:00Z", "unreadable"),
        ("labels", "created_at", "2026-01-31T09:30:00", "unreadable"),
        ("labels", "created_at", "2026-01-31", "unreadable"),
        ("labels", "created_at", "0001-01-01T00:00:00+01:00", "out of range"),
        ("labels", "created_at", 1769851800, "number"),
        ("webhook_notifications", "data", "none", "string"),
        ("webhook_notifications", "data", [1], "list"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_costs_its_field(
    table: str, field: str, served: Any, kind: str
) -> None:
    assert_kept(table, field, served, kind)


def test_a_value_that_nests_too_deeply_costs_its_field() -> None:
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    assert_kept("webhook_notifications", "data", {"a": deep}, "out of range")
    assert extra(one("labels", brand_new=deep)) == {"brand_new": deep}


def test_values_of_other_types_are_taken_where_they_plainly_are_the_same() -> None:
    found = one("orders", number_of_students="2", total_discount=12.5, origin=7)
    row = held(found)
    assert (row["number_of_students"], row["total_discount"], row["origin"]) == (
        *(2, Decimal("12.5"), "7"),
    )
    assert held(one("orders", number_of_students=2.0))["number_of_students"] == 2
    assert held(one("users", wants_newsletter="true"))["wants_newsletter"] is True
    assert held(one("users", wants_newsletter=0))["wants_newsletter"] is False
    assert found.unfit_fields == {}


@pytest.mark.parametrize(("table", "field"), NESTED_OBJECTS)
def test_a_value_that_does_not_fit_in_a_nested_object_is_kept_in_its_place(
    table: str, field: str
) -> None:
    row = next(row for row in raw(table) if row.get(field))
    whole = normalise(BY_TABLE[table], [row]).main.to_pylist()[0]
    for column in (c for c in MAIN_TABLES[table].columns if c.path[0] == field):
        inner = column.path[1]
        found = normalise(BY_TABLE[table], [row | {field: row[field] | {inner: [7], "new": 1}}])
        kept = {field: {inner: [7], "new": 1}}
        assert held(found) == whole | {column.name: None, "_extra": held(found)["_extra"]}
        assert extra(found) == kept
        assert unfit(found) == {f"{table}.{field}.{inner}": {"list": 1}}
        assert found.unknown_fields == {f"{table}.{field}.new": 1}


@pytest.mark.parametrize(("table", "field"), NESTED_OBJECTS)
def test_a_nested_object_of_another_type_is_kept_as_it_is(table: str, field: str) -> None:
    row = next(row for row in raw(table) if row.get(field))
    for served, kind in (("x", "string"), ([1], "list"), (7, "number")):
        found = normalise(BY_TABLE[table], [row | {field: served}, row])
        first, second = found.main.to_pylist()
        assert not any(v for k, v in first.items() if k.startswith(f"{field}__"))
        assert any(v for k, v in second.items() if k.startswith(f"{field}__"))
        assert extra(found) == {field: served}
        assert unfit(found) == {f"{table}.{field}": {kind: 1}}


def test_a_nested_row_keeps_what_does_not_fit_with_itself() -> None:
    meeting = max(raw("meetings"), key=lambda row: len(row["planning_attendees"]))
    first, *rest = meeting["planning_attendees"]
    odd = first | {"teacher_id": None, "teacher_role_id": "all"}
    found = one("meetings", **meeting | {"planning_attendees": [odd, *rest]})
    row = found.children["planning_attendees"].to_pylist()[0]
    assert (row["id"], row["teacher_id"], row["teacher_role_id"]) == (first["id"], None, None)
    assert orjson.loads(row["_extra"]) == {"teacher_role_id": "all"}
    assert extra(found) is None
    assert found.children["planning_attendees"].num_rows == len(rest) + 1
    assert unfit(found) == {
        "planning_attendees.teacher_id": {"null": 1},
        "planning_attendees.teacher_role_id": {"string": 1},
    }


NO_TELLER = {  # owner, part, child table, field that is counted
    "an object": ("meetings", "planning_attendees", "planning_attendees", "id"),
    "a link": ("users", "label_ids", "user_labels", "label_id"),
    "a single object": ("enrollments", "grade", "grades", "id"),
}


@pytest.mark.parametrize("odd_key", [None, "x", True, 2**63, {"id": 1}, 1.5], ids=str)
@pytest.mark.parametrize(("table", "field", "child", "key"), NO_TELLER.values(), ids=NO_TELLER)
def test_a_nested_row_without_a_usable_key_stays_with_its_owner(
    table: str, field: str, child: str, key: str, odd_key: Any
) -> None:
    row = max(raw(table), key=lambda row: len(str(row.get(field))))
    before = normalise(BY_TABLE[table], [row])
    part = row[field]
    if isinstance(part, dict):
        odd = part | {key: odd_key}
        found, left, kept = one(table, **row | {field: odd}), [], odd
    else:
        odd = part[0] | {key: odd_key} if isinstance(part[0], dict) else odd_key
        found = one(table, **row | {field: [odd, *part]})
        left, kept = before.children[child].to_pylist(), [odd]
    assert found.children[child].to_pylist() == left
    assert extra(found) == {field: kept}
    assert found.incomplete[child].tolist() == [True]
    assert unfit(found) == {f"{child}.{key}": {"no key": 1}}
    assert found.rows_checked[child] == len(left) + 1


@pytest.mark.parametrize(
    ("table", "field", "child", "served", "kind"),
    [
        ("users", "address", "addresses", "Main Street 1", "string"),
        ("users", "address", "addresses", [{"city": "Delft"}], "list"),
        ("users", "label_ids", "user_labels", "1,2", "string"),
        ("users", "roles", "user_roles", {"admin": True}, "object"),
        ("users", "roles", "user_roles", ["admin", None], "null"),
        ("users", "roles", "user_roles", [{"name": "admin"}], "object"),
        ("courses", "slug_history", "course_slug_history", ["a", None, "b"], "null"),
        ("users", "custom", "custom_values", "none", "string"),
        ("users", "custom", "custom_values", [1], "list"),
        ("invoices", "invoice_items", "invoice_items", {"id": 3}, "object"),
        ("meetings", "planning_materials", "planning_material_bookings", [3], "number"),
        *(
            ("catalog_products", "custom_associations", "catalog_product_custom_records", *odd)
            for odd in (
                ({"in-room": None}, "null"),
                ({"in-room": [4, 2]}, "list"),
                ({"in-room": {"custom_record_ids": "4"}}, "string"),
                ([None], "null"),
                ([4, 2], "number"),
                ("rooms", "string"),
            )
        ),
    ],
    ids=str,
)
def test_a_part_of_another_shape_stays_with_its_owner(
    table: str, field: str, child: str, served: Any, kind: str
) -> None:
    found = one(table, **{field: served})
    assert extra(found) == {field: served}
    assert found.incomplete[child].tolist() == [True]
    assert unfit(found) == {f"{table}.{field}": {kind: 1}}
    good = one(table)
    for name, rows in good.children.items():
        assert name == child or found.children[name].equals(rows)
    mixed = normalise(BY_TABLE[table], [some(table), some(table, **{field: served})])
    assert mixed.hashes.tolist() == [good.hashes[0], found.hashes[0]]
    assert mixed.incomplete[child].tolist() == [False, True]


def test_what_else_is_in_such_a_part_becomes_rows() -> None:
    served = {"in-room": {"custom_object_slug": "rooms", "custom_record_ids": [4, "x"]}, "b": None}
    found = one("catalog_products", custom_associations=served)
    (row,) = children(found, "catalog_product_custom_records")
    assert (row["association_slug"], row["custom_record_id"]) == ("in-room", 4)
    found = one("courses", slug_history=["a", None, "b"])
    assert [(r["position"], r["value"]) for r in children(found, "course_slug_history")] == [
        *((0, "a"), (2, "b")),
    ]


# ---- Rows without a key


@pytest.mark.parametrize(
    "row",
    [
        *(3, None, "x", [], True, {}, {"id": None}, {"id": "seven"}, {"id": 2**63}, {"id": 1e20}),
        *({"id": True}, {"id": ""}, {"id": [1]}, {"id": {"id": 1}}, {"id": 1.5}, {"id": 2**70}),
    ],
    ids=str,
)
def test_a_row_without_a_usable_key_is_set_aside(row: Any) -> None:
    if isinstance(row, dict):
        row = {k: v for k, v in some("labels").items() if k != "id"} | row
    found = normalise(BY_TABLE["labels"], [row, some("labels")])
    (rejected,) = found.rejected
    assert json.loads(rejected.row) == row
    assert "the row is no object" in rejected.reason or rejected.reason.startswith("id, ")
    assert content(found) == content(one("labels"))
    assert found.rows_checked["labels"] == 1
    assert key_of(BY_TABLE["labels"], row) is None


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.table)
def test_every_column_of_a_key_is_needed_and_no_other(endpoint: Endpoint) -> None:
    row = max(raw(endpoint.table), key=lambda row: len(str(row)))
    needed = [key for key in MAIN_TABLES[endpoint.table].key if key in row]
    found = normalise(endpoint, [{k: v for k, v in row.items() if k != key} for key in needed])
    assert [one.reason.split(",")[0] for one in found.rejected] == needed
    assert all("absent" in one.reason for one in found.rejected)
    assert normalise(endpoint, [{key: row[key] for key in needed}]).rejected == []


def test_an_id_may_have_63_bits_and_be_a_text() -> None:
    assert held(one("labels", id=2**63 - 1))["id"] == 2**63 - 1
    assert held(one("labels", id="7"))["id"] == 7
    assert key_of(BY_TABLE["labels"], {"id": "7"}) == (7,)


# ---- Unknown fields and values


def test_unknown_fields_are_kept_and_counted() -> None:
    rows = [some("labels") | {"id": n, "emoji": {"x": [n]}, "rank": None} for n in (1, 2)]
    found = normalise(BY_TABLE["labels"], [*rows, some("labels")])
    kept = [row["_extra"] for row in found.main.to_pylist()]
    assert [orjson.loads(text) if text else None for text in kept] == [
        {"emoji": {"x": [1]}, "rank": None},
        {"emoji": {"x": [2]}, "rank": None},
        None,
    ]
    assert found.unknown_fields == {"labels.emoji": 2, "labels.rank": 2}


def test_unknown_fields_of_nested_rows_are_kept_with_them() -> None:
    address = some("users")["address"] | {"latitude": 52.1}
    found = one("users", address=address)
    (row,) = children(found, "addresses")
    assert orjson.loads(row["_extra"]) == {"latitude": 52.1}
    assert extra(found) is None
    assert found.unknown_fields == {"addresses.latitude": 1}


@pytest.mark.parametrize(("table", "field"), NESTED_OBJECTS)
def test_unknown_fields_of_a_nested_object_are_kept(table: str, field: str) -> None:
    row = next(row for row in raw(table) if row.get(field))
    found = normalise(BY_TABLE[table], [row | {field: row[field] | {"moon": 1}}])
    assert orjson.loads(found.main.to_pylist()[0]["_extra"]) == {field: {"moon": 1}}
    assert found.unknown_fields == {f"{table}.{field}.moon": 1}


def test_unknown_values_are_kept_and_counted() -> None:
    found = one("enrollments", status="hibernating")
    assert held(found)["status"] == "hibernating"
    assert [name for name in found.unknown_values if "hibernating" in name]
    assert not one("enrollments").unknown_values


def test_unknown_values_in_lists_of_words_are_kept_and_counted() -> None:
    found = one("users", roles=["student", "janitor"])
    assert [row["value"] for row in children(found, "user_roles")] == ["student", "janitor"]
    assert list(found.unknown_values) == ["user_roles.value = 'janitor'"]
    found = one("webhooks", events=["user.created", "user.vanished"])
    assert list(found.unknown_values) == ["webhook_events.value = 'user.vanished'"]
    assert not one("courses", slug_history=["whatever"]).unknown_values


def test_unknown_values_of_nested_rows_are_counted() -> None:
    found = one("users", address=some("users")["address"] | {"country": "XX"})
    assert list(found.unknown_values) == ["addresses.country = 'XX'"]


def test_numbers_where_texts_belong_become_texts() -> None:
    found = one("labels", name=12)
    assert held(found)["name"] == "12"
    assert children(one("users", roles=["a", 5]), "user_roles")[1]["value"] == "5"


# ---- Nested parts


def nothing() -> list[tuple[str, str, str]]:
    return [(e.table, c.field, c.table) for e in ENDPOINTS for c in e.children]


@pytest.mark.parametrize(("table", "field", "child"), nothing())
def test_null_and_absent_nested_parts_are_no_rows(table: str, field: str, child: str) -> None:
    row = some(table)
    absent = {k: v for k, v in row.items() if k != field}
    found = normalise(BY_TABLE[table], [row | {field: None}, absent])
    assert found.rejected == []
    assert found.children[child].num_rows == 0
    assert found.main.num_rows == 2


def test_doubled_links_are_one_row() -> None:
    rows = children(one("users", label_ids=[5, 3, 5]), "user_labels")
    assert [row["label_id"] for row in rows] == [5, 3]


def test_doubled_nested_rows_are_one_row_the_later() -> None:
    item = some("invoices")["invoice_items"][0]
    found = one("invoices", invoice_items=[item | {"name": "old"}, item | {"name": "new"}])
    assert [row["name"] for row in children(found, "invoice_items")] == ["new"]


def test_values_keep_their_place() -> None:
    rows = children(one("users", roles=["b", "a", "b"]), "user_roles")
    assert [(row["position"], row["value"]) for row in rows] == [(0, "b"), (1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        ("M", [{"value_text": "M"}]),
        ("", [{"value_text": ""}]),
        ("0012", [{"value_text": "0012"}]),
        (True, [{"value_boolean": True}]),
        (7, [{"value_number": Decimal(7)}]),
        (-0.5, [{"value_number": Decimal("-0.5")}]),
        (1e30, [{"value_text": "1e+30"}]),
        ("2026-01-31", [{"value_date": date(2026, 1, 31)}]),
        ("2026-02-30", [{"value_text": "2026-02-30"}]),
        ("2026-01-31T00:00", [{"value_text": "2026-01-31T00:00"}]),
        ({"b": 1, "a": [None]}, [{"value_text": '{"a":[null],"b":1}'}]),
        (None, []),
        ([], []),
        (["x", None, False], [{"value_text": "x"}, {"position": 2, "value_boolean": False}]),
    ],
    ids=str,
)
def test_custom_values_go_into_the_column_of_their_type(
    value: Any, typed: list[dict[str, Any]]
) -> None:
    found = one("users", custom={"field": value})
    owner = {"owner_table": "users", "owner_id": held(found)["id"], "slug": "field", "position": 0}
    assert children(found, "custom_values") == [owner | row for row in typed]
    assert orjson.loads(held(found)["custom"]) == {"field": value}


def test_an_empty_map_may_be_an_empty_list() -> None:
    """As servers in some languages write it."""
    beside = some("users", id=1, first_name=3)
    found = normalise(BY_TABLE["users"], [some("users", custom=[]), beside])
    assert found.rejected == []


LINKED = {"custom_object_slug": "rooms", "custom_record_ids": [4, 4, 2]}
ASSOCIATIONS = [
    {"association_slug": "in-room", "custom_object_slug": "rooms", "custom_record_id": 4},
    {"association_slug": "in-room", "custom_object_slug": "rooms", "custom_record_id": 2},
]


@pytest.mark.parametrize("value", [{"in-room": LINKED}, [{"slug": "in-room", **LINKED}]], ids=str)
def test_associations_come_as_a_map_or_as_a_list(value: Any) -> None:
    found = one("catalog_products", custom_associations=value)
    rows = children(found, "catalog_product_custom_records")
    wanted = [{"catalog_product_id": held(found)["id"]} | row for row in ASSOCIATIONS]
    assert rows == wanted


def test_unknown_fields_of_associations_are_kept() -> None:
    found = one("catalog_products", custom_associations={"in-room": LINKED | {"since": 2020}})
    linked = children(found, "catalog_product_custom_records")
    kept = [held(found)["_extra"], *(row.get("_extra") for row in linked)]
    assert any(text and "since" in text for text in kept)


def test_rows_of_a_tree_keep_what_stands_at_the_top() -> None:
    endpoint = BY_TABLE["program_edition_elements"]
    assert endpoint.tree is not None
    tree = [
        {"id": 1, "elements": [{"id": 2, "elements": None}, {"id": 3}, 6]},
        {"id": 4, "elements": "none"},
        5,
    ]
    flat = flatten(tree, endpoint.tree)
    assert [row if row == 5 else (row["id"], row["path"], row["parent_path"]) for row in flat] == [
        (1, "0", None),
        (2, "0.0", "0"),
        (3, "0.1", "0"),
        (4, "1", None),
        5,
    ]
    assert [row.get("elements") for row in flat if row != 5] == [[6], None, None, "none"]


def test_what_is_no_node_of_a_tree_stays_with_the_node_above() -> None:
    endpoint = BY_TABLE["program_edition_elements"]
    outer = {"edition_id": 3}
    node = {"name": "x", "credits": None, "element_type": "BlockElement"}
    tree = flatten([node | {"elements": [None, node, 6]}, node | {"elements": "none"}], "elements")
    found = normalise(endpoint, [row | outer for row in tree])
    assert [row["path"] for row in found.main.to_pylist()] == ["0", "0.1", "1"]
    kept = [text and orjson.loads(text) for text in found.main["_extra"].to_pylist()]
    assert kept == [{"elements": [None, 6]}, None, {"elements": "none"}]
    assert found.cut_trees is not None
    assert found.cut_trees.tolist() == [True, False, True]
    assert unfit(found) == {"program_edition_elements.elements": {"null": 1, "string": 1}}
