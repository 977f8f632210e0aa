"""The request window that programs share, on a clock that tests turn by hand."""

import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sources.eduframe.errors import RateLimitedError
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.limits.rate_limiter_file import WindowFile, ages_of_runs, window_name_of
from tests.clocks import Clock, ask, limiter_of, shared


def test_a_pause_that_an_earlier_run_was_asked_for_is_kept(clock: Clock, tmp_path: Path) -> None:
    first = limiter_of(clock)
    shared(first, tmp_path, clock)
    first.pause(800)
    clock.forward(600)
    second = limiter_of(clock)
    shared(second, tmp_path, clock)
    assert second.wait_now == pytest.approx(200)
    clock.forward(-7200)  # the clock is set back: nothing gets longer
    third = limiter_of(clock)
    shared(third, tmp_path, clock)
    assert third.wait_now == pytest.approx(200)


def test_a_long_pause_ends_the_run_and_the_next_one_asks_once(
    clock: Clock, tmp_path: Path
) -> None:
    first = limiter_of(clock)
    shared(first, tmp_path, clock)
    first.acquire()
    with pytest.raises(RateLimitedError, match="left alone"):
        first.pause(36_000)
    assert first.stop.is_set()
    first.release()
    clock.forward(3600)
    second = limiter_of(clock)
    shared(second, tmp_path, clock)
    assert second.acquire() == 0
    assert second.wait_now > 0  # nobody else, until it is answered
    with pytest.raises(RateLimitedError):
        second.pause(32_400)
    second.release()
    third = limiter_of(clock)
    shared(third, tmp_path, clock)
    third.acquire()
    third.release(answered=True)
    assert third.wait_now == 0
    fourth = limiter_of(clock, requests=9)
    shared(fourth, tmp_path, clock)
    assert fourth.acquire() == 0
    assert fourth.wait_now == 0


def test_a_429_stops_all_programs_of_that_token(clock: Clock, tmp_path: Path) -> None:
    first, second, other = (limiter_of(clock) for _ in range(3))
    for limiter, number in ((first, "1"), (second, "1"), (other, "2")):
        shared(limiter, tmp_path, clock, number)
        ask(limiter, clock)
    first.pause(30)
    assert ask(other, clock) == 1000
    assert ask(second, clock) == pytest.approx(1030)
    first.stop.clear()
    with pytest.raises(RateLimitedError, match="left alone"):
        first.pause(3600)
    with pytest.raises(RateLimitedError, match="left alone"):
        second.acquire()
    assert second.stop.is_set()
    assert ask(other, clock) < 1100


@pytest.mark.parametrize("seed", range(3))
def test_programs_that_share_a_token_stay_within_its_limit_together(
    seed: int, clock: Clock, tmp_path: Path
) -> None:
    requests, window = 9, 10.0
    dice = random.Random(seed)
    programs = [limiter_of(clock, requests, window) for _ in range(4)]
    for limiter in programs:
        shared(limiter, tmp_path, clock)
    under_way: list[tuple[Limiter, float]] = []
    log: list[tuple[float, float]] = []
    for _ in range(300):
        clock.forward(dice.random() / 4)
        if dice.random() < 0.02:  # a run ends, and the next one begins
            shared(dice.choice(programs), tmp_path, clock)
        if len(under_way) == 5 or (under_way and dice.random() < 0.5):
            limiter, sent = under_way.pop(dice.randrange(len(under_way)))
            limiter.release()
            log.append((sent, clock.now))
        else:
            limiter = dice.choice(programs)
            limiter.acquire()
            under_way.append((limiter, clock.now))
    assert len(log) > 100
    for sent, _ in log:
        counted = [(s, a) for s, a in log if s < sent and a > sent - window + 1e-5]
        assert len(counted) < requests  # times in the file are in microseconds


def test_what_a_killed_program_had_sent_counts_for_as_long_as_it_may_take(
    clock: Clock, tmp_path: Path
) -> None:
    killed, living = limiter_of(clock), limiter_of(clock)
    shared(killed, tmp_path, clock)
    shared(living, tmp_path, clock)
    for _ in range(2):
        killed.acquire()
    assert ask(living, clock) == 1000
    assert ask(living, clock) == 1010  # its own place is free again, those two are not
    started_later = limiter_of(clock)
    shared(started_later, tmp_path, clock)
    assert ask(started_later, clock) == pytest.approx(1020)
    clock.forward(1070 - clock.now)
    assert [ask(living, clock) for _ in range(3)] == pytest.approx([1070] * 3, abs=0.2)


