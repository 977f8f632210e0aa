"""What makes made-up rows plausible: a function per list, of its name. Imports `provider`.

A story gets a row that fits its model, and gives it values that go together: an invoice its
order's account, an attendance a meeting of the enrollment's planned course. While all lists are
made (``world.filling``), the provider as a whole is consistent: see `tests/test_provider.py`;
a row that comes later is plausible by itself.
"""

from collections.abc import Callable

from sources.eduframe_simulator.provider.store import BY_TABLE, JsonRow
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories import (
    custom,
    educator,
    invoicing,
    leads,
    learning,
    offers,
    people,
    planning,
    programs,
    sales,
)
from sources.eduframe_simulator.stories.ending import gone, settle

__all__ = ["ORDER", "gone", "invoicing", "settle", "tell"]

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

AREAS = (people, offers, planning, sales, invoicing, learning, programs, leads, educator)
STORIES: dict[str, Callable[[World, JsonRow, Place], None]] = {
    table: vars(area)[table] for area in AREAS for table in BY_TABLE if table in vars(area)
}


def tell(table: str, world: World, row: JsonRow, place: Place) -> None:
    """Give a row values that go together."""
    people.common(table, world, row)
    if table == "custom_objects":
        custom.custom_objects(world, row, place.i)
    if table in STORIES:
        STORIES[table](world, row, place)
