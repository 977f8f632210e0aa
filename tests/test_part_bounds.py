"""Runs that read in parts keep to their budget, whatever they find, and leave no list behind."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from pipelines.eduframe.exit_codes import PARTLY
from pipelines.eduframe.store.recent_runs import USUAL, past_runs
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe_simulator import Fault, Simulator
from sources.eduframe_simulator.server.api import Paging
from tests.conftest import MakeWarehouse, asked, ids, living, stop_after
from tests.warehouses import PLENTY

pytestmark = pytest.mark.usefixtures("no_waiting")

QUARTER = timedelta(minutes=15)
NOTHING_IN_THEM = [
    endpoint.table
    for endpoint in ENDPOINTS
    if endpoint.enabled and endpoint.paged and not endpoint.params and not endpoint.feature_flag
    and endpoint.table != "users"
][:8]


@pytest.fixture
def users() -> Iterator[Simulator]:
    with Simulator(scale=0, counts={"users": 830}, requests_per_window=PLENTY) as sim:
        yield sim


def test_lists_that_hold_nothing_take_turns(
    make_warehouse: MakeWarehouse, users: Simulator
) -> None:
    sim = users
    sim.forbid(NOTHING_IN_THEM[0])
    warehouse = make_warehouse(sim, include=("users", *NOTHING_IN_THEM), budget="16")
    assert warehouse.sync().requests > len(NOTHING_IN_THEM)
    sim.clear_requests()
    sim.add(NOTHING_IN_THEM[-1])
    paths = [endpoint.path for endpoint in ENDPOINTS if endpoint.table in NOTHING_IN_THEM]
    runs = 0
    while any(not asked(sim)[path] for path in paths):
        warehouse.ahead += QUARTER
        report = warehouse.sync()
        runs += 1
        assert report.requests <= 16
        assert runs < 8
    assert asked(sim)["/users"] >= 6 * runs, "the others have the rest"
    assert warehouse.count(NOTHING_IN_THEM[-1]) == 1


def test_a_list_that_has_grown_is_read_over_several_runs(
    make_warehouse: MakeWarehouse, users: Simulator
) -> None:
    sim = users
    warehouse = make_warehouse(sim, include=("users",), budget="11")
    assert warehouse.sync().exit_code == 0
    for _ in range(1500):
        sim.add("users")
    for _ in range(4):
        warehouse.ahead += QUARTER
        report = warehouse.sync()
        assert report.exit_code == 0
        assert report.requests <= 11
    warehouse.assert_equals_truth("users")


def test_who_asks_for_all_of_a_list_gets_it_as_it_is_now(make_warehouse: MakeWarehouse) -> None:
    """What a walk over several runs has read may have changed since. A reconciliation that was cut
    short goes on, though."""
    counts, order = {"users": 830}, {"users": "updated_at:desc"}
    with Simulator(scale=0, counts=counts, sorted_by=order, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=("users",), budget="4")
        warehouse.sync()
        warehouse.ahead += QUARTER
        assert 0 < warehouse.sync().runs["users"].read < 500, "it goes on in the next run"
        for one in ids(sim, "users"):
            sim.change("users", one, touch=False, first_name="Later")
        warehouse.sync(reconcile=True, watch=stop_after(sim, 4))
        sim.before_response = None
        report = warehouse.sync(reconcile=True)
        assert any("went on after" in note for note in report.runs["users"].notes)
        warehouse.assert_equals_truth("users")


def test_one_refused_list_is_not_the_token_where_others_were_not_asked(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"users": 830, "affiliations": 320}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=tuple(counts), budget="3")
        warehouse.sync()
        sim.inject(Fault("status", path="/*", times=None, status=403))
        warehouse.ahead += QUARTER
        report = warehouse.sync()
        tried = [run.resource for run in report.runs.values() if run.traffic.requests]
        assert len(tried) == 1
        assert report.runs[tried[0]].status == "off"
        assert (report.exit_code, report.message) == (PARTLY, None)


def test_many_new_rows_before_the_known_ones_leave_no_gap(make_warehouse: MakeWarehouse) -> None:
    counts, order = {"users": 830}, {"users": "id:desc"}
    with Simulator(scale=0, counts=counts, sorted_by=order, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=("users",), budget="7")
        warehouse.sync()
        for _ in range(700):
            sim.add("users")
        missing = [700]
        gap = "SELECT COUNT(*) AS n FROM _sync_ledger WHERE kind = 'suspect' AND rows_held > 0"
        while missing[-1]:
            warehouse.ahead += QUARTER
            report = warehouse.sync()
            assert report.requests <= 7
            assert "whole" not in report.runs["users"].reads
            missing.append(len(set(ids(sim, "users")) - living(warehouse, "users")))
            assert missing[-1] <= max(0, missing[-2] - 100), missing
            assert warehouse.query(gap)[0]["n"] or not missing[-1], "it is read next"


def test_an_emptied_table_is_filled_again_on_the_budget(
    make_warehouse: MakeWarehouse, users: Simulator
) -> None:
    sim = users
    warehouse = make_warehouse(sim, include=("users",), budget="6")
    warehouse.sync()
    warehouse.execute('DELETE FROM "users"')
    for _ in range(3):
        warehouse.ahead += QUARTER
        report = warehouse.sync()
        assert report.exit_code == 0
        assert report.requests <= 6
    assert living(warehouse, "users") == set(ids(sim, "users"))


def test_a_walk_may_take_longer_than_everything_should(make_warehouse: MakeWarehouse) -> None:
    counts, order = {"users": 830}, {"users": "updated_at:desc"}
    with Simulator(scale=0, counts=counts, sorted_by=order, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(
            sim, include=("users",), budget="4", reconcile_every="10m", max_read_age="1m"
        )
        warehouse.sync()
        sim.clock_offset -= 7200  # as if each page had been read so long ago
        sim.clear_requests()
        for _ in range(4):
            warehouse.ahead += QUARTER
            assert warehouse.sync().exit_code == 0
        pages = {str(request.query) for request in sim.requests if request.path == "/users"}
        assert len(pages) == 9


def test_runs_after_a_clock_was_set_back_tell_of_no_rhythm(
    make_warehouse: MakeWarehouse, users: Simulator
) -> None:
    warehouse = make_warehouse(users, include=("users",), budget="6")
    for back in (timedelta(days=300), timedelta(), timedelta()):
        warehouse.ahead = back
        warehouse.sync()
    with StoredRows(warehouse.pipeline) as stored:
        assert past_runs(stored).usual_gap == USUAL.total_seconds()


def test_parents_that_are_not_synced_are_read_as_far_as_the_budget_goes(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"users": 830, "invoices": 600, "payments": 600}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=("users", "payments"), budget="16")
        warehouse.sync()
        paid: set[str] = set()
        for run in range(1, 3):
            warehouse.ahead += QUARTER
            sim.clear_requests()
            report = warehouse.sync()
            assert report.requests == len(sim.requests) <= 16
            again = {path for path in asked(sim) if path.endswith("/payments")}
            assert again
            assert not again & paid, "each has its turn"
            paid |= again
            assert asked(sim)["/users"] > 0, run


@pytest.mark.parametrize("paging", ["cursor", "page"])
def test_parents_that_are_not_synced_are_all_asked_over_some_runs(
    make_warehouse: MakeWarehouse, paging: Paging
) -> None:
    """Each run goes on where the last one ended, and reads no more of them than it can ask."""
    counts = {"invoices": 250, "payments": 250}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY, paging=paging) as sim:
        warehouse = make_warehouse(sim, include=("payments",), budget="60")
        invoices = ids(sim, "invoices")
        for run in range(6):
            report = warehouse.sync()
            assert report.exit_code == 0
            assert report.requests <= 60
            assert asked(sim)["/invoices"] <= 2 * (run + 1)
            warehouse.ahead += QUARTER
            times = [asked(sim)[f"/invoices/{one}/payments"] for one in invoices]
            assert max(times) == 1 or min(times) == 1, "nobody twice before all are asked"
        assert min(times) >= 1
        warehouse.assert_equals_truth("payments")


def test_custom_objects_and_associations_compete_with_the_other_lists(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"users": 2500, "custom_objects": 3, "custom_associations": 20}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        names = ("users", "custom_objects", "custom_associations")
        warehouse = make_warehouse(sim, include=names, budget="14", reconcile_every="12h")
        assert warehouse.sync().exit_code == 0
        sim.change("custom_objects", ids(sim, "custom_objects")[0], name_plural="Halls")
        sim.clear_requests()
        runs = 8
        for _ in range(runs):
            warehouse.ahead += QUARTER * 8
            report = warehouse.sync()
            assert report.exit_code == 0
            assert report.requests <= 14
        of_custom = sum(n for path, n in asked(sim).items() if path.startswith("/custom/"))
        assert of_custom < 9 * runs / 2
        warehouse.assert_equals_truth("custom_objects")
