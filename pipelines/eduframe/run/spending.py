"""What a run may spend: the account in the destination, and the allowance that comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipelines.eduframe.run.report import Report
from pipelines.eduframe.store.recent_runs import PastRuns
from sources.eduframe.planning.budget import LEAST, Account, Budget
from sources.eduframe.settings import Settings

MARGIN = 4
"""Requests that are about to be made, and not counted yet."""


@dataclass
class Spending:
    """The allowance of one run."""

    budget: Budget
    """What holds for this run: it may differ from the setting."""
    account: Account
    """What there is to spend when the run begins, filling as this budget says."""
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
        paced = self.account.paced(self.report.clock.timestamp(), self.every, lively)
        return min(self.left(), max(paced, min(LEAST, self.steady())))

    def steady(self) -> int:
        """The requests by which an account fills between two runs, as far as they are there."""
        return min(self.left(), int(self.account.per_second * self.every))

    @property
    def usual(self) -> float:
        """The requests that a run has in the long run, where not everything can be read: it may
        use more, but the planner gives out no more than the account brings in."""
        if self.budget.share is None:
            return float("inf") if self.allowance is None else self.allowance
        return self.account.per_second * self.every

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
    past: PastRuns,
    settings: Settings,
    report: Report,
    *,
    budget: str | None,
    bounded: bool,
    unbooked: Mapping[str, int] | None = None,
) -> Spending:
    """What a run that begins now may spend.

    Args:
        budget: what was asked for, for this run, in place of the setting.
        bounded: whether the setting counts where nothing was asked for.
        unbooked: how many requests earlier runs into this dataset have sent that are not booked,
            by run, as far as this machine knows.
    """
    of_setting = Budget.parse(settings.budget)
    chosen = Budget.parse(budget) if budget else of_setting if bounded else Budget()
    now = report.clock.timestamp()
    limit = settings.requests_per_window / settings.window_seconds
    account = chosen.account(limit, now)
    if of_setting.share is not None:
        stored = _stored_account(past, of_setting, settings, report.clock, unbooked or {})
        report.account = stored
        account = chosen.stored_account(limit, stored.filled(now).balance, now)
    report.budget = str(chosen)
    report.allowance = chosen.allowance(account, now)
    return Spending(chosen, account, report.allowance, report, past.usual_gap, past.count)


def _stored_account(
    past: PastRuns,
    budget: Budget,
    settings: Settings,
    clock: datetime,
    unbooked: Mapping[str, int],
) -> Account:
    """The account as the last run left it; a new one, which is full, where there was none.

    What runs that were cut off have sent since they last told of themselves is booked: as this
    machine knows it, or else as much as the limit has allowed since then.
    """
    limit = settings.requests_per_window / settings.window_seconds
    now = clock.timestamp()
    told = {run.run_id: run.requests for run in past.runs if run.completed}
    known = sum(max(0, sent - told.get(run_id, 0)) for run_id, sent in unbooked.items())
    last = next((run for run in past.runs if run.completed and run.balance is not None), None)
    if last is None or last.balance is None or last.balance_at is None:
        return budget.account(limit, now).book(known, now)
    account = budget.stored_account(limit, float(last.balance), last.balance_at.timestamp())
    cut_off_at = last.balance_at if last.ended_at is None else None
    if last is past.runs[0] and last.ended_at is not None:
        cut_off_at = last.followed_at
    if unbooked or cut_off_at is None:
        return account.book(known, now) if known else account
    elapsed = (clock - cut_off_at) / timedelta(seconds=1)
    if elapsed < 0:  # the clock was set back: how long it has been nobody knows
        return replace(account, balance=0.0)
    allowed = settings.requests_per_window + limit * elapsed
    return account.book(round(allowed), cut_off_at.timestamp())
