"""The answers of the views for analysts, worked out from the simulator's rows.

Plain and slow on purpose, and independent of the SQL under test: a function for each view, of its
name, that gives the rows it must have, with those of their columns that tell.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sources.eduframe_simulator import Simulator

Rows = list[dict[str, Any]]
CENT = Decimal("0.01")


class World:
    """What a simulator serves, and what day it is there."""

    def __init__(self, sim: Simulator) -> None:
        self.rows = cache(sim.rows)
        self.zone = ZoneInfo("Europe/Amsterdam")
        self.now = datetime.now(self.zone)
        self.today = self.now.date()

    @cache  # noqa: B019 — a world lives as long as the tests of one module
    def by_id(self, table: str) -> dict[Any, dict[str, Any]]:
        return {row["id"]: row for row in self.rows(table)}

    def get(self, table: str, ident: Any) -> dict[str, Any]:
        """A row; empty where it is not there."""
        return self.by_id(table).get(ident, {})

    def local(self, stamp: str) -> datetime:
        return datetime.fromisoformat(stamp).astimezone(self.zone)

    def day(self, stamp: str) -> date:
        return self.local(stamp).date()

    def course_of(self, planned_course_id: Any) -> dict[str, Any]:
        planned = self.get("planned_courses", planned_course_id)
        return self.get("courses", planned.get("course_id"))

    def product_of(self, variant_id: Any) -> dict[str, Any]:
        variant = self.get("catalog_variants", variant_id)
        return self.get("catalog_products", variant.get("product_id"))


def percent(part: int, whole: int) -> Decimal | None:
    if not whole:
        return None
    return (Decimal(100) * part / whole).quantize(Decimal("0.1"), ROUND_HALF_UP)


def money(amount: Any) -> Decimal:
    return Decimal(str(amount)).quantize(CENT, ROUND_HALF_UP)


def name_of(person: dict[str, Any]) -> str | None:
    parts = (person.get(part) for part in ("first_name", "middle_name", "last_name"))
    return " ".join(part for part in parts if part is not None) or None


def as_day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def month_of(day: date | None) -> date | None:
    return day.replace(day=1) if day else None


# ---- Courses and who is in them


def occupancy(world: World) -> Rows:
    taken = Counter(
        e["planned_course_id"] for e in world.rows("enrollments") if e["status"] != "canceled"
    )
    found = []
    for planned in world.rows("planned_courses"):
        count, places = taken[planned["id"]], planned["max_participants"]
        found.append({
            "planned_course_id": planned["id"],
            "course": world.course_of(planned["id"]).get("name"),
            "status": planned["status"],
            "start_date": as_day(planned["start_date"]),
            "needed": planned["min_participants"],
            "places": places,
            "taken": count,
            "free": None if places is None else max(places - count, 0),
            "occupied_percent": None if places is None else percent(count, places),
            "has_enough": count >= (planned["min_participants"] or 0),
        })
    return found


def free_places(world: World) -> Rows:
    names = ("planned_course_id", "course", "start_date", "places", "taken", "free")
    return [
        {name: row[name] for name in names}
        | {"days_until_start": (row["start_date"] - world.today).days}
        for row in occupancy(world)
        if row["status"] in ("planned", "active")
        and world.get("planned_courses", row["planned_course_id"])["availability_state"] == "open"
        and row["start_date"] is not None
        and 0 <= (row["start_date"] - world.today).days < 92
    ]


def attendance_by_course(world: World) -> Rows:
    states: dict[Any, Counter[str]] = defaultdict(Counter)
    for row in world.rows("attendances"):
        enrollment = world.get("enrollments", row["enrollment_id"])
        there = enrollment and world.get("meetings", row["meeting_id"])
        if there and enrollment["status"] != "canceled" and row["state"] != "blanco":
            planned = world.get("planned_courses", enrollment["planned_course_id"])
            states[planned.get("course_id")][row["state"]] += 1
    return [
        {
            "course_id": ident,
            "course": world.get("courses", ident).get("name"),
            "registered": count.total(),
            "present": count["attended"] + count["late"],
            "late": count["late"],
            "absent_with_leave": count["absent_with_leave"],
            "no_shows": count["absent"],
            "attendance_percent": percent(count["attended"] + count["late"], count.total()),
            "no_show_percent": percent(count["absent"], count.total()),
        }
        for ident, count in states.items()
    ]


def number_of(grade: str | None) -> Decimal | None:
    text = (grade or "").strip().replace(",", ".")
    return Decimal(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def results_by_course(world: World) -> Rows:
    by_course: dict[Any, Rows] = defaultdict(list)
    for row in world.rows("enrollments"):
        planned = world.get("planned_courses", row["planned_course_id"])
        if planned:
            by_course[planned["course_id"]].append({**row, "planned": planned["status"]})
    found = []
    for ident, rows in by_course.items():
        kept = [row for row in rows if row["status"] != "canceled"]
        ended = [row for row in rows if row["planned"] == "completed"]
        completed = [row for row in ended if row["status"] == "completed"]
        judged = [row for row in kept if row["graduation_state"] in ("passed", "failed")]
        passed = [row for row in judged if row["graduation_state"] == "passed"]
        grades = [g for row in kept if (g := (row.get("grade") or {}).get("grade")) is not None]
        numbers = [n for grade in grades if (n := number_of(grade)) is not None]
        average = sum(numbers) / len(numbers) if numbers else None
        found.append({
            "course_id": ident,
            "course": world.get("courses", ident).get("name"),
            "enrollments": len(kept),
            "ended": len(ended),
            "completed": len(completed),
            "completion_percent": percent(len(completed), len(ended)),
            "judged": len(judged),
            "passed": len(passed),
            "pass_percent": percent(len(passed), len(judged)),
            "average_grade": None if average is None else money(average),
            "grades_as_numbers": len(numbers),
            "other_grades": len(grades) - len(numbers),
        })
    return found


def cancellations(world: World) -> Rows:
    of_all: Counter[Any] = Counter()
    reasons: Counter[Any] = Counter()
    for row in world.rows("enrollments"):
        month = month_of(as_day(row["start_date"]))
        of_all[month] += 1
        if row["status"] != "canceled":
            continue
        order = world.get("orders", row["order_id"]).get("status")
        reason = {"canceled": "order canceled", "denied": "order denied"}.get(order, "other")
        if world.get("planned_courses", row["planned_course_id"]).get("status") == "canceled":
            reason = "course canceled"
        reasons[month, reason] += 1
    return [
        {
            "month": month,
            "reason": reason,
            "canceled": count,
            "of_all": of_all[month],
            "canceled_percent": percent(count, of_all[month]),
        }
        for (month, reason), count in reasons.items()
    ]


# ---- Money


def lines_of(world: World, invoice: dict[str, Any]) -> Rows:
    """The lines of an invoice: product, amount without and with VAT."""
    order = world.get("orders", invoice["order_id"])
    found = []
    for item in invoice.get("invoice_items") or []:
        own = world.get("catalog_variants", item["catalog_variant_id"])
        variant = own.get("id") or order.get("catalog_variant_id")
        rate = Decimal(world.get("invoice_vats", item["invoice_vat_id"]).get("percentage", "0"))
        excl = money(item["units"] * Decimal(item["unit_price"]))
        incl = excl + money(excl * rate / 100)
        product = world.product_of(variant)
        by = "line" if own else "order" if product else "neither"
        found.append({"product": product, "by": by, "excl": excl, "incl": incl})
    return found


def paid(world: World) -> Iterable[tuple[dict[str, Any], date | None, str, Decimal]]:
    """The payments that came: the invoice, month, currency and amount."""
    for row in world.rows("payments"):
        invoice = world.get("invoices", row["invoice_id"])
        if invoice and row["status"] == "paid":
            month = month_of(as_day(row["date"]))
            yield invoice, month, row["currency"], money(row["amount"])


def revenue_by_month(world: World) -> Rows:
    sums: dict[Any, Counter[str]] = defaultdict(Counter)
    for row in world.rows("invoices"):
        if row["status"] != "concept":
            of_month = sums[month_of(as_day(row["opened_at"])), row["currency"]]
            of_month["invoices"] += 1
            for mine, theirs in (
                ("invoiced_excl", "total_excl"), ("invoiced_incl", "total_incl"),
                ("still_open", "total_open"),
            ):
                of_month[mine] += Decimal(row[theirs])  # type: ignore[assignment]
    for _, month, currency, amount in paid(world):
        sums[month, currency]["paid"] += amount  # type: ignore[assignment]
    names = ("invoiced_excl", "invoiced_incl", "still_open", "paid")
    return [
        {"month": month, "currency": currency, "invoices": found["invoices"]}
        | {name: money(found[name]) for name in names}
        for (month, currency), found in sums.items()
    ]


def revenue_by_course(world: World) -> Rows:
    sums: dict[Any, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in world.rows("invoices"):
        for line in lines_of(world, row) if row["status"] != "concept" else ():
            key = month_of(as_day(row["opened_at"])), row["currency"], line["product"].get("id")
            sums[key]["excl"] += line["excl"]
            sums[key]["incl"] += line["incl"]
    for invoice, month, currency, amount in paid(world):
        lines = lines_of(world, invoice) or [{"product": {}, "incl": Decimal(1)}]
        total = sum(line["incl"] for line in lines)
        for line in lines:
            share = line["incl"] / total if total else Decimal(1) / len(lines)
            sums[month, currency, line["product"].get("id")]["paid"] += amount * share
    return [
        {
            "month": month,
            "currency": currency,
            "catalog_product_id": product,
            "course": world.get("catalog_products", product).get("name"),
            "invoiced_excl": money(found["excl"]),
            "invoiced_incl": money(found["incl"]),
            "paid": money(found["paid"]),
        }
        for (month, currency, product), found in sums.items()
    ]


AGES = {"1_to_30": (1, 30), "31_to_60": (31, 60), "61_to_90": (61, 90)}


def open_invoices(world: World) -> Rows:
    owing: dict[Any, Rows] = defaultdict(list)
    for row in world.rows("invoices"):
        if row["status"] in ("open", "expired") and Decimal(row["total_open"]):
            due = as_day(row["expiration_date"])
            late = (world.today - due).days if due else 0
            owing[row["account_id"], row["currency"]].append({**row, "late": late, "due": due})
    found = []
    for (account, currency), rows in owing.items():

        def between(low: float, high: float, rows: Rows = rows) -> Decimal:
            open_now = (Decimal(r["total_open"]) for r in rows if low <= r["late"] <= high)
            return money(sum(open_now, Decimal(0)))

        ever = float("inf")
        names = (row["account_name"] for row in rows)
        found.append({
            "account_id": account,
            "customer": world.get("accounts", account).get("name") or min(names),
            "currency": currency,
            "invoices": len(rows),
            "still_open": between(-ever, ever),
            "not_due": between(-ever, 0),
            "overdue": between(1, ever),
            **{f"overdue_{age}_days": between(*bounds) for age, bounds in AGES.items()},
            "overdue_over_90_days": between(91, ever),
            "first_due_on": min((r["due"] for r in rows if r["due"]), default=None),
        })
    return found


def returning_customers(world: World) -> Rows:
    days: dict[Any, list[date]] = defaultdict(list)
    for row in world.rows("orders"):
        if row["status"] == "active":
            days[row["account_id"]].append(world.day(row["created_at"]))
    found = []
    for year in sorted({day.year for ordered in days.values() for day in ordered}):
        of_year = {a: [d for d in ordered if d.year == year] for a, ordered in days.items()}
        of_year = {account: ordered for account, ordered in of_year.items() if ordered}
        back = [a for a, ordered in of_year.items() if max(ordered) > min(days[a])]
        found.append({
            "year": year,
            "customers": len(of_year),
            "new_customers": sum(min(days[a]).year == year for a in of_year),
            "returning_customers": len(back),
            "returning_percent": percent(len(back), len(of_year)),
            "orders": sum(map(len, of_year.values())),
        })
    return found


# ---- Leads, teachers, certificates


def leads_to_enrollments(world: World) -> Rows:
    found = []
    for lead in world.rows("leads"):
        persons = {lead["user_id"]} | {
            user["id"] for user in world.rows("users")
            if lead["email"] and user["email"].lower() == lead["email"].lower()
        }
        products = {item["catalog_product_id"] for item in lead.get("lead_products") or []}
        courses = {item["course_id"] for item in lead.get("courses_leads") or []}
        came = world.local(lead["created_at"])
        best = None
        for order in world.rows("orders"):
            people = {order["creator_id"]} | {i["student_id"] for i in order["order_items"] or []}
            by = [
                *(["account"] if lead["account_id"] == order["account_id"] else []),
                *(["person"] if people & (persons - {None}) else []),
            ]
            after = world.local(order["created_at"]) - came
            if not by or order["status"] not in ("active", "requested"):
                continue
            if not timedelta(0) <= after <= timedelta(days=365):
                continue
            variant = world.get("catalog_variants", order["catalog_variant_id"])
            given = {}
            if variant.get("variantable_type") == "PlannedCourse":
                given = world.get("planned_courses", variant["variantable_id"])
            wanted = variant.get("product_id") in products or given.get("course_id") in courses
            rank = (not wanted, after, order["id"])
            if best is None or rank < best[0]:
                best = rank, order, "both" if len(by) > 1 else by[0]
        row = {"lead_id": lead["id"], "certainty": "none", "matched_by": None, "order_id": None}
        row |= dict.fromkeys(("days_to_order", "enrollments", "days_to_enrollment"))
        if best:
            (unwanted, after, _), order, by_whom = best
            enrolled = [
                world.day(e["created_at"]) for e in world.rows("enrollments")
                if e["order_id"] == order["id"] and e["status"] != "canceled"
            ]
            soon = "medium" if after <= timedelta(days=30) else "low"
            row |= {"certainty": soon if unwanted else "high", "matched_by": by_whom}
            row |= {"order_id": order["id"], "enrollments": len(enrolled)}
            row["days_to_order"] = (world.day(order["created_at"]) - came.date()).days
            if enrolled:
                row["days_to_enrollment"] = (min(enrolled) - came.date()).days
        found.append(row)
    return found


def hours_of(event: dict[str, Any]) -> Decimal:
    begin, end = (datetime.fromisoformat(event[f"{e}_date_time"]) for e in ("start", "end"))
    return money(Decimal((end - begin).total_seconds()) / 3600)


def taught(world: World) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Each teacher once a meeting, or event without one: (teacher, kind, id) to the event."""
    found = {}
    for meeting in world.rows("meetings"):
        for attendee in meeting["planning_attendees"]:
            found[attendee["teacher_id"], "meeting", meeting["id"]] = meeting
    for event in world.rows("planning_events"):
        meeting = world.get("meetings", event["meeting_id"])
        for attendee in event["planning_attendees"]:
            if meeting:
                found[attendee["teacher_id"], "meeting", meeting["id"]] = meeting
            elif event["meeting_id"] is None:
                found[attendee["teacher_id"], "planning event", event["id"]] = event
    return found


