"""Runs that read parts of lists, as their budget does not pay for all of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from pipelines.eduframe.run.report import Report
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, asked, ids, living, stop_after
from tests.warehouses import PLENTY, Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")

QUARTER = timedelta(minutes=15)
LISTS = ("users", "labels", "affiliations")
COUNTS = {"users": 830, "labels": 320, "affiliations": 40}
NAMED_BY = {"users": "first_name", "labels": "name"}
BUDGET = 8
"""Less than the 13 requests that all of it takes."""
SECOND_LOOKS = 12
"""What the tests' own deletions may cost beside."""


@pytest.fixture(scope="session", params=["duckdb"])
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def world(**how: Any) -> Iterator[Simulator]:
    with Simulator(scale=0, counts=COUNTS, requests_per_window=PLENTY, **how) as sim:
        yield sim


def first_load(make_warehouse: MakeWarehouse, sim: Simulator, **settings: Any) -> Warehouse:
    warehouse = make_warehouse(sim, include=LISTS, budget=str(BUDGET), **settings)
    assert warehouse.sync().exit_code == 0
    warehouse.assert_equals_truth(*LISTS)
    return warehouse


def run_later(warehouse: Warehouse, **settings: Any) -> Report:
    """The next run from cron."""
    warehouse.ahead += QUARTER
    before = len(warehouse.sim.requests)
    report = warehouse.sync(**settings)
    assert len(warehouse.sim.requests) - before == report.requests
    return report


def kinds(report: Report, name: str) -> set[str]:
    return {kind for kind, counts in report.runs[name].reads.items() if counts.requests}


def nothing_lost(warehouse: Warehouse) -> None:
    """No row that is served is marked as deleted."""
    for name in LISTS:
        marked = {row["id"] for row in warehouse.rows(name) if row["_deleted_at"] is not None}
        assert not marked & set(ids(warehouse.sim, name))


ORDERS = [
    pytest.param({"paging": "cursor"}, id="cursor, ascending"),
    pytest.param({"paging": "page"}, id="page, ascending"),
    pytest.param({"sorted_by": dict.fromkeys(LISTS, "id:desc")}, id="cursor, descending"),
    pytest.param(
        {"paging": "page", "sorted_by": dict.fromkeys(LISTS, "id:desc")}, id="page, descending"
    ),
    pytest.param({"sorted_by": dict.fromkeys(LISTS, "updated_at:desc")}, id="in no order"),
    pytest.param({"page_numbers": "refused"}, id="page= refused"),
    pytest.param({"page_numbers": "ignored"}, id="page= ignored"),
]


@pytest.mark.parametrize("how", ORDERS)
def test_partial_reads_come_round_to_everything(
    make_warehouse: MakeWarehouse, how: dict[str, Any]
) -> None:
    with world(**how) as sim:
        warehouse = first_load(make_warehouse, sim)
        users, labels = ids(sim, "users"), ids(sim, "labels")
        for one in (users[5], users[404], users[-3]):
            sim.change("users", one, touch=False, first_name="Changed")
        for gone in (users[0], users[250], users[251], users[777], labels[200]):
            table = "users" if gone in users else "labels"
            sim.delete(table, gone)
        added = [sim.add("users")["id"] for _ in range(3)]
        for _ in range(12):
            report = run_later(warehouse, max_absence_questions=SECOND_LOOKS)
            assert report.exit_code == 0
            assert report.requests <= BUDGET + SECOND_LOOKS
            nothing_lost(warehouse)
        held = {row["id"]: row for row in warehouse.rows("users")}
        assert {held[one]["first_name"] for one in (users[5], users[404], users[-3])} == {"Changed"}
        assert set(added) <= living(warehouse, "users")
        assert not {users[250], users[251], users[777]} & living(warehouse, "users")
        for _ in range(2):
            warehouse.sync(reconcile=True)
        warehouse.assert_equals_truth(*LISTS)


def test_a_page_is_found_where_rows_have_moved(make_warehouse: MakeWarehouse) -> None:
    with world() as sim:
        warehouse = first_load(make_warehouse, sim)
        for gone in ids(sim, "users")[:250]:
            sim.delete("users", gone)
        last = ids(sim, "users")[-1]
        sim.change("users", last, first_name="Found")
        found = set()
        for _ in range(4):
            report = run_later(warehouse, max_absence_questions=0)
            found |= kinds(report, "users")
        assert "pages" in found
        assert next(r for r in warehouse.rows("users") if r["id"] == last)["first_name"] == "Found"
        nothing_lost(warehouse)


