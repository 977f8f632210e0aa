"""Pages of JSON rows to typed Arrow tables.

Two speeds, one result. The *fast path* takes columns straight from the parsed JSON and lets
Arrow cast them to the model's types; it accepts only what needs no thought. A batch that does
not cast so goes down the *exact path*: pydantic, row by row, which says what is wrong with the
rows that do not fit, and converts the rest.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from sources.eduframe.declare import Endpoint, JsonRow
from sources.eduframe.rows.hashing import concat_texts, hash_rows, row_texts, set_texts
from sources.eduframe.rows.json_text import dump_deep_json, dump_json
from sources.eduframe.rows.nested import Indices, UnfitError, explode, explode_all
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES, Column, Table

_NOTHING: dict[str, Any] = {"object": None, "custom": {}, "associations": {}}
"""What stands for no children at all, where that is no empty list."""


_OFFSET = r"(Z|[+-]\d\d:?\d\d)$"
PLAIN_YEARS = (2, 9998)
"""In these years Python and Arrow agree on a moment, whatever its offset."""


class DoesNotCastError(Exception):
    """The fast path cannot take this batch."""


@dataclass(frozen=True)
class Rejected:
    """A row that does not fit its model. ``key`` is None where it has no usable key."""

    key: tuple[Any, ...] | None
    row: str
    reason: str


@dataclass
class Normalised:
    """A batch of typed rows, all tables without bookkeeping but for ``_extra``.

    ``owners[table]`` holds, for each row of a child table, the index of its main row.
    """

    main: pa.Table
    hashes: npt.NDArray[np.int64]
    children: dict[str, pa.Table]
    owners: dict[str, Indices]
    rejected: list[Rejected] = field(default_factory=list)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    unknown_values: Counter[str] = field(default_factory=Counter)


def normalise(endpoint: Endpoint, rows: Sequence[Any]) -> Normalised:
    """Turn raw rows of a list into typed tables, setting aside what does not fit."""
    try:
        return _build(endpoint, rows, rows, exact=False)
    except (DoesNotCastError, TypeError):  # a TypeError: nested too deeply to be written as JSON
        pass
    good_raw: list[JsonRow] = []
    good_typed: list[JsonRow] = []
    rejected: list[Rejected] = []
    for raw in rows:
        try:
            typed = validate(endpoint, raw)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            rejected.append(Rejected(key_of(endpoint, raw), dump_deep_json(raw), reason(error)))
        else:
            good_raw.append(raw)
            good_typed.append(typed)
    normalised = _build(endpoint, good_typed, good_raw, exact=True)
    normalised.rejected = rejected
    return normalised


def validate(endpoint: Endpoint, raw: Any) -> JsonRow:
    """One row, typed by its model. Null and absence of a nested part mean: no children.

    Raises:
        ValueError: the row does not fit (pydantic's ``ValidationError`` is one).
    """
    if not isinstance(raw, dict):
        raise UnfitError(f"a {type(raw).__name__} where an object belongs")
    try:
        dump_json(raw)
    except TypeError:
        raise UnfitError("it nests too deeply to be kept") from None
    row = dict(raw)
    for child in endpoint.children:
        value = row.get(child.field)
        nothing = _NOTHING.get(child.shape, [])
        required = endpoint.row.model_fields[child.field].is_required()
        if (value is None and required) or value in ([], {}):
            row[child.field] = nothing
    typed = endpoint.row.model_validate(row).model_dump(mode="python")
    for column in MAIN_TABLES[endpoint.table].columns:
        value = _dig(typed, column.path)
        if column.type == "bigint" and isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise UnfitError(f"{column.name}: {value} is too large for a 64-bit integer")
        if len(column.path) == 1 and column.path[0] not in endpoint.row.model_fields:
            typed[column.name] = raw.get(column.name)
    for child in endpoint.children:
        for item in explode(child, typed.get(child.field)):
            for name, value in item.items():
                if isinstance(value, int) and not -(2**63) <= value < 2**63:
                    raise UnfitError(f"{child.field}.{name}: {value} is too large")
    return typed


def key_of(endpoint: Endpoint, raw: Any) -> tuple[Any, ...] | None:
    """The key of a raw row, or None where it is not to be had."""
    if not isinstance(raw, dict):
        return None
    types = {c.name: c.type for c in MAIN_TABLES[endpoint.table].columns}
    values = []
    for name in endpoint.key:
        value = raw.get(name)
        if types.get(name) == "bigint":
            if type(value) is not int or not -(2**63) <= value < 2**63:
                return None
        elif type(value) is not str:
            return None
        values.append(value)
    return tuple(values)


def reason(error: Exception) -> str:
    """What is wrong with a row, in a line: the fields, and what pydantic says of each."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    )[:1000]


def _build(
    endpoint: Endpoint, rows: Sequence[JsonRow], raw: Sequence[JsonRow], *, exact: bool
) -> Normalised:
    """All tables of a batch. ``rows`` are typed rows where ``exact``, else the raw ones."""
    table = MAIN_TABLES[endpoint.table]
    result = Normalised(pa.table({}), np.zeros(0, np.int64), {}, {})
    main = _columns(table, rows, raw, exact, result)
    texts = [row_texts(main.columns)] if rows else []
    for child_table in CHILD_TABLES[endpoint.table]:
        children, owners = _children(child_table, rows, raw, main, exact, result)
        result.children[child_table.name] = children
        result.owners[child_table.name] = owners
        if rows:
            skip = len(child_table.owner_columns)
            own = children.columns[skip:]
            texts.append(set_texts(row_texts(_flat(own)), owners, len(rows)))
    result.main = main
    if rows:
        result.hashes = hash_rows(concat_texts(texts))
    return result


def _flat(columns: Iterable[pa.ChunkedArray]) -> list[pa.Array]:
    return [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]


def _columns(
    table: Table,
    rows: Sequence[JsonRow],
    raw: Sequence[JsonRow],
    exact: bool,
    result: Normalised,
) -> pa.Table:
    """The data columns of a main table, and its ``_extra``."""
    known = {c.path[0] for c in table.columns} | {c.field for c in table.endpoint.children}
    known |= set(table.endpoint.row.model_fields)
    arrays = _arrays(table.columns, rows, exact)
    if not exact:
        _check_nested_keys(table, rows)
    extra = _extra(table, table.columns, known, rows, raw, arrays, exact, result)
    _count_unknown_values(table, table.columns, arrays, result)
    names = [c.name for c in table.columns]
    return pa.table([*arrays, extra], names=[*names, "_extra"])


def _check_nested_keys(table: Table, rows: Sequence[JsonRow]) -> None:
    """Unknown keys in a nested object without a table need the exact path's eye for detail."""
    nested: dict[str, set[str]] = {}
    for column in table.columns:
        if len(column.path) == 2:
            nested.setdefault(column.path[0], set()).add(column.path[1])
    for name, known in nested.items():
        for row in rows:
            nested_object = row.get(name)
            if type(nested_object) is not dict or not nested_object.keys() <= known:
                raise DoesNotCastError(name)


def _children(
    table: Table,
    rows: Sequence[JsonRow],
    raw: Sequence[JsonRow],
    main: pa.Table,
    exact: bool,
    result: Normalised,
) -> tuple[pa.Table, Indices]:
    """The rows of a child table with their owners' keys, and each one's index of main row."""
    child = table.child
    assert child is not None
    try:
        items, owners = explode_all(child, rows)
        raw_items = explode_all(child, raw)[0] if exact and child.row is not None else items
    except (ValueError, TypeError, AttributeError) as error:
        raise DoesNotCastError(child.field) from error
    columns = table.columns[len(table.owner_columns) :]
    typed = exact or child.shape == "custom"
    arrays = _arrays(columns, items, typed)
    known = {c.path[0] for c in columns} | set(table.owner_columns)
    if child.row is not None:
        known |= set(child.row.model_fields)
    extra = _extra(table, columns, known, items, raw_items, arrays, exact, result)
    _count_unknown_values(table, columns, arrays, result)
    index = pa.array(owners)
    keys: list[pa.Array] = []
    if child.shared:
        keys.append(pa.repeat(pa.scalar(table.endpoint.table), len(items)))
    keys += [main.column(source).take(index) for source in child.owner.values()]
    names = [*table.owner_columns, *(c.name for c in columns), "_extra"]
    return pa.table([*_flat(keys), *arrays, extra], names=names), owners


def _arrays(columns: Sequence[Column], items: Sequence[JsonRow], exact: bool) -> list[pa.Array]:
    """The columns of a batch."""
    keys: dict[tuple[str, ...], list[str]] = {}
    for column in columns:
        keys.setdefault(column.path[:-1], []).append(column.path[-1])
    values = {}
    try:
        for outer, inner in keys.items():
            objects = [item.get(outer[0]) or {} for item in items] if outer else items
            values[outer] = _values_of(inner, objects)
    except (AttributeError, TypeError) as error:  # not an object
        raise DoesNotCastError(", ".join(column.name for column in columns)) from error
    return [_column(c, values[c.path[:-1]][c.path[-1]], exact) for c in columns]


def _values_of(keys: Sequence[str], items: Sequence[JsonRow]) -> dict[str, Sequence[Any]]:
    """The values of each key. Those of keys that every item has are taken all at once."""
    common, found = list(keys), dict[str, Sequence[Any]]()
    while len(common) > 1 and items:
        try:
            taken = zip(*map(itemgetter(*common), items), strict=True)
            found = dict(zip(common, taken, strict=True))
            break
        except KeyError as missing:
            common.remove(missing.args[0])
    return {key: found.get(key) or [item.get(key) for item in items] for key in keys}


def _column(column: Column, values: Sequence[Any], exact: bool) -> pa.Array:
    """One column of a batch.

    Raises:
        DoesNotCastError: on the fast path, where a value is not plainly of the column's type.
    """
    if exact:
        if column.type == "json":
            values = [None if v is None else dump_json(v) for v in values]
        return pa.array(values, column.arrow)
    try:
        array = _CASTS.get(column.type, _plain)(values, column)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError) as error:
        raise DoesNotCastError(column.name) from error
    if column.required and array.null_count:
        raise DoesNotCastError(column.name)
    return array


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
        allowed = (int, float, str, type(None))
        if any(type(v) not in allowed for v in values):
            raise
        texts = pa.array([v if v is None else str(v) for v in values], pa.string())
    return texts.cast(column.arrow)


