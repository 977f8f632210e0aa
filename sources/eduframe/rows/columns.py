"""JSON values to typed columns, and what no column can hold to ``_extra``.

Two speeds, one result. A column is first cast by Arrow as a whole, which takes only what needs no
thought. One that does not cast so is read value by value, by the models' own ``parse_…``: what
does not fit there is null, is kept as served, and is counted. A row does not depend on others.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.eduframe.models.column_types import (
    OutOfRangeError,
    parse_bool,
    parse_date,
    parse_decimal,
    parse_int,
    parse_text,
    parse_timestamp,
)
from sources.eduframe.declare import JsonRow
from sources.eduframe.errors import DoesNotCastError
from sources.eduframe.rows.findings import OUT_OF_RANGE, UNREADABLE, Findings, json_type
from sources.eduframe.rows.json_text import dump_fields, dump_json
from sources.eduframe.rows.table_columns import Column, DataType

PLAIN_YEARS = (2, 9998)
"""In these years Python and Arrow agree on a moment, whatever its offset."""

PLAIN_DIGITS = 28
"""A number that is written with no more characters fits its column, unless it has an exponent."""

_OFFSET = r"(Z|[+-]\d\d:?\d\d)$"
_NOWHERE: JsonRow = {}
"""Stands for a nested object that is not there."""


@dataclass
class Columns:
    """The typed columns of some rows of one table, and what of the rows they do not hold."""

    table: str
    items: Sequence[JsonRow]
    findings: Findings
    arrays: list[pa.Array] = field(default_factory=list)
    kept: dict[int, JsonRow] = field(default_factory=dict)
    """By row, what belongs in its ``_extra``."""

    def read(
        self, columns: Sequence[Column], known: Collection[str], *, typed: bool = False
    ) -> None:
        """Fill the columns. Fields that are not ``known`` are kept.

        ``typed`` says that the values are no JSON any more, but of the columns' types.
        """
        self.findings.rows_checked[self.table] += len(self.items)
        found: dict[str, pa.Array] = {}
        groups: dict[Column | None, list[Column]] = {}
        for column in columns:
            groups.setdefault(column.within, []).append(column)
        for outer, inner in groups.items():
            objects = self.items if outer is None else self._objects(outer)
            values, sparse = _values_of([c.path[-1] for c in inner], objects)
            for column in inner:
                key = column.path[-1]
                found[column.name] = (
                    pa.array(values[key], column.arrow)
                    if typed
                    else self._array(column, values[key], objects, key in sparse)
                )
            inside = known if outer is None else {c.path[1] for c in inner}
            self._keep_unknown(outer, objects, inside)
        self.arrays = [found[column.name] for column in columns]
        self._count_unknown_values(columns)

    def extra(self) -> pa.Array:
        """The column ``_extra``."""
        if not self.kept:
            return pa.nulls(len(self.items), pa.string())
        texts: list[str | None] = [None] * len(self.items)
        for number, fields in self.kept.items():
            texts[number] = dump_fields(fields)
        return pa.array(texts, pa.string())

    def keep(self, number: int, path: Sequence[str], served: Any) -> None:
        """Put a value into the ``_extra`` of a row, under the field's name."""
        inside = self.kept.setdefault(number, {})
        for name in path[:-1]:
            inside = inside.setdefault(name, {})
        inside[path[-1]] = served

    def count_missing(self, column: Column, items: Sequence[JsonRow]) -> None:
        """Count the rows in which a field is absent or null, where the API says it never is."""
        name, key = f"{self.table}.{column.field}", column.path[-1]
        there = [item for item in items if item is not _NOWHERE]
        absent = sum(key not in item for item in there)
        if not column.may_be_absent:
            self.findings.unfit(name, "absent", absent)
        if column.required:
            nulls = sum(item.get(key, _NOWHERE) is None for item in there)
            self.findings.unfit(name, "null", nulls)

    def _objects(self, outer: Column) -> list[JsonRow]:
        """A nested object of each row; for one that is not there, or is none, an empty one."""
        values: list[Any] = [item.get(outer.name) for item in self.items]
        kinds = set(map(type, values))
        if type(None) in kinds:
            self.count_missing(outer, self.items)
        if kinds <= {dict}:
            return values
        for number, value in enumerate(values):
            if type(value) is not dict and value is not None:
                self.keep(number, outer.path, value)
                self.findings.unfit(f"{self.table}.{outer.field}", json_type(value))
        return [value if type(value) is dict else _NOWHERE for value in values]

    def _array(
        self, column: Column, values: Sequence[Any], items: Sequence[JsonRow], sparse: bool
    ) -> pa.Array:
        try:
            array = _CASTS[column.type](values, column)
        except (DoesNotCastError, pa.ArrowException, TypeError, OverflowError):
            array = self._one_by_one(column, values)
        if array.null_count and (column.required or (sparse and not column.may_be_absent)):
            self.count_missing(column, items)
        return array

    def _one_by_one(self, column: Column, values: Sequence[Any]) -> pa.Array:
        typed: list[Any] = [None] * len(values)
        for number, value in enumerate(values):
            if value is None:
                continue
            try:
                typed[number] = held = parse(column, value)
            except ValueError as error:
                self.keep(number, column.path, value)
                self.findings.unfit(f"{self.table}.{column.field}", misfit(column, value, error))
            else:
                if column.type == "decimal" and Decimal(str(value)) != held:
                    self.keep(number, column.path, value)
        return pa.array(typed, column.arrow)

    def _keep_unknown(
        self, outer: Column | None, objects: Sequence[JsonRow], known: Collection[str]
    ) -> None:
        unknown = set().union(*objects).difference(known)
        if not unknown:
            return
        path = () if outer is None else outer.path
        for number, item in enumerate(objects):
            for key in item.keys() & unknown:
                self.keep(number, (*path, key), item[key])
                self.findings.unknown_field(".".join((self.table, *path, key)))

    def _count_unknown_values(self, columns: Sequence[Column]) -> None:
        """Values outside of what the API declares: stored, and told."""
        for column, array in zip(columns, self.arrays, strict=True):
            if not column.one_of or not len(array):
                continue
            for value in pc.unique(array).to_pylist():
                if value is not None and value not in column.one_of:
                    self.findings.unknown_value(f"{self.table}.{column.name} = {value!r}")


