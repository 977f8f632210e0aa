"""The planner in the process that it is measured with, for some hours of a Monday."""

import pytest

from benchmarks.fresh import Case, Outcome, simulate


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    ways = ("planner", "over and over")
    return {way: simulate(Case(way, "middle", "5%", 1.0, 0.15, 3, learning=0.3)) for way in ways}


def test_changes_are_seen_sooner_than_by_reading_over_and_over(
    outcomes: dict[str, Outcome],
) -> None:
    planner, other = outcomes["planner"], outcomes["over and over"]
    assert planner.within_15_min > 2 * other.within_15_min
    assert planner.within_1_h > 1.5 * other.within_1_h
    assert planner.unseen < other.unseen


def test_no_block_waits_longer_than_the_sweep_takes(outcomes: dict[str, Outcome]) -> None:
    assert 0 < outcomes["planner"].oldest < 5.5
