"""The benchmark runs, and prints its tables; how fast things are is no business of tests."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_benchmark_prints_its_tables_and_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.md"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--records", "300"]
    command += ["--only", "server", "--only", "work", "--markdown", str(file)]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    written = file.read_text(encoding="utf-8")
    assert written.split() == shown.split()
    labels = [line.split(" | ")[0].strip("| ") for line in written.splitlines() if "|" in line]
    assert [label for label in labels if not label.startswith("-")] == [
        "list",
        "orders",
        "program",
        "eduframe: first load",
        "eduframe: 1 % changed",
        "eduframe: full reconcile",
        "the floor: httpx, `read_json`",
        "the floor, with keys and upserts",
        "dlt `rest_api`, as it comes",
        "dlt `rest_api`, parquet, parallel",
    ]
