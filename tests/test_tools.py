"""The pages on tools: their links lead somewhere, their code and SQL runs."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest

from pipelines.eduframe.views.custom_fields import OWNERS
from pipelines.eduframe.views.files import written_views
from sources.eduframe.rows.tables import ALL_TABLES
from sources.eduframe_simulator import Simulator
from tests.warehouses import Home

FOLDER = Path(__file__).parent.parent / "docs" / "tools"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
VIEWS = "eduframe_views"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)```", PAGES[page], re.DOTALL | re.MULTILINE)


def test_links_lead_somewhere() -> None:
    for name, text in PAGES.items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            file, _, anchor = target.partition("#")
            if file.startswith("https://"):
                continue
            there = (FOLDER / file).read_text(encoding="utf-8") if file else text
            headings = re.findall(r"^#+ (.+)$", there, re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
            assert not anchor or anchor in anchors, f"{name}: {target}"
    index = PAGES["README"]
    assert all(f"({name}.md)" in index for name in PAGES if name != "README")


def test_views_that_they_name_are_there() -> None:
    views = {view.name: view for view in written_views()}
    known = {*views, *ALL_TABLES, *(f"{owner}_custom" for owner in OWNERS), "_views", "_relations"}
    for page, text in PAGES.items():
        named = {*re.findall(r"\b(?:fact|dim)_[a-z_]+\b", text)}
        named |= {*re.findall(rf"\b{VIEWS}\.([a-z_]+)", text)}
        assert named <= known, page
    star = PAGES["README"].split("A star in")[1].split("\n\n")[1].splitlines()[2:]
    assert len(star) > 4
    for facts, to, by in (re.findall(r"\| ([^|]+?) (?=\|)", line) for line in star):
        own, _, other = by.replace("`", "").partition(" to ")
        for fact in re.findall(r"fact_\w+", facts):
            assert own in views[fact].columns, (fact, own)
        assert (other or own) in views[to.strip("`")].columns, to


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, home: Home) -> Path:
    """A folder with ``warehouse.duckdb``, as a sync leaves it."""
    made = tmp_path_factory.mktemp("tools")
    with Simulator(scale=0, counts={"invoices": 6, "courses": 3}, requests_per_window=9_999) as sim:
        warehouse = home.make("duckdb", sim, made, views="on")
        assert warehouse.sync("accounts", "invoices", "courses", "educators").notes == []
    if Path(warehouse.address) != made / "warehouse.duckdb":
        shutil.copy(warehouse.address, made / "warehouse.duckdb")
    return made


@pytest.mark.parametrize("page", [page for page in PAGES if "```sql" in PAGES[page]])
def test_sql_runs(folder: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for sql in blocks(page, "sql"):
        if "xlsx" in sql:  # its extension comes from the internet
            sql = sql.replace("xlsx, HEADER true", "csv, HEADER true")
        file = ":memory:" if "ATTACH" in sql else "warehouse.duckdb"
        with duckdb.connect(file, read_only=file != ":memory:") as shell:
            shell.execute(sql)


@pytest.mark.parametrize("number", range(len(blocks("notebooks", "python"))))
def test_python_runs(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    code = blocks("notebooks", "python")[number]
    lacking = [name for name in re.findall(r"^import (\w+)", code, re.MULTILINE)
               if find_spec(name) is None]
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(code, names)
    assert len(names) > 2
    duckdb.connect("warehouse.duckdb").close()  # nobody has it open


def test_commands_run(folder: Path) -> None:
    if shutil.which("duckdb") is None:
        pytest.skip("the shell duckdb is not installed")
    [command] = [sh for sh in blocks("duckdb-shell", "sh") if ">" in sh]
    subprocess.run(command, shell=True, cwd=folder, check=True)
    assert (folder / "open_invoices.csv").read_text().startswith("customer,")
