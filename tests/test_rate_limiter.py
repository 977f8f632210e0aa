"""The request limit, on a clock that tests turn by hand."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sources.eduframe.errors import StoppedError
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.limits.waits import Wait
from tests.clocks import Clock, ask, limiter_of, shared


def test_who_asks_alone_has_a_window_before_it_and_the_others_wait(clock: Clock) -> None:
    limiter = Limiter(20, 10, clock=clock, wait=clock.wait_together)
    for _ in range(15):
        ask(limiter, clock, 0.1)
    sent: list[str] = []
    with ThreadPoolExecutor() as pool:
        with limiter.alone():
            assert clock.now >= 1000 + 10 + 1.2  # all but two of the places are free again

            def other() -> None:
                limiter.acquire()
                sent.append("other")
                limiter.release()

            waiting = pool.submit(other)
            for _ in range(15):
                ask(limiter, clock, 0.01)
                sent.append("mine")
        waiting.result(5)
    assert sent == ["mine"] * 15 + ["other"]


def test_a_stop_ends_the_wait_to_ask_alone(clock: Clock) -> None:
    limiter = limiter_of(clock, requests=3)
    ask(limiter, clock)
    clock.on_wait = limiter.stop.set
    with pytest.raises(StoppedError), limiter.alone():
        pytest.fail("it was let through")
    limiter.stop.clear()
    ask(limiter, clock)  # nobody is alone any more


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


def test_places_of_an_earlier_run_count(clock: Clock, tmp_path: Path) -> None:
    limiter = limiter_of(clock, requests=3, window=10)
    shared(limiter, tmp_path, clock).learn([11, 3, 7])
    assert [ask(limiter, clock) for _ in range(4)] == [1000, 1003, 1007, 1010]


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


def test_each_wait_is_told_once_for_all_threads_before_it_begins(clock: Clock) -> None:
    limiter = Limiter(2, 10, clock=clock, wait=clock.wait_together)
    told: list[tuple[float, str, float]] = []
    limiter.on_wait = lambda wait: told.append((clock.now, wait.reason, wait.seconds))
    ask(limiter, clock)
    ask(limiter, clock)
    threads = [threading.Thread(target=ask, args=[limiter, clock]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == [(1000, "the limit, 2 requests in 10 s, is used", 10)]
    limiter.pause(30)
    ask(limiter, clock)
    assert [reason for _, reason, _ in told[1:]] == ["the API answered 429"]
    assert told[1][2] == pytest.approx(30)


def test_waits_by_the_last_runs_requests_say_so(clock: Clock, tmp_path: Path) -> None:
    limiter = limiter_of(clock)
    told: list[str] = []
    limiter.on_wait = lambda wait: told.append(wait.reason)
    file = shared(limiter, tmp_path, clock)
    file.learn([3, 3, 3])
    assert limiter.waiting is None  # nobody wants to be let through
    ask(limiter, clock)
    assert told == ["the limit, 3 requests in 10 s, was used by an earlier run"]
    shared(limiter_of(clock), tmp_path, clock)
    earlier = limiter_of(clock)
    shared(earlier, tmp_path, clock)
    earlier.pause(600)
    ask(limiter, clock)
    assert told[1:] == ["the API answered an earlier run 429"]


def test_the_wait_that_goes_on_can_be_looked_at(clock: Clock) -> None:
    limiter = limiter_of(clock)
    limiter.pause(600)
    seen: list[Wait | None] = []
    clock.on_wait = lambda: seen.append(limiter.waiting)
    ask(limiter, clock)
    assert seen[0] is not None
    assert (seen[0].reason, seen[0].seconds) == ("the API answered 429", 600)
    assert seen[-1] is not None
    assert seen[-1].seconds == pytest.approx(1)
    assert limiter.waiting is None


def test_short_waits_are_not_told(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    limiter = limiter_of(clock)
    caplog.set_level("INFO")
    limiter.pause(2)
    ask(limiter, clock)
    assert caplog.text == ""


def test_without_an_observer_a_log_has_one_line_a_minute(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = limiter_of(clock, requests=1, window=10)
    caplog.set_level("INFO")
    for _ in range(14):
        ask(limiter, clock)
    assert [record.message.split(",")[0] for record in caplog.records] == ["waiting 10 s"] * 3


def test_time_waited_is_what_passed_not_what_threads_add_up_to(clock: Clock) -> None:
    waiting = threading.Semaphore(0)

    def wait(changed: threading.Condition, seconds: float) -> None:
        waiting.release()
        changed.wait()

    limiter = Limiter(1, 10, clock=clock, wait=wait)
    ask(limiter, clock)
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(limiter.acquire) for _ in range(3)]
        for _ in asking:
            assert waiting.acquire(timeout=10)
        clock.forward(8)
        assert limiter.waited_total == 8
        limiter.stop.set()
        limiter.wake()
        assert all(isinstance(one.exception(10), StoppedError) for one in asking)
    clock.forward(5)
    assert limiter.waited_total == 8
