"""The latest runs, for what they used of the API's request limit."""

from datetime import UTC, datetime, timedelta

from sources.eduframe.dataset.sql import Dataset

LATEST = 50
"""Runs that are looked at: more do not fit into a window."""
AFTER_THE_LAST_PACKAGE = timedelta(minutes=2)
"""So long a run that was killed may have gone on to read after what it loaded last."""


def recent_runs(dataset: Dataset) -> list[tuple[datetime, int]]:
    """The end of each of the latest runs, as far as it is known, and its number of requests."""
    names = ("ended_at", "_dlt_load_id", "requests")
    columns = ", ".join(dataset.column(name) for name in names)
    sql = (
        f"SELECT {columns} FROM {dataset.name('_sync_runs')} "
        f"ORDER BY {dataset.column('started_at')} DESC LIMIT {LATEST}"
    )
    found: list[tuple[datetime, int]] = []
    for rows in dataset.query(sql):
        for ended, load_id, requests in zip(*(c.to_pylist() for c in rows.columns), strict=True):
            moment = ended or _last_heard_of(load_id)
            found.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC), requests or 0))
    return found


def _last_heard_of(load_id: str) -> datetime:
    """The latest moment at which a run that was killed can have asked; load ids are times."""
    return datetime.fromtimestamp(float(load_id), UTC) + AFTER_THE_LAST_PACKAGE
