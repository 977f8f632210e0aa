"""A Postgres that others use too: their locks, their limits, their tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

from pipelines.eduframe.destinations.postgres import copy, room
from pipelines.eduframe.exit_codes import DONE, PARTLY, WRONG_USE
from sources.eduframe.errors import ConnectionsError, RightsError
from sources.eduframe_simulator import Simulator
from tests.conftest import Eduframe, MakeWarehouse, settings
from tests.warehouses import Home, Warehouse

LISTS = ("users", "orders", "labels")


@pytest.fixture(scope="session")
def destination() -> str:
    return "postgres"


@pytest.fixture
def warehouse(make_warehouse: MakeWarehouse, lists: Simulator) -> Warehouse:
    return make_warehouse(lists, synced=LISTS)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "LOCK_SECONDS", 0.1)


@contextmanager
def locked(warehouse: Warehouse, table: str, mode: str) -> Iterator[int]:
    """Somebody has a table locked: who."""
    with psycopg2.connect(warehouse.address, application_name="psql") as other:
        with other.cursor() as cursor:
            cursor.execute(f'LOCK TABLE eduframe."{table}" IN {mode} MODE')
        yield other.info.backend_pid
    other.close()


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE"])
def test_a_locked_table_is_its_lists_failure_and_says_who_it_is(
    warehouse: Warehouse, lists: Simulator, mode: str
) -> None:
    for name in LISTS:
        lists.add(name)
    with locked(warehouse, "users", mode) as pid:
        report = warehouse.sync(*LISTS, lock_wait_seconds=0.2)
    assert report.exit_code == PARTLY
    assert {name for name, run in report.runs.items() if run.status != "done"} == {"users"}
    message = str(report.runs["users"].message)
    assert f"the table users is locked by somebody else: server process {pid}" in message
    assert "psql, since 20" in message
    warehouse.assert_equals_truth("orders", "labels")
    assert warehouse.sync(*LISTS).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


@pytest.mark.parametrize("table", ["_sync_runs", "_dlt_loads"])
def test_without_the_log_the_run_ends_with_what_is_loaded(
    warehouse: Warehouse, lists: Simulator, table: str
) -> None:
    lists.add("labels")
    with locked(warehouse, table, "ACCESS EXCLUSIVE") as pid:
        report = warehouse.sync("labels", lock_wait_seconds=0)
    assert report.exit_code == PARTLY
    assert f"{table} is locked by somebody else: server process {pid}" in str(report.stopped)
    assert warehouse.sync("labels").exit_code == DONE


def as_role(warehouse: Warehouse, rights: str, options: str = "") -> None:
    """From now on the sync is another role."""
    database = warehouse.query("SELECT current_database() AS name")[0]["name"]
    role = f"clerk_{database}"
    warehouse.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' {options}")
    if rights:
        warehouse.execute(rights.format(role=role, database=database))
    warehouse.address = warehouse.address.replace("postgres:x@", f"{role}:x@")
    warehouse.pipeline = warehouse.make_pipeline()


def test_no_right_to_create_is_found_before_the_first_request(
    home: Home, destination: str, lists: Simulator, tmp_path: Any
) -> None:
    warehouse = home.make(destination, lists, tmp_path, tables=False)
    as_role(warehouse, "")
    with pytest.raises(RightsError) as raised:
        warehouse.sync("labels", views="on")
    for schema in ("eduframe", "eduframe_staging", "eduframe_views"):
        assert f'CREATE SCHEMA "{schema}" AUTHORIZATION "clerk_' in str(raised.value)
    assert lists.requests == []


ALL_BUT_OWNING = (
    "GRANT USAGE, CREATE ON SCHEMA eduframe, eduframe_staging TO {role}; "
    "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE "
    "ON ALL TABLES IN SCHEMA eduframe, eduframe_staging TO {role}"
)
NOT_OURS = {
    "dropped": (
        "ALTER TABLE users DROP COLUMN first_name",
        "users lacks first_name",
        'ALTER TABLE "eduframe"."users" ADD COLUMN "first_name" varchar',
    ),
    "retyped": (
        "ALTER TABLE users ALTER email TYPE integer USING 1",
        "users.email is integer",
        'ALTER TABLE "eduframe"."users" ALTER COLUMN "email" TYPE varchar',
    ),
    "no right": (
        "REVOKE SELECT, DELETE ON users FROM {role}",
        "lacks a right in users (SELECT, DELETE)",
        'GRANT SELECT, DELETE ON "eduframe"."users" TO "{role}"',
    ),
    "hidden": (
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "row level security of users",
        'ALTER TABLE "eduframe"."users" DISABLE ROW LEVEL SECURITY',
    ),
}


@pytest.mark.parametrize("what", NOT_OURS)
def test_a_role_that_does_not_own_a_table_says_what_its_owner_is_to_run(
    warehouse: Warehouse, lists: Simulator, what: str
) -> None:
    theirs = warehouse.address
    as_role(warehouse, ALL_BUT_OWNING)
    mine, role = warehouse.address, warehouse.query("SELECT current_user AS name")[0]["name"]
    done, said, remedy = (text.format(role=role) for text in NOT_OURS[what])
    warehouse.address = theirs
    warehouse.execute(done)
    warehouse.address = mine
    lists.add("users")
    lists.add("labels")
    for refresh in (False, True):
        report = warehouse.sync(*LISTS, refresh=refresh)
        assert {name for name, run in report.runs.items() if run.status != "done"} == {"users"}
        message = str(report.runs["users"].message)
        assert said in message
        assert remedy in message
        assert "refresh" not in message
        assert "must be owner" not in message
    warehouse.address = theirs
    statement = message.split("helps with: ")[1].split("; or lets")[0]
    warehouse.execute(statement)
    warehouse.address = mine
    assert warehouse.sync(*LISTS).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_rights_to_the_run_log_are_asked_for_before_the_first_request(
    warehouse: Warehouse, lists: Simulator
) -> None:
    as_role(warehouse, ALL_BUT_OWNING.partition("; ")[0])
    with pytest.raises(RightsError, match=r'GRANT SELECT, .*DELETE ON "eduframe"."_sync_runs" TO'):
        warehouse.sync("labels")
    assert lists.requests == []


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_as_many_tables_are_loaded_at_a_time_as_there_are_connections_for(
    home: Home, destination: str, lists: Simulator, tmp_path: Any, limit: int
) -> None:
    warehouse = home.make(destination, lists, tmp_path, tables=False)
    as_role(warehouse, "GRANT CREATE ON DATABASE {database} TO {role}", f"CONNECTION LIMIT {limit}")
    report = warehouse.sync(*LISTS)
    assert (report.exit_code, report.notes) == (DONE, [])
    warehouse.execute("ALTER TABLE users DROP COLUMN first_name; DROP TABLE _dlt_loads")
    lists.add("users")
    assert warehouse.sync(*LISTS).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_with_one_connection_it_is_said_that_other_machines_are_not_kept_out(
    home: Home,
    destination: str,
    lists: Simulator,
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warehouse = home.make(destination, lists, tmp_path, tables=False)
    as_role(warehouse, "GRANT CREATE ON DATABASE {database} TO {role}", "CONNECTION LIMIT 1")
    assert warehouse.sync("labels").exit_code == DONE
    assert "only this machine may run the sync" in caplog.text


def test_that_there_is_none_left_is_called_so_before_the_first_request(
    home: Home,
    destination: str,
    lists: Simulator,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "WAIT_SECONDS", 0.2)
    warehouse = home.make(destination, lists, tmp_path, tables=False)
    as_role(warehouse, "GRANT CREATE ON DATABASE {database} TO {role}", "CONNECTION LIMIT 0")
    with pytest.raises(ConnectionsError, match=r"needs one at the least, .* and 9 to be quick"):
        warehouse.sync("labels")
    assert lists.requests == []


def test_the_catalogue_is_read_once_for_all_tables(
    warehouse: Warehouse, lists: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    import adbc_driver_manager

    real = adbc_driver_manager.AdbcDatabase

    def counted(**given: Any) -> Any:
        if given["uri"]:  # without one, dlt only looks whether the driver is there
            made.append(given)
        return real(**given)

    monkeypatch.setattr(adbc_driver_manager, "AdbcDatabase", counted)
    for _ in range(2):
        for name in LISTS:
            lists.add(name)
        assert warehouse.sync(*LISTS).exit_code == DONE
    assert len(made) == 1
    [others] = warehouse.query(
        "SELECT count(*) AS n FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert others["n"] == 0  # none is left open


def test_no_part_of_a_password_with_an_at_sign_is_shown(
    eduframe: Eduframe, here: Simulator
) -> None:
    for password in ("top@sEcret", "a/b@sEcret", "sEcret@"):
        address = f"postgresql://clerk:{password}@localhost:1/db"
        for command in ("sync", "check", "status", "doctor"):
            found = eduframe(
                command, "--destination", "postgres",
                **settings(here), DESTINATION__POSTGRES__CREDENTIALS=address,
            )
            assert found.code == WRONG_USE
            assert "sEcret" not in found.out + found.err
            assert "%40" in found.err


NO_ROW = "CREATE FUNCTION no_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
TAKEN = {
    "inserted": (
        f"{NO_ROW}CREATE TRIGGER quiet BEFORE INSERT ON orders FOR EACH ROW "
        "EXECUTE FUNCTION no_row()",
        "the trigger quiet",
    ),
    "some": (
        f"{NO_ROW}CREATE TRIGGER quiet BEFORE INSERT ON orders FOR EACH ROW "
        "WHEN (new.id % 2 = 0) EXECUTE FUNCTION no_row()",
        "the trigger quiet",
    ),
    "nested": (
        "CREATE RULE quiet AS ON INSERT TO order_items DO INSTEAD NOTHING", "the rule quiet"
    ),
    "some of an owner's": (
        f"{NO_ROW}CREATE TRIGGER quiet BEFORE INSERT ON user_roles FOR EACH ROW "
        "WHEN (new.position > 0) EXECUTE FUNCTION no_row()",
        "the trigger quiet",
    ),
    "kept": (
        "CREATE RULE quiet AS ON DELETE TO custom_values DO INSTEAD NOTHING", "the rule quiet"
    ),
}


@pytest.mark.parametrize("what", TAKEN)
def test_rows_that_others_take_without_a_word_are_their_lists_failure(
    warehouse: Warehouse, lists: Simulator, what: str
) -> None:
    done, named = TAKEN[what]
    warehouse.execute(done)
    report = warehouse.sync(*LISTS, refresh=True)
    assert report.exit_code == PARTLY
    assert report.runs["labels"].status == "done"
    [message] = {str(run.message) for run in report.runs.values() if run.status != "done"}
    assert named in message
    assert "DROP " in message
    warehouse.assert_equals_truth("labels")
    warehouse.execute(message.split("Remove it, with: ")[1].split(". ")[0].rstrip("."))
    assert warehouse.sync(*LISTS, refresh=True).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_a_trigger_that_takes_no_rows_is_none_of_our_business(
    warehouse: Warehouse, lists: Simulator
) -> None:
    warehouse.execute(
        "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
        "CREATE TRIGGER seen BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION seen()"
    )
    assert warehouse.sync(*LISTS, refresh=True).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


@pytest.mark.parametrize("change", [
    "ALTER TABLE labels RENAME id TO former",
    "ALTER TABLE labels DROP color; "
    "ALTER TABLE labels ADD color varchar GENERATED ALWAYS AS ('x') STORED",
    "ALTER TABLE labels DROP color; "
    "ALTER TABLE labels ADD color integer GENERATED ALWAYS AS (1) STORED",
    "ALTER TABLE labels DROP color; ALTER TABLE labels ADD color integer "
    "GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE labels DROP color; ALTER TABLE labels ADD color bigint "
    "GENERATED BY DEFAULT AS IDENTITY",
])
def test_a_refresh_makes_a_table_as_it_must_be(
    warehouse: Warehouse, lists: Simulator, change: str
) -> None:
    warehouse.execute(change)
    lists.add("labels")
    report = warehouse.sync(*LISTS)
    assert {name for name, run in report.runs.items() if run.status != "done"} == {"labels"}
    assert "eduframe refresh labels makes it as it must be" in str(report.runs["labels"].message)
    assert warehouse.sync("labels", refresh=True).exit_code == DONE
    warehouse.execute("ALTER TABLE labels DROP COLUMN IF EXISTS former")
    warehouse.assert_equals_truth(*LISTS)
    assert warehouse.sync(*LISTS, reconcile=True).notes == []
