"""How an audit spreads its requests, and what its sample says of the whole."""

import numpy as np
import pytest

from sources.eduframe.comparing.sampling import Sample, allot, limit, most_wrong

LISTS = {"attendances": 40_000, "users": 9_000, "labels": 30, "courses": 90, "empty": 0}
MOST = {"attendances": 400, "users": 90, "labels": 1, "courses": 1, "empty": 0}


def test_requests_go_by_rows_and_each_list_gets_one() -> None:
    given = allot(LISTS, MOST, 52, np.random.default_rng(1))
    assert sum(given.values()) == 52
    assert (given["labels"], given["courses"], given["empty"]) == (1, 1, 0)
    assert given["attendances"] / given["users"] == pytest.approx(40 / 9, rel=0.15)


def test_no_list_gets_more_than_is_of_use() -> None:
    assert allot(LISTS, MOST, 10_000, np.random.default_rng(1)) == MOST


def test_a_list_of_which_one_request_tells_nothing_gets_two_or_none() -> None:
    rows, most = {"users": 9_000, "custom_objects": 3}, {"users": 90, "custom_objects": 4}
    least = {"users": 1, "custom_objects": 2}
    for requests in (2, 3, 40):
        given = allot(rows, most, requests, np.random.default_rng(1), least)
        assert (sum(given.values()), given["custom_objects"] == 1) == (requests, False)
    assert given["custom_objects"] == 2


def test_where_there_are_few_requests_every_list_has_its_turn_some_day() -> None:
    rows = {str(n): n + 1 for n in range(30)}
    most = dict.fromkeys(rows, 3)
    asked: set[str] = set()
    for seed in range(60):
        given = allot(rows, most, 10, np.random.default_rng(seed))
        assert sum(given.values()) == 10
        asked |= {name for name, requests in given.items() if requests}
    assert asked == {*rows}


def test_nothing_wrong_on_some_pages_of_many_is_the_rule_of_three() -> None:
    assert limit(0, 40) == pytest.approx(1 - 0.05 ** (1 / 40), rel=1e-6)
    assert most_wrong([Sample(10**8, 10**6, 300, 30_000, 0)]) == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize(
    ("wrong", "trials", "expected"),
    [(1, 10, 0.3942), (3, 50, 0.1478), (10, 10, 1.0), (0, 1, 0.95)],  # the tables of 1934
)
def test_limits_are_those_of_clopper_and_pearson(
    wrong: int, trials: int, expected: float
) -> None:
    assert limit(wrong / trials, trials) == pytest.approx(expected, abs=2e-4)


def test_a_list_that_was_read_whole_is_known() -> None:
    whole = Sample(200, 2, 2, 200, 3, whole=True)
    assert most_wrong([whole]) == 3 / 200
    assert most_wrong([]) is None
    half = Sample(200, 2, 1, 100, 0)
    assert most_wrong([whole, half]) == pytest.approx((3 + 200 * 0.95) / 400)


def test_more_pages_and_fewer_wrong_rows_lower_the_limit() -> None:
    def bound(pages: int, wrong: int) -> float:
        found = most_wrong([Sample(50_000, 500, pages, 100 * pages, wrong)])
        assert found is not None
        return found

    assert bound(40, 0) < bound(40, 5) < bound(40, 400) < bound(10, 100)
    assert bound(40, 0) > bound(80, 0) > bound(499, 0) > 0


@pytest.mark.parametrize("together", [1, 100])
def test_the_limit_holds_in_95_of_100_samples(together: int) -> None:
    """Whether wrong rows come one by one or a page at a time."""
    dice = np.random.default_rng(7)
    pages, drawn, share = 400, 40, 0.05
    held = 0
    for _ in range(200):
        wrong = dice.binomial(100 // together, share, pages) * together
        found = int(dice.choice(wrong, drawn, replace=False).sum())
        bound = most_wrong([Sample(100 * pages, pages, drawn, 100 * drawn, found)])
        assert bound is not None
        held += bound >= wrong.sum() / (100 * pages)
    assert held >= 185
