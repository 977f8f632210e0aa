"""From a model's fields to columns, with all that the dictionary says of each.

What a column means stands in its model; here it is put into one text, which becomes the comment
in the destination.
"""

import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.eduframe.models.column_types import (
    DECIMAL_PRECISION,
    DECIMAL_SCALE,
    Derived,
    OneOf,
    Personal,
    PersonalKind,
    References,
    ReferencesBy,
    Row,
    Unfollowed,
)

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


@dataclass(frozen=True)
class Column:
    """One column, and where its value stands in a JSON row (``path``: a key, or two)."""

    name: str
    type: DataType
    path: tuple[str, ...] = ()
    description: str | None = None
    """What it means, in words. :attr:`comment` has the rest as well."""
    references: References | None = None
    references_by: ReferencesBy | None = None
    unfollowed: str | None = None
    """Why an id cannot be followed."""
    allowed: OneOf | None = None
    personal: PersonalKind | None = None
    """The kind of personal data that it is; None where it is none."""
    derived: bool = False
    """Whether Eduframe computes it, so that it may change without ``updated_at``."""
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
    def one_of(self) -> tuple[str, ...]:
        """The values that the API knows; () where any may be."""
        return self.allowed.values if self.allowed else ()

    @property
    def comment(self) -> str | None:
        """All that is known of it, as one text; None where nothing is."""
        return " ".join(sentences(self)) or None

    @property
    def arrow(self) -> pa.DataType:
        return ARROW_TYPES[self.type]

    def dlt_hint(self, *, nullable: bool) -> dict[str, Any]:
        """dlt's hint for the column. Keys and other properties are its table's business."""
        hint: dict[str, Any] = {"name": self.name, "data_type": self.type, "nullable": nullable}
        if comment := self.comment:
            hint["description"] = comment
        if self.type == "decimal":
            hint |= {"precision": DECIMAL_PRECISION, "scale": DECIMAL_SCALE}
        if self.type == "timestamp":
            hint |= {"precision": 6, "timezone": True}
        return hint


def sentences(column: Column) -> Iterator[str]:
    """What there is to say of a column."""
    if column.description:
        yield column.description
    if column.allowed and column.allowed.standard:
        yield f"Values: {column.allowed.standard}."
    elif column.allowed:
        pairs = zip(column.allowed.values, column.allowed.meanings, strict=True)
        yield f"Values, by our reading: {'; '.join(f'{v}: {meaning}' for v, meaning in pairs)}."
    if column.references:
        yield f"Refers to {target(column.references)}."
    if by := column.references_by:
        cases = (f"{target(to) if to else 'no table'} for {value}" for value, to in by.cases)
        yield f"Refers, by {by.type_column}, to {', '.join(cases)}."
    if column.unfollowed:
        yield f"Cannot be followed: {column.unfollowed}"
    if column.type == "timestamp":
        yield "In UTC."
    if column.derived:
        yield (
            "Computed by Eduframe (our reading): it may change without updated_at, and be behind "
            "here until the list is next compared by content."
        )
    if column.deprecated:
        yield "The API advises against it."
    if column.personal:
        yield f"Personal data: {column.personal}."


def target(reference: References) -> str:
    """Where a reference leads, in words."""
    where = [f"{name} is {value}" for name, value in reference.where]
    where += [f"{other} is this row's {own}" for own, other in reference.also]
    only = f" (where {' and '.join(where)})" if where else ""
    return f"{reference.table}.{reference.column}{only}"


EXTRA = Column(
    "_extra",
    "json",
    description="The sync's own: fields of the row that no column holds, as served, because they "
    "are unknown or do not fit; null where there are none.",
    personal="free text",
)
REMOVED = Column(
    "_removed",
    "bool",
    description="The sync's own: tells the loader to remove the row. Always null in what stays.",
)
MAIN_BOOKKEEPING = (
    Column(
        "_deleted_at",
        "timestamp",
        description="The sync's own: when the row was found gone from the API; null for rows that "
        "live. Nearly every query wants only those.",
    ),
    Column(
        "_synced_at",
        "timestamp",
        description="The sync's own: the start of the run that last wrote the row "
        "(_sync_runs.started_at). Rows that do not change are not written again.",
    ),
    Column(
        "_row_hash",
        "bigint",
        description="The sync's own: a number that changes when the row or a nested part of it "
        "does, and so tells what is to be written; 0 has it written by the next read.",
    ),
    EXTRA,
    REMOVED,
)
CHILD_BOOKKEEPING = (EXTRA, REMOVED)

def model_columns(model: type[BaseModel], nested: frozenset[str] = frozenset()) -> list[Column]:
    """The columns of a model's fields, those in ``nested`` (children with tables) left out."""
    return [
        column
        for name, info in model.model_fields.items()
        if name not in nested
        for column in _field_columns(name, info)
    ]


def _field_columns(name: str, info: FieldInfo) -> Iterator[Column]:
    outer = field_column(name, info)
    kind, _, _ = _unwrap(info.annotation, [])
    if not (isinstance(kind, type) and issubclass(kind, Row)):
        yield outer
        return
    for column in model_columns(kind):
        path = (name, *column.path)
        yield replace(column, name=f"{name}__{column.name}", path=path, within=outer)


def field_column(name: str, info: FieldInfo) -> Column:
    """A field as one column, whatever it holds."""
    kind, metadata, optional = _unwrap(info.annotation, list(info.metadata))
    origin = get_origin(kind)
    extra = info.json_schema_extra
    return replace(
        _known_of(metadata),
        name=name,
        type=_PYTHON_TYPES.get(kind, "json") if isinstance(kind, type) else "json",
        path=(name,),
        description=info.description or _said(metadata),
        container=origin if origin in (dict, list) else None,
        required=not optional,
        may_be_absent=not info.is_required(),
        deprecated=isinstance(extra, dict) and extra.get("deprecated") is True,
    )


def item_column(info: FieldInfo) -> Column:
    """What is known of the items of a list."""
    kind, _, _ = _unwrap(info.annotation, [])
    _, metadata, _ = _unwrap(get_args(kind)[0], [])
    return replace(_known_of(metadata), description=_said(metadata))


def _known_of(metadata: list[Any]) -> Column:
    """What metadata says of a column that is to be."""
    personal = _first(metadata, Personal)
    unfollowed = _first(metadata, Unfollowed)
    return Column(
        "",
        "text",
        references=_first(metadata, References),
        references_by=_first(metadata, ReferencesBy),
        unfollowed=unfollowed.why if unfollowed else None,
        allowed=_first(metadata, OneOf),
        personal=personal.kind if personal else None,
        derived=_first(metadata, Derived) is not None,
    )


_Fact = TypeVar("_Fact")


def _first(metadata: list[Any], kind: type[_Fact]) -> _Fact | None:
    return next((fact for fact in metadata if isinstance(fact, kind)), None)


def _said(metadata: list[Any]) -> str | None:
    """The description that a type brings along."""
    return next((f.description for f in metadata if isinstance(f, FieldInfo)), None)


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
