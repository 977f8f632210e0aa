"""What is gone from the API goes from the tables, and nothing else ever does."""

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from sources.simulator import ABSENT, Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, in_a_lake_too
from tests.warehouses import PLENTY, Warehouse

HOUR = timedelta(hours=1, minutes=1)


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.eduframe.client.RETRY_WAIT", lambda state: 0)


@pytest.fixture
def big() -> Iterator[Simulator]:
    """A few lists, long enough for the brake to take an interest in them."""
    counts = {"users": 200, "orders": 120, "labels": 120, "leads": 60, "referrals": 6}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        yield sim


@pytest.fixture
def paged() -> Iterator[Simulator]:
    """The same lists, by page number."""
    counts = {"users": 200, "orders": 320, "labels": 320, "attendances": 320, "referrals": 6}
    with Simulator(scale=0, counts=counts, paging="page", requests_per_window=PLENTY) as sim:
        yield sim


def living(warehouse: Warehouse, table: str) -> set[Any]:
    return {row["id"] for row in warehouse.rows(table) if row["_deleted_at"] is None}


def ids(sim: Simulator, table: str) -> list[Any]:
    return [row["id"] for row in sim.rows(table)]


# ---- Deleted, and back again


@in_a_lake_too
def test_a_row_that_is_gone_is_marked_and_keeps_its_values_and_children(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    user = big.rows("users")[0]
    big.change("users", user["id"], label_ids=[5, 6])
    warehouse.sync("users")
    held = next(row for row in warehouse.rows("users") if row["id"] == user["id"])
    big.delete("users", user["id"])

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

    big.add("users", **{**user, "label_ids": [6]})
    report = warehouse.sync("users", reconcile=True)
    warehouse.assert_equals_truth("users")
    assert user["id"] in living(warehouse, "users")


def test_a_row_that_returns_unchanged_is_undeleted_by_an_ordinary_sync(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    user = big.rows("users")[5]
    warehouse.sync("users")
    big.delete("users", user["id"])
    warehouse.sync("users", reconcile=True)
    big.add("users", **user)
    assert big.rows("users")[5] == user
    report = warehouse.sync("users")
    assert report.runs["users"].mode == "cursor"
    warehouse.assert_equals_truth("users")
    assert user["id"] in living(warehouse, "users")


@in_a_lake_too
def test_hard_deletes_remove_the_row_and_its_children(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big, deletes="hard")
    user = next(row for row in big.rows("users") if row.get("address") and row.get("custom"))
    warehouse.sync("users", "orders")
    big.delete("users", user["id"])
    big.delete("orders", ids(big, "orders")[0])
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


def test_ignored_deletes_leave_everything(big: Simulator, make_warehouse: MakeWarehouse) -> None:
    warehouse = make_warehouse(big, deletes="ignore")
    warehouse.sync("labels")
    gone = ids(big, "labels")[0]
    big.delete("labels", gone)
    report = warehouse.sync("labels", reconcile=True)
    assert (report.exit_code, report.total("deleted")) == (0, 0)
    assert gone in living(warehouse, "labels")
    assert warehouse.rows("_deletions") == []


def test_one_resource_may_differ_from_the_others(
    big: Simulator, make_warehouse: MakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__EDUFRAME__LABELS__DELETES", "hard")
    monkeypatch.setenv("SOURCES__EDUFRAME__API_TOKEN", big.token)
    warehouse = make_warehouse(big)
    warehouse.sync("labels", "orders")
    for name in ("labels", "orders"):
        big.delete(name, ids(big, name)[0])
    warehouse.sync("labels", "orders", reconcile=True)
    assert (warehouse.count("labels"), warehouse.count("orders")) == (119, 120)


@in_a_lake_too
def test_children_that_vanish_from_a_living_row_are_removed(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    one, all_of = big.rows("users")[:2]
    order = next(row for row in big.rows("orders") if row.get("order_items"))
    big.change("users", one["id"], label_ids=[1, 2, 3], roles=["admin", "student"])
    big.change("users", all_of["id"], label_ids=[1, 2, 3])
    warehouse.sync("users", "orders")
    big.change("users", one["id"], touch=False, label_ids=[1, 3], roles=["student"])
    big.change("users", all_of["id"], touch=False, label_ids=ABSENT)
    big.change("orders", order["id"], touch=False, order_items=[], custom={})
    assert warehouse.sync("users", "orders", reconcile=True).exit_code == 0
    warehouse.assert_equals_truth("users", "orders")
    assert warehouse.rows("_deletions") == []


# ---- The brake


def test_many_rows_gone_at_once_are_held_back_until_told_otherwise(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("labels", "orders")
    for ident in ids(big, "labels")[:60]:
        big.delete("labels", ident)
    big.delete("orders", ids(big, "orders")[0])
    changed, new = ids(big, "labels")[0], big.add("labels")
    big.change("labels", changed, name="changed all the same")

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
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big, max_delete_share=0.5)
    warehouse.sync("labels", "leads")
    for ident in ids(big, "labels")[:60]:
        big.delete("labels", ident)
    for ident in ids(big, "leads")[:49]:
        big.delete("leads", ident)
    report = warehouse.sync("labels", "leads", reconcile=True)
    assert report.exit_code == 0
    assert (report.runs["labels"].deleted, report.runs["leads"].deleted) == (60, 49)


def test_a_long_list_that_turns_empty_is_never_believed(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("labels")
    for ident in ids(big, "labels"):
        big.delete("labels", ident)
    for _ in range(2):
        report = warehouse.sync("labels", reconcile=True)
        assert (report.exit_code, report.total("deleted")) == (3, 0)
        warehouse.ahead += HOUR
    assert len(living(warehouse, "labels")) == 120
    report = warehouse.sync("labels", reconcile=True, allow_mass_delete=["labels"])
    assert (report.exit_code, report.total("deleted")) == (0, 120)


def test_a_short_list_that_turns_empty_is_believed_when_two_reads_agree(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("referrals")
    rows = big.rows("referrals")
    for row in rows:
        big.delete("referrals", row["id"])
    deleted = []
    for minutes in (0, 30, 61):
        warehouse.ahead = timedelta(minutes=minutes)
        report = warehouse.sync("referrals", reconcile=True)
        deleted.append((report.exit_code, report.total("deleted")))
    assert deleted == [(3, 0), (3, 0), (0, 6)]
    assert living(warehouse, "referrals") == set()


def test_a_list_that_is_empty_once_and_back_again_starts_the_hour_anew(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("referrals")
    codes = []
    for minutes, empty in ((0, True), (30, False), (90, True)):
        if empty:
            big.inject(Fault("tamper", path="/referrals", tamper=lambda rows: []))
        warehouse.ahead = timedelta(minutes=minutes)
        codes.append(warehouse.sync("referrals", reconcile=True).exit_code)
    assert codes == [3, 0, 3]
    assert len(living(warehouse, "referrals")) == 6


@pytest.mark.parametrize("field", ["address", "label_ids"])
def test_a_nested_key_that_vanishes_from_every_row_empties_no_table(
    big: Simulator, make_warehouse: MakeWarehouse, field: str
) -> None:
    table = {"address": "addresses", "label_ids": "user_labels"}[field]
    for number, user in enumerate(big.rows("users")):
        nested = {"address": user.get("address"), "label_ids": [number, number + 1]}
        big.change("users", user["id"], label_ids=nested["label_ids"])
    warehouse = make_warehouse(big)
    warehouse.sync("users", "leads")
    count = warehouse.count(table)
    assert count > 60
    lost = [row["id"] for row in big.rows("users") if row.get(field)]
    for ident in lost:
        big.change("users", ident, first_name="Renamed", **{field: ABSENT})
    big.change("users", lost[0], roles=["admin"])

    report = warehouse.sync("users", "leads", reconcile=True)
    assert report.exit_code == 3
    assert table in (report.runs["users"].message or "")
    assert "--allow-mass-delete users" in (report.runs["users"].message or "")
    assert warehouse.count(table) == count
    names = {row["id"]: row["first_name"] for row in warehouse.rows("users")}
    assert {names[ident] for ident in lost} == {"Renamed"}
    roles = [r["value"] for r in warehouse.rows("user_roles") if r["user_id"] == lost[0]]
    assert roles == ["admin"]

    assert warehouse.sync("users").exit_code == 3
    assert warehouse.count(table) == count
    report = warehouse.sync("users", reconcile=True, allow_mass_delete=["users"])
    assert report.exit_code == 0
    warehouse.assert_equals_truth("users", "leads")


def test_a_nested_key_that_comes_back_after_the_brake_is_all_right(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("users")

    def without_addresses(rows: list[Any]) -> list[Any]:
        return [{k: v for k, v in row.items() if k != "address"} for row in rows]

    big.inject(Fault("tamper", path="/users", times=2, tamper=without_addresses))
    assert warehouse.sync("users", reconcile=True).exit_code == 3
    assert warehouse.sync("users").exit_code == 0
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
    big: Simulator, make_warehouse: MakeWarehouse, fault: Fault
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("labels", "orders")
    gone = [ids(big, name)[-1] for name in ("labels", "orders")]
    big.delete("labels", gone[0])
    big.delete("orders", gone[1])
    big.inject(fault)
    report = warehouse.sync("labels", "orders", reconcile=True)
    assert report.exit_code == 3
    assert report.runs["labels"].message
    assert (report.runs["labels"].deleted, report.runs["orders"].deleted) == (0, 1)
    assert gone[0] in living(warehouse, "labels")
    big.clear_faults()
    assert warehouse.sync("labels", "orders", reconcile=True).exit_code == 0
    warehouse.assert_equals_truth("labels", "orders")


def test_a_row_set_aside_is_not_gone_and_one_without_a_key_stops_all_deletions(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("labels")
    gone, odd, *_ = ids(big, "labels")
    big.delete("labels", gone)
    big.change("labels", odd, name=None)
    big.inject(Fault("tamper", path="/labels", tamper=lambda rows: [*rows, {"id": "?"}]))
    report = warehouse.sync("labels", reconcile=True)
    assert (report.runs["labels"].rejected, report.runs["labels"].deleted) == (2, 0)
    assert {gone, odd} <= living(warehouse, "labels")

    report = warehouse.sync("labels", reconcile=True)
    assert (report.runs["labels"].rejected, report.runs["labels"].deleted) == (1, 1)
    assert gone not in living(warehouse, "labels")
    assert odd in living(warehouse, "labels")


# ---- Lists under a parent


@pytest.fixture
def paying(make_warehouse: MakeWarehouse, sim: Simulator) -> Warehouse:
    warehouse = make_warehouse(sim)
    assert warehouse.sync("invoices", "payments").exit_code == 0
    return warehouse


def test_rows_under_a_parent_go_when_its_list_lacks_them_or_it_is_gone(paying: Warehouse) -> None:
    sim = paying.sim
    held = Counter(row["invoice_id"] for row in sim.rows("payments"))
    touched, gone, untouched = list(held)[:3]
    lacking = {
        invoice: next(row["id"] for row in sim.rows("payments") if row["invoice_id"] == invoice)
        for invoice in (touched, untouched)
    }
    for payment in lacking.values():
        sim.delete("payments", payment)
    sim.change("invoices", touched)
    sim.delete("invoices", gone)

    report = paying.sync("invoices", "payments")
    assert report.runs["payments"].mode == "parents"
    assert report.runs["payments"].deleted == 1
    assert lacking[touched] not in living(paying, "payments")
    assert lacking[untouched] in living(paying, "payments")

    report = paying.sync("invoices", "payments", reconcile=True)
    assert report.exit_code == 0
    paying.assert_equals_truth("invoices", "payments")
    proofs = {row["proof"] for row in paying.rows("_deletions") if row["resource"] == "payments"}
    assert len(proofs) == 2


def test_a_list_that_could_not_be_read_leaves_what_is_under_it(paying: Warehouse) -> None:
    sim = paying.sim
    paid = sim.rows("payments")[0]
    sim.delete("invoices", paid["invoice_id"])
    sim.inject(Fault("status", path="/invoices", times=None, status=500))
    report = paying.sync("invoices", "payments", reconcile=True)
    assert report.exit_code == 3
    assert report.total("deleted") == 0
    assert paid["id"] in living(paying, "payments")


def test_reconciling_everything_leaves_lists_under_a_parent_their_own_rhythm(
    paying: Warehouse,
) -> None:
    paying.sync(reconcile=True, include=["invoices", "payments"])
    paying.sim.clear_requests()
    paying.sync(reconcile=True, include=["invoices", "payments"])
    assert [r.path for r in paying.sim.requests if r.path.endswith("/payments")] == []


def test_a_dropped_table_under_a_parent_heals(paying: Warehouse) -> None:
    paying.execute("DROP TABLE payments")
    assert paying.sync("invoices", "payments").exit_code == 0
    paying.assert_equals_truth("invoices", "payments")


def test_an_emptied_table_under_a_parent_heals(paying: Warehouse) -> None:
    paying.execute("DELETE FROM payments")
    assert paying.sync("invoices", "payments").exit_code == 0
    paying.assert_equals_truth("invoices", "payments")


def test_custom_records_and_their_values_heal(warehouse: Warehouse) -> None:
    names = ("custom_objects", "custom_records")
    warehouse.sync(*names)
    warehouse.execute("DROP TABLE custom_record_values")
    assert warehouse.sync(*names).exit_code == 0
    warehouse.assert_equals_truth(*names)


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


# ---- Pages by number


def test_a_row_that_slips_between_two_pages_is_asked_for_and_stays(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(paged)
    warehouse.sync("labels")
    known = ids(paged, "labels")

    def meddle(request: Any) -> None:
        if request.query.get("page") == ["2"] and known[50] in ids(paged, "labels"):
            paged.delete("labels", known[50])

    paged.delete("labels", known[200])
    paged.before_response = meddle
    report = warehouse.sync("labels", reconcile=True)
    paged.before_response = None
    assert report.exit_code == 0
    assert living(warehouse, "labels") == set(known) - {known[200]}
    asked = {r.path: r.status for r in paged.requests if r.path.startswith("/labels/")}
    assert asked[f"/labels/{known[200]}"] == 404
    assert asked[f"/labels/{known[100]}"] == 200
    warehouse.sync("labels", reconcile=True)
    warehouse.assert_equals_truth("labels")


def test_too_many_to_ask_for_one_by_one_wait_for_the_second_read(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(paged, max_delete_share=0.9)
    warehouse.sync("labels")
    for ident in ids(paged, "labels")[:101]:
        paged.delete("labels", ident)
    first = warehouse.sync("labels", reconcile=True)
    assert first.total("deleted") == 0
    assert "one by one" in " ".join(first.runs["labels"].notes)
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 101
    assert [r.path for r in paged.requests if r.path.startswith("/labels/")] == []
    warehouse.assert_equals_truth("labels")


def test_where_rows_cannot_be_asked_for_one_read_by_page_number_proves_nothing(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    """A row that slipped to a page that was read is alive, and must not be marked."""
    warehouse = make_warehouse(paged)
    warehouse.sync("attendances")
    known = ids(paged, "attendances")

    def meddle(request: Any) -> None:
        if request.query.get("page") == ["2"] and known[0] in ids(paged, "attendances"):
            paged.delete("attendances", known[0])

    paged.before_response = meddle
    warehouse.sync("attendances", reconcile=True)
    paged.before_response = None
    assert set(ids(paged, "attendances")) <= living(warehouse, "attendances")
    for _ in range(2):
        warehouse.sync("attendances", reconcile=True)
    warehouse.assert_equals_truth("attendances")


def test_a_row_that_slips_between_two_pages_of_a_parents_list_stays(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"custom_records": 350, "custom_objects": 1}
    with Simulator(scale=0, counts=counts, paging="page", requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        warehouse.sync("custom_objects", "custom_records")
        known = ids(sim, "custom_records")

        def meddle(request: Any) -> None:
            if request.query.get("page") == ["2"] and known[50] in ids(sim, "custom_records"):
                sim.delete("custom_records", known[50])

        sim.before_response = meddle
        report = warehouse.sync("custom_records", reconcile=True)
        sim.before_response = None
        assert report.exit_code == 0
        assert set(ids(sim, "custom_records")) <= living(warehouse, "custom_records")
        warehouse.sync("custom_records", reconcile=True)
        warehouse.assert_equals_truth("custom_records")


def test_where_no_row_can_be_asked_for_none_is_deleted(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(paged)
    warehouse.sync("labels")
    paged.delete("labels", ids(paged, "labels")[0])
    paged.inject(Fault("status", path="/labels/*", status=404, times=None))
    report = warehouse.sync("labels", reconcile=True)
    assert report.total("deleted") == 0
    assert "by its id" in " ".join(report.runs["labels"].notes)


# ---- The destination is the memory


@in_a_lake_too
def test_dropped_and_emptied_tables_heal(big: Simulator, make_warehouse: MakeWarehouse) -> None:
    names = ("users", "orders", "labels", "leads")
    warehouse = make_warehouse(big)
    warehouse.sync(*names)
    warehouse.execute("DROP TABLE orders CASCADE; DROP TABLE addresses; DROP TABLE user_roles")
    warehouse.execute("DELETE FROM labels")
    report = warehouse.sync(*names)
    assert report.exit_code == 0
    warehouse.assert_equals_truth(*names)
    before = warehouse.marks()
    warehouse.sync(*names, reconcile=True)
    assert warehouse.marks() == before


@in_a_lake_too
def test_a_dataset_that_was_dropped_is_filled_anew(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("labels", "users")
    warehouse.execute("DROP SCHEMA eduframe CASCADE")
    assert warehouse.sync("labels", "users").exit_code == 0
    warehouse.assert_equals_truth("labels", "users")


@in_a_lake_too
def test_a_fresh_machine_goes_on_where_another_one_ended(
    big: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("labels", "users")
    big.delete("labels", ids(big, "labels")[0])
    big.add("users")
    before = warehouse.marks()["users"]
    shutil.rmtree(warehouse.folder / "dlt")
    warehouse.pipeline = warehouse.make_pipeline()
    report = warehouse.sync("labels", "users")
    assert report.runs["users"].mode == "cursor"
    assert report.total("new") == 1
    after = warehouse.marks()["users"]
    assert [row for row in before if row not in after] == []
    assert warehouse.sync("labels", "users", reconcile=True).total("deleted") == 1
    warehouse.assert_equals_truth("labels", "users")


@in_a_lake_too
def test_a_restored_backup_catches_up(big: Simulator, make_warehouse: MakeWarehouse) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("labels", "users")
    warehouse.back_up()
    big.add("users")
    big.change("labels", ids(big, "labels")[3], name="renamed")
    warehouse.sync("labels", "users")
    warehouse.restore()
    warehouse.sync("labels", "users")
    warehouse.assert_equals_truth("labels", "users")
