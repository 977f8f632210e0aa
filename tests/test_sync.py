"""Whole runs of the sync: the simulator over HTTP, into a warehouse."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.eduframe.run.report import Report
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import OtherCustomerError, SettingsError
from sources.eduframe.source import eduframe_source
from sources.eduframe_simulator import ABSENT, Fault, Simulator
from tests.conftest import BOTH, SOME, MakeWarehouse, asked, in_a_lake_too
from tests.warehouses import PLENTY, Home, Warehouse, as_json

DAY = timedelta(days=1, minutes=1)


def numbers(report: Report, *names: str) -> dict[str, tuple[int, int]]:
    """New and changed rows of resources."""
    return {name: (report.runs[name].new, report.runs[name].changed) for name in names}


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---- Changes

@in_a_lake_too
def test_an_ordinary_sync_brings_what_is_new_and_what_moved(synced: Warehouse) -> None:
    sim = synced.sim
    order, user = sim.rows("orders")[0], sim.rows("users")[3]
    with_grade = next(row for row in sim.rows("enrollments") if row.get("grade"))
    labelled = next(row for row in sim.rows("users") if len(row["label_ids"]) > 0)
    addressed = next(
        row for row in sim.rows("users") if row.get("address") and row["id"] != labelled["id"]
    )
    category = sim.rows("credit_categories")[0]
    paid = sim.rows("payments")[0]["invoice_id"]

    new_order = sim.add("orders")
    sim.add("users")
    sim.change("orders", order["id"], status="complete", label_ids=[sim.rows("labels")[0]["id"]])
    sim.change("users", labelled["id"], label_ids=[])
    sim.change("users", addressed["id"], address=ABSENT)
    sim.change("credit_categories", category["id"], name="silently renamed", types=[])
    grade = {**with_grade["grade"], "grade": "1.0", "updated_at": f"{sim.now:%Y-%m-%dT%H:%M:%S}Z"}
    sim.change("enrollments", with_grade["id"], touch=False, grade=grade)
    sim.add("payments", invoice_id=paid)
    sim.change("invoices", paid)
    before = {row["id"]: row for row in synced.rows("users")}

    report = synced.sync(*SOME)
    assert report.exit_code == 0
    synced.assert_equals_truth(*SOME)
    assert numbers(report, "orders", "users", "enrollments", "credit_categories", "payments") == {
        "orders": (1, 1),
        "users": (1, 2),
        "enrollments": (0, 1),
        "credit_categories": (0, 1),
        "payments": (1, 0),
    }
    assert [row for row in synced.rows("orders") if row["id"] == new_order["id"]]
    after = {row["id"]: row for row in synced.rows("users")}
    written = {ident for ident in before if before[ident] != after[ident]}
    assert written == {labelled["id"], addressed["id"]}
    assert user["id"] not in written or user["id"] in (labelled["id"], addressed["id"])


@in_a_lake_too
def test_what_changed_without_moving_arrives_with_the_next_reconciliation(
    synced: Warehouse,
) -> None:
    sim = synced.sim
    order, other = sim.rows("orders")[:2]
    old = next(row for row in sim.rows("users") if row.get("address"))
    sim.change("orders", order["id"], touch=False, status="quietly")
    sim.change("orders", other["id"], touch=False, updated_at="2001-01-01T00:00:00.000Z")
    sim.change("users", old["id"], touch=False, address=None)
    report = synced.sync(*SOME)
    assert numbers(report, "orders", "users") == {"orders": (0, 0), "users": (0, 0)}
    assert report.runs["orders"].mode == "cursor"

    report = synced.sync(*SOME, reconcile=True)
    assert numbers(report, "orders", "users") == {"orders": (0, 2), "users": (0, 1)}
    synced.assert_equals_truth(*SOME)


def test_a_list_is_reconciled_when_that_was_last_done_a_day_ago(synced: Warehouse) -> None:
    sim = synced.sim
    sim.change("orders", sim.rows("orders")[0]["id"], touch=False, status="quietly")
    synced.ahead = timedelta(hours=23)
    assert synced.sync("orders").runs["orders"].mode == "cursor"
    synced.ahead = DAY
    report = synced.sync("orders")
    assert (report.runs["orders"].mode, report.runs["orders"].changed) == ("reconcile", 1)
    assert synced.sync("orders").runs["orders"].mode == "cursor"


def test_lists_under_a_parent_are_read_anew_after_a_week(synced: Warehouse) -> None:
    sim = synced.sim
    payment = sim.rows("payments")[0]
    sim.change("payments", payment["id"], amount="12.34")
    synced.ahead = timedelta(days=6)
    synced.sync("invoices", "payments")
    assert synced.count("payments") == len(sim.rows("payments"))
    synced.ahead = timedelta(days=7, minutes=1)
    report = synced.sync("invoices", "payments")
    assert (report.runs["payments"].mode, report.runs["payments"].changed) == ("reconcile", 1)
    synced.assert_equals_truth("payments")


def test_a_change_behind_the_back_of_a_running_sync_is_not_lost(
    synced: Warehouse,
) -> None:
    """A row on a page that was read already changes, and a later one moves the cursor on."""
    sim = synced.sim
    order = sim.rows("orders")[0]

    def meddle(request: Any) -> None:
        if request.path == "/labels":
            sim.change("orders", order["id"], status="meddled")

    sim.add("orders")
    synced.sync("orders")
    sim.before_response = meddle
    synced.sync("orders", "labels", threads=1)
    sim.before_response = None
    synced.sync("orders")
    synced.assert_equals_truth("orders")


@pytest.mark.parametrize("paging", ["cursor", "page"])
def test_a_change_on_a_page_that_was_read_arrives_with_the_next_sync(
    make_warehouse: MakeWarehouse, paging: Any
) -> None:
    with Simulator(
        scale=0, counts={"labels": 250}, paging=paging, requests_per_window=PLENTY
    ) as sim:
        warehouse = make_warehouse(sim)
        warehouse.sync("labels")
        ids = [row["id"] for row in sim.rows("labels")]
        changes = iter([ids[:2], ids[:1] + ids[150:152], ids[240:]])

        def meddle(request: Any) -> None:
            for ident in next(changes, []):
                sim.change("labels", ident, name=f"changed before {request.query}")

        sim.before_response = meddle
        warehouse.sync("labels")
        sim.before_response = None
        warehouse.sync("labels")
        warehouse.assert_equals_truth("labels")


@in_a_lake_too
def test_a_row_seen_twice_in_one_read_is_written_as_it_was_last(
    make_warehouse: MakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pages by number, a new row in front pushes one from the first page to the second. It
    has lost its address when it is first met, and has it again when it is met anew; another one
    the other way round."""
    monkeypatch.setattr("sources.eduframe.comparing.reader.BATCH_ROWS", 100)
    with Simulator(
        scale=0, counts={"users": 150}, paging="page", requests_per_window=PLENTY
    ) as sim:
        address = {"addressee": None, "address": "A 1", "address_line2": None, "postal_code": "1"}
        address |= {"city": "X", "country": "NL", "state_province": None}
        users = sim.rows("users")
        for user in users[97:100]:
            sim.change("users", user["id"], address=address)
        warehouse = make_warehouse(sim)
        warehouse.sync("users")
        gains, loses, stays = (user["id"] for user in users[97:100])
        sim.change("users", gains, address=None)

        def meddle(request: Any) -> None:
            if request.query.get("page") == ["2"]:
                for ident in (1, 2, 3):
                    if users[0]["id"] > ident:
                        sim.add("users", id=-ident)
                sim.change("users", gains, touch=False, address=address)
                sim.change("users", loses, touch=False, address=None)

        sim.before_response = meddle
        report = warehouse.sync("users", reconcile=True)
        sim.before_response = None
        assert report.runs["users"].read == 153
        held = {row["owner_id"] for row in warehouse.rows("addresses")}
        assert gains in held
        assert stays in held
        assert loses not in held


