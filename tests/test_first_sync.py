"""The first sync, into nothing, and the next one; nothing here changes the simulator."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.eduframe.run.report import Report
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse, asked
from tests.warehouses import PLENTY, Home, Warehouse

BY_TABLE = {endpoint.table: endpoint for endpoint in ENDPOINTS}


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["cursor", "page"])
def first(
    request: Any, tmp_path_factory: pytest.TempPathFactory, home: Home, destination: str
) -> Iterator[Warehouse]:
    counts = {"users": 230, "orders": 100}
    with Simulator(
        scale=0.2, counts=counts, paging=request.param, requests_per_window=PLENTY
    ) as sim:
        warehouse = home.make(destination, sim, tmp_path_factory.mktemp("first"), tables=False)
        warehouse.report = warehouse.sync()  # type: ignore[attr-defined]
        yield warehouse


def test_the_first_sync_equals_the_truth(first: Warehouse) -> None:
    report: Report = first.report  # type: ignore[attr-defined]
    assert {run.status for run in report.runs.values()} == {"done"}
    assert report.exit_code == 0
    first.assert_equals_truth()


def test_the_first_sync_needs_no_request_too_many(first: Warehouse) -> None:
    expected: Counter[str] = Counter()
    for endpoint in ENDPOINTS:
        if endpoint.params or not endpoint.enabled:
            continue
        rows = len(first.sim.rows(endpoint.table))
        expected[endpoint.path] = max(1, -(-rows // 100)) if endpoint.paged else 1
    for row in first.sim.rows("custom_objects"):
        expected[f"/custom/objects/{row['slug']}"] = 1
        expected[f"/custom/objects/{row['slug']}/records"] = 1
    for row in first.sim.rows("invoices"):
        expected[f"/invoices/{row['id']}/payments"] = 1
    for row in first.sim.rows("program_editions"):
        expected[f"/program/editions/{row['id']}/elements"] = 1
    got = asked(first.sim)
    custom = {path for path in got if path.endswith(("/associations", "/options"))}
    assert {path: got[path] for path in got.keys() - custom} == dict(expected)
    assert {got[path] for path in custom} == {1}
    assert all(request.status == 200 for request in first.sim.requests if request.path in expected)


def test_the_summary_counts_what_was_asked_and_read(first: Warehouse) -> None:
    report: Report = first.report  # type: ignore[attr-defined]
    for name, run in report.runs.items():
        if not BY_TABLE[name].params:
            assert (run.read, run.new) == (len(first.sim.rows(name)),) * 2 or run.rejected, name
    assert report.requests == len(first.sim.requests)


def test_every_row_says_which_run_and_package_wrote_it(first: Warehouse) -> None:
    (run,) = first.rows("_sync_runs")
    loads = {row["load_id"] for row in first.query("SELECT load_id FROM _dlt_loads")}
    for endpoint in ENDPOINTS:
        for row in first.rows(endpoint.table):
            assert row["_synced_at"] == run["started_at"]
            assert row["_dlt_load_id"] in loads
            assert row["_deleted_at"] is None
            assert row["_removed"] is None
            assert row["_row_hash"] > 0


def test_the_run_log_tells_of_the_run(first: Warehouse) -> None:
    report: Report = first.report  # type: ignore[attr-defined]
    (run,) = first.rows("_sync_runs")
    assert (run["run_id"], run["status"]) == (report.run_id, "done")
    assert run["requests"] == len(first.sim.requests)
    (last,) = first.query("SELECT max(inserted_at) AS load FROM _dlt_loads")
    assert run["started_at"] < last["load"] < run["ended_at"] == report.ended_at
    assert report.seconds >= (last["load"] - run["started_at"]).total_seconds()
    resources = {row["resource"]: row for row in first.rows("_sync_resources")}
    assert resources.keys() == {e.table for e in ENDPOINTS if e.enabled}
    assert resources["users"]["rows_read"] == resources["users"]["rows_new"] == 230
    assert resources["users"]["mode"] == "reconcile"
    assert sum(row["requests"] for row in resources.values()) == run["requests"]
    assert first.rows("_deletions") == first.rows("_sync_seen") == []


def test_the_token_is_in_no_table_and_no_file(first: Warehouse) -> None:
    token = first.sim.token.encode()
    files = [path for path in first.folder.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if token in path.read_bytes()] == []


@pytest.mark.parametrize("reconcile", [False, True])
def test_a_sync_of_what_has_not_changed_writes_no_row(first: Warehouse, reconcile: bool) -> None:
    before = first.marks()
    report = first.sync(reconcile=reconcile)
    assert report.exit_code == 0
    assert (report.total("new"), report.total("changed"), report.total("deleted")) == (0, 0, 0)
    assert first.marks() == before


def test_a_second_sync_reads_lists_under_a_parent_only_where_the_parent_changed(
    first: Warehouse,
) -> None:
    first.sim.clear_requests()
    first.sync("invoices", "payments")
    assert [path for path in asked(first.sim) if path.endswith("/payments")] == []


def test_every_table_is_there_with_its_types_though_all_lists_are_empty(
    first: Warehouse, make_warehouse: MakeWarehouse
) -> None:
    empty = make_warehouse(Simulator(scale=0))
    assert empty.types() == first.types()
