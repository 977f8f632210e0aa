"""The request limit, on a clock that tests turn by hand."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sources.eduframe.errors import StoppedError
from sources.eduframe.http.limiter import Limiter
from sources.eduframe.http.limiter_file import WindowFile


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.on_wait: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        if self.on_wait:
            self.on_wait()
        self.forward(seconds)

    def wait_together(self, changed: threading.Condition, seconds: float) -> None:
        """Let other threads go on, then move the clock."""
        changed.wait(0.0005)
        self.forward(seconds)

    def forward(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter_of(clock: Clock, requests: int = 3, window: float = 10) -> Limiter:
    return Limiter(requests, window, clock=clock, wait=clock.wait)


def ask(limiter: Limiter, clock: Clock, seconds: float = 0.0) -> float:
    """One request with an answer after so many seconds; returns when it was sent."""
    limiter.acquire()
    sent = clock.now
    clock.forward(seconds)
    limiter.release()
    return sent


def test_the_first_burst_is_free(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=50)
    assert [limiter.acquire() for _ in range(50)] == [0.0] * 50
    assert limiter.left == 0
    assert clock.now == 1000


def test_a_place_is_held_until_one_window_after_the_response(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=1, window=10)
    assert ask(limiter, clock, seconds=7) == 1000
    assert limiter.wait_now == 10
    assert ask(limiter, clock) == 1017


def test_a_request_without_a_response_holds_its_place_for_ever(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=2)
    limiter.acquire()
    ask(limiter, clock)
    clock.forward(100)
    assert limiter.left == 1
    limiter.acquire()
    clock.forward(1000)
    assert limiter.left == 0


def test_places_come_free_one_by_one_and_lost_time_is_caught_up(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=3, window=10)
    for _ in range(3):
        ask(limiter, clock, seconds=2)
    assert [ask(limiter, clock) for _ in range(3)] == [1012, 1014, 1016]
    clock.forward(50)
    assert [limiter.acquire() for _ in range(3)] == [0.0] * 3


def test_acquire_tells_how_long_it_waited(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=1, window=10)
    ask(limiter, clock)
    clock.forward(4)
    assert limiter.acquire() == 6


def test_a_pause_stops_everyone_whatever_is_left(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=4)
    limiter.pause(30)
    limiter.pause(5)
    assert limiter.wait_now == 30
    assert [ask(limiter, clock) for _ in range(3)] == [1030] * 3


def test_a_429_lowers_the_rate_which_then_climbs_back(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=100, window=10)
    limiter.pause(2)
    limiter.pause(2)
    clock.forward(2)
    assert limiter.left == 75
    limiter.pause(2)
    clock.forward(2)
    assert 50 < limiter.left < 75
    clock.forward(100)
    assert limiter.left == 100


def test_however_many_429_there_are_something_is_let_through(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=1, window=10)
    for _ in range(50):
        limiter.pause(1)
        clock.forward(1)
    before = clock.now
    ask(limiter, clock)
    assert clock.now == before


def test_a_stop_ends_waiting_and_lets_nothing_more_through(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=1)
    ask(limiter, clock)
    clock.on_wait = limiter.stop.set
    with pytest.raises(StoppedError):
        limiter.acquire()
    clock.forward(100)
    with pytest.raises(StoppedError):
        limiter.acquire()


def test_a_thread_that_waits_is_woken_by_a_stop() -> None:
    limiter = Limiter(1, 3600)
    limiter.acquire()
    limiter.release()
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(StoppedError):
            limiter.acquire()
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    limiter.stop.set()
    limiter.wake()
    assert ended.wait(10)
    thread.join(10)


def test_places_of_an_earlier_run_count(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=3, window=10)
    ask(limiter, clock)
    limiter.remember([11, 3, 7])
    assert limiter.left == 0
    assert [ask(limiter, clock) for _ in range(3)] == [1003, 1007, 1010]


@pytest.mark.parametrize("seed", range(5))
def test_no_window_ever_holds_more_than_allowed_however_many_threads_ask(
    seed: int, clock: Clock
) -> None:
    """The server may count a request at any moment between its sending and its response."""
    requests, window = 7, 10.0
    limiter = Limiter(requests, window, clock=clock, wait=clock.wait_together)
    log: list[tuple[float, float]] = []

    def work(number: int) -> None:
        dice = random.Random(f"{seed} {number}")
        for _ in range(12):
            limiter.acquire()
            sent = clock.now
            clock.forward(dice.choice((0.0, 0.125, 1.0, 4.0)))  # exact in binary
            answered = clock.now
            limiter.release()
            log.append((sent, answered))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(log) == 120
    for sent, _ in log:
        counted = [(s, a) for s, a in log if s <= sent and a > sent - window]
        earlier = [(s, a) for s, a in counted if s < sent]
        assert len(earlier) < requests
    starts = sorted(sent for sent, _ in log)
    for first, later in zip(starts, starts[requests:], strict=False):
        assert later - first >= window


def test_the_limit_is_used_to_the_full_once_it_binds(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=50, window=3)
    sent = [ask(limiter, clock) for _ in range(500)]
    assert sent[-1] - sent[0] == pytest.approx(9 * 3)


def test_a_pause_that_an_earlier_run_was_asked_for_is_kept(
    clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "window"
    first = WindowFile(path, 300, clock=clock)
    limiter = limiter_of(clock)
    first.open(without_memory=0)
    limiter.journal = first
    limiter.pause(1800)
    first.close()
    clock.forward(600)
    second = WindowFile(path, 300, clock=clock)
    ages = second.open(without_memory=0)
    assert second.pause_left == pytest.approx(1200)
    next_run = limiter_of(clock)
    next_run.remember(ages, second.pause_left)
    assert next_run.wait_now == pytest.approx(1200)
    second.close()
    clock.forward(-7200)  # the clock is set back: nothing gets longer
    third = WindowFile(path, 300, clock=clock)
    third.open(without_memory=0)
    assert third.pause_left == pytest.approx(1200)
    third.close()
