"""The command line: what it prints, on which stream, and its exit codes."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
import typer.main

from pipelines.eduframe.commands.cli import app, main
from pipelines.eduframe.destinations.lock import folder_lock
from pipelines.eduframe.exit_codes import DONE, FAILED, LOCKED, PARTLY, WRONG_USE
from pipelines.eduframe.pipeline import make_pipeline
from sources.eduframe.endpoints import COVERED, ENDPOINTS
from sources.eduframe_simulator import Simulator
from tests.warehouses import Home

TOKEN = "sesame-4711-secret"
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS: Mapping[str, Any] = typer.main.get_group(app).commands
OPTIONS = {
    option
    for command in (typer.main.get_group(app), *COMMANDS.values())
    for parameter in command.params
    for option in parameter.opts
    if option.startswith("--")
}


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


Eduframe = Callable[..., Outcome]


@pytest.fixture
def eduframe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Eduframe:
    """Runs the command with some settings; the token never shows."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))

    def run(*arguments: str, **settings: str) -> Outcome:
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                whole = name.startswith("DESTINATION__")
                patch.setenv(name if whole else f"SOURCES__EDUFRAME__{name}", value)
            patch.setattr(sys, "argv", ["eduframe", *arguments])
            with pytest.raises(SystemExit) as ending:
                main()
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        return Outcome(int(ending.value.code or 0), out, err)

    return run


@pytest.fixture
def here() -> Any:
    """A small simulator, with the settings that lead to it."""
    with Simulator(scale=0.1, token=TOKEN, requests_per_window=1_000_000) as sim:
        yield sim


@pytest.fixture
def tables(home: Home, here: Simulator, tmp_path: Path) -> None:
    """The warehouse is there, with all its tables, empty: saves seconds."""
    home.make("duckdb", here, tmp_path)


