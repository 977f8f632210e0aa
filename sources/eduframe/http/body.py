"""What a body holds: JSON, read a little more leniently than the standard, and exactly."""

import codecs
import json
import math
import re
from decimal import Decimal
from typing import Any

import numpy as np
import orjson

DEEPEST = 100
"""What nests deeper, in a body that orjson does not read, becomes text: no row does."""
MOST_DIGITS = 308
"""A number of more digits before its point is none that a double comes near."""

MOST_DEPTH = 100_000
"""A body that nests deeper than this is not looked at any further."""

_LONG = 16
"""Characters from which on a number may say more than a double or 64 bits hold."""
_RUNS = bytes(ord("0") if chr(c) in "0123456789." else ord(" ") for c in range(256))
_RUN = b"0" * _LONG
_EXACT = re.compile(rb"(?:[0-9]{1,18}|(?![0-9.]{17})[0-9]+\.[0-9]+)(?![0-9.eE])")
"""A number that 64 bits or a double hold, without its sign."""

_BOM = codecs.BOM_UTF8
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_ONE_BYTE = {"iso-8859-1", "latin-1", "latin1", "iso8859-1", "windows-1252", "cp1252"}
"""Character sets that servers name, and use, where JSON is to be UTF-8."""

_ESCAPED = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    r"|u[dD][c-fC-F][0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
"""An escape in a JSON text: two halves of a character, one half, or any other."""
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


def read_json(content: bytes, charset: str | None = None) -> tuple[Any, bool]:
    """The value in a JSON text, and whether something in it had to be mended.

    One odd value must not cost the whole page: ``NaN``, ``Infinity`` and numbers beyond a double
    become their own text, half of a character becomes U+FFFD, and what nests too deeply to be
    read becomes its text. Integers have any size; a number with a fraction that a double cannot
    hold is a ``Decimal``. ``charset`` is what the ``Content-Type`` says: it counts where the
    body is no UTF-8.

    Raises:
        ValueError: that is no JSON.
    """
    content = content.removeprefix(_BOM)
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        try:
            return _Lenient(_text(content, charset)).read(shallow=False)
        except (ValueError, RecursionError):
            raise error from None
    if not _says_more(content):
        return value, False
    try:
        return _Lenient(content.decode()).read(shallow=True)
    except RecursionError:
        return _Lenient(content.decode()).read(shallow=False)


def _says_more(content: bytes) -> bool:
    """Whether a JSON text has numbers of more digits than 64 bits or a double hold.

    Looks for long runs of digits. In a string one may stand by chance where a number could: then
    the exact reading is slower, not different.
    """
    if not _has_run(content):
        return False
    runs = content.translate(_RUNS)
    at = runs.find(_RUN)
    while at >= 0:
        before = content[max(0, at - 8) : at].rstrip(b"-").rstrip()
        if before[-1:] in (b":", b",", b"[", b"") and not _EXACT.match(content, at):
            return True
        end = runs.find(b" ", at)
        at = runs.find(_RUN, end) if end >= 0 else -1
    return False


def _has_run(content: bytes) -> bool:
    """Whether there may be so long a run: within it are three blocks of four digits, wherever it
    begins. Takes a hundredth of the time of reading."""
    content += b"   "[: -len(content) % 4]
    signs = np.frombuffer(content, np.uint8)
    digits = (signs - ord(".")) < ord("9") - ord(".") + 1  # less than a dot wraps round
    blocks = digits.view(np.uint32) == 0x01010101
    return bool((blocks[2:] & blocks[1:-1] & blocks[:-2]).any())


def _text(content: bytes, charset: str | None) -> str:
    if content.startswith(_WIDE) or b"\0" in content[:4]:
        return content.decode(json.detect_encoding(content))
    try:
        return content.decode()
    except UnicodeDecodeError:
        if (charset or "").lower() not in _ONE_BYTE:
            raise
        return content.decode("cp1252", "replace")


class _Lenient:
    """Reads one JSON text by Python's own reader, which lets us say what becomes of a value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._mended = False

    def read(self, *, shallow: bool) -> tuple[Any, bool]:
        text = self._text
        if not shallow:
            text = self._flattened(_ESCAPED.sub(self._whole, text))
        value = json.loads(
            text,
            parse_constant=self._no_number,
            parse_float=self._fraction,
            parse_int=self._integer,
        )
        return value, self._mended

    def _no_number(self, text: str) -> str:
        self._mended = True
        return text

    def _integer(self, text: str) -> int | str:
        return int(text) if len(text) <= MOST_DIGITS else self._no_number(text)

    def _fraction(self, text: str) -> float | Decimal | str:
        number = float(text)
        if not math.isfinite(number) or len(text) > 2 * MOST_DIGITS:
            return self._no_number(text)
        if len(text) < _LONG:
            return number
        exact = Decimal(text)
        return number if exact == Decimal(repr(number)) else exact

    def _whole(self, escape: re.Match[str]) -> str:
        text = escape[0]
        if len(text) != 6 or text[2] not in "dD" or text[3] not in "89abAB" + "cdefCDEF":
            return text
        self._mended = True
        return "\ufffd"

    def _flattened(self, text: str) -> str:
        """The text with everything that nests deeper than :data:`DEEPEST` as a string."""
        parts: list[str] = []
        depth = copied = begun = 0
        for token in _STRUCTURE.finditer(text):
            sign = text[token.start()]
            if sign in "[{":
                depth += 1
                if depth > MOST_DEPTH:
                    raise ValueError("it nests without end")
                if depth == DEEPEST + 1:
                    begun = token.start()
            elif sign in "]}":
                if depth == DEEPEST + 1:
                    parts += [text[copied:begun], json.dumps(text[begun : token.end()])]
                    copied, self._mended = token.end(), True
                depth -= 1
        return "".join([*parts, text[copied:]]) if parts else text
