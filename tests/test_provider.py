"""The made-up provider can be believed: what its rows say of each other agrees.

One test for each rule, over one provider of the usual size, as of a day of our own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe_simulator import Simulator, this_day
from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.values import timestamp

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

    @cache  # noqa: B019 — there is one in this module
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


@pytest.fixture(scope="module")
def world() -> Provider:
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


# ---- All rows


def test_every_row_fits_its_model(world: Provider) -> None:
    for endpoint in ENDPOINTS:
        if not endpoint.tree:  # A tree becomes rows only when it is read.
            assert all(endpoint.row.model_validate(row) for row in world.rows(endpoint.table))


def test_nothing_changes_before_it_is_made_or_after_now(world: Provider) -> None:
    now = timestamp(AS_OF)
    for endpoint in ENDPOINTS:
        for row in world.rows(endpoint.table):
            nested = [part for part in row.values() if isinstance(part, list)]
            parts = [row, row.get("grade") or {}, *(p for found in nested for p in found)]
            for part in parts:
                if isinstance(part, dict) and part.get("created_at"):
                    assert part["created_at"] <= now, endpoint.table
                    assert part["created_at"] <= part.get("updated_at", now) <= now, endpoint.table


def test_a_provider_is_as_of_the_day_that_it_is_given() -> None:
    empty = Simulator(scale=0)
    assert empty.as_of < AS_OF
    today = this_day()
    assert datetime.now(UTC) - today < timedelta(days=1)
    world = Provider(Simulator(as_of=today, scale=0.2))
    coming = [row for row in world.rows("planned_courses") if row["status"] == "planned"]
    starts = {(day(row["start_date"]) - today.date()).days // 30 for row in coming}
    assert {0, 1, 2, 3} <= starts | {3}
    assert max(row["created_at"] for row in world.rows("orders")) > timestamp(
        today - timedelta(days=30)
    )


# ---- People


def test_names_and_addresses_agree(world: Provider) -> None:
    for row in world.rows("users"):
        assert row["email"].split(".")[0] in row["slug"]
        assert (row.get("address") or {}).get("addressee") in (None, name_of(row))
    for table in ("teachers", "planning_teachers"):
        for row in world.rows(table):
            user = world.get("users", row["id"])
            assert (name_of(row), row["email"]) == (name_of(user), user["email"])
    for row in (*world.rows("users"), *world.rows("accounts")):
        address = row.get("address") or {"country": "NL", "postal_code": "1 AB"}
        assert (address["country"] == "NL") == address["postal_code"].endswith(" AB")


def test_teachers_are_the_users_who_teach(world: Provider) -> None:
    teaching = {row["id"] for row in world.rows("users") if "teacher" in row["roles"]}
    assert teaching == world.by_id("teachers").keys() == world.by_id("planning_teachers").keys()


def test_roles_are_those_that_people_play(world: Provider) -> None:
    students = {row["student_id"] for row in world.rows("enrollments")}
    customers = {row["creator_id"] for row in world.rows("orders")}
    assert all("student" in world.get("users", ident)["roles"] for ident in students)
    assert all("customer" in world.get("users", ident)["roles"] for ident in customers - {None})
    assert not students & world.by_id("teachers").keys()


def test_personal_accounts_are_their_users(world: Provider) -> None:
    personal = [row for row in world.rows("accounts") if row["account_type"] == "personal"]
    owners = [row["personal_user_id"] for row in personal]
    assert len(owners) == len(set(owners)) > 5
    for row in personal:
        user = world.get("users", row["personal_user_id"])
        assert (row["name"], row["email"]) == (name_of(user), user["email"])
        members = world.by("affiliations", "account_id")[row["id"]]
        assert [member["user_id"] for member in members] == [user["id"]]


def test_accounts_with_people_have_a_key_contact(world: Provider) -> None:
    for account, members in world.by("affiliations", "account_id").items():
        assert any(member["key_contact"] for member in members), account


def test_orders_are_placed_by_and_for_people_of_the_account(world: Provider) -> None:
    for order in world.rows("orders"):
        members = world.by("affiliations", "account_id")[order["account_id"]]
        people = {member["user_id"] for member in members}
        students = [item["student_id"] for item in order["order_items"]]
        assert {order["creator_id"], *students} - {None} <= people
        assert len(students) == len(set(students)) == order["number_of_students"] > 0


def test_what_belongs_to_an_organization_is_of_its_accounts(world: Provider) -> None:
    accounts = {
        (row["organization_id"], row["account_id"]) for row in world.rows("organization_accounts")
    }
    for row in world.rows("organizations"):
        assert (row["id"], row["primary_account_id"]) in accounts
    for table, of in (("organization_orders", "orders"), ("organization_invoices", "invoices")):
        for row in world.rows(table):
            account = world.get(of, row[f"{of[:-1]}_id"])["account_id"]
            assert (row["organization_id"], account) in accounts
    for row in world.rows("organization_affiliations"):
        theirs = world.by("affiliations", "user_id")[row["user_id"]]
        assert any((row["organization_id"], mine["account_id"]) in accounts for mine in theirs)


def test_leads_that_are_won_have_an_order_soon_after(world: Provider) -> None:
    won = [row for row in world.rows("leads") if row["status"] == "won"]
    assert 10 < len(won) < 60
    for lead in won:
        after = [
            local(order["created_at"]) - local(lead["created_at"])
            for order in world.by("orders", "creator_id")[lead["user_id"]]
            if order["status"] == "active"
        ]
        assert any(timedelta(days=1) < wait < timedelta(days=90) for wait in after)


def test_leads_are_who_they_say(world: Provider) -> None:
    for lead in world.rows("leads"):
        if lead["user_id"] is not None:
            user = world.get("users", lead["user_id"])
            assert (name_of(lead), lead["email"]) == (name_of(user), user["email"])
        if lead["account_id"] is not None and lead["company_name"] is not None:
            assert lead["company_name"] == world.get("accounts", lead["account_id"])["name"]
        for item in lead.get("lead_products") or []:
            variant = world.get("catalog_variants", item["catalog_variant_id"])
            assert variant["product_id"] == item["catalog_product_id"]
        for item in lead.get("courses_leads") or []:
            assert item["lead_id"] == lead["id"]
            assert world.planned(item)["course_id"] == item["course_id"]


def test_tasks_are_done_after_they_were_given(world: Provider) -> None:
    for task in world.rows("tasks"):
        if task["completed_at"] is not None:
            assert task["created_at"] <= task["completed_at"] <= timestamp(AS_OF)
        assert task["due_date"] is None or task["due_date"] >= task["created_at"][:10]


# ---- What is on offer


def test_prices_follow_from_the_course(world: Provider) -> None:
    for planned in world.rows("planned_courses"):
        course = world.get("courses", planned["course_id"])
        cost = Decimal(course["cost"]) * Decimal(planned["cost_multiplier"] or 1)
        assert abs(Decimal(planned["cost"]) - cost) < Decimal("0.01")
        assert planned["payable"] == (cost > 0)
    for product in world.rows("catalog_products"):
        table = {"Course": "courses", "Program::Program": "programs"}[product["productable_type"]]
        sold = world.get(table, product["productable_id"])
        assert [product[n] for n in ("name", "cost", "category_id")] == [
            sold[n] for n in ("name", "cost", "category_id")
        ]
    for variant in world.rows("catalog_variants"):
        if variant["variantable_type"] == "PlannedCourse":
            planned = world.get("planned_courses", variant["variantable_id"])
            product = world.get("catalog_products", variant["product_id"])
            assert planned["course_id"] == product["productable_id"]
            names = ("cost", "cost_scheme", "currency")
            assert [variant[n] for n in names] == [planned[n] for n in names]
            assert variant["properties"]["start_date"] == planned["start_date"]


def test_status_of_planned_courses_follows_from_their_dates(world: Provider) -> None:
    for row in world.rows("planned_courses"):
        start, end = day(row["start_date"]), row["end_date"] and day(row["end_date"])
        if row["type"] == "FlexiblePlannedCourse":
            assert end is None
            assert row["duration_in_days"]
        else:
            assert start <= end
            assert row["duration_in_days"] == (end - start).days + 1
            expected = "completed" if end < TODAY else "active" if start <= TODAY else "planned"
            assert row["status"] in (expected, "canceled")
        assert row["status"] in ("planned", "active") or row["availability_state"] == "closed"
        assert start.weekday() < 5
        assert day(row["created_at"]) < start
        room = row["max_participants"]
        assert room is None or row["min_participants"] <= room


def test_counts_are_those_of_the_enrollments(world: Provider) -> None:
    for row in world.rows("planned_courses"):
        found = world.by("enrollments", "planned_course_id")[row["id"]]
        taken = sum(enrollment["status"] != "canceled" for enrollment in found)
        assert row["current_participants"] == taken
        assert row["confirmed_active_and_completed_enrollments_count"] == taken
        requested = [
            order["number_of_students"]
            for order in world.rows("orders")
            if order["status"] == "requested" and world.ordered(order) == row
        ]
        assert row["requested_enrollments_count"] == sum(requested)
        room = row["max_participants"]
        assert row["available_places"] == (room is None or taken < room)
        assert taken <= (room or 25)
    for variant in world.rows("catalog_variants"):
        tables = {"PlannedCourse": "planned_courses", "Program::Edition": "program_editions"}
        sold = world.get(tables[variant["variantable_type"]], variant["variantable_id"])
        room = sold["max_participants"]
        left = 0 if room is None else max(room - sold["current_participants"], 0)
        assert variant["available_places"] == left
        assert (variant["availability"] == "not_available") == (room is not None and not left)


def test_courses_are_neither_empty_nor_overfull(world: Provider) -> None:
    over = [
        row for row in world.rows("planned_courses")
        if row["status"] == "completed" and row["max_participants"]
    ]
    shares = [row["current_participants"] / row["max_participants"] for row in over]
    assert 0.3 < sum(shares) / len(shares) < 0.9
    assert max(shares) <= 1


# ---- Meetings


def test_meetings_lie_within_their_course(world: Provider) -> None:
    for meeting in world.rows("meetings"):
        planned = world.planned(meeting)
        begin = local(meeting["start_date_time"]).date()
        assert day(planned["start_date"]) <= begin
        assert begin <= day(planned["end_date"])
        assert meeting["created_at"] < meeting["start_date_time"]


def test_meetings_lie_in_local_office_hours(world: Provider) -> None:
    offsets = set()
    for meeting in world.rows("meetings"):
        begin, end = (local(meeting[f"{edge}_date_time"]) for edge in ("start", "end"))
        assert begin.weekday() < 5
        assert begin.date() == end.date()
        assert time(9) <= begin.time() < end.time() <= time(17)
        assert end - begin in (timedelta(hours=3.5), timedelta(hours=7.5))
        offsets.add(begin.utcoffset())
    assert len(offsets) == 2


def test_teachers_of_a_meeting_teach_its_course(world: Provider) -> None:
    team = defaultdict(set)
    for row in world.rows("teacher_enrollments"):
        team[row["planned_course_id"]].add(row["teacher_id"])
    attended = 0
    for meeting in world.rows("meetings"):
        teachers = [row["teacher_id"] for row in meeting["planning_attendees"]]
        assert len(teachers) == len(set(teachers))
        assert set(teachers) <= team[meeting["planned_course_id"]]
        attended += bool(teachers)
    assert attended > 0.7 * len(world.rows("meetings"))
    for event in world.rows("planning_events"):
        meeting = world.get("meetings", event["meeting_id"])
        teachers = {row["teacher_id"] for row in event["planning_attendees"]}
        assert teachers <= team[meeting["planned_course_id"]]


def test_teachers_work_as_much_as_one_can(world: Provider) -> None:
    hours: Counter[Any] = Counter()
    for meeting in world.rows("meetings"):
        begin, end = (local(meeting[f"{edge}_date_time"]) for edge in ("start", "end"))
        for row in meeting["planning_attendees"]:
            hours[row["teacher_id"], begin.year, begin.month] += int((end - begin).seconds / 3600)
    assert max(hours.values()) < 120
    assert len({teacher for teacher, *_ in hours}) > 8


def test_events_are_where_and_when_their_meeting_is(world: Provider) -> None:
    for event in world.rows("planning_events"):
        meeting = world.get("meetings", event["meeting_id"])
        for name in ("start_date_time", "end_date_time"):
            assert local(event[name]) == local(meeting[name])
        assert event["meeting_location_id"] == meeting["meeting_location_id"]


def test_rooms_are_at_the_location_of_the_course(world: Provider) -> None:
    for meeting in world.rows("meetings"):
        planned = world.planned(meeting)
        for ident in meeting["planning_meeting_location_ids"]:
            room = world.get("meeting_locations", ident)
            assert planned["course_location_id"] in (None, room["course_location_id"])
            assert (room["capacity"] or 60) >= (planned["max_participants"] or 25)


def test_conflicts_are_of_two_meetings_that_want_the_same_at_once(world: Provider) -> None:
    for row in world.rows("planning_conflicts"):
        both = [world.get("meetings", row[f"{w}_id"]) for w in ("event", "conflicting_event")]
        assert both[0] != both[1]
        for meeting in both:
            wanted = {("Teacher", who["teacher_id"]) for who in meeting["planning_attendees"]}
            wanted |= {("MeetingLocation", n) for n in meeting["planning_meeting_location_ids"]}
            booked = meeting.get("planning_materials") or []
            wanted |= {("Material", thing["material_id"]) for thing in booked}
            assert (row["resource_type"], row["resource_id"]) in wanted
        begin = max(meeting["start_date_time"] for meeting in both)
        end = min(meeting["end_date_time"] for meeting in both)
        assert (row["start_date_time"], row["end_date_time"]) == (begin, end)
        assert begin < end


# ---- Orders and money


def test_totals_of_orders_follow_from_price_discount_and_vat(world: Provider) -> None:
    codes = {row["discount_code"]: row for row in world.rows("discount_codes")}
    for order in world.rows("orders"):
        variant = world.get("catalog_variants", order["catalog_variant_id"])
        assert (order["cost"], order["cost_scheme"]) == (variant["cost"], variant["cost_scheme"])
        units = {"student": order["number_of_students"], "order": 1, "free": 0}
        gross = Decimal(order["cost"]) * units[order["cost_scheme"]]
        off = Decimal(order.get("total_discount") or 0)
        assert Decimal(order["total_cost_excl"]) == gross - off >= 0
        rate = Decimal(order["total_cost_incl"]) / (Decimal(order["total_cost_excl"]) or 1)
        assert any(abs(rate - each) < Decimal("0.001") for each in (0, 1, Decimal("1.21")))
        assert ("discount_code" in order) == ("total_discount" in order)
        if "discount_code" in order:
            code = codes[order["discount_code"]]
            ordered_on = order["created_at"][:10]
            assert code["start_date"] <= ordered_on <= code["expiration_date"]
            amount = Decimal(str(code["amount"]))
            fixed = code["discount_type"] == "fixed"
            expected = min(amount if fixed else gross * amount / 100, gross)
            assert abs(off - expected) < Decimal("0.01")
    used = Counter(order.get("discount_code") for order in world.rows("orders"))
    assert all(row["usage_count"] == used[row["discount_code"]] for row in codes.values())


def test_orders_are_placed_before_the_course_begins(world: Provider) -> None:
    for order in world.rows("orders"):
        planned = world.ordered(order)
        if planned:
            assert order["created_at"][:10] < planned["start_date"]


def test_only_new_orders_await_approval(world: Provider) -> None:
    waiting = [row for row in world.rows("orders") if row["status"] == "requested"]
    assert all(AS_OF - local(row["created_at"]) < timedelta(days=60) for row in waiting)


def test_invoices_add_up(world: Provider) -> None:
    rates = {row["id"]: Decimal(row["percentage"]) for row in world.rows("invoice_vats")}
    for invoice in world.rows("invoices"):
        excl = incl = Decimal(0)
        for line in invoice["invoice_items"]:
            amount = line["units"] * Decimal(line["unit_price"])
            excl += amount
            incl += amount * (1 + rates[line["invoice_vat_id"]] / 100)
        assert Decimal(invoice["total_excl"]) == excl
        assert abs(Decimal(invoice["total_incl"]) - incl) < CENTS


def test_invoices_follow_their_orders(world: Provider) -> None:
    for ident, invoices in world.by("invoices", "order_id").items():
        if ident is None:
            continue
        order = world.get("orders", ident)
        assert {row["account_id"] for row in invoices} == {order["account_id"]}
        assert {row["order_number"] for row in invoices} == {order["number"]}
        assert all(row["created_at"] > order["created_at"] for row in invoices)
        charged = money(invoices, "total_excl")
        terms = len(invoices) == 1 and Decimal(order["total_cost_excl"]) >= 2500
        if order["status"] == "active" and not terms:  # Of two terms one may be still to come.
            assert charged == Decimal(order["total_cost_excl"])
            assert abs(money(invoices, "total_incl") - Decimal(order["total_cost_incl"])) < CENTS
        assert order["status"] in ("active", "canceled")
        if order["status"] == "canceled" and len(invoices) == 2:
            assert charged == 0
        variant = world.get("catalog_variants", order["catalog_variant_id"])
        assert {row["currency"] for row in invoices} == {variant["currency"]}
    for row in world.rows("invoices"):
        assert row["account_name"] == world.get("accounts", row["account_id"])["name"]


def test_nearly_every_order_that_costs_something_is_invoiced(world: Provider) -> None:
    sold = [
        row for row in world.rows("orders")
        if row["status"] == "active" and Decimal(row["total_cost_excl"])
    ]
    invoiced = world.by("invoices", "order_id")
    assert sum(row["id"] in invoiced for row in sold) > 0.9 * len(sold)


def test_payments_are_what_is_not_open_any_more(world: Provider) -> None:
    for invoice in world.rows("invoices"):
        payments = world.by("payments", "invoice_id").get(invoice["id"], [])
        paid = money((row for row in payments if row["status"] == "paid"), "amount")
        incl, still_open = (Decimal(invoice[f"total_{name}"]) for name in ("incl", "open"))
        assert paid == incl - still_open
        assert abs(paid) <= abs(incl)
        assert 0 <= still_open <= incl or incl <= still_open <= 0
        for row in payments:
            assert row["currency"] == invoice["currency"]
            assert invoice["opened_at"] <= row["date"] <= TODAY.isoformat()


def test_status_of_invoices_follows(world: Provider) -> None:
    late = {"open": 0, "expired": 0}
    for row in world.rows("invoices"):
        if row["status"] == "concept":
            assert (row["opened_at"], row["expiration_date"], row["number_int"]) == (None,) * 3
            continue
        assert (row["status"] == "paid") == (Decimal(row["total_open"]) == 0)
        assert row["opened_at"] == local(row["created_at"]).date().isoformat()
        assert row["opened_at"] < row["expiration_date"]
        if row["status"] != "paid":
            overdue = day(row["expiration_date"]) < TODAY
            assert overdue or row["status"] == "open"
            late[row["status"]] += overdue
    assert late["open"]  # Overdue by its date, which its status does not tell.
    assert late["expired"] > late["open"]


# ---- Learning


def test_enrollments_are_made_before_the_course_begins(world: Provider) -> None:
    for row in world.rows("enrollments"):
        planned = world.planned(row)
        assert row["start_date"] <= (row["end_date"] or row["start_date"])
        if planned["type"] == "FixedPlannedCourse":
            assert (row["start_date"], row["end_date"]) == (
                planned["start_date"],
                planned["end_date"],
            )
    early = [row["created_at"][:10] <= row["start_date"] for row in world.rows("enrollments")]
    assert sum(early) > 0.95 * len(early)


def test_status_of_enrollments_follows(world: Provider) -> None:
    known = {"planned": "confirmed", "active": "active", "completed": "completed"}
    for row in world.rows("enrollments"):
        planned = world.planned(row)
        if planned["type"] == "FixedPlannedCourse":
            assert row["status"] in (known.get(planned["status"]), "canceled")
        if row["status"] == "completed":
            assert day(row["end_date"]) < TODAY
        if row["graduation_state"] != "awaiting_judgement":
            assert row["status"] == "completed"


def test_nobody_is_twice_in_a_course(world: Provider) -> None:
    places = Counter(
        (row["student_id"], row["planned_course_id"]) for row in world.rows("enrollments")
    )
    assert max(places.values()) == 1


def test_enrollments_follow_their_orders(world: Provider) -> None:
    places: Counter[Any] = Counter()
    for row in world.rows("enrollments"):
        if row["order_id"] is not None:
            order = world.get("orders", row["order_id"])
            planned = world.ordered(order)
            assert planned["id"] == row["planned_course_id"]
            assert row["student_id"] in {item["student_id"] for item in order["order_items"]}
            wait = local(row["created_at"]) - local(order["created_at"])
            assert timedelta(0) <= wait < timedelta(days=1)
            assert order["status"] == "active" or row["status"] == "canceled"
            places[order["id"]] += 1
    for order in world.rows("orders"):
        if order["status"] == "active" and world.ordered(order):
            assert places[order["id"]] == order["number_of_students"]


def test_attendances_are_of_participants_of_the_course(world: Provider) -> None:
    pairs = set()
    for row in world.rows("attendances"):
        meeting = world.get("meetings", row["meeting_id"])
        enrollment = world.get("enrollments", row["enrollment_id"])
        assert meeting["planned_course_id"] == enrollment["planned_course_id"]
        assert enrollment["status"] != "canceled"
        if row["state"] != "blanco":
            assert meeting["end_date_time"] <= timestamp(AS_OF)
            assert row["updated_at"] >= meeting["end_date_time"]
        pairs.add((row["meeting_id"], row["enrollment_id"]))
    assert len(pairs) == len(world.rows("attendances"))


def test_attendance_is_kept_for_all_who_take_part_since_it_began(world: Provider) -> None:
    taking_part = Counter(
        row["planned_course_id"] for row in world.rows("enrollments") if row["status"] != "canceled"
    )
    kept = Counter(row["meeting_id"] for row in world.rows("attendances"))
    meetings = [world.get("meetings", ident) for ident in kept]
    began = min(meeting["start_date_time"] for meeting in meetings)
    for meeting in world.rows("meetings"):
        if meeting["start_date_time"] > began:
            assert kept[meeting["id"]] == taking_part[meeting["planned_course_id"]]


def test_grades_are_on_the_scale_and_agree_with_the_result(world: Provider) -> None:
    graders = {
        (row["planned_course_id"], row["teacher_id"]) for row in world.rows("teacher_enrollments")
    }
    for table in ("enrollments", "program_enrollments"):
        for row in world.rows(table):
            grade = row.get("grade")
            if not grade:
                continue
            assert grade["gradeable_id"] == row["id"]
            assert grade["result"] == row["graduation_state"] in ("passed", "failed")
            if grade["grade"] is not None and grade["score"] is not None:
                assert Decimal(grade["grade"]) * 10 == Decimal(grade["score"])
                assert 1 <= Decimal(grade["grade"]) <= 10
                passed = Decimal(grade["grade"]) >= Decimal("5.5")
                assert passed == (row["graduation_state"] == "passed")
            if table == "enrollments":
                assert (row["planned_course_id"], grade["grader_id"]) in graders
                assert grade["created_at"][:10] >= row["end_date"]


def test_certificates_and_credits_are_for_what_was_passed(world: Provider) -> None:
    tables = {"course_enrollment": "enrollments", "program_enrollment": "program_enrollments"}
    done = Counter()
    for row in world.rows("certificates"):
        table = tables.get(row["certifiable_type"])
        if table:
            passed = world.get(table, row["certifiable_id"])
            assert passed["graduation_state"] == "passed"
            ended = passed["end_date"] if table == "enrollments" else passed["graduation_date"]
            assert row["created_at"][:10] > ended
            done[table, passed["id"]] += 1
    assert max(done.values()) == 1
    for row in world.rows("credits"):
        if row["enrollment_id"] is not None:
            enrollment = world.get("enrollments", row["enrollment_id"])
            assert enrollment["graduation_state"] == "passed"
            assert row["student_id"] == enrollment["student_id"]
            assert row["course_id"] in (None, world.planned(enrollment)["course_id"])


# ---- Programs


def test_program_elements_lie_in_their_edition(world: Provider) -> None:
    for row in world.rows("program_elements"):
        if row["planned_course_id"] is not None:
            planned = world.planned(row)
            assert planned["course_id"] == row["course_id"]
            assert planned["start_date"] >= world.get(
                "program_editions", row["edition_id"]
            )["start_date"]


def test_elements_of_personal_programs_belong_to_their_student(world: Provider) -> None:
    filled = 0
    for row in world.rows("personal_program_elements"):
        student = world.get("program_enrollments", row["enrollment_id"])
        if row["element_id"] is not None:
            element = world.get("program_elements", row["element_id"])
            assert element["edition_id"] == student["edition_id"]
            assert element["course_id"] == row["course_id"]
        if row["course_enrollment_id"] is not None:
            taken = world.get("enrollments", row["course_enrollment_id"])
            assert taken["student_id"] == student["student_id"]
            assert world.planned(taken)["course_id"] == row["course_id"]
            filled += 1
    assert filled > 20


def test_programs_are_passed_by_those_who_take_part(world: Provider) -> None:
    for row in world.rows("program_enrollments"):
        passed = row["graduation_state"] == "passed"
        assert passed == (row["graduation_date"] is not None)
        if passed:
            edition = world.get("program_editions", row["edition_id"])
            assert row["state"] == "confirmed"
            assert edition["start_date"] < row["graduation_date"] < TODAY.isoformat()
        if row["order_id"] is not None:
            order = world.get("orders", row["order_id"])
            variant = world.get("catalog_variants", order["catalog_variant_id"])
            assert variant["variantable_id"] == row["edition_id"]
            assert row["student_id"] in {item["student_id"] for item in order["order_items"]}
    places = Counter(
        (row["edition_id"], row["student_id"]) for row in world.rows("program_enrollments")
    )
    assert max(places.values()) == 1


# ---- What makes counting hard


def test_what_makes_counting_hard_is_there(world: Provider) -> None:
    invoices = world.rows("invoices")
    assert any(Decimal(row["total_incl"]) < 0 for row in invoices)  # A credit note.
    assert any(0 < Decimal(row["total_open"]) < Decimal(row["total_incl"]) for row in invoices)
    assert {row["currency"] for row in invoices} == {"EUR", "GBP"}
    planned = world.rows("planned_courses")
    assert sum(row["requested_enrollments_count"] for row in planned) > 0
    assert {"FlexiblePlannedCourse", "FixedPlannedCourse"} == {row["type"] for row in planned}
    flexible = {row["id"] for row in planned if row["type"] == "FlexiblePlannedCourse"}
    own_end = [r for r in world.rows("enrollments") if r["planned_course_id"] in flexible]
    assert len({row["end_date"] for row in own_end}) > 5
    assert {row["status"] for row in world.rows("orders")} == {
        "requested", "active", "denied", "canceled",
    }
    assert any(row["order_id"] is None for row in world.rows("enrollments"))
    lines = [line for row in invoices for line in row["invoice_items"]]
    assert 100 < sum(line["catalog_variant_id"] is None for line in lines) < len(lines)
    assert any(r.get("grade") and r["grade"]["grade"] == "B+" for r in world.rows("enrollments"))
    order_days = [
        (day(row["created_at"]), local(row["created_at"]).date()) for row in world.rows("orders")
    ]
    assert any(utc != here for utc, here in order_days)


def test_what_was_there_before_is_gone_and_can_come_back(world: Provider) -> None:
    sim = Simulator(as_of=AS_OF)
    gone = sim.gone
    assert {table for table, _ in gone} == {"orders", "users"}
    for table, row in gone:
        assert row["id"] not in {other["id"] for other in sim.rows(table)}
        if table == "orders":  # Placed twice.
            twin = world.get("orders", row["id"] - 1)
            assert row["account_id"] == twin["account_id"]
            assert len(row["order_items"]) == len(twin["order_items"]) > 0
        else:  # Merged into another.
            assert name_of(row) == name_of(world.get("users", row["id"] - 1))
        sim.restore(table, row)
        assert row in sim.rows(table)
        sim.delete(table, row["id"])
        assert sim.rows(table) == world.rows(table)


def test_courses_have_the_category_of_their_topic_and_rooms_their_town(world: Provider) -> None:
    areas = {row["id"]: row["name"] for row in world.rows("categories")}
    courses = world.rows("courses")
    assert {areas[row["category_id"]] for row in courses} >= {"Languages", "Management"}
    for row in courses:
        assert words.AREA_OF[row["name"].partition(" (")[0]] == areas[row["category_id"]]
    towns = {row["id"]: row["name"] for row in world.rows("course_locations")}
    rooms = [row for row in world.rows("meeting_locations") if row["address"]]
    assert rooms
    assert all(row["address"]["city"] == towns[row["course_location_id"]] for row in rooms)
    orders = world.rows("orders")
    assert all(str(row["number"]).startswith(row["created_at"][:4]) for row in orders)
    assert len({row["number"] for row in orders}) == len(orders)
