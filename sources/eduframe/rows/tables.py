"""From declaration and model to tables: columns, Arrow schemas and dlt hints.

Every endpoint gives one main table and a table per child. A column knows where its value
stands in the JSON row, what type it has, and what it refers to; everything that needs a
schema (Arrow, dlt, the ``resources`` command, the data dictionary) asks here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from schemas.eduframe.models.column_types import References, ReferencesBy
from sources.eduframe.declare import Child, Endpoint
from sources.eduframe.endpoints import ASKED_OF, ENDPOINTS
from sources.eduframe.rows.table_columns import (
    CHILD_BOOKKEEPING,
    MAIN_BOOKKEEPING,
    REMOVED,
    Column,
    field_column,
    item_column,
    model_columns,
)

JSON_IN = ("duckdb", "motherduck", "postgres")
"""Destinations where JSON columns are of a JSON type. In all others they are text that holds JSON:

BigQuery refuses JSON in parquet files, and cannot compare it; Snowflake's ``VARIANT`` and
Redshift's ``SUPER`` would keep what is loaded as one string, not as what it means; Databricks and
ClickHouse have dlt's JSON as text anyway. Every one of them can parse the text in a query.
"""


@dataclass(frozen=True)
class ForeignKey:
    """Columns that hold the ``target`` columns of a row of another table."""

    columns: tuple[str, ...]
    table: str
    target: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of the destination. ``owner`` is None for main tables."""

    name: str
    columns: tuple[Column, ...]
    """The columns that carry data, bookkeeping left out."""
    key: tuple[str, ...]
    """What is unique: in the table for a main table, within one owner for a child table."""
    endpoint: Endpoint
    child: Child | None = None
    part: Column | None = None
    """A child table: the nested part that it holds, as a field of its owners."""

    @property
    def description(self) -> str:
        """What its rows are: the model's own words, where it has a model."""
        if self.child is None:
            return self.endpoint.row.__doc__ or ""
        owner = "their owner" if self.child.shared else self.endpoint.table
        said = [
            self._part_described(),
            f"Rows stay when {owner} is deleted: join it, and leave out what has a _deleted_at.",
        ]
        if self.part and self.part.deprecated:
            said.append("The API advises against it.")
        return " ".join(said)

    def _part_described(self) -> str:
        assert self.child is not None
        if self.child.row:
            return self.child.row.__doc__ or ""
        match self.child.shape:
            case "custom" if self.child.shared:
                return "The answers that rows give to custom fields (signup_questions): a row each."
            case "custom":
                return "The values that custom records have in their fields: a row each."
            case "inner links":
                return f"The {self.child.inner} of {self.endpoint.table}, by the group: a row each."
            case "associations":
                return f"The custom records that {self.endpoint.table} are linked to: a row each."
        return f"{self.part.description if self.part else ''} A row each."

    @property
    def owner_columns(self) -> tuple[str, ...]:
        """The columns that come from the owner."""
        if self.child is None:
            return ()
        return (("owner_table",) if self.child.shared else ()) + tuple(self.child.owner)

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        return self.columns + (CHILD_BOOKKEEPING if self.child else MAIN_BOOKKEEPING)

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema(
            pa.field(c.name, c.arrow, nullable=c.name not in self.merge_columns)
            for c in self.all_columns
        )

    @property
    def merge_columns(self) -> tuple[str, ...]:
        """The NOT NULL columns: a main table's key, or in a child table that of the owner."""
        if self.child is None:
            return self.key
        keys = {source: name for name, source in self.child.owner.items()}
        shared = ("owner_table",) if self.child.shared else ()
        return (*shared, *(keys[name] for name in self.endpoint.key))

    @property
    def whole_key(self) -> tuple[str, ...]:
        """The columns that no two rows of the table share; () where nothing is said of that."""
        if self.child is None:
            return self.key
        return (*self.merge_columns, *self.key) if self.key else ()

    @property
    def owner_key(self) -> tuple[str, ...]:
        """The columns of a child table that hold its owner's key, in the order of that key."""
        return tuple(name for name in self.merge_columns if name != "owner_table")

    def dlt_columns(self) -> dict[str, dict[str, Any]]:
        """dlt's column hints. Only key columns are NOT NULL: a removal carries nothing else."""
        return {c.name: self._dlt_column(c) for c in self.all_columns}

    def _dlt_column(self, column: Column) -> dict[str, Any]:
        hint = column.dlt_hint(nullable=column.name not in self.merge_columns)
        if column.name in self.merge_columns:
            hint["merge_key" if self.child else "primary_key"] = True
        if column.name == REMOVED.name:
            hint["hard_delete"] = True
        return hint

    @property
    def foreign_keys(self) -> tuple[ForeignKey, ...]:
        """What refers to other tables: to the owner first. Shared tables have no one owner."""
        owner = self._owner_reference()
        own = (
            _foreign_key(c.name, c.references)
            for c in self.columns
            if c.references and not c.references.where and c.name not in self.owner_columns
        )
        return (*([owner] if owner else []), *own)

    def _owner_reference(self) -> ForeignKey | None:
        if self.child is None or self.child.shared:
            return None
        return ForeignKey(
            tuple(self.child.owner), self.endpoint.table, tuple(self.child.owner.values())
        )

    def dlt_references(self) -> list[dict[str, Any]]:
        """Foreign keys as dlt's ``references`` hint."""
        by_table = {
            key.table: {
                "columns": list(key.columns),
                "referenced_table": key.table,
                "referenced_columns": list(key.target),
            }
            for key in reversed(self.foreign_keys)  # dlt keeps one a table: the first
        }
        return list(by_table.values())


