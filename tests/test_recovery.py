"""Killed, stopped, throttled, left with half a load package: the next run just goes on."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.doctor import run_doctor
from pipelines.lock import one_at_a_time
from pipelines.pieces import Loader
from pipelines.report import FAILED, PARTLY
from pipelines.status import run_status
from pipelines.sync import LoadFailed, Run
from sources.eduframe.errors import LockedError
from sources.eduframe.settings import Settings
from sources.simulator import Fault, Simulator
from tests.conftest import BOTH, MakeWarehouse, in_a_lake_too
from tests.warehouses import PLENTY, Warehouse


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


LISTS = ("users", "orders", "enrollments", "invoices", "payments")


def stop_after(sim: Simulator, requests: int) -> Callable[[Run], None]:
    """Something to give to ``watch``: ends the run once so many more requests were made."""
    until = len(sim.requests) + requests

    def watch(run: Run) -> None:
        def hook(request: Any) -> None:
            if len(sim.requests) >= until:
                run.stop("ended by the test")

        sim.before_response = hook

    return watch


@pytest.fixture
def big() -> Iterator[Simulator]:
    with Simulator(scale=1, requests_per_window=PLENTY) as sim:
        yield sim


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
    warehouse = make_warehouse(big)
    warehouse.sync("attendances")
    keys = [row["id"] for row in big.rows("attendances")]
    for key in (keys[3], keys[-3]):
        big.delete("attendances", key)
    warehouse.sync("attendances", reconcile=True, watch=stop_after(big, 10))
    big.before_response = None
    assert warehouse.count("_sync_seen") > 0
    assert warehouse.count("_deletions") == 0
    shutil.rmtree(warehouse.folder / "dlt")
    warehouse.pipeline = warehouse.make_pipeline()
    report = warehouse.sync("attendances", reconcile=True)
    assert report.runs["attendances"].deleted == 2
    gone = {row["key"] for row in warehouse.rows("_deletions")}
    assert gone == {str(keys[3]), str(keys[-3])}
    assert warehouse.count("_sync_seen") == 0
    warehouse.assert_equals_truth("attendances")


def test_a_position_that_has_expired_starts_the_read_anew(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("attendances", watch=stop_after(big, 10))
    big.before_response = None
    big.expire_cursors()
    report = warehouse.sync("attendances")
    assert report.exit_code == 0
    assert any("anew" in note for note in report.runs["attendances"].notes)
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


def command(warehouse: Warehouse, *resources: str, **env: str) -> dict[str, Any]:
    """How to start a sync as a process of its own."""
    folder = warehouse.folder
    return {
        "args": [
            *(sys.executable, "-m", "pipelines.cli", "sync"), *resources, *warehouse.options
        ],
        "cwd": folder,
        "env": {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "HOME": str(folder),
            "DLT_DATA_DIR": str(folder / "data"),
            "SOURCES__EDUFRAME__API_TOKEN": warehouse.sim.token,
            "SOURCES__EDUFRAME__BASE_URL": warehouse.sim.base_url,
            "SOURCES__EDUFRAME__REQUESTS_PER_WINDOW": str(PLENTY),
            "SOURCES__EDUFRAME__PIECE_SECONDS": "0.3",
            **warehouse.environment,
            **env,
        },
    }


def wait_for_requests(sim: Simulator, number: int) -> None:
    for _ in range(1200):
        if len(sim.requests) >= number:
            return
        time.sleep(0.05)
    raise AssertionError("the run did not get that far")


@in_a_lake_too
def test_killed_at_any_moment_the_next_run_goes_on(make_warehouse: MakeWarehouse) -> None:
    with Simulator(scale=1, requests_per_window=PLENTY, latency=0.02) as sim:
        warehouse = make_warehouse(sim)
        setup = command(warehouse, *LISTS)
        for requests in (30, 100, 170):
            with subprocess.Popen(stderr=subprocess.DEVNULL, **setup) as process:
                wait_for_requests(sim, requests)
                process.send_signal(signal.SIGKILL)
        done = subprocess.run(capture_output=True, text=True, check=False, **setup)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        warehouse.assert_equals_truth(*LISTS)
        runs = warehouse.rows("_sync_runs")
        assert len({row["run_id"] for row in runs}) == len(runs)
        assert [row["status"] for row in runs].count("running") == 0


SIGNALLED = """
import os, sys
from dlt.pipeline.pipeline import Pipeline
from pipelines.cli import main
from sources.eduframe.client import Client
from sources.eduframe.limiter import Limiter

stage, number = sys.argv.pop(1), int(sys.argv.pop(1))
owner, name, call = {
    "read": (Client, "get", 8),
    "normalize": (Pipeline, "normalize", 1),
    "load": (Pipeline, "load", 1),
    "wait": (Limiter, "acquire", 7),
}[stage]
original, calls = getattr(owner, name), []

