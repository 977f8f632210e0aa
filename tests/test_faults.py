"""Whatever the API, the network or the disk does wrong: the sync says so, and loses nothing."""

import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme

from pipelines.eduframe.commands.output import print_summary
from pipelines.eduframe.exit_codes import DONE, FAILED, PARTLY
from pipelines.eduframe.run.control import Run
from pipelines.eduframe.run.report import Report
from sources.eduframe.declare import Endpoint
from sources.eduframe.errors import UnreachableError
from sources.eduframe.rows.normalise import Normalised, normalise
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import MakeWarehouse, command, ids, in_a_lake_too
from tests.processes import run
from tests.warehouses import PLENTY, Warehouse, as_json

LISTS = ("labels", "orders", "users")
IMPATIENT = 0.5
"""Seconds for a request, where some do not end."""


pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.eduframe.http.headers.RETRY_AFTER_DEFAULT", 0.2)


def told(report: Report, capsys: pytest.CaptureFixture[str]) -> str:
    """What the summary says."""
    capsys.readouterr()
    print_summary(report)
    return capsys.readouterr().out


def logged(warehouse: Warehouse, report: Report, name: str) -> dict[str, Any]:
    (row,) = warehouse.query(
        f"SELECT * FROM _sync_resources WHERE run_id = '{report.run_id}' AND resource = '{name}'"
    )
    return row


# ---- Faults that pass


