"""Lists by page number, whose rows shift while they are read, prove nothing by themselves."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, ids, living
from tests.warehouses import PLENTY

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def paged() -> Iterator[Simulator]:
    """Lists of several pages, by page number."""
    counts = {"users": 200, "orders": 320, "labels": 320, "attendances": 320, "referrals": 6}
    with Simulator(scale=0, counts=counts, paging="page", requests_per_window=PLENTY) as sim:
        yield sim


def test_a_row_that_slips_between_two_pages_is_asked_for_and_stays(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(paged, synced=("labels", "attendances"))
    known = ids(paged, "labels")

    def meddle(request: Any) -> None:
        if request.query.get("page") == ["2"] and known[50] in ids(paged, "labels"):
            paged.delete("labels", known[50])

    paged.delete("labels", known[200])
    paged.before_response = meddle
    report = warehouse.sync("labels", reconcile=True)
    paged.before_response = None
    assert report.exit_code == 0
    assert living(warehouse, "labels") == set(known) - {known[200]}
    asked = {r.path: r.status for r in paged.requests if r.path.startswith("/labels/")}
    assert asked[f"/labels/{known[200]}"] == 404
    assert asked[f"/labels/{known[100]}"] == 200
    warehouse.sync("labels", reconcile=True)
    warehouse.assert_equals_truth("labels")


def test_those_too_many_to_ask_for_in_one_run_are_asked_for_in_the_next(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(paged, synced=("labels", "attendances"), max_delete_share=0.9)
    for ident in ids(paged, "labels")[:101]:
        paged.delete("labels", ident)
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 100
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 1
    asked = Counter(r.path for r in paged.requests if r.status == 404)
    assert (len(asked), asked.total()) == (101, 101)
    warehouse.assert_equals_truth("labels")


def test_a_few_drawn_at_random_speak_for_many_that_two_reads_lack(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(paged, max_delete_share=0.9, max_absence_questions=25)
    warehouse.sync("labels")
    for ident in ids(paged, "labels")[:101]:
        paged.delete("labels", ident)
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 25
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 76
    assert sum(r.status == 404 for r in paged.requests) == 45
    assert any("drawn at random" in row["proof"] for row in warehouse.rows("_deletions"))
    warehouse.assert_equals_truth("labels")


def test_where_rows_cannot_be_asked_for_one_read_by_page_number_proves_nothing(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    """A row that slipped to a page that was read is alive, and must not be marked."""
    warehouse = make_warehouse(paged, synced=("labels", "attendances"))
    known = ids(paged, "attendances")

    def meddle(request: Any) -> None:
        if request.query.get("page") == ["2"] and known[0] in ids(paged, "attendances"):
            paged.delete("attendances", known[0])

    paged.before_response = meddle
    warehouse.sync("attendances", reconcile=True)
    paged.before_response = None
    assert set(ids(paged, "attendances")) <= living(warehouse, "attendances")
    for _ in range(2):
        warehouse.sync("attendances", reconcile=True)
    warehouse.assert_equals_truth("attendances")


def test_a_row_that_slips_between_two_pages_of_a_parents_list_stays(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"custom_records": 350, "custom_objects": 1}
    with Simulator(scale=0, counts=counts, paging="page", requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, synced=("custom_objects", "custom_records"))
        known = ids(sim, "custom_records")

        def meddle(request: Any) -> None:
            if request.query.get("page") == ["2"] and known[50] in ids(sim, "custom_records"):
                sim.delete("custom_records", known[50])

        sim.before_response = meddle
        report = warehouse.sync("custom_records", reconcile=True)
        sim.before_response = None
        assert report.exit_code == 0
        assert set(ids(sim, "custom_records")) <= living(warehouse, "custom_records")
        warehouse.sync("custom_records", reconcile=True)
        warehouse.assert_equals_truth("custom_records")


def test_where_no_row_can_be_asked_for_none_is_deleted(
    paged: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(paged, synced=("labels", "attendances"))
    paged.delete("labels", ids(paged, "labels")[0])
    paged.inject(Fault("status", path="/labels/*", status=404, times=None))
    report = warehouse.sync("labels", reconcile=True)
    assert report.total("deleted") == 0
    assert "by its id" in " ".join(report.runs["labels"].frozen)
