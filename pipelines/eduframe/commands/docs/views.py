"""The views for analysts, as the page shows them: what they hold, are made of, and are in SQL.

Of which type a column is, is what a DuckDB without rows makes of it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import duckdb
import sqlglot

from pipelines.eduframe.commands.docs.dictionary import Area, Entry, Views
from pipelines.eduframe.views.custom_fields import (
    OWNERS,
    CustomObject,
    Field,
    record_views,
    wide_views,
)
from pipelines.eduframe.views.files import written_views
from pipelines.eduframe.views.living import living_views
from pipelines.eduframe.views.making import ABOUT_MEMORY, MEMORY
from pipelines.eduframe.views.view import CATALOG, View, in_order
from sources.eduframe.rows.table_columns import Column, DataType
from sources.eduframe.rows.tables import ALL_TABLES

SQL_TYPES: dict[DataType, str] = {
    "bigint": "BIGINT",
    "text": "VARCHAR",
    "bool": "BOOLEAN",
    "decimal": "DECIMAL(38,9)",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
    "json": "JSON",
}
"""What tables have in DuckDB."""

SHOWN: dict[str, DataType] = {
    **{sql: shown for shown, sql in SQL_TYPES.items()},
    "INTEGER": "bigint",
    "TIMESTAMP": "timestamp",
}

LOCAL = "a time of the clock, in the customer's time zone"

KINDS = {
    "measure": (
        "Views: answers",
        "What is asked again and again, counted and added up; a row for each course, month, "
        "customer or teacher.",
    ),
    "fact": (
        "Views: what happened",
        "A row for each thing that happened, with names beside the keys: to count and add up "
        "yourself.",
    ),
    "dimension": (
        "Views: who and what",
        "A row for each course, person, customer, place: to list, and to join to what happened.",
    ),
    "wide": (
        "Views: custom fields",
        "A column for each field that you have added to Eduframe's own.",
    ),
}
"""Kinds of views, with the title and description of their area."""

ANY_FIELD = "your_field"
"""Stands for the columns of custom fields."""
OF_FIELDS = "And so on: a column for each field, as text, decimal, bool or date, as it is declared."


def views(custom: Sequence[View] = ()) -> Views:
    """The views of this release. ``custom`` are those of custom fields, where they are known."""
    living, written = [*living_views(ALL_TABLES)], [*written_views()]
    wide = custom or [*_wide()]
    types = _types([*living, *written, *wide])
    as_written = {view.name: view.sql for view in written_views("{time_zone}")}
    shown = [
        *(_entry(view, types[view.name], as_written[view.name]) for view in written),
        *(_entry(view, types[view.name], _pretty(view)) for view in wide),
    ]
    areas = [
        Area(f"views-{kind}", *said, tuple(entry for entry in shown if entry.kind == kind))
        for kind, said in KINDS.items()
    ]
    memory = View(CATALOG, "memory", ABOUT_MEMORY, MEMORY, "")
    listed = _entry(memory, dict.fromkeys(MEMORY, "VARCHAR"), "")
    areas.append(Area("views-all", "Views: the list of them", "What there is.", (listed,)))
    return Views(
        tuple(areas),
        {view.name: _entry(view, types[view.name], _pretty(view)) for view in living},
    )


def _wide() -> Iterable[View]:
    """Wide views with one field, which stands for all."""
    yield from wide_views([Field(owner, ANY_FIELD, "text") for owner in OWNERS], ALL_TABLES)
    an_object = CustomObject("your_object", "for example Rooms")
    yield from record_views([an_object], [Field(an_object.slug, ANY_FIELD, "text")], ALL_TABLES)


def _types(found: Iterable[View]) -> dict[str, dict[str, str]]:
    """The SQL type of each column, by view."""
    statements = ["CREATE SCHEMA raw", "CREATE SCHEMA v"]
    for table in ALL_TABLES.values():
        columns = ", ".join(f'"{c.name}" {SQL_TYPES[c.type]}' for c in table.all_columns)
        statements.append(f'CREATE TABLE raw."{table.name}" ({columns})')
    for view in in_order(found):
        statements.append(f'CREATE VIEW v."{view.name}" AS {view.placed("v")}')
    types: dict[str, dict[str, str]] = {}
    with duckdb.connect() as database:
        database.execute(";\n".join(statements))
        rows = database.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE schema_name = 'v' ORDER BY table_name, column_index"
        )
        for view_name, column, sql_type in rows.fetchall():
            types.setdefault(view_name, {})[column] = sql_type
    return types


def _entry(view: View, types: Mapping[str, str], sql: str) -> Entry:
    columns, notes = [], {}
    for name, sql_type in types.items():
        decimals = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", sql_type)
        shown: DataType = "decimal" if decimals else SHOWN[sql_type]
        columns.append(Column(name, shown, description=view.columns[name]))
        if decimals:
            notes[name] = f"an exact number with {decimals[1]} decimals"
        elif sql_type == "TIMESTAMP":
            notes[name] = LOCAL
    if columns[-1].name == ANY_FIELD:
        columns[-1] = replace(columns[-1], description=OF_FIELDS)
    return Entry(
        view.name,
        view.description,
        tuple(columns),
        made_of=tuple(sorted(view.over)),
        kind=view.kind,
        sql=sql.replace('raw."', 'eduframe."'),
        types=notes,
    )


def _pretty(view: View) -> str:
    return sqlglot.parse_one(view.sql, read="duckdb").sql("duckdb", pretty=True)
