"""Lists under a parent: deleted with their parents, and healed by them."""

from collections import Counter

import pytest

from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, living
from tests.warehouses import Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def paying(make_warehouse: MakeWarehouse, sim: Simulator) -> Warehouse:
    return make_warehouse(sim, synced=("invoices", "payments"))


def test_rows_under_a_parent_go_when_its_list_lacks_them_or_it_is_gone(paying: Warehouse) -> None:
    sim = paying.sim
    held = Counter(row["invoice_id"] for row in sim.rows("payments"))
    touched, gone, untouched = list(held)[:3]
    lacking = {
        invoice: next(row["id"] for row in sim.rows("payments") if row["invoice_id"] == invoice)
        for invoice in (touched, untouched)
    }
    for payment in lacking.values():
        sim.delete("payments", payment)
    sim.change("invoices", touched)
    sim.delete("invoices", gone)

    report = paying.sync("invoices", "payments")
    assert report.runs["payments"].mode == "parents"
    assert report.runs["payments"].deleted == 1
    assert lacking[touched] not in living(paying, "payments")
    assert lacking[untouched] in living(paying, "payments")

    report = paying.sync("invoices", "payments", reconcile=True)
    assert report.exit_code == 0
    paying.assert_equals_truth("invoices", "payments")
    proofs = {row["proof"] for row in paying.rows("_deletions") if row["resource"] == "payments"}
    assert len(proofs) == 2


def test_a_list_that_could_not_be_read_leaves_what_is_under_it(paying: Warehouse) -> None:
    sim = paying.sim
    paid = sim.rows("payments")[0]
    sim.delete("invoices", paid["invoice_id"])
    sim.inject(Fault("status", path="/invoices", times=None, status=500))
    report = paying.sync("invoices", "payments", reconcile=True)
    assert report.exit_code == 3
    assert report.total("deleted") == 0
    assert paid["id"] in living(paying, "payments")


def test_reconciling_everything_leaves_lists_under_a_parent_their_own_rhythm(
    paying: Warehouse,
) -> None:
    paying.sync(reconcile=True, include=["invoices", "payments"])
    paying.sim.clear_requests()
    paying.sync(reconcile=True, include=["invoices", "payments"])
    assert [r.path for r in paying.sim.requests if r.path.endswith("/payments")] == []


def test_a_dropped_table_under_a_parent_heals(paying: Warehouse) -> None:
    paying.execute("DROP TABLE payments")
    assert paying.sync("invoices", "payments").exit_code == 0
    paying.assert_equals_truth("invoices", "payments")


def test_an_emptied_table_under_a_parent_heals(paying: Warehouse) -> None:
    paying.execute("DELETE FROM payments")
    assert paying.sync("invoices", "payments").exit_code == 0
    paying.assert_equals_truth("invoices", "payments")


def test_custom_records_and_their_values_heal(warehouse: Warehouse) -> None:
    names = ("custom_objects", "custom_records")
    warehouse.sync(*names)
    warehouse.execute("DROP TABLE custom_record_values")
    assert warehouse.sync(*names).exit_code == 0
    warehouse.assert_equals_truth(*names)