PASSING = {
    "reset": (Fault("reset"), ""),
    "reset in the body": (Fault("reset_body"), ""),
    "short body": (Fault("short_body"), ""),
    "broken gzip": (Fault("bad_gzip"), "the body's compression is broken"),
    "cut JSON": (Fault("cut_json"), "200 with something that is no JSON"),
    "empty body": (Fault("empty"), "200 with an empty body"),
    "HTML page": (Fault("html"), "200 with something that is no JSON"),
    "an object for a list": (Fault("object"), "200 with a JSON dict where a list belongs"),
    "500": (Fault("status", status=500), "the server answered 500"),
    "502": (Fault("status", status=502), "the server answered 502"),
    "503": (Fault("status", status=503), "the server answered 503"),
    "504": (Fault("status", status=504), "the server answered 504"),
    "429": (Fault("too_many"), "429"),
    "429 for no time": (Fault("too_many", retry_after=0), "429"),
    "429 until a date": (Fault("too_many", retry_after=datetime(2020, 1, 1, tzinfo=UTC)), "429"),
    "429 until nonsense": (Fault("too_many", retry_after="soon"), "429"),
    "stall": (Fault("stall", seconds=1.0), "no answer in time (ReadTimeout)"),
    "stall in the body": (Fault("stall_body", seconds=1.0), "no answer in time (ReadTimeout)"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again_counted_and_told(
    warehouse: Warehouse, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fault, words = PASSING[name]
    warehouse.sim.inject(Fault(**{**vars(fault), "path": "/orders", "times": 2}))
    report = warehouse.sync(*LISTS, request_seconds=IMPATIENT)
    assert report.exit_code == DONE
    assert report.runs["orders"].traffic.retries == 2
    assert f"orders: 2 requests were tried again: {words}" in told(report, capsys)
    row = logged(warehouse, report, "orders")
    assert (row["status"], row["retries"]) == ("done", 2)
    assert words in str(row["retry_causes"])
    warehouse.assert_equals_truth(*LISTS)


# ---- Faults that stay: one list fails, the others do not


def elsewhere() -> Iterator[tuple[str, list[str | None]]]:
    """Another server: its address, and the tokens that came to it."""
    came: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api/v1/orders?cursor=x", came
        server.shutdown()


other_host = pytest.fixture(elsewhere)

STAYING = {
    **{name: found for name, found in PASSING.items() if not name.startswith("429")},
    "link to another host": (Fault("link_elsewhere"), "on another host"),
    "redirect to another host": (Fault("redirect"), "redirected to another host"),
    "link in a circle": (Fault("link_loop"), "round in circles"),
    "links to the same rows": (Fault("link_anew"), "10 in a row held no new row"),
    "400": (Fault("status", status=400), "answered 400"),
    "418": (Fault("status", status=418), "answered 418"),
    "403": (Fault("status", status=403), "answered 403"),
    "404": (Fault("status", status=404), "answered 404"),
}


@pytest.mark.parametrize("name", STAYING)
def test_what_stays_fails_one_list_alone_and_deletes_nothing(
    synced: Warehouse,
    name: str,
    other_host: tuple[str, list[str | None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    warehouse, sim, before = synced, synced.sim, synced.marks()["orders"]
    sim.add("labels")
    sim.delete("orders", sim.rows("orders")[0]["id"])
    target, tokens = other_host
    fault, words = STAYING[name]
    whole = {**vars(fault), "path": "/orders", "times": None, "target": target}
    sim.inject(Fault(**whole))
    report = warehouse.sync(*LISTS, reconcile=True, request_seconds=IMPATIENT)
    assert report.exit_code == PARTLY
    run = report.runs["orders"]
    assert (run.status, run.newly_off) in {("failed", False), ("off", True)}
    assert {report.runs[name].status for name in ("labels", "users")} == {"done"}
    assert any(words in line for line in told(report, capsys).splitlines() if "orders: " in line)
    assert words in str(logged(warehouse, report, "orders")["message"])
    assert warehouse.marks()["orders"] == before
    warehouse.assert_equals_truth("labels", "users")
    assert tokens == []
    sim.clear_faults()
    assert warehouse.sync(*LISTS, reconcile=True).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_a_list_whose_pages_went_astray_is_read_from_its_start_again(
    make_warehouse: MakeWarehouse, lists: Simulator
) -> None:
    warehouse = make_warehouse(lists)
    lists.inject(Fault("link_anew", path="/users", after=1, times=None))
    assert warehouse.sync("users").runs["users"].status == "failed"
    lists.clear_faults()
    report = warehouse.sync("users")
    assert (report.exit_code, report.runs["users"].read) == (DONE, 200)
    warehouse.assert_equals_truth("users")


def test_rows_that_memory_is_short_of_cost_their_list_alone(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(endpoint: Endpoint, rows: list[Any]) -> Normalised:
        if endpoint.table == "users":
            raise MemoryError
        return normalise(endpoint, rows)

    with monkeypatch.context() as patch:
        patch.setattr("sources.eduframe.comparing.change_detection.normalise", short)
        report = warehouse.sync(*LISTS)
    assert (report.exit_code, report.runs["users"].status) == (PARTLY, "failed")
    assert report.runs["users"].message == "there is no memory for its rows"
    warehouse.assert_equals_truth("labels", "orders")
    assert warehouse.sync(*LISTS).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_an_answer_without_an_end_costs_its_list_alone(warehouse: Warehouse) -> None:
    warehouse.sim.inject(Fault("stall_body", path="/orders", seconds=60, times=None))
    report = warehouse.sync(*LISTS, request_seconds=0.2)
    assert report.runs["orders"].traffic.requests == 3
    assert "no answer in time" in (report.runs["orders"].message or "")
    warehouse.assert_equals_truth("labels", "users")
    warehouse.sim.clear_faults()
    assert warehouse.sync(*LISTS).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_a_429_for_longer_than_the_run_may_last_ends_it(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse.sim.inject(Fault("too_many", path="/orders", retry_after=600, times=None))
    began = time.monotonic()
    report = warehouse.sync("orders", "labels", max_minutes=0.05, threads=1)
    assert time.monotonic() - began < 60
    assert report.exit_code == PARTLY
    assert "minutes are used up" in told(report, capsys)
    warehouse.sim.clear_faults()
    again = warehouse.sync("orders", max_minutes=0.02)
    assert (again.exit_code, again.requests) == (PARTLY, 0)


def test_a_429_for_hours_is_not_waited_for_and_later_runs_ask_once(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    sim = warehouse.sim
    warehouse.sync("orders", "labels")
    sim.add("labels")
    sim.inject(Fault("too_many", path="/orders", retry_after=36_000, times=None))
    report = warehouse.sync("labels", "orders", reconcile=True, threads=1)
    assert report.exit_code == PARTLY
    assert "left alone (429) until" in told(report, capsys)
    assert {run.status for run in report.runs.values()} <= {"stopped", "done"}
    sim.inject(Fault("too_many", retry_after=32_400, times=None))
    again = warehouse.sync("labels", "orders", reconcile=True)
    assert (again.exit_code, again.requests) == (PARTLY, 1)
    sim.clear_faults()
    last = warehouse.sync("labels", "orders", reconcile=True)
    assert last.exit_code == DONE
    warehouse.assert_equals_truth("labels", "orders")


def test_an_empty_disk_learns_from_the_log_what_the_last_window_held(
    warehouse: Warehouse,
) -> None:
    limit = {"requests_per_window": 1000, "window_seconds": 86_400}
    warehouse.sync("labels", "users", **limit)
    held = sum(row["requests"] for row in warehouse.rows("_sync_runs"))
    runs: list[Run] = []
    for file in Path(warehouse.pipeline.pipelines_dir).glob("window.*.log"):
        file.unlink()
    second = warehouse.sync("labels", watch=runs.append, **limit)
    assert runs[0].limiter.left == 1000 - held - second.requests
    third = warehouse.sync("labels", watch=runs.append, **limit)
    assert runs[1].limiter.left == runs[0].limiter.left - third.requests


def test_a_new_token_has_the_whole_window(warehouse: Warehouse) -> None:
    limit = {"requests_per_window": 1000, "window_seconds": 86_400}
    warehouse.sync("labels", **limit)
    warehouse.sim.token = warehouse.sim._api.token = "another-token"
    runs: list[Run] = []
    report = warehouse.sync("labels", watch=runs.append, **limit)
    assert report.exit_code == DONE
    assert runs[0].limiter.left == 1000 - report.requests


# ---- No connection at all


def test_a_name_that_does_not_resolve_ends_the_run(warehouse: Warehouse) -> None:
    with pytest.raises(UnreachableError, match=r"Cannot reach api\.invalid"):
        warehouse.sync("labels", base_url="https://api.invalid/v1")


def test_a_proxy_that_is_not_there_is_named_and_not_the_api(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    said = r"api\.invalid: the proxy 127\.0\.0\.1:9 cannot be reached: .*Check the proxy"
    with pytest.raises(UnreachableError, match=said):
        warehouse.sync("labels", base_url="https://api.invalid/v1")


def test_a_server_without_tls_is_not_spoken_to(warehouse: Warehouse) -> None:
    address = warehouse.sim.base_url.replace("http://", "https://")
    with pytest.raises(UnreachableError, match="Cannot reach"):
        warehouse.sync("labels", base_url=address, request_seconds=IMPATIENT)


def test_a_certificate_that_nobody_vouches_for_is_refused(warehouse: Warehouse) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *args: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            warehouse.sync("labels", base_url=f"https://127.0.0.1:{server.server_port}")
        server.shutdown()


# ---- The machine


@pytest.mark.parametrize("kilobytes", [3, 40, 14_000, 15_000])
def test_a_full_disk_loses_nothing(make_warehouse: MakeWarehouse, kilobytes: int) -> None:
    with Simulator(scale=1, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        setup = command(warehouse, "users", "orders", SOURCES__EDUFRAME__LOCK_WAIT_SECONDS="1")
        full = run(file_limit=kilobytes * 1024, **setup)
        if full.returncode != DONE:
            assert full.returncode == FAILED
            assert "Traceback" not in full.stderr
            assert "File too large" in full.stderr.splitlines()[-1]
        done = run(**setup)
        assert done.returncode == DONE, done.stderr
        warehouse.assert_equals_truth("users", "orders")


def test_a_clock_that_was_set_back_loses_no_change_and_still_reconciles(
    warehouse: Warehouse,
) -> None:
    warehouse.ahead = timedelta(days=400)
    warehouse.sync("labels", "users")
    warehouse.ahead = timedelta()
    sim = warehouse.sim
    sim.change("users", sim.rows("users")[0]["id"], first_name="Later")
    sim.delete("users", sim.rows("users")[1]["id"])
    report = warehouse.sync("labels", "users")
    assert report.runs["users"].mode == "reconcile"
    warehouse.assert_equals_truth("labels", "users")
    assert warehouse.sync("users").runs["users"].mode == "cursor"
    starts = [row["started_at"] for row in warehouse.query(
        "SELECT started_at FROM _sync_runs ORDER BY _dlt_load_id")]
    assert starts == sorted(set(starts))


def test_a_servers_clock_that_ran_ahead_hides_no_later_change(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    first, second, *_ = ids(sim, "users")
    warehouse.sync("users")
    right = sim.clock_offset
    sim.clock_offset += 30 * 86400
    sim.change("users", first, first_name="Ahead")
    warehouse.sync("users")
    sim.clock_offset = right
    sim.change("users", first, first_name="Set right")
    warehouse.sync("users", reconcile=True)
    sim.change("users", second, first_name="Later")
    assert warehouse.sync("users").runs["users"].mode == "cursor"
    warehouse.assert_equals_truth("users")


@in_a_lake_too
def test_runs_learn_from_each_other_after_a_clock_that_ran_ahead(
    make_warehouse: MakeWarehouse
) -> None:
    """dlt takes the state of the load package with the greatest number for the newest, and numbers
    packages by the clock."""
    with Simulator(scale=0, counts={"affiliations": 40}, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        warehouse.sync("affiliations")
        warehouse.ahead = timedelta(days=30)
        sim.change("affiliations", sim.rows("affiliations")[0]["id"])
        warehouse.sync("affiliations")
        warehouse.ahead = timedelta()
        for row in sim.rows("affiliations")[5:8]:
            sim.delete("affiliations", row["id"])
        first = warehouse.sync("affiliations", reconcile=True)
        assert any("3 rows are missing" in note for note in first.runs["affiliations"].notes)
        assert warehouse.sync("affiliations", reconcile=True).runs["affiliations"].deleted == 3
        warehouse.assert_equals_truth("affiliations")


# ---- Rows that fit no model

ODD_ROWS: dict[str, dict[str, Any]] = {
    "a number for a name": {"first_name": 17},
    "an object for a name": {"first_name": {"given": "Ada"}},
    "a list for a name": {"last_name": ["Byron"]},
    "text for a flag": {"wants_newsletter": "perhaps"},
    "no date": {"updated_at": "the day before yesterday"},
    "a date as a number": {"created_at": 20261124},
    "no label ids but text": {"label_ids": "1,2"},
    "labels of another shape": {"label_ids": [{"id": 1}]},
    "an address that is a list": {"address": ["Main Street"]},
    "an address without a street": {"address": {"city": "Delft"}},
    "no address": {"address": None},
    "custom as a list": {"custom": ["x"]},
    "no custom": {"custom": None},
    "a list within custom": {"custom": {"a": [1, [2]], "b": {"c": 1}}},
    "a value nobody declared": {"locale": "tlh"},
    "a field nobody knows": {"f" * 300: 1, 'with "quotes" and spaces': {"é": [None]}},
    "slugs alike": {"custom": {"Diet": 1, "diet": 2, "DIËT": 3, "di et": 4, 'd"iet\'s': 5,
                               "x" * 200: 6, "": 7}},
}


@pytest.mark.parametrize("destination", ["duckdb", "postgres"])
def test_rows_of_any_shape_are_loaded_and_what_does_not_fit_is_told(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    sim = warehouse.sim
    users = [row["id"] for row in sim.rows("users")]
    good = {row["id"]: row for row in sim.rows("users")}
    odd = dict(zip(users, ODD_ROWS.values(), strict=False))
    missing = users[len(odd)]

    def tamper(rows: list[Any]) -> list[Any]:
        made = [row | odd.get(row["id"], {}) for row in rows]
        return [
            {k: v for k, v in row.items() if row["id"] != missing or k in ("id", "slug")}
            for row in made
        ]

    sim.inject(Fault("tamper", path="/users", times=None, tamper=tamper))
    report = warehouse.sync("users")
    run = report.runs["users"]
    held = {row["id"]: row for row in warehouse.rows("users")}
    assert (set(held), run.rejected, warehouse.rows("_rejected_rows")) == (set(users), 0, [])
    assert run.unfit_fields["users.last_name"]["absent"] == 1
    summary = told(report, capsys)
    assert "users.last_name does not fit in" in summary
    assert "fields that are not known yet" in summary
    unfit = as_json(logged(warehouse, report, "users")["unfit_fields"])
    assert unfit == {name: dict(kinds) for name, kinds in run.unfit_fields.items()}
    slugs = users[list(ODD_ROWS).index("slugs alike")]
    values = warehouse.query(
        "SELECT slug, value_number FROM custom_values "
        f"WHERE owner_table = 'users' AND owner_id = {slugs} ORDER BY value_number"
    )
    assert {row["slug"]: int(row["value_number"]) for row in values} == (
        ODD_ROWS["slugs alike"]["custom"]
    )
    unknown = held[users[list(ODD_ROWS).index("a field nobody knows")]]
    assert "f" * 300 in str(unknown["_extra"])
    sim.clear_faults()
    assert warehouse.sync("users", reconcile=True).exit_code == DONE
    assert good.keys() == {row["id"] for row in warehouse.rows("users")}
    warehouse.assert_equals_truth("users")


@pytest.mark.parametrize("destination", ["duckdb", "postgres"])
def test_values_that_are_hardly_json_cost_no_more_than_their_row(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    sim = warehouse.sim
    half, deep, no_number = (row["id"] for row in sim.rows("labels")[:3])

    def tamper(rows: list[Any]) -> bytes:
        for row in rows:
            row |= {half: {"name": "HALF"}, deep: {"new": "DEEP"}, no_number: {"id": 0}}.get(
                row["id"], {}
            )
        nested = b"[" * 400 + b"]" * 400
        body = orjson.dumps(rows).replace(b'"HALF"', b'"a\\ud800b"').replace(b'"DEEP"', nested)
        return body.replace(b'"id":0,', b'"id":NaN,')

    sim.inject(Fault("tamper", path="/labels", tamper=tamper, times=None))
    report = warehouse.sync("labels")
    assert report.exit_code == PARTLY  # said once, for the row without a key
    held = {row["id"]: row["name"] for row in warehouse.rows("labels")}
    assert held[half] == "a\ufffdb"
    assert held.keys() == {row["id"] for row in sim.rows("labels")} - {no_number}
    (kept,) = [row["_extra"] for row in warehouse.rows("labels") if row["id"] == deep]
    assert "new" in str(kept)
    aside = {row["key"]: row for row in warehouse.rows("_rejected_rows")}
    assert len(aside) == report.runs["labels"].rejected == 1
    assert "some values were no JSON" in told(report, capsys)
    assert "some values were no JSON" in logged(warehouse, report, "labels")["message"]


@pytest.mark.parametrize("destination", ["duckdb", "postgres"])
def test_numbers_of_too_many_digits_cost_no_more_than_their_field(warehouse: Warehouse) -> None:
    """As a key, a foreign key, a count, in a list of numbers and in a nested row."""
    sim = warehouse.sim
    large, fine = b"12345678901234567890123", b"1234567890123456.789"

    def tamper(rows: list[Any]) -> bytes:
        rows[0] |= {"id": "LARGE"}
        rows[1] |= {"number_of_students": "FINE", "referral_id": "LARGE", "new": ["LARGE", "FINE"]}
        rows[2]["order_items"] = [{**rows[2]["order_items"][0], "id": "FINE"}]
        return orjson.dumps(rows).replace(b'"LARGE"', large).replace(b'"FINE"', fine)

    items = sim.rows("orders")
    warehouse.sync("orders")
    sim.inject(Fault("tamper", path="/orders", tamper=tamper, times=None))
    report = warehouse.sync("orders", reconcile=True)
    assert report.runs["orders"].status in ("done", "held back")
    assert report.runs["orders"].rejected == 1
    held = {row["id"]: row for row in warehouse.rows("orders")}
    odd = held[items[1]["id"]]
    assert (odd["number_of_students"], odd["referral_id"]) == (None, None)
    text = warehouse.query(
        f"SELECT CAST(_extra AS VARCHAR) AS extra FROM orders WHERE id = {odd['id']}"
    )[0]["extra"].replace(" ", "")
    assert f'"new":[{large.decode()},{fine.decode()}]' in text
    assert f'"referral_id":{large.decode()}' in text
    sim.clear_faults()
    assert warehouse.sync("orders", reconcile=True).exit_code == DONE
    warehouse.assert_equals_truth("orders")