def test_an_answer_is_not_lost_to_a_program_that_begins_at_that_moment(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who begins writes the file anew, from what it read a moment before."""
    first, second = limiter_of(clock), limiter_of(clock)
    shared(first, tmp_path, clock)
    first.acquire()
    answering = threading.Thread(target=first.release)

    def slowly(lines: Any, file: Any) -> list[str]:
        kept = list(still_counting(file, lines))
        answering.start()
        answering.join(0.2)
        return kept

    still_counting = WindowFile._still_counting
    with monkeypatch.context() as patched:
        patched.setattr(WindowFile, "_still_counting", lambda self, lines: slowly(lines, self))
        shared(second, tmp_path, clock)
    answering.join()
    assert [ask(first, clock) for _ in range(3)] == pytest.approx([1000, 1000, 1010], abs=0.2)


def test_a_new_token_has_its_whole_window(clock: Clock, tmp_path: Path) -> None:
    first, other = limiter_of(clock), limiter_of(clock)
    assert shared(first, tmp_path, clock).knows_nothing
    ask(first, clock)
    assert not shared(other, tmp_path, clock, "2").knows_nothing
    assert [ask(other, clock) for _ in range(3)] == [1000] * 3


@pytest.mark.parametrize("damage", ["+12\n-what\n", "", "\x00" * 50, "@abcdefgh\n+1 2 3 4\n"])
def test_a_file_that_cannot_be_understood_is_moved_aside(
    clock: Clock, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / window_name_of("1")
    path.write_text(damage)
    limiter = limiter_of(clock)
    file = shared(limiter, tmp_path, clock)
    assert file.knows_nothing
    [aside] = tmp_path.glob("window.1.damaged*")
    assert aside.read_text().startswith(damage)
    file.learn([8.0, 1.0, 1.0])
    later = limiter_of(clock)
    assert not shared(later, tmp_path, clock).knows_nothing
    assert ask(later, clock) == pytest.approx(1002, abs=0.2)


def test_a_line_that_a_kill_cut_off_costs_that_line(clock: Clock, tmp_path: Path) -> None:
    limiter = limiter_of(clock)
    shared(limiter, tmp_path, clock)
    ask(limiter, clock)
    with (tmp_path / window_name_of("1")).open("a") as file:
        file.write("+10")
    assert [ask(limiter, clock) for _ in range(3)] == [1000, 1000, 1010]


def test_programs_see_each_other_whoever_wrote_the_file_anew(
    clock: Clock, tmp_path: Path
) -> None:
    """Each that begins puts another file in its place, before the earlier ones have asked."""
    programs = [limiter_of(clock, requests=6) for _ in range(3)]
    for limiter in programs:
        shared(limiter, tmp_path, clock)
    for limiter in programs:
        ask(limiter, clock)
    programs[0].acquire()
    shared(limiter_of(clock), tmp_path, clock)
    programs[0].release()  # in the new file, which it has not looked at yet
    assert ask(programs[1], clock) == 1000
    assert ask(programs[0], clock) == 1000
    assert [ask(limiter, clock) for limiter in programs] == pytest.approx([1010] * 3, abs=0.2)


def test_a_line_that_is_cut_off_takes_no_other_with_it(clock: Clock, tmp_path: Path) -> None:
    first, second = limiter_of(clock), limiter_of(clock)
    for limiter in (first, second):
        shared(limiter, tmp_path, clock)
    with (tmp_path / window_name_of("1")).open("a") as file:
        file.write("+10")
    first.acquire()
    assert [ask(second, clock) for _ in range(3)] == pytest.approx([1000, 1000, 1010], abs=0.2)


def test_a_disk_that_knows_no_locks_ends_no_request(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("fcntl.flock", refused)
    monkeypatch.setattr("sources.eduframe.limits.rate_limiter_file.LOCK_SECONDS", 0.0)
    limiter = limiter_of(clock)
    shared(limiter, tmp_path, clock)
    assert [ask(limiter, clock) for _ in range(4)] == [1000, 1000, 1000, 1010]


def test_the_file_holds_what_counts_alone(clock: Clock, tmp_path: Path) -> None:
    limiter = limiter_of(clock, requests=1000)
    file = shared(limiter, tmp_path, clock)
    for _ in range(200):
        ask(limiter, clock)
    assert (tmp_path / window_name_of("1")).stat().st_size > 5000
    file.open()
    assert (tmp_path / window_name_of("1")).stat().st_size < 50
    ask(limiter, clock)
    assert limiter.left == 799


def test_the_runs_of_the_last_window_count_as_made_at_their_end() -> None:
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    runs = [(60, 3), (400, 500), (200, 2), (-86_400, 1)]
    ended = [(now - timedelta(seconds=age), requests) for age, requests in runs]
    assert ages_of_runs(ended, now, 300, 10) == [200, 200, 60, 60, 60, 0]
    assert ages_of_runs(ended, now, 300, 4) == [60, 60, 60, 0]
    assert ages_of_runs([], now, 300, 4) == []
