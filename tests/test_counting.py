"""“Counting correctly”: the SQL of the docs counts what the rows say, on DuckDB and Postgres."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipelines.eduframe.commands.docs.counting import TRAPS
from sources.eduframe.clock import now_utc
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH
from tests.warehouses import PLENTY, Home, Warehouse

SQL = {trap.name: trap.sql for trap in TRAPS}
LISTS = (
    "orders", "catalog_products", "catalog_variants", "categories", "enrollments", "attendances",
    "program_enrollments", "invoices", "meetings", "planning_events", "planned_courses",
    "certificates",
)
Rows = list[dict[str, Any]]
CENT = Decimal("0.01")


class Living:
    """What the simulator holds, but for what the test has marked as deleted."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def __getitem__(self, table: str) -> Rows:
        return [row for row in self.sim.rows(table) if row["id"] % 7]

    def by_id(self, table: str) -> dict[int, dict[str, Any]]:
        return {row["id"]: row for row in self[table]}

    def any_by_id(self, table: str) -> dict[int, dict[str, Any]]:
        return {row["id"]: row for row in self.sim.rows(table)}


@pytest.fixture(scope="module", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def world() -> Any:
    with Simulator(scale=0.15, requests_per_window=PLENTY) as sim:
        sim.change("invoices", sim.rows("invoices")[3]["id"], currency="USD")
        yield sim


@pytest.fixture(scope="module")
def counted(
    home: Home, destination: str, world: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Warehouse:
    """A dataset in which every seventh row of each list is marked as deleted."""
    warehouse = home.make(destination, world, tmp_path_factory.mktemp("counted"))
    assert warehouse.sync(*LISTS).exit_code == 0
    marks = (f"UPDATE {name} SET _deleted_at = now() WHERE id % 7 = 0" for name in LISTS)
    warehouse.execute("; ".join(marks))
    return warehouse


def active(living: Living) -> Rows:
    return [row for row in living["orders"] if row["status"] == "active"]


def deleted(living: Living) -> Rows:
    return [{"students": sum(len(order["order_items"]) for order in active(living))}]


def references(living: Living) -> Rows:
    tables = {"course_enrollment": "enrollments", "program_enrollment": "program_enrollments"}
    found = []
    for row in sorted(living["certificates"], key=lambda row: row["id"]):
        table = tables.get(row["certifiable_type"])
        target = living.any_by_id(table).get(row["certifiable_id"], {}) if table else {}
        found.append(
            {
                "id": row["id"],
                "student_id": target.get("student_id"),
                "certifiable_type": row["certifiable_type"],
            }
        )
    return found


def status(living: Living) -> Rows:
    enrollments = living.by_id("enrollments")
    states = Counter(
        row["state"]
        for row in living["attendances"]
        if enrollments.get(row["enrollment_id"], {"status": "canceled"})["status"] != "canceled"
    )
    registered = states.total() - states["blanco"]
    percent = (Decimal(100 * states["absent"]) / registered).quantize(
        Decimal("0.1"), ROUND_HALF_UP
    )
    return [{"registered": registered, "no_shows": states["absent"], "no_show_percent": percent}]


def overdue(living: Living) -> Rows:
    today = now_utc().date().isoformat()
    found: dict[str, list[Decimal]] = defaultdict(list)
    for row in living["invoices"]:
        due = row["status"] in ("open", "expired") and row["expiration_date"] < today
        if due and Decimal(row["total_open"]) > 0:
            found[row["currency"]].append(Decimal(row["total_open"]))
    return [
        {"currency": currency, "invoices": len(amounts), "overdue": sum(amounts)}
        for currency, amounts in sorted(found.items())
    ]


def fan_out(living: Living) -> Rows:
    variants = living.any_by_id("catalog_variants")
    found: dict[str, list[Decimal]] = defaultdict(list)
    for order in active(living):
        if order["label_ids"]:
            currency = variants[order["catalog_variant_id"]]["currency"]
            found[currency].append(Decimal(order["total_cost_excl"] or 0))
    return [
        {"currency": currency, "orders": len(amounts), "value_excl_vat": sum(amounts)}
        for currency, amounts in sorted(found.items())
    ]


def two_truths(living: Living) -> Rows:
    found: dict[int, list[float]] = defaultdict(list)
    for meeting in living["meetings"]:
        start, end = (
            datetime.fromisoformat(meeting[name]) for name in ("start_date_time", "end_date_time")
        )
        for teacher in {one["teacher_id"] for one in meeting["planning_attendees"]}:
            found[teacher].append((end - start).total_seconds() / 3600)
    return [
        {"teacher_id": teacher, "meetings": len(hours), "hours": round(sum(hours), 1)}
        for teacher, hours in sorted(found.items())
    ]


def no_way(living: Living) -> Rows:
    tables = ("orders", "catalog_variants", "catalog_products", "categories")
    orders, variants, products, categories = map(living.any_by_id, tables)
    found: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for invoice in living["invoices"]:
        order = orders.get(invoice["order_id"], {})
        for line in invoice["invoice_items"] if invoice["status"] != "concept" else ():
            variant = variants.get(line["catalog_variant_id"] or order.get("catalog_variant_id"))
            category = categories.get(products[variant["product_id"]]["category_id"]) \
                if variant else None
            name = category["name"] if category else "no category"
            amount = (line["units"] * Decimal(line["unit_price"])).quantize(CENT, ROUND_HALF_UP)
            found[name, invoice["currency"]].append(amount)
    return [
        {"category": name, "currency": currency, "lines": len(all_), "amount_excl_vat": sum(all_)}
        for (name, currency), all_ in sorted(found.items())
    ]


def types(living: Living) -> Rows:
    texts = [
        row["grade"]["grade"]
        for row in living["enrollments"]
        if row.get("grade") and row["grade"]["grade"] is not None
    ]
    plain = [t.replace(",", ".") for t in texts if re.fullmatch(r"[0-9]+([.,][0-9]+)?", t)]
    mean = sum(map(Decimal, plain)) / len(plain)
    return [
        {
            "average": mean.quantize(CENT, ROUND_HALF_UP),
            "counted": len(plain),
            "no_numbers": len(texts) - len(plain),
        }
    ]


def days(living: Living) -> Rows:
    zone = ZoneInfo("Europe/Amsterdam")
    counts = Counter(
        datetime.fromisoformat(order["created_at"]).astimezone(zone).date()
        for order in active(living)
    )
    return [{"day": day, "orders": count} for day, count in sorted(counts.items())]


def currencies(living: Living) -> Rows:
    found: dict[tuple[Any, str], Decimal] = defaultdict(Decimal)
    for row in living["invoices"]:
        if row["status"] != "concept":
            month = datetime.fromisoformat(row["opened_at"]).date().replace(day=1)
            found[month, row["currency"]] += Decimal(row["total_excl"])
    return [
        {"month": month, "currency": currency, "revenue_excl_vat": amount}
        for (month, currency), amount in sorted(found.items())
    ]


def computed(living: Living) -> Rows:
    taken = Counter(
        row["planned_course_id"] for row in living["enrollments"] if row["status"] != "canceled"
    )
    return [
        {"id": row["id"], "places": row["max_participants"], "taken": taken[row["id"]]}
        for row in sorted(living["planned_courses"], key=lambda row: row["id"])
    ]


EXPECTED: dict[str, Callable[[Living], Rows]] = {
    "deleted": deleted,
    "references": references,
    "status": status,
    "overdue": overdue,
    "fan-out": fan_out,
    "two-truths": two_truths,
    "no-way": no_way,
    "types": types,
    "days": days,
    "currencies": currencies,
    "computed": computed,
}


def as_shown(rows: Rows) -> Rows:
    """Rows with numbers of one kind."""
    return [
        {k: float(v) if isinstance(v, Decimal) else v for k, v in row.items()} for row in rows
    ]


@pytest.mark.parametrize("name", SQL)
def test_sql_counts_what_the_rows_say(counted: Warehouse, name: str) -> None:
    expected = as_shown(EXPECTED[name](Living(counted.sim)))
    found = as_shown(counted.query(SQL[name]))
    assert len(expected) == len(found) > 0
    for mine, theirs in zip(expected, found, strict=True):
        assert theirs == pytest.approx(mine)


def test_sql_stands_where_there_are_no_rows(home: Home, tmp_path: Path) -> None:
    with Simulator(scale=0) as nothing:
        warehouse = home.make("duckdb", nothing, tmp_path)
        assert [name for name, sql in SQL.items() if len(warehouse.query(sql)) > 1] == []