def test_the_end_is_found_of_a_list_that_has_lost_most_of_its_pages(
    make_warehouse: MakeWarehouse,
) -> None:
    with world() as sim:
        warehouse = first_load(make_warehouse, sim)
        for gone in ids(sim, "users")[230:]:
            sim.delete("users", gone)
        found = set()
        for _ in range(3):
            report = run_later(warehouse, max_absence_questions=20, allow_mass_delete=LISTS)
            assert report.exit_code == 0, report.runs["users"].message
            found |= kinds(report, "users")
        assert "pages" in found
        assert len(living(warehouse, "users")) < 830 - 40, "its last page tells what is gone"
        nothing_lost(warehouse)


def test_deletions_between_neighbours_have_two_witnesses(make_warehouse: MakeWarehouse) -> None:
    with world() as sim:
        warehouse = first_load(make_warehouse, sim)
        gone = ids(sim, "users")[820]
        sim.delete("users", gone)
        for _ in range(3):
            run_later(warehouse)
        (deletion,) = warehouse.rows("_deletions")
        assert deletion["key"] == str(gone)
        assert "enclose" in deletion["proof"]
        assert "404" in deletion["proof"]


def test_a_page_that_comes_short_deletes_nothing(make_warehouse: MakeWarehouse) -> None:
    with world() as sim:
        warehouse = first_load(make_warehouse, sim)
        sim.inject(Fault("tamper", path="/users", times=None, tamper=lambda rows: rows[::3]))
        for _ in range(4):
            run_later(warehouse)
        assert living(warehouse, "users") == set(ids(sim, "users"))


def test_a_list_that_breaks_its_order_is_read_whole(make_warehouse: MakeWarehouse) -> None:
    with world() as sim:
        warehouse = first_load(make_warehouse, sim)
        for gone in ids(sim, "users")[700:705]:
            sim.delete("users", gone)
        sim.inject(Fault("tamper", path="/users", times=None, tamper=lambda rows: rows[::-1]))
        reports = [run_later(warehouse) for _ in range(6)]
        assert "whole" in set().union(*(kinds(report, "users") for report in reports[1:]))
        assert warehouse.count("_deletions") in (0, 5)
        nothing_lost(warehouse)


def test_a_stop_in_the_midst_of_parts_loses_nothing(make_warehouse: MakeWarehouse) -> None:
    with world() as sim:
        warehouse = first_load(make_warehouse, sim)
        sim.change("users", ids(sim, "users")[-1], first_name="Late")
        sim.delete("users", ids(sim, "users")[-50])
        for after in (2, 3, 5):
            warehouse.ahead += QUARTER
            warehouse.sync(watch=stop_after(sim, after))
            sim.before_response = None
            nothing_lost(warehouse)
        for _ in range(3):
            assert run_later(warehouse).exit_code == 0
        warehouse.sync(reconcile=True)
        warehouse.assert_equals_truth(*LISTS)


def test_named_lists_and_reconciliations_know_no_budget(make_warehouse: MakeWarehouse) -> None:
    with world() as sim:
        warehouse = first_load(make_warehouse, sim)
        assert warehouse.sync("users").requests == 10  # with whose data it is
        assert warehouse.sync(reconcile=True).requests == 15


@pytest.mark.parametrize("begun", ["by a run whose budget ended", "by a run that was stopped"])
def test_a_comparison_that_is_asked_for_is_of_the_rows_as_they_are(
    make_warehouse: MakeWarehouse, begun: str
) -> None:
    """Not of some as they were when an earlier run, for itself, began to read the list."""
    with world(sorted_by=dict.fromkeys(LISTS, "email:asc")) as sim:
        warehouse = first_load(make_warehouse, sim)
        if begun == "by a run whose budget ended":
            runs = (run_later(warehouse).runs["users"] for _ in range(20))
            assert any(run.cut for run in runs)
        else:
            warehouse.sync(budget="all", watch=stop_after(sim, 8))
            sim.before_response = None
        for name in ("users", "labels"):
            for one in ids(sim, name)[::11]:
                sim.delete(name, one)
            for one in ids(sim, name):
                sim.change(name, one, touch=False, **{NAMED_BY[name]: "New"})
        report = warehouse.sync(reconcile=True)
        assert any("before the comparison" in note for note in report.runs["users"].notes)
        warehouse.assert_equals_truth(*LISTS)


