"""The rows of a made-up provider of the usual size, as of a day of our own, and how they are
looked at."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sources.eduframe_simulator import Simulator

Row = dict[str, Any]
AS_OF = datetime(2027, 3, 31, 9, tzinfo=UTC)
TODAY = AS_OF.date()
ZONE = ZoneInfo("Europe/Amsterdam")
CENTS = Decimal("0.05")
"""How far sums of rounded amounts may lie apart."""


class Provider:
    """The rows of a simulator, by list and by id."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.rows = cache(sim.rows)

    @cache  # noqa: B019 — there are few of them
    def by_id(self, table: str) -> dict[Any, Row]:
        return {row["id"]: row for row in self.rows(table)}

    def get(self, table: str, ident: Any) -> Row:
        return self.by_id(table)[ident]

    @cache  # noqa: B019
    def by(self, table: str, column: str) -> dict[Any, list[Row]]:
        found = defaultdict(list)
        for row in self.rows(table):
            found[row.get(column)].append(row)
        return found

    def ordered(self, order: Row) -> Row:
        """The planned course that an order is for; empty if it is for a program."""
        variant = self.get("catalog_variants", order["catalog_variant_id"])
        if variant["variantable_type"] != "PlannedCourse":
            return {}
        return self.get("planned_courses", variant["variantable_id"])

    def planned(self, row: Row) -> Row:
        return self.get("planned_courses", row["planned_course_id"])


@cache
def provider() -> Provider:
    """The one that the rules are tried on: nothing in it changes."""
    return Provider(Simulator(as_of=AS_OF))


def day(text: str) -> date:
    return date.fromisoformat(text[:10])


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(ZONE)


def money(rows: Iterable[Row], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


def name_of(person: Row) -> str:
    names = (person.get(part) for part in ("first_name", "middle_name", "last_name"))
    return " ".join(filter(None, names))
