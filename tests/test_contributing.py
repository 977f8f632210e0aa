"""CONTRIBUTING.md: its steps work, and the files it names are there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

SYNCED = """
import json
from pipelines.eduframe import make_pipeline, sync
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator

with Simulator(scale=0, counts={"vouchers": 7}) as sim:
    settings = Settings(api_token=sim.token, base_url=sim.base_url)
    pipeline = make_pipeline("duckdb", credentials="here.duckdb", pipelines_dir="state")
    report = sync(pipeline, ["vouchers"], settings=settings)
    assert report.exit_code == 0, report.message
    with pipeline.sql_client() as client:
        rows = client.execute_sql("SELECT id, code, account_id FROM vouchers ORDER BY id")
        lines = client.execute_sql(
            "SELECT voucher_id, id, catalog_variant_id, amount FROM voucher_lines ORDER BY id"
        )
    print(json.dumps([sim.rows("vouchers"), rows, lines], default=str))
"""


@pytest.mark.slow
def test_a_list_is_added_by_the_steps(tmp_path: Path) -> None:
    model, declaration = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    for folder in ("pipelines", "schemas", "sources"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    models = tmp_path / "schemas/eduframe/models/sales.py"
    text = models.read_text() + "\n\n" + re.sub(r"(?m)^   ", "", model)
    models.write_text(text)
    endpoints = tmp_path / "sources/eduframe/endpoints.py"
    before, after = endpoints.read_text().split("    # Learning:")
    block = re.sub(r"(?m)^   ", "", declaration)
    endpoints.write_text(f"{before.rstrip()}\n{block}\n    # Learning:{after}")
    done = subprocess.run(
        [sys.executable, "-c", SYNCED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    served, rows, lines = json.loads(done.stdout.splitlines()[-1])
    assert len(served) == 7
    assert [[row[name] for name in ("id", "code", "account_id")] for row in served] == rows
    expected = sorted(
        [row["id"], line["id"], line["catalog_variant_id"], float(line["amount"])]
        for row in served
        for line in row["lines"]
    )
    found = sorted([*line[:3], float(line[3])] for line in lines)
    assert found == expected != []


def test_the_files_it_names_are_there() -> None:
    rows = TEXT.split("## To change …, open …")[1].split("\n## ")[0]
    named = re.findall(r"`([\w/]+/(?:[\w]+\.py)?)`", rows)
    assert len(named) > 15
    for name in named:
        assert (ROOT / name).exists(), name


def test_the_rooms_it_draws_are_those_there_are() -> None:
    drawing = TEXT.split("```")[1]
    for top in ("pipelines/eduframe", "sources/eduframe"):
        for folder in (ROOT / top).iterdir():
            if folder.is_dir() and (folder / "__init__.py").exists():
                assert f"{folder.name}/" in drawing, folder.name
