"""The account: a share of the limit fills it, requests empty it."""

import pytest

from sources.eduframe.planning.budget import DAY, LEAST, Budget

LIMIT = 500 / 300
"""Requests a second."""
A_DAY = LIMIT * DAY / 2
HALF = Budget.parse("50%")


@pytest.mark.parametrize(
    ("text", "share", "requests"),
    [
        ("50%", 0.5, None),
        (" 2.5 % ", 0.025, None),
        ("100%", 1.0, None),
        ("750", None, 750),
        ("ALL", None, None),
    ],
)
def test_a_budget_is_a_share_a_number_or_all(
    text: str, share: float | None, requests: int | None
) -> None:
    assert Budget.parse(text) == Budget(share, requests)
    assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


@pytest.mark.parametrize(
    "text", ["", "%", "0%", "101%", "-5", "0", "1.5", "nan", "inf", "many", "50 %%", "1e3", "٣%"]
)
def test_what_is_no_budget_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"^budget '"):
        Budget.parse(text)


def test_a_new_account_is_full() -> None:
    assert HALF.account(LIMIT, 0.0).balance == A_DAY
    assert HALF.allowance(HALF.account(LIMIT, 0.0), 0.0) == A_DAY


def test_it_fills_up_to_a_day() -> None:
    empty = HALF.account(LIMIT, 0.0).book(10**9, 0.0)
    assert empty.balance == 0
    assert empty.filled(900.0).balance == pytest.approx(750)
    assert empty.filled(1e12).balance == A_DAY


def test_it_is_never_below_zero() -> None:
    account = HALF.account(LIMIT, 0.0).book(10**9, 0.0).book(500, 60.0)
    assert account.balance == 0
    assert account.filled(120.0).balance == pytest.approx(50)


def test_every_run_may_make_some_requests() -> None:
    empty = HALF.account(LIMIT, 0.0).book(10**9, 0.0)
    assert HALF.allowance(empty, 0.0) == LEAST
    assert HALF.allowance(empty, 900.0) == 750


def test_a_number_is_that_number_and_all_is_no_bound() -> None:
    for text, allowed in (("750", 750), ("3", 3), ("all", None)):
        budget = Budget.parse(text)
        assert budget.allowance(budget.account(LIMIT, 0.0).book(10**9, 0.0), 0.0) == allowed


def test_a_clock_that_is_set_back_gives_nothing_and_takes_nothing() -> None:
    account = HALF.account(LIMIT, 10_000.0).book(int(A_DAY) - 100, 10_000.0)
    back = account.filled(4_000.0)
    assert back.balance == account.balance
    assert back.filled(4_060.0).balance == pytest.approx(account.balance + 50)


def test_a_stored_account_follows_a_changed_share() -> None:
    stored = Budget.parse("10%").stored_account(LIMIT, A_DAY, 0.0)
    assert stored.balance == pytest.approx(A_DAY / 5)
    assert HALF.stored_account(LIMIT, -5.0, 0.0).balance == 0


@pytest.mark.parametrize(("balance", "at"), [(float("nan"), 0.0), (5.0, float("nan"))])
def test_an_account_that_is_no_number_is_empty_and_fills_again(balance: float, at: float) -> None:
    account = HALF.stored_account(LIMIT, balance, at)
    assert HALF.allowance(account, 900.0) == LEAST
    assert account.book(3, 900.0).filled(1800.0).balance == pytest.approx(750)


def test_a_quiet_hour_leaves_something_for_a_lively_one() -> None:
    account = HALF.account(LIMIT, 0.0).book(int(A_DAY) - 10_000, 0.0)
    assert account.paced(0.0, 900.0, 1.0) == 750
    assert account.paced(0.0, 900.0, 0.5) == 375
    assert account.paced(0.0, 900.0, 2.0) == 1500
    assert account.paced(0.0, 900.0, 0.0) == 750 // 4


def test_what_would_overflow_is_spent_and_never_more_than_there_is() -> None:
    assert HALF.account(LIMIT, 0.0).paced(0.0, 900.0, 1.0) == A_DAY / 2
    assert HALF.account(LIMIT, 0.0).book(10**9, 0.0).paced(60.0, 900.0, 4.0) == 50
