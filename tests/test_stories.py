"""Stories by seed: changes, refusals, cut lists, interruptions and resumes. No living row is ever
marked as deleted or removed, not even for one sync; and in the end everything is right.

``STORIES`` sets the number of stories, ``FIRST_STORY`` the seed of the first.
"""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sources.eduframe_simulator import ABSENT, Fault, Simulator
from tests.conftest import move_a_payment, stop_after
from tests.warehouses import PLENTY, Home, Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")

STORIES = int(os.environ.get("STORIES", "2"))
FIRST = int(os.environ.get("FIRST_STORY", "1"))
COUNTS = {
    "labels": 260,
    "orders": 130,
    "attendances": 240,
    "invoices": 30,
    "payments": 40,
    "signup_questions": 14,
    "custom_objects": 3,
    "custom_field_options": 24,
    "custom_records": 12,
    "program_editions": 3,
    "program_edition_elements": 9,
    "users": 20,
    "planned_courses": 3,
    "courses": 2,
}
LISTS = (
    "labels", "orders", "attendances", "invoices", "payments", "signup_questions",
    "custom_objects", "custom_field_options", "custom_records", "program_editions",
    "program_edition_elements",
)  # fmt: skip
CHANGING = ("labels", "orders", "attendances", "invoices")
PATHS = {"labels": "/labels", "orders": "/orders", "attendances": "/attendances"}


def alive(sim: Simulator) -> set[tuple[str, int]]:
    """What is served: the rows of lists, and the items and labels of orders."""
    found = {(name, row["id"]) for name in (*CHANGING, "payments") for row in sim.rows(name)}
    for order in sim.rows("orders"):
        found |= {("order_items", item["id"]) for item in order.get("order_items") or ()}
    return found


def held(warehouse: Warehouse) -> set[tuple[str, int]]:
    """What the warehouse has of that, rows marked as deleted left out."""
    found = set()
    with warehouse.reading():
        for name in (*CHANGING, "payments"):
            rows = warehouse.query(f'SELECT id FROM "{name}" WHERE _deleted_at IS NULL')
            found |= {(name, row["id"]) for row in rows}
        items = warehouse.query("SELECT id FROM order_items")
        return found | {("order_items", row["id"]) for row in items}


def under_parents(warehouse: Warehouse) -> int:
    """How many rows live under parents that nothing happens to."""
    names = ("custom_field_options", "custom_records", "program_edition_elements")
    with warehouse.reading():
        return sum(
            warehouse.query(f'SELECT count(*) AS n FROM "{n}" WHERE _deleted_at IS NULL')[0]["n"]
            for n in names
        )


