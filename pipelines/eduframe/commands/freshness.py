"""How fresh each table is, from what the destination itself holds: its rows and its run log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.eduframe.destinations.duckdb_file import reading_file
from pipelines.eduframe.store.ledger import NEVER, Ledger, ledger_blocks
from pipelines.eduframe.store.seen_keys import count_seen
from pipelines.eduframe.store.state import state_in_destination
from sources.eduframe.clock import now_utc, parse
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.planning.planner import unseen
from sources.eduframe.planning.views import ListView
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.rows.tables import ALL_TABLES, CHILD_TABLES

CLOCKS_DIFFER = 300.0
"""Seconds that the clocks of two machines may be apart."""


@dataclass
class TableStatus:
    """One main table as the destination holds it."""

    resource: str
    rows: int | None
    """Living rows; None where the table is not there."""
    deleted: int
    """Rows marked as deleted."""
    deletions: int
    """Deletions on record, soft and hard."""
    set_aside: int
    """Rows that do not fit their model, and have not been settled since."""
    status: str | None
    last_sync: datetime | None
    last_reconciliation: datetime | None
    age_seconds: float | None
    """Negative for a sync in the future, by a clock that was wrong."""
    proven_as_of: datetime | None = None
    """Since when every row of it was compared by content; None: never yet."""
    since: datetime | None = None
    """When the first run with this list began; None where there was none."""
    unseen: float | None = None
    """Changes that are expected to have happened since its rows were read; None: never yet."""
    unproven: bool = False
    """Whether that is longer ago than it should be."""
    never_asked: int = 0
    """Parents that were never asked for what is under them, as requests were used up."""
    too_old: bool = False
    frozen: str | None = None
    """Why nothing of the list counts as gone, where that is so."""
    missing: list[str] = field(default_factory=list)
    """Its tables that are not there."""
    emptied: list[str] = field(default_factory=list)
    """Its tables that held rows after its last read, and hold none now."""
    in_doubt: int = 0
    """Rows that are missing from the list, and not proven gone."""
    parents_unread: int = 0
    """Parents whose lists could not be read."""
    refresh: str | None = None
    """When a refresh was asked for that is not done yet."""
    message: str | None = None
    """Why the last read failed, or its deletions are held back."""

    @property
    def remarks(self) -> list[str]:
        """What is to be said beside its row."""
        said = [f"the table {name} is not there" for name in self.missing]
        said += [f"the table {name} was emptied; the next sync fills it" for name in self.emptied]
        if self.frozen:
            said.append(f"nothing counts as gone here: {self.frozen}")
        if self.status in ("failed", "held back") and self.message:
            said.append(f"{self.status}: {self.message}")
        if self.parents_unread:
            said.append(
                f"the lists under {self.parents_unread} parents could not be read: what they held "
                "stays, and each sync asks for them again"
            )
        if self.in_doubt:
            said.append(
                f"{self.in_doubt} rows are in doubt: missing from the list, but not proven gone. "
                f"They stay until a complete reading tells: eduframe sync {self.resource} "
                "--reconcile. Those whose own path does not tell are in _hidden_rows, as open"
            )
        if self.never_asked:
            said.append(
                f"{self.never_asked} parents were not asked yet: the next syncs go on with the "
                "newest, as far as the budget goes"
            )
        if self.refresh:
            said.append(
                f"the refresh asked for at {self.refresh[:16]} is not done yet: each sync goes on "
                "with it"
            )
        return said

    @property
    def ahead(self) -> bool:
        """Whether the last sync lies in the future, and so tells nothing of how fresh this is."""
        return self.age_seconds is not None and self.age_seconds < -CLOCKS_DIFFER


def look(pipeline: Any, on: Sequence[str]) -> tuple[list[TableStatus], dict[str, Any] | None]:
    """How fresh the lists are that are on, and what the last run was; None where there is none.

    Nothing is written.
    """
    with reading_file(pipeline), Dataset(pipeline) as stored:
        found = [status_of(stored, name) for name in on]
        runs, begun = last_run(stored), _first_runs(stored)
        positions = state_in_destination(pipeline).get("resources", {})
        existing = stored.existing(ALL_TABLES)
        emptied = {name: _emptied(stored, name, positions, existing) for name in on}
        known = {name: Position.load(dict(positions.get(name, {}))) for name in on}
        for one in found:
            position = known[one.resource]
            one.since = begun.get(one.resource)
            one.in_doubt = count_seen(stored, one.resource, position.missed)
            one.parents_unread = count_seen(stored, one.resource, position.failed)
            if position.reconciled_at is None:
                one.never_asked = count_seen(stored, one.resource, position.waiting)
                one.never_asked -= count_seen(stored, one.resource, position.asked)
        _prove(found, known, Ledger.load(stored))
    for one in found:
        position = known[one.resource]
        one.refresh = position.refresh
        own = [one.resource, *(table.name for table in CHILD_TABLES[one.resource])]
        one.frozen = position.frozen
        one.missing = [name for name in own if name not in existing] if existing else []
        one.emptied = emptied.get(one.resource, [])
        if one.rows == 0 and not one.deleted and position.had_rows:
            one.emptied = [one.resource]
    return found, runs


def _prove(
    found: Sequence[TableStatus],
    positions: Mapping[str, Position],
    ledger: Ledger,
) -> None:
    """Since when each list is proven, and how many changes may have gone unseen since."""
    views = []
    for one in found:
        position = positions[one.resource]
        reconciled = parse(position.reconciled_at)
        whole = reconciled.timestamp() if reconciled else NEVER
        rows = one.rows or 0
        blocks = ledger_blocks(ledger.blocks.get(one.resource, ()), rows, whole)
        if len(blocks):
            oldest = float(blocks.read_at.min())
            one.proven_as_of = datetime.fromtimestamp(oldest, UTC) if oldest == oldest else None
        else:
            one.proven_as_of = reconciled
        if not BY_TABLE[one.resource].params:
            views.append(ListView(one.resource, rows, order="ascending", blocks=blocks))
    expected = unseen(views, ledger.rates, now_utc().timestamp())
    for one in found:
        if one.last_sync is not None:
            one.unseen = round(expected.get(one.resource, 0.0), 1)


def status_of(dataset: Dataset, resource: str) -> TableStatus:
    column, name = dataset.column, dataset.name
    gone = column("_deleted_at")
    counts = _one(
        dataset,
        f"SELECT SUM(CASE WHEN {gone} IS NULL THEN 1 ELSE 0 END), COUNT({gone}) "
        f"FROM {name(resource)}",
    )
    by_resource = f"WHERE {column('resource')} = %s"
    deletions = _one(dataset, f"SELECT COUNT(*) FROM {name('_deletions')} {by_resource}", resource)
    aside = _one(
        dataset,
        f"SELECT COUNT(*) FROM {name('_rejected_rows')} {by_resource} "
        f"AND {column('resolved_at')} IS NULL",
        resource,
    )
    _, last, message = _latest(dataset, resource)
    synced, _, _ = _latest(dataset, resource, status="done")
    reconciled, _, _ = _latest(dataset, resource, status="done", mode="reconcile")
    age = (now_utc() - synced).total_seconds() if synced else None
    return TableStatus(
        resource,
        int(counts[0] or 0) if counts else None,
        int(counts[1] or 0) if counts else 0,
        int(deletions[0]) if deletions else 0,
        int(aside[0]) if aside else 0,
        last,
        synced,
        reconciled,
        age,
        message=message,
    )


def _emptied(
    dataset: Dataset, resource: str, positions: dict[str, Any], existing: set[str]
) -> list[str]:
    """The tables of nested parts that held rows of a list, and hold none now."""
    found = []
    filled = Position.load(dict(positions.get(resource, {}))).filled
    for table in CHILD_TABLES[resource]:
        if table.name not in filled or table.name not in existing:
            continue
        assert table.child is not None
        shared = table.child.shared
        where = f" WHERE {dataset.column('owner_table')} = %s" if shared else ""
        params = (resource,) if shared else ()
        sql = f"SELECT 1 AS one FROM {dataset.name(table.name)}{where} LIMIT 1"
        if not any(rows.num_rows for rows in dataset.query(sql, *params)):
            found.append(table.name)
    return found


def _latest(
    dataset: Dataset, resource: str, **which: str
) -> tuple[datetime | None, str | None, str | None]:
    """When the list's last read that is so ended, how, and what was said of it. The last is that
    of the last run: the order of runs holds, whatever the clock was."""
    column = dataset.column
    run, ended, status = column("run_id"), column("ended_at"), column("status")
    message = column("message")
    wanted = {"resource": resource, **which}
    so = " AND ".join(f"r.{column(name)} = %s" for name in wanted)
    row = _one(
        dataset,
        f"SELECT r.{ended}, r.{status}, r.{message} FROM {dataset.name('_sync_resources')} AS r "
        f"JOIN {dataset.name('_sync_runs')} AS s ON s.{run} = r.{run} "
        f"WHERE {so} AND r.{ended} IS NOT NULL ORDER BY s.{column('started_at')} DESC LIMIT 1",
        *wanted.values(),
    )
    return (row[0], row[1], row[2]) if row else (None, None, None)


def _first_runs(dataset: Dataset) -> dict[str, datetime]:
    """When the first run with each list began."""
    resource, run = dataset.column("resource"), dataset.column("run_id")
    sql = (
        f"SELECT r.{resource}, MIN(s.{dataset.column('started_at')}) "
        f"FROM {dataset.name('_sync_resources')} AS r "
        f"JOIN {dataset.name('_sync_runs')} AS s ON s.{run} = r.{run} GROUP BY r.{resource}"
    )
    found: dict[str, datetime] = {}
    for rows in dataset.query(sql):
        found |= zip(*(column.to_pylist() for column in rows.columns), strict=True)
    return found


def _one(dataset: Dataset, sql: str, *params: Any) -> tuple[Any, ...] | None:
    for rows in dataset.query(sql, *params):
        if rows.num_rows:
            return tuple(column[0].as_py() for column in rows.columns)
    return None


def last_run(dataset: Dataset) -> dict[str, Any] | None:
    names = ("run_id", "started_at", "ended_at", "status", "message")
    started = dataset.column("started_at")
    row = _one(
        dataset,
        f"SELECT {', '.join(dataset.column(n) for n in names)} FROM {dataset.name('_sync_runs')} "
        f"ORDER BY {started} DESC LIMIT 1",
    )
    if row is None:
        return None
    found = dict(zip(names, row, strict=True))
    ended = _one(
        dataset,
        f"SELECT MAX({dataset.column('ended_at')}) AS lists_ended "
        f"FROM {dataset.name('_sync_resources')} WHERE {dataset.column('run_id')} = %s",
        found["run_id"],
    )
    return found | {"lists_ended_at": ended[0] if ended else None}
