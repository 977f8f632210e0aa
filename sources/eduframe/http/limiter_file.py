"""The window's count, kept in a file, so that runs which follow each other share one limit.

Every request leaves a line when it is sent and one when it is answered, with the time of day,
and so does a 429, with the seconds that the API wants to be left alone. A kill loses nothing of
that. What was sent and not answered counts as answered now.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from sources.eduframe.digest import hash_text


def window_name(base_url: str, token: str) -> str:
    """The name of the file for a host and a token, which tells nothing of the token."""
    return f"window.{hash_text(f'{urlsplit(base_url).netloc} {token}'):x}.log"


class WindowFile:
    """The requests of the last window, in a file of lines. One process at a time."""

    def __init__(
        self, path: Path, window: float, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._window = window
        self._clock = clock
        self._handle: int | None = None
        self.pause_left = 0.0
        """Seconds that a 429 of an earlier run still asks to wait for; known once open."""

    def open(self, without_memory: int) -> list[float]:
        """Begin to write. Returns the ages in seconds of the requests that still count.

        Without a file, or with one that cannot be understood, as many as ``without_memory``
        requests are taken to have been answered just now.
        """
        ages = self._read()
        if ages is None:
            ages = [0.0] * without_memory
        self._path.parent.mkdir(parents=True, exist_ok=True)
        now = self._clock()
        fresh = self._path.with_suffix(".new")
        lines = [f"+{now - age:.3f}\n-{now - age:.3f}\n" for age in ages]
        lines += [f"!{now:.3f} {self.pause_left:.3f}\n"] if self.pause_left else []
        fresh.write_text("".join(lines), "ascii")
        os.replace(fresh, self._path)
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        return ages

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def sent(self) -> None:
        self._write("+")

    def answered(self) -> None:
        self._write("-")

    def paused(self, seconds: float) -> None:
        self._write("!", f" {seconds:.3f}")

    def _write(self, sign: str, more: str = "") -> None:
        if self._handle is not None:
            # a full disk must not end a run: the limit then holds within this run alone
            with contextlib.suppress(OSError):
                os.write(self._handle, f"{sign}{self._clock():.3f}{more}\n".encode("ascii"))

    def _read(self) -> list[float] | None:
        try:
            lines = self._path.read_text("ascii").splitlines()
            sent = sum(line.startswith("+") for line in lines)
            answers = [float(line[1:]) for line in lines if line.startswith("-")]
            pauses = [line[1:].split() for line in lines if line.startswith("!")]
            ends = [(float(since), float(seconds)) for since, seconds in pauses]
        except (OSError, ValueError):
            return None
        now = self._clock()
        # a clock that was set back makes nothing older, and nothing longer
        self.pause_left = max(
            (seconds - max(0.0, now - since) for since, seconds in ends), default=0.0
        )
        self.pause_left = max(0.0, self.pause_left)
        ages = [max(0.0, now - answer) for answer in answers]
        ages += [0.0] * max(0, sent - len(answers))
        return sorted((age for age in ages if age < self._window), reverse=True)
