"""From declaration and model to tables: columns, Arrow schemas and dlt hints.

Every endpoint gives one main table and a table per child. A column knows where its value
stands in the JSON row, what type it has, and what it refers to; everything that needs a
schema (Arrow, dlt, the ``resources`` command, the data dictionary) asks here.
"""

import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.eduframe.models.column_types import (
    DECIMAL_PRECISION,
    DECIMAL_SCALE,
    OneOf,
    References,
    Row,
)
from sources.eduframe.declare import Child, Endpoint
from sources.eduframe.endpoints import ENDPOINTS

DataType = Literal["bigint", "text", "bool", "decimal", "timestamp", "date", "json"]

ARROW_TYPES: dict[DataType, pa.DataType] = {
    "bigint": pa.int64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    "decimal": pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "json": pa.string(),
}

_PYTHON_TYPES: dict[type, DataType] = {
    bool: "bool",
    int: "bigint",
    str: "text",
    Decimal: "decimal",
    datetime: "timestamp",
    date: "date",
}


JSON_IN = ("duckdb", "motherduck", "postgres")
"""Destinations where JSON columns are of a JSON type. In all others they are text that holds JSON:

BigQuery refuses JSON in parquet files, and cannot compare it; Snowflake's ``VARIANT`` and
Redshift's ``SUPER`` would keep what is loaded as one string, not as what it means; Databricks and
ClickHouse have dlt's JSON as text anyway. Every one of them can parse the text in a query.
"""


@dataclass(frozen=True)
class Column:
    """One column, and where its value stands in a JSON row (``path``: a key, or two)."""

    name: str
    type: DataType
    path: tuple[str, ...] = ()
    description: str | None = None
    references: References | None = None
    one_of: tuple[str, ...] = ()
    container: Any = None
    """JSON columns: whether the value is a map or a list; None where either may be."""
    required: bool = False
    """Whether the API describes it as never null. (The destination allows null.)"""
    may_be_absent: bool = True
    """Whether rows may lack its key. (They do so at any time; where they may not, it is told.)"""
    deprecated: bool = False
    within: "Column | None" = None
    """The nested object, without a table of its own, that the field is of."""

    @property
    def field(self) -> str:
        """The field's name in the API's words: one within a nested object bears that one's too."""
        return ".".join(self.path)

    @property
    def arrow(self) -> pa.DataType:
        return ARROW_TYPES[self.type]

    def dlt_hint(self, *, nullable: bool) -> dict[str, Any]:
        """dlt's hint for the column. Keys and other properties are its table's business."""
        hint: dict[str, Any] = {"name": self.name, "data_type": self.type, "nullable": nullable}
        if self.description:
            hint["description"] = self.description
        if self.type == "decimal":
            hint |= {"precision": DECIMAL_PRECISION, "scale": DECIMAL_SCALE}
        if self.type == "timestamp":
            hint |= {"precision": 6, "timezone": True}
        return hint


EXTRA = Column("_extra", "json", description="What no column holds, as served: unknown or unfit.")
REMOVED = Column("_removed", "bool", description="Marks a row for removal; null in what stays.")
MAIN_BOOKKEEPING = (
    Column("_deleted_at", "timestamp", description="When the row was found gone from the API."),
    Column("_synced_at", "timestamp", description="The start of the run that wrote the row."),
    Column("_row_hash", "bigint", description="Hash of the row and its nested parts."),
    EXTRA,
    REMOVED,
)
CHILD_BOOKKEEPING = (EXTRA, REMOVED)

CUSTOM_VALUE_COLUMNS = (
    Column("slug", "text", ("slug",), "The field's slug."),
    Column("position", "bigint", ("position",), "Place in a list of values, from 0."),
    Column("value_text", "text", ("value_text",), "The value, where it is text."),
    Column("value_number", "decimal", ("value_number",), "The value, where it is a number."),
    Column("value_boolean", "bool", ("value_boolean",), "The value, where it is yes or no."),
    Column("value_date", "date", ("value_date",), "The value, where it is a date."),
)


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
        match self.child.shape:
            case "custom":
                return "The values of free fields (custom), by slug: a row each."
            case "associations":
                return "The custom records that rows are associated with."
            case "links" | "values":
                return f"The {self.child.field} of {self.endpoint.table}: a row each."
        return self.child.row.__doc__ or "" if self.child.row else ""

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
            ForeignKey((c.name,), c.references.table, (c.references.column,))
            for c in self.columns
            if c.references and c.name not in self.owner_columns
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


