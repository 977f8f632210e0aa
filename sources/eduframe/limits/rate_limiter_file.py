"""The request window of a host and token, in a file that all programs of this machine share.

Every request leaves a line when it is sent and one when it is answered, with the time of day and
the program that asks; so does a 429, with the seconds that the API wants to be left alone, and the
first good answer after it. Whoever wants to ask reads what the others added, and adds its own line,
while it alone may: so all of them together stay within the limit. A kill loses nothing of that. A
request that was sent, and of which nothing was heard for as long as one may take, counts as
answered then. The file is written anew by each program that begins, to hold what counts alone; a
last line in the old one sends those that have it open to the new one.

A program whose name says for which dataset it asks is counted until somebody says that its requests
are booked there: so what a kill left unbooked is known, however long ago that was.

A token without a file is new, and nothing of its window is used, unless the folder has no file of
any token: then the disk may be new, and what the runs' log tells of the last window counts.
"""

import contextlib
import logging
import os
import secrets
import sys
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from sources.eduframe.digest import hash_text
from sources.eduframe.private_files import make_private_folder, write_private

log = logging.getLogger("eduframe.limiter")

LOCK_SECONDS = 5.0
"""Who may write lets go within a millisecond; after so long it is held by something that hangs."""
UNBOOKED_SECONDS = 30 * 86400.0
"""What nobody has booked for so long is forgotten: its dataset is not synced any more."""
_HEADER_LENGTH = 10
_READ_BYTES = 65536
_REPLACED = b"~\n"


def window_name(base_url: str, token: str) -> str:
    """The name of the file for a host and a token, which tells nothing of the token."""
    return window_name_of(f"{hash_text(f'{urlsplit(base_url).netloc} {token}'):x}")


def window_name_of(number: str) -> str:
    return f"window.{number}.log"


class Line(NamedTuple):
    """What one program has told the others."""

    sign: str
    """+ sent, - answered, # so many were answered, ! a 429, = a good answer after it; $ so many
    were sent, and . all of them are booked."""
    age: float
    """Seconds since then."""
    value: float
    """Of # and $: how many. Of !: the seconds that the API wants to be left alone from then on."""
    who: str


@dataclass
class News:
    """What is in the file that was not read yet."""

    whole: bool = False
    """Whether these are all lines that there are, and what was read before counts no more."""
    lines: list[Line] = field(default_factory=list)


