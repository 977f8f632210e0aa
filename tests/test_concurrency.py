"""Whose turn it is to read: side by side where answers take their time, else one by one."""

import threading
from collections.abc import Iterator

import pytest

from sources.eduframe.limits.concurrency import ENOUGH, LATEST, QUICK, SILENCE, ReadingSlots

PATIENCE = 10.0
"""Seconds after which a thread that should have come in never will."""


class Visitors:
    """Threads that read, and leave when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slots = ReadingSlots(lambda: self.now)
        self.inside: dict[str, threading.Event] = {}
        self._leave: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def arrive(self, name: str) -> None:
        self.inside[name], self._leave[name] = threading.Event(), threading.Event()
        self._threads.append(threading.Thread(target=self._read, args=[name]))
        self._threads[-1].start()

    def _read(self, name: str) -> None:
        with self.slots.reading():
            self.inside[name].set()
            self._leave[name].wait(PATIENCE)

    def leave(self, name: str) -> None:
        self._leave[name].set()

    def comes_in(self, name: str) -> bool:
        return self.inside[name].wait(PATIENCE)

    def close(self) -> None:
        for leaving in self._leave.values():
            leaving.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@pytest.fixture
def visitors() -> Iterator[Visitors]:
    visitors = Visitors()
    yield visitors
    visitors.close()


def test_where_answers_come_at_once_the_next_waits_for_the_end(visitors: Visitors) -> None:
    for _ in range(ENOUGH):
        visitors.slots.answered(QUICK / 2)
    visitors.arrive("first")
    assert visitors.comes_in("first")
    visitors.arrive("second")
    assert not visitors.inside["second"].wait(2 * SILENCE)  # real time: nothing tells of waiting
    visitors.leave("first")
    assert visitors.comes_in("second")


def test_where_they_take_their_time_all_come_in(visitors: Visitors) -> None:
    for name in ("first", "second", "third"):
        visitors.arrive(name)
    for _ in range(ENOUGH):
        visitors.slots.answered(2 * QUICK)
    assert all(map(visitors.comes_in, ("first", "second", "third")))


def test_a_slow_answer_among_quick_ones_says_nothing(visitors: Visitors) -> None:
    visitors.slots.answered(QUICK / 2)
    for _ in range(LATEST - 1):
        visitors.slots.answered(100 * QUICK)
    visitors.arrive("first")
    assert visitors.comes_in("first")
    visitors.arrive("second")
    visitors.slots.answered(QUICK / 2)
    for _ in range(LATEST - 1):
        assert not visitors.inside["second"].is_set()
        visitors.slots.answered(100 * QUICK)
    visitors.slots.answered(100 * QUICK)  # the last quick one is forgotten
    assert visitors.comes_in("second")


def test_nobody_waits_for_an_answer_that_does_not_come(visitors: Visitors) -> None:
    for _ in range(ENOUGH):
        visitors.slots.answered(QUICK / 2)
    visitors.arrive("first")
    assert visitors.comes_in("first")
    visitors.arrive("second")
    visitors.now += SILENCE
    assert visitors.comes_in("second")
