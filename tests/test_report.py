"""``eduframe report``: the answers of the views as a page that loads nothing."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from pipelines.eduframe.commands.pages.document import write_page
from pipelines.eduframe.commands.report import command
from pipelines.eduframe.commands.report.charts import FORMATS, _axis, specification
from pipelines.eduframe.commands.report.page import page
from pipelines.eduframe.commands.report.questions import QUESTIONS
from pipelines.eduframe.commands.report.reading import Found, _words, first_rows, placed, read
from pipelines.eduframe.commands.report.section import Answer, Chart, Column, Section
from pipelines.eduframe.commands.report.syncing import SYNCING
from pipelines.eduframe.exit_codes import DONE, FAILED, WRONG_USE
from pipelines.eduframe.store.run_log import LOG_TABLES
from pipelines.eduframe.views.files import written_views
from sources.eduframe.errors import SettingsError
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, Eduframe
from tests.test_docs import Parsed
from tests.warehouses import Home, Warehouse

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

LISTS = (
    "accounts", "attendances", "certificates", "courses", "credits", "educators", "enrollments",
    "invoices", "leads", "meetings", "orders", "planned_courses", "teachers", "users",
)
NASTY = "</script><script>alert('1')</script> & \"2\" <b>"
SETTINGS = Settings()
VEGA = "window.vegaEmbed = null; '</script>';"


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


only_duckdb = pytest.mark.parametrize("destination", ["duckdb"], scope="session")


@pytest.fixture(scope="module")
def synced(
    home: Home, destination: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A provider of whom an account has a nasty name, synced with its views."""
    with Simulator(scale=0.15, requests_per_window=1_000_000) as sim:
        warehouse = home.make(destination, sim, tmp_path_factory.mktemp("synced"), views="on")
        report = warehouse.sync(*LISTS)
        assert (report.exit_code, report.notes) == (DONE, [])
        warehouse.execute(f"UPDATE eduframe.accounts SET name = '{NASTY.replace(chr(39), '”')}'")
        yield warehouse


@pytest.fixture(scope="module")
def found(synced: Warehouse) -> Found:
    return read(synced.make_pipeline(), SETTINGS)


def answers(found: Found) -> dict[str, Answer]:
    return {a.section.name: a for a in (*found.answers, *found.syncing)}


# ---- What it asks


def test_sections_ask_what_there_is() -> None:
    views = {view.name: view for view in written_views()}
    logs = {table.name for table in LOG_TABLES}
    assert all({*section.of} <= {*views} for section in QUESTIONS)
    assert all({*section.of} <= logs for section in SYNCING)
    names = [section.name for section in (*QUESTIONS, *SYNCING)]
    assert len({*names, "answers", "sync", "content", "contents"}) == len(names) + 4
    for section in QUESTIONS:
        read = {*re.findall(r"(?:FROM|JOIN) (\w+)", section.sql)} - {"sums", "busy"}
        assert read == {*section.of}, section.name
    measures = {view.name for view in views.values() if view.kind == "measure"}
    assert measures <= {name for section in QUESTIONS for name in section.of}


@only_duckdb
def test_every_answer_is_what_the_view_gives(synced: Warehouse, found: Found) -> None:
    with synced.reading() as cursor:
        cursor.execute("SET search_path TO eduframe_views")
        for answer in found.answers:
            rows = synced.query(answer.sql)
            names = [column.name for column in answer.columns]
            assert answer.of_all == len(rows)
            assert [tuple(row[name] for name in names) for row in rows] == [*answer.rows]


def test_the_questions_have_answers(found: Found) -> None:
    """On Postgres as in DuckDB: there the queries are translated."""
    told = answers(found)
    for name in ("open-invoices", "completion", "attendance", "leads", "revenue-by-month",
                 "teacher-hours", "returning"):
        assert told[name].rows, name
    kinds = {column.name: column.shown for column in told["open-invoices"].columns}
    assert kinds["customer"] == "text"
    assert kinds["invoices"] == "count"
    assert kinds["overdue"] == "number"
    assert kinds["first_due_on"] == "date"


