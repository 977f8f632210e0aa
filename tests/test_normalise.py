"""Raw rows to typed tables: every awkward value, and two paths that come to the same."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest

from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import DoesNotCastError
from sources.eduframe.rows import normalise as module
from sources.eduframe.rows.normalise import Normalised, normalise
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES
from sources.eduframe.rows.trees import flatten
from sources.eduframe_simulator import Simulator
from tests.warehouses import raw_rows

BY_TABLE = {endpoint.table: endpoint for endpoint in ENDPOINTS}
SIM = Simulator(seed=5, scale=0.1)
AT = "2026-01-31T09:30:00.000Z"


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


def refused(table: str, **values: Any) -> str:
    """The reason why a row is set aside; the others of its batch are not."""
    good = raw(table)
    bad = some(table, **values)
    others = [row for row in good if row["id"] != bad["id"]]
    found = normalise(BY_TABLE[table], [bad, *others])
    (rejected,) = found.rejected
    assert found.main.num_rows == len(others)
    assert rejected.key == (bad["id"],)
    assert orjson.loads(rejected.row) == orjson.loads(orjson.dumps(bad))
    return rejected.reason


# ---- Two paths


def exact(
    endpoint: Endpoint, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Normalised:
    """The outcome of the exact path, whatever the fast one thinks of the rows."""
    build = module._build

    def no_fast_path(*args: Any, exact: bool) -> Normalised:
        if not exact:
            raise DoesNotCastError("not today")
        return build(*args, exact=True)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_build", no_fast_path)
        return normalise(endpoint, rows)


def fast(endpoint: Endpoint, rows: list[dict[str, Any]]) -> Normalised:
    return module._build(endpoint, rows, rows, exact=False)


def assert_same(one: Normalised, other: Normalised) -> None:
    assert one.main.equals(other.main)
    assert one.hashes.tolist() == other.hashes.tolist()
    assert one.children.keys() == other.children.keys()
    for name, table in one.children.items():
        assert table.equals(other.children[name]), name
        assert one.owners[name].tolist() == other.owners[name].tolist()
    assert one.unknown_fields == other.unknown_fields
    assert one.unknown_values == other.unknown_values
    assert one.rejected == other.rejected == []


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.table)
def test_the_fast_and_the_exact_path_come_to_the_same(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every list, the rows that the fast path takes at all."""
    rows = raw(endpoint.table)
    taken = []
    for row in rows:
        try:
            fast(endpoint, [row])
        except DoesNotCastError:
            continue
        taken.append(row)
    assert taken
    assert_same(fast(endpoint, taken), exact(endpoint, taken, monkeypatch))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.table)
def test_what_comes_out_has_the_declared_columns_and_types(endpoint: Endpoint) -> None:
    found = normalise(endpoint, raw(endpoint.table))
    for table, made in [
        (MAIN_TABLES[endpoint.table], found.main),
        *((t, found.children[t.name]) for t in CHILD_TABLES[endpoint.table]),
    ]:
        types = {c.name: c.arrow for c in table.columns} | {"_extra": pa.string()}
        assert dict(zip(made.schema.names, made.schema.types, strict=True)) == types


def test_most_rows_take_the_fast_path() -> None:
    fast_ones = 0
    for endpoint in ENDPOINTS:
        try:
            fast(endpoint, raw(endpoint.table))
            fast_ones += 1
        except DoesNotCastError:
            pass
    assert fast_ones > len(ENDPOINTS) * 0.7


def outcome(work: Callable[[], Normalised]) -> Any:
    """What became of one row: None where it was set aside or does not cast."""
    try:
        found = work()
    except DoesNotCastError:
        return None
    if found.rejected:
        return None
    tables = {name: table.to_pylist() for name, table in found.children.items()}
    return found.main.to_pylist(), found.hashes.tolist(), tables


