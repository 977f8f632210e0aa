"""The request limit: never more than so many requests in any window, over all threads and programs.

A sliding log. A request holds its place from the moment it is allowed until one window after
its *response*: the server counted it somewhere in between, so however the network jitters, the
server never sees too many in a window. There is no smoothing beyond that: the first burst is
free, and time lost while nothing was asked is caught up.

A 429 all the same means that others use the token too: the rate is lowered, and climbs back.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from sources.eduframe.errors import RateLimitedError, StoppedError
from sources.eduframe.limits.rate_limiter_file import WindowFile, window_name
from sources.eduframe.limits.waits import Wait, from_now, told
from sources.eduframe.state_folder import state_folder

log = logging.getLogger("eduframe.limiter")

Clock = Callable[[], float]

LOWERED_TO = 0.75
"""A 429 lowers the rate to this share of what it was …"""
LEAST_SHARE = 0.1
RECOVERY_WINDOWS = 4.0
"""… and from nothing it would climb back in so many windows."""
MOST_WAITED = 900.0
"""A pause of more seconds is not waited for: the run ends, and the next one asks once."""
ONLY_429 = 1200.0
"""After so many seconds without any answer but 429 the run ends too."""
MOST_USED = 0.1
"""More of the window than this may not be used when a list begins that is read in one go."""
WORTH_SAYING = 2.0
"""Seconds from which on a wait is told …"""
LOG_EVERY = 60.0
"""… and those that must lie between two lines of a log."""


class Limiter:
    """At most ``requests`` requests in any ``window`` seconds. Thread-safe.

    ``clock`` gives seconds and ``wait(condition, seconds)`` waits; both are injected by tests.
    ``stop`` ends every wait with :class:`StoppedError`.
    """

    def __init__(
        self,
        requests: int,
        window: float,
        *,
        clock: Clock = time.monotonic,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
        stop: threading.Event | None = None,
    ) -> None:
        self.requests = requests
        self.window = window
        self.stop = stop or threading.Event()
        self._clock = clock
        self._wait = wait
        self.journal: WindowFile | None = None
        """Where other programs that use the token are told of the requests, and tell of theirs."""
        self.on_wait: Callable[[Wait], object] | None = None
        """Is told, once for all threads, of each wait of more than 2 s, before it begins; it must
        be quick. Without it there is a line in the log, one a minute at most."""
        self.ended: RateLimitedError | None = None
        """Why the limiter itself asked for a stop, if it did."""
        self._changed = threading.Condition()
        self._finished: deque[float] = deque()
        self._in_flight = 0
        self._others: dict[str, deque[float]] = {}
        """When each other program sent the requests that it has no answer to yet."""
        self._paused_until = float("-inf")
        self._share = 1.0
        self._lowered_at = 0.0
        self._when_stopped: list[Callable[[], object]] = []
        self._inherited_until = float("-inf")
        """Places up to here are those of earlier runs."""
        self._inherited_pause = False
        self._only_429_since: float | None = None
        self._probing = False
        """One request at a time, until it is known whether the API still answers 429."""
        self._alone: int | None = None
        """The thread that alone may ask now."""
        self._waiters = 0
        self._wait_began = 0.0
        self._waited = 0.0
        self._said_until = float("-inf")
        self._logged_at = float("-inf")

    def when_stopped(self, call: Callable[[], object]) -> None:
        """Let this be called, by a signal handler too, once a stop was asked for."""
        self._when_stopped.append(call)

    def share(self, journal: WindowFile) -> None:
        """Share the window with all programs that write this file, from now on.

        If a 429 of an earlier run asks for a pause that is too long to be waited for, one request
        finds out whether that still holds.

        Raises:
            OSError: the file cannot be written.
        """
        journal.open()
        with self._changed, journal.exclusive():
            self.journal = journal
            self._catch_up(inherited=True)

    def close(self) -> None:
        """Share the window no more: nothing is asked from now on."""
        with self._changed:
            if self.journal:
                self.journal.close()

    def unbooked(self) -> dict[str, int]:
        """The requests that other programs which book where this one does have not, by program."""
        with self._changed:
            if not self.journal:
                return {}
            found = self.journal.unbooked()
            return {who: many for who, many in found.items() if who != self.journal.me}

    def book(self, programs: Iterable[str]) -> None:
        """What these programs have sent is booked."""
        with self._changed:
            if self.journal:
                self.journal.book(programs)

    def acquire(self) -> float:
        """Wait for a place in the window and take it. Returns the seconds waited.

        Raises:
            StoppedError: a stop was asked for while waiting.
        """
        began = self._clock()
        waits = False
        with self._changed:
            try:
                while True:
                    if self.stop.is_set():
                        raise StoppedError("stopped before all was read")
                    now, delay = self._take()
                    if self.ended:
                        break
                    if delay <= 0:
                        return now - began
                    if not waits:
                        waits = True
                        self._begin_wait(now)
                    self._tell(now, delay, self._reason(delay))
                    self._wait(self._changed, min(delay, 1.0))
            finally:
                if waits:
                    self._end_wait()
        self.stop.set()
        self.wake()
        raise self.ended

    def _take(self) -> tuple[float, float]:
        """Take a place if there is one. Returns the time, and the seconds until there may be."""
        with self._exclusive():
            now = self._catch_up()
            delay = self._delay(now)
            if self._alone not in (None, threading.get_ident()):
                delay = max(delay, 1.0)
            if delay <= 0 and not self.ended:
                self._in_flight += 1
                if self.journal:
                    self.journal.sent()
        return now, delay

    def _exclusive(self) -> AbstractContextManager[None]:
        return self.journal.exclusive() if self.journal else nullcontext()

    def _catch_up(self, *, inherited: bool = False) -> float:
        """Take over what other programs tell of their requests and of their 429s; exclusive.

        Returns the time of now. It is taken after the ages in the file were: between the two a
        busy machine may do other things, and a request must not seem older than it is.
        """
        if not self.journal:
            return self._clock()
        news = self.journal.news()
        now = self._clock()
        if news.whole:
            self._finished.clear()
            self._others.clear()
        answered: list[float] = []
        for sign, age, value, who in news.lines:
            mine = who == self.journal.me
            if sign == "#":
                answered += [now - age] * int(value)
                self._inherited_until = max(self._inherited_until, now - age)
            elif sign == "-" and (news.whole or not mine):
                answered.append(now - age)
                if under_way := self._others.get(who):
                    under_way.popleft()
            elif mine:
                continue
            elif sign == "+":
                self._others.setdefault(who, deque()).append(now - age)
            elif sign == "!":
                self._hear_of_pause(now, value - age, inherited=inherited)
            elif sign == "=":
                self._probing, self._only_429_since = False, None
        for under_way in self._others.values():
            while under_way and under_way[0] + self.journal.longest <= now:
                answered.append(under_way.popleft() + self.journal.longest)
        if answered:
            answered.sort()
            if self._finished and answered[0] < self._finished[-1]:
                answered = sorted([*self._finished, *answered])
                self._finished.clear()
            self._finished.extend(answered)
        return now

    def _hear_of_pause(self, now: float, seconds: float, *, inherited: bool) -> None:
        """Another program was answered 429, and is to leave the API alone for so long from now."""
        if seconds <= 0:
            return
        if seconds <= MOST_WAITED:
            if not inherited:
                self._lower(now, seconds)
            self._paused_until = max(self._paused_until, now + seconds)
            self._inherited_pause = True
        elif inherited:
            self._probing = True
        else:
            until = from_now(seconds)
            self.ended = self.ended or RateLimitedError(
                f"the API wants to be left alone (429) until {told(until)}: the next run asks "
                "once, and goes on",
                until,
            )

    def _lower(self, now: float, seconds: float) -> None:
        """Send nothing for so long, and then less for a while."""
        if now >= self._paused_until:
            self._share = max(LEAST_SHARE, self._share_at(now) * LOWERED_TO)
            self._lowered_at = now + seconds
        self._paused_until = max(self._paused_until, now + seconds)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let this thread alone ask, from when it has nearly a whole window before it.

        For what has to be asked without a wait in between. Other programs may go on to ask: they
        are waited for no longer than a window. Raises like :meth:`acquire`.
        """
        me = threading.get_ident()
        with self._changed:
            while self._alone is not None and not self.stop.is_set():
                self._wait(self._changed, 1.0)
            self._alone = me
        try:
            self._await_window()
            yield
        finally:
            with self._changed:
                self._alone = None
                self._changed.notify_all()

    def _await_window(self) -> None:
        with self._changed:
            patience = self._clock() + self.window + (self.journal.longest if self.journal else 0.0)
            while not self.stop.is_set():
                with self._exclusive():
                    now = self._catch_up()
                self._forget(now)
                many = len(self._finished) - int(self._allowed(now) * MOST_USED)
                if not self._in_flight and (many <= 0 or now >= patience):
                    return
                delay = self._finished[many - 1] + self.window - now if many > 0 else 0.0
                self._tell(now, delay, "a list is read in one go, as its cursor expires else")
                self._wait(self._changed, min(max(delay, 0.01), 1.0))
        raise StoppedError("stopped before all was read")

    def release(self, *, answered: bool = False) -> None:
        """The response is in (or the request failed): its place is free one window from now.

        ``answered`` says that it was an answer, and no 429.
        """
        with self._changed:
            self._in_flight -= 1
            now = self._clock()
            self._finished.append(now)
            if self.journal:
                self.journal.answered()
            if answered and (self._probing or self._only_429_since is not None):
                self._only_429_since = None
                self._probing = False
                if self.journal and now >= self._paused_until:
                    self.journal.resumed()
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """No thread sends anything for so many seconds, and less for a while: a 429.

        Raises:
            RateLimitedError: that is too long to be waited for, or there has been no answer but
                429 for too long. The stop is asked for then; the next run asks once.
        """
        with self._changed:
            now = self._clock()
            self._lower(now, seconds)
            self._inherited_pause = False
            if self._only_429_since is None:
                self._only_429_since = now
            if self.journal:
                self.journal.paused(seconds)
            until = from_now(seconds)
            if seconds > MOST_WAITED:
                words = f"the API wants to be left alone (429) until {told(until)}"
            elif now + seconds > self._only_429_since + ONLY_429:
                words = f"the API answers nothing but 429, for {ONLY_429 / 60:.0f} minutes now"
            else:
                return
            self.ended = RateLimitedError(f"{words}: the next run asks once, and goes on", until)
        self.stop.set()
        self.wake()
        raise self.ended

    def tell(self, seconds: float, reason: str) -> None:
        """Tell of a wait of one thread, if nothing else is under way."""
        with self._changed:
            if not self._in_flight:
                self._tell(self._clock(), seconds, reason)

    def wake(self) -> None:
        """Let waiting threads look at ``stop`` now, and end what is under way if it is set."""
        with self._changed:
            self._changed.notify_all()
        if self.stop.is_set():
            for call in self._when_stopped:
                call()

    @property
    def waiting(self) -> Wait | None:
        """The wait that is going on, if no thread may send anything now and one wants to."""
        with self._changed:
            now = self._clock()
            delay = self._delay(now)
            if not self._waiters or delay <= 0:
                return None
            return Wait(self._reason(delay), delay, from_now(delay))

    @property
    def waited_total(self) -> float:
        """Seconds that passed while threads waited to be let through, however many they were."""
        with self._changed:
            going_on = self._clock() - self._wait_began if self._waiters else 0.0
            return self._waited + going_on

    @property
    def left(self) -> int:
        """Requests that could be sent right now."""
        with self._changed:
            now = self._clock()
            self._forget(now)
            return max(0, self._allowed(now) - self._used)

    @property
    def wait_now(self) -> float:
        """Seconds until the next request may be sent."""
        with self._changed:
            return max(0.0, self._delay(self._clock()))

    @property
    def _used(self) -> int:
        """Places that are taken, by whatever program."""
        return self._in_flight + len(self._finished) + sum(map(len, self._others.values()))

    def _delay(self, now: float) -> float:
        self._forget(now)
        if self._probing and self._in_flight:
            return max(1.0, self._paused_until - now)
        return max(self._paused_until - now, self._window_delay(now))

    def _window_delay(self, now: float) -> float:
        over = self._used - self._allowed(now)
        if over < 0:
            return 0.0
        if over >= len(self._finished):
            return 1.0
        return self._finished[over] + self.window - now

    def _reason(self, delay: float) -> str:
        now = self._clock()
        if self._paused_until - now >= delay:
            if self._inherited_pause:
                return "the API answered an earlier run 429"
            return "the API answered 429"
        limit = f"{self._allowed(now):,} requests in {self.window:g} s"
        over = self._used - self._allowed(now)
        if 0 <= over < len(self._finished) and self._finished[over] <= self._inherited_until:
            return f"the limit, {limit}, was used by an earlier run"
        return f"the limit, {limit}, is used"

    def _begin_wait(self, now: float) -> None:
        if not self._waiters:
            self._wait_began = now
        self._waiters += 1

    def _end_wait(self) -> None:
        self._waiters -= 1
        if not self._waiters:
            self._waited += self._clock() - self._wait_began

    def _tell(self, now: float, seconds: float, reason: str) -> None:
        if seconds <= WORTH_SAYING or now + seconds <= self._said_until + WORTH_SAYING:
            return
        self._said_until = now + seconds
        wait = Wait(reason, seconds, from_now(seconds))
        if self.on_wait:
            self.on_wait(wait)
        elif now - self._logged_at >= LOG_EVERY:
            self._logged_at = now
            log.info("waiting %.0f s, until %s: %s", seconds, told(wait.until), reason)

    def _forget(self, now: float) -> None:
        while self._finished and self._finished[0] + self.window <= now:
            self._finished.popleft()

    def _allowed(self, now: float) -> int:
        return max(1, int(self.requests * self._share_at(now)))

    def _share_at(self, now: float) -> float:
        climbed = max(0.0, now - self._lowered_at) / (RECOVERY_WINDOWS * self.window)
        return min(1.0, self._share + climbed)


def share_window(
    limiter: Limiter, base_url: str, token: str, longest: float, program: str = ""
) -> None:
    """Let the limiter share its window with all programs of this machine that use the token.

    Args:
        longest: the most seconds that a request may take.
        program: the name of this program, where its requests are booked (``WindowFile``).

    Raises:
        SettingsError: the folder for it cannot be written.
        OSError: the file cannot be.
    """
    path = state_folder() / window_name(base_url, token)
    limiter.share(WindowFile(path, limiter.window, longest=longest, program=program))
