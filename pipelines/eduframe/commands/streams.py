"""The standard streams, made such that printing never ends a command.

What was synced is synced, whatever becomes of the words about it: a stream may be closed
(``>&-``), its reader may have gone (``| head -1``), and its encoding may lack characters.
"""

import codecs
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, TextIO, cast

from sources.eduframe.display import escaped

NEAREST = {"·": ".", "…": "...", "×": "x", "–": "-", "─": "-", "’": "'", "€": "EUR"}
"""What stands for characters that a stream cannot encode; a question mark for all others."""
_REPLACING = "eduframe-nearest"


class LineFormatter(logging.Formatter):
    """Makes a line of each record, and of each line of a traceback, whatever a server put in."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return escaped_lines(super().formatException(ei))


def escaped_lines(text: str) -> str:
    """The text, of which each line is escaped."""
    return "\n".join(map(escaped, text.split("\n")))


@contextmanager
def steady_streams() -> Iterator[None]:
    """While this lasts, standard output and error take everything, and lose what they cannot."""
    before = sys.stdout, sys.stderr
    _open_closed()
    codecs.register_error(_REPLACING, _nearest)
    steady = _Steady(sys.stdout or _nowhere(1)), _Steady(sys.stderr or _nowhere(2))
    sys.stdout, sys.stderr = cast(tuple[TextIO, TextIO], steady)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in steady:
            stream.end()


def _open_closed() -> None:
    """Let what is closed lead nowhere: else the next file to be opened is printed into."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(NEAREST.get(char, "?") for char in lacking), error.end


def _nowhere(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", closefd=False)


class _Steady:
    """A text stream that goes on, to nowhere, once nobody reads it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_REPLACING)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._lead_nowhere()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._lead_nowhere()

    def end(self) -> None:
        """Write what is left; what cannot be written was told, or has no reader."""
        try:
            self._stream.flush()
        except OSError:
            self._lead_nowhere()

    def _lead_nowhere(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