def signalled(*args, **kw):
    calls.append(1)
    if len(calls) == call:
        os.kill(os.getpid(), number)
    return original(*args, **kw)

setattr(owner, name, signalled)
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stage", ["read", "normalize", "load", "wait"])
def test_a_signal_ends_the_run_with_what_was_read(
    make_warehouse: MakeWarehouse, number: signal.Signals, stage: str
) -> None:
    """A run that signals itself at that stage."""
    with Simulator(scale=1, requests_per_window=PLENTY, latency=0.05) as sim:
        warehouse = make_warehouse(sim)
        limit = {"SOURCES__EDUFRAME__REQUESTS_PER_WINDOW": "12"} if stage == "wait" else {}
        setup = command(warehouse, "attendances", **limit)
        setup["args"][1:3] = ["-c", SIGNALLED, stage, str(int(number))]
        done = subprocess.run(capture_output=True, text=True, timeout=60, check=False, **setup)
        assert done.returncode == PARTLY, done.stderr
        assert f"ended by {number.name}" in done.stdout
        read = len({str(r.query) for r in sim.requests if r.path == "/attendances"})
        assert warehouse.count("attendances") == min(100 * read, 2500) > 0
        assert warehouse.sync("attendances").exit_code == 0
        warehouse.assert_equals_truth("attendances")


KILLED = """
import os, sys
from dlt.common.destination.client import RunnableLoadJob
from dlt.common.storages.load_package import PackageStorage
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient
from dlt.destinations.job_client_impl import SqlJobClientBase
from pipelines.cli import main

table, before = sys.argv.pop(1), sys.argv.pop(1) == "before"

def deadly(owner, name, is_wanted):
    original = getattr(owner, name)

    def killed(self, *args, **kw):
        wanted = is_wanted(self)
        if wanted and before:
            os._exit(9)
        original(self, *args, **kw)
        if wanted:
            os._exit(9)

    setattr(owner, name, killed)

if table == "_dlt_loads":
    deadly(SqlJobClientBase, "complete_load", lambda client: True)
elif table == "loads_file":
    deadly(FilesystemClient, "_store_load", lambda client: True)
elif table == "extracted":
    deadly(PackageStorage, "delete_package", lambda s: s.storage.storage_path.endswith(table))
else:
    deadly(RunnableLoadJob, "run_managed", lambda job: job._file_name.startswith(table + "."))
main()
"""


@pytest.mark.parametrize(
    ("table", "moment"),
    [
        ("extracted", "before"),
        ("users", "after"),
        ("addresses", "before"),
        ("addresses", "after"),
        ("_sync_runs", "after"),
        ("_dlt_pipeline_state", "after"),
        ("_dlt_loads", "before"),
        ("_dlt_loads", "after"),
    ],
)
def test_killed_around_any_step_of_a_load_nothing_is_lost_or_doubled(
    warehouse: Warehouse, table: str, moment: str
) -> None:
    """What a job wrote is there, and dlt has not noted it yet; or the other way round."""
    setup = command(warehouse, "users", SOURCES__EDUFRAME__PIECE_SECONDS="60")
    setup["args"][1:3] = ["-c", KILLED, table, moment]
    assert subprocess.run(capture_output=True, check=False, **setup).returncode == 9
    again = subprocess.run(
        capture_output=True, text=True, check=False, **command(warehouse, "users")
    )
    assert again.returncode == 0, again.stderr
    assert "loaded what an earlier run had left pending" in again.stdout
    warehouse.assert_equals_truth("users")
    for log, key in (
        ("_sync_runs", "run_id"),
        ("_dlt_pipeline_state", "_dlt_load_id"),
        ("_dlt_loads", "load_id"),
    ):
        rows = warehouse.rows(log)
        assert len(rows) == len({row[key] for row in rows}), log


