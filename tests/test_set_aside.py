"""Rows that do not fit stay set aside until they do, or are gone."""

import pytest

from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse, in_a_lake_too, stop_after
from tests.warehouses import Warehouse


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def set_aside(warehouse: Warehouse) -> set[int]:
    """The keys of the rows that do not fit, and have not been settled."""
    return {
        int(row["key"]) for row in warehouse.rows("_rejected_rows") if row["resolved_at"] is None
    }


@in_a_lake_too
def test_rows_set_aside_are_settled_when_they_fit_or_are_gone(synced: Warehouse) -> None:
    warehouse, sim = synced, synced.sim
    fits, goes = (row["id"] for row in sim.rows("users")[:2])
    for key in (fits, goes):
        sim.change("users", key, first_name={"not": "a name"})
    for _ in range(2):  # they are looked at again, although nothing has moved
        report = warehouse.sync("users")
        assert (report.runs["users"].mode, report.runs["users"].rejected) == ("cursor", 2)
        assert set_aside(warehouse) == {fits, goes}
    sim.change("users", fits, first_name="Ada")
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

    sim.change("payments", payment["id"], status={"not": "a status"})
    sync_after_change(parent)
    assert set_aside(warehouse) == {payment["id"]}
    sim.change("payments", payment["id"], status="paid")
    sync_after_change(other)
    assert set_aside(warehouse) == {payment["id"]}
    sync_after_change(parent)
    assert set_aside(warehouse) == set()


def test_rows_set_aside_early_in_a_read_that_spans_runs_stay_so(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    odd = big.rows("attendances")[0]["id"]
    big.change("attendances", odd, comment={"not": "a comment"})
    warehouse.sync("attendances", watch=stop_after(big, 10))
    big.before_response = None
    assert warehouse.sync("attendances").exit_code == 0
    assert set_aside(warehouse) == {odd}
