"""The client, over a transport that answers as it is told; and, for broken wires, the simulator."""

import subprocess
import sys
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sources.eduframe.clock import now_utc
from sources.eduframe.comparing.reader import Reader
from sources.eduframe.display import Secret
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import (
    AuthenticationError,
    EduframeError,
    RateLimitedError,
    ReadFailedError,
    ResourceOffError,
    SettingsError,
    StoppedError,
)
from sources.eduframe.http.client import Client
from sources.eduframe.http.headers import (
    RETRY_AFTER_DEFAULT,
    asked_wait,
    pause_asked_for,
    retry_after,
)
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

TOKEN = "sEcReT-token-0123456789"
BASE = "https://api.example.com/api/v1"
Handler = Callable[[httpx.Request], httpx.Response]


class Api:
    """A made-up API: gives the answers in its script, and the last one for ever."""

    def __init__(self, *script: httpx.Response | Exception, attempts: int = 3) -> None:
        self.script = list(script)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []
        self.waited: list[float] = []
        self.now = 0.0
        self.traffic = Traffic()
        self.limiter = Limiter(1000, 10, clock=lambda: self.now, wait=self._wait)
        self.client = Client(
            BASE,
            TOKEN,
            self.limiter,
            transport=httpx.MockTransport(self._answer),
            attempts=attempts,
            sleep=self.slept.append,
        )

    def _wait(self, changed: threading.Condition, seconds: float) -> None:
        self.now += seconds

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, url: str = "/labels", **options: Any) -> Any:
        return self.client.get(url, traffic=self.traffic, **options)


def page(rows: Any, link: str | None = None, **headers: str) -> httpx.Response:
    if link:
        headers["Link"] = f'<{link}>; rel="next"'
    return httpx.Response(200, json=rows, headers=headers)


def answer(status: int, content: bytes = b"", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=content, headers=named)


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


# ---- What is tried again

BAD: dict[str, httpx.Response | Exception] = {
    "html": answer(200, b"<!DOCTYPE html><title>Maintenance</title>"),
    "empty": answer(200),
    "blank": answer(200, b"  \n"),
    "cut": answer(200, b'[{"id": 1}, {"id"'),
    "object for list": page({"data": []}),
    "null for list": page(None),
    "502": answer(502, b"Bad gateway"),
    "500": answer(500),
    "408": answer(408),
    "timeout": httpx.ReadTimeout("slow"),
    "connect": httpx.ConnectError("refused"),
    "broken": httpx.RemoteProtocolError("peer closed connection"),
    "gzip": httpx.DecodingError("bad gzip"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_may_pass_is_tried_again_and_counted(bad: httpx.Response | Exception) -> None:
    api = Api(bad, bad, page([{"id": 1}]))
    assert api.get().data == [{"id": 1}]
    assert (api.traffic.requests, api.traffic.retries) == (3, 2)
    assert len(api.slept) == 2
    assert all(0 <= seconds <= 31 for seconds in api.slept)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_does_not_pass_fails_in_the_end(bad: httpx.Response | Exception) -> None:
    api = Api(bad)
    with pytest.raises(ReadFailedError, match=r"/api/v1/labels.*3 attempts"):
        api.get()
    assert len(api.asked) == 3


@pytest.mark.parametrize(
    ("served", "read"),
    [
        (b'"a\\ud83d\\ude00"', "a\U0001f600"),
        (b'"a\\ud83db"', "a\ufffdb"),
        (b'{"\\udfff": "\\ud800\\ud800"}', {"\ufffd": "\ufffd\ufffd"}),
        (b"NaN", "NaN"),
        (b"[-Infinity, 1e999, -1e999]", ["-Infinity", "1e999", "-1e999"]),
        (b"12345678901234567890123", 12345678901234567890123),
    ],
)
def test_one_odd_value_does_not_cost_the_page(served: bytes, read: Any) -> None:
    api = Api(answer(200, b'[{"id": 1, "value": ' + served + b"}]"))
    assert api.get().data == [{"id": 1, "value": read}]
    assert api.traffic.requests == 1


@pytest.mark.parametrize("body", [b'[{"a": "\xff"}]', b'[{"id": 1}', b"[" * 2000, b'["\x01"]'])
def test_what_is_no_json_at_all_is_still_refused(body: bytes) -> None:
    with pytest.raises(ReadFailedError, match="no JSON"):
        Api(answer(200, body)).get()


def test_a_list_where_an_object_belongs_is_tried_again() -> None:
    api = Api(page([]), page({"id": 1}))
    assert api.get("/educators/current", expect="object").data == {"id": 1}
    assert api.traffic.retries == 1


@pytest.mark.parametrize("status", [400, 405, 410, 422])
def test_a_request_that_the_api_does_not_understand_is_not_repeated(status: int) -> None:
    api = Api(answer(status, b'{"message": "what?"}'))
    with pytest.raises(ReadFailedError, match=f"{status}.*what"):
        api.get()
    assert len(api.asked) == 1


ROWS = b'[{"id": 1, "email": "ada@example.com", "message": "private"}]'


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"errors": {}, "code": 422, "message": "status is no filter"}', "status is no filter"),
        (b'{"errors": {}, "code": 422, "message": " "}', "43 bytes"),
        (b'{"errors": {}, "code": 422, "message": "a\\n\\u001b[2Jb"}', r"a\n\x1b[2Jb"),
        (b'{"code": 422, "message": {"email": "ada"}}', "42 bytes"),
        (ROWS, f"{len(ROWS)} bytes"),
        (ROWS[1:-1], f"{len(ROWS) - 2} bytes"),
        (b"<p>ada@example.com</p>", "22 bytes"),
        (b"", "0 bytes"),
    ],
)
def test_of_an_error_only_the_apis_own_message_is_told(body: bytes, told: str) -> None:
    with pytest.raises(ReadFailedError) as raised:
        Api(answer(422, body)).get()
    assert str(raised.value) == f"/api/v1/labels: the server answered 422: {told}"


