"""One table that the destination refuses is the failure of its lists, and of no other."""

import pytest

from pipelines.eduframe.exit_codes import DONE, PARTLY
from sources.eduframe.errors import LoadFailedError
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse
from tests.warehouses import Home, Warehouse

LISTS = ("users", "orders", "labels", "leads")


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def warehouse(make_warehouse: MakeWarehouse, lists: Simulator) -> Warehouse:
    return make_warehouse(lists, synced=LISTS)


def refuse(warehouse: Warehouse, table: str, column: str, limit: int) -> None:
    """Let a table take no row whose column has a larger number."""
    if warehouse.destination == "postgres":
        rule = f"CHECK ({column} <= {limit})"
        warehouse.execute(f'ALTER TABLE "{table}" ADD CONSTRAINT small {rule}')
    else:  # which adds no checks to tables that are there
        columns = ", ".join(
            f'"{name}" {kind}' for name, kind in warehouse.types(table)[table].items()
        )
        warehouse.execute(
            f'ALTER TABLE "{table}" RENAME TO before; '
            f'CREATE TABLE "{table}" ({columns}, CONSTRAINT small CHECK ({column} <= {limit})); '
            f'INSERT INTO "{table}" SELECT * FROM before; DROP TABLE before'
        )


def allow(warehouse: Warehouse, table: str) -> None:
    if warehouse.destination == "postgres":
        warehouse.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT small')
    else:
        warehouse.execute(
            f'CREATE TABLE now AS FROM "{table}"; DROP TABLE "{table}"; '
            f'ALTER TABLE now RENAME TO "{table}"'
        )


def test_the_others_are_loaded_and_the_next_run_takes_up_what_is_left(
    warehouse: Warehouse, lists: Simulator
) -> None:
    top = max(row["id"] for row in lists.rows("orders"))
    refuse(warehouse, "orders", "id", top)
    added = lists.add("orders")
    gone = lists.rows("orders")[0]["id"]
    lists.delete("orders", gone)
    lists.change("users", lists.rows("users")[0]["id"], first_name="Ada")
    lists.add("labels")
    report = warehouse.sync(*LISTS, reconcile=True)
    assert report.exit_code == PARTLY
    assert {name for name, run in report.runs.items() if run.status != "done"} == {"orders"}
    message = str(report.runs["orders"].message)
    assert "does not take rows of orders" in message
    assert "CHECK" in message or "small" in message
    if warehouse.destination == "postgres":
        assert 'ALTER TABLE "eduframe"."orders" DROP CONSTRAINT "small"' in message
        assert "refresh" not in message
    else:
        assert "eduframe refresh orders" in message
    [row] = warehouse.query(
        f"SELECT status, message FROM _sync_resources WHERE run_id = '{report.run_id}' "
        "AND resource = 'orders'"
    )
    assert row == {"status": "failed", "message": message}
    warehouse.assert_equals_truth("users", "labels", "leads")
    allow(warehouse, "orders")
    report = warehouse.sync(*LISTS, reconcile=True)
    assert report.exit_code == DONE
    assert report.runs["orders"].deleted == 1
    assert added["id"] in {row["id"] for row in warehouse.rows("orders")}
    warehouse.assert_equals_truth(*LISTS)
    assert [row["key"] for row in warehouse.rows("_deletions")] == [str(gone)]


