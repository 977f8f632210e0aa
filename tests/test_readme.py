"""The README: what it says is so."""

import re
from datetime import date
from pathlib import Path

import pytest

from pipelines.eduframe.commands.demo import query
from pipelines.eduframe.commands.resources import CORE, mermaid
from sources.eduframe.settings import PER_RESOURCE, Settings, parse_duration
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH
from tests.truth import Table
from tests.warehouses import Home, Warehouse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUERIES = sorted(path.stem for path in (ROOT / "schemas" / "eduframe" / "queries").glob("*.sql"))


def test_settings_table_has_every_setting_with_its_default() -> None:
    section = README.split("\n## Settings\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*?)\|", section, re.MULTILINE))
    assert [*rows] == [*Settings.model_fields]
    for name, written in rows.items():
        shown = ", ".join(re.findall("`(.+?)`", written))
        assert getattr(Settings(**{name: shown}), name) == getattr(Settings(), name), name
    assert all(f"`{name}`" in section.split("\n|")[-1] for name in PER_RESOURCE)


def test_settings_in_the_example_are_the_defaults() -> None:
    text = (ROOT / ".dlt" / "config.toml").read_text(encoding="utf-8")
    section = text.split("[sources.eduframe]\n")[1].split("# Three of these")[0]
    shown = dict(re.findall(r"^# (\w+) = (.+)$", section, re.MULTILINE))
    assert {*Settings.model_fields} - {*shown} == {"api_token"}
    given = {name: value.strip('"') for name, value in shown.items()}
    for name in given.keys() - {"include", "exclude"}:
        assert getattr(Settings(**{name: given[name]}), name) == getattr(Settings(), name), name


def test_durations_in_the_readme_are_understood() -> None:
    assert [parse_duration(text).total_seconds() for text in ("30m", "6h", "1d")] == [
        1800,
        21600,
        86400,
    ]


def test_picture_is_current() -> None:
    assert f"```mermaid\n{mermaid()}\n```" in README
    assert all(re.search(rf"\b{name}\b", mermaid()) for name in CORE)


def test_queries_are_those_of_the_folder() -> None:
    assert len(QUERIES) == 5
    shown = re.findall(r"```sql\n(.*?)\n```", README, re.DOTALL)
    assert sorted(shown) == sorted(query(name).rstrip() for name in QUERIES)


def test_readme_names_no_machine() -> None:
    assert not re.search(r"/(home|work|tmp|root|Users)/|pypi|index-url", README)


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def queried(
    tmp_path_factory: pytest.TempPathFactory, home: Home, destination: str
) -> Warehouse:
    """What the queries ask for, synced."""
    with Simulator(requests_per_window=1_000_000) as sim:
        warehouse = home.make(destination, sim, tmp_path_factory.mktemp("queries"), views="on")
        report = warehouse.sync(
            "accounts", "courses", "planned_courses", "enrollments", "attendances", "invoices",
            "meetings",
        )
    assert (report.exit_code, report.notes) == (0, [])
    return warehouse


def asked(warehouse: Warehouse, name: str) -> Table:
    """What a query gives, as the README says to run it."""
    with warehouse.reading() as cursor:
        cursor.execute("SET search_path TO eduframe_views")
        return warehouse.query(query(name))


def test_revenue_by_month(queried: Warehouse) -> None:
    rows = asked(queried, "revenue_by_month")
    final = [row for row in queried.sim.rows("invoices") if row["status"] != "concept"]
    assert sum(row["invoices"] for row in rows) == len(final)
    total = sum(float(row["total_excl"]) for row in final)
    assert float(sum(row["invoiced_excl"] for row in rows)) == pytest.approx(total)
    assert all(isinstance(row["month"], date) and row["month"].day == 1 for row in rows)


def test_attendance_rate(queried: Warehouse) -> None:
    rows = asked(queried, "attendance_rate")
    filled_in = [row for row in queried.sim.rows("attendances") if row["state"] != "blanco"]
    assert 0 < sum(row["registered"] for row in rows) <= len(filled_in)
    assert all(50 < row["attendance_percent"] <= 100 for row in rows)


def test_open_invoices_by_account(queried: Warehouse) -> None:
    rows = asked(queried, "open_invoices_by_account")
    owing = [row for row in queried.sim.rows("invoices") if row["status"] in ("open", "expired")]
    total = sum(float(row["total_open"]) for row in owing)
    assert rows
    assert float(sum(row["still_open"] for row in rows)) == pytest.approx(total)
    assert all(0 <= row["overdue"] <= row["still_open"] for row in rows)


def test_occupancy_of_planned_courses(queried: Warehouse) -> None:
    rows = asked(queried, "occupancy_of_planned_courses")
    coming = [
        row for row in queried.sim.rows("planned_courses") if row["status"] in ("planned", "active")
    ]
    assert len(rows) == len(coming) > 0
    taken = [
        row
        for row in queried.sim.rows("enrollments")
        if row["status"] != "canceled"
        and row["planned_course_id"] in {planned["id"] for planned in coming}
    ]
    assert sum(row["taken"] for row in rows) == len(taken) > 0


def test_pass_rate_by_course(queried: Warehouse) -> None:
    rows = asked(queried, "pass_rate_by_course")
    assert sum(row["judged"] for row in rows) > 100
    assert all(0 < row["pass_percent"] <= 100 for row in rows)


def test_queries_leave_deleted_rows_out(queried: Warehouse) -> None:
    assert asked(queried, "revenue_by_month")
    for table in ("attendances", "enrollments", "invoices", "planned_courses"):
        queried.execute(f"UPDATE {table} SET _deleted_at = now()")
    assert [asked(queried, name) for name in QUERIES] == [[]] * len(QUERIES)
