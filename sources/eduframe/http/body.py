"""What a body holds: JSON, read a little more leniently than the standard."""

import json
import math
import re
from typing import Any

import orjson

_HALF = re.compile("[\ud800-\udfff]")
"""Half of a character: a UTF-16 surrogate without its other half, which no database stores."""


def read_json(content: bytes) -> tuple[Any, bool]:
    """The value in a JSON text, and whether something in it had to be mended.

    One odd value must not cost the whole page: ``NaN``, ``Infinity`` and numbers beyond a double
    become their own text, half of a character becomes U+FFFD.

    Raises:
        ValueError: that is no JSON.
    """
    try:
        return orjson.loads(content), False
    except orjson.JSONDecodeError as error:
        try:
            value = json.loads(content, parse_constant=str, parse_float=_finite)
            return orjson.loads(_HALF.sub("\ufffd", json.dumps(value, ensure_ascii=False))), True
        except (ValueError, RecursionError):
            raise error from None


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text
