"""What makes made-up rows plausible: a function per list, of its name. Imports `provider`.

A story gets a row that fits its model, and gives it values that go together: an invoice its
order's account, an attendance a meeting of the enrollment's planned course.
"""

from collections import Counter
from collections.abc import Callable

from sources.eduframe_simulator.provider.store import BY_TABLE, JsonRow
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories import (
    custom,
    educator,
    learning,
    offers,
    people,
    planning,
    sales,
)

_LISTS = """
labels users teachers planning_teachers accounts affiliations authentications
custom_objects custom_records custom_associations signup_questions custom_field_options
categories courses programs course_locations course_tabs course_variants
edition_description_sections catalog_products planned_courses program_editions catalog_variants
teacher_roles teacher_enrollments meeting_locations planning_locations
material_groups materials planning_materials meetings planning_events planning_conflicts
payment_methods payment_options invoice_vats discount_codes referrals
orders invoices payments enrollments attendances program_elements program_edition_elements
program_enrollments personal_program_elements certificates credits credit_categories theses
organizations organization_accounts organization_affiliations organization_invoices
organization_orders leads tasks webhooks webhook_notifications webhook_failed_notifications
"""
_ORDERED = tuple(_LISTS.split())
ORDER = (*_ORDERED, *(table for table in BY_TABLE if table not in (*_ORDERED, "educators")))
"""The lists in an order in which each comes after those it refers to; new ones come last."""

COUNTED = (
    ("accounts", "users_count", "affiliations", "account_id"),
    ("categories", "courses_count", "courses", "category_id"),
    ("categories", "products_count", "catalog_products", "category_id"),
    ("categories", "children_count", "categories", "parent_id"),
    ("teachers", "teacher_enrollments_count", "teacher_enrollments", "teacher_id"),
    ("users", "teacher_enrollments_count", "teacher_enrollments", "teacher_id"),
    ("program_editions", "current_participants", "program_enrollments", "edition_id"),
)
"""Columns that hold how many rows of another list there are."""


def tell(table: str, world: World, row: JsonRow, place: Place) -> None:
    """Give a row values that go together."""
    people.common(table, world, row)
    if table == "custom_objects":
        custom.custom_objects(world, row, place.i)
    for area in (people, offers, planning, sales, learning, educator):
        story: Callable[[World, JsonRow, Place], None] | None = vars(area).get(table)
        if story is not None:
            story(world, row, place)


def settle(world: World) -> None:
    """Fill the columns that sum up other lists."""
    for table, column, counted, by in COUNTED:
        counts = Counter(row[by] for row in world.store.rows(counted))
        for ident, count in counts.items():
            row = world.get(table, ident)
            if row:
                world.store.put(table, ident, row | {column: count})
    _occupy(world)


def _occupy(world: World) -> None:
    """How full planned courses and their catalog variants are."""
    enrolled = Counter(
        row["planned_course_id"]
        for row in world.store.rows("enrollments")
        if row["status"] != "canceled"
    )
    for row in world.store.rows("planned_courses"):
        count = enrolled[row["id"]]
        room = row["max_participants"] is None or row["max_participants"] > count
        row |= {"current_participants": count, "requested_enrollments_count": 0}
        row |= {"confirmed_active_and_completed_enrollments_count": count, "available_places": room}
        world.store.put("planned_courses", row["id"], row)
    for row in world.store.rows("catalog_variants"):
        if row["variantable_type"] == "PlannedCourse":
            left = max(row["available_places"] - enrolled[row["variantable_id"]], 0)
            row["available_places"] = left
            row["availability"] = (
                "not_available" if not left else "limited_availability" if left < 3 else "available"
            )
            world.store.put("catalog_variants", row["id"], row)
