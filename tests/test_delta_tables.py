"""What is particular to Delta tables in a folder. What they have in common with databases is
tested where it is for those: see `in_a_lake_too`."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import dlt
import pytest
from deltalake import DeltaTable

from pipelines.eduframe.commands.check.destination import try_destination
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.run.sync import sync
from sources.eduframe.dataset.full_disks import telling_of_full_disk
from sources.eduframe.errors import LoadFailedError, SettingsError
from sources.eduframe_simulator import Simulator
from tests.conftest import MakeWarehouse, command
from tests.processes import run
from tests.test_kills import kill_at
from tests.warehouses import Lake


@pytest.fixture(scope="session")
def destination() -> str:
    return "filesystem"


@pytest.fixture
def lake(make_warehouse: MakeWarehouse, sim: Simulator) -> Lake:
    made = make_warehouse(sim)
    assert isinstance(made, Lake)
    return made


def files(lake: Lake) -> set[Path]:
    return {path for path in lake.folder_of_tables.rglob("*") if path.is_file()}


def test_all_tables_equal_the_truth_and_a_sync_without_news_makes_no_version(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    lake = make_warehouse(sim, tables=False)
    assert isinstance(lake, Lake)
    report = lake.sync()
    assert (report.exit_code, report.notes) == (0, [])
    lake.assert_equals_truth()
    before = lake.versions()
    for reconcile in (False, True):
        report = lake.sync(reconcile=reconcile)
        assert report.exit_code == 0
        assert all("lists under parents" in note for note in report.notes)
    after = lake.versions()
    assert {n for n in after if after[n] != before[n]} == {"_sync_runs", "_sync_resources"}
    assert after["_sync_runs"] == before["_sync_runs"] + 2 * 3  # for begin and end, too


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["addresses", "loads_file"])
def test_killed_around_a_commit_or_the_end_of_a_load_nothing_is_lost_or_doubled(
    lake: Lake, step: str, moment: str
) -> None:
    """The file of ``_dlt_loads`` says that the load is done; that of the state comes after it."""
    kill_at(step, moment, command(lake, "users", SOURCES__EDUFRAME__LOAD_PACKAGE_SECONDS="60"))
    if step == "addresses":
        assert run(**command(lake, "users")).returncode == 0
    else:  # on another machine
        assert lake.sync("users").exit_code == 0
    lake.assert_equals_truth("users")


def test_dlt_knows_which_tables_are_in_delta(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    lake = make_warehouse(sim, tables=False)
    lake.sync("labels")
    destination = dlt.destinations.filesystem(lake.address)
    tables = dlt.dataset(destination, "eduframe").schema.tables
    formats = {name: t.get("table_format") for name, t in tables.items() if name[:5] != "_dlt_"}
    assert set(formats.values()) == {"delta"}
    assert {"labels", "users", "user_labels", "addresses", "_sync_runs"} <= formats.keys()


def test_old_files_go_after_some_versions(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.eduframe.dataset.delta_tables.TIDY_EVERY", 2)
    lake.sync("labels")
    table = lake.folder_of_tables / "labels"
    at_once = {"delta.deletedFileRetentionDuration": "interval 0 seconds"}
    DeltaTable(table).alter.set_table_properties(at_once)
    for number, row in enumerate(lake.sim.rows("labels")[:2]):
        lake.sim.change("labels", row["id"], name=f"renamed {number}")
        lake.sync("labels", reconcile=True)
    lake.assert_equals_truth("labels")
    assert len(list(table.glob("*.parquet"))) == 1


def test_a_check_leaves_no_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", lake.address)
    lake.sync("labels")
    before = files(lake)
    found = try_destination(make_pipeline("filesystem"), "filesystem", 10)
    assert (found.usable, found.holds and found.holds["educator_id"]) == (True, 1), found.message
    assert files(lake) == before
    by_hand = lake.folder_of_tables.parent / "another"
    by_hand.mkdir()
    assert try_destination(make_pipeline("filesystem", "another"), "filesystem", 10).usable
    assert list(by_hand.iterdir()) == []


def test_a_pipeline_into_dlts_own_filesystem_gets_delta_tables_too(
    lake: Lake, tmp_path: Path
) -> None:
    lake.pipeline = dlt.pipeline(
        "eduframe",
        destination=dlt.destinations.filesystem(lake.address),
        dataset_name="eduframe",
        pipelines_dir=str(tmp_path / "other"),
    )
    assert lake.sync("labels").exit_code == 0
    lake.sim.delete("labels", lake.sim.rows("labels")[0]["id"])
    assert lake.sync("labels", reconcile=True, deletes="hard").total("deleted") == 1
    lake.assert_equals_truth("labels")


@pytest.mark.parametrize(("table_format", "why"), [("iceberg", "as rows"), ("none", "only grow")])
def test_other_table_formats_are_refused_with_the_reason(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, table_format: str, why: str
) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__TABLE_FORMAT", table_format)
    with pytest.raises(SettingsError, match=why):
        make_pipeline("filesystem", credentials=lake.address)
    with pytest.raises(SettingsError, match=why):
        sync(lake.pipeline)


def test_a_full_disk_is_called_so_with_its_folder(
    make_warehouse: MakeWarehouse, lists: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = make_warehouse(lists)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
        with pytest.raises(LoadFailedError, match=r"there is no space left in .*/lake/eduframe"):
            warehouse.sync("labels", lock_wait_seconds=0)
    assert warehouse.sync("labels").exit_code == 0
    said = "Generic LocalFileSystem error: No space left on device (os error 28)"
    with pytest.raises(OSError, match="/some/lake"), telling_of_full_disk("/some/lake"):
        raise OSError(said)
