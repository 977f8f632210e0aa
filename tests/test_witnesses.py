"""A row is gone on the word of two witnesses: what one read lacks may be there all the same."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import orjson
import pytest

from sources.eduframe.reading.repeats import UNSTEADY
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import BOTH, LISTS, MakeWarehouse, ids, living
from tests.warehouses import PLENTY, Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")
DAY = timedelta(days=1, minutes=1)


@pytest.fixture
def long() -> Iterator[Simulator]:
    """Lists of several pages: with an item path, and without one."""
    counts = {"orders": 1000, "labels": 320, "attendances": 320, "users": 60}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        yield sim


def hide(*hidden: int) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [row for row in rows if row["id"] not in hidden]


def hidden_from(sim: Simulator, path: str, *hidden: int) -> None:
    """From now on the list lacks these rows, which their own paths serve."""
    sim.inject(Fault("tamper", path=path, times=None, tamper=hide(*hidden)))


def items(sim: Simulator, path: str) -> list[str]:
    return [r.path for r in sim.requests if r.path.startswith(f"{path}/")]


# ---- Lists that come short


def without_next(sim: Simulator, path: str, page: int) -> None:
    """The page so far into the list has no ``Link`` header, once."""
    sim.inject(Fault("no_link", path=path, after=page - 1))


def test_a_lost_link_header_deletes_nothing_and_is_read_anew(
    long: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(long)
    warehouse.sync("orders")
    without_next(long, "/orders", 9)
    report = warehouse.sync("orders", reconcile=True)
    assert (report.exit_code, report.total("deleted")) == (3, 0)
    assert report.runs["orders"].status == "held back"
    assert "cut short" in (report.runs["orders"].message or "")
    assert living(warehouse, "orders") == set(ids(long, "orders"))
    report = warehouse.sync("orders")
    assert (report.exit_code, report.runs["orders"].mode) == (0, "reconcile")
    warehouse.assert_equals_truth("orders")
    assert warehouse.rows("_hidden_rows") == warehouse.rows("_sync_seen") == []


def test_a_page_that_comes_short_deletes_nothing_and_is_read_anew(
    long: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(long)
    warehouse.sync("orders")
    long.inject(Fault("tamper", path="/orders", after=3, tamper=lambda rows: rows[:40]))
    gone = ids(long, "orders")[0]
    long.delete("orders", gone)
    report = warehouse.sync("orders", reconcile=True)
    assert (report.exit_code, report.total("deleted")) == (3, 0)
    report = warehouse.sync("orders")
    assert (report.exit_code, report.total("deleted")) == (0, 1)
    warehouse.assert_equals_truth("orders")


def test_a_short_page_of_rows_that_cannot_be_asked_for_waits_for_the_next_read(
    long: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(long)
    warehouse.sync("attendances")
    gone = ids(long, "attendances")[5]
    long.delete("attendances", gone)
    long.inject(Fault("tamper", path="/attendances", after=2, tamper=lambda rows: rows[:60]))
    report = warehouse.sync("attendances", reconcile=True)
    assert (report.exit_code, report.total("deleted")) == (0, 0)
    assert "next reading" in " ".join(report.runs["attendances"].notes)
    warehouse.sync("attendances")  # has no cursor: it is a day later that it is read whole
    warehouse.ahead += DAY
    report = warehouse.sync("attendances")
    assert report.total("deleted") == 1 or gone not in living(warehouse, "attendances")
    warehouse.assert_equals_truth("attendances")
    (log,) = warehouse.rows("_deletions")
    assert "second one too" in log["proof"]


def test_a_list_whose_order_is_left_to_chance_proves_nothing_gone(
    make_warehouse: MakeWarehouse,
) -> None:
    """Each page is drawn anew: what came twice stands for what was left out, in each read."""
    with Simulator(scale=0, counts={"attendances": 160}, requests_per_window=PLENTY) as sim:
        warehouse, dice = make_warehouse(sim), Random(7)
        warehouse.sync("attendances")
        rows = sim.rows("attendances")
        sim.inject(Fault("tamper", path="/attendances", times=None,
                         tamper=lambda page: dice.sample(rows, len(page))))
        for _ in range(3):
            report = warehouse.sync("attendances", reconcile=True)
            assert (report.exit_code, report.total("deleted")) == (0, 0)
            assert UNSTEADY in report.runs["attendances"].frozen
        sim.clear_faults()
        sim.delete("attendances", rows[5]["id"])
        for _ in range(2):
            warehouse.sync("attendances", reconcile=True)
        warehouse.assert_equals_truth("attendances")


def test_rows_that_shift_under_pages_do_not_keep_others_from_being_gone(
    make_warehouse: MakeWarehouse,
) -> None:
    counts, order = {"attendances": 320}, {"attendances": "updated_at:desc"}
    with Simulator(
        scale=0, counts=counts, sorted_by=order, paging="page", requests_per_window=PLENTY
    ) as sim:
        warehouse = make_warehouse(sim)
        warehouse.sync("attendances")
        for one in ids(sim, "attendances")[40:43]:
            sim.delete("attendances", one)
        sim.before_response = lambda request: (
            sim.add("attendances") if request.path == "/attendances" else None
        )
        for _ in range(2):
            report = warehouse.sync("attendances", reconcile=True)
        assert report.total("deleted") == 3


def test_nothing_is_asked_where_nothing_is_missing(
    long: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(long)
    warehouse.sync("labels", "attendances")
    long.clear_requests()
    report = warehouse.sync("labels", "attendances", reconcile=True)
    assert len(long.requests) == report.requests == 1 + 4 + 4


# ---- Hidden rows


def test_a_row_that_only_its_own_path_serves_stays_and_is_kept_up_to_date(
    long: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(long)
    warehouse.sync("labels")
    hidden, gone, later, *_ = ids(long, "labels")
    hidden_from(long, "/labels", hidden)
    long.change("labels", hidden, name="changed")
    long.delete("labels", gone)
    report = warehouse.sync("labels", reconcile=True)
    assert (report.exit_code, report.total("deleted"), report.total("changed")) == (0, 1, 1)
    assert report.runs["labels"].traffic.requests == 4 + 1 + 2
    (log,) = warehouse.rows("_deletions")
    assert (log["key"], "own path answers 404" in log["proof"]) == (str(gone), True)
    warehouse.assert_equals_truth("labels")
    (row,) = warehouse.rows("_hidden_rows")
    assert (row["resource"], row["key"], row["state"]) == ("labels", str(hidden), "hidden")

    long.delete("labels", later)  # arrives, whatever is hidden
    long.clear_requests()
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 1
    assert f"/labels/{hidden}" not in items(long, "/labels")

    warehouse.ahead += timedelta(days=7, minutes=1)
    long.clear_requests()
    warehouse.sync("labels")
    assert f"/labels/{hidden}" in items(long, "/labels")
    long.clear_faults()
    warehouse.sync("labels", reconcile=True)
    assert warehouse.rows("_hidden_rows") == []
    warehouse.assert_equals_truth("labels")


def test_deletions_arrive_beside_many_rows_that_are_hidden(
    long: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(long)
    warehouse.sync("labels")
    known = ids(long, "labels")
    hidden_from(long, "/labels", *known[:200])
    gone = known[200:203]
    for key in gone:
        long.delete("labels", key)
    codes = [warehouse.sync("labels").exit_code]  # by cursor: it looks for no deletions
    for _ in range(4):
        codes.append(warehouse.sync("labels", reconcile=True).exit_code)
    assert codes == [0, 3, 0, 0, 0]
    assert living(warehouse, "labels") == set(known) - set(gone)
    assert sum(row["state"] == "hidden" for row in warehouse.rows("_hidden_rows")) == 200


def test_an_answer_that_does_not_tell_leaves_a_row_open_and_others_come_first(
    long: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(long, max_absence_questions=2)
    warehouse.sync("labels")
    first, second, third, *_ = ids(long, "labels")
    for key in (first, second):
        long.delete("labels", key)
        long.inject(Fault("status", path=f"/labels/{key}", times=None, status=500))
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 0
    assert {row["state"] for row in warehouse.rows("_hidden_rows")} == {"open"}
    long.delete("labels", third)
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 1
    assert third not in living(warehouse, "labels")
    long.clear_faults()
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 2
    warehouse.assert_equals_truth("labels")
    assert warehouse.rows("_hidden_rows") == []


def test_without_questions_two_complete_reads_decide(
    long: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(long, max_absence_questions=0)
    warehouse.sync("labels")
    key = ids(long, "labels")[0]
    long.delete("labels", key)
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 0
    assert warehouse.sync("labels").total("deleted") == 0
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 1
    assert items(long, "/labels") == []


# ---- Child tables that were emptied


@pytest.mark.parametrize("destination", BOTH, scope="session")
def test_a_child_table_without_any_row_is_filled_again(warehouse: Warehouse) -> None:
    warehouse.sync("orders", "users")
    warehouse.execute("DELETE FROM order_items")
    warehouse.execute("DELETE FROM addresses")
    assert warehouse.sync("orders", "users", reconcile=True).exit_code == 0
    warehouse.assert_equals_truth("orders", "users")
    before = warehouse.marks()
    warehouse.sync("orders", "users", reconcile=True)
    assert warehouse.marks() == before


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": {}, "code": 404, "message": "not found"},
        {"data": {"id": 1}},
        {},
        {"id": 1, "name": "no row"},
    ],
)
def test_what_is_not_the_row_is_not_taken_for_it(
    make_warehouse: MakeWarehouse, lists: Simulator, answer: dict[str, Any]
) -> None:
    """A row is missing from its list, and its own path answers 200 with something else."""
    warehouse = make_warehouse(lists, synced=LISTS)
    row = lists.rows("users")[0]
    answer = {**answer, **({"id": row["id"]} if "id" in answer else {})}
    lists.inject(Fault("tamper", path="/users", times=None,
                       tamper=lambda rows: [r for r in rows if r["id"] != row["id"]]))
    lists.inject(Fault("tamper", path=f"/users/{row['id']}", times=None,
                       tamper=lambda _: orjson.dumps(answer)))
    before = warehouse.query(f"SELECT * FROM users WHERE id = {row['id']}")
    report = warehouse.sync("users", reconcile=True)
    assert report.total("deleted") == 0
    assert warehouse.query(f"SELECT * FROM users WHERE id = {row['id']}") == before
    lists.clear_faults()
    warehouse.sync("users")
    warehouse.assert_equals_truth("users")


def test_a_refusal_of_every_rows_own_path_proves_nothing(
    make_warehouse: MakeWarehouse, lists: Simulator
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    hidden = {row["id"] for row in lists.rows("labels")[:2]}
    lists.inject(Fault("tamper", path="/labels", times=None,
                       tamper=lambda rows: [r for r in rows if r["id"] not in hidden]))
    lists.inject(Fault("status", path="/labels/*", status=403, times=None))
    for _ in range(3):
        report = warehouse.sync("labels", reconcile=True)
        assert report.total("deleted") == 0
        assert report.runs["labels"].frozen
    lists.clear_faults()
    warehouse.sync("labels", reconcile=True)
    warehouse.assert_equals_truth("labels")


@pytest.mark.parametrize("status", [401, 403, 410, 502])
def test_one_row_whose_own_path_is_odd_keeps_no_other_from_being_gone(
    make_warehouse: MakeWarehouse, lists: Simulator, status: int
) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    odd, *_, gone = ids(lists, "labels")
    lists.inject(Fault("status", path=f"/labels/{odd}", status=status, times=None))
    lists.delete("labels", gone)
    assert warehouse.sync("labels", reconcile=True).total("deleted") == 1
    warehouse.assert_equals_truth("labels")
