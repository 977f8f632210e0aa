"""The DuckDB file between the sync and its readers."""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest

from pipelines.eduframe.commands.status import run_status
from pipelines.eduframe.destinations.duckdb_file import holder, holding_file, is_busy
from pipelines.eduframe.exit_codes import FAILED
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import FileBusyError, FileUnusableError
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator
from tests.conftest import MakeWarehouse, command
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


def test_what_was_read_of_a_table_does_not_stay_in_memory(tmp_path: Path) -> None:
    pipeline = dlt.pipeline(
        "x", f"{tmp_path}/dlt", destination=dlt.destinations.duckdb(f"{tmp_path}/x.duckdb")
    )
    with Dataset(pipeline) as stored:
        stored.execute("CREATE TABLE t AS SELECT random() AS a FROM range(2_500_000)")
        stored.execute("SET memory_limit = '300MB'")
        stored.execute("CHECKPOINT")

        def one(sql: str) -> Any:
            return next(stored.query(f"SELECT {sql} AS one")).column(0)[0].as_py()

        held = "(SELECT SUM(memory_usage_bytes) FROM duckdb_memory())"
        limit = one("current_setting('memory_limit')")
        one("(SELECT SUM(a) FROM t)")
        assert one(held) > 16e6
        for _ in range(3):
            stored.spare_memory()
        assert one(held) <= 16e6
        # Where somebody's work in the same process does not fit into that, it goes on as before.
        stored.execute("SET temp_directory = ''")
        stored.execute("CREATE TEMP TABLE theirs AS SELECT random() AS a FROM range(2_500_000)")
        stored.spare_memory()
        assert one("current_setting('memory_limit')") == limit
        assert one("(SELECT COUNT(*) FROM theirs)") == 2_500_000


def test_who_holds_it_for_reading_is_not_told_to_read_only(warehouse: Warehouse) -> None:
    with (
        held_open(warehouse.address, read_only=True),
        pytest.raises(FileBusyError, match="open there for reading") as raised,
    ):
        warehouse.sync("users", lock_wait_seconds=0.5)
    assert "let it read only" not in str(raised.value)


@pytest.mark.parametrize(
    "message",
    [
        'IO Error: Could not set lock on file "{}": Conflicting lock is held in /usr/bin/python3 '
        "(PID 1234). See also https://duckdb.org/docs/stable/connect/concurrency",
        'IO Error: Cannot open file "{}": The process cannot access the file because it is being '
        "used by another process.\r\n\nFile is already open in \n"
        "C:\\Users\\An (2)\\python3.exe (PID 1234)",
        'IO Error: Cannot open file "{}": Het proces heeft geen toegang tot het bestand omdat dit '
        "door een ander proces wordt gebruikt.\r\n\nFile is already open in \n"
        "C:\\Program Files\\python3.exe (PID 1234)",
    ],
)
def test_a_busy_file_is_known_on_every_system(message: str, tmp_path: Path) -> None:
    path = tmp_path / "block" / "warehouse.duckdb"
    error = duckdb.IOException(message.format(path))
    assert is_busy(path, error)
    assert re.fullmatch(r"python3(\.exe)? \(process 1234\)", holder(error))


def test_windows_does_not_always_tell_who_holds_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "warehouse.duckdb"
    error = duckdb.IOException(f'IO Error: Cannot open file "{path}": Le fichier est utilisé')
    monkeypatch.setattr("sys.platform", "win32")
    assert not is_busy(path, error)  # it is not even there
    path.touch()
    assert is_busy(path, error)
    assert holder(error) == "another program"


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4100:4164] = b"\x5a" * 64
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [_damage, lambda path: path.write_bytes(b"block of text" * 999)],
    ids=["damaged", "another file"],
)
def test_a_file_that_cannot_be_used_is_no_busy_file(
    make_warehouse: MakeWarehouse,
    sim: Simulator,
    tmp_path: Path,
    spoil: Callable[[Path], object],
) -> None:
    """At once, though there is a "lock" in "block"."""
    folder = tmp_path / "block"
    folder.mkdir()
    warehouse = make_warehouse(sim, folder)
    warehouse.sync("labels")
    spoil(Path(warehouse.address))
    with pytest.raises(FileUnusableError, match="damaged, or no DuckDB file"):
        warehouse.sync("labels")


def test_who_made_a_file_leaves_it_to_another_of_the_same_program(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"
    first, second = holding_file(file, 1), holding_file(file, 1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS i")
    second.__exit__(None, None, None)
    with duckdb.connect(str(file)) as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]


def test_threads_open_and_close_one_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "w.duckdb"

    def hold(times: int) -> None:
        for _ in range(times):
            with holding_file(file, 20), duckdb.connect(str(file)) as connection:
                connection.execute("SELECT 1")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, [30] * 4))


def test_a_folder_that_is_missing_is_no_busy_file(tmp_path: Path) -> None:
    missing = tmp_path / "block" / "warehouse.duckdb"
    with (
        pytest.raises(FileUnusableError, match="there is no folder"),
        holding_file(missing, 60),
    ):
        pytest.fail("it was opened")


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
        "pipelines.eduframe.commands.status.make_pipeline", lambda *args, **kw: warehouse.pipeline
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