def _foreign_key(column: str, to: References) -> ForeignKey:
    own, others = zip(*to.also, (column, to.column), strict=True)
    return ForeignKey(own, to.table, others)


def main_table(endpoint: Endpoint) -> Table:
    nested = frozenset(child.field for child in endpoint.children if child.shape != "custom")
    columns = model_columns(endpoint.row, nested)
    present = {c.name for c in columns}
    injected = [c for c in _path_columns(endpoint) if c.name not in present]
    return Table(endpoint.table, (*injected, *columns), endpoint.key, endpoint)


def _path_columns(endpoint: Endpoint) -> Iterator[Column]:
    """The columns that a list under a parent takes from its path."""
    if endpoint.parent_setting:
        for name in endpoint.params:
            yield Column(
                name,
                "text",
                (name,),
                "The kind of row that the API lists this one for, such as users: a table's name, "
                "of those that the setting custom_object_types has.",
            )
    for parent in endpoint.parents[:1]:
        for name, source in (parent.columns or parent.params).items():
            made = replace(
                _column_of(parent.table, source),
                name=name,
                path=(name,),
                references=None,
                allowed=None,
                required=False,
                deprecated=False,
            )
            if len(endpoint.parents) == 1:
                yield replace(
                    made,
                    description=f"The row of {parent.table} under which the API lists this one.",
                    references=References(parent.table, source),
                )
            else:
                description, leads = _OF_A_CUSTOM_FIELD[name]
                yield replace(made, description=description, references_by=leads)


def _asked_of(type_column: str, others: References | None) -> ReferencesBy:
    """The custom field with a slug, of the rows of the table that a column names."""
    cases: dict[str, References | str | None] = {
        table: References("signup_questions", "slug", where=(("for_type", kind),))
        for kind, table in ASKED_OF.items()
    }
    return ReferencesBy(type_column, cases | ({"": others} if others else {}))


_OF_A_CUSTOM_FIELD = {
    "object_type": (
        "What has the custom field: a table's name, such as users, or the slug of a custom object.",
        None,
    ),
    "field_slug": (
        "The custom field that offers the value, by its slug.",
        _asked_of(
            "object_type",
            References("custom_object_fields", "slug", also=(("object_type", "object_slug"),)),
        ),
    ),
}


def _column_of(table: str, column: str) -> Column:
    """A column of a main table, found by the parent's model (no table is built for it)."""
    endpoint = next(e for e in ENDPOINTS if e.table == table)
    return next(c for c in model_columns(endpoint.row) if c.name == column)


def child_tables(endpoint: Endpoint) -> list[Table]:
    return [_child_table(endpoint, child) for child in endpoint.children]


def _child_table(endpoint: Endpoint, child: Child) -> Table:
    parent_columns = {c.name: c for c in main_table(endpoint).columns}
    owner = [
        replace(
            parent_columns[source],
            name=name,
            path=(),
            description=f"The row of {endpoint.table} that this is a part of.",
            references=_to_owner(endpoint, child, parent_columns[source]),
            references_by=None,
            allowed=None,
        )
        for name, source in child.owner.items()
    ]
    if child.shared:
        owners = {e.table: e.table for e in ENDPOINTS for c in e.children if c.table == child.table}
        owner = [
            Column("owner_table", "text", (), "The table of the row that this belongs to."),
            replace(
                owner[0],
                description="The row that this belongs to, in the table that owner_table names.",
                references=None,
                references_by=ReferencesBy("owner_table", owners),
            ),
        ]
    names = {c.name for c in owner}
    columns = [c for c in _nested_columns(endpoint, child) if c.name not in names]
    part = field_column(child.field, endpoint.row.model_fields[child.field])
    return Table(child.table, (*owner, *columns), child.key, endpoint, child, part)


