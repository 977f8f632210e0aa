"""The rows that are served: the simulator's, repeated under numbers of their own.

The simulator makes 10,000 rows a second, with all their relations; a benchmark wants a million.
So some rows of each list are patterns, and a row is its pattern with ids, times and nested parts
of its own: an enrollment has a grade, an order two items, a user an address.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from sources.eduframe_simulator import Simulator
from sources.eduframe_simulator.provider.values import timestamp

JsonRow = dict[str, Any]

PATTERNS = 500
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
ADDRESS = {
    "addressee": "R. de Vries",
    "address_line2": None,
    "postal_code": "3511 AB",
    "city": "Utrecht",
    "country": "NL",
    "state_province": None,
}


def _enrollment(row: JsonRow, number: int) -> None:
    row["student_id"] = number
    row["grade"] |= {"id": number, "gradeable_id": number, "updated_at": row["updated_at"]}


def _order(row: JsonRow, number: int) -> None:
    row["number"] = number
    item = {
        "order_id": number,
        "student_id": number,
        "updated_at": row["updated_at"],
        "created_at": row["created_at"],
    }
    row["order_items"] = [{"id": 2 * number, **item}, {"id": 2 * number + 1, **item}]


def _user(row: JsonRow, number: int) -> None:
    row["slug"] = f"user-{number}"
    row["email"] = f"user.{number}@example.com"
    row["address"] = {"address": f"Oudegracht {number}", **ADDRESS}


def _plain(row: JsonRow, number: int) -> None:
    pass


SHAPES: dict[str, Callable[[JsonRow, int], None]] = {
    "enrollments": _enrollment,
    "orders": _order,
    "users": _user,
    "attendances": _plain,
}


class Rows:
    """Makes the rows of the lists in :data:`SHAPES`, as JSON bytes.

    ``custom`` leaves the rows their custom fields, four or so a row; there are none otherwise.
    """

    def __init__(self, custom: bool = False) -> None:
        sim = Simulator(scale=0.1, counts=dict.fromkeys(SHAPES, PATTERNS))
        self._patterns = {name: sim.rows(name) for name in SHAPES}
        grade = next(row["grade"] for row in self._patterns["enrollments"] if row.get("grade"))
        for row in self._patterns["enrollments"]:
            row["grade"] = row.get("grade") or dict(grade)
        for rows in self._patterns.values():
            for row in rows:
                if "custom" in row and not custom:
                    row["custom"] = {}

    def make(self, table: str, number: int, changed: datetime | None = None) -> bytes:
        """The row with this number, from 1; changed at some time, or as it was at first."""
        patterns = self._patterns[table]
        row = patterns[number % len(patterns)]
        row["id"] = number
        row["created_at"] = timestamp(EPOCH + timedelta(seconds=50 * (number % 1_000_000)))
        row["updated_at"] = timestamp(changed) if changed else row["created_at"]
        SHAPES[table](row, number)
        # A copy, as orjson's own bytes hold on to the buffer that they were written into.
        return bytes(memoryview(orjson.dumps(row)))
