"""Runs that are cut short come further each time, and keep what was asked of them."""

from typing import Any

import pytest

from sources.eduframe.errors import SettingsError
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import LISTS, MakeWarehouse, asked, stop_after
from tests.warehouses import PLENTY, Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")


def expiring(sim: Simulator, every: int) -> None:
    """Cursors live for so many requests."""
    count = 0

    def hook(request: Any) -> None:
        nonlocal count
        count += 1
        if count % every == 0:
            sim.expire_cursors()

    sim.before_response = hook


@pytest.mark.parametrize("table", ["attendances", "orders"])
def test_a_cursor_that_expires_is_no_reason_to_begin_anew(
    make_warehouse: MakeWarehouse, table: str
) -> None:
    with Simulator(scale=0, counts={table: 1200}, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        expiring(sim, 4)
        report = warehouse.sync(table)
        assert report.exit_code == 0
        assert "by page number" in " ".join(report.runs[table].notes)
        assert report.requests <= 1 + 12 + 3
        sim.before_response = None
        warehouse.assert_equals_truth(table)


def test_where_there_are_no_page_numbers_the_reason_is_said(make_warehouse: MakeWarehouse) -> None:
    with Simulator(scale=0, counts={"certificates": 600}, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        expiring(sim, 4)
        report = warehouse.sync("certificates")
        assert report.exit_code != 0
        assert "requests_per_window" in (report.runs["certificates"].message or "")


def test_where_there_are_no_page_numbers_the_next_run_reads_in_one_go(
    make_warehouse: MakeWarehouse,
) -> None:
    """A cursor of one list does not outlive the requests of another."""
    counts = {"certificates": 1200, "attendances": 3000}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        expiring(sim, 4)
        assert warehouse.sync("certificates").runs["certificates"].status == "failed"
        sim.clear_requests()

        def hook(request: Any) -> None:
            if request.path == "/attendances" and asked(sim)["/certificates"] > 2:
                sim.expire_cursors()

        sim.before_response = hook
        second = warehouse.sync("certificates", "attendances")
        assert "in one go" in " ".join(second.runs["certificates"].notes)
        assert second.exit_code == 0
        assert asked(sim)["/certificates"] <= 12 + 2
        warehouse.assert_equals_truth("certificates", "attendances")


def test_a_position_outlives_a_server_that_fails(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("attendances", watch=stop_after(big, 12))
    big.before_response = None
    read = warehouse.count("attendances")
    assert read > 500
    big.inject(Fault("status", path="/attendances", times=6, status=502))
    warehouse.sync("attendances")
    big.clear_requests()
    report = warehouse.sync("attendances")
    assert any("went on after" in note for note in report.runs["attendances"].notes)
    assert asked(big)["/attendances"] == (2500 - read) // 100
    warehouse.assert_equals_truth("attendances")


# ---- A refresh


NAMES = ("attendances", "meetings", "orders", "users")


def spoil(warehouse: Warehouse) -> None:
    """Damage that only a refresh finds."""
    warehouse.execute("UPDATE users SET first_name = 'damaged'")
    warehouse.execute("UPDATE orders SET status = 'damaged'")
    warehouse.execute("UPDATE attendances SET comment = 'damaged'")


def test_a_refresh_is_remembered_by_any_next_run_also_of_lists_not_begun(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync(*NAMES)
    spoil(warehouse)
    report = warehouse.sync(*NAMES, refresh=True, threads=1, watch=stop_after(big, 4))
    big.before_response = None
    assert report.exit_code == 3
    assert warehouse.sync(*NAMES).exit_code == 0
    warehouse.assert_equals_truth(*NAMES)
    before = warehouse.marks()
    warehouse.sync(*NAMES)
    assert warehouse.marks() == before


def test_a_refresh_that_is_cut_short_again_and_again_ends(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync(*NAMES)
    spoil(warehouse)
    for _ in range(12):
        report = warehouse.sync(*NAMES, refresh=True, threads=1, watch=stop_after(big, 10))
        big.before_response = None
        if report.exit_code == 0:
            break
    else:
        pytest.fail("it never ends")
    warehouse.assert_equals_truth(*NAMES)
    assert warehouse.sync("users", refresh=True).total("changed") == len(big.rows("users"))


def test_time_too_short_to_begin_in_gives_a_page_a_run(
    make_warehouse: MakeWarehouse,
) -> None:
    with Simulator(scale=0, counts={"labels": 250}, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        held = 0
        for _ in range(3):
            warehouse.sync("labels", max_minutes=0)
            assert warehouse.count("labels") > held
            held = warehouse.count("labels")
            if held == 250:
                break
        warehouse.assert_equals_truth("labels")


# ---- What concerns one list


def test_one_list_that_answers_401_fails_alone(warehouse: Warehouse) -> None:
    warehouse.sim.inject(Fault("status", path="/labels", times=None, status=401))
    report = warehouse.sync("labels", "users", "orders")
    assert (report.exit_code, report.fatal) == (3, None)
    assert "settings:read" in (report.runs["labels"].message or "")
    warehouse.assert_equals_truth("users", "orders")


def test_what_is_excluded_is_not_read_by_name(warehouse: Warehouse) -> None:
    with pytest.raises(SettingsError, match="leads is excluded"):
        warehouse.sync("leads", exclude=["leads"])


def test_a_refresh_after_one_of_which_a_list_failed_is_a_whole_one(
    make_warehouse: MakeWarehouse, lists: Simulator
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    lists.inject(Fault("status", path="/labels", times=None, status=500))
    assert warehouse.sync(*LISTS, refresh=True).runs["labels"].status == "failed"
    lists.clear_faults()
    warehouse.execute("UPDATE users SET first_name = 'damaged'")
    report = warehouse.sync(*LISTS, refresh=True)
    assert report.exit_code == 0
    assert {*report.runs} == {*LISTS}
    warehouse.assert_equals_truth(*LISTS)
