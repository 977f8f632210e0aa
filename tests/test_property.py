"""Rows change at random, between syncs and while they run; a quiet sync then puts all right.

``PROPERTY_EXAMPLES`` sets the number of stories, which are then other ones each time.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sources.eduframe_simulator import ABSENT, Simulator
from sources.eduframe_simulator.provider.values import timestamp
from tests.warehouses import PLENTY, Home, Warehouse

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "0"))
LISTS = ("labels", "users", "enrollments", "invoices", "payments", "credit_categories")
COUNTS = {
    "labels": 24,
    "users": 120,
    "enrollments": 110,
    "invoices": 12,
    "payments": 20,
    "credit_categories": 3,
    "planned_courses": 3,
    "courses": 2,
}
SHARED = "2026-01-31T09:30:00.000Z"


@dataclass(frozen=True)
class Step:
    """One change: what is done, to which list, and the dice that decide the rest."""

    action: str
    table: str
    seed: int


def dice_of(step: Step, sim: Simulator) -> tuple[Random, Any]:
    dice = Random(step.seed)
    rows = sim.rows(step.table)
    return dice, dice.choice(rows) if rows else None


def add(sim: Simulator, step: Step) -> None:
    values: dict[str, Any] = {}
    if step.table == "payments":
        invoices = sim.rows("invoices")
        if not invoices:
            return
        values["invoice_id"] = Random(step.seed).choice(invoices)["id"]
    sim.add(step.table, **values)


FIELD = {
    "labels": "name",
    "users": "first_name",
    "enrollments": "status",
    "invoices": "description",
    "payments": "description",
    "credit_categories": "name",
}


def change(sim: Simulator, step: Step) -> None:
    dice, row = dice_of(step, sim)
    if row:
        field = FIELD[step.table] if FIELD[step.table] in row else "updated_at"
        value = f"changed {dice.random()}" if field != "updated_at" else timestamp(sim.now)
        sim.change(step.table, row["id"], **{field: value})


def change_quietly(sim: Simulator, step: Step) -> None:
    dice, row = dice_of(step, sim)
    if row and FIELD[step.table] in row:
        sim.change(step.table, row["id"], touch=False, **{FIELD[step.table]: f"{dice.random()}"})


def backdate(sim: Simulator, step: Step) -> None:
    dice, row = dice_of(step, sim)
    if row and "updated_at" in row:
        moment = dice.choice((SHARED, "2001-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"))
        sim.change(step.table, row["id"], touch=False, updated_at=moment)


def share_a_moment(sim: Simulator, step: Step) -> None:
    dice = Random(step.seed)
    moment = timestamp(sim.now)
    for row in dice.sample(sim.rows(step.table), min(5, len(sim.rows(step.table)))):
        if "updated_at" in row:
            sim.change(step.table, row["id"], touch=False, updated_at=moment)


def nested(sim: Simulator, step: Step) -> None:
    """Another set of children: fewer, more, none, null, or no key at all."""
    dice, row = dice_of(step, sim)
    if not row:
        return
    touch = dice.random() < 0.5
    if step.table == "users":
        field, whole = dice.choice((("label_ids", [1, 2, 3]), ("roles", ["admin", "student"])))
        size = dice.randrange(len(whole) + 1)
        sim.change("users", row["id"], touch=touch, **{field: dice.sample(whole, size)})
    elif step.table == "invoices":
        items = row["invoice_items"]
        kept = dice.sample(items, dice.randrange(len(items) + 1))
        sim.change("invoices", row["id"], touch=touch, invoice_items=kept)
    elif step.table == "enrollments" and row.get("grade"):
        grade = row["grade"] | {"grade": str(dice.random()), "updated_at": timestamp(sim.now)}
        value = dice.choice((grade, grade, None, ABSENT))
        sim.change("enrollments", row["id"], touch=False if value is grade else touch, grade=value)


def delete(sim: Simulator, step: Step) -> None:
    _, row = dice_of(step, sim)
    if row:
        sim.delete(step.table, row["id"])


def delete_and_create_again(sim: Simulator, step: Step) -> None:
    dice, row = dice_of(step, sim)
    if row and step.table != "payments":
        sim.delete(step.table, row["id"])
        sim.add(step.table, **(row if dice.random() < 0.5 else {"id": row["id"]}))


def insert_in_front(sim: Simulator, step: Step) -> None:
    """A new row that pushes all others on, where pages go by number."""
    rows = sim.rows(step.table)
    if rows and step.table != "payments":
        sim.add(step.table, id=rows[0]["id"] - 1)


ACTIONS: dict[str, Callable[[Simulator, Step], None]] = {
    action.__name__: action
    for action in (
        add,
        change,
        change_quietly,
        backdate,
        share_a_moment,
        nested,
        delete,
        delete_and_create_again,
        insert_in_front,
    )
}

steps = st.builds(
    Step, st.sampled_from(list(ACTIONS)), st.sampled_from(LISTS), st.integers(0, 2**16)
)


@dataclass(frozen=True)
class Round:
    """What happens before a sync, what while it runs (after so many requests), and its kind."""

    before: list[Step]
    meanwhile: dict[int, list[Step]]
    reconcile: bool


rounds = st.builds(
    Round,
    st.lists(steps, max_size=6),
    st.dictionaries(st.integers(1, 14), st.lists(steps, min_size=1, max_size=3), max_size=4),
    st.booleans(),
)


def play(sim: Simulator, some: list[Step]) -> None:
    for step in some:
        ACTIONS[step.action](sim, step)


def meddler(sim: Simulator, meanwhile: dict[int, list[Step]]) -> Callable[[Any], None]:
    """A hook that plays steps before the n-th answer."""
    count = 0

    def meddle(request: Any) -> None:
        nonlocal count
        count += 1
        play(sim, meanwhile.get(count, []))

    return meddle


def moved(sim: Simulator, before: dict[str, dict[Any, Any]], since: str) -> dict[str, list[Any]]:
    """The rows that are new, or whose ``updated_at``, or that of a nested part, has moved on.

    A row that is given a moment long past is found by the next reconciliation only.
    """
    found: dict[str, list[Any]] = {}
    for table in ("labels", "users", "enrollments", "invoices"):
        for row in sim.rows(table):
            old = before[table].get(row["id"])
            if old is None or newest(row) > max(newest(old), since):
                found.setdefault(table, []).append(row)
    return found


def newest(row: dict[str, Any]) -> str:
    nested = [row.get("grade") or {}, *(row.get("invoice_items") or [])]
    return max(row["updated_at"], *(part.get("updated_at", "") for part in nested))


def assert_arrived(warehouse: Warehouse, table: str, rows: list[Any]) -> None:
    """These rows are held as they are served (the text column that is played with, and when)."""
    held = {r["id"]: r for r in warehouse.rows(table) if r["_deleted_at"] is None}
    for row in rows:
        assert row["id"] in held, (table, row["id"])
        assert timestamp(held[row["id"]]["updated_at"]) == row["updated_at"], (table, row["id"])
        field = FIELD[table]
        assert held[row["id"]][field] == row.get(field), (table, row["id"])


@settings(
    max_examples=EXAMPLES or 3,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(
    paging=st.sampled_from(["cursor", "page"]),
    story=st.lists(rounds, min_size=1, max_size=2),
    late=st.lists(steps, max_size=4),
)
def test_quiet_syncs_put_everything_right(
    home: Home, paging: Any, story: list[Round], late: list[Step]
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="property"))
    try:
        with Simulator(
            scale=0, counts=COUNTS, paging=paging, requests_per_window=PLENTY
        ) as sim:
            warehouse = home.make("duckdb", sim, folder, synced=LISTS)
            for part in story:
                play(sim, part.before)
                before = {t: {r["id"]: r for r in sim.rows(t)} for t in LISTS}
                since = timestamp(sim.now)
                sim.before_response = meddler(sim, part.meanwhile)
                warehouse.sync(*LISTS, reconcile=part.reconcile)
                sim.before_response = None
            play(sim, late)
            report = warehouse.sync(*LISTS)
            assert report.exit_code == 0, report.message
            for table, rows in moved(sim, before, since).items():
                assert_arrived(warehouse, table, rows)
            for _ in range(2):  # what cannot be asked for takes a second reading
                report = warehouse.sync(*LISTS, reconcile=True)
                assert report.exit_code == 0, report.message
            warehouse.assert_equals_truth(*LISTS)
            marks = warehouse.marks()
            warehouse.sync(*LISTS, reconcile=True)
            assert warehouse.marks() == marks
    finally:
        shutil.rmtree(folder, ignore_errors=True)
