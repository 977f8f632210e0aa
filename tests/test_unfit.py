"""An odd field costs a field: what the API then serves is loaded, kept, counted and healed."""

from dataclasses import dataclass
from typing import Any

import pytest

from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe_simulator import ABSENT, Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, living, tampered
from tests.truth import Table
from tests.warehouses import Warehouse, as_json

pytestmark = pytest.mark.usefixtures("no_waiting")

Rows = list[dict[str, Any]]


def without_children(warehouse: Warehouse, table: str) -> dict[str, Table]:
    """The rows of a list's tables by table, in an order of their own."""
    names = [table, *(child.table for child in BY_TABLE[table].children)]
    return {name: sorted(warehouse.rows(name), key=str) for name in names}


def plain(rows: Table, *but: str) -> Table:
    """The rows without bookkeeping, and without some columns."""
    return [
        {k: v for k, v in row.items() if not k.startswith("_") and k not in but} for row in rows
    ]


def extras(warehouse: Warehouse, table: str) -> list[Any]:
    return [as_json(row["_extra"]) for row in warehouse.rows(table) if row["_extra"] is not None]


def unfit(warehouse: Warehouse, report: Any, table: str) -> dict[str, dict[str, int]]:
    return {name: dict(kinds) for name, kinds in report.runs[table].unfit_fields.items()}


@dataclass
class Odd:
    """A field as it may come one day, in all rows: its list and name, the value, its kind."""

    table: str
    field: str
    served: Any
    kind: str


ODD_FIELDS = {
    "absent": Odd("users", "last_name", ABSENT, "absent"),
    "null": Odd("users", "last_name", None, "null"),
    "an object": Odd("users", "locale", {"code": "nl"}, "object"),
    "a fraction": Odd("orders", "number_of_students", 2.5, "number"),
    "a parent that is null": Odd("meetings", "planned_course_id", None, "null"),
    "no date at all": Odd("labels", "created_at", "0000-00-00T00:00:00Z", "unreadable"),
    "a day too many": Odd("labels", "created_at", "2024-02-30T10:00:00.000Z", "unreadable"),
    "an empty time": Odd("labels", "updated_at", "", "unreadable"),
    "money as people write it": Odd("invoices", "total_excl", "1.234,56", "unreadable"),
    "money with its sign": Odd("invoices", "total_open", "€ 12", "unreadable"),
    "more money than there is": Odd("invoices", "total_incl", "9" * 31, "out of range"),
    "no money": Odd("payments", "amount", "", "unreadable"),
}


def serve(sim: Simulator, odd: Odd) -> None:
    def change(row: dict[str, Any]) -> None:
        row[odd.field] = odd.served
        if odd.served is ABSENT:
            del row[odd.field]

    tampered(sim, odd.table, change)


@pytest.mark.parametrize("name", ODD_FIELDS)
@pytest.mark.parametrize("loaded", [False, True], ids=["first load", "loaded dataset"])
def test_a_field_that_is_unfit_in_all_rows_costs_that_field(
    make_warehouse: MakeWarehouse, sim: Simulator, name: str, loaded: bool
) -> None:
    odd, warehouse = ODD_FIELDS[name], make_warehouse(sim)
    lists = ("invoices", "payments") if odd.table == "payments" else (odd.table,)
    if loaded:
        warehouse.sync(*lists)
    before = plain(warehouse.rows(odd.table), odd.field)
    if odd.table == "payments":
        sim.inject(Fault("tamper", "/invoices/*/payments", times=None, tamper=lambda rows: [
            row | {odd.field: odd.served} for row in rows
        ]))
    else:
        serve(sim, odd)
    report = warehouse.sync(*lists, reconcile=True)
    count = len(sim.rows(odd.table))
    run = report.runs[odd.table]
    assert (run.status, run.read, run.rejected, run.deleted) == ("done", count, 0, 0)
    assert run.unfit_fields == {f"{odd.table}.{odd.field}": {odd.kind: count}}
    assert run.rows_checked[odd.table] == count
    rows = warehouse.rows(odd.table)
    assert [row[odd.field] for row in rows] == [None] * count
    kept = [] if odd.kind in ("absent", "null") else [{odd.field: odd.served}] * count
    assert extras(warehouse, odd.table) == kept
    if loaded:
        assert sorted(plain(rows, odd.field), key=str) == sorted(before, key=str)
    marks = warehouse.marks()
    assert warehouse.sync(*lists, reconcile=True).runs[odd.table].unfit_fields
    assert warehouse.marks() == marks
    sim.clear_faults()
    report = warehouse.sync(*lists, reconcile=True)
    assert (report.exit_code, report.runs[odd.table].unfit_fields) == (0, {})
    assert extras(warehouse, odd.table) == []
    warehouse.assert_equals_truth(*lists)


