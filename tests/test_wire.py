"""Answers without an end, bombs, proxies and certificates: what no framework would send."""

import gzip
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sources.eduframe.errors import ReadFailedError, SettingsError, StoppedError
from sources.eduframe.http.client import LATE_IN_A_ROW, Bounds, Client
from sources.eduframe.http.receive import TooLargeError, receive
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.limits.traffic import Traffic
from tests.raw_server import Behaviour, Peer, RawServer

TOKEN = "sEcReT-token-0123456789"
MOMENT = Bounds(request_seconds=0.2)
SMALL = Bounds(request_seconds=30, page_bytes=100_000, list_bytes=1_000_000)
PATIENCE = 20.0
"""Seconds after which what should have ended never will."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client_of(address: str, bounds: Bounds = SMALL, **options: Any) -> Client:
    options.setdefault("sleep", lambda seconds: None)
    return Client(address, TOKEN, Limiter(10_000, 300), bounds=bounds, **options)


# ---- Time


def trickle_headers(peer: Peer) -> None:
    peer.send(HEAD)
    peer.for_ever(b"X: y\r\n", 0.02)


def endless_hints(peer: Peer) -> None:
    peer.for_ever(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n", 0.02)


def trickle_body(peer: Peer) -> None:
    peer.send(HEAD, b"Content-Length: 90000\r\n\r\n")
    peer.for_ever(b" ", 0.02)


def trickle_chunks(peer: Peer) -> None:
    peer.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
    peer.for_ever(b"1\r\n \r\n", 0.02)


def trickle_status(peer: Peer) -> None:
    peer.for_ever(b"H", 0.02)


@pytest.mark.parametrize(
    "behaviour",
    [trickle_headers, endless_hints, trickle_body, trickle_chunks, trickle_status, Peer.hang],
)
def test_an_answer_without_an_end_is_given_up_three_times_and_then_the_list(
    behaviour: Behaviour,
) -> None:
    traffic = Traffic()
    with RawServer(behaviour) as server, client_of(server.base_url, MOMENT) as client:
        with pytest.raises(ReadFailedError, match=r"no answer in time.*3 attempts"):
            client.get("/labels", traffic=traffic)
        assert len(server.requests) == traffic.requests == LATE_IN_A_ROW
        with pytest.raises(ReadFailedError, match="not asked any more"):
            client.get("/labels", traffic=traffic)
        assert len(server.requests) == LATE_IN_A_ROW
        server.behaviour = Peer.answer
        assert client.get("/tags", traffic=Traffic()).data == []


def test_any_answer_in_time_starts_the_count_anew() -> None:
    behaviours: list[Behaviour] = [Peer.hang, Peer.hang, Peer.answer] * 2

    def behave(peer: Peer) -> None:
        behaviours.pop(0)(peer)

    traffic = Traffic()
    with RawServer(behave) as server, client_of(server.base_url, MOMENT) as client:
        for _ in range(2):
            assert client.get("/labels", traffic=traffic).data == []
    assert traffic.requests == 6


# ---- Stopping


@pytest.mark.parametrize("behaviour", [Peer.hang, trickle_body, endless_hints])
def test_a_stop_ends_requests_that_are_under_way(behaviour: Behaviour) -> None:
    ended: list[BaseException] = []

    def read(client: Client) -> None:
        try:
            client.get("/labels")
        except Exception as error:
            ended.append(error)

    with RawServer(behaviour) as server, client_of(server.base_url) as client:
        threads = [threading.Thread(target=read, args=[client]) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert server.came.wait(PATIENCE)
        client.limiter.stop.set()
        client.limiter.wake()
        for thread in threads:
            thread.join(PATIENCE)
    assert [type(error) for error in ended] == [StoppedError] * 3


def test_a_stop_ends_the_look_up_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    looking, over = threading.Event(), threading.Event()

    def look_up(*args: Any, **options: Any) -> Any:
        looking.set()
        over.wait(PATIENCE)
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    client = client_of("https://api.example.com/api/v1")

    def stop() -> None:
        looking.wait(PATIENCE)
        client.limiter.stop.set()
        client.limiter.wake()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(StoppedError):
        client.get("/labels")
    over.set()
    stopping.join(PATIENCE)


def test_a_look_up_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: over.wait(PATIENCE))
    with (
        client_of("https://api.example.com/api/v1", MOMENT) as client,
        pytest.raises(ReadFailedError, match="no answer in time"),
    ):
        client.get("/labels")
    over.set()


def test_after_a_stop_nothing_begins_any_more() -> None:
    with RawServer(Peer.answer) as server, client_of(server.base_url) as client:
        client.get("/labels")
        client.abort()
        with pytest.raises(ReadFailedError):
            client.get("/labels")
        assert len(server.requests) == 1


# ---- Size


def bomb(size: int) -> bytes:
    """A JSON list of so many bytes, nearly all of them spaces, by gzip."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * 1_000_000
    parts = [packer.compress(b"[")] + [packer.compress(block) for _ in range(size // len(block))]
    return b"".join([*parts, packer.compress(b"]"), packer.flush()])


def endless(peer: Peer) -> None:
    peer.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
    peer.for_ever(b"2710\r\n" + b" " * 10_000 + b"\r\n")


def endless_gzip(peer: Peer) -> None:
    peer.send(HEAD, b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.for_ever(b"14\r\n" + gzip.compress(b"", mtime=0) + b"\r\n")


def large_by_its_length(peer: Peer) -> None:
    peer.send(HEAD, b"Content-Length: 999999999999\r\n\r\n")
    peer.hang()


@pytest.mark.parametrize(
    "behaviour",
    [
        endless,
        endless_gzip,
        large_by_its_length,
        lambda peer: peer.answer(bomb(50_000_000), "Content-Encoding: gzip"),
        lambda peer: peer.answer(b"[" + b" " * 100_000 + b"]"),
    ],
)
def test_an_answer_that_is_too_large_fails_its_list_alone_and_at_once(behaviour: Behaviour) -> None:
    with RawServer(behaviour) as server, client_of(server.base_url) as client:
        with pytest.raises(ReadFailedError, match="larger than"):
            client.get("/labels")
        assert len(server.requests) == 1
        server.behaviour = Peer.answer
        assert client.get("/tags").data == []


def test_an_answer_that_is_full_of_tiny_values_is_not_parsed() -> None:
    """Parsed they would take twenty times their bytes."""
    full = b"[" + b"[]," * 2_000_000 + b"[]]"
    with RawServer(lambda peer: peer.answer(full)) as server:
        with (
            client_of(server.base_url, Bounds(page_bytes=8_000_000)) as client,
            pytest.raises(ReadFailedError, match="more than 1,000,000 values"),
        ):
            client.get("/labels")
        assert len(server.requests) == 1


def test_a_list_without_pages_may_be_larger() -> None:
    rows = b"[" + b" " * 500_000 + b"]"
    with RawServer(lambda peer: peer.answer(rows)) as server, client_of(server.base_url) as client:
        assert client.get("/labels", paged=False).size == len(rows)
        server.behaviour = endless
        with pytest.raises(ReadFailedError, match="larger than 1 MB"):
            client.get("/labels", paged=False)


def response_of(body: bytes, encoding: str, piece: int = 0) -> httpx.Response:
    pieces = [body[n : n + (piece or len(body))] for n in range(0, len(body), piece or len(body))]

    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return iter(pieces)

    return httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Stream())


def test_a_bomb_takes_no_more_memory_than_the_answer_may_have() -> None:
    body = bomb(200_000_000)
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        receive(response_of(body, "gzip"), "", 1_000_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5_000_000


ROWS = b'[{"id": 1}]'
ZIPPED = gzip.compress(ROWS, mtime=0)  # xdist wants the same cases in all workers
RAW_DEFLATE = zlib.compress(ROWS)[2:-4]


@pytest.mark.parametrize("piece", [0, 1, 7])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        *(("gzip", ZIPPED), ("GZIP", ZIPPED), ("", ROWS)),
        *(("x-gzip", ZIPPED), ("identity", ROWS), ("identity, gzip,", b"")),
        *(("deflate", zlib.compress(ROWS)), ("deflate", RAW_DEFLATE)),
        ("gzip", ZIPPED + b"\0" * 20),
    ],
)
def test_compression_is_undone(encoding: str, body: bytes, piece: int) -> None:
    body = body or ZIPPED
    assert receive(response_of(body, encoding, piece), "", 1000).content == ROWS


def test_gzip_of_several_members_is_undone() -> None:
    body = gzip.compress(ROWS[:4]) + gzip.compress(ROWS[4:])
    assert receive(response_of(body, "gzip"), "", 1000).content == ROWS


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        *(("gzip, gzip", gzip.compress(ZIPPED, mtime=0)), ("br", ROWS), ("zstd", ROWS)),
        *(("gzip", ROWS), ("gzip", ZIPPED[:-9]), ("deflate", b"\xff" * 20)),
    ],
)
def test_compression_that_is_broken_or_was_not_asked_for_is_tried_again(
    encoding: str, body: bytes
) -> None:
    header = f"Content-Encoding: {encoding}"
    with (
        RawServer(lambda peer: peer.answer(body, header)) as server,
        client_of(server.base_url, attempts=2) as client,
    ):
        with pytest.raises(ReadFailedError, match="compression"):
            client.get("/labels")
        assert len(server.requests) == 2


