"""JSON as it is stored and compared: one form of text for one value."""

import json
from typing import Any

import orjson


def dump_json(value: Any) -> str:
    """JSON text with sorted keys, the form in which JSON columns are stored and compared.

    Raises:
        TypeError: it nests deeper than 254 times.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str).decode()


def dump_deep_json(value: Any) -> str:
    """The same for a value that may nest deeper; where nothing can write that, words instead."""
    try:
        return dump_json(value)
    except TypeError:
        try:
            return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        except RecursionError:
            return '"(nested too deeply to be written down)"'


def dump_fields(row: dict[str, Any]) -> str:
    """The same for an object: words stand only for those of its fields that nest too deeply."""
    try:
        return dump_json(row)
    except TypeError:
        pairs = (f"{dump_json(name)}:{dump_deep_json(row[name])}" for name in sorted(row))
        return "{" + ",".join(pairs) + "}"
