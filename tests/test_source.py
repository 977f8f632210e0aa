"""The plain source, in a pipeline of one's own: the same rows by the same way as the sync."""

from typing import Any

import pytest

from sources.eduframe.source import eduframe_source
from sources.eduframe_simulator import Simulator
from tests.warehouses import PLENTY, Warehouse

LISTS = ("users", "addresses", "custom_values")


def source(sim: Simulator) -> Any:
    return eduframe_source(
        api_token=sim.token,
        base_url=sim.base_url,
        requests_per_window=PLENTY,
        include=["users", "orders", "labels"],
    )


def test_what_was_not_selected_at_first_arrives_later(warehouse: Warehouse) -> None:
    sim, pipeline = warehouse.sim, warehouse.pipeline
    pipeline.run(source(sim).with_resources("users"))
    assert warehouse.count("addresses") == 0
    before = warehouse.marks()
    pipeline.run(source(sim).with_resources("users"))
    assert warehouse.marks() == before
    pipeline.run(source(sim))
    warehouse.assert_equals_truth("users", "orders", "labels")


def test_what_the_plain_source_left_out_arrives_with_the_sync(warehouse: Warehouse) -> None:
    warehouse.pipeline.run(source(warehouse.sim).with_resources("users"))
    warehouse.sync("users", reconcile=True)
    warehouse.assert_equals_truth("users")


def test_one_source_may_run_again_and_again(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    one = source(sim)
    warehouse.pipeline.run(one)
    user = next(row for row in sim.rows("users") if row.get("address"))
    sim.change("users", user["id"], address={**user["address"], "city": "Elsewhere"})
    sim.change("users", sim.rows("users")[-1]["id"], first_name="Renamed")
    warehouse.pipeline.run(one)
    warehouse.assert_equals_truth("users", "orders", "labels")
    before = warehouse.marks()
    warehouse.pipeline.run(one)
    assert warehouse.marks() == before


@pytest.mark.parametrize("paging", ["cursor", "page"])
def test_a_row_that_is_met_twice_counts_as_read_last(
    make_warehouse: Any, paging: Any
) -> None:
    counts = {"users": 200, "labels": 5}
    with Simulator(scale=0, counts=counts, paging=paging, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        known = sim.rows("users")
        for row in known:
            sim.change("users", row["id"], label_ids=[1, 2])

        def meddle(request: Any) -> None:
            if request.path == "/users" and len(request.query) == 2:
                sim.before_response = None
                for number in range(30):  # those behind them move on to the next page
                    sim.add("users", id=known[0]["id"] - 1 - number, label_ids=[3])
                sim.change("users", known[99]["id"], label_ids=[4])

        sim.before_response = meddle
        warehouse.pipeline.run(source(sim).with_resources("users", *LISTS[1:]))
        warehouse.pipeline.run(source(sim).with_resources("users", *LISTS[1:]))
        warehouse.assert_equals_truth("users")
