"""The command line: what it prints, on which stream, and its exit codes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer.main

from pipelines.eduframe.commands.cli import app
from pipelines.eduframe.commands.report.command import can_report
from pipelines.eduframe.exit_codes import DONE, FAILED, PARTLY, WRONG_USE
from sources.eduframe.endpoints import COVERED, ENDPOINTS
from sources.eduframe_simulator import Simulator
from tests.conftest import TOKEN, Eduframe, settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS: Mapping[str, Any] = typer.main.get_group(app).commands
OPTIONS = {
    option
    for command in (typer.main.get_group(app), *COMMANDS.values())
    for parameter in command.params
    for option in parameter.opts
    if option.startswith("--")
}


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


# ---- What there is


def test_help_lists_every_command(eduframe: Eduframe) -> None:
    found = eduframe("--help")
    assert found.code == DONE
    assert all(name in found.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_has_every_command(command: str) -> None:
    assert f"`eduframe {command}" in README


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_readme_has_every_option(option: str) -> None:
    assert re.search(rf"\| `{option}`", README)


def test_version_is_printed(eduframe: Eduframe) -> None:
    assert re.fullmatch(r"eduframe-sync \d+\.\d+\.\d+\n", eduframe("--version").out)


def test_resources_as_a_diagram_are_those_of_the_readme(eduframe: Eduframe) -> None:
    assert f"```mermaid\n{eduframe('resources', '--mermaid').out}```" in README


def test_resources_as_json_are_all_declared_lists(eduframe: Eduframe) -> None:
    found = eduframe("resources", "--json", EXCLUDE="leads").json
    declared = [*(e.path for e in ENDPOINTS), *(c.path for c in COVERED)]
    assert [row["path"] for row in found] == declared
    by_name = {row["resource"]: row for row in found}
    assert by_name["orders"]["key"] == ["id"]
    assert by_name["orders"]["changes"] == "cursor updated_at"
    assert by_name["orders"]["scopes"] == ["orders:read"]
    assert by_name["leads"]["why_off"] == "excluded"
    assert by_name["authentications"]["why_off"] == "off by default"


# ---- What goes wrong: one line that says so, and an exit code


def test_no_token(eduframe: Eduframe) -> None:
    found = eduframe("sync")
    assert found.code == WRONG_USE
    assert "SOURCES__EDUFRAME__API_TOKEN" in one_line(found.err)


def test_wrong_token(eduframe: Eduframe, here: Simulator) -> None:
    found = eduframe("sync", "labels", **settings(here) | {"API_TOKEN": "of-yesterday"})
    assert found.code == FAILED
    assert "does not accept the token (401)" in one_line(found.err)
    assert len(here.requests) == 1


def test_a_folder_that_cannot_be_written(
    eduframe: Eduframe, here: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "file" / "data"))
    found = eduframe("sync", "labels", **settings(here))
    assert found.code == WRONG_USE
    said = one_line(found.err)
    assert "file/data" in said
    assert "Set DLT_DATA_DIR to a folder" in said
    assert here.requests == []


def test_a_report_that_cannot_be_written(eduframe: Eduframe, here: Simulator) -> None:
    found = eduframe("check", "--report", "nowhere/report.md", **settings(here))
    assert found.code == WRONG_USE
    assert "The report nowhere/report.md cannot be written" in one_line(found.err)
    assert here.requests == []


@pytest.mark.usefixtures("no_waiting")
def test_refused_connection(eduframe: Eduframe) -> None:
    with Simulator(scale=0) as gone:
        address = gone.base_url
    found = eduframe("sync", "labels", API_TOKEN=TOKEN, BASE_URL=address)
    assert found.code == FAILED
    assert "Cannot reach 127.0.0.1" in one_line(found.err)


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (["sync", "order"], {}, "Did you mean orders?"),
        (["sync", "order_items"], {}, "filled by the resource orders"),
        (["sync", "--allow-mass-delete", "usres"], {}, "Did you mean users?"),
        (["sync"], {"INCLUDE": "order"}, "Did you mean orders?"),
        (["sync"], {"REQUEST_PER_WINDOW": "5"}, "did you mean requests_per_window?"),
        (["sync"], {"REQUESTS_PER_WINDOW": "0"}, "at least 1"),
        (["sync"], {"DELETES": "softly"}, "soft, hard or ignore"),
        (["sync"], {"RECONCILE_EVERY": "daily"}, "1d"),
        (["sync"], {"ORDERS__DELETE": "hard"}, "did you mean deletes?"),
        (["sync"], {"BASE_URL": "api.eduframe.nl"}, "no web address"),
        (["sync"], {"BASE_URL": "http://api.eduframe.nl/api/v1"}, "use https"),
        (["sync", "--destination", "filesystem"], {}, "filesystem"),
        (["check", "--destination", "mysteryql"], {}, "mysteryql"),
    ],
)
def test_wrong_use(
    eduframe: Eduframe, arguments: list[str], given: dict[str, str], said: str
) -> None:
    found = eduframe(*arguments, **{"API_TOKEN": TOKEN, "BASE_URL": "http://127.0.0.1:1"} | given)
    assert found.code == WRONG_USE
    assert said in one_line(found.err)


@pytest.mark.parametrize("command", ["sync", "check"])
def test_file_named_like_the_dataset(eduframe: Eduframe, tmp_path: Path, command: str) -> None:
    found = eduframe(
        command, API_TOKEN=TOKEN, DESTINATION__DUCKDB__CREDENTIALS=str(tmp_path / "eduframe.duckdb")
    )
    assert found.code == WRONG_USE
    assert "must not have the same name" in one_line(found.err)
    if command == "check":
        assert not (tmp_path / "eduframe.duckdb").exists()


def test_unwritable_file(eduframe: Eduframe, here: Simulator, tmp_path: Path) -> None:
    target = {"DESTINATION__DUCKDB__CREDENTIALS": str(tmp_path / "no" / "such" / "folder.duckdb")}
    found = eduframe("sync", "labels", **settings(here) | target)
    assert found.code == FAILED
    assert "folder.duckdb" in one_line(found.err)


# ---- What works


@pytest.mark.usefixtures("tables")
def test_sync_as_json(eduframe: Eduframe, here: Simulator) -> None:
    found = eduframe("sync", "labels", "courses", "--json", **settings(here))
    assert found.code == DONE
    summary = found.json
    assert (summary["status"], summary["exit_code"], summary["dataset"]) == ("done", 0, "eduframe")
    read = {row["resource"]: row["rows_read"] for row in summary["resources"]}
    assert read == {name: len(here.rows(name)) for name in ("labels", "courses")}


def test_status_before_any_sync(eduframe: Eduframe) -> None:
    assert eduframe("status").code == FAILED


@pytest.mark.usefixtures("tables")
def test_status_after_a_sync(eduframe: Eduframe, here: Simulator) -> None:
    assert eduframe("sync", "labels", **settings(here)).code == DONE
    found = eduframe("status", "--json")
    rows = {row["resource"]: row["rows"] for row in found.json["tables"]}
    assert rows["labels"] == len(here.rows("labels"))
    assert eduframe("status", "--max-age", "0.001s").code == PARTLY


@pytest.mark.usefixtures("tables")
def test_what_lies_in_the_future_is_not_fresh(
    eduframe: Eduframe, here: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings(here) | {"INCLUDE": "labels,leads"}
    assert eduframe("sync", "leads", **given).code == DONE
    with monkeypatch.context() as patch:
        month = timedelta(days=30, hours=1)
        patch.setattr("pipelines.eduframe.run.sync.now_utc", lambda: datetime.now(UTC) + month)
        assert eduframe("sync", "labels", **given).code == DONE
    found = eduframe("status", "--max-age", "26h", **given)
    assert found.code == PARTLY
    said = "in the future, by a clock that was wrong, and so not known to be fresh: labels (30d)."
    assert said in found.out
    found = eduframe("status", "--max-age", "26h", "--json", **given)
    assert found.code == PARTLY
    tables = {table["resource"]: table for table in found.json["tables"]}
    assert (tables["labels"]["too_old"], tables["leads"]["too_old"]) == (True, False)
    assert tables["labels"]["age_seconds"] < 0
    assert eduframe("sync", "labels", **given).code == DONE
    found = eduframe("status", "--max-age", "26h", **given)
    assert (found.code, "in the future" in found.out) == (DONE, False)
    assert f"last run: done, ended {datetime.now(UTC):%Y-%m-%d}" in found.out


@pytest.mark.slow
def test_demo_leaves_its_database_alone(
    eduframe: Eduframe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert eduframe("demo").code == DONE
    report = {"eduframe_demo.html"} if can_report() else set()
    assert {path.name for path in tmp_path.iterdir()} == {"eduframe_demo.duckdb", *report}


def test_demo_says_where_to_go(eduframe: Eduframe, tmp_path: Path) -> None:
    file = tmp_path / "eduframe_demo.duckdb"
    file.mkdir()
    found = eduframe("demo")
    assert found.code == WRONG_USE
    assert f"cannot write {file}: Is a directory. Run eduframe demo in a folder" in found.err
    file.rmdir()
    file.write_text("no database")
    found = eduframe("demo")
    assert found.code == FAILED
    assert f"database {file} cannot be used" in found.err
    assert "run eduframe demo in another folder" in found.err
    assert "__" not in found.err


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("DROP TABLE users", "users: the table users is not there"),
        ("DROP TABLE user_labels", "users: the table user_labels is not there"),
        ("DELETE FROM users", "users: the table users was emptied"),
        ("DELETE FROM user_labels", "users: the table user_labels was emptied"),
        ("DELETE FROM addresses", "users: the table addresses was emptied"),
    ],
)
def test_what_was_dropped_or_emptied_is_not_fresh(
    eduframe: Eduframe, here: Simulator, tmp_path: Path, done: str, said: str
) -> None:
    given = settings(here) | {"INCLUDE": '["labels", "users"]'}
    assert eduframe("sync", **given).code == DONE
    fresh = eduframe("status", "--max-age", "1h", **given)
    assert fresh.code == DONE, fresh.out
    with duckdb.connect(tmp_path / "warehouse.duckdb") as database:
        database.execute(f"USE eduframe; {done}")
    found = eduframe("status", "--max-age", "1h", **given)
    assert found.code == PARTLY
    assert said in found.out
    assert eduframe("sync", **given).code == DONE
    assert eduframe("status", "--max-age", "1h", **given).code == DONE


@pytest.mark.usefixtures("tables")
def test_a_list_that_is_off_is_named_and_counts_when_asked_to(
    eduframe: Eduframe, here: Simulator
) -> None:
    here.forbid("leads")
    given = settings(here) | {"INCLUDE": '["labels", "leads"]'}
    assert eduframe("sync", **given).code == DONE
    found = eduframe("status", "--max-age", "1h", **given)
    assert found.code == DONE
    assert "off, as the token may not read them (not counted by --max-age" in found.out
    found = eduframe("status", "--max-age", "1h", "--off-counts", **given)
    assert found.code == PARTLY
    assert "may not read them (counted): leads" in found.out


@pytest.mark.slow
def test_demo_sees_no_settings_and_runs_again(
    eduframe: Eduframe, here: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "real.duckdb"
    given = settings(here) | {"TYPO": "x", "DESTINATION__DUCKDB__CREDENTIALS": str(real)}
    first = eduframe("demo", **given)
    assert first.code == DONE
    assert "2,500 attendances" in first.out
    assert "Revenue by month" in first.out
    assert ("Open eduframe_demo.html in a browser" in first.out) == can_report()
    monkeypatch.setattr("pipelines.eduframe.commands.demo.can_report", lambda: False)
    again = eduframe("demo", **given)
    assert again.code == DONE
    assert "pip install 'eduframe-sync[report]', then eduframe demo once more" in again.out
    assert "nothing new, nothing written" in again.out
    assert here.requests == []
    assert not real.exists()
    with duckdb.connect(tmp_path / "eduframe_demo.duckdb", read_only=True) as database:
        kept = "SELECT COUNT(*), COUNT(_deleted_at) FROM demo.orders"
        assert database.execute(kept).fetchone() == (302, 2)
        of_deleted = (
            "SELECT COUNT(*) > 1 FROM demo.order_items AS i JOIN demo.orders AS o "
            "ON o.id = i.order_id WHERE o._deleted_at IS NOT NULL"
        )
        assert database.execute(of_deleted).fetchone() == (True,)
        assert database.execute("SELECT COUNT(*) FROM demo_views.orders").fetchone() == (300,)
