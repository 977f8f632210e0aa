"""A dataset that a release with other models wrote is brought up to date in place."""

import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.eduframe.commands.copy import copy_dataset
from pipelines.eduframe.destinations.tables.schema_upgrade import UpgradeError
from pipelines.eduframe.exit_codes import DONE
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse, command, in_a_lake_too, stop_after
from tests.test_postgres_neighbours import ALL_BUT_OWNING, as_role
from tests.warehouses import PLENTY, SQL_TYPES, Home, Warehouse

ROOT = Path(__file__).parents[1]
LISTS = ("users", "orders", "payments", "invoices", "labels")

BEFORE = {
    "schemas/eduframe/models/relations.py": [
        (
            '    wants_newsletter: bool = Field(description="Whether the user agreed to get '
            'newsletters.")\n',
            "",
        ),
        (
            '    roles: list[UserRole] = Field(description="What users may do in Eduframe.")\n',
            "",
        ),
    ],
    "schemas/eduframe/models/sales.py": [
        ("total_excl: Amount = Field(", "total_excl: str = Field("),
        ("unit_price: Amount = Field(", "unit_price: str = Field("),
    ],
    "sources/eduframe/endpoints.py": [(' values("roles", "user_roles", "user_id"),', "")],
    "pipelines/eduframe/store/run_log.py": [
        ('        Column("row_hash_version", "bigint", description="Of the method that made '
         '_row_hash."),\n', ""),
    ],
}
"""What the models of the release before had instead: a field less in ``users``, no table
``user_roles``, text for two amounts, and a column less in ``_sync_runs``."""


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def release_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of a release whose models were others."""
    folder = tmp_path_factory.mktemp("before")
    for package in ("pipelines", "schemas", "sources"):
        shutil.copytree(ROOT / package, folder / package)
    for name, changes in BEFORE.items():
        text = (folder / name).read_text()
        for new, old in changes:
            assert new in text
            text = text.replace(new, old, 1)
        (folder / name).write_text(text)
    return folder


def test_a_dataset_of_the_release_before_can_be_copied(
    home: Home, destination: str, sim: Simulator, tmp_path: Path, release_before: Path
) -> None:
    first = home.make(destination, sim, tmp_path, tables=False)
    setup = command(first, "users", "labels", PYTHONPATH=str(release_before))
    done = subprocess.run(capture_output=True, text=True, check=False, **setup)
    assert done.returncode == DONE, done.stderr
    (tmp_path / "there").mkdir()
    second = home.make("duckdb", sim, tmp_path / "there", tables=False)
    assert copy_dataset(first.pipeline, second.pipeline)[0]["_sync_runs"] == 1
    assert second.rows("_sync_runs")[0]["row_hash_version"] is None
    assert second.sync("users", "labels").exit_code == DONE
    second.assert_equals_truth("users", "labels")


@in_a_lake_too
def test_a_dataset_of_the_release_before_is_upgraded_in_place(
    home: Home, destination: str, sim: Simulator, tmp_path: Path, release_before: Path
) -> None:
    warehouse = home.make(destination, sim, tmp_path, tables=False)
    setup = command(warehouse, *LISTS, PYTHONPATH=str(release_before))
    done = subprocess.run(capture_output=True, text=True, check=False, **setup)
    assert done.returncode == DONE, done.stderr
    types = warehouse.types()
    assert "wants_newsletter" not in types["users"]
    assert "user_roles" not in types
    assert types["invoices"]["total_excl"] in SQL_TYPES[str]
    assert types["invoice_items"]["unit_price"] in SQL_TYPES[str]
    gone = sim.rows("invoices")[0]["id"]
    sim.delete("invoices", gone)
    amount = f"SELECT total_excl FROM invoices WHERE id = {gone}"
    before = Decimal(warehouse.query(amount)[0]["total_excl"])
    if destination == "postgres":
        keys = "SELECT count(*) AS n FROM pg_constraint WHERE contype = 'f'"
        [had] = warehouse.query(keys)
        warehouse.execute("CREATE VIEW amounts AS SELECT total_excl FROM invoices")
        with pytest.raises(UpgradeError, match=r"on view amounts .* Nothing was changed\."):
            warehouse.sync(*LISTS)
        assert warehouse.types() == types | {"amounts": {"total_excl": "character varying"}}
        assert warehouse.query(keys) == [had]
        warehouse.execute("DROP VIEW amounts")

    report = warehouse.sync(*LISTS, reconcile=True)
    assert report.exit_code == DONE
    said = " ".join(report.notes)
    assert "invoices.total_excl is decimal now, and was text" in said
    assert "users has new columns, which the next read fills: wants_newsletter" in said
    warehouse.assert_equals_truth(*LISTS)
    assert warehouse.query(amount)[0]["total_excl"] == before
    if destination == "postgres":
        assert warehouse.query(keys)[0]["n"] == had["n"] + 1  # that of user_roles
    again = warehouse.sync(*LISTS, reconcile=True)
    assert (again.total("changed"), again.notes) == (0, [])
    warehouse.assert_equals_truth(*LISTS)


@pytest.mark.parametrize("destination", ["postgres"], scope="session")
@pytest.mark.parametrize("how", ["statements", "ownership"])
def test_a_role_that_owns_no_table_says_what_its_owner_is_to_run_for_an_upgrade(
    home: Home, destination: str, sim: Simulator, tmp_path: Path, release_before: Path, how: str
) -> None:
    warehouse = home.make(destination, sim, tmp_path, tables=False)
    setup = command(warehouse, *LISTS, PYTHONPATH=str(release_before))
    done = subprocess.run(capture_output=True, text=True, check=False, **setup)
    assert done.returncode == DONE, done.stderr
    types, owners = warehouse.types(), warehouse.address
    as_role(warehouse, ALL_BUT_OWNING)
    sim.clear_requests()
    with pytest.raises(UpgradeError, match="does not own it, and may not change it") as refused:
        warehouse.sync(*LISTS)
    said = str(refused.value)
    assert warehouse.types() == types
    theirs = warehouse.address
    warehouse.address = owners
    for part in said.split("helps with: ")[1:]:
        statements, _, rest = part.partition("; or lets")
        if how == "ownership":
            statements = rest.partition("with: ")[2].partition(". ")[0]
        warehouse.execute(statements)
    warehouse.address = theirs
    report = warehouse.sync(*LISTS, reconcile=True)
    assert report.exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)
    assert warehouse.sync(*LISTS, reconcile=True).total("changed") == 0


@pytest.mark.parametrize("destination", ["postgres"], scope="session")
def test_an_upgrade_that_ends_after_the_tables_were_changed_is_done_once_more(
    home: Home,
    destination: str,
    sim: Simulator,
    tmp_path: Path,
    release_before: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warehouse = home.make(destination, sim, tmp_path, tables=False)
    setup = command(warehouse, *LISTS, PYTHONPATH=str(release_before))
    done = subprocess.run(capture_output=True, text=True, check=False, **setup)
    assert done.returncode == DONE, done.stderr

    def ended(*_: Any, **given: Any) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.eduframe.destinations.tables.schema_upgrade.new_table", ended)
        with pytest.raises(InterruptedError):
            warehouse.sync(*LISTS)
    assert warehouse.types()["invoices"]["total_excl"] in SQL_TYPES[Decimal]
    warehouse.pipeline = warehouse.make_pipeline()
    assert warehouse.sync(*LISTS, reconcile=True).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


@pytest.mark.parametrize("destination", ["duckdb"])
def test_json_columns_are_left_alone_where_they_are_text(
    make_warehouse: MakeWarehouse, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.eduframe.dataset.merge_hints.JSON_IN", ())
    monkeypatch.setattr("pipelines.eduframe.destinations.tables.schema_upgrade.JSON_IN", ())
    warehouse = make_warehouse(sim, tables=False)
    warehouse.sync("users")
    assert warehouse.types()["users"]["custom"] == "VARCHAR"
    again = warehouse.sync("users", reconcile=True)
    assert (again.notes, again.total("changed")) == ([], 0)


def test_refresh_writes_every_row_and_deletes_what_it_does_not_see(
    synced: Warehouse,
) -> None:
    warehouse, sim = synced, synced.sim
    before = {name: warehouse.count(name) for name in LISTS}
    warehouse.execute("UPDATE users SET first_name = 'wrong'")
    warehouse.execute("DELETE FROM order_items")
    sim.delete("labels", sim.rows("labels")[0]["id"])
    report = warehouse.sync(*LISTS, refresh=True)
    assert report.exit_code == DONE
    assert report.total("deleted") == 1
    assert {n: r.changed for n, r in report.runs.items()} == before | {
        "labels": before["labels"] - 1
    }
    warehouse.assert_equals_truth(*LISTS)
    assert warehouse.sync(*LISTS, reconcile=True).total("changed") == 0


def test_a_refresh_that_is_interrupted_is_gone_on_with_as_one(
    make_warehouse: MakeWarehouse,
) -> None:
    with Simulator(scale=1, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim, synced=("attendances",))
        report = warehouse.sync("attendances", refresh=True, watch=stop_after(sim, 8))
        sim.before_response = None
        first = report.runs["attendances"].changed
        assert 0 < first < 2500
        report = warehouse.sync("attendances")
        assert first + report.runs["attendances"].changed == 2500
        warehouse.assert_equals_truth("attendances")