def test_lists_that_can_all_be_read_are(make_warehouse: MakeWarehouse) -> None:
    with world() as sim:
        warehouse = first_load(make_warehouse, sim)
        report = run_later(warehouse, budget="50%")
        assert {kind for run in report.runs.values() for kind in run.reads} == {"whole"}
        assert warehouse.count("_sync_ledger") == 0


def test_what_a_changed_row_names_is_asked_for_in_the_same_run(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"enrollments": 320, "planned_courses": 730, "courses": 3}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=("enrollments", "planned_courses"), budget="8")
        warehouse.sync()
        full = ids(sim, "planned_courses")[100]
        sim.change("planned_courses", full, touch=False, current_participants=77)
        sim.add("enrollments", planned_course_id=full)
        new = 0
        while not new:
            sim.clear_requests()
            report = run_later(warehouse)
            assert report.requests <= 8
            new = report.runs["enrollments"].new
        held = {row["id"]: row for row in warehouse.rows("planned_courses")}
        assert held[full]["current_participants"] == 77
        sim.clear_requests()
        run_later(warehouse)
        assert not asked(sim)[f"/planned_courses/{full}"], "it was followed"


# ---- Lists under parents


@pytest.mark.parametrize("destination", BOTH, scope="session", indirect=True)
def test_payments_come_over_as_many_runs_as_they_take(make_warehouse: MakeWarehouse) -> None:
    counts = {"invoices": 60, "payments": 50}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        include = ("invoices", "payments")
        warehouse = make_warehouse(sim, include=include, budget="25")
        invoices = ids(sim, "invoices")
        for one in invoices[-12:]:
            sim.change("invoices", one, status="concept")
        bare = {
            row["id"] for row in sim.rows("invoices")
            if row["status"] == "concept" or row["total_open"] == row["total_incl"]
        }  # fmt: skip
        warehouse.sync()
        asked_for = [one for one in invoices if asked(sim)[f"/invoices/{one}/payments"]]
        others = [one for one in invoices if one not in bare]
        assert asked_for == others[-len(asked_for) :], "the newest that may have some first"
        assert 10 < len(asked_for) < 25
        paid = sim.add("payments", invoice_id=invoices[0])
        sim.change("invoices", invoices[0])
        for _ in range(5):
            report = run_later(warehouse)
            assert report.exit_code == 0
            assert report.requests <= 25
        assert paid["id"] in living(warehouse, "payments")
        warehouse.assert_equals_truth(*include)
        times = [asked(sim)[f"/invoices/{one}/payments"] for one in invoices]
        assert min(times) == 1
        assert sum(times) <= len(invoices) + 3, "none is asked again without a reason"


# ---- The account


def test_the_account_is_booked_and_fills_again(make_warehouse: MakeWarehouse) -> None:
    with world() as sim:
        warehouse = make_warehouse(
            sim, include=LISTS, budget="10%", requests_per_window=600, window_seconds=300.0
        )
        report = warehouse.sync()
        latest = "SELECT balance, budget FROM _sync_runs ORDER BY started_at DESC LIMIT 1"
        (run,) = warehouse.query(latest)
        assert run["budget"] == "10%"
        assert float(run["balance"]) == pytest.approx(0.1 * 2 * 86400 - report.requests, abs=1)
        warehouse.execute("UPDATE _sync_runs SET balance = 100")
        warehouse.ahead += timedelta(hours=1)
        warehouse.sync(reconcile=True)
        assert float(warehouse.query(latest)[0]["balance"]) == pytest.approx(805, abs=3)
        warehouse.execute("UPDATE _sync_runs SET balance = 3")
        warehouse.sync(reconcile=True)
        assert float(warehouse.query(latest)[0]["balance"]) == pytest.approx(0, abs=1)
