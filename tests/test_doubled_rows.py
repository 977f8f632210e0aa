"""Somebody inserted rows again: one of each is left, and none passes for gone."""

import pytest

from pipelines.eduframe.exit_codes import DONE
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse
from tests.warehouses import Warehouse

LISTS = ("users", "orders", "leads")


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def warehouse(make_warehouse: MakeWarehouse, lists: Simulator) -> Warehouse:
    warehouse = make_warehouse(lists, synced=LISTS)
    if warehouse.destination == "postgres":
        warehouse.execute("ALTER TABLE users DROP CONSTRAINT pk_users CASCADE")
    return warehouse


@pytest.mark.parametrize("deletes", ["soft", "hard"])
@pytest.mark.parametrize("some", ["id < 540", "1 = 1"])
def test_one_of_each_is_left(
    warehouse: Warehouse, lists: Simulator, deletes: str, some: str
) -> None:
    gone = lists.rows("users")[-1]["id"]
    lists.delete("users", gone)
    warehouse.sync("users", reconcile=True, deletes=deletes)
    held = warehouse.count("users")
    logged = warehouse.rows("_deletions")
    warehouse.execute(f"INSERT INTO users SELECT * FROM users WHERE {some}")
    for table in ("user_labels", "custom_values", "order_items", "addresses"):
        warehouse.execute(f"INSERT INTO {table} SELECT * FROM {table}")
    report = warehouse.sync(*LISTS, reconcile=True, deletes=deletes)
    assert report.exit_code == DONE
    assert any("more than once in users" in note for note in report.runs["users"].notes)
    assert warehouse.count("users") == held
    assert warehouse.rows("_deletions") == logged
    assert report.total("deleted") == 0
    warehouse.assert_equals_truth(*LISTS)
    report = warehouse.sync(*LISTS, reconcile=True, deletes=deletes)
    assert report.total("changed") == 0
    assert not any("more than once" in n for run in report.runs.values() for n in run.notes)


def test_a_stale_copy_gives_way_to_the_row_as_it_is(
    warehouse: Warehouse, lists: Simulator
) -> None:
    user = lists.rows("users")[0]["id"]
    warehouse.execute(f"CREATE TABLE copies AS SELECT * FROM users WHERE id = {user}")
    lists.change("users", user, first_name="Ada")
    warehouse.sync("users")
    warehouse.execute("INSERT INTO users SELECT * FROM copies; DROP TABLE copies")
    assert warehouse.sync("users").exit_code == DONE
    warehouse.assert_equals_truth("users")
