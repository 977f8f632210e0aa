"""Raw rows to typed tables: every awkward value, and two speeds that come to the same."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest

from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.normalise import key_of, normalise
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES
from sources.eduframe.rows.trees import flatten
from tests.single_rows import (
    BY_TABLE,
    NESTED_OBJECTS,
    Slowly,
    assert_same,
    children,
    content,
    extra,
    held,
    one,
    raw,
    some,
    unfit,
)

# ---- Two speeds



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
