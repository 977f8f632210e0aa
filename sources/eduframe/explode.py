"""Nested parts to rows: what each shape of :class:`Child` makes of a nested value.

Each function takes the nested value of one row and gives the rows of its child table, without
the owner's columns. They expect the shape that is declared, and raise :class:`Unfit` where they
meet another one.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import orjson

from schemas.base import parse_decimal
from sources.eduframe.declare import Child, JsonRow, Shape

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class Unfit(ValueError):
    """A nested value does not have the declared shape."""


def explode(child: Child, value: Any) -> Sequence[JsonRow]:
    """The child rows in the nested value of one row; null and empty mean none.

    Raises:
        Unfit: the value has another shape than the declared one.
    """
    if value is None or value == []:
        return ()
    return _SHAPES[child.shape](child, value)


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
                raise Unfit(f"{child.field}: a {type(record).__name__} where an id belongs")
            rows.append({**rest, "association_slug": slug, "custom_record_id": record})
    return _last_by(child.key, rows)


def _need(child: Child, value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise Unfit(f"{child.field}: a {type(value).__name__} where a {kind.__name__} belongs")
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
