"""Who may read what the sync leaves on disk: nobody but its user, whatever the umask is."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from pipelines.eduframe.destinations.duckdb_file import holding_file
from pipelines.eduframe.exit_codes import DONE, FAILED
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.place.local_lock import lock_file
from pipelines.eduframe.place.target import target_of
from pipelines.eduframe.run.sync import sync
from sources.eduframe.errors import LoadFailedError, SettingsError
from sources.eduframe.private_files import mode_of
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator
from tests.conftest import Eduframe, command, settings
from tests.processes import run
from tests.warehouses import PLENTY, Warehouse

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes say nothing there")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """One that lets everybody do everything."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def few() -> Iterator[Simulator]:
    with Simulator(scale=0, counts={"labels": 3}, requests_per_window=PLENTY) as sim:
        yield sim


def modes(folder: Path) -> dict[str, str]:
    """Path to mode of all that others may do something with."""
    paths = [folder, *folder.rglob("*")]
    return {
        str(path.relative_to(folder)): f"{mode_of(path):o}"
        for path in paths
        if not path.is_symlink() and mode_of(path) & 0o077
    }


def given(sim: Simulator, **more: str) -> Settings:
    return Settings(
        api_token=sim.token, base_url=sim.base_url, requests_per_window=PLENTY, **more
    )


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "written"), [("600", "600"), ("640", "0640"), ("666", "0o666")])
def test_a_new_file_has_its_mode_and_all_else_is_private(
    few: Simulator, tmp_path: Path, mode: str, written: str
) -> None:
    file, work = tmp_path / "warehouse.duckdb", tmp_path / "work"
    pipeline = make_pipeline(credentials=str(file), pipelines_dir=str(work))
    assert sync(pipeline, ["labels"], settings=given(few, file_mode=written)).exit_code == 0
    assert f"{mode_of(file):o}" == mode
    assert os.umask(0) == 0
    assert modes(work) == {}
    assert [*work.rglob("state.json")]