def test_a_deletion_is_logged_once_although_its_load_was_killed_and_the_disk_is_empty(
    warehouse: Warehouse,
) -> None:
    """Row and log were merged, and the load never completed: neither counts, nor stands twice."""
    warehouse.sync("users")
    gone = warehouse.sim.rows("users")[-1]["id"]
    warehouse.sim.delete("users", gone)
    setup = command(warehouse, "users")
    setup["args"][1:3] = ["-c", KILLED, "_dlt_loads", "before"]
    setup["args"].append("--reconcile")
    assert subprocess.run(capture_output=True, check=False, **setup).returncode == 9
    assert warehouse.count("_deletions") == 1
    shutil.rmtree(warehouse.pipeline.pipelines_dir)
    warehouse.pipeline = warehouse.make_pipeline()
    assert warehouse.sync("users", reconcile=True).runs["users"].deleted == 1
    (log,) = warehouse.rows("_deletions")
    (row,) = (row for row in warehouse.rows("users") if row["id"] == gone)
    completed = {load["load_id"] for load in warehouse.rows("_dlt_loads")}
    assert {log["_dlt_load_id"], row["_dlt_load_id"]} <= completed
    assert warehouse.sync("users", reconcile=True).runs["users"].deleted == 0
    warehouse.assert_equals_truth("users")


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
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    """It says nothing of the labels that are back, and knows nothing of what came after it."""
    def no_load(*args: Any, **kw: Any) -> None:
        raise KeyboardInterrupt

    sim, pipelines = warehouse.sim, warehouse.pipeline.pipelines_dir
    user = next(row for row in sim.rows("users") if row["label_ids"])
    warehouse.sync("users")
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
        with pytest.raises(LoadFailed, match="Nothing is lost"):
            warehouse.sync("users", lock_wait_seconds=0)
        patched.setattr("pipelines.sync.Client", refuse)
        with pytest.raises(RuntimeError, match="not yet"):
            warehouse.sync("users")
    report = warehouse.sync("users")
    assert report.exit_code == 0
    warehouse.assert_equals_truth("users")


def refuse(*args: Any, **kw: Any) -> None:
    raise RuntimeError("not yet")


def test_a_piece_that_landed_in_part_is_written_again(warehouse: Warehouse) -> None:
    warehouse.sync("users")
    warehouse.execute("UPDATE _dlt_loads SET status = 1")
    warehouse.execute("DELETE FROM user_labels")
    assert warehouse.sync("users", reconcile=True).exit_code == 0
    warehouse.assert_equals_truth("users")


def test_children_whose_row_did_not_land_are_written_again(warehouse: Warehouse) -> None:
    """The piece that took the labels away was cut off, its folder is lost, and they are back."""
    warehouse.sync("users")
    user = next(row for row in warehouse.sim.rows("users") if row["label_ids"])
    warehouse.execute(f"DELETE FROM user_labels WHERE user_id = {user['id']}")
    report = warehouse.sync("users", reconcile=True)
    assert report.total("changed") == 1
    warehouse.assert_equals_truth("users")


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


def set_aside(warehouse: Warehouse) -> set[int]:
    """The keys of the rows that do not fit, and have not been settled."""
    return {
        int(row["key"]) for row in warehouse.rows("_rejected_rows") if row["resolved_at"] is None
    }


