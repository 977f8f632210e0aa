"""What a run may spend: the account in the destination, and the allowance that comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from pipelines.eduframe.run.report import Report
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.planning.budget import LEAST, Account, Budget
from sources.eduframe.settings import Settings

UNBOOKED = timedelta(minutes=2)
"""So long, at the most, a run that was killed may have gone on after what it loaded last."""
MARGIN = 4
"""Requests that are about to be made, and not counted yet."""
USUAL = timedelta(minutes=15)
"""How far runs are apart, where that is not known yet."""


LONGEST_GAP = 7 * 86400.0
"""Seconds; runs that are further apart tell of no rhythm."""


@dataclass
class Spending:
    """The allowance of one run."""

    budget: Budget
    """What holds for this run: it may differ from what the account fills by."""
    account: Account | None
    """None where the setting is no share of the limit."""
    budget_account: Account
    """The account by which this run spends."""
    allowance: int | None
    """Requests; None: as many as it takes."""
    report: Report
    every: float
    """Seconds from one run to the next, as they usually are."""
    turn: int = 0
    """Changes from run to run."""
    shares: Mapping[str, int] = field(default_factory=dict)
    """By list: the requests that are planned for it."""
    spare: int = 0
    """Requests beside those, for whichever list needs more."""

    def share_out(self, shares: Mapping[str, int], spare: int) -> None:
        """Give each list its share of what is left."""
        self.shares, self.spare = shares, max(0, spare)

    def left_of(self, name: str) -> int:
        """The requests that may still be made for a list: of its share, or else of the spare."""
        used = {one: self.report.runs[one].traffic.requests for one in self.shares}
        taken = sum(max(0, used[one] - share) for one, share in self.shares.items())
        mine = max(0, self.shares[name] - used[name])
        return mine + max(0, self.spare - taken)

    def pace(self, lively: float) -> int:
        """The requests that the planner may give out: what an account brings in between two runs,
        more in lively hours (``lively`` is 1 in the mean), or what would overflow it."""
        assert self.allowance is not None
        if self.budget.share is None:
            return self.left()
        account = self.budget_account
        now = self.report.clock.timestamp()
        paced = account.paced(now, self.every, lively)
        steady = int(account.per_second * self.every)
        return min(self.left(), max(paced, min(LEAST, steady)))

    @property
    def usual(self) -> float:
        """The requests that a run has in the long run."""
        if self.account is None or self.budget.share is None:
            return float("inf") if self.allowance is None else self.allowance
        return max(LEAST, self.account.per_second * self.every)

    def advice(self, needed: int, settings: Settings) -> str:
        """The budget that gives a run so many requests, in the words of the setting."""
        if self.budget.share is None:
            return f"budget = {needed}"
        a_run = settings.requests_per_window / settings.window_seconds * self.every
        share = needed / a_run
        if share > 1:
            return f"more than the request limit ({needed} requests a run)"
        return f"budget = {share:.0%} ({needed} requests a run)"

    def left(self) -> int:
        """The requests that may still be made; many where there is no bound."""
        if self.allowance is None:
            return 2**31
        margin = min(MARGIN, self.allowance // 10)
        return self.allowance - self.report.requests - margin


def begin_spending(
    stored: Dataset,
    settings: Settings,
    report: Report,
    *,
    budget: str | None,
    bounded: bool,
    sent_within: Callable[[float], int] | None = None,
) -> Spending:
    """What a run that begins now may spend.

    Args:
        budget: what was asked for, for this run, in place of the setting.
        bounded: whether the setting counts where nothing was asked for.
        sent_within: how many requests the machine knows of, of the last so many seconds.
    """
    of_account = Budget.parse(settings.budget)
    chosen = Budget.parse(budget) if budget else of_account if bounded else Budget()
    now = report.clock.timestamp()
    limit = settings.requests_per_window / settings.window_seconds
    account = None
    if of_account.share is not None:
        account = _stored_account(stored, of_account, settings, limit, report.clock, sent_within)
        report.account = account
    report.budget = str(chosen)
    mine = chosen.account(limit, now)
    if account is not None:
        mine = chosen.stored_account(limit, account.filled(now).balance, now)
    allowance = chosen.allowance(mine, now)
    report.allowance = allowance
    return Spending(
        chosen, account, mine, allowance, report, usual_gap(stored), _runs_before(stored)
    )


def _stored_account(
    stored: Dataset,
    budget: Budget,
    settings: Settings,
    limit: float,
    clock: datetime,
    sent_within: Callable[[float], int] | None,
) -> Account:
    """The account as the last run left it; a new one, which is full, where there was none."""
    column = stored.column
    names = ("balance", "balance_at", "ended_at")
    sql = (
        f"SELECT {', '.join(column(name) for name in names)} FROM {stored.name('_sync_runs')} "
        f"WHERE {column('balance')} IS NOT NULL AND {column('balance_at')} IS NOT NULL "
        f"AND {stored.completed()} "
        f"ORDER BY {column('started_at')} DESC LIMIT 1"
    )
    row: tuple[Any, ...] | None = None
    if "balance" in stored.stored_columns(["_sync_runs"]).get("_sync_runs", {}):
        for rows in stored.query(sql):
            row = next(iter(zip(*(c.to_pylist() for c in rows.columns), strict=True)), row)
    if row is None:
        return budget.account(limit, clock.timestamp())
    balance, at, ended = row
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    account = budget.stored_account(limit, float(balance), moment.timestamp())
    if ended is not None:
        return account
    elapsed = max(timedelta(), clock - moment)
    if sent_within and elapsed.total_seconds() <= settings.window_seconds:
        unbooked = sent_within(elapsed.total_seconds())
    else:
        unbooked = round(settings.requests_per_window + limit * min(elapsed, UNBOOKED).seconds)
    return account.book(unbooked, moment.timestamp())


def _runs_before(stored: Dataset) -> int:
    sql = f"SELECT COUNT(*) AS runs FROM {stored.name('_sync_runs')}"
    return sum(rows.column(0).to_pylist()[0] for rows in stored.query(sql))


def usual_gap(stored: Dataset) -> float:
    """Seconds between the starts of the latest runs: the median."""
    column = stored.column("started_at")
    sql = (
        f"SELECT {column} FROM {stored.name('_sync_runs')} WHERE {column} IS NOT NULL "
        f"ORDER BY {column} DESC LIMIT 9"
    )
    starts = [moment for rows in stored.query(sql) for moment in rows.column(0).to_pylist()]
    gaps = sorted((later - before).total_seconds() for later, before in pairwise(starts))
    # a clock that was wrong leaves gaps of a moment, or of any length
    gaps = [gap for gap in gaps if 1.0 <= gap <= LONGEST_GAP]
    return max(60.0, gaps[len(gaps) // 2]) if gaps else USUAL.total_seconds()
