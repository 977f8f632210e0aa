"""What the views' dataset holds, and what of the raw one their definitions depend on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.eduframe.place.target import is_a
from pipelines.eduframe.views.custom_fields import (
    OWNERS,
    CustomObject,
    Field,
    fields,
    record_fields,
)
from pipelines.eduframe.views.view import CATALOG
from sources.eduframe.dataset.sql import Dataset

RAW = frozenset(("_dlt_version", "_dlt_loads", "_sync_runs"))
"""Tables by which a dataset is known for one that rows are loaded into."""

WITH_CATALOG = ("duckdb", "motherduck", "postgres")
"""Destinations that are asked what is there; of others only our own list is read."""

_THERE = (
    "SELECT table_name AS name, table_type AS kind FROM information_schema.tables "
    "WHERE table_catalog = current_database() AND table_schema = %s"
)
_COLUMNS = (
    "SELECT table_name AS name, column_name AS col FROM information_schema.columns "
    "WHERE table_catalog = current_database() AND table_schema = %s ORDER BY ordinal_position"
)
_VALUES = "text", "number", "boolean", "date"


@dataclass
class Found:
    """What one look tells."""

    views: dict[str, str] = field(default_factory=dict)
    """Our views that are there, and the fingerprints of what they were made from."""
    known: set[str] = field(default_factory=set)
    """All that were made, also those that somebody dropped."""
    time_zone: str | None = None
    """The customer's, as Eduframe calls it."""
    currency: str | None = None
    dataset: str | None = None
    """The dataset whose tables these views ask."""
    questions: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Of custom fields: ``for_type``, slug, ``field_type`` and title."""
    objects: list[CustomObject] = field(default_factory=list)
    object_fields: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Of the fields of custom objects: the object's slug, slug, ``field_type`` and title."""


def look(stored: Dataset, dataset: str | None, *, names_only: bool = False) -> Found:
    """What there is in the views' dataset (None: it is not asked), and what the tables tell.

    It takes one query where the views are made. With ``names_only`` it does so of an older
    list, too, which does not say whose the views are: nor what they were made from is asked then.
    """
    rest = [
        "SELECT 'educator' AS what, time_zone AS a, currency AS b, '' AS c, '' AS d "
        f"FROM {stored.name('educators')} WHERE _deleted_at IS NULL",
        "SELECT 'question' AS what, for_type AS a, slug AS b, field_type AS c, title AS d "
        f"FROM {stored.name('signup_questions')} WHERE _deleted_at IS NULL",
        "SELECT 'object' AS what, slug AS a, name_plural AS b, '' AS c, '' AS d "
        f"FROM {stored.name('custom_objects')} WHERE _deleted_at IS NULL",
        "SELECT 'object field' AS what, object_slug AS a, slug AS b, field_type AS c, title AS d "
        f"FROM {stored.name('custom_object_fields')}",
    ]
    rows = [*_made(stored, dataset, rest, names_only)] if dataset else []
    if not rows:  # they were never made, or one of the tables is not there
        rows = [row for part in rest for row in _rows(stored, part)]
    found = Found()
    for what, a, b, c, d in rows:
        if what == "made":
            found.known.add(a)
            found.dataset = d
            if c:
                found.views[a] = b
        elif what == "educator":
            found.time_zone, found.currency = a, b
        elif what == "question":
            found.questions.append((a, b, c, d))
        elif what == "object":
            found.objects.append(CustomObject(a, b))
        else:
            found.object_fields.append((a, b, c, d))
    return found


def _made(
    stored: Dataset, dataset: str, rest: Sequence[str], names_only: bool
) -> Iterator[tuple[Any, ...]]:
    """The views that are listed, and the ``rest``; nothing where something of it is not there."""
    made = f"FROM {stored.column(dataset)}.{stored.column(CATALOG)} AS k"
    kind, params = "'VIEW'", []
    if is_a(stored.pipeline, *WITH_CATALOG):
        made += f" LEFT JOIN ({_THERE}) AS there ON there.name = k.name"
        kind, params = "there.kind", [dataset]
    mark, of = ("''", "NULL") if names_only else ("k.fingerprint", "k.dataset")
    made = f"SELECT 'made' AS what, k.name AS a, {mark} AS b, {kind} AS c, {of} AS d {made}"
    yield from _rows(stored, " UNION ALL ".join([made, *rest]), *params)


def columns_there(stored: Dataset, dataset: str) -> dict[str, list[str]]:
    """All that the dataset holds, with the columns in order; nothing where no catalog is asked."""
    found: dict[str, list[str]] = {}
    if is_a(stored.pipeline, *WITH_CATALOG):
        for name, column in _rows(stored, _COLUMNS, dataset):
            found.setdefault(name, []).append(column)
    return found


def is_of_views(stored: Dataset, dataset: str) -> bool:
    """Whether a dataset is one that views were made in."""
    if not is_a(stored.pipeline, *WITH_CATALOG):
        return False
    return any(name == CATALOG and kind == "VIEW" for name, kind in _rows(stored, _THERE, dataset))


def custom_fields(stored: Dataset, found: Found) -> tuple[list[Field], list[Field]]:
    """The custom fields of rows, and those of the records of custom objects: as they are declared,
    and as their values show them."""
    declared = record_fields(found.object_fields, _record_values_there(stored))
    return fields(found.questions, _values_there(stored)), declared


def _values_there(stored: Dataset) -> list[tuple[str, str, str]]:
    """Of which tables' custom fields values are there: table, slug and type, each once."""
    owners = ", ".join(f"'{owner}'" for owner in OWNERS)
    return _kinds(stored, "custom_values", "owner_table", f"owner_table IN ({owners})")


def _record_values_there(stored: Dataset) -> list[tuple[str, str, str]]:
    """The same of custom objects' fields: the object's slug, slug and type."""
    return _kinds(stored, "custom_record_values", "object_slug", "slug IS NOT NULL")


def _kinds(stored: Dataset, table: str, owner: str, where: str) -> list[tuple[str, str, str]]:
    kinds = " ".join(f"WHEN value_{kind} IS NOT NULL THEN '{kind}'" for kind in _VALUES)
    sql = (
        f"SELECT DISTINCT {owner} AS a, slug AS b, CASE {kinds} END AS c "
        f"FROM {stored.name(table)} WHERE {where}"
    )
    return [(of, slug, kind) for of, slug, kind in _rows(stored, sql) if kind and slug]


def _rows(stored: Dataset, sql: str, *params: Any) -> Iterator[tuple[Any, ...]]:
    for table in stored.query(sql, *params):
        yield from zip(*(column.to_pylist() for column in table.columns), strict=True)
