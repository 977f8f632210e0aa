"""Killed or signalled at any moment: nothing is lost, and nothing doubled."""

import shutil
import signal
import time
from typing import Any

import pytest

from pipelines.eduframe.exit_codes import PARTLY
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse, command, in_a_lake_too
from tests.processes import run, start
from tests.warehouses import PLENTY, Warehouse


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


LISTS = ("users", "orders", "enrollments", "invoices", "payments")


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
            with start(**setup) as process:
                wait_for_requests(sim, requests)
                process.send_signal(signal.SIGKILL)
        done = run(**setup)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        warehouse.assert_equals_truth(*LISTS)
        runs = warehouse.rows("_sync_runs")
        assert len({row["run_id"] for row in runs}) == len(runs)
        assert [row["status"] for row in runs].count("running") == 0


SIGNALLED = """
import os, sys
from dlt.pipeline.pipeline import Pipeline
from pipelines.eduframe.commands.cli import main
from sources.eduframe.http.client import Client
from sources.eduframe.limits.rate_limiter import Limiter

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
        done = run(timeout=60, **setup)
        assert done.returncode == PARTLY, done.stderr
        assert f"ended by {number.name}" in done.stdout
        read = len({str(r.query) for r in sim.requests if r.path == "/attendances"})
        # what is under way is broken off: the page that was asked for last may be missing
        assert warehouse.count("attendances") in {min(100 * n, 2500) for n in (read - 1, read)}
        assert warehouse.count("attendances") > 0
        assert warehouse.sync("attendances").exit_code == 0
        warehouse.assert_equals_truth("attendances")


HANGING = """
import duckdb, sys
from dlt.pipeline.pipeline import Pipeline
from pipelines.eduframe.commands.cli import main

def hang(*args, **kw):
    print("the load hangs", file=sys.stderr)
    duckdb.execute("SELECT max(hash(a.range, b.range)) FROM range(1000000) a, range(1000000) b")

Pipeline.load = hang
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_process_whose_load_hangs(
    warehouse: Warehouse, number: signal.Signals
) -> None:
    setup = command(warehouse, "labels")
    setup["args"][1:3] = ["-c", HANGING]
    with start(**setup) as process:
        process.wait_for("the load hangs")
        process.send_signal(number)
        process.wait_for("once more ends the process at once")
        process.send_signal(number)
        assert process.wait(10) == 128 + number
        assert "the next run goes on" in process.stderr
    assert warehouse.sync("labels").exit_code == 0
    warehouse.assert_equals_truth("labels")


KILLED = """
import os, sys
from dlt.common.destination.client import RunnableLoadJob
from dlt.common.storages.load_package import PackageStorage
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient
from dlt.destinations.job_client_impl import SqlJobClientBase
from pipelines.eduframe.commands.cli import main

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


def kill_at(step: str, moment: str, setup: dict[str, Any]) -> None:
    """Run a command that kills itself before or after a step of its load."""
    setup["args"][1:3] = ["-c", KILLED, step, moment]
    assert run(**setup).returncode == 9


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
    unhurried = {"SOURCES__EDUFRAME__LOAD_PACKAGE_SECONDS": "60"}
    kill_at(table, moment, command(warehouse, "users", **unhurried))
    again = run(**command(warehouse, "users"))
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
    kill_at("_dlt_loads", "before", command(warehouse, "users", "--reconcile"))
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