class Story:
    """What happens between the syncs and while they run."""

    def __init__(self, sim: Simulator, seed: int) -> None:
        self.sim = sim
        self.dice = Random(seed)
        self.cut: set[str] = set()

    def happen(self) -> None:
        """A few changes to the data."""
        for _ in range(self.dice.randrange(5)):
            self.dice.choice((self.add, self.change, self.delete, self.move, self.empty))()

    def add(self) -> None:
        self.sim.add(self.dice.choice(CHANGING))

    def change(self) -> None:
        name = self.dice.choice(CHANGING)
        key = self.dice.choice(self.sim.rows(name))["id"]
        self.sim.change(name, key, touch=self.dice.random() < 0.7, created_at=SOON)

    def delete(self) -> None:
        name = self.dice.choice((*CHANGING, "payments"))
        if rows := self.sim.rows(name):
            self.sim.delete(name, self.dice.choice(rows)["id"])

    def move(self) -> None:
        move_a_payment(self.sim, self.dice)

    def empty(self) -> None:
        order = self.dice.choice(self.sim.rows("orders"))
        self.sim.change("orders", order["id"], order_items=self.dice.choice(([], ABSENT)))

    def go_wrong(self) -> None:
        """Something that the server does amiss in the next sync, once or for good."""
        dice, sim = self.dice, self.sim
        sim.clear_faults()
        for _ in range(dice.randrange(3)):
            name = dice.choice([n for n in PATHS if n not in self.cut])
            path, after = PATHS[name], dice.randrange(3)
            kind = dice.randrange(11)
            if kind < 3 and name == "attendances":
                self.cut.add(name)  # twice would be two witnesses
            faults: list[Fault] = [
                Fault("no_link", path=path, after=after),
                Fault("tamper", path=path, after=after, tamper=shorter(dice)),
                Fault("tamper", path=path, after=after, tamper=lambda rows: []),
                Fault("status", path=path, after=after, times=6, status=502),
                Fault("status", path="/*/payments", after=after, times=4, status=404),
                Fault("status", path="/custom/objects/*", after=after, status=dice.choice(OFF)),
                Fault("tamper", path="/orders", after=after, tamper=without_items),
                Fault("tamper", path="/signup_questions", tamper=unkeyed),
                Fault("status", path="/*/payments", after=after, times=4,
                      status=dice.choice(REFUSALS)),
                Fault("status", path="/custom/*/*/records", after=after,
                      status=dice.choice(REFUSALS)),
                Fault("status", path=f"{path}/*", after=after, times=5,
                      status=dice.choice((*OFF, *REFUSALS))),
            ]
            sim.inject(faults[kind])

    def meddling(self, meanwhile: bool) -> Callable[[Any], None] | None:
        """Changes while a sync runs."""
        if not meanwhile:
            return None
        after = self.dice.randrange(3, 30)
        count = 0

        def hook(request: Any) -> None:
            nonlocal count
            count += 1
            if count == after:
                self.happen()

        return hook


SOON = "2026-01-31T09:30:00.000Z"
OFF = (403, 404)
REFUSALS = (401, 410, 422)


def shorter(dice: Random) -> Callable[[list[Any]], list[Any]]:
    kept = dice.randrange(90)
    return lambda rows: rows[:kept]


def without_items(rows: list[Any]) -> list[Any]:
    return [
        {k: v for k, v in row.items() if k != "order_items" or n % 9} for n, row in enumerate(rows)
    ]


def unkeyed(rows: list[Any]) -> list[Any]:
    return [{**rows[0], "id": "?"}, *rows[1:]]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + STORIES))
def test_no_living_row_is_ever_deleted(home: Home, tmp_path: Path, seed: int) -> None:
    dice = Random(seed)
    paging: Any = dice.choice(("cursor", "page"))
    deletes, destination = dice.choice(("soft", "hard")), dice.choice(DESTINATIONS)
    with Simulator(scale=0, counts=COUNTS, paging=paging, requests_per_window=PLENTY) as sim:
        warehouse = home.make(destination, sim, tmp_path, deletes=deletes)
        story = Story(sim, seed)
        assert warehouse.sync(*LISTS).exit_code == 0
        quiet = under_parents(warehouse)
        for _ in range(dice.randrange(2, 5)):
            story.happen()
            story.go_wrong()
            before, served = held(warehouse), alive(sim)
            if dice.random() < 0.4:
                warehouse.sync(*LISTS, reconcile=dice.random() < 0.7,
                               watch=stop_after(sim, dice.randrange(1, 60)))
            else:
                sim.before_response = story.meddling(dice.random() < 0.5)
                warehouse.sync(*LISTS, reconcile=dice.random() < 0.7)
            sim.before_response = None
            lost = (before & served & alive(sim)) - held(warehouse)
            assert not lost, f"{len(lost)} living rows are gone, such as {sorted(lost)[:3]}"
            assert under_parents(warehouse) == quiet
        sim.clear_faults()
        for _ in range(3):
            warehouse.sync(*LISTS, reconcile=True)
        warehouse.assert_equals_truth(*LISTS)


DESTINATIONS = os.environ.get("STORY_DESTINATIONS", "duckdb").split(",")
