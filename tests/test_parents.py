"""Lists under a parent: deleted with their parents, and healed by them."""

from collections import Counter
from typing import Any

import pytest

from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, asked, living, stop_after
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
    report = paying.sync(reconcile=True, include=["invoices", "payments"])
    assert [r.path for r in paying.sim.requests if r.path.endswith("/payments")] == []
    assert report.notes[-1].endswith("(about 60 requests): eduframe sync --reconcile payments")


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


# ---- Parents that were not asked, or did not answer, prove nothing


OPTIONS = ("signup_questions", "custom_objects", "custom_field_options")


def without_key(rows: list[Any]) -> list[Any]:
    return [{**rows[0], "id": "?"}, *rows[1:]]


def test_a_question_that_is_set_aside_keeps_its_options(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    warehouse.sync(*OPTIONS)
    sim.inject(Fault("tamper", path="/signup_questions", tamper=without_key))
    report = warehouse.sync(*OPTIONS, reconcile=True)
    assert (report.runs["signup_questions"].rejected, report.total("deleted")) == (1, 0)
    warehouse.assert_equals_truth("custom_field_options")


def test_an_object_whose_details_are_refused_once_keeps_the_options_of_its_fields(
    warehouse: Warehouse,
) -> None:
    warehouse.sync(*OPTIONS)
    warehouse.sim.inject(Fault("status", path="/custom/objects/rooms", status=403))
    assert warehouse.sync(*OPTIONS, reconcile=True).total("deleted") == 0
    warehouse.assert_equals_truth("custom_field_options")


def test_questions_whose_reading_was_interrupted_keep_their_options(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"signup_questions": 260, "custom_objects": 2, "custom_field_options": 24}
    with Simulator(scale=0, counts=counts) as sim:
        warehouse = make_warehouse(sim)
        warehouse.sync(*OPTIONS)
        warehouse.assert_equals_truth("custom_field_options")
        warehouse.sync(*OPTIONS, reconcile=True, threads=1, watch=stop_after(sim, 3))
        sim.before_response = None
        report = warehouse.sync(*OPTIONS, reconcile=True)
        assert (report.exit_code, report.total("deleted")) == (0, 0)
        warehouse.assert_equals_truth("custom_field_options")


def test_options_go_with_their_question(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    warehouse.sync(*OPTIONS)
    question = next(q for q in sim.rows("signup_questions") if q["field_type"] == "select")
    sim.delete("signup_questions", question["id"])
    warehouse.sync(*OPTIONS, reconcile=True)  # the question cannot be asked for: once more
    report = warehouse.sync(*OPTIONS, reconcile=True)
    assert report.exit_code == 0
    gone = {row["resource"] for row in warehouse.rows("_deletions")}
    assert gone == {"signup_questions", "custom_field_options"}
    warehouse.assert_equals_truth(*OPTIONS)


def test_object_types_that_are_no_longer_asked_for_stay_as_they_were(
    warehouse: Warehouse,
) -> None:
    warehouse.sync("custom_associations")
    held = living(warehouse, "custom_associations")
    report = warehouse.sync("custom_associations", reconcile=True, custom_object_types=["teachers"])
    assert (report.exit_code, report.total("deleted")) == (0, 0)
    assert living(warehouse, "custom_associations") == held


def test_only_parents_that_were_asked_in_this_read_prove_anything(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    """After the interruption an invoice changes that stood before the place to go on from."""
    warehouse = make_warehouse(big)
    warehouse.sync("invoices", "payments")
    paid = sorted({row["invoice_id"] for row in big.rows("payments")})
    for invoice in paid[20:]:
        big.change("invoices", invoice, description="changed")
    refused = paid[20]
    big.inject(Fault("status", path=f"/invoices/{refused}/payments", times=1, status=404))
    warehouse.sync("invoices", "payments", watch=stop_after(big, 24))
    big.before_response = None
    big.change("invoices", paid[0], description="changed meanwhile")
    warehouse.sync("invoices")
    report = warehouse.sync("payments")
    assert any("went on after" in note for note in report.runs["payments"].notes)
    assert report.total("deleted") == 0
    warehouse.assert_equals_truth("payments")


def test_parents_without_rows_are_not_asked_twice_by_a_read_that_goes_on(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("invoices")
    warehouse.sync("payments", watch=stop_after(big, 150))
    big.before_response = None
    before = asked(big)
    warehouse.sync("payments")
    again = asked(big) - before
    paths = [path for path in again if path.endswith("/payments")]
    assert 0 < len(paths) <= 300 - 140
    warehouse.assert_equals_truth("payments")


# ---- One parent's 404 is that parent's


def test_the_only_parent_to_ask_may_be_gone(paying: Warehouse) -> None:
    sim = paying.sim
    invoice = sim.rows("payments")[0]["invoice_id"]
    sim.change("invoices", invoice, description="changed")

    def meddle(request: Any) -> None:
        if request.path == f"/invoices/{invoice}/payments":
            sim.before_response = None
            sim.delete("invoices", invoice)

    sim.before_response = meddle
    report = paying.sync("invoices", "payments")
    assert (report.exit_code, report.runs["payments"].status) == (0, "done")
    assert paying.sync("invoices", "payments", reconcile=True).exit_code == 0
    paying.assert_equals_truth("invoices", "payments")


def test_the_lowest_parents_answering_404_do_not_switch_a_list_off(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim)
    lowest = [row["id"] for row in sim.rows("invoices")][:8]
    for invoice in lowest:
        sim.inject(Fault("status", path=f"/invoices/{invoice}/payments", status=404))
    report = warehouse.sync("invoices", "payments")
    assert (report.exit_code, report.runs["payments"].status) == (0, "done")
    # those that did not answer are asked once more
    assert warehouse.sync("invoices", "payments").runs["payments"].read > 0
    warehouse.assert_equals_truth("invoices", "payments")
    before = asked(sim)
    warehouse.sync("invoices", "payments")
    assert not [path for path in asked(sim) - before if path.endswith("/payments")]


def test_a_list_that_answers_404_for_all_parents_is_off_after_some(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    big.forbid("payments", 404)
    report = warehouse.sync("invoices", "payments")
    assert (report.exit_code, report.runs["payments"].status) == (0, "off")
    assert report.runs["payments"].traffic.requests <= 24


# ---- What moves, and what belongs to nobody


@pytest.mark.parametrize("reconcile", [False, True])
def test_a_payment_that_moves_to_another_invoice_is_found_there(
    paying: Warehouse, reconcile: bool
) -> None:
    sim = paying.sim
    payment = sim.rows("payments")[0]
    other = next(r["id"] for r in sim.rows("invoices") if r["id"] != payment["invoice_id"])
    sim.delete("payments", payment["id"])
    sim.add("payments", **{**payment, "invoice_id": other})
    sim.change("invoices", payment["invoice_id"], description="it left me")
    report = paying.sync("invoices", "payments", reconcile=reconcile)
    assert (report.exit_code, report.total("deleted")) == (0, 0)
    paying.assert_equals_truth("invoices", "payments")
    assert paying.rows("_hidden_rows") == []


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_no_child_is_left_without_its_owner(
    make_warehouse: MakeWarehouse, sim: Simulator, deletes: str
) -> None:
    warehouse = make_warehouse(sim, deletes=deletes)
    warehouse.sync("orders")
    rows = [row for row in sim.rows("orders") if row.get("order_items") and row.get("label_ids")]
    for row in rows[:2]:
        sim.delete("orders", row["id"])
    warehouse.sync("orders", reconcile=True)
    warehouse.execute("DROP TABLE orders CASCADE")
    assert warehouse.sync("orders").exit_code == 0
    orders = {row["id"] for row in warehouse.rows("orders")}
    for table in ("order_items", "order_labels"):
        assert {row["order_id"] for row in warehouse.rows(table)} <= orders
    warehouse.assert_equals_truth("orders")


# ---- Failures and stops while parents are gathered


def test_a_stop_while_parents_are_gathered_ends_the_run_in_part(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    report = warehouse.sync("payments", watch=stop_after(big, 2))
    big.before_response = None
    assert (report.exit_code, report.runs["payments"].status) == (3, "stopped")
    report = warehouse.sync("payments")
    assert report.exit_code == 0
    assert report.requests == 1 + 3 + 300
    warehouse.assert_equals_truth("payments")


def test_parents_that_may_not_be_read_concern_their_own_lists_only(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim)
    sim.forbid("invoices")
    report = warehouse.sync(include=["payments", "orders", "users", "attendances"])
    assert report.exit_code == 0
    assert report.runs["payments"].status == "off"
    assert "invoices:read" in (report.runs["payments"].message or "")
    warehouse.assert_equals_truth("orders", "users", "attendances")


@pytest.mark.parametrize("status", [403, 404])
def test_what_one_parent_answers_is_that_parents(
    make_warehouse: MakeWarehouse, sim: Simulator, status: int
) -> None:
    """Also where it is asked before all others."""
    warehouse = make_warehouse(sim)
    first = min(row["id"] for row in sim.rows("invoices"))
    sim.inject(Fault("status", path=f"/invoices/{first}/payments", status=status, times=None))
    for _ in range(2):
        report = warehouse.sync("invoices", "payments")
        assert report.runs["payments"].status == "done"
    sim.clear_faults()
    warehouse.sync("invoices", "payments", reconcile=True)
    warehouse.assert_equals_truth("invoices", "payments")
