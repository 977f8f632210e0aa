"""Stories by seed of runs on a small budget: whatever lists are read in which parts, whatever
changes, fails, stops or is restored between and within them, no living row is ever marked as
deleted, no run asks for more than it may, and in the end everything is right.

``STORIES`` sets the number of stories, ``FIRST_STORY`` the seed of the first.
"""

import os
import re
import signal
import time
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import command, move_a_payment, stop_after
from tests.processes import start
from tests.warehouses import PLENTY, Home, Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")

STORIES = int(os.environ.get("STORIES", "1"))
FIRST = int(os.environ.get("FIRST_STORY", "1"))
RUNS = int(os.environ.get("STORY_RUNS", "3"))
DESTINATIONS = os.environ.get("STORY_DESTINATIONS", "duckdb").split(",")
KILLS = bool(os.environ.get("STORY_KILLS"))
COUNTS = {
    "users": 420, "labels": 330, "orders": 240, "enrollments": 260, "meetings": 130,
    "attendances": 450, "invoices": 45, "payments": 40, "planned_courses": 6, "courses": 3,
}  # fmt: skip
LISTS = (
    "users", "labels", "orders", "enrollments", "meetings", "attendances", "invoices", "payments",
)  # fmt: skip
FLAT = tuple(name for name in LISTS if name != "payments")
BY_ITEM = re.compile(r"/(\w+/)*\w+/\d+")
QUESTIONS = 15
"""Second looks that each list may have, beside the budget."""
WITNESSES = 5
RETRIES = 12
ORDERS = (None, "id:desc", "updated_at:desc")
"""None: ascending by id."""


def served(sim: Simulator) -> set[tuple[str, int]]:
    return {(name, row["id"]) for name in LISTS for row in sim.rows(name)}


def held(warehouse: Warehouse) -> set[tuple[str, int]]:
    """The living rows that the warehouse has."""
    with warehouse.reading():
        return {
            (name, row["id"])
            for name in LISTS
            for row in warehouse.query(f'SELECT id FROM "{name}" WHERE _deleted_at IS NULL')
        }


class Story:
    """What happens between the runs and while they go on."""

    def __init__(self, sim: Simulator, seed: int) -> None:
        self.sim = sim
        self.dice = Random(seed)
        self.cut = False
        """Whether a list whose rows cannot be asked for was cut: twice would be two witnesses."""
        self.thinned: set[str] = set()
        """Lists that lost many rows: twice would be for the brake."""

    def happen(self) -> None:
        """A few changes to the data."""
        kinds = (self.add, self.add_many, self.change, self.change, self.delete, self.delete,
                 self.thin_out, self.move, self.meet)  # fmt: skip
        for _ in range(self.dice.randrange(7)):
            self.dice.choice(kinds)()

    def add(self) -> None:
        self.sim.add(self.dice.choice(FLAT))

    def add_many(self) -> None:
        """More than a run can read."""
        if self.dice.random() < 0.4:
            name = self.dice.choice(("users", "labels", "orders", "attendances"))
            for _ in range(self.dice.choice((50, 130, 320))):
                self.sim.add(name)

    def change(self) -> None:
        name = self.dice.choice(FLAT)
        key = self.place(name)["id"]
        self.sim.change(name, key, touch=self.dice.random() < 0.6, created_at=SOON)

    def delete(self) -> None:
        name = self.dice.choice(LISTS)
        if self.sim.rows(name):
            self.sim.delete(name, self.place(name)["id"])

    def place(self, name: str) -> Any:
        """A row: one of the ends, or any."""
        rows = self.sim.rows(name)
        return self.dice.choice((rows[0], rows[-1], self.dice.choice(rows)))

    def thin_out(self) -> None:
        """Rows go at once: at one end, in one place, or everywhere."""
        name = self.dice.choice(("users", "labels", "orders", "attendances", "enrollments"))
        if name in self.thinned or self.dice.random() < 0.4:
            return
        self.thinned.add(name)
        rows = self.sim.rows(name)
        most = len(rows) // 10
        start = self.dice.choice((0, len(rows) - most, self.dice.randrange(len(rows) - most)))
        some = rows[start : start + most] if self.dice.random() < 0.6 else rows[::12]
        for row in some:
            self.sim.delete(name, row["id"])

    def move(self) -> None:
        move_a_payment(self.sim, self.dice)

    def meet(self) -> None:
        """A meeting began not long ago, and somebody was there."""
        sim, dice = self.sim, self.dice
        meeting = dice.choice(sim.rows("meetings"))["id"]
        began = sim.now - timedelta(hours=dice.randrange(60))
        sim.change("meetings", meeting, start_date_time=began.isoformat())
        one = dice.choice(sim.rows("attendances"))["id"]
        sim.change("attendances", one, touch=False, meeting_id=meeting)

    def go_wrong(self) -> bool:
        """What the server does amiss in the next run. Returns whether anything."""
        dice, sim = self.dice, self.sim
        sim.clear_faults()
        for name in tuple(sim.forbidden):
            sim.allow(name)
        count = dice.choice((0, 0, 1, 2))
        for _ in range(count):
            name = dice.choice(FLAT)
            path, after = f"/{name}", dice.randrange(3)
            kind = dice.randrange(9)
            if kind < 3 and name == "attendances":
                if self.cut:
                    continue
                self.cut = True
            kept = dice.randrange(90)
            faults = [
                Fault("no_link", path=path, after=after),
                Fault("tamper", path=path, after=after, tamper=lambda rows, k=kept: rows[:k]),
                Fault("tamper", path=path, after=after, tamper=lambda rows: []),
                Fault("status", path=path, after=after, times=6, status=502),
                Fault("status", path="/*/payments", after=after, times=4,
                      status=dice.choice((403, 404, 422, 502))),
                Fault("status", path=f"{path}/*", after=after, times=5,
                      status=dice.choice((403, 404, 422, 502))),
                Fault("tamper", path="/labels", after=after, tamper=lambda rows: rows[::-1]),
                Fault("tamper", path="/users", after=after, tamper=lambda rows: rows[::2]),
                Fault("status", path=path, times=None, status=403),
            ]  # fmt: skip
            sim.inject(faults[kind])
        return count > 0