def parse(column: Column, value: Any) -> Any:
    """One value, not null, as its column holds it.

    Raises:
        ValueError: it does not fit.
    """
    return _PARSERS[column.type](value) if column.type != "json" else _parse_json(value, column)


def misfit(column: Column, value: Any, error: Exception) -> str:
    """The kind of a value that does not fit its column."""
    if isinstance(error, OutOfRangeError):
        return OUT_OF_RANGE
    return UNREADABLE if type(value) in _READABLE.get(column.type, ()) else json_type(value)


def _values_of(
    keys: Sequence[str], items: Sequence[JsonRow]
) -> tuple[dict[str, Sequence[Any]], set[str]]:
    """The values of each key, and the keys that some item lacks. Those that all items have are
    taken at once."""
    common, found = list(keys), dict[str, Sequence[Any]]()
    while common and items:
        try:
            if len(common) == 1:
                found = {common[0]: list(map(itemgetter(common[0]), items))}
            else:
                taken = zip(*map(itemgetter(*common), items), strict=True)
                found = dict(zip(common, taken, strict=True))
            break
        except KeyError as missing:
            common.remove(missing.args[0])
    sparse = set(keys).difference(common)
    for key in keys:
        if key not in found:
            found[key] = [item.get(key) for item in items]
    return found, sparse


# ---- all at once


def _plain(values: Sequence[Any], column: Column) -> pa.Array:
    return pa.array(values, column.arrow)