def _cast_timestamp(values: Sequence[Any], column: Column) -> pa.Array:
    texts = pa.array(values, pa.string())
    shortest = pc.min(pc.binary_length(texts)).as_py()
    if shortest is not None and shortest < len("2026-01-31T09:30:00Z"):
        raise DoesNotCastError(column.name)
    in_utc = pc.all(pc.ends_with(texts, "Z")).as_py() is not False
    if not in_utc and pc.all(pc.match_substring_regex(texts, _OFFSET)).as_py() is False:
        raise DoesNotCastError(column.name)
    return _in_calendar(texts.cast(column.arrow), column)


def _cast_json(values: Sequence[Any], column: Column) -> pa.Array:
    kinds = {type(v) for v in values} - {type(None)}
    if kinds - {column.container or dict, column.container or list}:
        raise DoesNotCastError(column.name)
    return pa.array([None if v is None else dump_json(v) for v in values], pa.string())


def _cast_date(values: Sequence[Any], column: Column) -> pa.Array:
    return _in_calendar(pa.array(values, pa.string()).cast(column.arrow), column)


def _in_calendar(moments: pa.Array, column: Column) -> pa.Array:
    """Arrow knows more years than Python: leave those at the edges to the exact path."""
    ends = pc.min_max(moments)
    first, last = (pc.year(ends[name]).as_py() for name in ("min", "max"))
    if first is not None and not PLAIN_YEARS[0] <= first <= last <= PLAIN_YEARS[1]:
        raise DoesNotCastError(column.name)
    return moments


