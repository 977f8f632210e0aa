"""One parent whose list cannot be read: its rows stay, it is asked again, the others are read."""

from collections import Counter
from typing import Any

import pytest

from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, asked, living

pytestmark = pytest.mark.usefixtures("no_waiting")

LISTS = ("invoices", "payments")


def fails(sim: Simulator, *invoices: int, status: int = 422, times: int | None = None) -> None:
    for invoice in invoices:
        path = f"/invoices/{invoice}/payments"
        sim.inject(Fault("status", path=path, status=status, times=times))


def paid(sim: Simulator) -> list[int]:
    """Invoices that have payments, the lowest first."""
    return sorted(Counter(row["invoice_id"] for row in sim.rows("payments")))


def of_payments(paths: Counter[str]) -> list[str]:
    return [path for path in paths.elements() if path.endswith("/payments")]


@pytest.mark.parametrize("destination", BOTH, scope="session")
@pytest.mark.parametrize("status", [401, 422, 500])
def test_one_parent_that_always_fails_keeps_no_other_from_being_read(
    make_warehouse: MakeWarehouse, sim: Simulator, status: int
) -> None:
    warehouse = make_warehouse(sim, synced=LISTS)
    bad, good, *_ = paid(sim)
    under = {row["id"] for row in sim.rows("payments") if row["invoice_id"] == bad}
    for invoice in (bad, good):
        gone = next(row["id"] for row in sim.rows("payments") if row["invoice_id"] == invoice)
        sim.delete("payments", gone)
        sim.change("invoices", invoice, description="changed")
    fails(sim, bad, status=status)
    for reconcile in (False, True):
        report = warehouse.sync(*LISTS, reconcile=reconcile)
        run = report.runs["payments"]
        assert (report.exit_code, run.status, report.fatal) == (3, "failed", None)
        assert f"/invoices/{bad}/payments" in (run.message or "")
        assert living(warehouse, "payments") == {row["id"] for row in sim.rows("payments")} | under
    # without anything due it alone is asked for
    before = asked(sim)
    report = warehouse.sync(*LISTS)
    assert {*of_payments(asked(sim) - before)} == {f"/invoices/{bad}/payments"}
    assert report.exit_code == 3
    sim.clear_faults()
    assert warehouse.sync(*LISTS).exit_code == 0
    warehouse.assert_equals_truth(*LISTS)
    before = asked(sim)
    warehouse.sync(*LISTS)
    assert of_payments(asked(sim) - before) == []


def test_a_refusal_whose_reach_cannot_be_told_is_asked_about_once_a_list(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim, synced=LISTS)
    fails(sim, *paid(sim)[:5], status=401)
    sim.inject(Fault("status", path="/educators/current", status=500, after=1, times=None))
    report = warehouse.sync(*LISTS, reconcile=True)
    assert asked(sim)["/educators/current"] == 1 + 6
    message = report.runs["payments"].message or ""
    assert "answered 401, and whether the token is accepted elsewhere cannot be told" in message
    assert "though the token is accepted" not in message


def test_a_parent_that_fails_in_a_first_load_is_read_later(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim)
    bad = paid(sim)[0]
    fails(sim, bad, status=401)
    assert warehouse.sync(*LISTS).exit_code == 3
    held = {row["id"] for row in sim.rows("payments") if row["invoice_id"] != bad}
    assert living(warehouse, "payments") == held
    sim.clear_faults()
    assert warehouse.sync(*LISTS).exit_code == 0
    warehouse.assert_equals_truth(*LISTS)


