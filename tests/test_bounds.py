"""Beside others: two customers on a machine, odd names, damaged folders, locks that are lost."""

import contextlib
import errno
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.eduframe import make_pipeline, sync
from pipelines.eduframe.commands.report.command import can_report
from pipelines.eduframe.destinations.lock import one_at_a_time
from pipelines.eduframe.exit_codes import DONE, FAILED, LOCKED, WRONG_USE
from pipelines.eduframe.run.report import Report
from sources.eduframe.errors import LockedError, LockLostError, SettingsError
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator
from tests import processes
from tests.conftest import Eduframe, settings
from tests.warehouses import PLENTY, Home, Warehouse


def run(
    sim: Simulator, dataset: str, file: Path, folder: Path, *lists: str, **kw: Any
) -> Report:
    pipeline = make_pipeline("duckdb", dataset, credentials=str(file), pipelines_dir=str(folder))
    given = Settings(api_token=sim.token, base_url=sim.base_url, requests_per_window=PLENTY)
    return sync(pipeline, lists, settings=given, **kw)


def count(file: Path, table: str) -> int:
    with duckdb.connect(file, read_only=True) as connection:
        [(found,)] = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchall()
        return int(found)


# ---- One identity of a dataset


@pytest.mark.slow
@pytest.mark.parametrize("same_file", [True, False])
def test_two_customers_run_at_the_same_time(tmp_path: Path, same_file: bool) -> None:
    with (
        Simulator(scale=0, counts={"users": 30}, requests_per_window=PLENTY) as one,
        Simulator(scale=0, counts={"users": 40}, educator_id=2, token="other-token-1",
                  requests_per_window=PLENTY) as two,
        ThreadPoolExecutor(2) as pool,
    ):
        met = threading.Barrier(2, timeout=60)

        def wait_for_the_other(sim: Simulator) -> None:
            def hook(request: Any) -> None:
                sim.before_response = None
                met.wait()

            sim.before_response = hook

        files = [tmp_path / "a.duckdb", tmp_path / ("a.duckdb" if same_file else "b.duckdb")]
        for _ in range(2):
            wait_for_the_other(one)
            wait_for_the_other(two)
            reports = list(pool.map(
                lambda args: run(args[0], args[1], args[2], tmp_path / "dlt", "users"),
                [(one, "eduframe", files[0]), (two, "second", files[1])],
            ))
            assert [report.exit_code for report in reports] == [DONE, DONE]
            assert not any("made anew" in n or "pending" in n for r in reports for n in r.notes)
        assert count(files[0], "eduframe.users") == 30
        assert count(files[1], "second.users") == 40
        assert (tmp_path / "dlt" / "eduframe" / "state.json").exists()
        [note] = [n for n in reports[1].notes if "--pipelines-dir" in n]
        home = Path(note.split("--pipelines-dir ")[1].split()[0])
        assert (home / "eduframe" / "state.json").exists()
        assert not any("--pipelines-dir" in n for n in reports[0].notes)


@pytest.mark.parametrize(
    ("dataset", "given", "folder"),
    [("eduframe", {"name": "other"}, "dlt"), ("eduframe", {}, "elsewhere"),
     ("eduframe", {}, "dlt/../dlt"), ("EDUFRAME", {}, "dlt")],
)
def test_one_dataset_takes_one_run_whatever_it_is_called(
    warehouse: Warehouse, dataset: str, given: dict[str, Any], folder: str
) -> None:
    os.chdir(warehouse.folder)
    again = make_pipeline(
        "duckdb", dataset, credentials="warehouse.duckdb", pipelines_dir=folder, **given
    )
    with ThreadPoolExecutor(1) as pool, one_at_a_time(warehouse.pipeline):
        for attempt in (pool.submit(lambda: one_at_a_time(again).__enter__()).result,
                        lambda: one_at_a_time(again).__enter__()):
            with pytest.raises(LockedError, match=f"process {os.getpid()} "):
                attempt()
    with one_at_a_time(again):
        pass


