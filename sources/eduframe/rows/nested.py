"""Nested parts to rows: what each shape of :class:`Child` makes of a nested value.

Each shape has a function that takes the nested value of one row and gives the rows of its child
table, without the owner's columns, and what in it is no such row: that stays, as served, with the
owner. Null means that there are no children, and so does what is empty, of the part's own shape.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.eduframe.models.column_types import (
    BIGINT,
    parse_date,
    parse_decimal,
    parse_int,
    parse_text,
)
from sources.eduframe.declare import Child, JsonRow, Shape
from sources.eduframe.rows.columns import parse
from sources.eduframe.rows.findings import NO_KEY, json_type
from sources.eduframe.rows.json_text import dump_deep_json
from sources.eduframe.rows.tables import Table

Indices = npt.NDArray[np.int64]

@dataclass(frozen=True)
class Odd:
    """What of a nested part is no row of its table: rows without a key, or the whole part."""

    served: Any
    kind: str = NO_KEY
    """:data:`NO_KEY` for rows; for a whole part the JSON type that it, or something in it, has in
    place of another."""
    count: int = 1


Exploded = tuple[Sequence[JsonRow], Odd | None]

_NOTHING: dict[Shape, tuple[Any, ...]] = {
    "object": (),
    "objects": ([],),
    "links": ([],),
    "inner links": ([],),
    "values": ([],),
    "custom": ({}, []),
    "associations": ({}, []),
}
"""What says, beside null, that a part holds nothing. An empty map is written as a list by some."""


@dataclass
class Parts:
    """One nested part of many rows, as rows of its table."""

    items: list[JsonRow]
    owners: Indices
    """For each item the index of its row."""
    missing: bool = False
    """Whether some row has nothing there, or null."""
    odd: dict[int, Odd] = field(default_factory=dict)
    """By row."""


def explode(table: Table, value: Any) -> Exploded:
    """The rows of a child table in the nested value of one row, and what else is in it."""
    assert table.child is not None
    if value is None or value in _NOTHING[table.child.shape]:
        return (), None
    return _SHAPES[table.child.shape](table, value)


def nested_rows(table: Table, row: JsonRow) -> list[JsonRow]:
    """The raw rows of a child table in one row, with the columns that their owner gives them."""
    child = table.child
    assert child is not None
    from_owner = {mine: row.get(theirs) for mine, theirs in child.owner.items()}
    return [{**item, **from_owner} for item in explode(table, row.get(child.field))[0]]


def explode_all(table: Table, rows: Sequence[JsonRow]) -> Parts:
    """The rows of a child table in many rows: the same as one by one, but mostly at once."""
    assert table.child is not None
    values: list[Any] = [row.get(table.child.field) for row in rows]
    kinds = set(map(type, values))
    missing = type(None) in kinds
    found = _at_once(table.child, values, kinds - {type(None)})
    if found is not None:
        items, counts = found
        return Parts(items, _owners(counts), missing)
    several = [explode(table, value) for value in values]
    items = list(chain.from_iterable(items for items, _ in several))
    odd = {number: left for number, (_, left) in enumerate(several) if left is not None}
    return Parts(items, _owners([len(items) for items, _ in several]), missing, odd)


def _at_once(
    child: Child, values: Sequence[Any], kinds: set[type]
) -> tuple[list[JsonRow], Sequence[int]] | None:
    """The items of all parts, and how many each has; None where that needs a closer look."""
    if child.shape == "object":
        filled = [value for value in values if value is not None]
        if kinds <= {dict} and all(filled) and (not child.key or _plain_keys(child.key, filled)):
            return filled, list(map(bool, values))
        return None
    if not kinds <= {list}:
        return None
    lists = [value or () for value in values]
    together = list(chain.from_iterable(lists))
    if not together or (child.shape == "objects" and _all_differ(child.key, together)):
        return together, list(map(len, lists))
    if child.shape == "links" and _are_ids(together):
        linked = list(map(dict.fromkeys, lists))
        return [{child.column: item} for ids in linked for item in ids], list(map(len, linked))
    if child.shape == "values" and set(map(type, together)) == {str}:
        items = [{"position": n, child.column: t} for own in lists for n, t in enumerate(own)]
        return items, list(map(len, lists))
    return None


def _are_ids(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {int} and max(values) in BIGINT and min(values) in BIGINT


def _plain_keys(key: tuple[str, ...], items: Sequence[JsonRow]) -> bool:
    """Whether the key of all these objects is an id, and plainly so."""
    try:
        return not items or (len(key) == 1 and _are_ids(list(map(itemgetter(key[0]), items))))
    except KeyError:
        return False


def _all_differ(key: tuple[str, ...], items: Sequence[Any]) -> bool:
    """Whether these are objects of which plainly no two have one key, whosever they are."""
    if set(map(type, items)) != {dict}:
        return False
    if not key:
        return True
    return _plain_keys(key, items) and len(set(map(itemgetter(key[0]), items))) == len(items)


def _owners(counts: Sequence[int]) -> Indices:
    return np.repeat(np.arange(len(counts), dtype=np.int64), np.array(counts, np.int64))


def _object(table: Table, value: Any) -> Exploded:
    if type(value) is not dict or not value:  # an empty one tells nothing of what is there
        return _whole(value, value)
    return ((value,), None) if _key_of(table, value) is not None else ((), Odd(value))


def _objects(table: Table, value: Any) -> Exploded:
    if type(value) is not list:
        return _whole(value, value)
    if _all_differ(table.key, value):
        return value, None
    return _last_of_each(table, value)


def _links(table: Table, value: Any) -> Exploded:
    if type(value) is not list:
        return _whole(value, value)
    assert table.child is not None
    linked: dict[int, None] = {}
    left = []
    for item in value:
        try:
            linked[parse_int(item)] = None
        except ValueError:
            left.append(item)
    return [{table.child.column: item} for item in linked], _keyless(table, left)


def _inner_links(table: Table, value: Any) -> Exploded:
    if type(value) is not list:
        return _whole(value, value)
    assert table.child is not None
    assert table.child.inner is not None
    of, column = table.key
    linked: dict[int, dict[int, None]] = {}
    odd = None
    for item in value:
        ids = item.get(table.child.inner) if type(item) is dict else None
        try:
            if type(ids) is not list:
                raise ValueError("no list of ids")
            linked[parse_int(item.get("id"))] = {parse_int(one): None for one in ids}
        except ValueError:
            odd = Odd(value)
    return [{of: ident, column: to} for ident, ids in linked.items() for to in ids], odd


def _values(table: Table, value: Any) -> Exploded:
    if type(value) is not list:
        return _whole(value, value)
    assert table.child is not None
    rows, odd = [], None
    for position, item in enumerate(value):
        try:
            rows.append({"position": position, table.child.column: parse_text(item)})
        except ValueError:
            odd = odd or Odd(value, json_type(item))
    return rows, odd


def _custom(table: Table, value: Any) -> Exploded:
    if type(value) is not dict:
        return _whole(value, value)
    rows = []
    for slug, content in value.items():
        items = content if isinstance(content, list) else [content]
        for position, item in enumerate(items):
            if item is not None:
                rows.append({"slug": slug, "position": position, **_typed_value(item)})
    return rows, None


def _typed_value(item: Any) -> JsonRow:
    """The one ``value_…`` column that a custom value belongs in, and its value there."""
    match item:
        case bool():
            return {"value_boolean": item}
        case int() | float() | Decimal():
            try:
                return {"value_number": parse_decimal(item)}
            except ValueError:
                return {"value_text": str(item)}
        case str():
            if len(item) == len("2026-01-31"):
                with suppress(ValueError):
                    return {"value_date": parse_date(item)}
            return {"value_text": item}
        case _:
            return {"value_text": dump_deep_json(item)}


def _associations(table: Table, value: Any) -> Exploded:
    """A map from association slug to linked records; older servers give a list of them."""
    if type(value) not in (dict, list):
        return _whole(value, value)
    pairs: list[tuple[Any, Any]] = (
        list(value.items()) if isinstance(value, dict) else [(None, item) for item in value]
    )
    found: list[JsonRow] = []
    odd = None
    for slug, item in pairs:
        records = item.get("custom_record_ids") if type(item) is dict else item
        if type(item) is not dict or not isinstance(records, list | type(None)):
            odd = odd or _whole(value, records)[1]
            continue
        if slug is None:
            slug = item.get("slug", item.get("custom_object_slug"))
        rest = {k: v for k, v in item.items() if k not in ("slug", "custom_record_ids")}
        found += [
            {**rest, "association_slug": slug, "custom_record_id": record}
            for record in records or ()
        ]
    rows, keyless = _last_of_each(table, found)
    if keyless and not odd:
        odd = Odd(value, NO_KEY, keyless.count)
    return rows, odd


def _whole(value: Any, found: Any) -> tuple[tuple[()], Odd]:
    """The whole part is odd, for what was found in it."""
    return (), Odd(value, json_type(found))


def _keyless(table: Table, rows: list[Any]) -> Odd | None:
    if not rows:
        return None
    return Odd(rows, count=len(rows)) if table.key else Odd(rows, json_type(rows[0]))


def _key_of(table: Table, item: Any) -> tuple[Any, ...] | None:
    """The key of a nested row, or None where it has no usable one."""
    if type(item) is not dict:
        return None
    columns = {column.name: column for column in table.columns}
    try:
        served = [item.get(name) for name in table.key]
        found = [parse(columns[n], v) for n, v in zip(table.key, served, strict=True)]
    except ValueError:
        return None
    return None if None in served else tuple(found)


def _last_of_each(table: Table, items: Sequence[Any]) -> Exploded:
    """The nested rows of one owner: the last of those with one key, and what has no key."""
    keys = [_key_of(table, item) for item in items]
    left = [item for item, key in zip(items, keys, strict=True) if key is None]
    rows = [item for item, key in zip(items, keys, strict=True) if key is not None]
    if table.key:
        rows = list({key: item for key, item in zip(keys, items, strict=True) if key}.values())
    return rows, _keyless(table, left)


_SHAPES: dict[Shape, Callable[[Table, Any], Exploded]] = {
    "object": _object,
    "objects": _objects,
    "links": _links,
    "inner links": _inner_links,
    "values": _values,
    "custom": _custom,
    "associations": _associations,
}
