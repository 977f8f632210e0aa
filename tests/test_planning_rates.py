"""What the planner learns of how often rows change."""

import numpy as np
import pytest

from sources.eduframe.planning.blocks import Blocks
from sources.eduframe.planning.rates import (
    CHANGED,
    HALF_LIFE,
    NEWEST,
    OTHER,
    Rates,
    age_bucket,
)

HOUR = 3600.0
NOTHING = np.zeros(0, np.int64)


def test_buckets_are_finer_for_the_newest() -> None:
    ranks = np.array([0, 40, 100, 300, 10_000, 400_000, 10**12])
    assert age_bucket(ranks).tolist() == [0, 0, 2, 4, 13, 23, 39]


def test_before_anything_is_known_newer_rows_are_livelier() -> None:
    rates = Rates().rates("orders")
    assert rates[0] == pytest.approx(NEWEST)
    assert (np.diff(rates) <= 0).all()


def test_evidence_outweighs_the_prior() -> None:
    rates = Rates()
    rates.observe("orders", 3, 500, 100_000)
    assert rates.rate("orders", 3) == pytest.approx(0.005, rel=0.05)


def test_what_one_list_shows_is_expected_of_another() -> None:
    rates, knows = Rates(), Rates()
    knows.observe("orders", 0, 3000, 10_000)
    assert knows.rate("invoices", 0) > 10 * rates.rate("invoices", 0)


def test_a_list_in_which_nothing_happens_is_soon_known_for_it() -> None:
    rates = Rates()
    rates.observe("orders", 2, 300, 100_000)
    before = rates.rate("countries", 2)
    rates.observe("countries", 1, 0, 10_000)
    assert rates.rate("countries", 2) < before / 20


def test_counters_are_stored_as_plain_rows() -> None:
    rates = Rates()
    rates.observe("orders", 2, 3, 1000)
    rates.observe("payments", CHANGED, 1, 6, "parents")
    stored = rates.rows()
    assert stored == [("orders", "age", 2, 3.0, 1000.0), ("payments", "parents", 0, 1.0, 6.0)]
    again = Rates.stored([*stored, ("x", "unknown", 1, 1, 1), ("x", "age", 99, 1, 1)], 0.0)
    assert again.rows() == stored
    assert again.rate("orders", 2) == rates.rate("orders", 2)


def test_old_evidence_counts_less_and_clocks_do_no_harm() -> None:
    rates = Rates()
    rates.observe("orders", 2, 8, 1000)
    rates.decay(1e9)
    rates.decay(1e9 + HALF_LIFE)
    assert rates.rows() == [("orders", "age", 2, 4.0, 500.0)]
    rates.decay(5.0)
    rates.decay(4.0)
    assert rates.rows() == [("orders", "age", 2, 4.0, 500.0)]
    rates.decay(1e12)
    assert rates.rows() == [("orders", "age", 2, 2.0, 250.0)]


def test_a_read_counts_rows_by_hours_since_their_block_was_read() -> None:
    blocks = Blocks.of(np.arange(1, 201), 0.0).mark(101, 200, 5 * HOUR)
    rates = Rates()
    rates.observe_rows("orders", blocks, np.arange(1, 201), np.array([3, 200]), 6 * HOUR)
    found = {bucket: (changes, hours) for _, _, bucket, changes, hours in rates.rows()}
    assert sum(hours for _, hours in found.values()) == pytest.approx(100 * 6 + 100 * 1)
    assert found[0][0] == 1
    assert found[age_bucket(np.array([197]))[0]][0] == 1


def test_rows_that_were_never_read_and_rows_that_are_new_teach_nothing() -> None:
    rates = Rates()
    never = Blocks.of(np.arange(1, 51), float("nan"))
    rates.observe_rows("orders", never, np.arange(1, 61), np.array([3, 55]), HOUR)
    rates.observe_rows("orders", Blocks.of(NOTHING, 0.0), np.arange(1, 5), NOTHING, HOUR)
    assert rates.rows() == []


def test_an_import_does_not_pass_for_a_habit() -> None:
    blocks = Blocks.of(np.arange(1, 10_001), 0.0)
    rates = Rates()
    for bucket in range(40):
        rates.observe("orders", bucket, 10, 1e6)
    before = rates.rate("orders", 13)
    page = np.arange(1001, 1101)
    rates.observe_rows("orders", blocks, page, page, HOUR)
    assert rates.rate("orders", 13) < 1.3 * before


def test_the_mean_rate_of_a_block_is_that_of_its_rows() -> None:
    rates = Rates()
    rates.observe("orders", 0, 41, 1000)
    rates.observe("orders", 1, 0, 10**9)
    both = rates.between("orders", np.array([0.0]), np.array([100.0]))
    each = [rates.rate("orders", 0), rates.rate("orders", 1)]
    share = 100 * (2**0.5 - 1) / 100
    assert both[0] == pytest.approx(share * each[0] + (1 - share) * each[1])


def test_a_window_is_lively_after_its_event() -> None:
    rates = Rates()
    for _ in range(50):
        rates.observe_window("attendances", 2.0, 3.0, 3, 10)
        rates.observe_window("attendances", 24.0, 25.0, 0, 10)
    soon, late = rates.in_window("attendances", np.array([2.0, 24.0]), np.array([3.0, 25.0]))
    assert soon == pytest.approx(0.3, rel=0.1)
    assert late < soon / 50


def test_a_look_over_several_hours_counts_for_each_of_them() -> None:
    rates = Rates()
    rates.observe_window("attendances", 0.0, 4.0, 8, 10)
    rows = [row for row in rates.rows() if row[1] == "window"]
    assert [(row[2], row[3], row[4]) for row in rows] == [(n, 2.0, 10.0) for n in range(4)]


def test_parents_have_rates_of_their_own() -> None:
    rates = Rates()
    rates.observe("payments", CHANGED, 60, 400, "parents")
    rates.observe("payments", OTHER, 0, 1e6, "parents")
    assert rates.rate("payments", CHANGED, "parents") == pytest.approx(0.15, rel=0.1)
    assert rates.rate("payments", OTHER, "parents") < 1e-5


def test_office_hours_are_learned() -> None:
    rates, monday = Rates(), 4 * 86400.0
    assert rates.lively(monday) == 1
    for quarter in range(14 * 96):
        since = monday + quarter * 900
        busy = since // 86400 % 7 not in (2, 3) and 8 <= since // 3600 % 24 < 18
        rates.observe_run(12 if busy else 1, since, since + 900)
    assert rates.lively(monday + 10 * HOUR) > 1.3
    assert rates.lively(monday + 3 * HOUR) < 0.8
    assert rates.lively(monday + 5 * 86400 + 10 * HOUR) < 0.8