def test_two_data_folders_with_one_file_take_turns(
    eduframe: Eduframe, here: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "first"))
    with one_at_a_time(make_pipeline()):
        monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "second"))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of-another-user"))
        found = eduframe("sync", "labels", **settings(here))
    assert (found.code, here.requests) == (LOCKED, [])


@pytest.mark.slow
def test_what_an_old_folder_holds_pending_is_loaded_once(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier release had one working folder for all datasets."""
    file, folder = tmp_path / "w.duckdb", tmp_path / "dlt"
    run(sim, "second", file, folder, "labels")
    pipeline = make_pipeline("duckdb", "second", credentials=str(file), pipelines_dir=str(folder))
    with monkeypatch.context() as patched:
        patched.setattr(type(pipeline), "load", lambda *a, **kw: (_ for _ in ()).throw(EOFError))
        with pytest.raises(EOFError):
            run(sim, "second", file, folder, "users")
    assert count(file, "second.users") == 0
    Path(pipeline.working_dir).rename(folder / "eduframe")
    shutil.rmtree(pipeline.pipelines_dir)
    text = f"dlt.destinations.duckdb {file} second"
    (folder / "eduframe" / "eduframe-target").write_text(text)
    assert not any("pending" in n for n in run(sim, "eduframe", file, folder, "labels").notes)
    sim.clear_requests()
    assert any("left pending" in n for n in run(sim, "second", file, folder, "labels").notes)
    assert not any(request.path == "/users" for request in sim.requests)
    assert count(file, "second.users") == len(sim.rows("users"))
    assert not any("pending" in n for n in run(sim, "second", file, folder, "labels").notes)


# ---- Names and folders


ODD_NAMES = [
    "..", ".", "", " ", "a/b", "/etc", "a\\b", "../x", "a\0b", "-", "x" * 200, "a\n", None, 7,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_refused_before_anything_is_touched(name: Any, tmp_path: Path) -> None:
    folder = tmp_path / "dlt" / "pipelines"
    (folder / "other").mkdir(parents=True)
    (folder / "other" / "state.json").write_text("{}")
    (folder / "secrets.toml").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with ThreadPoolExecutor(2) as pool:
        for odd in [{"name": name}, {"dataset": name}]:
            attempts = [pool.submit(make_pipeline, pipelines_dir=str(folder), **odd) for _ in "ab"]
            for attempt in attempts:
                with pytest.raises(SettingsError):
                    attempt.result()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("dataset", ["", "a.b", "a;b", "a b", "a__b", "ü", "pg_mine", "1a"])
def test_a_dataset_that_would_be_called_otherwise_is_refused(
    eduframe: Eduframe, here: Simulator, dataset: str, tmp_path: Path
) -> None:
    found = eduframe("sync", "--dataset", dataset, **settings(here))
    assert (found.code, here.requests) == (WRONG_USE, [])
    assert "--dataset" in found.err
    assert not [*tmp_path.rglob("state.json")]


@pytest.mark.parametrize("variable", ["DEV_MODE", "PIPELINES__EDUFRAME__DEV_MODE", "REFRESH"])
@pytest.mark.parametrize("value", ["x", "true", "drop_data"])
def test_what_would_have_dlt_clear_a_folder_is_refused(
    eduframe: Eduframe, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    pipeline = make_pipeline()
    pending = Path(pipeline.working_dir) / "load" / "normalized"
    pending.mkdir(parents=True)
    (pending / "package").write_text("of a run that is going on")
    monkeypatch.setenv(variable, value)
    for command in ("status", "doctor"):
        found = eduframe(command)
        assert found.code == WRONG_USE
        assert variable.rsplit("__", 1)[-1].lower() in found.err
    assert (pending / "package").exists()


@pytest.mark.parametrize("as_link", [True, False])
def test_a_working_folder_with_other_things_is_refused(
    sim: Simulator, tmp_path: Path, as_link: bool
) -> None:
    folder, mine = tmp_path / "dlt", tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("a year's work")
    folder.mkdir()
    if as_link:
        (folder / "eduframe").symlink_to(mine)
    else:
        mine.rename(folder / "eduframe")
    with pytest.raises(SettingsError, match=r"holds other things.*thesis\.txt"):
        run(sim, "eduframe", tmp_path / "w.duckdb", folder, "labels")
    assert (folder / "eduframe" / "thesis.txt").read_text() == "a year's work"


STATES = [
    "[]", "null", "7", '"x"', "{}", '{"_local": 3}', "\x00\x01", '{"_state_engine_version": 99}',
]


@pytest.mark.parametrize("state", STATES)
def test_a_damaged_state_is_moved_aside_and_mended(
    warehouse: Warehouse, state: str
) -> None:
    folder = Path(warehouse.pipeline.working_dir)
    (folder / "state.json").write_text(state)
    with one_at_a_time(warehouse.pipeline), pytest.raises(LockedError):
        warehouse.make_pipeline()
    assert (folder / "state.json").read_text() == state
    warehouse.pipeline = warehouse.make_pipeline()
    [aside] = folder.parent.glob("eduframe.damaged-*")
    assert (aside / "state.json").read_text() == state
    assert warehouse.sync("labels").exit_code == DONE
    warehouse.assert_equals_truth("labels")


@pytest.mark.slow
def test_doctor_names_a_dataset_that_is_not_there(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("state.json"))
    found = eduframe("doctor", "--dataset", "nope")
    assert found.code == FAILED
    assert "no dataset nope" in found.err
    assert eduframe("sync", "labels", **settings(here)).code == DONE
    before = sorted(tmp_path.rglob("state.json"))
    assert eduframe("doctor", "--dataset", "nope").code == FAILED
    assert sorted(tmp_path.rglob("state.json")) == before
    assert eduframe("doctor").code == DONE
    with one_at_a_time(make_pipeline()):
        assert eduframe("doctor").code == LOCKED
        assert eduframe("status", INCLUDE="labels").code == DONE


@pytest.mark.slow
def test_the_demo_leaves_its_database_alone(
    eduframe: Eduframe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(tmp_path.rglob("*"))
    assert eduframe("demo").code == DONE
    report = {"eduframe_demo.html"} if can_report() else set()
    made = {p.name for p in set(tmp_path.rglob("*")) - before}
    assert made == {"eduframe_demo.duckdb", *report}


# ---- Versions


def test_an_older_program_keeps_off_a_dataset_of_a_newer_one(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = warehouse.sim
    with monkeypatch.context() as newer:
        newer.setattr("pipelines.eduframe.run.report.version", lambda: "10.1.0")
        warehouse.sync("labels")
    sim.clear_requests()
    with pytest.raises(SettingsError, match=r"Install eduframe-sync 10\.1\.0 or newer"):
        warehouse.sync("labels")
    assert sim.requests == []
    warehouse.execute("DELETE FROM _sync_runs WHERE version = '10.1.0'")
    assert warehouse.sync("labels").exit_code == DONE
    warehouse.execute("UPDATE _sync_runs SET row_hash_version = 9")
    with pytest.raises(SettingsError, match="row hashes of version 9"):
        warehouse.sync("labels")
    warehouse.execute("UPDATE _sync_runs SET version = 'of my own', row_hash_version = NULL")
    assert warehouse.sync("labels").exit_code == DONE


# ---- The lock in the database


@pytest.fixture
def postgres(home: Home, sim: Simulator, tmp_path: Path) -> Warehouse:
    return home.make("postgres", sim, tmp_path)


def test_on_postgres_the_lock_is_the_datasets(
    postgres: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with one_at_a_time(postgres.pipeline):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another-machine"))
        other = make_pipeline(
            "postgres", name="other", credentials=postgres.address, pipelines_dir=str(tmp_path)
        )
        with pytest.raises(LockedError, match=r"in the database: from .*\(server process"):
            one_at_a_time(other).__enter__()
        second = make_pipeline(
            "postgres", "second", credentials=postgres.address, pipelines_dir=str(tmp_path)
        )
        with one_at_a_time(second) as still_held:
            still_held()


def test_a_run_that_lost_its_lock_ends(postgres: Warehouse) -> None:
    sim = postgres.sim

    def kill_the_holder(request: Any) -> None:
        if request.path == "/users":
            sim.before_response = None
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            )

    sim.before_response = kill_the_holder
    with pytest.raises(LockLostError, match="another run may have begun"):
        postgres.sync("users")
    assert postgres.count("users") == 0
    assert postgres.sync("users").exit_code == DONE
    postgres.assert_equals_truth("users")


def test_an_idle_lock_is_not_closed(postgres: Warehouse) -> None:
    name = postgres.address.split("?")[0].rsplit("/", 1)[-1]
    postgres.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '30ms'")
    with one_at_a_time(postgres.pipeline) as still_held:
        time.sleep(0.3)
        still_held()


# ---- Eleven processes, three tokens, five datasets


REQUESTS, WINDOW = 40, 2.0
TOKENS = ("token-number-1", "token-number-2", "token-number-3")
RUNS = [  # token, file, dataset, data folder
    (0, "a", "eduframe", "d1"), (0, "a", "eduframe", "d2"), (0, "a", "second", "d1"),
    (0, "b", "eduframe", "d1"), (0, "a", "second", "d3"), (1, "c", "eduframe", "d1"),
    (1, "c", "eduframe", "d1"), (1, "c", "eduframe", "d4"), (2, "c", "third", "d1"),
    (2, "c", "third", "d2"), (2, "c", "third", "d1"),
]


@pytest.mark.slow
def test_eleven_processes_with_three_tokens_and_five_datasets(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        sims = [
            stack.enter_context(Simulator(
                scale=0, counts={"users": 2500, "labels": 30}, token=token, educator_id=number + 1,
                requests_per_window=REQUESTS, window_seconds=WINDOW,
            ))
            for number, token in enumerate(TOKENS)
        ]
        started = []
        for number, file, dataset, folder in RUNS:
            env = {
                **os.environ,
                "DLT_DATA_DIR": str(tmp_path / folder),
                "DESTINATION__DUCKDB__CREDENTIALS": str(tmp_path / f"{file}.duckdb"),
                "SOURCES__EDUFRAME__API_TOKEN": TOKENS[number],
                "SOURCES__EDUFRAME__BASE_URL": sims[number].base_url,
                "SOURCES__EDUFRAME__REQUESTS_PER_WINDOW": str(REQUESTS),
                "SOURCES__EDUFRAME__WINDOW_SECONDS": str(WINDOW),
            }
            args = ["python", "-m", "eduframe", "sync", "users", "labels", "--dataset", dataset]
            started.append(processes.start(args, tmp_path, env))
        codes: dict[Any, list[int]] = {}
        said = ""
        for (_, file, dataset, _), process in zip(RUNS, started, strict=True):
            code = process.wait(240)
            codes.setdefault((file, dataset), []).append(code)
            said += "" if code in (DONE, LOCKED) else f"\n{process.stderr[-3000:]}"
        for found in codes.values():
            assert DONE in found, f"{codes}{said}"
            assert set(found) <= {DONE, LOCKED}, f"{codes}{said}"
        for file, dataset in codes:
            assert count(tmp_path / f"{file}.duckdb", f"{dataset}.users") == 2500
        for sim in sims:
            assert all(request.status != 429 for request in sim.requests)


@pytest.mark.parametrize("kind", [errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_is_no_other_run(
    eduframe: Eduframe, here: Simulator, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(kind, os.strerror(kind))

    monkeypatch.setattr("fcntl.flock", refused)
    found = eduframe("sync", "labels", **settings(here))
    assert found.code == WRONG_USE
    assert "Another run" not in found.err
    assert os.strerror(kind) in found.err
    assert here.requests == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that takes no files")
def test_a_folder_that_takes_no_lock_is_no_other_run(eduframe: Eduframe, here: Simulator) -> None:
    found = eduframe(
        "sync", "labels", **settings(here), DESTINATION__DUCKDB__CREDENTIALS="/proc/it.duckdb"
    )
    assert found.code != LOCKED
    assert "Another run" not in found.err
    assert here.requests == []
