"""*Wide* views: a typed column for each custom field of users, accounts and others.

Fields are those that Eduframe's questions declare, and those that values are there for. A field's
type is its question's; where no question is known, that of its values, and text if they differ.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pipelines.eduframe.views.view import View
from sources.eduframe.endpoints import ENDPOINTS

OWNERS = tuple(
    endpoint.table
    for endpoint in ENDPOINTS
    if any(child.table == "custom_values" for child in endpoint.children)
)
"""The tables whose rows have custom fields."""

ASKED_OF = {
    "user": "users",
    "teacher": "teachers",
    "account": "accounts",
    "catalog_product": "catalog_products",
    "order": "orders",
    "catalog_variant": "catalog_variants",
}
"""``for_type`` of a question, and the table of those who answer."""

TYPES = {"decimal": "number", "boolean": "boolean", "datepicker": "date"}
"""The types of questions whose answers are no text."""

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
    """A custom field of the rows of a table."""

    table: str
    slug: str
    type: str
    """``text``, ``number``, ``boolean`` or ``date``."""
    title: str = ""


def fields(
    questions: Iterable[tuple[str, str, str, str]], values: Iterable[tuple[str, str, str]]
) -> list[Field]:
    """The fields there are.

    Args:
        questions: ``for_type``, slug, ``field_type`` and title of each.
        values: table, slug and type of the values that are there: each combination once.
    """
    found: dict[tuple[str, str], Field] = {}
    for for_type, slug, field_type, title in questions:
        if for_type in ASKED_OF and slug:
            table = ASKED_OF[for_type]
            found[table, slug] = Field(table, slug, TYPES.get(field_type, "text"), title)
    by_values: dict[tuple[str, str], set[str]] = {}
    for table, slug, kind in values:
        if table in OWNERS and (table, slug) not in found:
            by_values.setdefault((table, slug), set()).add(kind)
    for (table, slug), kinds in by_values.items():
        found[table, slug] = Field(table, slug, kinds.pop() if len(kinds) == 1 else "text")
    return sorted(found.values())


def wide_views(found: Collection[Field], existing: Collection[str]) -> Iterator[View]:
    """A view for each table whose rows have custom fields."""
    for table in OWNERS:
        own = [field for field in found if field.table == table]
        if own and {table, "custom_values"} <= {*existing}:
            yield _wide(table, own)


def _wide(table: str, own: Collection[Field]) -> View:
    key = f"{_singular(table)}_id"
    names = column_names([field.slug for field in own], taken=(key,))
    selected, described = [f't.id AS "{key}"'], {key: f"→ {table}.id"}
    for field in own:
        name, slug = names[field.slug], field.slug.replace("'", "''")
        of_field = f"CASE WHEN v.slug = '{slug}' THEN "
        if field.type == "text":
            chosen = f"STRING_AGG({of_field}{_TEXT} END, ', ' ORDER BY v.position)"
        elif field.type == "boolean":
            chosen = f"MAX({of_field}CASE WHEN v.value_boolean THEN 1 WHEN NOT v.value_boolean "
            chosen += "THEN 0 END END) = 1"
        else:
            chosen = f"MAX({of_field}v.value_{field.type} END)"
        selected.append(f'{chosen} AS "{name}"')
        title = f", {field.title}" if field.title else ""
        described[name] = f"The custom field {field.slug!r}{title}."
    sql = (
        f"SELECT {', '.join(selected)} FROM {table} AS t "
        f"LEFT JOIN custom_values AS v ON v.owner_table = '{table}' AND v.owner_id = t.id "
        "GROUP BY t.id"
    )
    about = (
        f"One row for each row of {table}, with its custom fields: a column each, named by the "
        "field's slug. Several values of a field stand in one text, with commas. A value that is "
        "not of its field's type is left out; custom_values has it."
    )
    return View(f"{table}_custom", "wide", about, described, sql, key=(key,))


def _singular(table: str) -> str:
    return table.removesuffix("s")


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