def teacher_hours_by_month(world: World) -> Rows:
    sums: dict[Any, Rows] = defaultdict(list)
    for (teacher, _, _), event in taught(world).items():
        planned = world.get("planned_courses", event.get("planned_course_id"))
        if planned.get("status") != "canceled":
            sums[teacher, month_of(world.day(event["start_date_time"]))].append(event)
    found = []
    for (teacher, month), events in sums.items():
        given = [e for e in events if world.local(e["end_date_time"]) <= world.now]
        days = {world.day(event["start_date_time"]) for event in events}
        every = [month + timedelta(days=n) for n in range(31)]
        weekdays = sum(d.month == month.month and d.weekday() < 5 for d in every)
        found.append({
            "teacher_id": teacher,
            "teacher": name_of(world.get("teachers", teacher)),
            "month": month,
            "meetings": len(events),
            "hours": sum(map(hours_of, events)),
            "hours_given": sum(map(hours_of, given), Decimal("0.00")),
            "days": len(days),
            "weekdays": weekdays,
            "use_percent": percent(len(days), weekdays),
        })
    return found


def certificates_and_credits(world: World) -> Rows:
    sums: dict[Any, dict[str, Any]] = defaultdict(
        lambda: {"certificates": 0, "credits": Decimal("0.00"), "who": set()}
    )
    for row in world.rows("certificates"):
        enrollment = {}
        if row["certifiable_type"] == "course_enrollment":
            enrollment = world.get("enrollments", row["certifiable_id"])
        course = world.course_of(enrollment.get("planned_course_id")).get("id")  # if it is there
        sums[month_of(world.day(row["created_at"])), course]["certificates"] += 1
    for row in world.rows("credits"):
        enrollment = world.get("enrollments", row["enrollment_id"])
        planned = world.get("planned_courses", enrollment.get("planned_course_id"))
        course = row["course_id"] or planned.get("course_id")
        found = sums[month_of(world.day(row["created_at"])), course]
        found["credits"] += money(row["credits"])
        found["who"].add(row["student_id"])
    return [
        {
            "month": month,
            "course_id": course,
            "course": world.get("courses", course).get("name"),
            "certificates": found["certificates"],
            "credits": found["credits"],
            "students_with_credits": len(found["who"]),
        }
        for (month, course), found in sums.items()
    ]
