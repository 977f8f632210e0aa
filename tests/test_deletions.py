"""What is gone from the API goes from the tables, and nothing else ever does."""

from datetime import timedelta
from typing import Any

import pytest

from pipelines.eduframe.store.state import stored_positions
from sources.eduframe_simulator import ABSENT, Fault, Simulator
from tests.conftest import BOTH, LISTS, MakeWarehouse, ids, in_a_lake_too, living
from tests.warehouses import PLENTY

HOUR = timedelta(hours=1, minutes=1)
pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---- Deleted, and back again


@in_a_lake_too
def test_a_row_that_is_gone_is_marked_and_keeps_its_values_and_children(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists)
    user = lists.rows("users")[0]
    lists.change("users", user["id"], label_ids=[5, 6])
    warehouse.sync("users")
    held = next(row for row in warehouse.rows("users") if row["id"] == user["id"])
    lists.delete("users", user["id"])

    assert warehouse.sync("users").runs["users"].deleted == 0
    assert user["id"] in living(warehouse, "users")

    report = warehouse.sync("users", reconcile=True)
    assert (report.exit_code, report.runs["users"].deleted) == (0, 1)
    marked = next(row for row in warehouse.rows("users") if row["id"] == user["id"])
    moved = {"_deleted_at", "_synced_at", "_dlt_load_id"}
    assert {k for k in held if held[k] != marked[k]} == moved
    assert marked["_deleted_at"] == report.started_at
    owned = {"user_id": user["id"]}
    labels = [row for row in warehouse.rows("user_labels") if row.items() >= owned.items()]
    assert {row["label_id"] for row in labels} == {5, 6}
    (log,) = warehouse.rows("_deletions")
    assert (log["resource"], log["key"], log["kind"]) == ("users", str(user["id"]), "soft")
    assert (log["run_id"], log["deleted_at"]) == (report.run_id, report.started_at)
    assert log["proof"]

    before = warehouse.marks()
    report = warehouse.sync("users", reconcile=True)
    assert report.runs["users"].deleted == report.runs["users"].changed == 0
    assert warehouse.marks() == before
    assert warehouse.count("_deletions") == 1

    lists.add("users", **{**user, "label_ids": [6]})
    report = warehouse.sync("users", reconcile=True)
    warehouse.assert_equals_truth("users")
    assert user["id"] in living(warehouse, "users")