@pytest.mark.parametrize("destination", BOTH)
def test_all_that_can_be_odd_at_once_costs_only_that(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    warehouse.sync("users")
    before = {row["id"]: row for row in warehouse.rows("users")}
    serve(sim, Odd("users", "locale", {"code": "nl"}, "object"))
    odd = before.keys() - set(list(before)[::3])

    def change(row: dict[str, Any]) -> None:
        row["locale"] = {"code": "nl"}
        if row["id"] in odd:
            row |= {"created_at": "", "first_name": [1], "email": None, "label_ids": "none"}
            row |= {"address": "Main Street 1", "roles": ["student", None], "custom": [7]}
            row |= {"teacher_enrollments_count": 2**63, "brand_new": {"a": [None]}}

    sim.clear_faults()
    tampered(sim, "users", change)
    nested = without_children(warehouse, "users")
    report = warehouse.sync("users", reconcile=True)
    assert report.runs["users"].rejected == 0
    rows = {row["id"]: row for row in warehouse.rows("users")}
    assert rows.keys() == before.keys()
    for key, row in rows.items():
        kept = {"locale": {"code": "nl"}}
        if key in odd:
            kept |= {"created_at": "", "first_name": [1], "label_ids": "none", "custom": [7]}
            kept |= {"address": "Main Street 1", "roles": ["student", None]}
            kept |= {"teacher_enrollments_count": 2**63, "brand_new": {"a": [None]}}
        assert as_json(row["_extra"]) == kept
        lost = {*kept, "email"} if key in odd else kept
        whole = {k: None if k in lost else v for k, v in before[key].items() if k[0] != "_"}
        assert {k: v for k, v in row.items() if k[0] != "_"} == whole
    for name, children in without_children(warehouse, "users").items():
        assert name == "users" or plain(children) == plain(nested[name]), name
    sim.clear_faults()
    assert warehouse.sync("users", reconcile=True).exit_code == 0
    assert extras(warehouse, "users") == []
    warehouse.assert_equals_truth("users")


def test_absent_or_null_is_a_habit_of_the_server_that_writes_nothing(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    tampered(sim, "leads", lambda row: row | {"quality": None, "title": None, "phone": None})
    warehouse.sync("leads")
    marks = warehouse.marks()
    sim.clear_faults()
    gone = {"quality", "title", "phone"}
    tampered(sim, "leads", lambda row: {k: v for k, v in row.items() if k not in gone})
    report = warehouse.sync("leads", reconcile=True)
    assert (report.runs["leads"].new, report.runs["leads"].changed) == (0, 0)
    assert warehouse.marks() == marks
    count = len(sim.rows("leads"))
    assert unfit(warehouse, report, "leads") == {
        f"leads.{name}": {"absent": count} for name in gone
    }


def test_a_field_on_its_way_out_is_null_where_it_is_absent(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    without = {row["id"] for row in sim.rows("users")[::7]}
    for key in without:
        sim.change("users", key, slug=ABSENT)
    report = warehouse.sync("users")
    assert (report.exit_code, report.runs["users"].rejected) == (0, 0)
    assert {row["id"] for row in warehouse.rows("users") if row["slug"] is None} == without
    assert unfit(warehouse, report, "users") == {"users.slug": {"absent": len(without)}}
    warehouse.assert_equals_truth("users")


# ---- Nested parts


@pytest.fixture
def meeting(sim: Simulator) -> dict[str, Any]:
    """A meeting with two attendees or more."""
    rows = [row for row in sim.rows("meetings") if len(row["planning_attendees"]) > 1]
    return dict(rows[0])


def attendees(warehouse: Warehouse, owner: Any) -> dict[int, Any]:
    return {
        row["id"]: (row["teacher_id"], row["comment"])
        for row in warehouse.rows("planning_attendees")
        if (row["owner_table"], row["owner_id"]) == ("meetings", owner)
    }


def test_a_teacher_who_was_deleted_leaves_a_null_in_nested_rows(
    warehouse: Warehouse, meeting: dict[str, Any]
) -> None:
    def change(row: dict[str, Any]) -> None:
        for attendee in row["planning_attendees"]:
            attendee["teacher_id"] = None

    for table in ("meetings", "planning_events"):
        tampered(warehouse.sim, table, change)
    report = warehouse.sync("meetings", "planning_events")
    assert report.total("rejected") == 0
    for table in ("meetings", "planning_events"):
        served = warehouse.sim.rows(table)
        count = sum(len(row["planning_attendees"]) for row in served)
        assert living(warehouse, table) == {row["id"] for row in served}
        assert unfit(warehouse, report, table) == {
            "planning_attendees.teacher_id": {"null": count}
        }
        assert report.runs[table].rows_checked["planning_attendees"] == count
    held = attendees(warehouse, meeting["id"])
    assert held.keys() == {row["id"] for row in meeting["planning_attendees"]}
    assert {teacher for teacher, _ in held.values()} == {None}
    warehouse.sim.clear_faults()
    warehouse.sync("meetings", "planning_events", reconcile=True)
    warehouse.assert_equals_truth("meetings", "planning_events")


@pytest.mark.parametrize("destination", BOTH)
def test_a_nested_row_without_a_key_stays_with_its_owner_and_the_others_are_kept_up(
    warehouse: Warehouse, meeting: dict[str, Any]
) -> None:
    """Children that are known stay, those that are served change, and new ones come."""
    sim, key = warehouse.sim, meeting["id"]
    warehouse.sync("meetings")
    first, second, *rest = meeting["planning_attendees"]
    odd = first | {"id": None}
    changed = second | {"comment": "comes later"}
    new = second | {"id": 9_000_001}
    sim.change("meetings", key, planning_attendees=[odd, changed, *rest, new])
    report = warehouse.sync("meetings")
    assert report.runs["meetings"].rejected == 0
    assert unfit(warehouse, report, "meetings") == {"planning_attendees.id": {"no key": 1}}
    held = attendees(warehouse, key)
    assert held.keys() == {row["id"] for row in (first, second, *rest, new)}
    assert held[first["id"]] == (first["teacher_id"], first["comment"])
    assert held[second["id"]] == (second["teacher_id"], "comes later")
    (row,) = [row for row in warehouse.rows("meetings") if row["id"] == key]
    assert as_json(row["_extra"]) == {"planning_attendees": [odd]}
    marks = warehouse.marks()
    warehouse.sync("meetings", reconcile=True)
    assert warehouse.marks() == marks
    sim.change("meetings", key, planning_attendees=[changed, new])
    warehouse.sync("meetings")
    assert attendees(warehouse, key).keys() == {second["id"], new["id"]}
    assert extras(warehouse, "meetings") == []
    warehouse.assert_equals_truth("meetings")


def test_a_link_that_is_none_leaves_the_others_and_those_that_are_known(
    warehouse: Warehouse,
) -> None:
    sim = warehouse.sim
    user = next(row for row in sim.rows("users") if row["label_ids"])
    labels = [row["id"] for row in sim.rows("labels")][:3]
    sim.change("users", user["id"], label_ids=labels[:2])
    warehouse.sync("users")
    sim.change("users", user["id"], label_ids=[labels[0], None, labels[2], "x"])
    warehouse.sync("users")

    def linked() -> set[int]:
        rows = warehouse.rows("user_labels")
        return {row["label_id"] for row in rows if row["user_id"] == user["id"]}

    assert linked() == set(labels)
    assert extras(warehouse, "users") == [{"label_ids": [None, "x"]}]
    sim.change("users", user["id"], label_ids=labels[2:])
    warehouse.sync("users")
    assert linked() == set(labels[2:])
    warehouse.assert_equals_truth("users")


LINKED = {"custom_object_slug": "rooms", "custom_record_ids": [4, 2]}

ODD_PARTS = {
    "a map with null": ("catalog_products", "custom_associations", {"in-room": LINKED, "x": None}),
    "bare lists": ("catalog_products", "custom_associations", {"in-room": [4, 2]}),
    "a bare list": ("catalog_products", "custom_associations", [4, 2]),
    "null among values": ("courses", "slug_history", ["a", None]),
    "a text for an object": ("accounts", "address", "Main Street 1"),
    "an object for a list": ("invoices", "invoice_items", {"id": 3}),
    "custom fields as text": ("users", "custom", "none"),
}


@pytest.mark.parametrize("name", ODD_PARTS)
def test_a_part_of_another_shape_leaves_what_is_known_of_it(
    warehouse: Warehouse, name: str
) -> None:
    table, field, served = ODD_PARTS[name]
    sim = warehouse.sim
    good = {"custom_associations": {"in-room": LINKED}, "slug_history": ["a", "b", "c"]}
    row = next(row for row in sim.rows(table) if row.get(field) or field in good)
    if field in good:
        sim.change(table, row["id"], **{field: good[field]})
    warehouse.sync(table)
    child = next(child for child in BY_TABLE[table].children if child.field == field)
    before = sorted(plain(warehouse.rows(child.table)), key=str)
    assert before
    sim.change(table, row["id"], **{field: served})
    report = warehouse.sync(table)
    assert (report.runs[table].rejected, report.runs[table].status) == (0, "done")
    assert sorted(plain(warehouse.rows(child.table)), key=str) == before
    (held,) = [one for one in warehouse.rows(table) if one["id"] == row["id"]]
    assert as_json(held["_extra"]) == {field: served}
    assert list(report.runs[table].unfit_fields) == [f"{table}.{field}"]
    other = sim.rows(table)[-1]["id"]
    sim.delete(table, other)
    report = warehouse.sync(table, reconcile=True)
    assert report.runs[table].deleted == 1
    assert sorted(plain(warehouse.rows(child.table)), key=str) == before
    sim.change(table, row["id"], **{field: good.get(field, row.get(field))})
    warehouse.sync(table, reconcile=True)
    assert extras(warehouse, table) == []
    warehouse.assert_equals_truth(table)


def test_what_is_no_node_of_a_tree_costs_that_tree_its_deletions(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    lists = ("program_editions", "program_edition_elements")
    warehouse.sync(*lists)
    before = {(r["edition_id"], r["path"]) for r in warehouse.rows("program_edition_elements")}
    first = min(edition for edition, path in before if "." in path)
    other = max(edition for edition, path in before if edition != first)

    def cut(rows: Rows) -> Rows:
        block = next(row for row in rows if row.get("elements"))
        block["elements"][0] = "Leadership"
        return rows

    path = "/program/editions/{}/elements"
    sim.inject(Fault("tamper", path.format(first), times=None, tamper=cut))
    sim.inject(Fault("tamper", path.format(other), times=None, tamper=lambda rows: rows[:-1]))
    report = warehouse.sync(*lists, reconcile=True)
    run = report.runs["program_edition_elements"]
    assert (run.rejected, run.status) == (0, "done")
    assert run.unfit_fields == {"program_edition_elements.elements": {"string": 1}}
    warehouse.sync(*lists, reconcile=True)  # two reads have to miss what has no path of its own
    rows = warehouse.rows("program_edition_elements")
    alive = {(r["edition_id"], r["path"]) for r in rows if r["_deleted_at"] is None}
    gone = before - alive
    assert gone
    assert {edition for edition, _ in gone} == {other}
    assert extras(warehouse, "program_edition_elements") == [{"elements": ["Leadership"]}]
    sim.clear_faults()
    warehouse.sync(*lists, reconcile=True)
    warehouse.assert_equals_truth(*lists)


# ---- What lists under a parent are asked by


@pytest.mark.parametrize("field", ["for_type", "slug", "field_type"])
def test_nothing_is_gone_that_stands_under_a_parent_which_does_not_tell_how_to_ask(
    warehouse: Warehouse, field: str
) -> None:
    sim = warehouse.sim
    lists = ("signup_questions", "custom_objects", "custom_field_options")
    warehouse.sync(*lists)
    options = warehouse.rows("custom_field_options")
    question = next(
        row for row in sim.rows("signup_questions")
        if row["slug"] in {option["field_slug"] for option in options}
    )
    sim.change("signup_questions", question["id"], **{field: None})
    for _ in range(3):
        report = warehouse.sync(*lists, reconcile=True)
        assert report.runs["signup_questions"].rejected == 0
        assert report.total("deleted") == 0
        assert all(row["_deleted_at"] is None for row in warehouse.rows("custom_field_options"))
    assert report.runs["custom_field_options"].frozen
    row = next(r for r in warehouse.rows("signup_questions") if r["id"] == question["id"])
    assert row[field] is None
    sim.change("signup_questions", question["id"], **{field: question[field]})
    for _ in range(2):
        report = warehouse.sync(*lists, reconcile=True)
    assert not report.runs["custom_field_options"].frozen
    warehouse.assert_equals_truth(*lists)
    sim.delete("signup_questions", question["id"])
    for _ in range(3):  # two reads have to miss it, as it has no path of its own; then its options
        warehouse.sync(*lists, reconcile=True)
    warehouse.assert_equals_truth(*lists)
    assert any(row["_deleted_at"] for row in warehouse.rows("custom_field_options"))


def test_rows_keep_the_parent_that_they_were_asked_under(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    warehouse.sync("invoices", "payments")
    served = iter([None, {"number": "2024-1"}, "x"] * 100)
    sim.inject(Fault("tamper", "/invoices/*/payments", times=None, tamper=lambda rows: [
        row | {"invoice_id": next(served)} for row in rows
    ]))
    report = warehouse.sync("invoices", "payments", reconcile=True)
    assert (report.runs["payments"].rejected, report.runs["payments"].deleted) == (0, 0)
    warehouse.assert_equals_truth("payments")
    assert {"number": "2024-1"} in [extra["invoice_id"] for extra in extras(warehouse, "payments")]
    sim.clear_faults()
    warehouse.sync("invoices", "payments", reconcile=True)
    assert extras(warehouse, "payments") == []


# ---- Words, keys


def test_an_unknown_word_in_a_list_is_stored_and_reported(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    user = sim.rows("users")[0]
    sim.change("users", user["id"], roles=["student", "janitor"])
    report = warehouse.sync("users")
    assert list(report.runs["users"].unknown_values) == ["user_roles.value = 'janitor'"]
    warehouse.assert_equals_truth("users")


@pytest.mark.parametrize("destination", BOTH)
@pytest.mark.parametrize("odd_id", [2**63, None, "x"], ids=str)
def test_a_row_without_a_usable_key_is_set_aside_and_freezes_deletions_while_it_lasts(
    warehouse: Warehouse, odd_id: Any
) -> None:
    sim = warehouse.sim
    warehouse.sync("labels")
    odd, gone = (row["id"] for row in sim.rows("labels")[:2])
    sim.delete("labels", gone)
    tampered(sim, "labels", lambda row: row | ({"id": odd_id} if row["id"] == odd else {}))
    for newly in (1, 0):
        report = warehouse.sync("labels", reconcile=True)
        run = report.runs["labels"]
        assert (run.rejected, run.newly_rejected, run.deleted) == (1, newly, 0)
        assert run.frozen
        assert {odd, gone} <= living(warehouse, "labels")
    (aside,) = warehouse.rows("_rejected_rows")
    assert as_json(aside["row"])["id"] == odd_id
    assert aside["reason"].startswith("id, which is its key, is unusable")
    sim.clear_faults()
    assert warehouse.sync("labels", reconcile=True).runs["labels"].deleted == 1
    warehouse.assert_equals_truth("labels")
