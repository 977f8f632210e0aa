"""Somebody dropped or emptied dlt's tables, or ours: no row passes for new, none for living."""

import pytest

from pipelines.eduframe.exit_codes import DONE
from sources.eduframe.errors import OtherCustomerError
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse
from tests.warehouses import Warehouse

LISTS = ("users", "orders", "labels")


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def warehouse(make_warehouse: MakeWarehouse, lists: Simulator) -> Warehouse:
    return make_warehouse(lists, synced=LISTS)


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("DROP TABLE _dlt_loads", "_dlt_loads was dropped: it is made anew"),
        ("DELETE FROM _dlt_loads", "_dlt_loads was empty: it is made anew"),
        ("DROP TABLE _dlt_version", "_dlt_version was dropped"),
        ("DROP TABLE _dlt_pipeline_state", "_dlt_pipeline_state was dropped: how far"),
        ("DROP TABLE _sync_runs", "lists are read: _sync_runs"),
        ("DROP TABLE _deletions", "lists are read: _deletions"),
        ("DROP TABLE _sync_seen", "lists are read: _sync_seen"),
    ],
)
def test_what_was_deleted_is_found_and_what_is_there_is_not_new(
    warehouse: Warehouse, lists: Simulator, done: str, said: str
) -> None:
    before, *gone = (row["id"] for row in lists.rows("users")[:4])
    lists.delete("users", before)
    assert warehouse.sync("users", reconcile=True).runs["users"].deleted == 1
    marked = warehouse.query("SELECT * FROM users WHERE _deleted_at IS NOT NULL")
    warehouse.execute(done)
    for key in gone:
        lists.delete("users", key)
    report = warehouse.sync(*LISTS, reconcile=True)
    assert report.exit_code == DONE
    assert any(said in note for note in report.notes), report.notes
    users = report.runs["users"]
    assert (users.new, users.deleted) == (0, 3)
    logged = [str(key) for key in ([] if "_deletions" in done else [before]) + gone]
    assert sorted(row["key"] for row in warehouse.rows("_deletions")) == sorted(logged)
    now = warehouse.query(f"SELECT _deleted_at FROM users WHERE id = {before}")
    assert [row["_deleted_at"] for row in now] == [row["_deleted_at"] for row in marked]
    warehouse.assert_equals_truth(*LISTS)
    marks = warehouse.marks()
    report = warehouse.sync(*LISTS)
    assert (report.exit_code, report.notes) == (DONE, [])
    assert warehouse.marks() == marks


def test_without_dlts_state_the_rows_tell_whose_they_are(
    make_warehouse: MakeWarehouse, lists: Simulator
) -> None:
    warehouse = make_warehouse(lists)
    warehouse.sync("educators", "labels")
    warehouse.execute("DROP TABLE _dlt_pipeline_state")
    warehouse.execute("UPDATE educators SET id = id + 1")
    with pytest.raises(OtherCustomerError):
        warehouse.sync("labels")