def _to_owner(endpoint: Endpoint, child: Child, source: Column) -> References:
    """Where a column that comes from the owner leads: with the other parts of its key, if any."""
    *others, last = endpoint.key
    if source.name in others and source.references:
        return source.references
    own = {theirs: mine for mine, theirs in child.owner.items()}
    also = tuple((own[name], name) for name in others) if source.name == last else ()
    return References(endpoint.table, source.name, also)


def _nested_columns(endpoint: Endpoint, child: Child) -> list[Column]:
    info = endpoint.row.model_fields[child.field]
    one = f"One of these. {info.description}"
    match child.shape:
        case "object" | "objects":
            assert child.row is not None, f"{child.table} needs a model"
            return model_columns(child.row)
        case "links":
            to = References(child.references) if child.references else None
            return [Column(child.column, "bigint", (child.column,), one, references=to)]
        case "inner links":
            return _inner_link_columns(endpoint, child)
        case "values":
            value = item_column(info)
            return [
                Column("position", "bigint", ("position",), "Place in the list, from 0."),
                replace(value, name=child.column, path=(child.column,), description=one),
            ]
        case "custom":
            return _custom_columns(child)
        case "associations":
            return _association_columns(endpoint)


def _inner_link_columns(endpoint: Endpoint, child: Child) -> list[Column]:
    """What a row per id in a list of nested objects holds."""
    objects = next(c for c in endpoint.children if c.field == child.field and c.row)
    assert objects.row is not None
    assert child.inner is not None
    of, column = child.key
    inner = item_column(objects.row.model_fields[child.inner])
    owner = f"The entry of {objects.table} to which the label's id belongs."
    said = f"One of its {child.inner}: all of them are asked for (our reading)."
    return [
        Column(of, "bigint", (of,), owner, references=References(objects.table)),
        replace(inner, name=column, type="bigint", path=(column,), description=said),
    ]


def _custom_columns(child: Child) -> list[Column]:
    """What a row per value of a map of custom fields holds."""
    of_record = References("custom_object_fields", "slug", also=(("object_slug", "object_slug"),))
    to: dict[str, Any] = {"references": of_record}
    if child.shared:
        to = {"references_by": _asked_of("owner_table", None)}
    slug = "Which field is answered: its key among them, which its title may not resemble."
    typed = "The value, where it is {}; null otherwise."
    text = typed.format("text, or a choice")
    number = typed.format("a number, of up to nine decimals")
    return [
        Column("slug", "text", ("slug",), slug, **to),
        Column("position", "bigint", ("position",), "Place in a list of values, from 0."),
        Column("value_text", "text", ("value_text",), text, personal="free text"),
        Column("value_number", "decimal", ("value_number",), number, personal="free text"),
        Column("value_boolean", "bool", ("value_boolean",), typed.format("yes or no")),
        Column(
            "value_date", "date", ("value_date",), typed.format("a date"), personal="birth"
        ),
    ]


def _association_columns(endpoint: Endpoint) -> list[Column]:
    """What a row per linked custom record holds."""
    of_these = (("object_type", endpoint.table),)
    association = References("custom_associations", "slug", where=of_these)
    record = References("custom_records", also=(("custom_object_slug", "object_slug"),))
    return [
        Column(
            "association_slug",
            "text",
            ("association_slug",),
            "The kind of link, by its slug.",
            references=association,
        ),
        Column(
            "custom_object_slug",
            "text",
            ("custom_object_slug",),
            "The kind of record that is linked, by its slug.",
            references=References("custom_objects", "slug"),
        ),
        Column(
            "custom_record_id",
            "bigint",
            ("custom_record_id",),
            "The record that is linked. Its id is unique within its object only.",
            references=record,
        ),
    ]


MAIN_TABLES: dict[str, Table] = {e.table: main_table(e) for e in ENDPOINTS}
"""Resource (= main table) to its table."""

CHILD_TABLES: dict[str, list[Table]] = {e.table: child_tables(e) for e in ENDPOINTS}
"""Resource to the tables of its children, in the order of the declaration."""

SHARED_TABLES: dict[str, Table] = {
    table.name: table
    for tables in CHILD_TABLES.values()
    for table in tables
    if table.child and table.child.shared
}
"""The child tables with several kinds of owner; each is a resource of its own."""

DEPRECATED: frozenset[str] = frozenset(
    f"{table.name}.{column.field}"
    for main in MAIN_TABLES.values()
    for table, columns in [
        (main, [*main.columns, *(t.part for t in CHILD_TABLES[main.name] if t.part)]),
        *((child, child.columns) for child in CHILD_TABLES[main.name]),
    ]
    for column in columns
    if column.deprecated
)
"""The fields that the API advises against, as ``table.field``."""

ALL_TABLES: dict[str, Table] = {
    **MAIN_TABLES,
    **{table.name: table for tables in CHILD_TABLES.values() for table in tables},
}
"""All tables that hold what the API gives, by name."""
