"""Rows without a usable key stay set aside until they have one, or are gone."""

from collections.abc import Collection
from typing import Any

import pytest

from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse, in_a_lake_too, stop_after, tampered
from tests.warehouses import Warehouse, as_json


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def serve_without_key(sim: Simulator, table: str, ids: Collection[int]) -> None:
    """From now on the rows with these ids, and no others, have none that can be used."""

    def change(row: dict[str, Any]) -> None:
        if row["id"] in ids:
            row["id"] = f"?{row['id']}"

    sim.clear_faults()
    tampered(sim, table, change)


def set_aside(warehouse: Warehouse) -> set[int]:
    """The ids, as they were, of the rows that are set aside and have not been settled."""
    rows = (row for row in warehouse.rows("_rejected_rows") if row["resolved_at"] is None)
    return {int(as_json(row["row"])["id"].removeprefix("?")) for row in rows}


@in_a_lake_too
def test_rows_set_aside_are_settled_when_they_fit_or_are_gone(synced: Warehouse) -> None:
    warehouse, sim = synced, synced.sim
    fits, goes = (row["id"] for row in sim.rows("users")[:2])
    serve_without_key(sim, "users", {fits, goes})
    for code in (3, 0):  # they are looked at again, although nothing has moved, and told once
        report = warehouse.sync("users")
        assert report.exit_code == code
        assert (report.runs["users"].mode, report.runs["users"].rejected) == ("cursor", 2)
        assert set_aside(warehouse) == {fits, goes}
    serve_without_key(sim, "users", {goes})
    warehouse.sync("users")
    assert set_aside(warehouse) == {goes}
    sim.delete("users", goes)
    assert warehouse.sync("users").runs["users"].mode == "cursor"
    assert set_aside(warehouse) == set()


def test_rows_set_aside_under_a_parent_are_settled_when_that_is_read(
    synced: Warehouse,
) -> None:
    warehouse, sim = synced, synced.sim
    payment = sim.rows("payments")[0]
    parent = payment["invoice_id"]
    other = next(row["id"] for row in sim.rows("invoices") if row["id"] != parent)

    def sync_after_change(invoice: int) -> None:
        sim.change("invoices", invoice, description="changed")
        assert warehouse.sync("invoices", "payments").runs["payments"].mode == "parents"

    serve_without_key(sim, "payments", {payment["id"]})
    sync_after_change(parent)
    assert set_aside(warehouse) == {payment["id"]}
    sim.clear_faults()
    sync_after_change(other)
    assert set_aside(warehouse) == {payment["id"]}
    sync_after_change(parent)
    assert set_aside(warehouse) == set()


def test_rows_set_aside_early_in_a_read_that_spans_runs_stay_so(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    odd = big.rows("attendances")[0]["id"]
    serve_without_key(big, "attendances", {odd})
    warehouse.sync("attendances", watch=stop_after(big, 10))
    big.before_response = None
    assert warehouse.sync("attendances").exit_code == 0
    assert set_aside(warehouse) == {odd}