def test_of_an_error_no_more_is_read_than_a_message_needs() -> None:
    def refuse(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 422 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.for_ever(b"2710\r\n" + b" " * 10_000 + b"\r\n")

    with (
        RawServer(refuse) as server,
        client_of(server.base_url) as client,
        pytest.raises(ReadFailedError, match="answered 422: a body that is broken, or too large"),
    ):
        client.get("/labels")


# ---- Proxies and certificates


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(Peer.answer) as proxy, RawServer(Peer.answer) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with client_of(server.base_url) as client:
            assert client.get("/labels").data == []
        assert (len(server.requests), proxy.requests) == (1, [])


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 \x1b[2J" + TOKEN])
def test_a_proxy_that_refuses_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    with RawServer(lambda peer: peer.answer(status=status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:pass-word@127.0.0.1:{proxy.port}")
        with (
            client_of("https://api.example.com/api/v1", attempts=2) as client,
            pytest.raises(ReadFailedError, match=rf"the proxy 127.0.0.1:{proxy.port} refuses: ")
            as raised,
        ):
            client.get("/labels")
        assert not any(word in str(raised.value) for word in ("pass-word", TOKEN, "\x1b"))
        # nothing but the name of the host is said before there is TLS
        assert proxy.requests[0].startswith(b"CONNECT api.example.com:443 ")
        assert not any(TOKEN.encode() in request for request in proxy.requests)


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(Peer.answer) as gone:
        pass
    monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{gone.port}")
    with (
        client_of("https://api.example.com/api/v1", attempts=2) as client,
        pytest.raises(ReadFailedError, match=f"127.0.0.1:{gone.port} cannot be reached: .*refused"),
    ):
        client.get("/labels")


@pytest.mark.slow
def test_an_api_that_cannot_be_trusted_behind_a_proxy_is_no_fault_of_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RawServer(lambda peer: peer.send(b"HTTP/1.1 200 OK\r\n\r\nno TLS at all")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with (
            client_of("https://api.example.com/api/v1", attempts=1) as client,
            pytest.raises(ReadFailedError, match=f"over the proxy 127.0.0.1:{proxy.port}: "),
        ):
            client.get("/labels")


def test_no_proxy_names_hosts_that_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(Peer.answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "example.invalid")
        with (
            client_of("https://api.example.invalid/api/v1", attempts=1) as client,
            pytest.raises(ReadFailedError),
        ):
            client.get("/labels")
        assert proxy.requests == []


@pytest.mark.parametrize("proxy", ["gopher://user:pass-word@proxy:70", "http://[::1", "socks9://x"])
def test_a_proxy_of_no_kind_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as raised:
        client_of("https://api.example.com/api/v1")
    assert "pass-word" not in str(raised.value)


def test_certificates_that_are_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = "https://api.example.com/api/v1"
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "gone"))
        with pytest.raises(SettingsError, match=rf"{name} names .*gone.*not there"):
            client_of(address)
        client_of("http://127.0.0.1:1/api/v1")
        monkeypatch.delenv(name)
    (tmp_path / "empty.pem").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(SettingsError, match=r"SSL_CERT_FILE names .*empty\.pem.*no certificates"):
        client_of(address)