def model_columns(model: type[BaseModel], nested: frozenset[str] = frozenset()) -> list[Column]:
    """The columns of a model's fields, those in ``nested`` (children with tables) left out."""
    return [
        column
        for name, info in model.model_fields.items()
        if name not in nested
        for column in _field_columns(name, info)
    ]


def _field_columns(name: str, info: FieldInfo) -> Iterator[Column]:
    outer = _field_column(name, info)
    kind, _, _ = _unwrap(info.annotation, [])
    if not (isinstance(kind, type) and issubclass(kind, Row)):
        yield outer
        return
    for column in model_columns(kind):
        path = (name, *column.path)
        yield replace(column, name=f"{name}__{column.name}", path=path, within=outer)


def _field_column(name: str, info: FieldInfo) -> Column:
    """A field as one column, whatever it holds."""
    kind, metadata, optional = _unwrap(info.annotation, list(info.metadata))
    origin = get_origin(kind)
    extra = info.json_schema_extra
    return Column(
        name=name,
        type=_PYTHON_TYPES.get(kind, "json") if isinstance(kind, type) else "json",
        path=(name,),
        description=info.description,
        references=next((m for m in metadata if isinstance(m, References)), None),
        one_of=next((m.values for m in metadata if isinstance(m, OneOf)), ()),
        container=origin if origin in (dict, list) else None,
        required=not optional,
        may_be_absent=not info.is_required(),
        deprecated=isinstance(extra, dict) and extra.get("deprecated") is True,
    )


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any], bool]:
    """The type within ``Annotated`` and ``| None``, its metadata, and whether it may be null."""
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *found = get_args(annotation)
            metadata += found
        elif origin in (Union, types.UnionType):
            members = [a for a in get_args(annotation) if a is not type(None)]
            optional = optional or len(members) < len(get_args(annotation))
            if len(members) != 1:
                return Any, metadata, optional
            annotation = members[0]
        else:
            return annotation, metadata, optional


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
            yield Column(name, "text", (name,), "From the path of the request.")
    for parent in endpoint.parents[:1]:
        for name, source in (parent.columns or parent.params).items():
            column = _column_of(parent.table, source)
            reference = None if parent.rename or len(endpoint.parents) > 1 else parent.table
            yield replace(
                column,
                name=name,
                path=(name,),
                description="From the path of the request.",
                references=References(reference, source) if reference else None,
                one_of=(),
                required=False,
                deprecated=False,
            )


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
            description=None,
            references=None,
            one_of=(),
        )
        for name, source in child.owner.items()
    ]
    if child.shared:
        description = "The table of the row that this belongs to."
        owner.insert(0, Column("owner_table", "text", (), description))
    names = {c.name for c in owner}
    columns = [c for c in _nested_columns(endpoint, child) if c.name not in names]
    part = _field_column(child.field, endpoint.row.model_fields[child.field])
    return Table(child.table, (*owner, *columns), child.key, endpoint, child, part)


def _nested_columns(endpoint: Endpoint, child: Child) -> list[Column]:
    match child.shape:
        case "object" | "objects":
            assert child.row is not None, f"{child.table} needs a model"
            return model_columns(child.row)
        case "links":
            target = References(child.references) if child.references else None
            return [Column(child.column, "bigint", (child.column,), references=target)]
        case "values":
            one_of = _words_of(endpoint.row.model_fields[child.field])
            return [
                Column("position", "bigint", ("position",), "Place in the list, from 0."),
                Column(child.column, "text", (child.column,), one_of=one_of),
            ]
        case "custom":
            return list(CUSTOM_VALUE_COLUMNS)
        case "associations":
            return [
                Column("association_slug", "text", ("association_slug",)),
                Column("custom_object_slug", "text", ("custom_object_slug",)),
                Column("custom_record_id", "bigint", ("custom_record_id",)),
            ]


def _words_of(info: FieldInfo) -> tuple[str, ...]:
    """The values that the API knows for the items of a list."""
    kind, _, _ = _unwrap(info.annotation, [])
    _, metadata, _ = _unwrap(get_args(kind)[0], [])
    return next((m.values for m in metadata if isinstance(m, OneOf)), ())


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
