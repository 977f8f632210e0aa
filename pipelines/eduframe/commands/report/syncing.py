"""The second page: the sync itself, from what it wrote down. Days and hours are UTC's."""

from pipelines.eduframe.commands.freshness import TableStatus
from pipelines.eduframe.commands.report.section import Answer, Chart, Column, Section

FRESHNESS = Section(
    "freshness",
    "How fresh is each list?",
    ("_sync_resources",),
    "",
    "",
    "Nothing has been synced yet.",
    Chart("bars", ("list",), ("hours_since_sync",), "hours since the last sync"),
    note="The same as eduframe status. The oldest come first. Proven is since when every row of a "
    "list was compared with what the API served.",
)
_FRESHNESS = (
    Column("list", "text"),
    Column("status", "text"),
    Column("rows", "count"),
    Column("hours_since_sync", "number"),
    Column("last_sync", "moment"),
    Column("proven_as_of", "moment"),
    Column("changes_expected_unseen", "number"),
    Column("deletions", "count"),
    Column("set_aside", "count"),
    Column("remarks", "text"),
)

SYNCING = (
    Section(
        "requests",
        "How many requests are made, and how many may be?",
        ("_sync_resources",),
        """\
SELECT DATE_TRUNC('hour', started_at AT TIME ZONE 'UTC') AS hour,
    CAST(SUM(requests) AS BIGINT) AS requests,
    CAST(SUM(retries) AS BIGINT) AS of_these_once_more,
    CAST(SUM(waited_seconds) AS DECIMAL(18, 1)) AS seconds_waited,
    {most_requests} AS most_allowed
FROM _sync_resources
WHERE CAST(started_at AT TIME ZONE 'UTC' AS DATE) >= {week_ago} AND requests > 0
GROUP BY DATE_TRUNC('hour', started_at AT TIME ZONE 'UTC')""",
        "hour DESC",
        "No request was made in the last week.",
        Chart("hours", ("hour",), ("requests",), "requests in an hour", limit="most_allowed"),
        note="The last seven days. The requests of a list count in the hour in which its reading "
        "began; the line is what the limit allows.",
        totals=("requests", "of_these_once_more"),
    ),
    Section(
        "changes",
        "What changes, day by day?",
        ("_sync_resources",),
        """\
SELECT CAST(started_at AT TIME ZONE 'UTC' AS DATE) AS day,
    CAST(SUM(rows_new) AS BIGINT) AS new,
    CAST(SUM(rows_changed) AS BIGINT) AS changed,
    CAST(SUM(rows_deleted) AS BIGINT) AS deleted,
    CAST(SUM(rows_read) AS BIGINT) AS read
FROM _sync_resources
WHERE CAST(started_at AT TIME ZONE 'UTC' AS DATE) >= {month_back}
GROUP BY CAST(started_at AT TIME ZONE 'UTC' AS DATE)""",
        "day DESC",
        "Nothing was synced in the last 30 days.",
        Chart("days", ("day",), ("new", "changed", "deleted"), "rows of main tables"),
        note="The last 30 days.",
        totals=("new", "changed", "deleted"),
    ),
    Section(
        "changes-by-list",
        "Which lists change?",
        ("_sync_resources",),
        """\
SELECT resource AS list,
    CAST(SUM(rows_new) AS BIGINT) AS new,
    CAST(SUM(rows_changed) AS BIGINT) AS changed,
    CAST(SUM(rows_deleted) AS BIGINT) AS deleted,
    CAST(SUM(rows_read) AS BIGINT) AS read,
    CAST(SUM(requests) AS BIGINT) AS requests,
    COUNT(*) AS runs
FROM _sync_resources
WHERE CAST(started_at AT TIME ZONE 'UTC' AS DATE) >= {month_back}
GROUP BY resource""",
        "new + changed + deleted DESC, list",
        "Nothing was synced in the last 30 days.",
        Chart("bars", ("list",), ("new", "changed", "deleted"), "rows of main tables"),
        note="The last 30 days.",
        totals=("new", "changed", "deleted", "requests"),
    ),
    Section(
        "deletions",
        "What was found gone?",
        ("_deletions",),
        """\
SELECT resource AS list, kind, COUNT(*) AS rows_gone, MIN(deleted_at) AS first_at,
    MAX(deleted_at) AS last_at
FROM _deletions
GROUP BY resource, kind""",
        "rows_gone DESC, list, kind",
        "No row was found gone.",
        Chart("bars", ("list", "kind"), ("rows_gone",), "rows that are gone"),
        totals=("rows_gone",),
    ),
    Section(
        "failures",
        "What failed?",
        ("_sync_resources",),
        """\
SELECT resource AS list, status, COUNT(*) AS times, MAX(started_at) AS last_at,
    MAX(message) AS such_as
FROM _sync_resources
WHERE status IN ('failed', 'held back', 'stopped')
    AND CAST(started_at AT TIME ZONE 'UTC' AS DATE) >= {month_back}
GROUP BY resource, status""",
        "last_at DESC, list, status",
        "No list failed, was held back or stopped in the last 30 days.",
        Chart("bars", ("list", "status"), ("times",), "times"),
        note="The last 30 days.",
        totals=("times",),
    ),
    Section(
        "runs",
        "How did the last runs go?",
        ("_sync_runs",),
        """\
SELECT started_at, status,
    CAST(EPOCH(ended_at) - EPOCH(started_at) AS DECIMAL(18, 1)) AS seconds,
    requests, rows_read, rows_written, rows_deleted, budget, version, message
FROM _sync_runs""",
        "started_at DESC",
        "Nothing has been synced yet.",
        Chart("runs", ("started_at",), ("seconds",), "seconds", colour="status"),
        rows=100,
    ),
)


def how_fresh(found: list[TableStatus]) -> Answer:
    """The freshness of each list as an answer."""
    rows = [
        (
            one.resource,
            one.status or "never read",
            one.rows,
            round(one.age_seconds / 3600, 2) if one.age_seconds is not None else None,
            one.last_sync,
            one.proven_as_of,
            one.unseen,
            one.deletions,
            one.set_aside,
            "; ".join(one.remarks),
        )
        for one in found
    ]
    rows.sort(key=lambda row: (row[3] is not None, -(row[3] or 0), row[0]))
    return Answer(FRESHNESS, _FRESHNESS, tuple(rows), len(rows))
