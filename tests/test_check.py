"""``eduframe check``: what it tries, what it says of the API, and that it leaves nothing behind."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.eduframe.commands.check.fit import how_paged, order_of, shown_limits
from pipelines.eduframe.destinations.lock import one_at_a_time
from pipelines.eduframe.exit_codes import DONE, FAILED, LOCKED
from pipelines.eduframe.pipeline import make_pipeline
from sources.eduframe.endpoints import BY_TABLE, ENDPOINTS
from sources.eduframe.reading.fetching import Page
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import TOKEN, Eduframe, settings


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
    assert len(paths) == len(set(paths)) <= len(ENDPOINTS) + len(here.rows("custom_objects"))
    (window,) = tmp_path.rglob("window.*.log")
    assert window.read_text().count("+") == len(paths)


def odd_users(rows: list[Any]) -> list[Any]:
    """What an API could serve that differs from its description, with a person's data in it."""
    for number, row in enumerate(rows):
        row["locale"] = ("klingon", "klingon", "Jansen", "jansen")[number % 4]
        row |= {"nickname": "jansen", "jansen@example.org": True} if number < 3 else {}
    rows[0]["first_name"] = {"jansen": "Jansen"}
    rows[1]["updated_at"] = "jansen"
    rows[2]["id"] = None
    return rows[::-1]


def test_check_reports_how_the_api_fits_the_models(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    here.inject(Fault("tamper", "/users", times=None, tamper=odd_users))
    here.forbid("orders", 403)
    found = eduframe("check", "--json", "--report", "fit.md", **settings(here))
    assert found.code == DONE
    fits = {row["resource"]: row["fit"] for row in found.json["resources"]}
    users, rows = fits["users"], len(here.rows("users"))
    assert (users["rows"]["users"], users["set_aside"]) == (rows - 1, 1)
    assert users["order"] == "descending"
    assert users["unknown_fields"] == {"users.nickname": 2, "users.(not shown)": 2}
    assert users["unfit_fields"] == {
        "users.first_name": {"object": 1},
        "users.updated_at": {"unreadable": 1},
    }
    assert users["unknown_values"]["users.locale"].keys() == {"klingon", "jansen", "(not shown)"}
    assert fits["accounts"]["order"] == "ascending"
    assert fits["attendances"]["paging"] == "by cursor"
    assert fits["orders"] is None
    report = (tmp_path / "fit.md").read_text(encoding="utf-8")
    assert "| `/orders` | forbidden |" in report
    assert f"- users.first_name does not fit: object in 1 of {rows - 1}" in report
    assert "- users: 1 rows without a usable key" in report
    assert f"- users.nickname is not known: in 2 of {rows - 1}" in report
    assert "Jansen" not in report
    assert "Demo" not in report


@pytest.mark.usefixtures("tables")
def test_check_does_not_ask_while_a_sync_does(
    eduframe: Eduframe, here: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    with one_at_a_time(make_pipeline()):
        found = eduframe("check", **settings(here))
    assert found.code == LOCKED
    assert "is going on: process" in found.err
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


@pytest.mark.parametrize(
    ("table", "count", "following", "said"),
    [
        ("users", 100, "/users?cursor=x", "by cursor"),
        ("users", 100, "/users?page=2&per_page=100", "by page"),
        ("users", 25, "/users?page=2", "by page, 25 rows a page instead of 100"),
        ("users", 100, "/users?offset=100", "in another way"),
        ("users", 100, None, "a full page, the last"),
        ("users", 99, None, "a single page"),
        ("payments", 3, None, "not paged"),
        ("payments", 3, "/invoices/1/payments?page=2", "by page, though declared as not paged"),
    ],
)
def test_how_a_list_is_paged(table: str, count: int, following: str | None, said: str) -> None:
    assert how_paged(BY_TABLE[table], Page([{}] * count, following, None)) == said


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ([1, 2, 9], "ascending"),
        ([9, 2, 1], "descending"),
        ([1, 9, 2], "none"),
        ([1, 1], "none"),
        ([1, None, 2], "ascending"),
        ([1, "2"], "none"),
        ([1], "unknown"),
    ],
)
def test_the_order_of_keys(keys: list[Any], order: str) -> None:
    assert order_of(BY_TABLE["users"], [{"id": key} for key in keys]) == order


def test_headers_about_the_limit_are_shown_where_they_are_numbers() -> None:
    headers = {
        "Date": "Mon, 05 Jan 2026 10:00:00 GMT",
        "RateLimit-Policy": "500;w=300",
        "X-RateLimit-Remaining": "499",
        "ratelimit": "limit=500, remaining=499, reset=300",
        "X-RateLimit-Key": TOKEN,
        "X-Quota-Of": "0123456789abcdef",
    }
    assert shown_limits(headers) == {
        "RateLimit-Policy": "500;w=300",
        "X-RateLimit-Remaining": "499",
        "ratelimit": "limit=500, remaining=499, reset=300",
        "X-RateLimit-Key": "(not shown)",
        "X-Quota-Of": "(not shown)",
    }