_CASTS: Mapping[str, Callable[[Sequence[Any], Column], pa.Array]] = {
    "bigint": _cast_bigint,
    "decimal": _cast_decimal,
    "timestamp": _cast_timestamp,
    "date": _cast_date,
    "json": _cast_json,
}


def _extra(
    table: Table,
    columns: Sequence[Column],
    known: set[str],
    items: Sequence[JsonRow],
    raw: Sequence[JsonRow],
    arrays: Sequence[pa.Array],
    exact: bool,
    result: Normalised,
) -> pa.Array:
    """What the columns do not hold, as JSON: unknown fields, and values that did not parse."""
    extras: dict[int, JsonRow] = {}
    if set().union(*raw) - known:
        for number, item in enumerate(raw):
            unknown = {name: value for name, value in item.items() if name not in known}
            if unknown:
                extras[number] = unknown
                result.unknown_fields.update(f"{table.name}.{name}" for name in unknown)
    if exact:
        for column in columns:
            for number, (item, source) in enumerate(zip(items, raw, strict=True)):
                _keep_as_served(column, item, source, extras.setdefault(number, {}))
        for number, source in enumerate(raw):
            _keep_nested_unknown(table, columns, source, number, extras, result)
    if not any(extras.values()):
        return pa.nulls(len(items), pa.string())
    return pa.array(
        [dump_json(extras[n]) if extras.get(n) else None for n in range(len(items))], pa.string()
    )


def _keep_as_served(column: Column, typed: JsonRow, raw: JsonRow, extra: JsonRow) -> None:
    """Keep a value whose column holds less than was served (a loose date, a rounded number)."""
    if not column.loose and column.type != "decimal":
        return
    served, held = _dig(raw, column.path), _dig(typed, column.path)
    if served is None:
        return
    lost = held is None
    if column.type == "decimal" and isinstance(held, Decimal):
        lost = Decimal(str(served)) != held
    if lost:
        extra[column.name] = served


def _keep_nested_unknown(
    table: Table,
    columns: Sequence[Column],
    raw: JsonRow,
    number: int,
    extras: dict[int, JsonRow],
    result: Normalised,
) -> None:
    for outer in {c.path[0] for c in columns if len(c.path) == 2}:
        inner = {c.path[1] for c in columns if c.path[0] == outer}
        unknown = {k: v for k, v in (raw.get(outer) or {}).items() if k not in inner}
        if unknown:
            extras.setdefault(number, {})[outer] = unknown
            result.unknown_fields.update(f"{table.name}.{outer}.{name}" for name in unknown)


def _dig(item: JsonRow, path: tuple[str, ...]) -> Any:
    value: Any = item
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _count_unknown_values(
    table: Table, columns: Sequence[Column], arrays: Sequence[pa.Array], result: Normalised
) -> None:
    """Values outside of what the API declares: kept, and told."""
    for column, array in zip(columns, arrays, strict=True):
        if not column.one_of or len(array) == 0:
            continue
        for value in pc.unique(array).to_pylist():
            if value is not None and value not in column.one_of:
                result.unknown_values[f"{table.name}.{column.name} = {value!r}"] += 1

