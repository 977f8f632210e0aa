"""Before reading: how each list is read in this run, and from where.

All of it comes from the destination: what it holds of each list, how far the last read of it
came, and which parents are still to be asked.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from pipelines.eduframe.destinations.postgres.locks import is_locked, who_locks
from pipelines.eduframe.destinations.tables.doubled_rows import remove_doubled
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.store.hidden_rows import asked_before
from pipelines.eduframe.store.recent_runs import PastRuns, note_followed
from pipelines.eduframe.store.rejected_rows import set_aside
from pipelines.eduframe.store.seen_keys import seen_keys
from sources.eduframe.clock import now_utc, parse
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.declare import Endpoint, Parent
from sources.eduframe.http.client import Client
from sources.eduframe.reading.checkpoint import Position, set_name, why_not_resumed
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import Plan, Proof, Read, WholeList, choose_mode
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.reading.under_parents import UnderParents
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
    anew: Collection[str] = ()
    """The lists of which every row is to be written again, as their tables were mended."""
    looking: bool = False
    """Whether this is for a look alone: nothing is mended."""


def come_after_the_last_run(stored: StoredRows, past: PastRuns, report: Report) -> None:
    """Runs are told apart, and ordered, by their start, even if the clock was set back; one that
    was cut off is told of, and the last one is told that another has begun."""
    if any(run.status == "running" for run in past.runs):
        running = f"{stored.column('status')} = 'running'"
        stored.update("_sync_runs", {"status": "interrupted"}, running)
        report.notes.append("the last run did not come to its end")
    latest = max((run.started_at for run in past.runs if run.started_at), default=None)
    if latest is not None and latest >= report.started_at:
        report.started_at = latest + timedelta(microseconds=1)
    note_followed(stored, past, report.clock)


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
    aside, asked = set_aside(stored), asked_before(stored)
    plans: dict[str, Plan] = {}
    deadline = time.monotonic() + context.settings.lock_wait_seconds
    positions = {e.table: Position.load(context.state.get(e.table, {})) for e in endpoints}
    if refresh:
        ask_for_refresh(positions, context.report, goes_on=was_cut_short(stored))
    for name in {*positions} & {*context.anew}:
        positions[name].refresh = positions[name].refresh or context.report.started_at.isoformat()
    for endpoint in endpoints:
        forced_here = forced and (named or not endpoint.params)
        position = positions[endpoint.table]
        if refresh and not position.refresh:
            context.report.leave_out(endpoint.table, "done in the refresh that goes on")
            continue
        plan = None
        while plan is None and endpoint.table not in context.report.unloaded:
            try:
                plan = _plan(stored, endpoint, position, context, forced=forced_here)
                plan.set_aside = aside.get(endpoint.table, plan.set_aside)
                plan.asked_for = asked.get(endpoint.table, plan.asked_for)
                _resume(plan, stored, context, forced or plan.refresh)
                if plan.refresh:
                    plan.index.forget_hashes()
                plan.read = _read(plan, stored, context, book)
            except Exception as error:  # each driver has exceptions of its own
                if not is_locked(error):
                    raise
                plan = None
                if time.monotonic() >= deadline or context.report.stopped:
                    context.report.fail(endpoint.table, who_locks(stored.pipeline))
        if plan is None:
            continue
        _tell_of_marked(plan, context.report)
        plans[endpoint.table] = plan
    if forced and not named:
        _tell_of_not_compared(plans.values(), stored, context)
    return plans


def _tell_of_marked(plan: Plan, report: Report) -> None:
    """Say once, when ``deletes`` turns to hard, that rows marked before stay."""
    position, table = plan.position, plan.endpoint.table
    turned = position.deletes == "soft" and plan.policy.deletes == "hard"
    position.deletes = plan.policy.deletes
    marked = int(np.count_nonzero(plan.index.deleted))
    if turned and marked:
        report.runs[table].notes.append(
            f"deletes is hard now: {marked} rows that were marked as deleted before stay. To "
            f"remove them: eduframe sync {table} --reconcile --allow-mass-delete {table}"
        )


def _tell_of_not_compared(
    plans: Iterable[Plan], stored: StoredRows, context: Context
) -> None:
    """Say of which lists under parents not every parent is asked, and what that would cost."""
    left = [plan for plan in plans if plan.mode == "parents"]
    if not left:
        return
    cost = sum(
        len(stored.parents(parent, None) or ()) for plan in left for parent in plan.endpoint.parents
    )
    cost += sum(
        len(context.settings.custom_object_types) for plan in left if plan.endpoint.parent_setting
    )
    names = " ".join(plan.endpoint.table for plan in left)
    context.report.notes.append(
        f"lists under parents were read for changed parents only; to compare them too (about "
        f"{cost} requests): eduframe sync --reconcile {names}"
    )


def was_cut_short(stored: StoredRows) -> bool:
    """Whether the last run was killed, or stopped before each of its lists was read."""
    runs, lists = stored.name("_sync_runs"), stored.name("_sync_resources")
    run, status = stored.column("run_id"), stored.column("status")
    last = (
        f"SELECT {run}, {status} FROM {runs} "
        f"ORDER BY {stored.column('started_at')} DESC LIMIT 1"
    )
    for rows in stored.query(last):
        for run_id, how in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if how in ("running", "interrupted"):
                return True
            stopped = f"SELECT 1 AS one FROM {lists} WHERE {run} = %s AND {status} = 'stopped'"
            return any(found.num_rows for found in stored.query(f"{stopped} LIMIT 1", run_id))
    return False


def ask_for_refresh(
    positions: Mapping[str, Position], report: Report, *, goes_on: bool
) -> None:
    """Note in the positions that every row is to be written again.

    If an earlier such request is not done yet, as its run was cut short, this goes on with it:
    lists that are done are left out, so that such runs come to an end.
    """
    waiting = [p.refresh for p in positions.values() if p.refresh and goes_on]
    request = min(waiting, default=report.started_at.isoformat())
    for position in positions.values():
        if position.refreshed != request:
            position.refresh = request
    if waiting:
        names = ", ".join(name for name, position in positions.items() if position.refresh)
        report.notes.append(f"the refresh asked for at {request[:16]} goes on: {names}")


def _plan(
    stored: StoredRows,
    endpoint: Endpoint,
    position: Position,
    context: Context,
    *,
    forced: bool,
) -> Plan:
    name, report, refresh = endpoint.table, context.report, position.refresh is not None
    whole = {name, *(table.name for table in CHILD_TABLES[name])} <= context.existing
    parent_columns = {c: c for c in endpoint.parent_columns} if endpoint.params else None
    index = _known(stored, endpoint, context, parent_columns, whole=whole, forced=forced or refresh)
    policy = context.policies[name]
    emptied = index.emptied(position.filled)
    if emptied:
        report.runs[name].notes.append(
            f"{', '.join(emptied)} held rows and holds none now: the list is read completely"
        )
    must = not whole or refresh or forced or bool(emptied)
    mode = choose_mode(
        endpoint,
        position,
        index,
        policy.reconcile_every,
        report.clock,
        forced=must,
    )
    if position.round and endpoint.params and not must:
        mode = "parents"  # all are being asked, over several runs
    plan = Plan(
        endpoint, mode, position, index, policy, report.started_at, report.clock,
        since=parse(position.cursor), refresh=refresh, asked=forced or refresh,
        damaged=not whole or bool(emptied),
    )
    if position.frozen and mode != "reconcile":  # a read that reconciles says so itself
        report.runs[name].frozen.append(position.frozen)
    if position.missed:
        plan.missed_before = _together(seen_keys(stored, name, position.missed))
    if position.refused:
        plan.refused_before = _together(seen_keys(stored, name, position.refused))
    if position.waiting and position.asked:
        waiting = _together(seen_keys(stored, name, position.waiting))
        asked = _together(seen_keys(stored, name, position.asked))
        plan.waiting_before = np.setdiff1d(waiting, asked)
    if position.late:
        plan.late_before = _together(seen_keys(stored, name, position.late))
    if position.failed:
        plan.failed_before = _together(seen_keys(stored, name, position.failed))
        if position.failed_anew and index.parents is not None:
            index.forget_hashes_of(index.keys[np.isin(index.parents, plan.failed_before)])
    return plan


def _known(
    stored: StoredRows,
    endpoint: Endpoint,
    context: Context,
    parent_columns: Mapping[str, str] | None,
    *,
    whole: bool,
    forced: bool,
) -> RowIndex:
    """What the destination holds of the list; where that is asked for, with one row of each."""
    name, pipeline = endpoint.table, stored.pipeline
    index = stored.known(MAIN_TABLES[name], parent_columns, whole=whole)
    if context.looking:
        return index
    tables = [MAIN_TABLES[name]] if index.doubled else []
    tables += CHILD_TABLES[name] if forced else []
    found = {table.name: remove_doubled(pipeline, stored, table) for table in tables}
    doubled = {table: ids for table, ids in found.items() if len(ids)}
    if index.doubled and name not in doubled:  # what is written takes the place of both
        context.report.runs[name].notes.append(f"{index.doubled} rows stood more than once")
    if doubled:
        index = stored.known(MAIN_TABLES[name], parent_columns, whole=whole)
        for ids in doubled.values():
            index.forget_hashes_of(ids)
        context.report.runs[name].notes.append(
            f"rows stood more than once in {', '.join(doubled)}: one of each is left"
        )
    return index


def _read(plan: Plan, stored: StoredRows, context: Context, book: ParentBook) -> Read:
    """Which part of the list is read: all of it, or what is under the parents to be asked."""
    endpoint, index, whole = plan.endpoint, plan.index, plan.mode == "reconcile"
    if not endpoint.params:
        is_new = plan.position.began is None and not len(index) and not endpoint.detail_path
        return WholeList(endpoint, Proof(of_list=whole), is_new=is_new)
    answered: Ids = np.zeros(0, np.int64)
    if plan.resumed:
        parents = set_name(plan.checkpoint.id, "parents")
        answered = _together(seen_keys(stored, endpoint.table, parents))
    plan.parents_gone = _gone_before(plan, stored)
    return UnderParents(
        endpoint,
        book,
        _parents(plan, stored),
        context.settings.custom_object_types,
        Proof(of_list=whole, of_answered_parents=True),
        answered,
        plan.failed_before,
        plan.position.readable is True,
        waiting_before=plan.waiting_before,
        filled=np.zeros(0, np.int64) if index.parents is None else np.unique(index.parents),
    )


def _parents(plan: Plan, stored: StoredRows) -> list[list[tuple[Any, ...]] | None]:
    """The parents that the destination holds and that are to be asked, for each declared one.

    Unless all are: those that were written since, that lacked rows, that were refused, that
    failed, or for which requests were not left.
    """
    position = plan.position
    whole = plan.mode == "reconcile" or bool(position.round and not position.waiting)
    written_after = None if whole else parse(position.parents_until)
    again = np.union1d(plan.refused_before, plan.failed_before)
    again = np.union1d(np.union1d(again, plan.waiting_before), plan.late_before)
    if plan.index.parents is not None and len(plan.missed_before):
        places, known = plan.index.find(plan.missed_before)
        again = np.union1d(again, plan.index.parents[places[known]])
    found: list[list[tuple[Any, ...]] | None] = []
    for parent in plan.endpoint.parents:
        values = stored.parents(parent, written_after)
        if values is not None and written_after is not None and len(again):
            wanted = set(again.tolist())
            every = stored.parents(parent, None) or []
            values = [*values, *(v for v in every if _key_ids(parent, [v]) & wanted)]
        found.append(values)
    return found


def _gone_before(plan: Plan, stored: StoredRows) -> Ids:
    """The parents of living rows that were proven gone before this run."""
    index = plan.index
    if index.parents is None or not (plan.mode == "reconcile" or plan.position.round):
        return np.zeros(0, np.int64)
    of_rows = np.unique(index.parents[~index.deleted])
    gone: set[int] = set()
    for parent in plan.endpoint.parents:
        held = stored.parents(parent, None)
        if held is None:
            continue  # the table was emptied, or is not there: that says nothing
        living = _key_ids(parent, held)
        if set(of_rows.tolist()) - living:
            gone |= _key_ids(parent, stored.parents_gone(parent)) - living
    return np.intersect1d(of_rows, np.array(sorted(gone), np.int64))


def _key_ids(parent: Parent, values: Iterable[tuple[Any, ...]]) -> set[int]:
    return {parent.ref(value).key_id for value in values if None not in value}


def _resume(plan: Plan, stored: StoredRows, context: Context, forced: bool) -> None:
    """Go on with an interrupted read, if there is one that can still be gone on with."""
    checkpoint, name = plan.position.checkpoint, plan.endpoint.table
    if checkpoint is None:
        return
    notes = context.report.runs[name].notes
    stamp = parse(checkpoint.stamp) or context.report.started_at
    patience = context.settings.max_read_age
    if checkpoint.runs and (began := parse(checkpoint.began)):
        whole = (now_utc() - began) * max(1.0, len(plan.index) / max(1, checkpoint.rows))
        patience = max(patience, plan.policy.reconcile_every, 1.5 * whole)
    seen = [*seen_keys(stored, name, checkpoint.id), *stored.written(MAIN_TABLES[name], stamp)]
    why_not = why_not_resumed(
        checkpoint,
        mode=plan.mode,
        forced=forced,
        refresh=plan.refresh,
        asked=plan.asked,
        oldest=now_utc() - patience,
        max_age=shown_duration(patience),
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