def settings(sim: Simulator) -> dict[str, str]:
    return {
        "API_TOKEN": sim.token,
        "BASE_URL": sim.base_url,
        "REQUESTS_PER_WINDOW": "4000",
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


def test_check_shows_sources_and_rights_and_leaves_nothing_behind(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    here.forbid("orders", 403)
    here.forbid("programs", 404)
    for number in [row["id"] for row in here.rows("webhooks")]:
        here.delete("webhooks", number)
    found = eduframe("check", "--json", **settings(here) | {"ORDERS__DELETES": "hard"})
    assert found.code == DONE
    assert found.json["ok"] is True
    where = {row["name"]: (row["value"], row["source"]) for row in found.json["settings"]}
    assert where["api_token"] == ("set", "environment (SOURCES__EDUFRAME__API_TOKEN)")
    assert where["threads"] == ("4", "default")
    assert where["orders.deletes"] == ("hard", "environment (SOURCES__EDUFRAME__ORDERS__DELETES)")
    assert where["deletes"] == ("soft", "default")
    assert found.json["api"]["educator_id"] == 1
    assert found.json["destination"]["holds"] is None
    tried = {row["resource"]: (row["state"], row["message"]) for row in found.json["resources"]}
    assert [*tried] == [endpoint.table for endpoint in ENDPOINTS]
    assert tried["accounts"] == ("readable", None)
    assert tried["payments"] == ("readable", None)
    assert tried["orders"] == ("forbidden", "answered 403: needs the scope orders:read")
    assert tried["programs"] == (
        "not found",
        "answered 404: needs the scope courses:read and the feature Programs",
    )
    assert tried["webhook_notifications"] == ("no parent", "needs a parent: none there")
    assert not [*tmp_path.glob("*.duckdb*")]
    paths = [request.path for request in here.requests]
    assert len(paths) == len(set(paths)) <= len(ENDPOINTS) + 1
    (window,) = tmp_path.rglob("window.*.log")
    assert window.read_text().count("+") == 2000 + len(paths)  # half are taken as spent before


@pytest.mark.usefixtures("tables")
def test_check_does_not_ask_while_a_sync_does(
    eduframe: Eduframe, here: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    with folder_lock(make_pipeline()):
        found = eduframe("check", **settings(here))
    assert found.code == LOCKED
    assert "is going on: process" in one_line(found.err)
    assert here.requests == []


@pytest.mark.usefixtures("tables")
def test_check_of_another_customers_dataset_fails(eduframe: Eduframe, here: Simulator) -> None:
    assert eduframe("check", **settings(here)).code == DONE
    with Simulator(scale=0, token=TOKEN, educator_id=2) as other:
        found = eduframe("check", **settings(other))
    assert found.code == FAILED
    assert "of educator 1 at 127.0.0.1; ANOTHER than the token's" in found.out


def test_check_of_a_wrong_token_and_an_unusable_file(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "notes.duckdb").write_text("no database")
    found = eduframe(
        "check",
        "--json",
        **settings(here) | {"API_TOKEN": "of-yesterday"},
        DESTINATION__DUCKDB__CREDENTIALS=str(tmp_path / "notes.duckdb"),
    )
    assert found.code == FAILED
    assert "401" in found.json["api"]["message"]
    assert "not a valid DuckDB database file" in found.json["destination"]["message"]
    assert {row["state"] for row in found.json["resources"]} == {"not tried"}
    assert (tmp_path / "notes.duckdb").read_text() == "no database"


def test_status_before_any_sync(eduframe: Eduframe) -> None:
    assert eduframe("status").code == FAILED


@pytest.mark.usefixtures("tables")
def test_status_after_a_sync(eduframe: Eduframe, here: Simulator) -> None:
    assert eduframe("sync", "labels", **settings(here)).code == DONE
    found = eduframe("status", "--json")
    rows = {row["resource"]: row["rows"] for row in found.json["tables"]}
    assert rows["labels"] == len(here.rows("labels"))
    assert eduframe("status", "--max-age", "0.001s").code == PARTLY


def test_demo_sees_no_settings_and_runs_again(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    real = tmp_path / "real.duckdb"
    given = settings(here) | {"TYPO": "x", "DESTINATION__DUCKDB__CREDENTIALS": str(real)}
    first = eduframe("demo", **given)
    assert first.code == DONE
    assert "2,500 attendances" in first.out
    assert "Revenue by month" in first.out
    again = eduframe("demo", **given)
    assert again.code == DONE
    assert "nothing new, nothing written" in again.out
    assert here.requests == []
    assert not real.exists()
    with duckdb.connect(tmp_path / "eduframe_demo.duckdb", read_only=True) as database:
        assert database.execute("SELECT COUNT(*) FROM demo.orders").fetchone() == (300,)


# ---- What fits the terminal


def seen(
    eduframe: Eduframe, monkeypatch: pytest.MonkeyPatch, width: int, *command: str, **given: str
) -> list[str]:
    """The lines of a command on a terminal of so many columns, without its styles."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in {"COLUMNS": str(width), "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return re.sub(r"\x1b\[[0-9;]*m", "", eduframe(*command, **given).out).splitlines()


@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize("command", ["resources", "status", "sync", "check"])
def test_tables_fit_the_terminal(
    eduframe: Eduframe,
    here: Simulator,
    tables: None,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    width: int,
) -> None:
    named = ("labels", "edition_description_sections") if command == "sync" else ()
    lines = seen(eduframe, monkeypatch, width, command, *named, **settings(here))
    assert max(map(len, lines)) <= width
    assert any(line.split()[0] == "edition_description_sections" for line in lines if line)


def test_a_narrow_terminal_shows_what_matters_and_says_what_is_left_out(
    eduframe: Eduframe, tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = seen(eduframe, monkeypatch, 80, "status")
    assert lines[0].split() == ["table", "rows", "last", "reconciliation", "age", "status"]
    assert "(--wide shows also: deleted, set aside, last sync)" in lines


def test_too_narrow_for_a_table_each_row_is_a_paragraph(
    eduframe: Eduframe, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line.rstrip() for line in seen(eduframe, monkeypatch, 40, "resources")]
    assert lines[:3] == [
        "accounts",
        "  path /accounts, key id, changes",
        "  cursor, scope relations:read, state",
    ]


def test_all_columns_are_shown_where_there_is_no_terminal_and_when_asked(
    eduframe: Eduframe, tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = eduframe("status").out.splitlines()
    assert {"deleted", "aside", "sync", "reconciliation", "age", "status"} <= {*piped[0].split()}
    assert [len(line) for line in piped[:9]] == [len(piped[1])] * 9  # a row is a line
    wide = seen(eduframe, monkeypatch, 40, "status", "--wide")
    assert [line.split()[0] for line in wide[:9]] == [line.split()[0] for line in piped[:9]]
    assert wide[0] == piped[0]
