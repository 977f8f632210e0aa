"""What the client tries again, and for how long: failures, 429, a token that leaks nowhere."""

import traceback
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sources.eduframe.clock import now_utc
from sources.eduframe.display import Secret
from sources.eduframe.errors import (
    AuthenticationError,
    EduframeError,
    RateLimitedError,
    ReadFailedError,
    ResourceOffError,
    StoppedError,
)
from sources.eduframe.http.headers import (
    RETRY_AFTER_DEFAULT,
    asked_wait,
    pause_asked_for,
    retry_after,
)
from tests.made_up_api import BASE, TOKEN, Api, answer, page

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
