"""*Wide* views: a typed column for each custom field, of users, accounts and others, and of the
records of custom objects.

Fields are those that Eduframe declares, and those that values are there for. A field's type is the
declared one; where none is, that of its values, and text if they differ.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipelines.eduframe.views.view import View
from sources.eduframe.endpoints import ASKED_OF, ENDPOINTS
from sources.eduframe.rows.tables import ALL_TABLES

OWNERS = tuple(
    endpoint.table
    for endpoint in ENDPOINTS
    if any(child.table == "custom_values" for child in endpoint.children)
)
"""The tables whose rows have custom fields."""

RECORDS = "custom_"
"""What the names of the views of custom objects begin with; the object's slug follows."""

TYPES = {"decimal": "number", "boolean": "boolean", "datepicker": "date"}
"""The declared types of fields whose values are no text."""

LONGEST = 60
"""Characters of a column's name; Postgres takes 63."""

_TEXT = (
    "COALESCE(v.value_text, CAST(v.value_date AS VARCHAR), CASE WHEN v.value_boolean THEN 'true' "
    "WHEN NOT v.value_boolean THEN 'false' END, CASE WHEN v.value_number = FLOOR(v.value_number) "
    "THEN CAST(CAST(v.value_number AS DECIMAL(29, 0)) AS VARCHAR) "
    "ELSE RTRIM(CAST(v.value_number AS VARCHAR), '0') END)"
)
"""Any value as text; numbers without the zeros at their end."""


@dataclass(frozen=True, order=True)
class Field:
    """A custom field of the rows of a table, or of the records of a custom object."""

    owner: str
    """The table, or the object's slug."""
    slug: str
    type: str
    """``text``, ``number``, ``boolean`` or ``date``."""
    title: str = ""


@dataclass(frozen=True, order=True)
class CustomObject:
    """A kind of record that the customer has defined."""

    slug: str
    plural: str


def is_wide(name: str) -> bool:
    """Whether a view of ours is one of these, by its name."""
    return name not in ALL_TABLES and (name.endswith("_custom") or name.startswith(RECORDS))


def fields(
    questions: Iterable[tuple[str, str, str, str]], values: Iterable[tuple[str, str, str]]
) -> list[Field]:
    """The fields of the rows of tables.

    Args:
        questions: ``for_type``, slug, ``field_type`` and title of each.
        values: table, slug and type of the values that are there: each combination once.
    """
    declared = ((ASKED_OF[q[0]], *q[1:]) for q in questions if q[0] in ASKED_OF)
    return record_fields(declared, (value for value in values if value[0] in OWNERS))


def record_fields(
    declared: Iterable[tuple[str, str, str, str]], values: Iterable[tuple[str, str, str]]
) -> list[Field]:
    """The fields of records, or of whatever has them.

    Args:
        declared: owner, slug, ``field_type`` and title of each.
        values: owner, slug and type of the values that are there: each combination once.
    """
    found: dict[tuple[str, str], Field] = {}
    for owner, slug, field_type, title in declared:
        if slug:
            found[owner, slug] = Field(owner, slug, TYPES.get(field_type, "text"), title or "")
    by_values: dict[tuple[str, str], set[str]] = {}
    for owner, slug, kind in values:
        if (owner, slug) not in found:
            by_values.setdefault((owner, slug), set()).add(kind)
    for (owner, slug), kinds in by_values.items():
        found[owner, slug] = Field(owner, slug, kinds.pop() if len(kinds) == 1 else "text")
    return sorted(found.values())


def wide_views(found: Collection[Field], existing: Collection[str]) -> Iterator[View]:
    """A view for each table whose rows have custom fields."""
    for table in OWNERS:
        own = [field for field in found if field.owner == table]
        if own and {table, "custom_values"} <= {*existing}:
            key = f"{table.removesuffix('s')}_id"
            yield _wide(
                f"{table}_custom",
                f"One row for each row of {table}, with its custom fields",
                {key: ("t.id", f"→ {table}.id")},
                own,
                f"{table} AS t LEFT JOIN custom_values AS v "
                f"ON v.owner_table = '{table}' AND v.owner_id = t.id",
                "custom_values",
            )


def record_views(
    objects: Collection[CustomObject], found: Collection[Field], existing: Collection[str]
) -> Iterator[View]:
    """A view for each custom object, with its records."""
    if not {"custom_records", "custom_record_values"} <= {*existing}:
        return
    slugs = {f"{RECORDS}{one.slug}": one for one in objects if one.slug}
    for spelled, name in column_names(slugs, taken=ALL_TABLES).items():
        one = slugs[spelled]
        slug = _literal(one.slug)
        yield _wide(
            name,
            f"One row for each record of the custom object {one.slug!r} ({one.plural}), with its "
            "fields",
            {
                "record_id": ("t.id", "The record's number, which is unique within its object: "
                              "with the object's slug it is the key of custom_records."),
                "display_name": ("t.display_name", "What it is shown as."),
                "is_active": ("t.active", "Whether it can still be chosen (our reading)."),
            },
            [field for field in found if field.owner == one.slug],
            "custom_records AS t LEFT JOIN custom_record_values AS v "
            f"ON v.object_slug = t.object_slug AND v.record_id = t.id WHERE t.object_slug = {slug}",
            "custom_record_values",
        )


def _wide(
    name: str,
    grain: str,
    first: Mapping[str, tuple[str, str]],
    own: Collection[Field],
    tables: str,
    values: str,
) -> View:
    """A view of rows ``t`` and the values ``v`` of their fields; ``first`` has its first columns,
    with their expressions and descriptions."""
    names = column_names([field.slug for field in own], taken=first)
    selected = [f'{value} AS "{column}"' for column, (value, _) in first.items()]
    described = {column: said for column, (_, said) in first.items()}
    for field in own:
        column = names[field.slug]
        selected.append(f'{_value(field)} AS "{column}"')
        said = f"The custom field {field.slug!r}{f', {field.title}' if field.title else ''}"
        described[column] = said if said.endswith(("?", ".", "!")) else f"{said}."
    grouped = ", ".join(value for value, _ in first.values())
    about = (
        f"{grain}: a column each, named by the field's slug. Several values of a field stand in "
        "one text, with commas. A value that is not of its field's type is left out; "
        f"{values} has it."
    )
    sql = f"SELECT {', '.join(selected)} FROM {tables} GROUP BY {grouped}"
    return View(name, "wide", about, described, sql, key=(next(iter(first)),))


def _value(field: Field) -> str:
    of_field = f"CASE WHEN v.slug = {_literal(field.slug)} THEN "
    if field.type == "text":
        return f"STRING_AGG({of_field}{_TEXT} END, ', ' ORDER BY v.position)"
    if field.type == "boolean":
        return (
            f"MAX({of_field}CASE WHEN v.value_boolean THEN 1 WHEN NOT v.value_boolean "
            "THEN 0 END END) = 1"
        )
    return f"MAX({of_field}v.value_{field.type} END)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def column_names(slugs: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """A column's name for each slug: small letters, digits and underscores, each name once.

    A slug that is such a name already has it, whatever the others are.
    """
    every = sorted(slugs, key=lambda slug: (_plain(slug) != slug, slug))
    found: dict[str, str] = {}
    used = {*taken}
    for slug in every:
        name = plain = _plain(slug)
        again = 1
        while name in used:
            again += 1
            name = f"{plain[: LONGEST - 4]}_{again}"
        used.add(name)
        found[slug] = name
    return found


def _plain(slug: str) -> str:
    letters = unicodedata.normalize("NFKD", slug).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")[:LONGEST]
    return f"field_{name}" if not name or name[0].isdigit() else name
