"""Whatever runs are killed, and whenever: all that they asked for is booked, by the file of the
request window, or, where that is gone, as what the limit allowed."""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from pipelines.eduframe.run import sync as runs
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.run.spending import Spending
from sources.eduframe.limits.rate_limiter_file import WindowFile
from sources.eduframe.planning.budget import Budget
from sources.eduframe.settings import Settings
from sources.eduframe.state_folder import state_folder
from sources.eduframe_simulator import Simulator
from tests.conftest import MakeWarehouse
from tests.warehouses import PLENTY, Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")

LISTS = ("users", "labels")
LEAST = 12
PER_SECOND = 0.02
"""What the account gains: 1 % of 600 requests in 300 s."""
STORIES = int(os.environ.get("STORIES", "1"))
FIRST = int(os.environ.get("FIRST_STORY", "1"))
QUARTER = timedelta(minutes=15)


class Killed(BaseException):
    """The run is no more."""


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    counts = {"users": 1130, "labels": 520}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as simulator:
        yield simulator


@pytest.fixture
def warehouse(
    make_warehouse: MakeWarehouse, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Warehouse:
    """Everything is synced, and 100 requests are left."""
    monkeypatch.setattr("sources.eduframe.planning.budget.LEAST", LEAST)
    monkeypatch.setattr("pipelines.eduframe.run.spending.LEAST", LEAST)
    made = make_warehouse(
        sim, include=LISTS, budget="1%", requests_per_window=600, window_seconds=300.0,
        load_package_seconds=0.01, max_absence_questions=0,
    )  # fmt: skip
    made.sync()
    made.execute("UPDATE _sync_runs SET balance = 100")
    sim.clear_requests()
    return made


def kill(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, packages: int) -> None:
    """A run that is killed when it would load the package after so many."""
    loaded: list[int] = []
    load: Callable[..., None] = runs.load

    def killed(*args: Any) -> None:
        if len(loaded) == packages:
            raise Killed
        load(*args)
        loaded.append(1)

    with monkeypatch.context() as patched:
        patched.setattr(runs, "load", killed)
        with pytest.raises(Killed):
            warehouse.sync()


def balance(warehouse: Warehouse) -> float:
    """What the latest run has left."""
    latest = "SELECT balance FROM _sync_runs ORDER BY started_at DESC LIMIT 1"
    return float(warehouse.query(latest)[0]["balance"])


def test_what_a_killed_run_asked_for_is_booked_by_the_next(
    warehouse: Warehouse, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for packages in (0, 1):
        kill(warehouse, monkeypatch, packages)
    for _ in range(2):  # and but once
        warehouse.sync()
        assert balance(warehouse) == pytest.approx(max(0, 100 - len(sim.requests)), abs=2)


def test_without_the_file_what_the_limit_allowed_counts(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.execute("UPDATE _sync_runs SET balance = 1700")
    warehouse.sync()
    before = balance(warehouse)
    shutil.rmtree(state_folder())
    report = warehouse.sync()
    assert balance(warehouse) == pytest.approx(before - report.requests, abs=2), "none was killed"
    kill(warehouse, monkeypatch, 0)
    shutil.rmtree(state_folder())
    warehouse.ahead += timedelta(minutes=1)
    report = warehouse.sync()
    allowed = 600 + 2 * 60
    assert balance(warehouse) == pytest.approx(before - allowed, abs=2 * report.requests + 10)


def test_what_is_not_booked_is_known_however_long_ago(tmp_path: Path) -> None:
    now = [1000.0]

    def opened(program: str) -> WindowFile:
        file = WindowFile(tmp_path / "window.1.log", 300.0, program=program, clock=lambda: now[0])
        file.open()
        return file

    killed = opened("here.a")
    for answered in (True, True, False):
        killed.sent()
        if answered:
            killed.answered()
    opened("there.b").sent()
    opened("").sent()
    for _ in range(3):  # each writes the file anew
        now[0] += 40
        following = opened("here.c")
        assert following.unbooked() == {"here.a": 3}
    now[0] += 86400
    following = opened("here.c")
    following.sent()
    assert following.unbooked() == {"here.a": 3, "here.c": 1}
    following.book(["here.a"])
    assert opened("here.d").unbooked() == {"here.c": 1}
    assert opened("there.d").unbooked() == {"there.b": 1}
    now[0] += 31 * 86400
    assert opened("here.e").unbooked() == {}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + STORIES))
def test_no_more_is_asked_for_than_the_account_could_give(
    warehouse: Warehouse, sim: Simulator, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = Random(seed)
    could = 100.0
    for _ in range(3 + STORIES):
        step = dice.choice((QUARTER, QUARTER, timedelta(hours=1), timedelta(hours=-2)))
        warehouse.ahead += step
        could += max(0.0, step.total_seconds()) * PER_SECOND + LEAST
        if dice.random() < 0.3:
            shutil.rmtree(state_folder(), ignore_errors=True)
        if dice.random() < 0.6:
            kill(warehouse, monkeypatch, dice.randrange(2))
        else:
            warehouse.sync()
        assert len(sim.requests) <= could + 5


def test_a_small_share_is_not_taken_for_what_a_single_run_may_use() -> None:
    """Or else nobody is told that it does not suffice to come round to everything."""
    settings = Settings(base_url="http://127.0.0.1:1", api_token="t")
    report = cast(Report, None)
    for share, a_run in (("5%", 75), ("50%", 750)):
        budget = Budget.parse(share)
        spending = Spending(budget, budget.account(500 / 300, 0.0), LEAST, report, every=900.0)
        assert spending.usual == pytest.approx(a_run)
        assert spending.advice(150, settings) == "budget = 10% (150 requests a run)"