def test_who_owes_what_is_what_the_api_says(synced: Warehouse, found: Found) -> None:
    owing = [i for i in synced.sim.rows("invoices") if i["status"] in ("open", "expired")]
    for total in answers(found)["open-invoices"].totals:
        wanted = sum(Decimal(str(i["total_open"])) for i in owing
                     if i["currency"] == total["currency"])
        assert round(total["still_open"], 2) == round(wanted, 2)
    assert {i["currency"] for i in owing} == {
        total["currency"] for total in answers(found)["open-invoices"].totals
    }


def test_the_sync_is_told_of(synced: Warehouse, found: Found) -> None:
    told = answers(found)
    runs = synced.rows("_sync_runs")
    assert told["runs"].of_all == len(runs)
    resources = synced.rows("_sync_resources")
    (requests,) = told["requests"].totals
    assert requests["requests"] == sum(row["requests"] for row in resources)
    hour = dict(zip([c.name for c in told["requests"].columns], told["requests"].rows[0],
                    strict=True))
    assert hour["most_allowed"] == 6000
    (changes,) = told["changes"].totals
    assert changes["new"] == sum(row["rows_new"] for row in resources)
    fresh = {row[0]: row for row in told["freshness"].rows}
    assert fresh["users"][1:3] == ("done", synced.count("users"))
    assert fresh["labels"][3] is None


def test_days_are_those_of_months() -> None:
    words = _words(date(2026, 12, 31))
    assert words["next_month"] == "DATE '2027-01-01'"
    assert words["month_after"] == "DATE '2027-02-01'"
    assert words["two_years_ago"] == "DATE '2024-12-01'"
    assert words["month_back"] == "DATE '2026-12-01'"


@pytest.mark.parametrize("dialect", ["bigquery", "snowflake", "redshift", "databricks"])
def test_other_destinations_get_sql_that_parses(dialect: str) -> None:
    words = _words(date(2026, 5, 4)) | {"most_requests": "6000"}
    for section in (*QUESTIONS, *SYNCING):
        asked = first_rows(section, section.sql.format_map(words))
        tree = sqlglot.parse_one(placed(asked, "d_views", dialect), read=dialect)
        tables = {table.name for table in tree.find_all(exp.Table) if table.db == "d_views"}
        assert tables == {*section.of}, section.name


# ---- What it shows