@in_a_lake_too
def test_rows_set_aside_are_settled_when_they_fit_or_are_gone(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    warehouse.sync("users")
    fits, goes = (row["id"] for row in sim.rows("users")[:2])
    for key in (fits, goes):
        sim.change("users", key, first_name={"not": "a name"})
    for _ in range(2):  # they are looked at again, although nothing has moved
        report = warehouse.sync("users")
        assert (report.runs["users"].mode, report.runs["users"].rejected) == ("cursor", 2)
        assert set_aside(warehouse) == {fits, goes}
    sim.change("users", fits, first_name="Ada")
    warehouse.sync("users")
    assert set_aside(warehouse) == {goes}
    sim.delete("users", goes)
    assert warehouse.sync("users").runs["users"].mode == "cursor"
    assert set_aside(warehouse) == set()


def test_rows_set_aside_under_a_parent_are_settled_when_that_is_read(
    warehouse: Warehouse,
) -> None:
    sim = warehouse.sim
    warehouse.sync("invoices", "payments")
    payment = sim.rows("payments")[0]
    parent = payment["invoice_id"]
    other = next(row["id"] for row in sim.rows("invoices") if row["id"] != parent)

    def sync_after_change(invoice: int) -> None:
        sim.change("invoices", invoice, description="changed")
        assert warehouse.sync("invoices", "payments").runs["payments"].mode == "parents"

    sim.change("payments", payment["id"], status={"not": "a status"})
    sync_after_change(parent)
    assert set_aside(warehouse) == {payment["id"]}
    sim.change("payments", payment["id"], status="paid")
    sync_after_change(other)
    assert set_aside(warehouse) == {payment["id"]}
    sync_after_change(parent)
    assert set_aside(warehouse) == set()


def test_rows_set_aside_early_in_a_read_that_spans_runs_stay_so(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    odd = big.rows("attendances")[0]["id"]
    big.change("attendances", odd, comment={"not": "a comment"})
    warehouse.sync("attendances", watch=stop_after(big, 10))
    big.before_response = None
    assert warehouse.sync("attendances").exit_code == 0
    assert set_aside(warehouse) == {odd}


@contextlib.contextmanager
def held_open(file: str, *, read_only: bool = False) -> Iterator[int]:
    """A DuckDB file that another program holds open: the number of its process."""
    code = (
        f"import duckdb, sys; c = duckdb.connect({file!r}, read_only={read_only}); "
        "print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.communicate(b"")


@pytest.mark.parametrize("destination", ["duckdb"])
def test_a_file_that_another_program_holds_is_named_and_nothing_is_lost(
    warehouse: Warehouse,
) -> None:
    warehouse.sync("users")
    with (
        held_open(warehouse.address) as holder,
        pytest.raises(Exception, match=f"process {holder}"),
    ):
        warehouse.sync("users", lock_wait_seconds=0.5)
    assert warehouse.sync("users").exit_code == 0


@pytest.mark.parametrize("destination", ["duckdb"])
def test_who_is_told_to_end_waits_no_longer_for_a_file_that_is_held(warehouse: Warehouse) -> None:
    run = command(warehouse, "users")
    with (
        held_open(warehouse.address) as holder,
        subprocess.Popen(stderr=subprocess.PIPE, text=True, **run) as process,
    ):
        assert process.stderr is not None
        assert any("waiting" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=Settings.lock_wait_seconds / 2)
        assert process.returncode == FAILED
        assert f"process {holder}" in error
    assert warehouse.sync("users").exit_code == 0


@pytest.mark.parametrize("destination", ["duckdb"])
def test_status_reads_the_file_beside_other_readers(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse.sync("users")
    monkeypatch.setattr("pipelines.status.make_pipeline", lambda *args: warehouse.pipeline)
    with held_open(warehouse.address, read_only=True):
        assert run_status("duckdb", "eduframe", max_age=None, as_json=True) == 0
    assert '"resource": "users"' in capsys.readouterr().out


@pytest.mark.parametrize("destination", ["duckdb"])
def test_readers_and_the_sync_share_the_file(warehouse: Warehouse) -> None:
    """A reader that opens the file again and again meets write windows; the sync never fails."""
    code = f"""
import duckdb, sys, time
print("ready", flush=True)
while True:
    try:
        with duckdb.connect({str(warehouse.address)!r}, read_only=True) as connection:
            connection.execute("SELECT count(*) FROM eduframe.users").fetchall()
        print("answered", flush=True)
        time.sleep(0.1)
    except duckdb.IOException:
        time.sleep(0.002)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        try:
            for _ in range(3):
                assert warehouse.sync("users", "labels", reconcile=True).exit_code == 0
            assert reader.stdout.readline() == "answered\n"
        finally:
            reader.kill()
    warehouse.assert_equals_truth("users")


@in_a_lake_too
def test_status_tells_the_age_and_doctor_finds_nothing(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in warehouse.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SOURCES__EDUFRAME__INCLUDE", "users,labels")
    warehouse.sync("users", "labels")
    with contextlib.chdir(warehouse.folder):
        assert run_status(warehouse.destination, "eduframe", max_age="26h", as_json=False) == 0
        assert run_status(warehouse.destination, "eduframe", max_age="0s", as_json=True) == PARTLY
        assert '"too_old": true' in capsys.readouterr().out
        assert run_doctor(warehouse.destination, "eduframe") == 0


def test_doctor_finds_and_mends_what_a_crash_left(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def doctor() -> str:
        capsys.readouterr()
        assert run_doctor(warehouse.destination, "eduframe") == 0
        return capsys.readouterr().out

    def no_load(*args: Any, **kw: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.doctor.make_pipeline", lambda *args: warehouse.pipeline)
    warehouse.sync("labels")
    warehouse.execute("UPDATE _dlt_loads SET status = 1")
    with monkeypatch.context() as patched:
        patched.setattr(type(warehouse.pipeline), "load", no_load)
        with pytest.raises(KeyboardInterrupt):
            warehouse.sync("users")
    found = doctor()
    assert "loaded what an earlier run had left pending" in found
    assert f"labels: {warehouse.count('labels')} rows of a half-loaded piece" in found
    warehouse.assert_equals_truth("users")
    assert warehouse.sync("users", "labels").exit_code == 0
    warehouse.assert_equals_truth("users", "labels")
    assert doctor().startswith("all is well")


def test_keys_of_written_rows_need_no_keeping(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("attendances")
    keys = [row["id"] for row in big.rows("attendances")]
    for key in keys[10:20]:
        big.change("attendances", key, comment="changed")
    big.delete("attendances", keys[3])
    warehouse.sync("attendances", reconcile=True, watch=stop_after(big, 10))
    big.before_response = None
    kept = {row["key_id"] for row in warehouse.rows("_sync_seen")}
    assert kept
    assert kept.isdisjoint(keys[10:20])
    report = warehouse.sync("attendances", reconcile=True)
    assert report.runs["attendances"].deleted == 1
    warehouse.assert_equals_truth("attendances")


def test_a_read_of_changed_parents_that_spans_runs_deletes_nothing(
    make_warehouse: MakeWarehouse, big: Simulator
) -> None:
    warehouse = make_warehouse(big)
    warehouse.sync("invoices", "payments")
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
