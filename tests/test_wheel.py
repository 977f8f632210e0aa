"""The wheel: what is in it, and that it works beside projects with folders of the same names."""

import os
import re
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
OURS = ("sources.eduframe", "schemas.eduframe.models", "pipelines.eduframe")
THEIRS = ("sources.other", "schemas.x", "pipelines.y")
BOTH = f"import {', '.join([*THEIRS, *OURS])}"
SECTION = README.split("\n### Beside your own")[1].split("\n## ")[0]
IN_THEIR_FILE, BEFORE_THE_IMPORT = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
"""The two ways round a folder with an ``__init__.py`` that the README gives."""


@dataclass
class Installed:
    """The wheel in an environment of its own; what it depends on comes from that of the tests."""

    wheel: Path
    bin: Path

    def run(self, program: str, *arguments: str, cwd: Path, **environment: str) -> str:
        """What a program of the environment prints; its errors, if it fails."""
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=cwd,
            env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stderr if done.returncode else done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    work = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    subprocess.run([*pip, *build, "--wheel-dir", work, ROOT], check=True)
    (wheel,) = work.glob("*.whl")
    venv.create(work / "venv", symlinks=os.name != "nt")
    bin = work / "venv" / ("Scripts" if os.name == "nt" else "bin")
    install = ["--python", str(bin / "python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, *install, wheel], check=True)
    found = Installed(wheel, bin)
    printed = found.run("python", "-c", "import site; print(site.getsitepackages()[0])", cwd=work)
    parent = "\n".join(site.getsitepackages())
    (Path(printed.strip()) / "dependencies.pth").write_text(parent, encoding="utf-8")
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Another project, with folders of the names of ours."""
    for name in THEIRS:
        file = tmp_path / "project" / (name.replace(".", "/") + ".py")
        file.parent.mkdir(parents=True)
        file.touch()
    return tmp_path / "project"


def make_regular(project: Path, text: str) -> None:
    """Give each folder of a project an ``__init__.py``, which makes it a regular package."""
    for name in THEIRS:
        (project / name.split(".")[0] / "__init__.py").write_text(text, encoding="utf-8")


def test_data_files_come_along_and_nothing_else(installed: Installed) -> None:
    names = ZipFile(installed.wheel).namelist()
    files = {name for name in names if ".dist-info/" not in name and not name.endswith(".py")}
    schemas = ROOT / "schemas" / "eduframe"
    texts = [*schemas.glob("queries/*.sql"), *schemas.glob("views/*.sql")]
    assert files == {
        *(path.relative_to(ROOT).as_posix() for path in texts),
        "schemas/eduframe/time_zones.csv",
        *(f"pipelines/eduframe/commands/pages/assets/base.{kind}" for kind in ("css", "js")),
        *(f"pipelines/eduframe/commands/{page}/assets/{page}.{kind}"
          for page in ("docs", "report") for kind in ("css", "js")),
        *(f"pipelines/eduframe/commands/dbt/static/{name}"
          for name in ("README.md", "dbt_project.yml", "eduframe_relationships_if.sql",
                       "eduframe_unique_together.sql")),
        *(f"{package}/eduframe/py.typed" for package in ("pipelines", "schemas", "sources")),
        "sources/eduframe_simulator/py.typed",
        "sources/eduframe/secrets.toml.example",
    }


def test_top_folders_are_namespace_packages(installed: Installed) -> None:
    names = ZipFile(installed.wheel).namelist()
    modules = {tuple(name.split("/")[:2]) for name in names if name.endswith(".py")}
    assert modules == {
        ("pipelines", "eduframe"),
        ("schemas", "eduframe"),
        ("sources", "eduframe"),
        ("sources", "eduframe_simulator"),
    }


def test_folders_of_the_same_names_merge(installed: Installed, project: Path) -> None:
    shown = f"{BOTH}; print(pipelines.eduframe.__file__)"
    printed = installed.run("python", "-c", shown, cwd=project)
    assert "site-packages" in printed  # and not the tests' own checkout


def test_folders_merge_where_the_project_comes_last_on_the_path(
    installed: Installed, project: Path, tmp_path: Path
) -> None:
    code = f"import sys; sys.path.append({str(project)!r}); {BOTH}"
    assert installed.run("python", "-c", code, cwd=tmp_path) == ""


def test_a_regular_package_hides_ours_as_the_readme_says(
    installed: Installed, project: Path
) -> None:
    make_regular(project, "")
    error = installed.run("python", "-c", BOTH, cwd=project).splitlines()[-1]
    assert error == "ModuleNotFoundError: No module named 'sources.eduframe'"
    assert error.removeprefix("ModuleNotFoundError: ") in SECTION


def test_a_regular_package_with_the_line_of_the_readme_finds_ours(
    installed: Installed, project: Path
) -> None:
    make_regular(project, IN_THEIR_FILE)
    assert installed.run("python", "-c", BOTH, cwd=project) == ""


def test_a_path_extended_before_the_import_finds_ours(
    installed: Installed, project: Path
) -> None:
    make_regular(project, "")
    code = f"{BEFORE_THE_IMPORT}\nimport sources.other, sources.eduframe.source"
    assert installed.run("python", "-c", code, cwd=project) == ""


def test_a_regular_package_in_the_same_environment_finds_ours(
    installed: Installed, project: Path, tmp_path: Path
) -> None:
    make_regular(project, "")
    both = tmp_path / "both"
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run(
        [*command, "--no-deps", "--no-index", "--target", both, installed.wheel], check=True
    )
    for file in project.rglob("*.py"):
        (both / file.relative_to(project)).write_bytes(file.read_bytes())
    assert installed.run("python", "-c", BOTH, cwd=tmp_path, PYTHONPATH=str(both)) == ""


@pytest.mark.slow
def test_demo_runs_beside_a_project_of_any_kind(installed: Installed, project: Path) -> None:
    make_regular(project, "")
    printed = installed.run("eduframe", "demo", cwd=project, DLT_DATA_DIR=str(project / "dlt"))
    read = re.search(r"([\d,]+) rows of \d+ lists read .*: ([\d,]+) of them written", printed)
    assert read is not None
    assert read[1] == read[2]
    assert "Revenue by month" in printed
    assert (project / "eduframe_demo.duckdb").exists()