def test_a_row_that_returns_unchanged_is_undeleted_by_an_ordinary_sync(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    user = next(row for row in lists.rows("users")[5:] if "custom" in row)
    lists.delete("users", user["id"])
    warehouse.sync("users", reconcile=True)
    lists.add("users", **user)
    assert user in lists.rows("users")
    report = warehouse.sync("users")
    assert report.runs["users"].mode == "cursor"
    warehouse.assert_equals_truth("users")
    assert user["id"] in living(warehouse, "users")


@in_a_lake_too
def test_hard_deletes_remove_the_row_and_its_children(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS, deletes="hard")
    user = next(row for row in lists.rows("users") if row.get("address") and row.get("custom"))
    lists.delete("users", user["id"])
    lists.delete("orders", ids(lists, "orders")[0])
    report = warehouse.sync("users", "orders", reconcile=True)
    assert report.total("deleted") == 2
    assert user["id"] not in {row["id"] for row in warehouse.rows("users")}
    for table in ("addresses", "custom_values"):
        owners = {(row["owner_table"], row["owner_id"]) for row in warehouse.rows(table)}
        assert ("users", user["id"]) not in owners
    assert user["id"] not in {row["user_id"] for row in warehouse.rows("user_roles")}
    assert {row["kind"] for row in warehouse.rows("_deletions")} == {"hard"}
    assert warehouse.count("_deletions") == 2
    warehouse.assert_equals_truth("users", "orders")
    before = warehouse.marks()
    warehouse.sync("users", "orders", reconcile=True)
    assert warehouse.marks() == before


def test_rows_marked_before_deletes_were_hard_stay_until_told_otherwise(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists)
    warehouse.sync("labels")
    lists.delete("labels", ids(lists, "labels")[0])
    warehouse.sync("labels", reconcile=True)
    report = warehouse.sync("labels", reconcile=True, deletes="hard")
    note = " ".join(report.runs["labels"].notes)
    assert "1 rows that were marked as deleted before stay" in note
    assert "eduframe sync labels --reconcile --allow-mass-delete labels" in note
    assert warehouse.count("labels") == 120
    report = warehouse.sync("labels", reconcile=True, deletes="hard")
    assert "marked" not in " ".join(report.runs["labels"].notes)
    warehouse.sync("labels", reconcile=True, deletes="hard", allow_mass_delete=["labels"])
    assert warehouse.count("labels") == 119


def test_ignored_deletes_leave_everything(lists: Simulator, make_warehouse: MakeWarehouse) -> None:
    warehouse = make_warehouse(lists, synced=LISTS, deletes="ignore")
    gone = ids(lists, "labels")[0]
    lists.delete("labels", gone)
    report = warehouse.sync("labels", reconcile=True)
    assert (report.exit_code, report.total("deleted")) == (0, 0)
    assert gone in living(warehouse, "labels")
    assert warehouse.rows("_deletions") == []


def test_one_resource_may_differ_from_the_others(
    lists: Simulator, make_warehouse: MakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__EDUFRAME__LABELS__DELETES", "hard")
    monkeypatch.setenv("SOURCES__EDUFRAME__API_TOKEN", lists.token)
    warehouse = make_warehouse(lists, synced=LISTS)
    for name in ("labels", "orders"):
        lists.delete(name, ids(lists, name)[0])
    warehouse.sync("labels", "orders", reconcile=True)
    assert (warehouse.count("labels"), warehouse.count("orders")) == (119, 120)


@in_a_lake_too
def test_children_that_vanish_from_a_living_row_are_removed(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists)
    one, all_of = lists.rows("users")[:2]
    order = next(row for row in lists.rows("orders") if row.get("order_items"))
    lists.change("users", one["id"], label_ids=[1, 2, 3], roles=["admin", "student"])
    lists.change("users", all_of["id"], label_ids=[1, 2, 3])
    warehouse.sync("users", "orders")
    lists.change("users", one["id"], touch=False, label_ids=[1, 3], roles=["student"])
    lists.change("users", all_of["id"], touch=False, label_ids=[])
    lists.change("orders", order["id"], touch=False, order_items=[], custom={})
    assert warehouse.sync("users", "orders", reconcile=True).exit_code == 0
    warehouse.assert_equals_truth("users", "orders")
    assert warehouse.rows("_deletions") == []


# ---- The brake


def test_many_rows_gone_at_once_are_held_back_until_told_otherwise(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    for ident in ids(lists, "labels")[:60]:
        lists.delete("labels", ident)
    lists.delete("orders", ids(lists, "orders")[0])
    changed, new = ids(lists, "labels")[0], lists.add("labels")
    lists.change("labels", changed, name="changed all the same")

    report = warehouse.sync("labels", "orders", reconcile=True)
    assert report.exit_code == 3
    assert report.runs["labels"].status == "held back"
    message = report.runs["labels"].message or ""
    assert "60 of 120" in message
    assert "--allow-mass-delete labels" in message
    assert (report.runs["labels"].deleted, report.runs["orders"].deleted) == (0, 1)
    assert len(living(warehouse, "labels")) == 121
    held = {row["id"]: row["name"] for row in warehouse.rows("labels")}
    assert held[changed] == "changed all the same"
    assert new["id"] in held

    report = warehouse.sync("labels", reconcile=True, allow_mass_delete=["orders"])
    assert (report.exit_code, report.total("deleted")) == (3, 0)
    report = warehouse.sync("labels", reconcile=True, allow_mass_delete=["labels"])
    assert (report.exit_code, report.total("deleted")) == (0, 60)
    warehouse.assert_equals_truth("labels", "orders")


def test_fewer_than_fifty_rows_and_small_shares_are_not_suspicious(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS, max_delete_share=0.5)
    for ident in ids(lists, "labels")[:60]:
        lists.delete("labels", ident)
    for ident in ids(lists, "leads")[:49]:
        lists.delete("leads", ident)
    report = warehouse.sync("labels", "leads", reconcile=True)
    assert report.exit_code == 0
    assert (report.runs["labels"].deleted, report.runs["leads"].deleted) == (60, 49)


def test_a_long_list_that_turns_empty_is_never_believed(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    for ident in ids(lists, "labels"):
        lists.delete("labels", ident)
    for _ in range(2):
        report = warehouse.sync("labels", reconcile=True)
        assert (report.exit_code, report.total("deleted")) == (3, 0)
        warehouse.ahead += HOUR
    assert len(living(warehouse, "labels")) == 120
    report = warehouse.sync("labels", reconcile=True, allow_mass_delete=["labels"])
    assert (report.exit_code, report.total("deleted")) == (0, 120)


def test_a_short_list_that_turns_empty_is_believed_when_two_reads_agree(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    rows = lists.rows("referrals")
    for row in rows:
        lists.delete("referrals", row["id"])
    deleted = []
    for minutes in (0, 30, 61):
        warehouse.ahead = timedelta(minutes=minutes)
        report = warehouse.sync("referrals", reconcile=True)
        deleted.append((report.exit_code, report.total("deleted")))
    assert deleted == [(3, 0), (3, 0), (0, 6)]
    assert living(warehouse, "referrals") == set()


def test_a_list_that_is_empty_once_and_back_again_starts_the_hour_anew(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    codes = []
    for minutes, empty in ((0, True), (30, False), (90, True)):
        if empty:
            lists.inject(Fault("tamper", path="/referrals", tamper=lambda rows: []))
        warehouse.ahead = timedelta(minutes=minutes)
        codes.append(warehouse.sync("referrals", reconcile=True).exit_code)
    assert codes == [3, 0, 3]
    assert len(living(warehouse, "referrals")) == 6


@pytest.mark.parametrize("field", ["address", "label_ids"])
def test_a_nested_key_that_vanishes_from_every_row_empties_no_table(
    lists: Simulator, make_warehouse: MakeWarehouse, field: str
) -> None:
    table = {"address": "addresses", "label_ids": "user_labels"}[field]
    for number, user in enumerate(lists.rows("users")):
        lists.change("users", user["id"], label_ids=[number, number + 1])
    warehouse = make_warehouse(lists)
    warehouse.sync("users", "leads")
    count = warehouse.count(table)
    assert count > 60
    lost = [row["id"] for row in lists.rows("users") if row.get(field)]
    for ident in lost:
        lists.change("users", ident, first_name="Renamed", **{field: ABSENT})
    lists.change("users", lost[0], roles=["admin"])
    lists.clear_requests()

    for allowed in ([], ["users"]):
        report = warehouse.sync("users", "leads", reconcile=True, allow_mass_delete=allowed)
        assert table in " ".join(report.runs["users"].frozen)
        assert warehouse.count(table) == count
    assert not [r for r in lists.requests if r.path.startswith("/users/")]
    names = {row["id"]: row["first_name"] for row in warehouse.rows("users")}
    assert {names[ident] for ident in lost} == {"Renamed"}
    roles = [r["value"] for r in warehouse.rows("user_roles") if r["user_id"] == lost[0]]
    assert roles == ["admin"]
    assert table in stored_positions(warehouse.pipeline)["users"]["frozen"]

    for ident in lost:
        lists.change("users", ident, **{field: None if field == "address" else []})
    assert warehouse.sync("users", reconcile=True).exit_code == 3  # the brake stays on top
    assert warehouse.count(table) == count
    report = warehouse.sync("users", reconcile=True, allow_mass_delete=["users"])
    assert report.exit_code == 0
    warehouse.assert_equals_truth("users", "leads")


def test_a_nested_key_that_comes_back_is_all_right(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)

    def without_addresses(rows: list[Any]) -> list[Any]:
        return [{k: v for k, v in row.items() if k != "address"} for row in rows]

    lists.inject(Fault("tamper", path="/users", times=2, tamper=without_addresses))
    warehouse.sync("users", reconcile=True)
    assert warehouse.sync("users", reconcile=True).exit_code == 0
    warehouse.assert_equals_truth("users")
    before = warehouse.marks()
    warehouse.sync("users", reconcile=True)
    assert warehouse.marks() == before


# ---- No proof, no deletion


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", path="/labels", after=1, times=None, status=500),
        Fault("status", path="/labels", after=1, times=None, status=404),
        Fault("status", path="/labels", after=1, times=None, status=403),
        Fault("status", path="/labels", times=None, status=403),
        Fault("cut_json", path="/labels", after=1, times=None),
        Fault("link_loop", path="/labels", times=None),
        Fault("empty", path="/labels", times=None),
        Fault("object", path="/labels", times=None),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status} after {fault.after}",
)
def test_a_read_that_goes_wrong_deletes_nothing(
    lists: Simulator, make_warehouse: MakeWarehouse, fault: Fault
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    gone = [ids(lists, name)[-1] for name in ("labels", "orders")]
    lists.delete("labels", gone[0])
    lists.delete("orders", gone[1])
    lists.inject(fault)
    report = warehouse.sync("labels", "orders", reconcile=True)
    assert report.exit_code == 3
    assert report.runs["labels"].message
    assert (report.runs["labels"].deleted, report.runs["orders"].deleted) == (0, 1)
    assert gone[0] in living(warehouse, "labels")
    lists.clear_faults()
    assert warehouse.sync("labels", "orders", reconcile=True).exit_code == 0
    warehouse.assert_equals_truth("labels", "orders")


def test_an_odd_row_is_not_gone_and_one_without_a_key_stops_all_deletions(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    gone, odd, *_ = ids(lists, "labels")
    lists.delete("labels", gone)
    lists.change("labels", odd, name=None)
    lists.inject(Fault("tamper", path="/labels", tamper=lambda rows: [*rows, {"id": "?"}]))
    report = warehouse.sync("labels", reconcile=True)
    assert (report.runs["labels"].rejected, report.runs["labels"].deleted) == (1, 0)
    assert {gone, odd} <= living(warehouse, "labels")

    report = warehouse.sync("labels", reconcile=True)
    assert (report.runs["labels"].rejected, report.runs["labels"].deleted) == (0, 1)
    assert gone not in living(warehouse, "labels")
    assert odd in living(warehouse, "labels")


# ---- Content is the key


@in_a_lake_too
def test_planning_conflicts_are_rewritten_and_exempt_from_the_brake(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"planning_conflicts": 130, "referrals": 3}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        warehouse.sync("planning_conflicts")
        warehouse.assert_equals_truth("planning_conflicts")
        kept = sim.rows("planning_conflicts")[:10]
        for _ in range(2):  # they are looked for twice, as none of them can be asked for
            sim.inject(
                Fault("tamper", path="/planning/conflicts", times=1, tamper=lambda rows: rows[:10])
            )
            sim.inject(Fault("tamper", path="/planning/conflicts", tamper=lambda rows: []))
        before = {r["_row_hash"]: r["_synced_at"] for r in warehouse.rows("planning_conflicts")}
        report = warehouse.sync("planning_conflicts")
        assert report.exit_code == 0
        after = {r["_row_hash"]: r["_synced_at"] for r in warehouse.rows("planning_conflicts")}
        assert len(after) == len({str(row) for row in kept})
        assert after.items() <= before.items()
        (proof,) = {row["proof"] for row in warehouse.rows("_deletions")}
        assert "two reads" in proof


@pytest.mark.parametrize("paging", ["cursor", "page"])
@pytest.mark.parametrize("deletes", ["soft", "ignore"])
def test_planning_conflicts_that_one_read_lacks_are_looked_for_once_more(
    make_warehouse: MakeWarehouse, paging: Any, deletes: str
) -> None:
    counts = {"planning_conflicts": 130}
    with Simulator(scale=0, counts=counts, paging=paging, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, deletes=deletes)
        warehouse.sync("planning_conflicts")
        path = "/planning/conflicts"
        sim.inject(Fault("tamper", path=path, tamper=lambda rows: rows[:10]))
        again = {"times": None, "tamper": lambda rows: rows[:10]} if deletes == "ignore" else {}
        sim.inject(Fault("tamper", path=path, **{"times": 0, **again}))
        assert warehouse.sync("planning_conflicts").exit_code == 0
        assert warehouse.count("planning_conflicts") == 130
        assert warehouse.rows("_deletions") == []
