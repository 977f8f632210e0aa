"""Custom fields and objects: what the made-up provider asks, and what it is answered."""

from typing import Any, NamedTuple

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.world import World


class Question(NamedTuple):
    """A custom field of rows of one kind."""

    for_type: str
    slug: str
    field_type: str
    choices: tuple[str, ...] = ()


SIZES = ("S", "M", "L", "XL")
QUESTIONS = (
    Question("user", "diet", "select", ("vegetarian", "vegan", "halal", "no wishes")),
    Question("user", "Diet", "string"),
    Question("user", "t-shirt size", "select", SIZES),
    Question("user", "birthday", "datepicker"),
    Question("user", "langues parlées", "multiselect", ("nl", "en", "fr", "日本語")),
    Question("account", "sector", "select", ("care", "industry", "government", "IT & media")),
    Question("account", "vat_number", "vat_number"),
    Question("account", "credit-limit", "decimal"),
    Question("teacher", "qualified", "boolean"),
    Question("teacher", "subjects", "multiselect", ("safety", "language", "design")),
    Question("catalog_product", "study load", "decimal"),
    Question("order", "purchase_order", "string"),
    Question("order", "heard-via", "select", ("friend", "fair", 'web "ads"')),
    Question("catalog_variant", "Online?", "boolean"),
)
OBJECTS = (
    ("rooms", "Room", (("floor", "decimal"), ("type", "select"), ("checked_on", "datepicker"))),
    ("licenses", "License", (("vendor", "string"), ("tags", "multiselect"), ("paid", "boolean"))),
    ("exam-boards", "Exam board", (("Contact", "phone"), ("contact", "text"))),
)
"""Custom objects: slug, name, and fields as (slug, type)."""

ASSOCIATIONS = {
    "users": ("preferred room", "exam-boards"),
    "accounts": ("licenses",),
    "catalog_products": ("rooms", "Examencommissies"),
    "catalog_variants": ("rooms",),
    "teachers": ("licenses",),
}
"""Object types, and the slugs of their associations."""


def answers(world: World, for_type: str) -> JsonRow:
    """Values for the custom fields of one kind of row, some of them of an unexpected type."""
    custom = {
        question.slug: answer(world, question.field_type, question.choices)
        for question in QUESTIONS
        if question.for_type == for_type and world.rng.random() < 0.8
    }
    if world.rng.random() < 0.1:
        custom["retired field"] = world.rng.choice(
            (
                "2026-02-30",
                "2024-02-29",
                "",
                [],
                [None, 3, "é", True, "2025-01-31"],
                4294967297,
                -0.5,
            )
        )
    return custom


def answer(world: World, field_type: str, choices: tuple[str, ...]) -> Any:
    """A value for a custom field of one type; null now and then."""
    rng = world.rng
    if rng.random() < 0.1:
        return None
    match field_type:
        case "boolean":
            return rng.random() < 0.5
        case "decimal":
            return rng.choice((rng.randrange(100), rng.randrange(10_000) / 100))
        case "datepicker":
            return (
                f"{rng.randrange(1950, 2010)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
            )
        case "select":
            return rng.choice(choices or SIZES)
        case "multiselect":
            options = choices or SIZES
            return rng.sample(options, rng.randrange(len(options)))
        case "phone":
            return f"+31 6 {rng.randrange(10**7, 10**8)}"
        case "vat_number":
            return f"NL{rng.randrange(10**9):09d}B01"
        case _:
            return rng.choice(words.REMARKS)


def linked_records(world: World, object_type: str) -> JsonRow:
    """The custom records that a row is linked to, by association."""
    linked: JsonRow = {}
    for slug in ASSOCIATIONS[object_type]:
        objects = [name for name, *_ in OBJECTS]
        object_slug = slug if slug in objects else world.rng.choice(objects)
        ids = world.store.list_at("custom_records", (object_slug,)).idents
        if ids:
            chosen = world.rng.sample(ids, min(len(ids), world.rng.randrange(3)))
            linked[slug] = {"custom_object_slug": object_slug, "custom_record_ids": chosen}
    return linked


def custom_objects(world: World, row: JsonRow, i: int) -> None:
    slug, name, fields = OBJECTS[i % len(OBJECTS)]
    if i >= len(OBJECTS):
        slug, name = f"{slug}-{i}", f"{name} {i}"
    row |= {"slug": slug, "name_singular": name, "name_plural": f"{name}s"}
    row["fields"] = [
        {"id": world.nested_id(), "slug": field, "title": field.title(), "field_type": field_type}
        for field, field_type in fields
    ]
