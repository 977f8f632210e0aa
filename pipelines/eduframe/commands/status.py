"""``eduframe status``: how fresh each table is, from what the destination itself holds."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from pipelines.eduframe.commands.output import Column, Row, print_json, print_line, print_table
from pipelines.eduframe.destinations.duckdb_file import reading_file
from pipelines.eduframe.exit_codes import DONE, FAILED, PARTLY
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.store.ledger import NEVER, Ledger, ledger_blocks
from pipelines.eduframe.store.seen_keys import count_seen
from pipelines.eduframe.store.state import state_in_destination
from sources.eduframe.clock import now_utc, parse
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.display import escaped
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.errors import SettingsError
from sources.eduframe.planning.planner import unseen
from sources.eduframe.planning.views import ListView
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.rows.tables import ALL_TABLES, CHILD_TABLES
from sources.eduframe.settings import parse_duration, policies, resolve, select

CLOCKS_DIFFER = 300.0
"""Seconds that the clocks of two machines may be apart."""

OWN = "own"
"""For --max-unproven: one and a half times each list's own reconcile_every."""
UNPROVEN_AFTER = 1.5

COLUMNS = (
    Column("table"),
    Column("rows", right=True),
    Column("deleted", right=True, spare=3),
    Column("set aside", right=True, spare=1),
    Column("last sync", spare=4),
    Column("proven as of", spare=2),
    Column("unseen", right=True, spare=5),
    Column("age", right=True),
    Column("status"),
)


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
    unseen: float = 0.0
    """Changes that are expected to have happened since its rows were read."""
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


def run_status(
    destination: str,
    dataset: str,
    *,
    max_age: str | None,
    as_json: bool,
    wide: bool = False,
    off_counts: bool = False,
    max_unproven: str | None = None,
) -> int:
    """Print the state of every table that is on.

    Returns 3 if one is older than ``max_age``, not there, or emptied, or was not proven for longer
    than ``max_unproven`` (:data:`OWN`: one and a half times its own ``reconcile_every``); lists
    that the API does not let the token read count only with ``off_counts``.
    """
    limit = _limit(max_age, "--max-age") if max_age else None
    unproven = _limit(max_unproven, "--max-unproven") if max_unproven not in (None, OWN) else None
    settings = resolve(token_needed=False)
    every = {name: policy.reconcile_every for name, policy in policies(settings).items()}
    on = [endpoint.table for endpoint in select(settings).on]
    with tempfile.TemporaryDirectory() as folder:  # the working folder is left alone
        pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
        with reading_file(pipeline, 10), Dataset(pipeline) as stored:
            found = [_status(stored, name) for name in on]
            runs = _last_run(stored)
            positions = state_in_destination(pipeline).get("resources", {})
            existing = stored.existing(ALL_TABLES)
            emptied = {name: _emptied(stored, name, positions, existing) for name in on}
            for one in found:
                position = Position.load(dict(positions.get(one.resource, {})))
                one.in_doubt = count_seen(stored, one.resource, position.missed)
                one.parents_unread = count_seen(stored, one.resource, position.failed)
                if position.reconciled_at is None:
                    one.never_asked = count_seen(stored, one.resource, position.waiting)
                    one.never_asked -= count_seen(stored, one.resource, position.asked)
            known = {name: Position.load(dict(positions.get(name, {}))) for name in on}
            _prove(found, known, every, Ledger.load(stored))
    for one in found:
        position = Position.load(dict(positions.get(one.resource, {})))
        one.refresh = position.refresh
        own = [one.resource, *(table.name for table in CHILD_TABLES[one.resource])]
        one.frozen = position.frozen
        one.missing = [name for name in own if name not in existing] if existing else []
        one.emptied = emptied.get(one.resource, [])
        if one.rows == 0 and not one.deleted and position.had_rows:
            one.emptied = [one.resource]
        if limit is not None and (off_counts or one.status != "off"):
            old = one.age_seconds is None or one.age_seconds > limit.total_seconds()
            one.too_old = old or one.ahead or bool(one.missing or one.emptied)
        if max_unproven is not None and (off_counts or one.status != "off"):
            allowed = unproven or UNPROVEN_AFTER * every[one.resource]
            since = one.proven_as_of
            one.unproven = since is None or now_utc() - since > allowed
    off = [one.resource for one in found if one.status == "off"]
    if as_json:
        print_json(
            orjson.dumps(
                {"last_run": runs, "tables": [asdict(f) for f in found]},
                option=orjson.OPT_INDENT_2,
            ).decode()
        )
    else:
        _print(found, runs, wide)
        if off:
            counted = "counted" if off_counts else "not counted by --max-age without --off-counts"
            print_line(f"off, as the token may not read them ({counted}): {', '.join(off)}")
    if all(f.rows is None for f in found):
        print(f"Nothing has been synced into dataset {escaped(dataset)} yet.", file=sys.stderr)
        return FAILED
    return PARTLY if any(f.too_old or f.unproven for f in found) else DONE


