"""The client, over a transport that answers as it is told; and, for broken wires, the simulator."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from sources.eduframe.clock import now_utc
from sources.eduframe.comparing.reader import Reader
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import (
    EndlessError,
    ReadFailedError,
    SettingsError,
)
from sources.eduframe.http.client import Client
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.limits.traffic import Traffic
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.reading.fetching import Fetcher
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import Plan
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.resource_policy import Policy
from sources.eduframe_simulator import Fault, Simulator
from tests.made_up_api import BASE, TOKEN, Api, answer, page

# ---- What is sent


def test_a_request_carries_the_token_and_says_who_asks() -> None:
    api = Api(page([]))
    api.get("/labels", params={"per_page": 100})
    (request,) = api.asked
    assert str(request.url) == f"{BASE}/labels?per_page=100"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["User-Agent"].startswith("eduframe-sync/")
    assert request.method == "GET"


@pytest.mark.parametrize(
    "url",
    [
        *("http://api.eduframe.nl/api/v1", "ftp://localhost/x", "api.eduframe.nl/api/v1", ""),
        *("https://user:pw@api.eduframe.nl/api/v1", "https://api.eduframe.nl/?a=1", "https:///x"),
    ],
)
def test_addresses_that_would_leak_the_token_or_are_none_are_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        Client(url, TOKEN, Limiter(1, 1))


@pytest.mark.parametrize(
    "url", ["user:pass-word@host/x", "//user:pass-word@host", "http://[::1", "https://a:b:c/\x1b[2J"]
)
def test_an_address_that_is_none_is_told_without_what_may_be_a_password(url: str) -> None:
    with pytest.raises(SettingsError, match="no web address") as raised:
        Client(url, TOKEN, Limiter(1, 1))
    assert "pass-word" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1/", "http://[::1]:1/a"])
def test_local_hosts_may_do_without_tls(url: str) -> None:
    assert Client(url, TOKEN, Limiter(1, 1)).base_url == url.rstrip("/")


@pytest.mark.parametrize("token", [" abc", "abc\n", "a\r\nX-Evil: 1", "tök", "a\x00b"])
def test_tokens_that_no_server_gave_are_refused_without_being_shown(token: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Client(BASE, token, Limiter(1, 1))
    assert token.strip() not in str(raised.value)


# ---- The next page


@pytest.mark.parametrize(
    "link", [f"{BASE}/labels?cursor=abc&per_page=100", "/api/v1/labels?page=2", "?page=2"]
)
def test_the_next_page_is_what_the_link_says(link: str) -> None:
    found = Api(page([], link)).get()
    assert found.next_url == str(httpx.URL(f"{BASE}/labels").join(link))


def test_other_links_are_no_next_page() -> None:
    response = page([])
    response.headers["Link"] = f'<{BASE}/labels?page=1>; rel="prev", <{BASE}/x>; rel="last"'
    assert Api(response).get().next_url is None


@pytest.mark.parametrize(
    "link",
    [
        *("https://evil.example.com/api/v1/labels", "http://api.example.com/api/v1/labels"),
        *("https://api.example.com:8443/api/v1/labels", "//evil.example.com/x"),
        "https://api.example.com@evil.example.com/x",
    ],
)
def test_a_next_page_elsewhere_is_refused(link: str) -> None:
    api = Api(page([], link))
    with pytest.raises(ReadFailedError, match="another host"):
        api.get()
    assert len(api.asked) == 1


@pytest.mark.parametrize("user", ["user:pw@", "user@", ":pw@", f"{TOKEN}@"])
def test_an_address_under_a_user_name_is_refused_as_that_would_take_the_tokens_place(
    user: str,
) -> None:
    there = f"https://{user}api.example.com/api/v1/labels?page=2"
    for response in (page([], there), answer(302, Location=there)):
        api = Api(response)
        with pytest.raises(ReadFailedError, match=r"user name|holds the token") as raised:
            api.get()
        assert len(api.asked) == 1
        assert "pw" not in str(raised.value)


def test_a_link_that_speaks_of_a_next_page_without_an_address_fails_the_read() -> None:
    with pytest.raises(ReadFailedError, match="must not pass for the last one"):
        Api(page([{"id": 1}], Link="rel=next")).get()


def test_several_link_headers_are_read() -> None:
    links = [("link", f'<{BASE}/labels?page=1>; rel="prev"'), ("LINK", "<?page=3>; rel=Next")]
    assert Api(httpx.Response(200, json=[], headers=links)).get().next_url == (
        f"{BASE}/labels?page=3"
    )


@pytest.mark.parametrize("header", ["rel=next", "<http://[::1>; rel=next", "<//evil/>; rel=next"])
def test_a_single_object_has_no_next_page(header: str) -> None:
    api = Api(page({"id": 1}, Link=header))
    assert api.get("/educators/current", expect="object").next_url is None


def test_a_next_page_whose_address_holds_the_token_is_refused_as_it_would_be_stored() -> None:
    with pytest.raises(ReadFailedError, match="holds the token") as raised:
        Api(page([], f"{BASE}/labels?cursor=2&token={TOKEN}")).get()
    assert TOKEN not in str(raised.value)


def test_the_default_port_is_the_same_place() -> None:
    link = "https://api.example.com:443/api/v1/labels?page=2"
    assert Api(page([], link)).get().next_url == link


def test_the_servers_clock_is_read() -> None:
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert Api(page([], Date=format_datetime(at, usegmt=True))).get().date == at
    assert Api(page([])).get().date is None
    assert Api(page([], Date="today")).get().date is None


# ---- Redirects


def test_a_redirect_on_the_same_host_is_followed() -> None:
    api = Api(answer(302, Location="/api/v1/tags?page=1"), page([{"id": 1}]))
    assert api.get(params={"per_page": 100}).data == [{"id": 1}]
    assert str(api.asked[1].url) == "https://api.example.com/api/v1/tags?page=1"
    assert api.traffic.requests == 2


@pytest.mark.parametrize(
    "target", ["https://evil.example.com/labels", "http://api.example.com/api/v1/labels"]
)
def test_a_redirect_elsewhere_is_refused(target: str) -> None:
    api = Api(answer(301, Location=target))
    with pytest.raises(ReadFailedError, match="another host"):
        api.get()
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    "response",
    [answer(304), answer(302), answer(301, Location=""), answer(308, Location=" "), answer(300)],
)
def test_a_redirect_to_nowhere_is_a_failed_read(response: httpx.Response) -> None:
    api = Api(response)
    with pytest.raises(ReadFailedError, match=f"the server answered {response.status_code}: 0 b"):
        api.get()
    assert len(api.asked) == 1


@pytest.mark.parametrize("target", ["http://[::1", "https://api.example.com:port/", "mailto:x@y"])
def test_a_redirect_to_what_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(ReadFailedError, match="another host"):
        Api(answer(302, Location=target)).get()


def test_redirects_in_circles_end() -> None:
    api = Api(answer(307, Location="/api/v1/labels"))
    with pytest.raises(ReadFailedError, match="circles"):
        api.get()
    assert len(api.asked) < 10


# ---- Broken wires


@pytest.fixture(scope="module")
def wire() -> Iterator[Simulator]:
    with Simulator(scale=0.05, requests_per_window=100_000, counts={"labels": 150}) as sim:
        yield sim


def client_of(sim: Simulator, **options: Any) -> Client:
    options.setdefault("sleep", lambda seconds: None)
    return Client(sim.base_url, sim.token, Limiter(100_000, 300), **options)


@pytest.mark.parametrize(
    "kind", ["reset", "reset_body", "short_body", "bad_gzip", "cut_json", "empty", "html", "object"]
)
def test_a_wire_that_breaks_is_tried_again(wire: Simulator, kind: Any) -> None:
    wire.inject(Fault(kind, times=2))
    traffic = Traffic()
    with client_of(wire) as client:
        found = client.get("/labels", {"per_page": 100}, traffic=traffic)
    assert found.data == wire.rows("labels")[:100]
    assert (traffic.requests, traffic.retries) == (3, 2)
    wire.clear_faults()


def test_a_server_that_is_not_there_is_a_failed_read() -> None:
    gone = Simulator(scale=0)
    with gone:
        pass
    with client_of(gone, attempts=2) as client, pytest.raises(ReadFailedError):
        client.get("/labels")


# ---- Pages in a circle


def read_labels(sim: Simulator) -> tuple[ResourceRun, list[Any]]:
    endpoint = next(e for e in ENDPOINTS if e.table == "labels")
    plan = Plan(endpoint, "reconcile", Position(), RowIndex(), Policy(), now_utc(), now_utc())
    run = ResourceRun("labels")
    with client_of(sim) as client:
        batches = list(Reader(plan, client, run, ParentBook((endpoint,))).batches())
    return run, batches


def test_pages_that_go_round_in_circles_are_a_failed_read(wire: Simulator) -> None:
    wire.inject(Fault("link_loop", times=None))
    run, batches = read_labels(wire)
    wire.clear_faults()
    assert run.status == "failed"
    assert "circles" in (run.message or "")
    assert not any(batch.finished or batch.gone for batch in batches)


def test_a_list_is_read_over_all_its_pages(wire: Simulator) -> None:
    run, batches = read_labels(wire)
    assert (run.status, run.read, run.pages) == ("done", 150, 2)
    assert sum(batch.tables["labels"].num_rows for batch in batches if batch.tables) == 150


def test_pages_without_rows_that_never_end_are_a_failed_read() -> None:
    api = Api(*(page([], f"{BASE}/labels?cursor={n}") for n in range(100)))
    endpoint = next(e for e in ENDPOINTS if e.table == "labels")
    pages = Fetcher(api.client, endpoint, ResourceRun("labels"))
    with pytest.raises(ReadFailedError, match="circles"):
        list(pages.walk(pages.first()))
    assert len(api.asked) < 30


def pages_of(*rows: list[Any]) -> tuple[ResourceRun, int, bool]:
    """What reading so many pages, and the last one for ever, comes to: requests, and the end."""
    script = [page(each, f"{BASE}/labels?cursor={n}") for n, each in enumerate(rows)]
    api = Api(*script, page(rows[-1]))
    run = ResourceRun("labels")
    pages = Fetcher(api.client, next(e for e in ENDPOINTS if e.table == "labels"), run)
    try:
        list(pages.walk(pages.first()))
    except EndlessError:
        return run, len(api.asked), False
    return run, len(api.asked), True


def test_ten_pages_in_a_row_without_a_new_row_are_a_failed_read() -> None:
    same = [{"id": n} for n in range(30)]
    other = [{"id": n} for n in range(30, 60)]
    for rows in ([same] * 50, [same, other] * 50, [same, []] * 50, [[{}, 3, {"id": [1]}]] * 50):
        run, requests, ended = pages_of(*rows)
        assert not ended
        assert requests <= 21
        assert run.notes == ["a page held no row that was not on an earlier one"]


def test_nine_pages_without_a_new_row_are_noted_and_the_list_is_read_on() -> None:
    run, requests, ended = pages_of(*[[{"id": 1}]] * 10, [{"id": 2}], *[[{"id": 1}]] * 9)
    assert (requests, ended, len(run.notes)) == (21, False, 1)
    run, requests, ended = pages_of(*[[{"id": 1}]] * 10, [{"id": 2}], [{"id": 3}], [{"id": 4}])
    assert (requests, ended, len(run.notes)) == (14, True, 1)


def test_rows_are_told_apart_however_many_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.eduframe.http.pagination.KEPT_APART", 5)
    once = [[{"id": n}, {"id": n + 1}] for n in range(0, 40, 2)]
    assert pages_of(*once)[0].notes == ["a page held no row that was not on an earlier one"]
    assert pages_of(*once, *once)[1:] == (30, False)


def test_cookies_are_neither_kept_nor_sent() -> None:
    api = Api(httpx.Response(200, json=[], headers={"Set-Cookie": "session=1; Path=/"}))
    for _ in range(2):
        api.get()
    assert [request.headers.get("Cookie") for request in api.asked] == [None, None]


def test_a_batch_is_closed_after_so_many_bytes_however_few_its_rows_are(
    wire: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.eduframe.comparing.reader.BATCH_BYTES", 1000)
    run, batches = read_labels(wire)
    assert run.status == "done"
    assert [b.tables["labels"].num_rows for b in batches if b.tables] == [100, 50]


def test_nothing_deprecated_is_called() -> None:
    command = [sys.executable, "-W", "error", "-c", "import pipelines.eduframe.run.sync"]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