class WindowFile:
    """The requests of the last window, in a file of lines that several programs write.

    Args:
        window: the window's length in seconds.
        longest: the most seconds that a request may take.
        program: the name of this writer. If its requests are to be booked, that is a word for
            where they are, a dot, and what tells it from others.
    """

    def __init__(
        self,
        path: Path,
        window: float,
        *,
        longest: float = 60.0,
        program: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._window = window
        self.longest = longest
        self._clock = clock
        self.me = program or secrets.token_hex(4)
        self._file = self._lock = _Handle(None)
        self._unread = b""
        """What others wrote since the last news."""
        self._is_new = True
        """Whether the file was opened since the last news."""
        self.knows_nothing = False
        """Whether the disk may be new, or the file could not be understood; known once open."""

    def open(self) -> None:
        """Begin to write: keep what still counts, and move aside what cannot be understood.

        Raises:
            OSError: the folder or the file cannot be written.
        """
        make_private_folder(self._path.parent)
        self._lock = _Handle.of(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        with self.exclusive():
            self._tidy()
            self._attach()

    def close(self) -> None:
        """Write and read no more."""
        self._file.close()
        self._lock.close()

    def _tidy(self) -> None:
        if not self._path.exists():
            self.knows_nothing = not any(self._path.parent.glob(window_name_of("*")))
            self._write_anew([])
            return
        try:
            content = self._path.read_text("ascii").splitlines()
            if len(content[0]) != _HEADER_LENGTH - 1:
                raise ValueError("no header")
            lines = [self._line(text) for text in content[1:] if text not in ("", "~")]
        except (ValueError, IndexError):
            aside = self._path.with_suffix(f".damaged-{self._clock():.0f}")
            _send_on(self._path)
            os.replace(self._path, aside)
            log.warning("the file of the request window was damaged, and is now %s", aside)
            self.knows_nothing = True
            self._write_anew([])
            return
        try:
            self._write_anew(self._still_counting(lines))
        except OSError as error:  # a full disk, or Windows, where others have it open
            log.debug("the file of the request window stays as long as it is: %s", error)

    def _attach(self) -> None:
        """Go on with the file as it is now."""
        self._file = _Handle.of(self._path, os.O_RDWR | os.O_APPEND)
        self._unread, self._is_new = self._rest()[_HEADER_LENGTH:].replace(_REPLACED, b""), True

    def _rest(self) -> bytes:
        """What was written since the last read or write."""
        found = b""
        if self._file.number is not None:
            try:
                while read := os.read(self._file.number, _READ_BYTES):
                    found += read
            except OSError as error:
                log.debug("the request window cannot be read: %s", error)
        return found

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """While this writer alone may write. The limit holds within it alone, if the disk does not
        let it. One thread of a program may do this at a time."""
        if self._lock.number is None:
            yield
            return
        _lock(self._lock.number)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # it was not locked, or the disk knows no locks
                _unlock(self._lock.number)

    def news(self) -> News:
        """What others added since the last time. It is to be exclusive."""
        self._read_on()
        news, end = News(self._is_new), self._unread.rfind(b"\n") + 1
        added, self._unread, self._is_new = self._unread[:end], self._unread[end:], False
        for text in added.decode("ascii", "replace").splitlines():
            try:
                news.lines.append(self._line(text))
            except ValueError:  # cut off by a kill or a full disk
                log.debug("a line of the request window makes no sense: %s", text[:50])
        return news

    def _read_on(self) -> None:
        """Read what others wrote, in the file that replaced this one too."""
        self._unread += self._rest()
        if _REPLACED in self._unread:
            self._attach()

    def sent(self) -> None:
        """Tell of a request. It is to be exclusive."""
        self._add(f"+{self._clock():.6f} {self.me}\n")

    def answered(self) -> None:
        self._write(f"-{self._clock():.6f} {self.me}\n")

    def paused(self, seconds: float) -> None:
        self._write(f"!{self._clock():.3f} {seconds:.3f} {self.me}\n")

    def resumed(self) -> None:
        self._write(f"={self._clock():.3f} {self.me}\n")

    def learn(self, ages: Iterable[float]) -> None:
        """Note requests that were found out of by other means; they are news to everyone."""
        now = self._clock()
        lines = (f"#{now - age:.3f} {n}\n" for age, n in Counter(ages).items())
        self._write("".join(lines), is_news=True)

    def unbooked(self) -> dict[str, int]:
        """How many requests each program that books where this one does has sent that are not
        booked, as far as is known: this one's, and those of programs that were killed."""
        try:
            with self.exclusive():
                content = self._path.read_text("ascii", "replace").splitlines()[1:]
        except OSError as error:
            log.debug("what is not booked yet cannot be read: %s", error)
            return {}
        lines = []
        for text in content:
            with contextlib.suppress(ValueError):  # cut off by a kill or a full disk
                lines.append(self._line(text))
        place = self.me.partition(".")[0]
        sent = _sent(line for line in lines if line.who.startswith(f"{place}."))
        return {who: many for who, (many, _) in sent.items()}

    def book(self, programs: Iterable[str]) -> None:
        """Note that all that these programs have sent is booked."""
        now = self._clock()
        self._write("".join(f".{now:.3f} {who}\n" for who in programs))

    def _write(self, text: str, *, is_news: bool = False) -> None:
        with self.exclusive():  # a program that writes the file anew now would lose it
            self._add(text, is_news=is_news)

    def _add(self, text: str, *, is_news: bool = False) -> None:
        """Add lines of this writer, which are news to itself only in a file that it begins with."""
        self._read_on()
        if self._unread and not self._unread.endswith(b"\n"):  # a line cut off by a kill
            self._unread, text = self._unread + b"\n", "\n" + text
        added = text.encode("ascii")
        if is_news or self._is_new:
            self._unread += added
        # a full disk must not end a run: the limit then holds within this run alone
        with contextlib.suppress(OSError):
            if self._file.number is not None:
                os.write(self._file.number, added)

    def _line(self, text: str) -> Line:
        """Raises ``ValueError`` for what is no line."""
        sign, (moment, *more) = text[:1], text[1:].split(" ")
        age = max(0.0, self._clock() - float(moment))  # a clock set back makes nothing older
        match sign, more:
            case ("+" | "-" | "=" | "."), [who]:
                return Line(sign, age, 0.0, who)
            case "!", [seconds, who]:
                return Line(sign, age, float(seconds), who)
            case "#", [many]:
                return Line(sign, age, float(many), "")
            case "$", [many, who]:
                return Line(sign, age, float(many), who)
        raise ValueError("no line of a request window")

    def _write_anew(self, lines: Iterable[str]) -> None:
        fresh = self._path.with_suffix(".new")
        header = f"@{secrets.token_hex(_HEADER_LENGTH // 2 - 1)}\n"
        write_private(fresh, header + "".join(lines))
        if self._path.exists():
            _send_on(self._path)
        os.replace(fresh, self._path)

    def _still_counting(self, lines: Iterable[Line]) -> Iterator[str]:
        """The lines that still mean something, those of many requests made one."""
        now = self._clock()
        lines = list(lines)
        unbooked = _sent(lines)
        under_way: dict[str, deque[float]] = {}
        answered: Counter[int] = Counter()  # by their age in tenths of a second
        pause = 0.0
        for line in lines:
            mine = under_way.setdefault(line.who, deque())
            if line.sign == "+":
                mine.append(line.age)
            elif line.sign == "-":
                answered[int(line.age * 10)] += 1
                if mine:
                    mine.popleft()
            elif line.sign == "#":
                answered[int(line.age * 10)] += int(line.value)
            elif line.sign == "!":
                pause = max(pause, line.value - line.age)
            elif line.sign == "=":
                pause = 0.0
        for who, ages in under_way.items():
            for age in ages:
                if age < self.longest:
                    yield f"+{now - age:.3f} {who}\n"
                    if who in unbooked:  # or it would count twice
                        many, oldest = unbooked[who]
                        unbooked[who] = many - 1, oldest
                else:
                    answered[int((age - self.longest) * 10)] += 1
        for tenths, many in answered.items():
            if tenths / 10 < self._window:
                yield f"#{now - tenths / 10:.3f} {many}\n"
        if pause > 0:
            yield f"!{now:.3f} {pause:.3f} -\n"
        for who, (many, oldest) in unbooked.items():
            if many and oldest < UNBOOKED_SECONDS:
                yield f"${now - oldest:.3f} {many} {who}\n"


def _sent(lines: Iterable[Line]) -> dict[str, tuple[int, float]]:
    """How many requests each program whose requests are booked has sent that are not yet, and the
    age of the first of them."""
    found: dict[str, tuple[int, float]] = {}
    for line in lines:
        if line.sign == ".":
            found.pop(line.who, None)
        elif line.sign in ("+", "$") and "." in line.who:
            many, oldest = found.get(line.who, (0, 0.0))
            more = int(line.value) if line.sign == "$" else 1
            found[line.who] = many + more, max(oldest, line.age)
    return found


def _send_on(path: Path) -> None:
    """Let those who have a file open know that another one has its name from now on."""
    with path.open("ab") as old:
        old.write(b"\n" + _REPLACED)


class _Handle:
    """An open file of the operating system's, which is closed when nobody needs it."""

    def __init__(self, number: int | None) -> None:
        self.number = number
        self._close = None if number is None else weakref.finalize(self, os.close, number)

    def close(self) -> None:
        self.number = None
        if self._close:
            self._close()

    @classmethod
    def of(cls, path: Path, flags: int) -> "_Handle":
        """Open a file; without a number, if that cannot be."""
        try:
            return cls(os.open(path, flags, 0o600))
        except OSError as error:
            log.debug("the file of the request window cannot be opened: %s", error)
            return cls(None)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _unlock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


def _lock(handle: int) -> None:
    """Lock a file, at a twentieth of what ``filelock`` takes: this is done for every request."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return _try_lock(handle)
        except OSError as error:
            if time.monotonic() > deadline:
                log.warning("the request window is locked by a program that hangs: %s", error)
                return None
            time.sleep(0.001)


def ages_of_runs(
    runs: Iterable[tuple[datetime, int]], now: datetime, window: float, most: int
) -> list[float]:
    """The ages of the requests that runs of the last window made, for :meth:`WindowFile.learn`.

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
