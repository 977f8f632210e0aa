"""What runs on a budget learn of every kind of list, and what they do with it."""

import re
from datetime import timedelta

import pytest

from pipelines.eduframe.commands.status import run_status
from sources.eduframe_simulator import Simulator
from tests.conftest import MakeWarehouse, asked, ids
from tests.warehouses import PLENTY, Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")

QUARTER = timedelta(minutes=15)


def later(warehouse: Warehouse) -> None:
    warehouse.ahead += QUARTER
    assert warehouse.sync().exit_code == 0


def learned(warehouse: Warehouse, resource: str, kind: str) -> tuple[float, float]:
    """Found and watched, in all."""
    rows = warehouse.rows("_sync_rates")
    of = [row for row in rows if (row["resource"], row["kind"]) == (resource, kind)]
    return sum(float(row["found"]) for row in of), sum(float(row["watched"]) for row in of)


def test_lists_read_whole_and_lists_under_parents_teach_their_rates(
    make_warehouse: MakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"users": 830, "labels": 30, "invoices": 60, "payments": 40}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=tuple(counts), budget="25")
        assert warehouse.sync().exit_code == 0
        monkeypatch.setenv("SOURCES__EDUFRAME__INCLUDE", ",".join(counts))
        for name, value in warehouse.environment.items():
            monkeypatch.setenv(name, value)
        how = {"max_age": None, "as_json": True}
        assert run_status("duckdb", "eduframe", max_unproven="1d", **how) == 0, "it has begun"
        assert run_status("duckdb", "eduframe", max_unproven="0.1s", **how) == 3
        for number in range(4):
            sim.change("labels", ids(sim, "labels")[number], touch=False, name=f"N{number}")
            later(warehouse)
        found, watched = learned(warehouse, "labels", "age")
        assert found >= 1
        assert watched >= 30 * 0.25
        found, watched = learned(warehouse, "payments", "parents")
        assert 0 < found <= watched
        assert warehouse.sync("invoices", "payments", reconcile=True).exit_code == 0
        warehouse.assert_equals_truth("payments", "invoices")


def test_lists_that_are_read_in_one_go_compete(make_warehouse: MakeWarehouse) -> None:
    """Objects cost a request each, associations one for each type: they are not in every run, and
    yet as often as they are to be compared."""
    include = ("users", "custom_objects", "custom_associations")
    counts = {"users": 830, "custom_objects": 3}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=include, budget="12")
        assert warehouse.sync().exit_code == 0
        sim.clear_requests()
        for _ in range(4):
            later(warehouse)
        of_objects = asked(sim)["/custom/objects"]
        of_types = sum(asked(sim)[path] for path in asked(sim) if path.endswith("/associations"))
        assert of_objects < 4
        assert of_types < 4 * 5
        first = ids(sim, "custom_objects")[0]
        sim.change("custom_objects", first, touch=False, name_plural="Renamed")
        warehouse.ahead += timedelta(days=8)
        sim.clear_requests()
        for _ in range(2):
            later(warehouse)
        held = {row["id"]: row["name_plural"] for row in warehouse.rows("custom_objects")}
        assert held[first] == "Renamed"
        assert any(path.endswith("/associations") for path in asked(sim))


def test_requests_are_counted_for_the_kind_of_read_that_made_them(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"enrollments": 320, "planned_courses": 730, "courses": 3}
    by_id = re.compile(r"/planned_courses/\d+")
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=("enrollments", "planned_courses"), budget="9")
        warehouse.sync()
        for _ in range(3):
            sim.add("enrollments", planned_course_id=ids(sim, "planned_courses")[100])
            sim.clear_requests()
            warehouse.ahead += QUARTER
            reads = warehouse.sync().runs["planned_courses"].reads
            items = sum(number for path, number in asked(sim).items() if by_id.fullmatch(path))
            told = {kind: counts.requests for kind, counts in reads.items()}
            assert told.get("items", 0) == items
            assert told.get("pages", 0) == asked(sim)["/planned_courses"]


def test_a_clock_that_was_set_back_costs_one_round(make_warehouse: MakeWarehouse) -> None:
    """What the ledger says was read in the future is read again, once."""
    with Simulator(scale=0, counts={"users": 1230}, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, include=("users",), budget="9")
        assert warehouse.sync().exit_code == 0
        for _ in range(2):
            later(warehouse)
        warehouse.ahead -= timedelta(days=2)
        for _ in range(3):
            sim.add("users")
            later(warehouse)
        assert ids(sim, "users") == sorted(row["id"] for row in warehouse.rows("users"))
        read = {row["read_at"] for row in warehouse.rows("_sync_ledger") if row["rows_held"]}
        assert max(read) - min(read) <= timedelta(minutes=40), "none is of the future"
