"""Before reading: how each list is read in this run, and from where.

All of it comes from the destination: what it holds of each list, how far the last read of it
came, and which parents are still to be asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from pipelines.eduframe.run.report import Report
from pipelines.eduframe.store.rejected_rows import set_aside
from pipelines.eduframe.store.seen_keys import seen_keys
from sources.eduframe.clock import now_utc, parse
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.declare import Endpoint
from sources.eduframe.http.client import Client
from sources.eduframe.reading.checkpoint import Position, why_not_resumed
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import Plan, Proof, Read, UnderParents, WholeList, choose_mode
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.keys import Ids
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES
from sources.eduframe.settings import Settings, shown_duration


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
    book: ParentBook,
    *,
    forced: bool,
    named: bool,
    refresh: bool = False,
) -> dict[str, Plan]:
    """How each list is read."""
    aside = set_aside(stored)
    plans: dict[str, Plan] = {}
    for endpoint in endpoints:
        forced_here = forced and (named or not endpoint.params)
        plan = _plan(stored, endpoint, context, forced=forced_here, refresh=refresh)
        plan.set_aside = aside.get(endpoint.table, plan.set_aside)
        _resume(plan, stored, context, forced or refresh)
        if plan.refresh:
            plan.index.forget_hashes()
        plan.read = _read(plan, stored, context, book)
        plans[endpoint.table] = plan
    return plans


def _plan(
    stored: StoredRows, endpoint: Endpoint, context: Context, *, forced: bool, refresh: bool
) -> Plan:
    name, report = endpoint.table, context.report
    position = Position.load(context.state.get(name, {}))
    whole = {name, *(table.name for table in CHILD_TABLES[name])} <= context.existing
    parent_columns = {c: c for c in endpoint.parent_columns} if endpoint.params else None
    index = stored.known(MAIN_TABLES[name], parent_columns, whole=whole)
    policy = context.policies[name]
    mode = choose_mode(
        endpoint,
        position,
        index,
        policy.reconcile_every,
        report.clock,
        forced=not whole or refresh or forced,
    )
    plan = Plan(
        endpoint, mode, position, index, policy, report.started_at, report.clock,
        since=parse(position.cursor), refresh=refresh,
    )
    if position.frozen and mode != "reconcile":  # a read that reconciles says so itself
        report.runs[name].frozen.append(position.frozen)
    if position.missed:
        plan.missed_before = _together(seen_keys(stored, name, position.missed))
    return plan


def _read(plan: Plan, stored: StoredRows, context: Context, book: ParentBook) -> Read:
    """Which part of the list is read: all of it, or what is under the parents to be asked."""
    endpoint, whole = plan.endpoint, plan.mode == "reconcile"
    if not endpoint.params:
        return WholeList(endpoint, Proof(of_list=whole))
    written_after = None if whole else parse(plan.position.parents_until)
    return UnderParents(
        endpoint,
        book,
        [stored.parents(parent, written_after) for parent in endpoint.parents],
        context.settings.custom_object_types,
        Proof(of_list=whole, of_answered_parents=True),
    )


def _resume(plan: Plan, stored: StoredRows, context: Context, forced: bool) -> None:
    """Go on with an interrupted read, if there is one that can still be gone on with."""
    checkpoint, name = plan.position.checkpoint, plan.endpoint.table
    if checkpoint is None:
        return
    notes = context.report.runs[name].notes
    stamp = parse(checkpoint.stamp) or context.report.started_at
    seen = [*seen_keys(stored, name, checkpoint.id), *stored.written(MAIN_TABLES[name], stamp)]
    why_not = why_not_resumed(
        checkpoint,
        mode=plan.mode,
        forced=forced,
        refresh=plan.refresh,
        oldest=now_utc() - context.settings.max_read_age,
        max_age=shown_duration(context.settings.max_read_age),
        trusted=not checkpoint.next_url or context.client.trusts(checkpoint.next_url),
        known_rows=len(plan.index),
        known_seen=sum(len(np.unique(ids)) for ids in seen),
    )
    if why_not is None:
        plan.resume(checkpoint)
        for ids in seen:
            plan.index.mark_seen(ids)
        notes.append(f"went on after {checkpoint.rows} rows of an interrupted read")
        return
    if checkpoint.refresh:
        plan.mode, plan.refresh, plan.checkpoint.refresh = "reconcile", True, True
    if why_not:
        notes.append(f"reading starts anew: {why_not}")


def _together(parts: Iterable[Ids]) -> Ids:
    return np.concatenate([np.zeros(0, np.int64), *parts])
