"""A nested part that a row comes without says nothing: the row's own path is asked."""

from collections.abc import Iterator
from typing import Any

import pytest

from sources.eduframe_simulator import ABSENT, Fault, Simulator
from tests.conftest import MakeWarehouse
from tests.warehouses import PLENTY, Warehouse


@pytest.fixture
def seven(make_warehouse: MakeWarehouse) -> Iterator[Warehouse]:
    """Orders with items and labels, one in seven of which is played with."""
    counts = {"orders": 70, "labels": 9, "users": 20, "planned_courses": 3, "courses": 2}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        for order in sim.rows("orders"):
            sim.change("orders", order["id"], label_ids=[1, 2])
        warehouse = make_warehouse(sim)
        warehouse.sync("orders")
        yield warehouse


def with_items(sim: Simulator) -> list[Any]:
    return [row for row in sim.rows("orders") if row.get("order_items")]


def without(*fields: str, of: set[int]) -> Any:
    """The list comes without these parts of some orders."""
    return lambda rows: [
        {k: v for k, v in row.items() if row["id"] not in of or k not in fields} for row in rows
    ]


def test_what_the_list_lacks_and_the_rows_own_path_has_is_taken_from_there(
    seven: Warehouse,
) -> None:
    sim = seven.sim
    some = {row["id"] for row in with_items(sim)[::7]}
    fault = Fault("tamper", path="/orders", times=None, tamper=without("order_items", of=some))
    sim.inject(fault)
    before = seven.marks()
    report = seven.sync("orders", reconcile=True)
    assert (report.exit_code, report.requests) == (0, 1 + 1 + len(some))
    assert seven.marks() == before
    changed = min(some)
    sim.change("orders", changed, touch=False, order_items=[])
    seven.sync("orders", reconcile=True)
    seven.assert_equals_truth("orders")


def test_a_part_that_may_be_absent_is_none_where_the_rows_own_path_lacks_it_too(
    seven: Warehouse,
) -> None:
    sim = seven.sim
    for row in with_items(sim)[::7]:
        sim.change("orders", row["id"], order_items=ABSENT)
    report = seven.sync("orders")
    assert (report.exit_code, report.runs["orders"].mode) == (0, "cursor")
    seven.assert_equals_truth("orders")
    before = seven.marks()
    seven.sync("orders", reconcile=True)
    assert seven.marks() == before


@pytest.mark.parametrize("value", [ABSENT, None])
def test_a_part_that_is_always_there_stays_and_is_named(seven: Warehouse, value: Any) -> None:
    sim = seven.sim
    some = [row["id"] for row in sim.rows("orders")[::7]]
    for key in some:
        sim.change("orders", key, label_ids=value)
    count = seven.count("order_labels")
    report = seven.sync("orders", reconcile=True)
    assert seven.count("order_labels") == count
    assert "order_labels" in " ".join(report.runs["orders"].frozen)
    before = seven.marks()
    seven.sync("orders", reconcile=True)
    assert seven.marks() == before


def test_an_answer_that_does_not_tell_leaves_the_children(
    seven: Warehouse, no_waiting: None
) -> None:
    sim = seven.sim
    row = with_items(sim)[0]
    sim.inject(Fault("status", path=f"/orders/{row['id']}", times=None, status=500))
    sim.inject(
        Fault("tamper", path="/orders", tamper=without("order_items", of={row["id"]}))
    )
    report = seven.sync("orders", reconcile=True)
    assert "order_items" in " ".join(report.runs["orders"].frozen)
    sim.clear_faults()
    seven.sync("orders", reconcile=True)
    seven.assert_equals_truth("orders")


def test_a_part_that_many_come_without_is_not_asked_for(seven: Warehouse) -> None:
    sim = seven.sim
    some = {row["id"] for row in with_items(sim)[::3]}
    count = seven.count("order_items")
    sim.inject(Fault("tamper", path="/orders", tamper=without("order_items", of=some)))
    report = seven.sync("orders", reconcile=True)
    assert (report.requests, seven.count("order_items")) == (2, count)
    assert "order_items" in " ".join(report.runs["orders"].frozen)
    seven.sync("orders", reconcile=True)
    seven.assert_equals_truth("orders")
