"""What is Postgres's own; the tests of whole runs, recovery and deletions run on it as well."""

from typing import Any

import pytest

from pipelines.lock import one_at_a_time
from pipelines.postgres import copies
from sources.eduframe.errors import LockedError
from sources.simulator import Simulator
from tests.conftest import MakeWarehouse
from tests.warehouses import Home, Warehouse

ODD = "a\x00b'\"\\ü\t\n"
"""Text with what Postgres cannot hold (NUL) and what quoting gets wrong."""


@pytest.fixture(scope="session")
def destination() -> str:
    return "postgres"


def test_text_comes_as_it_is_but_for_nul(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    user, other = (row["id"] for row in sim.rows("users")[:2])
    sim.change("users", user, first_name=ODD, middle_name="", custom={"a": ODD, "b": ""})
    sim.change("users", other, middle_name=None)
    assert warehouse.sync("users").exit_code == 0
    held = {row["id"]: row for row in warehouse.rows("users")}
    kept = ODD.replace("\x00", "")
    assert (held[user]["first_name"], held[user]["middle_name"]) == (kept, "")
    assert held[user]["custom"] == {"a": kept, "b": ""}
    sim.change("users", user, first_name=kept, custom={"a": kept, "b": ""}, touch=False)
    warehouse.assert_equals_truth("users")


def test_the_lock_in_the_database_lets_one_run_in_from_any_machine(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    here = make_warehouse(sim)
    there = type(here)(sim, here.folder / "there", here.address)
    with one_at_a_time(here.pipeline), pytest.raises(LockedError, match="in the database"):
        there.sync("labels")
    assert there.sync("labels").exit_code == 0


def test_without_the_driver_rows_go_as_statements_and_the_run_says_so(
    home: Home, sim: Simulator, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert copies()
    assert warehouse.sync("users", "orders").notes == []
    sim.change("users", sim.rows("users")[0]["id"], custom={"a": "", "b": [1]}, last_name="")
    sim.change("orders", sim.rows("orders")[0]["id"], order_items=[])
    monkeypatch.setenv("DISABLE_ADBC_DETECTION", "true")
    report = warehouse.sync("users", "orders")
    assert "eduframe-sync[postgres]" in " ".join(report.notes)
    assert report.total("changed") == 2
    warehouse.assert_equals_truth("users", "orders")


def test_a_dataset_that_dlts_own_destination_made_is_gone_on_with(
    warehouse: Warehouse,
) -> None:
    """Its staging tables have columns that COPY cannot fill."""
    warehouse.sync("users")
    held: Any = warehouse.query(
        "SELECT table_name AS t, column_name AS c FROM information_schema.columns "
        "WHERE table_schema = 'eduframe_staging' AND data_type = 'json'"
    )
    assert held
    for row in held:
        warehouse.execute(f"ALTER TABLE eduframe_staging.{row['t']} ALTER {row['c']} TYPE jsonb")
    warehouse.sim.change("users", warehouse.sim.rows("users")[0]["id"], custom={"z": "new"})
    assert warehouse.sync("users").exit_code == 0
    warehouse.assert_equals_truth("users")
