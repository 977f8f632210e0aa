"""The window's count, kept in a file, so that runs which follow each other share one limit.

Every request leaves a line when it is sent and one when it is answered, with the time of day,
and so does a 429, with the seconds that the API wants to be left alone, and the first good answer
after it. A kill loses nothing of that. What was sent and not answered counts as answered now.

A token without a file is new, and nothing of its window is used, unless the folder has no file of
any token: then the disk may be new, and what the runs' log tells of the last window counts.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from sources.eduframe.digest import hash_text


def window_name(base_url: str, token: str) -> str:
    """The name of the file for a host and a token, which tells nothing of the token."""
    return window_name_of(f"{hash_text(f'{urlsplit(base_url).netloc} {token}'):x}")


def window_name_of(number: str) -> str:
    return f"window.{number}.log"


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
        self.knows_nothing = False
        """Whether the disk may be new, or the file could not be understood; known once open."""

    def open(self) -> list[float]:
        """Begin to write. Returns the ages in seconds of the requests that still count.

        Raises:
            OSError: the folder or the file cannot be written.
        """
        ages = self._read()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if ages is None:
            ages = []
            others = any(p != self._path for p in self._path.parent.glob(window_name_of("*")))
            self.knows_nothing = self._path.exists() or not others
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

    def resumed(self) -> None:
        self._write("=")

    def learn(self, ages: Iterable[float]) -> None:
        """Note requests that were found out of by other means, so that the next run counts them."""
        for age in ages:
            self._write("+", age=age)
            self._write("-", age=age)

    def _write(self, sign: str, more: str = "", age: float = 0.0) -> None:
        if self._handle is not None:
            # a full disk must not end a run: the limit then holds within this run alone
            with contextlib.suppress(OSError):
                line = f"{sign}{self._clock() - age:.3f}{more}\n"
                os.write(self._handle, line.encode("ascii"))

    def _read(self) -> list[float] | None:
        """The ages of the requests in the file; None if there is none, or no such file."""
        sent, answers, pauses = 0, [], []
        try:
            for line in self._path.read_text("ascii").splitlines():
                sign, rest = line[:1], line[1:]
                if sign == "+":
                    sent += 1
                elif sign == "-":
                    answers.append(float(rest))
                elif sign == "!":
                    since, seconds = map(float, rest.split())
                    pauses.append((since, seconds))
                elif sign == "=":
                    pauses.clear()
        except (OSError, ValueError):
            return None
        now = self._clock()
        # a clock that was set back makes nothing older, and nothing longer
        self.pause_left = max(
            (seconds - max(0.0, now - since) for since, seconds in pauses), default=0.0
        )
        self.pause_left = max(0.0, self.pause_left)
        ages = [max(0.0, now - answer) for answer in answers]
        ages += [0.0] * max(0, sent - len(answers))
        return sorted((age for age in ages if age < self._window), reverse=True)


def ages_of_runs(
    runs: Iterable[tuple[datetime, int]], now: datetime, window: float, most: int
) -> list[float]:
    """The ages of the requests that runs of the last window made, for :meth:`Limiter.remember`.

    ``runs`` are the end and the number of requests of each. When within a run its requests were
    made is not known: all of them, ``most`` at the most, count as made at its end. A run that
    ends in the future, by a clock that was wrong, ends now.
    """
    ages: list[float] = []
    for ended, requests in runs:
        age = max(0.0, (now - ended).total_seconds())
        if age < window:
            ages += [age] * min(requests, most)
    return sorted(sorted(ages)[:most], reverse=True)
