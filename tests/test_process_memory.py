"""The destination is the memory: what was done to it by hand heals."""

import shutil

import pytest

from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, LISTS, MakeWarehouse, ids, in_a_lake_too

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
