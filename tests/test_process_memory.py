"""The destination is the memory: what was done to it by hand heals."""

import shutil

import pytest

from pipelines.eduframe.exit_codes import PARTLY
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import BOTH, LISTS, MakeWarehouse, ids, in_a_lake_too, stop_after
from tests.warehouses import Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@in_a_lake_too
def test_dropped_and_emptied_tables_heal(lists: Simulator, make_warehouse: MakeWarehouse) -> None:
    names = ("users", "orders", "labels", "leads")
    warehouse = make_warehouse(lists, synced=LISTS)
    warehouse.execute("DROP TABLE orders CASCADE; DROP TABLE addresses; DROP TABLE user_roles")
    warehouse.execute("DELETE FROM labels")
    report = warehouse.sync(*names)
    assert report.exit_code == 0
    warehouse.assert_equals_truth(*names)
    before = warehouse.marks()
    warehouse.sync(*names, reconcile=True)
    assert warehouse.marks() == before


@in_a_lake_too
def test_a_dataset_that_was_dropped_is_filled_anew(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists)
    warehouse.sync("labels", "users")
    warehouse.execute("DROP SCHEMA eduframe CASCADE")
    assert warehouse.sync("labels", "users").exit_code == 0
    warehouse.assert_equals_truth("labels", "users")


@in_a_lake_too
def test_a_fresh_machine_goes_on_where_another_one_ended(
    lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists)
    warehouse.sync("labels", "users")
    lists.delete("labels", ids(lists, "labels")[0])
    lists.add("users")
    before = warehouse.marks()["users"]
    shutil.rmtree(warehouse.folder / "dlt")
    warehouse.pipeline = warehouse.make_pipeline()
    report = warehouse.sync("labels", "users")
    assert report.runs["users"].mode == "cursor"
    assert report.total("new") == 1
    after = warehouse.marks()["users"]
    assert [row for row in before if row not in after] == []
    assert warehouse.sync("labels", "users", reconcile=True).total("deleted") == 1
    warehouse.assert_equals_truth("labels", "users")


@in_a_lake_too
def test_a_restored_backup_catches_up(lists: Simulator, make_warehouse: MakeWarehouse) -> None:
    warehouse = make_warehouse(lists, synced=LISTS)
    warehouse.back_up()
    lists.add("users")
    lists.change("labels", ids(lists, "labels")[3], name="renamed")
    warehouse.sync("labels", "users")
    warehouse.restore()
    warehouse.sync("labels", "users")
    warehouse.assert_equals_truth("labels", "users")


NESTED = ("user_labels", "addresses", "order_items")


@pytest.mark.parametrize("how", ["dropped", "emptied"])
@pytest.mark.parametrize("first", ["another list", "a list that fails", "cut short"])
def test_nested_tables_heal_whatever_the_next_run_reads(
    warehouse: Warehouse, sim: Simulator, how: str, first: str
) -> None:
    """A run in between that does not read their owners makes no difference."""
    lists = ("users", "orders", "labels")
    warehouse.sync(*lists)
    warehouse.sync(*lists)
    for table in NESTED:
        warehouse.execute(f"{'DROP TABLE' if how == 'dropped' else 'DELETE FROM'} {table}")
    if first == "another list":
        warehouse.sync("labels")
    elif first == "cut short":
        warehouse.sync(*lists, watch=stop_after(sim, 1))
        sim.before_response = None
    else:
        sim.inject(Fault("status", path="/users", times=None, status=500))
        sim.inject(Fault("status", path="/orders", times=None, status=500))
        assert warehouse.sync(*lists).exit_code == PARTLY
        sim.clear_faults()
    sim.change("users", sim.rows("users")[0]["id"], first_name="Changed")
    assert warehouse.sync(*lists).exit_code == 0
    warehouse.assert_equals_truth(*lists)