def test_a_new_delta_folder_lets_nobody_in(few: Simulator, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    pipeline = make_pipeline("filesystem", credentials=str(lake), pipelines_dir=str(tmp_path / "w"))
    assert sync(pipeline, ["labels"], settings=given(few, file_mode="640")).exit_code == 0
    assert (mode_of(lake), mode_of(lake / "eduframe")) == (0o750, 0o750)


def test_a_package_that_stays_pending_is_private(
    few: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("pipelines.eduframe.destinations.duckdb_merge._MergeJob.run", fail)
    work = tmp_path / "work"
    pipeline = make_pipeline(credentials=str(tmp_path / "w.duckdb"), pipelines_dir=str(work))
    with pytest.raises(LoadFailedError):
        sync(pipeline, ["labels"], settings=given(few).model_copy(update={"lock_wait_seconds": 0}))
    assert [*work.rglob("*.parquet")]
    assert modes(work) == {}


@pytest.mark.slow
def test_an_existing_file_keeps_its_mode(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    file, other = tmp_path / "warehouse.duckdb", tmp_path / "other.duckdb"
    seen: set[int] = set()
    here.before_response = lambda request: seen.update(map(mode_of, tmp_path.rglob("*.duckdb*")))
    assert eduframe("sync", "labels", **settings(here)).code == DONE
    assert (mode_of(file), modes(tmp_path / "dlt")) == (0o600, {})
    file.chmod(0o640)
    for arguments in (["sync", "users"], ["doctor"], ["check"]):
        assert eduframe(*arguments, **settings(here)).code == DONE
        assert (mode_of(file), modes(tmp_path / "dlt")) == (0o640, {})
    elsewhere = {
        "DESTINATION__OTHER__DESTINATION_TYPE": "duckdb",
        "DESTINATION__OTHER__CREDENTIALS": str(other),
    }
    assert eduframe("copy", "--from", "duckdb", "--to", "other", **elsewhere).code == DONE
    assert (mode_of(file), mode_of(other)) == (0o640, 0o600)
    assert seen <= {0o600, 0o640}


@pytest.mark.slow
def test_nothing_is_open_while_the_command_runs(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    """Not even in a folder that lets nobody in."""
    open_ones: dict[str, str] = {}
    here.before_response = lambda request: open_ones.update(modes(tmp_path / "dlt"))
    assert eduframe("sync", LOAD_PACKAGE_SECONDS="0.01", **settings(here)).code == DONE
    assert open_ones == {}


def test_the_log_beside_a_file_has_its_readers(tmp_path: Path) -> None:
    file, log = tmp_path / "w.duckdb", tmp_path / "w.duckdb.wal"
    code = f"""
import duckdb, os
connection = duckdb.connect({str(file)!r})
connection.execute("CREATE TABLE t(i INT)")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    file.chmod(0o640)
    assert stat.S_IMODE(log.stat().st_mode) == 0o666
    found = []
    with holding_file(file, 0):
        found = [mode_of(path) for path in (file, log) if path.exists()]
    assert found in ([0o640], [0o640, 0o640])


@pytest.mark.parametrize("mode", ["rw", "777", "400", "060", "1600", 0o640, "640 "[:2]])
def test_modes_that_are_none_are_refused(mode: object) -> None:
    with pytest.raises(SettingsError, match=r"file_mode is .* as chmod takes it"):
        Settings(file_mode=mode)


# ---- Whom check names


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder into which everybody may look."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("mode", "readers", "said"),
    [
        (0o600, "its owner", "only "),
        (0o640, "its group", " and the group "),
        (0o644, "everybody", "EVERYBODY"),
    ],
)
def test_check_tells_who_can_read_what(
    warehouse: Warehouse, readable: Path, mode: int, readers: str, said: str
) -> None:
    secrets = readable / ".dlt" / "secrets.toml"
    secrets.parent.mkdir(mode=0o755)
    secrets.write_text("[sources.eduframe]\n")
    secrets.chmod(mode)
    setup = command(warehouse) | {"cwd": readable}
    setup["args"] = [*setup["args"][:3], "check"]
    (line,) = [x for x in run(**setup).stdout.splitlines() if x.startswith("secrets ")]
    assert f"{secrets}: " in line
    assert said in line
    assert (f"chmod 600 {secrets}" in line) == (readers != "its owner")
    os.chmod(readable, 0o700)
    setup["args"].append("--json")
    found = {file["what"]: file for file in orjson.loads(run(**setup).stdout)["files"]}
    assert found["secrets"]["readers"] == "its owner"
    assert found["secrets"]["mode"] == f"{mode:o}"
    assert found["work folder"]["mode"] == "700"


# ---- Disks that are full


@pytest.mark.parametrize("size", [0, 5_000, 10_000])
def test_a_file_that_could_not_be_made_does_not_stay(warehouse: Warehouse, size: int) -> None:
    folder = warehouse.folder / "new"
    folder.mkdir()
    file = folder / "warehouse.duckdb"
    setup = command(warehouse, "labels", DESTINATION__DUCKDB__CREDENTIALS=str(file))
    setup["args"][1:3] = ["-c", ONLY_DUCKDB.format(size=size)]
    full = run(**setup)
    assert full.returncode == FAILED
    assert f"no space left in {folder}" in full.stderr.splitlines()[-1]
    assert [*folder.iterdir()] == []
    setup["args"][1:3] = ["-m", "pipelines.eduframe.commands.cli"]
    assert run(**setup).returncode == DONE


def test_a_working_folder_that_is_full_is_named(warehouse: Warehouse) -> None:
    setup = command(warehouse, "labels")
    setup["args"][1:3] = ["-c", ONLY_STATE]
    full = run(**setup)
    assert full.returncode == FAILED
    assert "no space left in " in full.stderr.splitlines()[-1]
    assert f"/pipelines/{warehouse.pipeline.pipeline_name} (" in full.stderr.splitlines()[-1]


ONLY_STATE = """
import errno
from dlt.pipeline.pipeline import Pipeline
def full(*args, **how):
    raise OSError(errno.ENOSPC, "No space left on device")
Pipeline.sync_destination = full
from pipelines.eduframe.commands.cli import main
main()
"""
ONLY_DUCKDB = """
import resource
import duckdb
plain = duckdb.connect
def connect(*args, **how):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, hard))
    try:
        return plain(*args, **how)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
duckdb.connect = connect
from pipelines.eduframe.commands.cli import main
main()
"""


def test_who_may_write_the_data_may_hold_its_lock(warehouse: Warehouse) -> None:
    file = Path(warehouse.address)
    file.chmod(0o600)  # the template of the tests has another
    warehouse.sync("labels")
    lock = lock_file(target_of(warehouse.pipeline))
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    file.chmod(0o660)
    warehouse.sync("labels")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o660
