"""``eduframe check`` on a destination: what it says, what rights suffice, and what stays behind."""

import re
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from pipelines.eduframe.commands.check.destination import Destination, try_destination
from pipelines.eduframe.destinations.lock import database_lock
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.pipeline import CAN_DELETE, make_pipeline
from sources.eduframe.errors import SettingsError
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse, in_a_lake_too
from tests.warehouses import Home, Postgres, Warehouse

DOCS = Path(__file__).parent.parent / "docs" / "destinations"
TABLES = """
    SELECT table_schema AS s, table_name AS t FROM information_schema.tables
    WHERE table_schema LIKE 'eduframe%' ORDER BY 1, 2
"""


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def check(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Destination:
    for name, value in warehouse.environment.items():
        monkeypatch.setenv(name, value)
    pipeline = make_pipeline(warehouse.destination, "eduframe")
    return try_destination(pipeline, warehouse.destination, 10)


def dlt_rows(warehouse: Warehouse) -> dict[str, Any]:
    names = ("_dlt_loads", "_dlt_version", "_dlt_pipeline_state")
    return {name: warehouse.query(f"SELECT * FROM {name} ORDER BY 1, 2") for name in names}


@in_a_lake_too
def test_a_dataset_is_as_it_was(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.sync("labels")
    before = warehouse.tables(), dlt_rows(warehouse), warehouse.query(TABLES)
    found = check(warehouse, monkeypatch)
    assert (found.usable, found.holds and found.holds["educator_id"]) == (True, 1)
    assert "written, merged, read and removed" in (found.message or "")
    assert (warehouse.tables(), dlt_rows(warehouse), warehouse.query(TABLES)) == before
    assert warehouse.sync("labels", reconcile=True).exit_code == DONE


def test_where_nothing_is_nothing_stays(
    make_warehouse: MakeWarehouse, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = make_warehouse(sim, tables=False)
    found = check(warehouse, monkeypatch)
    assert (found.usable, found.holds) == (True, None), found.message
    if warehouse.destination == "duckdb":
        assert not Path(warehouse.address).exists()
    else:
        schemas = warehouse.query(
            "SELECT 1 AS n FROM information_schema.schemata WHERE schema_name LIKE 'eduframe%'"
        )
        assert schemas == []


def test_a_sync_of_another_machine_that_goes_on_is_not_disturbed(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    if warehouse.destination != "postgres":
        pytest.skip("about Postgres, whose lock holds between machines")
    for name, value in warehouse.environment.items():
        monkeypatch.setenv(name, value)
    with database_lock(make_pipeline(warehouse.destination, "eduframe")):
        found = check(warehouse, monkeypatch)
    assert found.usable
    assert "not tried" in (found.message or "")


# ---- Postgres: the rights that its page tells to grant


def role_sql() -> str:
    [sql] = re.findall(r"```sql\n(.*?)```", (DOCS / "postgres.md").read_text("utf-8"), re.DOTALL)
    return str(sql)


def as_role(address: str, role: str) -> str:
    return address.replace("//postgres:", f"//{role}:")


@pytest.fixture
def granted(
    home: Home, sim: Simulator, tmp_path: Path, destination: str
) -> Any:
    """A database where the page's SQL was run, and the sync's warehouse in it."""
    if destination != "postgres":
        pytest.skip("about Postgres")
    admin = home.make("postgres", sim, tmp_path, tables=False)
    # the same roles as in other databases of the server: they outlive this one
    admin.execute(role_sql())
    try:
        yield admin, Postgres(sim, tmp_path, as_role(admin.address, "eduframe_sync"))
    finally:
        for role in ("an_analyst", "eduframe_sync", "analysts"):
            admin.execute(f"DROP OWNED BY {role} CASCADE")
            admin.execute(f"DROP ROLE {role}")


def test_the_documented_grants_suffice_and_analysts_only_read(
    granted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    admin, warehouse = granted
    found = check(warehouse, monkeypatch)
    assert found.usable, found.message
    report = warehouse.sync("users", "orders", views="on")
    assert (report.exit_code, report.notes) == (DONE, [])
    sim = warehouse.sim
    sim.delete("users", sim.rows("users")[0]["id"])
    report = warehouse.sync("users", "orders", reconcile=True)
    assert (report.exit_code, report.total("deleted"), report.notes) == (DONE, 1, [])
    warehouse.assert_equals_truth("users", "orders")
    assert check(warehouse, monkeypatch).usable

    analyst = Postgres(sim, tmp_path, as_role(admin.address, "an_analyst"))
    assert analyst.count("users") == warehouse.count("users")
    living = analyst.query("SELECT COUNT(*) AS n FROM eduframe_views.users")
    assert living == [{"n": warehouse.count("users") - 1}]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        analyst.execute("DELETE FROM users")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        analyst.execute("CREATE TABLE eduframe.mine (id int)")


def test_what_right_is_missing_is_said(granted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    admin, warehouse = granted
    admin.execute("ALTER SCHEMA eduframe_staging OWNER TO postgres")
    found = check(warehouse, monkeypatch)
    assert not found.usable
    assert "cannot be written" in (found.message or "")
    assert "eduframe_staging" in (found.message or "")
    admin.execute("ALTER SCHEMA eduframe_staging OWNER TO eduframe_sync")
    admin.execute("ALTER SCHEMA eduframe OWNER TO postgres")
    found = check(warehouse, monkeypatch)
    assert not found.usable
    assert "cannot be written" in (found.message or "")
    admin.execute("ALTER SCHEMA eduframe OWNER TO eduframe_sync")
    admin.execute("ALTER ROLE eduframe_sync SET default_transaction_read_only = on")
    message = check(warehouse, monkeypatch).message or ""
    assert "cannot be written" in message
    assert "read-only transaction" in message
    admin.execute("ALTER ROLE eduframe_sync RESET default_transaction_read_only")
    admin.execute("CREATE TABLE eduframe.orders (id bigint)")
    found = check(warehouse, monkeypatch)
    assert not found.usable
    assert "1 tables of the dataset, such as orders, belong to another role" in (
        found.message or ""
    )


def test_what_cannot_be_reached_says_which_setting_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = "postgresql://eduframe_sync:x@127.0.0.1:1/warehouse"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", nowhere)
    found = try_destination(make_pipeline("postgres", "eduframe"), "postgres", 10)
    assert not found.usable
    assert re.search(
        "cannot be reached: .* Check the host, the user and the password "
        r"\(DESTINATION__POSTGRES__CREDENTIALS\)",
        found.message or "",
    )


def test_a_destination_that_does_not_exist_leaves_the_working_folder_alone(tmp_path: Path) -> None:
    kept = tmp_path / "eduframe" / "kept"
    kept.parent.mkdir()
    kept.touch()
    with pytest.raises(SettingsError, match=r"no destination 'oracle'\. Use one of: duckdb, "):
        make_pipeline("oracle", pipelines_dir=str(tmp_path))
    assert kept.exists()


def test_a_file_must_not_bear_the_datasets_name_as_dlt_spells_it(tmp_path: Path) -> None:
    file = tmp_path / "my_data.duckdb"
    with pytest.raises(SettingsError, match="my_data must not have the same name"):
        make_pipeline("duckdb", "My-Data", credentials=str(file))
    assert not file.exists()


# ---- The pages


def test_every_destination_has_its_page_and_its_extra() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    for kind in CAN_DELETE:
        assert f"| [{kind}]({'duckdb.md#' if kind == 'motherduck' else ''}{kind}" in index
        if kind not in ("duckdb", "motherduck"):
            page = (DOCS / f"{kind}.md").read_text("utf-8")
            assert f"eduframe-sync[{kind}]" in page
            assert f"eduframe check --destination {kind}" in page


def test_what_cannot_keep_the_promises_is_refused_with_the_reason() -> None:
    with pytest.raises(SettingsError, match=r"cannot replace and delete rows .* no LIMIT"):
        make_pipeline("mssql", "eduframe", credentials="mssql://nowhere")