def _limit(value: str | None, option: str) -> timedelta:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise SettingsError(f"{option} is {value!r}; {error}.") from None


def _prove(
    found: Sequence[TableStatus],
    positions: Mapping[str, Position],
    every: Mapping[str, timedelta],
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
        one.unseen = round(expected.get(one.resource, 0.0), 1)


def _status(dataset: Dataset, resource: str) -> TableStatus:
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


def _one(dataset: Dataset, sql: str, *params: Any) -> tuple[Any, ...] | None:
    for rows in dataset.query(sql, *params):
        if rows.num_rows:
            return tuple(column[0].as_py() for column in rows.columns)
    return None


def _last_run(dataset: Dataset) -> dict[str, Any] | None:
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


def _print(found: list[TableStatus], last_run: dict[str, Any] | None, wide: bool) -> None:
    rows = [
        Row(
            (
                one.resource,
                "-" if one.rows is None else f"{one.rows:,}",
                f"{one.deletions:,}" if one.deletions else "·",
                f"{one.set_aside:,}" if one.set_aside else "·",
                _time(one.last_sync),
                _time(one.proven_as_of) + (" !" if one.unproven else ""),
                f"{one.unseen:,.0f}" if one.unseen >= 0.5 else "·",
                _age(one.age_seconds) + (" !" if one.too_old else ""),
                one.status or "never read",
            ),
            "bold red" if one.too_old or one.unproven else "",
        )
        for one in found
    ]
    print_table(COLUMNS, rows, wide=wide)
    for one in found:
        for remark in one.remarks:
            print_line(f"{one.resource}: {remark}")
    if ahead := [f"{one.resource} ({_age(-(one.age_seconds or 0))})" for one in found if one.ahead]:
        print_line(
            "synced in the future, by a clock that was wrong, and so not known to be fresh: "
            f"{', '.join(ahead)}. Set the clock of the machine that syncs, and sync again"
        )
    if last_run:
        message = f": {last_run['message']}" if last_run["message"] else ""
        print_line(f"last run: {last_run['status']}, {_when(last_run)}{message}")


def _when(last_run: dict[str, Any]) -> str:
    """When a run was. One after a run by a clock that was wrong is said to have started after that
    one, so that they stay in order: then the end of its last list tells."""
    if not _is_ahead(last_run["started_at"]):
        return f"started {_time(last_run['started_at'])}"
    ended = last_run["lists_ended_at"]
    if ended is not None and not _is_ahead(ended):
        return f"ended {_time(ended)}"
    return f"started {_time(last_run['started_at'])}, in the future, by a clock that was wrong"


def _is_ahead(moment: datetime) -> bool:
    return (moment - now_utc()).total_seconds() > CLOCKS_DIFFER


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < -CLOCKS_DIFFER:
        return f"in {_age(-seconds)}"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
