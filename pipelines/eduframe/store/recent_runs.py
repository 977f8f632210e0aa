"""The latest runs, as the log tells: when they were, what they asked for, what they left behind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.limits.rate_limiter_file import ages_of_runs

LATEST = 50
"""Runs that are looked at: more do not fit into a window."""
AFTER_THE_LAST_PACKAGE = timedelta(minutes=2)
"""So long a run that was killed may have gone on to read after what it loaded last."""
USUAL = timedelta(minutes=15)
"""How far runs are apart, where that is not known yet."""
LONGEST_GAP = 7 * 86400.0
"""Seconds; runs that are further apart tell of no rhythm."""
GAPS = 8
"""So many gaps tell of the rhythm."""
COLUMNS = (
    "run_id", "started_at", "ended_at", "status", "requests", "balance", "balance_at",
    "followed_at",
)  # fmt: skip


@dataclass(frozen=True)
class PastRun:
    """What is known of a run."""

    loaded_at: datetime
    """When the last load package that tells of it was made."""
    completed: bool
    """Whether that package was loaded to its end."""
    run_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    """None: it goes on, or was cut off."""
    status: str | None = None
    requests: int = 0
    """As far as it has told."""
    balance: float | None = None
    """Requests left on the account at :attr:`balance_at`."""
    balance_at: datetime | None = None
    followed_at: datetime | None = None
    """When the first run after it began."""

    @property
    def last_asked(self) -> datetime:
        """The latest moment at which it can have asked."""
        return self.ended_at or self.loaded_at + AFTER_THE_LAST_PACKAGE


@dataclass(frozen=True)
class PastRuns:
    """The latest runs, newest first, by their start, and how many there were."""

    runs: Sequence[PastRun] = ()
    count: int = 0
    columns: frozenset[str] = field(default_factory=frozenset)
    """Those that the log has: a later release may know more."""

    @property
    def usual_gap(self) -> float:
        """Seconds between the starts of the latest runs: the median."""
        starts = [run.started_at for run in self.runs if run.started_at][: GAPS + 1]
        gaps = sorted((later - before).total_seconds() for later, before in pairwise(starts))
        # a clock that was wrong leaves gaps of a moment, or of any length
        gaps = [gap for gap in gaps if 1.0 <= gap <= LONGEST_GAP]
        return max(60.0, gaps[len(gaps) // 2]) if gaps else USUAL.total_seconds()


def past_runs(dataset: Dataset) -> PastRuns:
    """What the run log tells; nothing, where there is none."""
    table, started = dataset.name("_sync_runs"), dataset.column("started_at")
    sql = (  # all columns, as a dataset of an earlier release lacks some
        f"SELECT r.*, CASE WHEN {dataset.completed('r')} THEN 1 ELSE 0 END AS completed, "
        f"(SELECT COUNT(*) FROM {table}) AS runs_held FROM {table} AS r "
        f"ORDER BY CASE WHEN r.{started} IS NULL THEN 1 ELSE 0 END, r.{started} DESC "
        f"LIMIT {LATEST}"
    )
    past = PastRuns()
    for rows in dataset.query(sql):
        rows = rows.rename_columns([name.lower() for name in rows.column_names])
        names = [name for name in COLUMNS if name in rows.column_names]
        for row in rows.to_pylist():
            told = {name: _in_utc(row[name]) for name in names}
            told["requests"] = told.get("requests") or 0
            loaded_at = datetime.fromtimestamp(float(row["_dlt_load_id"]), UTC)
            run = PastRun(loaded_at, row["completed"] == 1, **told)
            past = PastRuns([*past.runs, run], row["runs_held"], frozenset(names))
    return past


def recall_window(past: PastRuns, limiter: Limiter, now: datetime) -> None:
    """Where the disk knows of no requests, count those that the dataset's log tells of."""
    journal = limiter.journal
    if journal and journal.knows_nothing:
        runs = [(run.last_asked, run.requests) for run in past.runs]
        journal.learn(ages_of_runs(runs, now, limiter.window, limiter.requests))


def note_followed(dataset: Dataset, past: PastRuns, now: datetime) -> None:
    """Note at the last run that another has begun: should that be cut off before it has loaded
    anything, the next one knows of it."""
    if "followed_at" in past.columns and past.runs and past.runs[0].followed_at is None:
        where = f"{dataset.column('run_id')} = %s"
        dataset.update("_sync_runs", {"followed_at": now}, where, past.runs[0].run_id)


def _in_utc(value: Any) -> Any:
    naive = isinstance(value, datetime) and not value.tzinfo
    return value.replace(tzinfo=UTC) if naive else value
