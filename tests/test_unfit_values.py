"""Values that do not fit: each costs its field, is kept as served, and is counted."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from sources.eduframe.rows.normalise import normalise
from sources.eduframe.rows.tables import MAIN_TABLES
from tests.single_rows import (
    BY_TABLE,
    NESTED_OBJECTS,
    assert_kept,
    children,
    extra,
    held,
    one,
    raw,
    some,
    unfit,
)

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