@pytest.mark.parametrize("charset", ["base64", "idna", "rot13", "zip", "no-such", "utf-16"])
def test_an_error_in_an_odd_charset_is_a_failed_read(charset: str) -> None:
    kind = f"text/html; charset={charset}"
    with pytest.raises(ReadFailedError, match="answered 418: 3 bytes"):
        Api(answer(418, b"a\xff.", Content_Type=kind)).get()


def test_a_wrong_token_ends_it_at_once() -> None:
    api = Api(answer(401))
    with pytest.raises(AuthenticationError, match="SOURCES__EDUFRAME__API_TOKEN"):
        api.get()
    assert len(api.asked) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_403_and_404_mean_off(status: int) -> None:
    api = Api(answer(status))
    with pytest.raises(ResourceOffError) as raised:
        api.get()
    assert raised.value.status == status
    assert len(api.asked) == 1


def test_a_stop_ends_the_retries() -> None:
    api = Api(answer(500))
    api.limiter.stop.set()
    with pytest.raises(StoppedError):
        api.get()


# ---- 429


def test_429_waits_for_everyone_and_uses_up_no_attempt() -> None:
    limited = answer(429, Retry_After="7")
    api = Api(*[limited] * 5, answer(500), answer(500), page([]), attempts=3)
    api.get()
    assert api.now >= 35
    assert api.traffic.requests == 8
    assert api.traffic.waited >= 35
    assert len(api.slept) == 2


def test_a_429_holds_back_requests_of_other_threads() -> None:
    api = Api(answer(429, Retry_After="60"), page([]))
    seen: list[float] = []
    original = api.limiter.pause

    def pause(seconds: float) -> None:
        original(seconds)
        seen.append(api.limiter.wait_now)

    api.limiter.pause = pause  # type: ignore[method-assign]
    api.get()
    assert seen == [60]


def test_a_failing_server_is_left_alone_for_as_long_as_it_asks() -> None:
    api = Api(answer(503, Retry_After="20"), answer(503, Retry_After="9999"), page([]))
    api.get()
    assert api.slept == [20.0, 120.0]


NOW = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("120", 120), (" 7 ", 7), ("0", 0), ("1.5", 1.5), ("120, 120", 120)),
        *(("Mon, 01 Jun 2026 12:01:30 GMT", 90), ("Mon, 01 Jun 2026 11:00:00 GMT", 0)),
        *((f"{NOW + 60:.0f}", 60), (f"{(NOW + 60) * 1000:.0f}", 60), (f"{NOW - 60:.0f}", 0)),
        ("86400", 86400),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_a_time_stamp(header: str, seconds: float) -> None:
    assert asked_wait(header, NOW) == retry_after(header, NOW) == pytest.approx(seconds)


NONSENSE = [
    *("nan", "inf", "1e400", "1e308", "-inf", "-5", "99999999999999999999", "soon", "9" * 400),
    *("Mon, 01 Jun 99999999999999999999 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"),
    *("Mon, 01 Jun 2026 12:00:00 +99999999999", "4000000", "1 Jun", ",", "\u0664"),
]