SOON = "2026-01-31T09:30:00.000Z"


def world(dice: Random) -> Simulator:
    orders = {name: dice.choice(ORDERS) for name in FLAT}
    return Simulator(
        scale=0, counts=COUNTS, requests_per_window=PLENTY,
        paging=dice.choice(("cursor", "page")),
        page_numbers=dice.choice(("served", "served", "refused", "ignored")),
        sorted_by={name: order for name, order in orders.items() if order},
    )  # fmt: skip


def by_item(sim: Simulator, since: int) -> int:
    return sum(bool(BY_ITEM.fullmatch(r.path)) for r in sim.requests[since:])


def spoil(warehouse: Warehouse, dice: Random) -> None:
    """Rows of the destination go by hand, or a whole table's."""
    some = "" if dice.random() < 0.4 else f" WHERE id % {dice.randrange(3, 40)} = 0"
    warehouse.execute(f'DELETE FROM "{dice.choice(LISTS)}"{some}')


@pytest.mark.parametrize("seed", range(FIRST, FIRST + STORIES))
def test_runs_on_a_budget_lose_nothing(
    home: Home, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = Random(seed)
    budget = dice.choice(("6", "8", "12", "25", "40", "0.005%"))
    monkeypatch.setattr("sources.eduframe.planning.budget.LEAST", 12)
    with world(dice) as sim:
        warehouse = home.make(
            dice.choice(DESTINATIONS), sim, tmp_path, budget=budget, include=LISTS,
            deletes=dice.choice(("soft", "hard")), max_absence_questions=QUESTIONS,
        )  # fmt: skip
        story = Story(sim, seed)
        assert warehouse.sync().exit_code == 0
        if "%" in budget:
            warehouse.execute("UPDATE _sync_runs SET balance = 20")
        backup = False
        for _ in range(RUNS):
            warehouse.ahead += dice.choice(STEPS)
            story.happen()
            wrong = story.go_wrong()
            if dice.random() < 0.15:
                spoil(warehouse, dice)
            if backup and dice.random() < 0.25:
                warehouse.restore()
            elif not backup and dice.random() < 0.3 and warehouse.destination == "duckdb":
                warehouse.back_up()
                backup = True
            before, living = held(warehouse), served(sim)
            run(warehouse, story, dice, budget, wrong=wrong)
            lost = (before & living & served(sim)) - held(warehouse)
            assert not lost, f"{len(lost)} living rows are gone, such as {sorted(lost)[:3]}"
        sim.clear_faults()
        warehouse.settings["max_absence_questions"] = 100
        for names in ((), (), ("payments",), ("payments",)):
            warehouse.sync(*names, reconcile=True)
        warehouse.assert_equals_truth(*LISTS)


def run(warehouse: Warehouse, story: Story, dice: Random, budget: str, *, wrong: bool) -> None:
    """One run, which may be killed or stopped; one that is not keeps to its budget."""
    sim, how = warehouse.sim, dice.random()
    since = len(sim.requests)
    if KILLS and how < 0.15:
        kill(warehouse, dice, budget)
        return
    if how < 0.35:
        warehouse.sync(watch=stop_after(sim, dice.randrange(1, 40)))
        sim.before_response = None
        return
    if dice.random() < 0.3:
        sim.before_response = meddling(story, dice)
    report = warehouse.sync()
    sim.before_response = None
    told = [(n, r.status, r.message) for n, r in report.runs.items() if r.incomplete]
    assert wrong or report.exit_code == 0, (report.notes, told)
    assert len(sim.requests) - since == report.requests
    assert report.allowance is not None
    listed = report.requests - by_item(sim, since)
    assert listed <= report.allowance + (RETRIES if wrong else 2)
    looks = (QUESTIONS + WITNESSES) * (len(LISTS) - 1)
    assert report.requests <= report.allowance + looks + RETRIES


STEPS = (
    timedelta(minutes=15), timedelta(minutes=15), timedelta(minutes=15), timedelta(hours=7),
    timedelta(days=2), timedelta(hours=-3), timedelta(days=-3),
)  # fmt: skip


def meddling(story: Story, dice: Random) -> Any:
    after, count = dice.randrange(1, 12), 0

    def hook(request: Any) -> None:
        nonlocal count
        count += 1
        if count == after:
            story.happen()

    return hook


def kill(warehouse: Warehouse, dice: Random, budget: str) -> None:
    sim = warehouse.sim
    until = len(sim.requests) + dice.randrange(1, 30)
    env = {
        "SOURCES__EDUFRAME__BUDGET": budget,
        "SOURCES__EDUFRAME__INCLUDE": '["' + '","'.join(LISTS) + '"]',
        "SOURCES__EDUFRAME__DELETES": warehouse.settings["deletes"],
        "SOURCES__EDUFRAME__MAX_ABSENCE_QUESTIONS": str(QUESTIONS),
    }
    with start(**command(warehouse, **env)) as process:
        deadline = time.monotonic() + 20
        while len(sim.requests) < until and process.returncode is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