def test_what_came_before_in_the_same_run_stays(
    home: Home, destination: str, lists: Simulator, make_warehouse: MakeWarehouse
) -> None:
    warehouse = make_warehouse(lists)
    keys = sorted(row["id"] for row in lists.rows("users"))
    refuse(warehouse, "users", "id", keys[150])
    report = warehouse.sync(*LISTS, load_package_rows=1)
    assert report.exit_code == PARTLY
    assert report.runs["users"].status == "failed"
    warehouse.assert_equals_truth("orders", "labels", "leads")
    allow(warehouse, "users")
    assert warehouse.sync(*LISTS).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_a_nested_table_fails_its_list_alone(warehouse: Warehouse, lists: Simulator) -> None:
    order = next(row for row in lists.rows("orders") if row["order_items"])
    top = max(item["id"] for row in lists.rows("orders") for item in row["order_items"])
    refuse(warehouse, "order_items", "id", top)
    items = [{**item, "id": item["id"] + top} for item in order["order_items"]]
    lists.change("orders", order["id"], order_items=items)
    lists.add("users")
    report = warehouse.sync(*LISTS, reconcile=True)
    assert {name for name, run in report.runs.items() if run.status != "done"} == {"orders"}
    warehouse.assert_equals_truth("users")
    allow(warehouse, "order_items")
    assert warehouse.sync(*LISTS).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_a_shared_nested_table_fails_the_lists_that_have_rows_in_it(
    warehouse: Warehouse, lists: Simulator
) -> None:
    top = warehouse.query("SELECT max(position) AS n FROM custom_values")[0]["n"]
    refuse(warehouse, "custom_values", "position", top)
    user = lists.rows("users")[0]["id"]
    lists.change("users", user, custom={"many": [*range(top + 5)]})
    lists.add("labels")
    report = warehouse.sync(*LISTS)
    assert {name for name, run in report.runs.items() if run.status != "done"} == {"users"}
    warehouse.assert_equals_truth("labels")
    allow(warehouse, "custom_values")
    assert warehouse.sync(*LISTS).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_the_run_log_is_no_lists_table(warehouse: Warehouse) -> None:
    top = warehouse.query("SELECT max(requests) AS n FROM _sync_runs")[0]["n"]
    refuse(warehouse, "_sync_runs", "requests", top)
    with pytest.raises(LoadFailedError, match=r"small|CHECK"):
        warehouse.sync(lock_wait_seconds=0)


@pytest.mark.parametrize("destination", ["duckdb"], scope="session")
def test_a_refresh_puts_a_table_without_checks_in_the_place_of_one_with(
    warehouse: Warehouse, lists: Simulator
) -> None:
    top = max(row["id"] for row in lists.rows("orders"))
    refuse(warehouse, "orders", "id", top)
    lists.add("orders")
    report = warehouse.sync("orders", refresh=True)
    assert report.exit_code == DONE, report.runs["orders"].message
    assert [note for note in report.notes if "orders has a CHECK" in note]
    warehouse.assert_equals_truth("orders")


THEIRS = {
    "trigger": (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; "
        "END'; CREATE TRIGGER mine BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION no()",
        'the trigger mine. Remove it, with: DROP TRIGGER "mine" ON "eduframe"."users"',
    ),
    "foreign key": (
        "CREATE TABLE theirs (one bigint CONSTRAINT mine REFERENCES users(id)); "
        "INSERT INTO theirs SELECT id FROM users",
        'ALTER TABLE "eduframe"."theirs" DROP CONSTRAINT "mine"',
    ),
}


@pytest.mark.parametrize("destination", ["postgres"], scope="session")
@pytest.mark.parametrize("what", THEIRS)
def test_what_others_hung_on_a_table_is_named_with_what_removes_it(
    warehouse: Warehouse, lists: Simulator, what: str
) -> None:
    theirs, removal = THEIRS[what]
    warehouse.execute(theirs)
    lists.change("users", lists.rows("users")[0]["id"], first_name="Ada")
    report = warehouse.sync("users", "labels", refresh=True)
    assert {name for name, run in report.runs.items() if run.status != "done"} == {"users"}
    message = str(report.runs["users"].message)
    assert removal in message
    assert "refresh" not in message
    statement = message.split("with: ")[1].rstrip(".")
    warehouse.execute(statement)
    assert warehouse.sync("users").exit_code == DONE
    warehouse.assert_equals_truth("users")


@pytest.mark.parametrize("destination", ["duckdb"], scope="session")
def test_a_log_that_takes_no_rows_says_what_helps(
    warehouse: Warehouse, lists: Simulator
) -> None:
    warehouse.execute("DELETE FROM _sync_runs")
    refuse(warehouse, "_sync_runs", "resources", 0)
    lists.add("labels")
    with pytest.raises(LoadFailedError, match=r"Drop the table _sync_runs, .* makes it anew\."):
        warehouse.sync("labels", lock_wait_seconds=0)
    warehouse.execute("DROP TABLE _sync_runs")
    assert warehouse.sync("labels").exit_code == DONE
    warehouse.assert_equals_truth("labels")
