"""The made-up provider can be believed: what its rows say of each other agrees.

One test for each rule; those of planning, money and learning have files of their own.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe_simulator import Simulator, this_day
from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.values import timestamp
from tests.provider_rows import AS_OF, Provider, day, local, name_of, provider


@pytest.fixture(scope="module")
def world() -> Provider:
    return provider()


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
        "requested",
        "active",
        "denied",
        "canceled",
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