AWKWARD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 1.0, 1.5, 1e300),
    *("", " ", "0", "1", "-1", "1.0", "1.50", " 1", "1 ", "1_000", "1e3", ".5", "5.", "+1", "NaN"),
    *("inf", "Infinity", "1,5", "0x10", "\u0661", "1.0123456789", "9" * 29, "9" * 30, "1e-12"),
    *("2026-01-31", "0000-01-01", "0001-01-01", "9999-12-31", "2026-02-30", "2026-1-31", "12026"),
    *("2026-01-31T09:30:00Z", "2026-01-31T09:30Z", "2026-01-31T09:30:00", "2026-01-31 09:30:00Z"),
    *("2026-01-31T09:30:00.123456789Z", "2026-01-31T09:30:00+0100", "2026-01-31T09:30:00+01"),
    *("2026-01-31T24:00:00Z", "2026-01-31T23:59:60Z", "0000-01-01T00:00:00Z", "20260131T093000Z"),
    *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1-01-01T00:00:00.000000Z"),
    *("2026-01-31t09:30:00z", "2026-01-31T09:30:00.000 Z", "2026-01-31T09:30:00,000Z"),
    *("\x00", "\x1f", "é", "☕🎓", "true", "null", "[]", "{}", [], {}, [1], [None], [[]], {"a": 1}),
    *([1, 1], ["1", 1], [True, 1], [1.0, 1], [1, "x"], [{}], [{"id": 1}], {"": None}, {"a": [[1]]}),
]

SAMPLE_FIELDS = [
    *(("labels", "id"), ("labels", "name"), ("labels", "updated_at"), ("users", "label_ids")),
    *(("users", "roles"), ("users", "custom"), ("users", "address"), ("users", "wants_newsletter")),
    *(("invoices", "total_excl"), ("invoices", "expiration_date"), ("invoices", "invoice_items")),
    *(("enrollments", "grade"), ("enrollments", "start_date"), ("meetings", "planning_attendees")),
    *(("catalog_products", "custom_associations"), ("planning_events", "required_teacher_groups")),
    *(("theses", "keywords"), ("planned_courses", "start_date"), ("custom_records", "properties")),
]


