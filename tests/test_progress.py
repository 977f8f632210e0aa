"""What is seen while a run goes on, and what is said of its waiting."""

import io
import logging
import threading
from typing import Any

import pytest
from rich.console import Console

from pipelines.eduframe.commands.output import print_summary
from pipelines.eduframe.commands.progress import to_go, view
from pipelines.eduframe.run.control import Run
from pipelines.eduframe.run.report import Report
from sources.eduframe.clock import now_utc
from sources.eduframe.comparing.reader import Reader
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.http.client import Client
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import Plan, Proof, WholeList
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.reading.sizing import PRECISE
from sources.eduframe.resource_policy import Policy
from sources.eduframe_simulator import Simulator
from tests.warehouses import PLENTY


def report() -> Report:
    runs = {name: ResourceRun(name, status="reading", read=1234) for name in ("users", "orders")}
    return Report("a", now_utc(), "duckdb", "eduframe", "0", runs)


def shown(run: Run, width: int = 80) -> list[str]:
    """The lines of the live view."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(view(run))
    return captured.get().splitlines()


def test_a_wait_is_shown_live_with_what_is_left_of_it() -> None:
    now, seen = [0.0], []

    def wait(condition: threading.Condition, seconds: float) -> None:
        seen.append(shown(run))
        now[0] += 100.0

    limiter = Limiter(1, 300.0, clock=lambda: now[0], wait=wait)
    run = Run(report(), limiter)
    limiter.acquire()
    limiter.release()
    assert not any("waiting" in line for line in shown(run))
    limiter.acquire()
    left = [lines[-1].split(",")[0] for lines in seen]
    assert left == ["waiting 300 s", "waiting 200 s", "waiting 100 s"]
    assert seen[0][-1].endswith(": the limit, 1 requests in 300 s, is used")
    assert "0 of 2 resources, 0 requests left in the window, 300 s waited" in shown(run)


@pytest.mark.parametrize("width", [80, 40])
def test_the_view_fits_the_terminal(width: int) -> None:
    lines = shown(Run(report(), Limiter(500, 300.0)), width)
    assert max(map(len, lines)) <= width
    assert lines[0].split() == ["resource", "pages", "rows"]


def test_the_summary_tells_how_much_of_the_time_went_into_waiting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = report()
    done.seconds, done.waited = 300.0, 285.2
    print_summary(done)
    assert "requests in 300.0 s, 285 s of them waiting; 0 written" in capsys.readouterr().out


@pytest.mark.parametrize(("page_numbers", "known"), [("served", True), ("ignored", False)])
def test_a_first_load_says_what_it_takes_as_soon_as_a_list_shows_that_it_is_long(
    page_numbers: Any, known: bool, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("sources.eduframe.reading.read.LONG", 4)
    caplog.set_level(logging.INFO, "eduframe.reader")
    endpoint, counts = BY_TABLE["users"], {"users": 3000}
    with Simulator(
        scale=0, counts=counts, page_numbers=page_numbers, requests_per_window=PLENTY
    ) as sim:
        of_users = ResourceRun("users", status="reading")
        now = now_utc()
        report = Report("a", now, "duckdb", "eduframe", "0", {"users": of_users})
        run = Run(report, Limiter(PLENTY, 300.0))
        with Client(sim.base_url, sim.token, run.limiter) as client:
            plan = Plan(endpoint, "reconcile", Position(), RowIndex(), Policy(), now, now)
            plan.read = WholeList(endpoint, Proof(of_list=True), is_new=True)
            pages = plan.read.pages(Reader(plan, client, of_users, ParentBook([endpoint])))
            for _ in range(5):
                next(pages)
        asked = len(sim.requests)
    if known:
        number = int(to_go(run).split()[1])
        assert abs(number + 5 - 30) <= 30 / PRECISE
        assert "users: " in caplog.text
    assert bool(to_go(run)) is known
    assert asked <= (5 + 6 if known else 5 + 1)
