"""Nested parts to rows: what each shape of :class:`Child` makes of a nested value.

Each function takes the nested value of one row and gives the rows of its child table, without
the owner's columns. They expect the shape that is declared, and raise :class:`UnfitError` where
they meet another one.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from itertools import chain, compress
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from schemas.eduframe.models.base import parse_decimal
from sources.eduframe.declare import Child, JsonRow, Shape

Indices = npt.NDArray[np.int64]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class UnfitError(ValueError):
    """A nested value does not have the declared shape."""


def explode(child: Child, value: Any) -> Sequence[JsonRow]:
    """The child rows in the nested value of one row; null and empty mean none.

    Raises:
        UnfitError: the value has another shape than the declared one.
    """
    if value is None or value == []:
        return ()
    return _SHAPES[child.shape](child, value)


def explode_all(child: Child, rows: Sequence[JsonRow]) -> tuple[list[JsonRow], Indices]:
    """The child rows of many rows, and for each one the index of its row. Raises like explode."""
    values: list[Any] = [row.get(child.field) for row in rows]
    kinds = set(map(type, values)) - {type(None)}
    if child.shape == "object" and kinds <= {dict}:
        filled = [bool(value) for value in values]
        return list(compress(values, filled)), np.flatnonzero(filled)
    if kinds <= {list}:
        together = list(chain.from_iterable(filter(None, values)))
        if not together or (child.shape == "objects" and _all_differ(child.key, together)):
            counts = [len(value) if value else 0 for value in values]
            return together, _owners(counts)
    found = [explode(child, value) for value in values]
    return list(chain.from_iterable(found)), _owners(list(map(len, found)))


def _all_differ(key: tuple[str, ...], items: Sequence[Any]) -> bool:
    """Whether these are objects of which plainly no two have one key, whosever they are."""
    if set(map(type, items)) != {dict}:
        return False
    if len(key) != 1:
        return not key
    ids = [item.get(key[0]) for item in items]
    return set(map(type, ids)) == {int} and len(set(ids)) == len(ids)


def _owners(counts: Sequence[int]) -> Indices:
    return np.repeat(np.arange(len(counts), dtype=np.int64), np.array(counts, np.int64))


def _object(child: Child, value: Any) -> Sequence[JsonRow]:
    return () if value == {} else (_need(child, value, dict),)


def _objects(child: Child, value: Any) -> Sequence[JsonRow]:
    found = [_need(child, item, dict) for item in _need(child, value, list)]
    return _last_by(child.key, found)


def _links(child: Child, value: Any) -> Sequence[JsonRow]:
    return [{child.column: item} for item in dict.fromkeys(_need(child, value, list))]


def _values(child: Child, value: Any) -> Sequence[JsonRow]:
    return [
        {"position": position, child.column: item}
        for position, item in enumerate(_need(child, value, list))
    ]


def _custom(child: Child, value: Any) -> Sequence[JsonRow]:
    rows = []
    for slug, content in _need(child, value, dict).items():
        items = content if isinstance(content, list) else [content]
        for position, item in enumerate(items):
            if item is not None:
                rows.append({"slug": slug, "position": position, **_typed_value(item)})
    return rows


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
            if _DATE.fullmatch(item):
                try:
                    return {"value_date": date.fromisoformat(item)}
                except ValueError:
                    return {"value_text": item}
            return {"value_text": item}
        case _:
            return {"value_text": orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()}


def _associations(child: Child, value: Any) -> Sequence[JsonRow]:
    """A map from association slug to linked records; older servers give a list of them."""
    if isinstance(value, list):
        items = [_need(child, item, dict) for item in value]
        pairs = [(item.get("slug", item.get("custom_object_slug")), item) for item in items]
    else:
        pairs = [(k, _need(child, v, dict)) for k, v in _need(child, value, dict).items()]
    rows = []
    for slug, item in pairs:
        rest = {k: v for k, v in item.items() if k not in ("slug", "custom_record_ids")}
        records = item.get("custom_record_ids")
        for record in [] if records is None else _need(child, records, list):
            if type(record) is not int:
                raise UnfitError(f"{child.field}: a {type(record).__name__} where an id belongs")
            rows.append({**rest, "association_slug": slug, "custom_record_id": record})
    return _last_by(child.key, rows)


def _need(child: Child, value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise UnfitError(f"{child.field}: a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _last_by(key: tuple[str, ...], rows: list[JsonRow]) -> list[JsonRow]:
    if not key or len(rows) < 2:
        return rows
    if len(key) == 1:
        ids = [row.get(key[0]) for row in rows]
        if all(type(i) is int for i in ids) and len(set(ids)) == len(ids):
            return rows
    return list({tuple(str(row.get(k)) for k in key): row for row in rows}.values())


_SHAPES: dict[Shape, Callable[[Child, Any], Sequence[JsonRow]]] = {
    "object": _object,
    "objects": _objects,
    "links": _links,
    "values": _values,
    "custom": _custom,
    "associations": _associations,
}
