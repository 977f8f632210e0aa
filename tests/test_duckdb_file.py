"""The DuckDB file between the sync and its readers."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipelines.eduframe.commands.status import run_status
from pipelines.eduframe.exit_codes import FAILED
from sources.eduframe.settings import Settings
from tests.conftest import command
from tests.processes import start
from tests.warehouses import Warehouse


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


def test_who_is_told_to_end_waits_no_longer_for_a_file_that_is_held(warehouse: Warehouse) -> None:
    with (
        held_open(warehouse.address) as holder,
        start(**command(warehouse, "users")) as process,
    ):
        process.wait_for("waiting")
        process.send_signal(signal.SIGTERM)
        assert process.wait(Settings().lock_wait_seconds / 2) == FAILED
        assert f"process {holder}" in process.stderr
    assert warehouse.sync("users").exit_code == 0


def test_status_reads_the_file_beside_other_readers(
    synced: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = synced
    monkeypatch.setattr(
        "pipelines.eduframe.commands.status.make_pipeline", lambda *args: warehouse.pipeline
    )
    with held_open(warehouse.address, read_only=True):
        assert run_status("duckdb", "eduframe", max_age=None, as_json=True) == 0
    assert '"resource": "users"' in capsys.readouterr().out


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
