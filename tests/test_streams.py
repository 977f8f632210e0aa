"""Standard output and error that are closed, unread, full or of few characters: nothing of it
stops a command, or changes its exit code; and what others say is shown escaped."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pipelines.eduframe.commands.output import print_json
from pipelines.eduframe.commands.streams import LineFormatter
from pipelines.eduframe.exit_codes import DONE, FAILED
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import Eduframe, command, settings
from tests.processes import run
from tests.warehouses import Warehouse

MAIN = "from pipelines.eduframe.commands.cli import main\nmain()"
CLOSED = "import os, sys\nfor number in {}:\n    os.close(number)\n{}\n" + MAIN
STREAMS = {
    "stdout closed": CLOSED.format("(1,)", "sys.stdout = None"),
    "stderr closed": CLOSED.format("(2,)", "sys.stderr = None"),
    "all closed": CLOSED.format("(0, 1, 2)", "sys.stdout = sys.stderr = None"),
    "nobody reads": "import os, sys\nreader, writer = os.pipe()\nos.dup2(writer, 1)\n"
    "os.dup2(writer, 2)\nos.close(reader)\nsys.stdout = open(1, 'w', closefd=False)\n"
    "sys.stderr = open(2, 'w', closefd=False)\n" + MAIN,
    "ascii": "import sys\nsys.stdout.reconfigure(encoding='ascii', errors='strict')\n" + MAIN,
}
NASTY = "Evil\x1b[2J\r\n00:00:00 done: all is well\x9b31m\u202e"


def with_streams(warehouse: Warehouse, how: str, *arguments: str) -> Any:
    setup = command(warehouse)
    setup["args"] = [setup["args"][0], "-c", STREAMS[how], *arguments]
    return run(**setup)


@pytest.mark.parametrize("how", STREAMS)
def test_a_sync_prints_what_can_be_printed(warehouse: Warehouse, how: str) -> None:
    process = with_streams(warehouse, how, "sync", "labels")
    assert process.returncode == DONE, process.stderr
    assert "Traceback" not in process.stderr
    assert ("done: " in process.stdout) == (how in ("stderr closed", "ascii"))
    warehouse.assert_equals_truth("labels")


@pytest.mark.parametrize(
    ("how", "arguments"),
    [
        ("all closed", ["resources"]),
        ("all closed", ["status", "--json"]),
        ("all closed", ["check", "--json"]),
        ("nobody reads", ["--help"]),
        ("nobody reads", ["status"]),
        ("nobody reads", ["doctor"]),
        ("ascii", ["status"]),
        ("ascii", ["check", "--json"]),
    ],
)
def test_so_does_every_command(synced: Warehouse, how: str, arguments: list[str]) -> None:
    process = with_streams(synced, how, *arguments)
    assert process.returncode == DONE, process.stderr
    assert process.stdout.isascii()


def test_what_cannot_be_encoded_is_replaced(warehouse: Warehouse) -> None:
    process = with_streams(warehouse, "ascii", "sync", "labels")
    row = next(line for line in process.stdout.splitlines() if line.startswith("labels"))
    assert " . " in row
    assert "?" not in row


def test_an_output_that_is_full_is_told(warehouse: Warehouse) -> None:
    setup = command(warehouse)
    code = "import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n" + MAIN
    setup["args"] = [setup["args"][0], "-c", code, "resources"]
    process = run(**setup)
    assert process.returncode == FAILED
    assert process.stderr.count("\n") == 1
    assert "no space left" in process.stderr


def test_json_holds_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"name": "Zoë 🎓 \x7f\x9b2J\u202e"}
    print_json(json.dumps(said, ensure_ascii=False))
    out = capsys.readouterr().out
    assert out.removesuffix("\n").isprintable()
    assert "Zoë 🎓" in out
    assert json.loads(out) == said


def test_a_record_is_a_line_of_the_log() -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "a %s", ("\x1b[2J\nb",), None)
    assert LineFormatter("%(message)s").format(record) == "a \\x1b[2J\\nb"


@pytest.mark.slow
def test_what_a_server_says_forges_no_line(eduframe: Eduframe, here: Simulator) -> None:
    def rename(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "name": NASTY, f"field {NASTY}": 1} for row in rows]

    here.inject(Fault("tamper", path="/educators/current", times=None, tamper=rename))
    here.inject(Fault("tamper", path="/labels", times=None, tamper=rename))
    for arguments in (["check"], ["check", "--json"], ["sync", "labels", "educators"], ["status"]):
        found = eduframe(*arguments, **settings(here))
        shown = found.out + found.err
        assert shown.replace("\n", "").isprintable(), arguments
        assert "\n00:00:00 done" not in shown


def test_names_of_files_and_datasets_forge_no_line(eduframe: Eduframe, tmp_path: Path) -> None:
    file = tmp_path / f"no folder {NASTY}" / "file.duckdb"
    found = eduframe("doctor", DESTINATION__DUCKDB__CREDENTIALS=str(file))
    assert found.code != DONE
    assert found.err.removesuffix("\n").isprintable()