@pytest.mark.parametrize("header", [None, "", *NONSENSE])
def test_a_retry_after_without_sense_counts_as_none(header: str | None) -> None:
    assert asked_wait(header, NOW) is None
    assert retry_after(header, NOW) == RETRY_AFTER_DEFAULT
    assert pause_asked_for(header, NOW) == 0


@pytest.mark.parametrize("header", ["soon", "1e308", "-5"])
def test_a_retry_after_without_sense_is_said_once(header: str) -> None:
    limited = answer(429, Retry_After=header)
    api = Api(limited, limited, answer(503, Retry_After=header), page([]))
    api.get()
    (note,) = api.client.notes
    assert f"Retry-After makes no sense and counts as missing: {header}" in note
    assert api.now >= 2 * RETRY_AFTER_DEFAULT


@pytest.mark.parametrize("date", [*NONSENSE[9:11], "today", "Fri, 01 Jan 1971 00:00 GMT"])
def test_a_date_without_sense_counts_as_none_and_is_said_once(date: str) -> None:
    api = Api(page([], Date=date))
    assert [api.get().date, api.get().date] == [None, None]
    assert [note.split(": ")[0] for note in api.client.notes] == [
        "the API's header Date makes no sense and counts as missing"
    ]


def test_a_time_stamp_is_read_by_the_servers_clock() -> None:
    """Ours is of another year than the server's."""
    headers = {"Date": "Mon, 01 Jun 2026 12:00:00 GMT", "Retry_After": f"{NOW + 40:.0f}"}
    api = Api(answer(429, **headers), page([]))
    api.get()
    assert 40 <= api.now <= 41


def test_a_pause_of_more_than_a_quarter_of_an_hour_is_not_waited_for() -> None:
    api = Api(answer(429, Retry_After="86400"))
    with pytest.raises(RateLimitedError, match=r"left alone \(429\) until .*asks once") as raised:
        api.get()
    assert len(api.asked) == 1
    assert api.now == 0
    assert raised.value.until > now_utc() + timedelta(hours=23)
    assert api.limiter.ended is raised.value
    with pytest.raises(StoppedError):
        api.get("/tags")


def test_nothing_but_429_for_twenty_minutes_ends_the_run() -> None:
    api = Api(answer(429, Retry_After="60"))
    with pytest.raises(RateLimitedError, match="nothing but 429, for 20 minutes"):
        api.get()
    assert 1190 <= api.now <= 1210
    assert len(api.asked) == 21


def test_any_other_answer_starts_the_twenty_minutes_anew() -> None:
    limited = [answer(429, Retry_After="300")] * 3
    api = Api(*limited, answer(404), *limited, page([]))
    with pytest.raises(ResourceOffError):
        api.get()
    assert api.get().data == []
    assert api.now >= 1800


# ---- The token


@pytest.mark.parametrize(
    "bad",
    [
        *BAD.values(),
        *(answer(status) for status in (400, 401, 403, 404)),
        answer(400, f"no such token: {TOKEN}".encode()),
        answer(302, Location=f"https://evil.example.com/?t={TOKEN}"),
        page([], f"https://evil.example.com/{TOKEN}"),
        httpx.ConnectError(f"Bearer {TOKEN}"),
        answer(302, Location=f"http://{TOKEN}@evil.example.com/x"),
        answer(302, Location=f"/api/v1/{TOKEN}/loop"),
        answer(302, Location=f"/api/v1/{quote(TOKEN.upper())}/loop"),
        page([], f"http://{TOKEN}.evil.example.com/x"),
        page([], f"{BASE}/labels?cursor={b64encode(TOKEN.encode()).decode()}"),
        answer(422, b'{"message": "' + b64encode(TOKEN.encode()) + b'"}'),
        answer(422, b'{"message": "' + TOKEN.encode().hex().encode() + b'"}'),
        httpx.RemoteProtocolError(f"illegal header line: b'X: {TOKEN.lower()}'"),
    ],
)
def test_the_token_is_in_no_error(
    bad: httpx.Response | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    api = Api(bad, attempts=2)
    with pytest.raises(EduframeError) as raised:
        api.get()
    told = "".join(traceback.format_exception(raised.value.with_traceback(None)))
    for text in (told, caplog.text, str(api.traffic.causes)):
        assert not Secret(TOKEN).is_in(text)


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