def test_the_page_says_all_and_loads_nothing(found: Found) -> None:
    html = page(found, "1.2.3", VEGA)
    parsed = Parsed(html)
    assert parsed.wrong == []
    assert parsed.nameless == []
    assert len(parsed.ids) == len({*parsed.ids})
    assert parsed.loaded == []
    assert {href[0] for _, href in parsed.links} == {"#"}
    assert {href for _, href in parsed.links} <= {f"#{name}" for name in parsed.ids}
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(|https?://", html)
    filled = [a for a in answers(found).values() if a.rows]
    assert parsed.tags["table"] == parsed.tags["caption"] == len(filled)
    assert parsed.tags["article"] == len(QUESTIONS) + len(SYNCING) + 1
    for name, answer in answers(found).items():
        said = parsed.words[name]
        assert all(view in said for view in answer.section.of)
        assert answer.rows or answer.section.nothing in said


@only_duckdb
def test_names_are_never_markup(found: Found) -> None:
    html = page(found, NASTY, VEGA)
    assert "<script>alert" not in html
    assert html.count("</script>") == 4
    customers = Parsed(html).words["open-invoices"]
    assert NASTY.replace("'", "”") in customers


@only_duckdb
def test_charts_come_with_words_and_without_rows(found: Found) -> None:
    html = page(found, "1", VEGA, "nl")
    assert '<html lang="en" data-language="nl">' in html
    held = re.search(r'<script type="application/json" id="charts">(.*?)</script>', html, re.S)
    assert held is not None
    charts = json.loads(held[1])["charts"]
    drawn = {name for name, a in answers(found).items() if a.rows and a.section.chart}
    assert {*charts} == drawn
    for chart in charts.values():
        assert chart["spec"]["description"].endswith("the table below has the numbers.")
        assert chart["spec"]["data"] == {"name": "rows"}
        assert "$schema" not in json.dumps(chart)


def made_up(rows: tuple[tuple[Any, ...], ...], of_all: int, **said: Any) -> Found:
    section = Section("owed", "Owed?", ("open_invoices",), "SELECT 1", "1", "Nothing is owed.",
                      Chart("bars", ("customer",), ("owed",), "money"), totals=("owed",))
    columns = (Column("customer", "text"), Column("currency", "text"), Column("owed", "number"),
               Column("since", "date"))
    answer = replace(Answer(section, columns, rows, of_all), **said)
    return Found("duckdb", "d", "d_views", datetime(2026, 5, 4, 3, 2), date(2026, 5, 4), "UTC",
                 (answer,), ())


def test_labels_of_a_short_axis_are_of_different_numbers(found: Found) -> None:
    vl_convert = importlib.import_module("vl_convert")
    spec = specification(answers(found)["leads"])
    rows = [{"_label": "a", "enrolled_percent": 0.2}]
    count = _axis(FORMATS["count"]).to_dict()
    for axis, value, labels in (({}, 0.2, ["0", "0.1", "0.2"]), (count, 2, ["0", "1", "2"])):
        rows[0]["enrolled_percent"] = value
        spec["encoding"]["x"]["axis"] |= axis
        svg = vl_convert.vegalite_to_svg({**spec, "width": 600, "autosize": "pad",
                                          "data": {"name": "rows", "values": rows}})
        assert re.findall(r">([0-9.]+)</text>", svg) == labels


def test_what_is_left_out_is_said() -> None:
    rows = (("A", "EUR", Decimal("1234.50"), date(2026, 5, 1)), ("B", "USD", None, None))
    totals = ({"currency": "EUR", "owed": Decimal("9000")}, {"currency": "USD", "owed": 7})
    parsed = Parsed(page(made_up(rows, 12_345, totals=totals), "1", VEGA))
    said = " ".join(parsed.words["owed"].split())
    assert "The first 2 of 12,345 rows." in said
    assert "owed (EUR)9,000.00owed (USD)7.00" in said
    assert "AEUR1,234.502026-05-01BUSD" in said


def test_an_empty_provider_has_a_page_too(home: Home, tmp_path: Path) -> None:
    with Simulator(scale=0) as nothing:
        warehouse = home.make("duckdb", nothing, tmp_path, views="on")
        assert warehouse.sync("labels").exit_code == DONE
    found = read(warehouse.make_pipeline(), SETTINGS)
    assert not any(answer.rows or answer.missing for answer in found.answers)
    parsed = Parsed(page(found, "1", VEGA))
    assert parsed.wrong == []
    assert all(a.section.nothing in parsed.words[a.section.name] for a in found.answers)


def test_an_older_view_costs_its_section_only(home: Home, destination: str, tmp_path: Path) -> None:
    with Simulator(scale=0, counts={"labels": 2}) as sim:
        warehouse = home.make(destination, sim, tmp_path, views="on")
        assert warehouse.sync("labels").exit_code == DONE
    views, cascade = "eduframe_views", " CASCADE" if destination == "postgres" else ""
    warehouse.execute(
        f"DROP VIEW {views}.occupancy{cascade}; CREATE VIEW {views}.occupancy AS SELECT 1 AS a; "
        f"CREATE VIEW {views}.listed AS SELECT name, kind FROM {views}._views; "
        f"CREATE TABLE {views}.names AS SELECT * FROM {views}.listed; DROP VIEW {views}.listed; "
        f"DROP VIEW {views}._views; CREATE VIEW {views}._views AS SELECT * FROM {views}.names"
    )
    found = read(warehouse.make_pipeline(), SETTINGS)
    failed = {a.section.name: a.failed for a in (*found.answers, *found.syncing) if a.failed}
    above = {"free-places"} if destination == "duckdb" else set()  # Postgres dropped it
    assert {*failed} == {"next-month", "occupancy-by-month"} | above
    assert all("column" in why for why in failed.values()), failed
    said = Parsed(page(found, "1", VEGA)).words["next-month"]
    assert re.search(r"Not answered: .*column.*\. The next eduframe sync brings", said), said


def test_nothing_yet_and_not_there_are_said() -> None:
    assert "Nothing is owed." in page(made_up((), 0), "1", VEGA)
    html = page(made_up((), 0, missing=("open_invoices",)), "1", VEGA)
    assert "open_invoices is not there. The next eduframe sync makes it" in html


# ---- The command


@pytest.fixture
def place(synced: Warehouse) -> dict[str, str]:
    return {"DESTINATION__DUCKDB__CREDENTIALS": synced.address}


@only_duckdb
def test_the_command_writes_a_small_page_that_draws(
    eduframe: Eduframe, place: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "answers.html"
    file.write_text("before")
    printed = eduframe("report", str(file), "--language", "nl", **place)
    assert (printed.code, printed.err) == (DONE, "")
    assert re.fullmatch(rf"{file}: \d+ of {len(QUESTIONS) + len(SYNCING) + 1} questions have rows, "
                        r"\d\.\d MB\n", printed.out)
    html = file.read_text(encoding="utf-8")
    assert html.count("window.vegaEmbed = ") + html.count("window.vegaEmbed=") == 1
    assert 500_000 < file.stat().st_size < 5_000_000
    assert [*tmp_path.glob(".answers*")] == []
    parts = re.split(r"<script[^>]*>|</script>", html)
    assert not re.search(r"@import|url\(|https?://", "".join(p for p in parts if len(p) < 500_000))


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    with pytest.raises(SettingsError, match=r"a\.html cannot be written: Is a directory"):
        write_page(tmp_path / "a.html", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


@only_duckdb
def test_without_views_it_says_what_makes_them(
    eduframe: Eduframe, place: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_vega", lambda: VEGA)
    file = str(tmp_path / "a.html")
    printed = eduframe("report", file, VIEWS="off", **place)
    assert printed.code == WRONG_USE
    assert "the setting views is off. Set it to on and run eduframe sync" in printed.err
    printed = eduframe("report", file, VIEWS="elsewhere", **place)
    assert printed.code == WRONG_USE
    assert "there are none in dataset elsewhere. Run eduframe sync" in printed.err
    printed = eduframe("report", file, "--dataset", "nothing", **place)
    assert printed.code == WRONG_USE
    assert "Nothing has been synced into dataset nothing yet" in printed.err
    lake = {"DESTINATION__FILESYSTEM__BUCKET_URL": f"file://{tmp_path}"}
    printed = eduframe("report", file, "--destination", "filesystem", **lake)
    assert printed.code == WRONG_USE
    assert "there are none in filesystem" in printed.err
    assert [*tmp_path.glob("*.html")] == []


def test_without_the_extra_it_says_what_to_install(eduframe: Eduframe, tmp_path: Path) -> None:
    with patch.dict(sys.modules), patch.object(command, "NEEDED", ("altair", "no_such_package")):
        assert not command.can_report()
        printed = eduframe("report", str(tmp_path / "a.html"))
    assert printed.code == WRONG_USE
    assert "pip install 'eduframe-sync[report]'" in printed.err


@only_duckdb
def test_a_busy_file_is_named(
    eduframe: Eduframe, synced: Warehouse, place: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "_vega", lambda: VEGA)
    monkeypatch.setattr("pipelines.eduframe.destinations.duckdb_file.WAIT_TO_READ", 0.0)
    said = f"IO Error: Could not set lock on file \"{synced.address}\": Conflicting lock is held"
    with patch.object(duckdb, "connect", side_effect=duckdb.IOException(said)):
        printed = eduframe("report", str(tmp_path / "a.html"), **place)
    assert printed.code == FAILED
    assert "is held open by another program" in printed.err
