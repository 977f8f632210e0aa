"""Before reading: how each list is read in this run, and from where.

All of it comes from the destination: what it holds of each list, how far the last read of it
came, and which parents are still to be asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from pipelines.eduframe.run.load_packages import make_tables
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.store.rejected_rows import set_aside
from pipelines.eduframe.store.seen_keys import seen_keys
from sources.eduframe.dataset.stored import StoredRows
from sources.eduframe.declare import Endpoint
from sources.eduframe.http.client import Client
from sources.eduframe.policy import Policy
from sources.eduframe.reading.parents import column_names
from sources.eduframe.reading.read import Plan, Position, choose_mode, now_utc, parse
from sources.eduframe.rows.keys import Ids
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES
from sources.eduframe.settings import Settings, duration


@dataclass(frozen=True)
class Context:
    """What planning looks at, beside the destination's tables."""

    settings: Settings
    policies: Mapping[str, Policy]
    client: Client
    report: Report
    state: Mapping[str, Any]
    """dlt's state of each resource."""
    existing: set[str]
    """The tables that are there."""


def come_after_the_last_run(stored: StoredRows, report: Report) -> None:
    """Runs are told apart, and ordered, by their start, even if the clock was set back."""
    table, column = stored.name("_sync_runs"), stored.column("started_at")
    status = stored.column("status")
    running = f"FROM {table} WHERE {status} = 'running'"
    if any(rows.num_rows for rows in stored.query(f"SELECT 1 {running} LIMIT 1")):
        stored.update("_sync_runs", {"status": "interrupted"}, f"{status} = 'running'")
        report.notes.append("the last run did not come to its end")
    for rows in stored.query(f"SELECT MAX({column}) AS latest FROM {table}"):
        latest = rows.column(0).to_pylist()[0] if rows.num_rows else None
        if latest is not None and latest >= report.started_at:
            report.started_at = latest + timedelta(microseconds=1)


def make_plans(
    stored: StoredRows,
    endpoints: Sequence[Endpoint],
    context: Context,
    *,
    forced: bool,
    named: bool,
    refresh: bool = False,
) -> tuple[dict[str, Plan], dict[str, list[Any]]]:
    """A plan for each list, and for lists under a parent the parents that are to be asked."""
    plans: dict[str, Plan] = {}
    parents: dict[str, list[Any]] = {}
    synced_at = context.report.started_at
    aside = set_aside(stored)
    for endpoint in endpoints:
        name = endpoint.table
        position = Position.load(context.state.get(name, {}))
        children = {t.name for t in CHILD_TABLES[name]}
        columns = {c: c for c in column_names(endpoint)} if endpoint.params else None
        whole = {name, *children} <= context.existing
        known = stored.known(MAIN_TABLES[name], columns, whole=whole)
        policy = context.policies[name]
        mode = choose_mode(
            endpoint,
            position,
            known,
            policy.reconcile_every,
            context.report.clock,
            forced=not whole or refresh or (forced and (named or not endpoint.params)),
        )
        since = parse(position.cursor)
        plan = Plan(
            endpoint, mode, position, known, policy, synced_at, context.report.clock, since,
            refresh=refresh,
        )
        plan.set_aside = aside.get(name, plan.set_aside)
        if position.missed:
            plan.missed_before = _together(seen_keys(stored, name, position.missed))
        _resume(plan, stored, context, forced or refresh)
        if plan.refresh:
            known.forget_hashes()
        plans[name] = plan
        written_after = None if plan.mode == "reconcile" else parse(position.parents_until)
        parents[name] = [stored.parents(p, written_after) for p in endpoint.parents]
    return plans, parents


def _resume(plan: Plan, stored: StoredRows, context: Context, forced: bool) -> None:
    """Go on with an interrupted read, if there is one that can still be gone on with."""
    unfinished, name = plan.position.unfinished, plan.endpoint.table
    if unfinished is None:
        return
    run = context.report.runs[name]
    began = parse(unfinished.began)
    oldest = now_utc() - duration("max_read_age", context.settings.max_read_age)
    stamp = parse(unfinished.stamp) or context.report.started_at
    seen = [*seen_keys(stored, name, unfinished.id), *stored.written(MAIN_TABLES[name], stamp)]
    met = sum(len(np.unique(ids)) for ids in seen)
    nowhere = unfinished.parent is None and unfinished.next_url is None
    if nowhere or began is None:
        why = ""
    elif began < oldest:
        why = f"the interrupted read is older than {context.settings.max_read_age}"
    elif plan.refresh and not unfinished.refresh:
        why = "every row is to be written"
    elif unfinished.mode != plan.mode and (forced or unfinished.mode != "reconcile"):
        why = "it is to be read in another way than the interrupted read"
    elif unfinished.next_url and not context.client.trusts(unfinished.next_url):
        why = "the interrupted read was of another address"
    elif unfinished.rows and not len(plan.known):
        why = "the table was emptied since"
    elif unfinished.mode != "cursor" and met < unfinished.rows / 2:
        why = "the keys of the interrupted read are lost"
    else:
        plan.mode, plan.resumed, plan.refresh = unfinished.mode, True, unfinished.refresh
        plan.unfinished = unfinished
        for ids in seen:
            plan.known.mark_seen(ids)
        run.notes.append(f"went on after {unfinished.rows} rows of an interrupted read")
        return
    if unfinished.refresh:
        plan.mode, plan.refresh, plan.unfinished.refresh = "reconcile", True, True
    if why:
        run.notes.append(f"reading starts anew: {why}")


def _together(parts: Iterable[Ids]) -> Ids:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def heal(pipeline: Any, missing: Iterable[str]) -> None:
    """Make dlt create tables that were dropped by hand, which it believes to be there."""
    schema = pipeline.default_schema_name and pipeline.default_schema
    dropped = set(missing) & set(schema.tables) if schema else None
    if dropped:
        make_tables(pipeline, dropped)