def test_a_list_that_fails_for_every_parent_is_left_after_some(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    big.inject(Fault("status", path="/invoices/*/payments", status=422, times=None))
    for _ in range(2):
        report = warehouse.sync(*LISTS)
        assert (report.exit_code, report.runs["payments"].status) == (3, "failed")
        assert report.runs["payments"].traffic.requests <= 24
        assert "20 parents in a row" in (report.runs["payments"].message or "")
    big.clear_faults()
    assert warehouse.sync(*LISTS).exit_code == 0
    warehouse.assert_equals_truth(*LISTS)


@pytest.mark.parametrize(("status", "count"), [(422, 25), (500, 4)])
def test_many_parents_that_fail_come_after_the_others_in_the_next_run(
    make_warehouse: MakeWarehouse, big: Simulator, status: int, count: int
) -> None:
    warehouse = make_warehouse(big)
    bad = sorted(row["id"] for row in big.rows("invoices"))[:count]
    fails(big, *bad, status=status)
    warehouse.sync(*LISTS)
    for _ in range(2):
        report = warehouse.sync(*LISTS)
        assert (report.exit_code, report.runs["payments"].status) == (3, "failed")
        assert f"under {count} parents" in (report.runs["payments"].message or "")
        served = {row["id"] for row in big.rows("payments") if row["invoice_id"] not in bad}
        assert living(warehouse, "payments") == served
    big.clear_faults()
    assert warehouse.sync(*LISTS).exit_code == 0
    warehouse.assert_equals_truth(*LISTS)


def test_of_more_failed_parents_than_are_asked_others_are_in_each_run(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    every = sorted(row["id"] for row in big.rows("invoices"))
    fails(big, *every[::2])
    assert warehouse.sync(*LISTS).exit_code == 3
    tried: set[str] = set()
    for _ in range(3):
        before = asked(big)
        report = warehouse.sync(*LISTS)
        assert report.runs["payments"].traffic.requests <= 24
        assert "under 150 parents" in (report.runs["payments"].message or "")
        tried |= {*of_payments(asked(big) - before)}
    assert len(tried) > 40
    big.clear_faults()
    assert warehouse.sync(*LISTS).exit_code == 0
    warehouse.assert_equals_truth(*LISTS)


def test_a_token_that_is_revoked_ends_the_run(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim)
    warehouse.sync("invoices")
    sim.inject(Fault("status", status=401, after=8, times=None))
    report = warehouse.sync("payments", "labels", threads=1)
    assert report.exit_code == 1
    assert "does not accept the token" in (report.fatal or "")


def test_lists_of_which_only_parents_that_fail_are_due_are_no_failed_run(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim, synced=("invoices", "payments", "custom_objects",
                                            "custom_records"))
    bad, slug = paid(sim)[0], sim.rows("custom_objects")[0]["slug"]
    fails(sim, bad)
    path = f"/custom/objects/{slug}/records"
    sim.inject(Fault("status", path=path, times=None, status=422))
    for reconcile in (True, False):
        report = warehouse.sync("payments", "custom_records", reconcile=reconcile)
        assert (report.exit_code, report.message) == (3, None)


def test_a_refresh_of_which_a_parent_failed_writes_its_rows_when_it_answers(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim, synced=LISTS)
    bad = paid(sim)[0]
    fails(sim, bad)
    warehouse.execute(f"UPDATE payments SET amount = 0 WHERE invoice_id = {bad}")
    assert warehouse.sync(*LISTS, refresh=True).exit_code == 3
    sim.clear_faults()
    assert warehouse.sync(*LISTS).exit_code == 0
    warehouse.assert_equals_truth(*LISTS)


def test_a_row_whose_own_path_alone_refuses_the_token_ends_nothing(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse = make_warehouse(sim, synced=("labels",))
    odd, gone, *_ = (row["id"] for row in sim.rows("labels"))
    for key in (odd, gone):
        sim.delete("labels", key)
    sim.inject(Fault("status", path=f"/labels/{odd}", status=401, times=None))
    report = warehouse.sync("labels", reconcile=True)
    assert (report.fatal, report.total("deleted")) == (None, 1)
    assert odd in living(warehouse, "labels")


@pytest.mark.parametrize("status", [401, 403, 422])
def test_an_object_whose_details_are_refused_keeps_them_and_its_list(
    make_warehouse: MakeWarehouse, sim: Simulator, status: int
) -> None:
    warehouse = make_warehouse(sim, synced=("custom_objects",))
    before = warehouse.rows("custom_object_fields")
    first, other, *_ = sim.rows("custom_objects")
    slug: Any = first["slug"]
    sim.inject(Fault("status", path=f"/custom/objects/{slug}", status=status, times=None))
    sim.change("custom_objects", other["id"], fields=other["fields"][:1])
    report = warehouse.sync("custom_objects", reconcile=True)
    assert report.runs["custom_objects"].status == "done"
    after = warehouse.rows("custom_object_fields")
    for object_slug, left in ((slug, None), (other["slug"], 1)):
        held = [row for row in before if row["object_slug"] == object_slug]
        now = [row for row in after if row["object_slug"] == object_slug]
        assert len(now) == (left or len(held)) > 0
    sim.clear_faults()
    warehouse.sync("custom_objects", reconcile=True)
    warehouse.assert_equals_truth("custom_objects")
