"""What commands print on a terminal, and where there is none."""

import re
import sys

import pytest

from sources.eduframe_simulator import Simulator
from tests.conftest import Eduframe, settings


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
    assert lines[0].split() == ["table", "rows", "proven", "as", "of", "age", "status"]
    assert "(--wide shows also: deleted, set aside, last sync, unseen)" in lines


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
    assert {"deleted", "aside", "sync", "proven", "unseen", "age", "status"} <= {*piped[0].split()}
    assert [len(line) for line in piped[:9]] == [len(piped[1])] * 9  # a row is a line
    wide = seen(eduframe, monkeypatch, 40, "status", "--wide")
    assert [line.split()[0] for line in wide[:9]] == [line.split()[0] for line in piped[:9]]
    assert wide[0] == piped[0]
