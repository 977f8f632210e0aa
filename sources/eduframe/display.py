"""Texts of others, made fit to be shown: escaped, cut, and without the token.

What a server, a proxy or a file name says may hold escape codes that reset a terminal, newlines
that forge a line of a log, megabytes, or the token, which servers echo in many spellings. Whatever
comes from outside goes through here before it stands in an error, a log or a table.
"""

import base64
import html
import re
from urllib.parse import unquote

MOST = 200
"""Characters of a foreign text that are shown."""
LOOKED_AT = 10_000
"""Characters of a foreign text that are looked at: the token is longer when it is encoded."""
RECOGNISABLE = 8
"""Letters and digits from which on a token is recognised in every spelling. A shorter one, which
stands in many a word, only as it is, and where it is the whole of a value or a word."""
WITHHELD = "(not shown: it holds the token)"
INSTEAD = "(token)"

NOTHING = "(?!)"
"""A pattern that matches nowhere."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_NO_LETTERS = re.compile(r"[^a-z0-9]+")


def printable(text: str, most: int = MOST) -> str:
    """The text on one line, without control characters, and cut after ``most`` characters."""
    shown = escaped(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def escaped(text: str) -> str:
    """The text on one line, without control characters, however long it is."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


class Secret:
    """A token that must be in nothing that is shown or stored, however it is spelt.

    Recognised are upper and lower case, percent, JSON and HTML escapes, base64 wherever it
    begins within a longer text, hexadecimal digits, and any of these with other characters in
    between, as where a token is spread over the user name and the host of an address.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        raw = token.encode("utf-8", "surrogatepass")
        spellings = {_letters(token), raw.hex(), *map(_letters, _in_base64(raw))}
        plain = len(_letters(token)) >= RECOGNISABLE
        self._spellings = {s for s in spellings if len(s) >= RECOGNISABLE} if plain else set()
        self._pattern = re.compile("".join(map(_any_spelling, token)), re.IGNORECASE)
        self._short = len(token) < RECOGNISABLE
        own = re.escape(token) or NOTHING
        edge = r"\w" if self._short else NOTHING
        self._word = re.compile(f"(?<!{edge}){own}(?!{edge})")
        self._value = re.compile(rf"(?:^|[=\s\"',:]){own}(?:$|[&#\s\"',;])")

    def is_in(self, text: str) -> bool:
        """Whether a text holds the token, in any spelling."""
        for reading in _readings(text):
            if self._short:
                if self._value.search(reading):
                    return True
                continue
            if self._token in reading:
                return True
            letters = _letters(reading)
            if any(spelling in letters for spelling in self._spellings):
                return True
        return False

    def shown(self, text: str, most: int = MOST) -> str:
        """The text, fit to be shown: see :func:`printable`. The token is replaced in it.

        Where it holds the token in a spelling that cannot be replaced, nothing of it is shown.
        """
        text = text[:LOOKED_AT]
        if self._spellings:
            text = self._pattern.sub(INSTEAD, text)
        else:
            text = self._word.sub(INSTEAD, text)
        return WITHHELD if self.is_in(text) else printable(text, most)


def _letters(text: str) -> str:
    return _NO_LETTERS.sub("", text.lower())


def _readings(text: str) -> list[str]:
    """What a text may be meant to say: as it is, and with its escapes resolved."""
    found = [text]
    for _ in range(3):  # what is encoded twice is decoded twice
        if "&" in text and ";" in text:
            text = html.unescape(text)
        if "\\" in text:
            text = _ESCAPE.sub(_resolve, text)
        if "%" in text:
            text = unquote(text)
        if text == found[-1]:
            break
        found.append(text)
    return found


def _resolve(escape: re.Match[str]) -> str:
    return chr(int(escape[1] or escape[2], 16))


def _in_base64(raw: bytes) -> list[str]:
    """The characters that base64 has for these bytes, after 0, 1 or 2 others and before any."""
    found = []
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode("ascii")
        found.append(text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
    return found


def _any_spelling(char: str) -> str:
    code = f"{ord(char):02x}"
    return (
        f"(?:{re.escape(char)}|%{code}|%25{code}|\\\\u00{code}|\\\\x{code}|"
        f"&#0*{ord(char)};|&#x0*{code};)"
    )
