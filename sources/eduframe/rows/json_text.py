"""JSON as it is stored and compared: one form of text for one value."""

import json
from decimal import Decimal
from typing import Any

import orjson


def dump_json(value: Any) -> str:
    """JSON text with sorted keys, the form in which JSON columns are stored and compared.

    Numbers keep their digits: integers of any size, and ``Decimal``.

    Raises:
        TypeError: it nests deeper than 254 times.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_other).decode()
    except TypeError:
        try:
            exact = _with_large_integers(value)
        except RecursionError:
            raise TypeError("it nests too deeply") from None
        return orjson.dumps(exact, option=orjson.OPT_SORT_KEYS, default=_other).decode()


def dump_deep_json(value: Any) -> str:
    """The same for a value that may nest deeper; where nothing can write that, words instead."""
    try:
        return dump_json(value)
    except TypeError:
        try:
            return json.dumps(
                value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
            )
        except RecursionError:
            return '"(nested too deeply to be written down)"'


def dump_fields(row: dict[str, Any]) -> str:
    """The same for an object: words stand only for those of its fields that nest too deeply."""
    try:
        return dump_json(row)
    except TypeError:
        pairs = (f"{dump_json(name)}:{dump_deep_json(row[name])}" for name in sorted(row))
        return "{" + ",".join(pairs) + "}"


def _other(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    return str(value)


def _with_large_integers(value: Any) -> Any:
    """The value with integers beyond 64 bits, which orjson does not write, ready to be written."""
    if isinstance(value, dict):
        return {name: _with_large_integers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_large_integers(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return orjson.Fragment(str(value))
    return value