def _cast_bigint(values: Sequence[Any], column: Column) -> pa.Array:
    array = pa.array(values)
    if not (pa.types.is_int64(array.type) or pa.types.is_null(array.type)):
        raise DoesNotCastError(column.name)
    return array.cast(pa.int64())


def _cast_decimal(values: Sequence[Any], column: Column) -> pa.Array:
    try:
        texts = pa.array(values, pa.string())
    except pa.ArrowTypeError:
        allowed = (int, float, Decimal, str, type(None))
        if any(type(v) not in allowed for v in values):
            raise
        texts = pa.array([v if v is None else str(v) for v in values], pa.string())
    # Arrow makes other numbers of what overflows on the way, such as 2e35 (seen with 26.0)
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > PLAIN_DIGITS or _has_exponent(texts):
        raise DoesNotCastError(column.name)
    return texts.cast(column.arrow)


def _has_exponent(texts: pa.Array) -> bool:
    content = texts.buffers()[2]
    return content is not None and bool(np.any(np.frombuffer(content, np.uint8) | 0x20 == ord("e")))


def _cast_timestamp(values: Sequence[Any], column: Column) -> pa.Array:
    texts = pa.array(values, pa.string())
    shortest = pc.min(pc.binary_length(texts)).as_py()
    if shortest is not None and shortest < len("2026-01-31T09:30:00Z"):
        raise DoesNotCastError(column.name)
    in_utc = pc.all(pc.ends_with(texts, "Z")).as_py() is not False
    if not in_utc and pc.all(pc.match_substring_regex(texts, _OFFSET)).as_py() is False:
        raise DoesNotCastError(column.name)
    return _in_calendar(texts.cast(column.arrow), column)


def _cast_date(values: Sequence[Any], column: Column) -> pa.Array:
    return _in_calendar(pa.array(values, pa.string()).cast(column.arrow), column)


def _in_calendar(moments: pa.Array, column: Column) -> pa.Array:
    """Arrow knows more years than Python: those at the edges are read one by one."""
    ends = pc.min_max(moments)
    first, last = (pc.year(ends[name]).as_py() for name in ("min", "max"))
    if first is not None and not PLAIN_YEARS[0] <= first <= last <= PLAIN_YEARS[1]:
        raise DoesNotCastError(column.name)
    return moments


def _cast_json(values: Sequence[Any], column: Column) -> pa.Array:
    kinds = {type(v) for v in values} - {type(None)}
    if kinds - {column.container or dict, column.container or list}:
        raise DoesNotCastError(column.name)
    return pa.array([None if v is None else dump_json(v) for v in values], pa.string())


_CASTS: Mapping[DataType, Callable[[Sequence[Any], Column], pa.Array]] = {
    "bigint": _cast_bigint,
    "text": _plain,
    "bool": _plain,
    "decimal": _cast_decimal,
    "timestamp": _cast_timestamp,
    "date": _cast_date,
    "json": _cast_json,
}


# ---- one by one


def _parse_json(value: Any, column: Column) -> str:
    if value == [] and column.container is dict:
        return "{}"  # as servers in some languages write an empty map
    if type(value) not in (column.container or dict, column.container or list):
        raise ValueError("neither a map nor a list")
    try:
        return dump_json(value)
    except TypeError as error:
        raise OutOfRangeError("nests too deeply") from error


_PARSERS: Mapping[DataType, Callable[[Any], Any]] = {
    "bigint": parse_int,
    "text": parse_text,
    "bool": parse_bool,
    "decimal": parse_decimal,
    "timestamp": parse_timestamp,
    "date": parse_date,
}

_READABLE: Mapping[DataType, tuple[type, ...]] = {
    "decimal": (str, int, float, Decimal),
    "timestamp": (str,),
    "date": (str,),
}
"""What JSON has for the types that it does not know: such a value is not of another type."""
