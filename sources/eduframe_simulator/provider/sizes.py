"""How many rows the made-up provider has of each list."""

GROWING = {
    "users": 250,
    "accounts": 60,
    "affiliations": 120,
    "authentications": 120,
    "teachers": 14,
    "courses": 40,
    "programs": 6,
    "catalog_products": 46,
    "planned_courses": 120,
    "program_editions": 10,
    "catalog_variants": 130,
    "meetings": 600,
    "planning_events": 80,
    "planning_conflicts": 12,
    "teacher_enrollments": 150,
    "orders": 300,
    "enrollments": 900,
    "attendances": 2500,
    "invoices": 300,
    "program_elements": 40,
    "program_edition_elements": 40,
    "program_enrollments": 60,
    "personal_program_elements": 120,
    "certificates": 150,
    "credits": 150,
    "leads": 80,
    "organizations": 6,
    "organization_accounts": 15,
    "organization_affiliations": 15,
    "organization_invoices": 20,
    "organization_orders": 20,
    "tasks": 60,
    "theses": 12,
    "custom_records": 30,
    "webhook_notifications": 12,
    "webhook_failed_notifications": 6,
    "planning_teachers": 14,
}
"""How many rows at scale 1; they grow with the scale."""

FIXED = {
    "labels": 24,
    "categories": 8,
    "course_locations": 5,
    "course_tabs": 4,
    "course_variants": 4,
    "credit_categories": 3,
    "custom_objects": 3,
    "custom_associations": 8,
    "signup_questions": 14,
    "custom_field_options": 24,
    "discount_codes": 8,
    "edition_description_sections": 3,
    "invoice_vats": 3,
    "material_groups": 4,
    "materials": 15,
    "meeting_locations": 12,
    "payment_methods": 4,
    "payment_options": 3,
    "referrals": 6,
    "teacher_roles": 3,
    "webhooks": 3,
    "planning_locations": 12,
    "planning_materials": 15,
}
"""How many rows at any scale above 0."""

UNSIZED = 10
"""How many rows a list has at scale 1 that is not named above."""


def count(table: str, scale: float) -> int:
    """How many rows of a list there are at a scale; none at scale 0."""
    if scale <= 0:
        return 0
    if table in FIXED:
        return FIXED[table]
    return max(1, round(GROWING.get(table, UNSIZED) * scale))
