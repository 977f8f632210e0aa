"""Stopped, throttled, left with half a load package: the next run just goes on."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.eduframe.destinations.lock import one_at_a_time
from pipelines.eduframe.exit_codes import PARTLY
from pipelines.eduframe.run.package_contents import Loader
from sources.eduframe.errors import LoadFailedError, LockedError
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, in_a_lake_too, stop_after
from tests.warehouses import PLENTY, Warehouse


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_stopped_run_loads_what_it_read_and_the_next_goes_on(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    report = warehouse.sync("attendances", watch=stop_after(big, 12))
    big.before_response = None
    assert report.exit_code == PARTLY
    assert report.stopped == "ended by the test"
    read = warehouse.count("attendances")
    assert 0 < read < 2500
    before = len(big.requests)
    report = warehouse.sync("attendances", "payments")
    assert report.exit_code == 0
    assert any("went on after" in note for note in report.runs["attendances"].notes)
    again = sum(r.path.endswith("/attendances") for r in big.requests[before:])
    assert again == (2500 - read) // 100
    warehouse.assert_equals_truth("attendances")
    warehouse.assert_equals_truth("payments")


@in_a_lake_too
def test_deletions_of_a_read_that_spans_runs_are_found_once_at_its_end(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big, synced=("attendances",))
    keys = [row["id"] for row in big.rows("attendances")]
    for key in (keys[3], keys[-3]):
        big.delete("attendances", key)
    warehouse.sync("attendances", reconcile=True, watch=stop_after(big, 10))
    big.before_response = None
    assert warehouse.count("_sync_seen") > 0
    assert warehouse.count("_deletions") == 0
    shutil.rmtree(warehouse.folder / "dlt")
    warehouse.pipeline = warehouse.make_pipeline()
    assert warehouse.sync("attendances", reconcile=True).runs["attendances"].deleted == 0
    assert warehouse.count("_sync_seen") == 2  # what is missing, and cannot be asked for
    report = warehouse.sync("attendances", reconcile=True)
    assert report.runs["attendances"].deleted == 2
    gone = {row["key"] for row in warehouse.rows("_deletions")}
    assert gone == {str(keys[3]), str(keys[-3])}
    assert warehouse.count("_sync_seen") == 0
    warehouse.assert_equals_truth("attendances")


def test_a_position_that_has_expired_is_gone_on_from_by_page_number(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("attendances", watch=stop_after(big, 10))
    big.before_response = None
    big.expire_cursors()
    read = warehouse.count("attendances")
    report = warehouse.sync("attendances")
    assert report.exit_code == 0
    assert any("by page number" in note for note in report.runs["attendances"].notes)
    assert report.requests <= 1 + (2500 - read) // 100 + 2
    warehouse.assert_equals_truth("attendances")


def test_a_read_that_is_too_old_starts_anew(make_warehouse: MakeWarehouse, big: Simulator) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("attendances", watch=stop_after(big, 10))
    big.before_response = None
    report = warehouse.sync("attendances", max_read_age="0s")
    assert any("older than 0s" in note for note in report.runs["attendances"].notes)
    warehouse.assert_equals_truth("attendances")


def test_a_read_that_ends_within_a_parents_pages_goes_on_there(
    make_warehouse: MakeWarehouse,
) -> None:
    counts = {"custom_records": 5000, "custom_objects": 2}
    with Simulator(scale=1, requests_per_window=PLENTY, counts=counts) as sim:
        warehouse = make_warehouse(sim)
        warehouse.sync("custom_objects")
        report = warehouse.sync("custom_records", watch=stop_after(sim, 12))
        sim.before_response = None
        assert report.exit_code == PARTLY
        read = warehouse.count("custom_records")
        assert 0 < read < 2500
        before = len(sim.requests)
        report = warehouse.sync("custom_records")
        assert any("went on after" in note for note in report.runs["custom_records"].notes)
        again = sum("/records" in r.path for r in sim.requests[before:])
        assert again == (5000 - read) // 100
        warehouse.assert_equals_truth("custom_records")
        gone = sim.rows("custom_records")[7]["id"]
        sim.delete("custom_records", gone)
        warehouse.sync("custom_records", reconcile=True, watch=stop_after(sim, 12))
        sim.before_response = None
        sim.expire_cursors()
        report = warehouse.sync("custom_records", reconcile=True)
        assert any("read anew" in note for note in report.runs["custom_records"].notes)
        assert report.runs["custom_records"].deleted == 1
        warehouse.assert_equals_truth("custom_records")


def test_a_second_run_ends_at_once_and_says_who_runs(warehouse: Warehouse) -> None:
    with one_at_a_time(warehouse.pipeline), pytest.raises(LockedError, match=f"{os.getpid()}"):
        warehouse.sync("users")
    assert warehouse.sync("users").exit_code == 0


def test_a_package_left_pending_is_loaded_first(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_load(*args: Any, **kw: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(warehouse.pipeline), "load", no_load)
        with pytest.raises(KeyboardInterrupt):
            warehouse.sync("users")
    assert warehouse.count("users") == 0
    report = warehouse.sync("labels")
    assert any("left pending" in note for note in report.notes)
    warehouse.assert_equals_truth("users")


@pytest.mark.parametrize("since", ["a backup was restored", "another machine went on"])
def test_a_package_made_for_another_standing_of_the_dataset_is_given_up(
    synced: Warehouse, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    """It says nothing of the labels that are back, and knows nothing of what came after it."""
    def no_load(*args: Any, **kw: Any) -> None:
        raise KeyboardInterrupt

    warehouse, sim, pipelines = synced, synced.sim, synced.pipeline.pipelines_dir
    user = next(row for row in sim.rows("users") if row["label_ids"])
    warehouse.back_up()
    sim.change("users", user["id"], label_ids=[])
    warehouse.sync("users")
    sim.change("users", user["id"], first_name="Pending")
    with monkeypatch.context() as patched:
        patched.setattr(type(warehouse.pipeline), "load", no_load)
        with pytest.raises(KeyboardInterrupt):
            warehouse.sync("users")
    if since == "a backup was restored":
        warehouse.restore()
    else:
        Path(pipelines).rename(f"{pipelines}.first")
        sim.change("users", user["id"], first_name="Later")
        sim.delete("users", sim.rows("users")[-1]["id"])
        warehouse.pipeline = warehouse.make_pipeline()
        warehouse.sync("users", reconcile=True)
        shutil.rmtree(pipelines)
        Path(f"{pipelines}.first").rename(pipelines)
    warehouse.pipeline = warehouse.make_pipeline()
    report = warehouse.sync("users")
    assert any("given up" in note for note in report.notes)
    warehouse.assert_equals_truth("users")


def test_a_package_that_cannot_be_loaded_is_given_up_and_read_again(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kw: Any) -> None:
        raise PipelineStepFailed(warehouse.pipeline, "load", "1", ValueError("no"), None)

    with monkeypatch.context() as patched:
        patched.setattr(type(warehouse.pipeline), "load", broken)
        with pytest.raises(LoadFailedError, match="Nothing is lost"):
            warehouse.sync("users", lock_wait_seconds=0)
        patched.setattr("pipelines.eduframe.run.sync.Client", refuse)
        with pytest.raises(RuntimeError, match="not yet"):
            warehouse.sync("users")
    report = warehouse.sync("users")
    assert report.exit_code == 0
    warehouse.assert_equals_truth("users")


def refuse(*args: Any, **kw: Any) -> None:
    raise RuntimeError("not yet")


def test_a_piece_that_landed_in_part_is_written_again(synced: Warehouse) -> None:
    synced.execute("UPDATE _dlt_loads SET status = 1")
    synced.execute("DELETE FROM user_labels")
    assert synced.sync("users", reconcile=True).exit_code == 0
    synced.assert_equals_truth("users")


def test_children_whose_row_did_not_land_are_written_again(synced: Warehouse) -> None:
    """The piece that took the labels away was cut off, its folder is lost, and they are back."""
    user = next(row for row in synced.sim.rows("users") if row["label_ids"])
    synced.execute(f"DELETE FROM user_labels WHERE user_id = {user['id']}")
    report = synced.sync("users", reconcile=True)
    assert report.total("changed") == 1
    synced.assert_equals_truth("users")


@pytest.mark.parametrize("damage", ["state.json", "schemas", "everything"])
def test_no_damage_to_the_working_folder_needs_a_person(warehouse: Warehouse, damage: str) -> None:
    warehouse.sync("users")
    folder = Path(warehouse.pipeline.working_dir)
    if damage == "everything":
        shutil.rmtree(folder)
    else:
        for file in [*folder.glob(damage), *folder.glob(f"{damage}/*")]:
            if file.is_file():
                file.write_text("{ cut off")
    warehouse.pipeline = warehouse.make_pipeline()
    before = warehouse.marks()
    assert warehouse.sync("users").exit_code == 0
    assert warehouse.marks() == before


def test_a_working_folder_of_another_dataset_is_not_loaded_here(
    make_warehouse: MakeWarehouse, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_warehouse(sim)
    with monkeypatch.context() as patched:
        patched.setattr(Loader, "load", interrupted)
        with pytest.raises(KeyboardInterrupt):
            first.sync( "users")
    other = tmp_path / "other"
    other.mkdir()
    second = make_warehouse(sim, other)
    second.folder = first.folder
    second.pipeline = second.make_pipeline()
    assert second.sync( "labels").exit_code == 0
    assert second.count("users") == 0


def interrupted(self: Loader, batches: Any, runs: Any, resources: Any) -> None:
    original(self, batches, runs, resources)
    raise KeyboardInterrupt


original = Loader.load


def test_a_token_revoked_half_way_fails_and_loads_what_was_read(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    big.inject(Fault("status", status=401, after=12, times=None))
    report = warehouse.sync("attendances")
    assert report.exit_code == 1
    assert "401" in (report.fatal or "")
    assert big.token not in (report.fatal or "")
    assert warehouse.count("attendances") > 0
    big.clear_faults()
    assert warehouse.sync("attendances").exit_code == 0
    warehouse.assert_equals_truth("attendances")


def test_runs_that_follow_each_other_share_one_window(warehouse: Warehouse) -> None:
    window = 2.0
    limit = 12
    for _ in range(4):
        warehouse.sync(
            "labels",
            "users",
            "orders",
            requests_per_window=limit,
            window_seconds=window,
        )
    times = sorted(r.at for r in warehouse.sim.requests)
    assert len(times) > limit
    for place in range(len(times) - limit):
        assert times[place + limit] - times[place] >= window


def test_keys_of_written_rows_need_no_keeping(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big, synced=("attendances",))
    keys = [row["id"] for row in big.rows("attendances")]
    for key in keys[10:20]:
        big.change("attendances", key, comment="changed")
    big.delete("attendances", keys[3])
    warehouse.sync("attendances", reconcile=True, watch=stop_after(big, 10))
    big.before_response = None
    kept = {row["key_id"] for row in warehouse.rows("_sync_seen")}
    assert kept
    assert kept.isdisjoint(keys[10:20])
    warehouse.sync("attendances", reconcile=True)
    report = warehouse.sync("attendances", reconcile=True)
    assert report.runs["attendances"].deleted == 1
    warehouse.assert_equals_truth("attendances")


def test_a_read_of_changed_parents_that_spans_runs_deletes_nothing(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big, synced=("invoices", "payments"))
    for row in big.rows("invoices")[:60]:
        big.change("invoices", row["id"], description="changed")
    report = warehouse.sync("invoices", "payments", watch=stop_after(big, 24))
    big.before_response = None
    assert report.runs["payments"].status == "stopped"
    report = warehouse.sync("invoices", "payments")
    assert report.runs["payments"].mode == "parents"
    assert any("went on after" in note for note in report.runs["payments"].notes)
    assert report.runs["payments"].deleted == 0
    warehouse.assert_equals_truth("payments")