@pytest.mark.parametrize(("table", "field"), SAMPLE_FIELDS, ids=lambda x: x)
def test_no_value_breaks_a_batch_or_is_read_in_two_ways(
    table: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in a field: the row fits or is set aside, and the fast path, where it
    takes the row at all, makes of it what the exact path does."""
    endpoint, row = BY_TABLE[table], some(table)
    broken = []
    for value in AWKWARD:
        rows = [row | {field: value}]
        try:
            slowly = outcome(lambda rows=rows: exact(endpoint, rows, monkeypatch))
            quickly = outcome(lambda rows=rows: fast(endpoint, rows))
        except Exception as error:
            broken.append(f"{value!r}: {type(error).__name__}: {error}")
            continue
        if quickly is not None and quickly != slowly:
            broken.append(f"{value!r}: fast {quickly}, exact {slowly}"[:300])
    assert broken == []


# ---- Dates and numbers


def test_a_loose_date_that_is_none_is_null_and_kept_as_served() -> None:
    found = one("planned_courses", start_date="ergens in mei")
    assert held(found)["start_date"] is None
    assert extra(found) == {"start_date": "ergens in mei"}
    assert found.unknown_fields == {}
    assert held(one("planned_courses", start_date="2026-05-04"))["start_date"] == date(2026, 5, 4)


def test_a_date_that_the_api_declares_as_one_is_refused_where_it_is_none() -> None:
    assert "expiration_date" in refused("invoices", expiration_date="ergens in mei")


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


@pytest.mark.parametrize("large", ["9" * 30, "1e40", 1e300])
def test_a_number_too_large_for_its_column_is_refused(large: Any) -> None:
    assert "total_excl" in refused("invoices", total_excl=large)


def test_moments_become_utc() -> None:
    at = held(one("labels", updated_at="2026-01-31T10:30:00+02:00"))["updated_at"]
    assert at == datetime(2026, 1, 31, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-01-31T09:30:00", "2026-01-31", "yesterday", "", 1769851800])
def test_a_moment_without_an_offset_is_refused(text: Any) -> None:
    assert "updated_at" in refused("labels", updated_at=text)


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


def nested_objects() -> list[tuple[str, str]]:
    """Every nested object that has no table of its own: list and field."""
    return sorted(
        {(t.name, c.path[0]) for t in MAIN_TABLES.values() for c in t.columns if len(c.path) == 2}
    )


@pytest.mark.parametrize(("table", "field"), nested_objects())
def test_unknown_fields_of_a_nested_object_are_kept(table: str, field: str) -> None:
    row = next(row for row in raw(table) if row.get(field))
    found = normalise(BY_TABLE[table], [row | {field: row[field] | {"moon": 1}}])
    assert orjson.loads(found.main.to_pylist()[0]["_extra"]) == {field: {"moon": 1}}
    assert found.unknown_fields == {f"{table}.{field}.moon": 1}


@pytest.mark.parametrize(("table", "field"), nested_objects())
def test_a_large_number_in_a_nested_object_is_refused_and_breaks_nothing(
    table: str, field: str
) -> None:
    columns = [c for c in MAIN_TABLES[table].columns if c.path[0] == field and c.type == "bigint"]
    row = next(row for row in raw(table) if row.get(field))
    for column in columns:
        bad = row | {field: row[field] | {column.path[1]: 2**63}}
        found = normalise(BY_TABLE[table], [bad])
        assert len(found.rejected) == 1, column.name


def test_unknown_values_are_kept_and_counted() -> None:
    found = one("enrollments", status="hibernating")
    assert held(found)["status"] == "hibernating"
    assert [name for name in found.unknown_values if "hibernating" in name]
    assert not one("enrollments").unknown_values


def test_unknown_values_of_nested_rows_are_counted() -> None:
    found = one("users", address=some("users")["address"] | {"country": "XX"})
    assert list(found.unknown_values) == ["addresses.country = 'XX'"]


# ---- What does not fit


@pytest.mark.parametrize(
    ("table", "values", "named"),
    [
        ("labels", {"name": None}, "name"),
        ("labels", {"name": {"en": "x"}}, "name"),
        ("labels", {"name": True}, "name"),
        ("invoices", {"total_excl": "much"}, "total_excl"),
        ("invoices", {"total_excl": True}, "total_excl"),
        ("invoices", {"order_id": "x"}, "order_id"),
        ("invoices", {"order_id": 2**63}, "order_id"),
        ("invoices", {"invoice_items": [3]}, "invoice_items"),
        ("invoices", {"invoice_items": {"id": 3}}, "invoice_items"),
        ("users", {"label_ids": ["a"]}, "label_ids"),
        ("users", {"label_ids": [2**63]}, "label_ids"),
        ("users", {"label_ids": "1,2"}, "label_ids"),
        ("users", {"address": "Main Street 1"}, "address"),
        ("users", {"custom": "none"}, "custom"),
        ("users", {"roles": [None]}, "roles"),
    ],
    ids=str,
)
def test_a_row_of_the_wrong_type_is_set_aside_with_the_reason(
    table: str, values: dict[str, Any], named: str
) -> None:
    assert named in refused(table, **values)


def test_a_row_without_a_needed_field_is_set_aside() -> None:
    row = some("labels")
    found = normalise(BY_TABLE["labels"], [{k: v for k, v in row.items() if k != "name"}])
    assert found.rejected[0].key == (row["id"],)
    assert found.rejected[0].reason.startswith("name:")


@pytest.mark.parametrize(
    "row", [3, None, "x", [], {}, {"id": None}, {"id": "seven"}, {"id": 2**63}, {"id": 1e20}]
)
def test_a_row_without_a_usable_key_is_set_aside_without_one(row: Any) -> None:
    if isinstance(row, dict):
        row = {k: v for k, v in some("labels").items() if k != "id"} | row
    found = normalise(BY_TABLE["labels"], [row, some("labels")])
    (rejected,) = found.rejected
    assert rejected.key is None
    assert orjson.loads(rejected.row) == row
    assert found.main.num_rows == 1


def test_an_id_may_have_63_bits() -> None:
    assert held(one("labels", id=2**63 - 1))["id"] == 2**63 - 1


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
    tree = [{"id": 1, "elements": [{"id": 2, "elements": None}, {"id": 3}]}, {"id": 4}, 5]
    flat = flatten(tree, endpoint.tree)
    assert [row if row == 5 else (row["id"], row["path"], row["parent_path"]) for row in flat] == [
        (1, "0", None),
        (2, "0.0", "0"),
        (3, "0.1", "0"),
        (4, "1", None),
        5,
    ]