@in_a_lake_too
def test_a_new_row_that_loses_its_children_while_it_is_read_has_none(
    make_warehouse: MakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Met twice in a first read, in two load packages."""
    monkeypatch.setattr("sources.eduframe.comparing.reader.BATCH_ROWS", 100)
    with Simulator(
        scale=0, counts={"users": 150}, paging="page", requests_per_window=PLENTY
    ) as sim:
        user = sim.rows("users")[99]
        sim.change("users", user["id"], label_ids=[1, 2], roles=["student"])

        def meddle(request: Any) -> None:
            if request.query.get("page") == ["2"]:
                sim.add("users", id=-1)
                sim.change("users", user["id"], label_ids=[])

        sim.before_response = meddle
        warehouse = make_warehouse(sim)
        report = warehouse.sync("users", load_package_rows=1)
        sim.before_response = None
        assert report.packages > 1
        held = [row for row in warehouse.rows("user_labels") if row["user_id"] == user["id"]]
        assert held == []


# ---- What does not fit


@in_a_lake_too
def test_a_field_that_does_not_fit_is_null_and_told_and_what_is_unknown_is_kept(
    warehouse: Warehouse,
) -> None:
    sim = warehouse.sim
    first, second, third = sim.rows("labels")[:3]
    sim.change("labels", first["id"], name=["no", "name"])
    sim.change("labels", second["id"], brand_new=[1])
    sim.change("labels", third["id"], model_type="Martian")
    report = warehouse.sync("labels")
    assert report.exit_code == 0  # one row of 24 is no reason to wake somebody up
    run = report.runs["labels"]
    assert (run.read, run.new, run.rejected) == (24, 24, 0)
    assert run.unfit_fields == {"labels.name": {"list": 1}}
    assert run.unknown_fields == {"labels.brand_new": 1}
    assert list(run.unknown_values) == ["labels.model_type = 'Martian'"]
    held = {row["id"]: row for row in warehouse.rows("labels")}
    assert held[first["id"]]["name"] is None
    assert as_json(held[first["id"]]["_extra"]) == {"name": ["no", "name"]}
    assert held[first["id"]]["color"] == first["color"]
    assert as_json(held[second["id"]]["_extra"]) == {"brand_new": [1]}
    assert held[third["id"]]["model_type"] == "Martian"

    sim.change("labels", first["id"], name="now it fits")
    warehouse.sync("labels")
    (row,) = (row for row in warehouse.rows("labels") if row["id"] == first["id"])
    assert (row["name"], row["_extra"]) == ("now it fits", None)


def test_the_data_of_another_educator_is_refused_before_a_row_is_read(
    synced: Warehouse,
) -> None:
    before = synced.tables()
    with Simulator(scale=0.1, educator_id=2, requests_per_window=PLENTY) as other:
        synced.sim = other
        with pytest.raises(OtherCustomerError, match=r"educator 1.*educator 2"):
            synced.sync("labels")
        assert asked(other) == {"/educators/current": 1}
    assert synced.tables() == before


def test_a_misspelt_resource_is_told_with_the_nearest(warehouse: Warehouse) -> None:
    with pytest.raises(SettingsError, match="orders"):
        warehouse.sync("ordres")
    assert warehouse.sim.requests == []


@pytest.mark.usefixtures("no_waiting")
def test_a_list_that_fails_does_not_stop_the_others(synced: Warehouse) -> None:
    sim = synced.sim
    sim.add("labels")
    sim.add("orders")
    sim.inject(Fault("status", path="/orders", status=503, times=None))
    before = synced.rows("orders")
    report = synced.sync("orders", "labels")
    assert report.exit_code == 3
    assert {n: r.status for n, r in report.runs.items()} == {"orders": "failed", "labels": "done"}
    assert "503" in (report.runs["orders"].message or "")
    assert report.runs["orders"].traffic.retries == 5
    assert synced.rows("orders") == before
    synced.assert_equals_truth("labels")
    sim.clear_faults()
    synced.sync("orders", "labels")
    synced.assert_equals_truth("orders", "labels")


# ---- Some resources only


def test_payments_alone_take_the_invoices_from_the_api_without_loading_them(
    warehouse: Warehouse,
) -> None:
    report = warehouse.sync("payments")
    assert report.exit_code == 0
    assert warehouse.count("invoices") == 0
    warehouse.assert_equals_truth("payments")


def test_payments_alone_take_the_invoices_from_the_destination(warehouse: Warehouse) -> None:
    warehouse.sync("invoices")
    warehouse.sim.clear_requests()
    warehouse.sync("payments")
    warehouse.assert_equals_truth("payments")
    assert asked(warehouse.sim)["/invoices"] == 0


def test_what_is_off_by_default_comes_when_it_is_included(warehouse: Warehouse) -> None:
    off = ["authentications", "webhook_notifications", "webhook_failed_notifications"]
    report = warehouse.sync(include=off)
    assert report.exit_code == 0
    assert set(off) <= set(report.runs)
    warehouse.assert_equals_truth(include=off)


def test_excluded_resources_are_not_read(warehouse: Warehouse) -> None:
    report = warehouse.sync(include=["labels", "orders"], exclude="orders")
    assert list(report.runs) == ["labels"]
    assert asked(warehouse.sim).keys() == {"/educators/current", "/labels"}


# ---- A plain dlt pipeline


def test_a_plain_pipeline_run_equals_the_truth_and_never_deletes(
    sim: Simulator, tmp_path: Path, home: Home, destination: str
) -> None:
    warehouse = home.make(destination, sim, tmp_path, tables=False)

    def run() -> None:
        source = eduframe_source(
            api_token=sim.token, base_url=sim.base_url, requests_per_window=PLENTY
        )
        warehouse.pipeline.run(source).raise_on_failed_jobs()

    run()
    sync_names = [e.table for e in ENDPOINTS if warehouse.types().get(e.table)]
    everything = [e.table for e in ENDPOINTS if e.enabled]
    assert set(everything) <= set(sync_names)
    warehouse.assert_equals_truth(*everything)

    before = warehouse.marks()
    run()
    assert warehouse.marks() == before

    gone, changed = sim.rows("labels")[0], sim.rows("orders")[0]
    new = sim.add("users", label_ids=[1])
    sim.delete("labels", gone["id"])
    sim.change("orders", changed["id"], status="complete", label_ids=[])
    run()
    assert gone["id"] in {r["id"] for r in warehouse.rows("labels") if r["_deleted_at"] is None}
    assert new["id"] in {row["user_id"] for row in warehouse.rows("user_labels")}
    warehouse.assert_equals_truth("orders", "users")

    report = warehouse.sync(reconcile=True)
    assert report.exit_code == 0
    assert report.total("deleted") == 1
    warehouse.assert_equals_truth(*everything)
