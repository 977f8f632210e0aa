"""What a run reads on its budget: the planner's choices, as reads of the lists.

Where everything costs no more than what may be spent, everything is read. Else each list is shown
to the planner (:func:`view_of`), and what it chooses becomes the list's read (:func:`spend`).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import numpy as np

from pipelines.eduframe.run.named_rows import NamedRows, moved_by
from pipelines.eduframe.run.spending import Spending
from pipelines.eduframe.store.ledger import NEVER, Ledger
from sources.eduframe.clock import parse
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import filled_by
from sources.eduframe.http.pagination import PER_PAGE
from sources.eduframe.planning import views
from sources.eduframe.planning.blocks import Blocks, believed
from sources.eduframe.planning.planner import Schedule, choose
from sources.eduframe.planning.views import Choice, ListView, Parents, Window
from sources.eduframe.reading import parts
from sources.eduframe.reading.key_order import Order, may_be_ordered
from sources.eduframe.reading.questions import item_params, needs_names
from sources.eduframe.reading.read import Plan, Proof, WholeList, is_due
from sources.eduframe.reading.under_parents import UnderParents
from sources.eduframe.rows.keys import Ids, among
from sources.eduframe.settings import Settings

ORDERS: dict[str, views.Order] = {
    "ascending": "ascending", "descending": "descending", "none": "none",
}  # fmt: skip
ROWS_UNKNOWN = 3
"""After so many runs in a row that found more rows in a list than we know of, it is read whole."""
FEW_PARENTS = 20
"""A list is not worth a plan under which no more parents are to be asked."""
IDLE_SHARE = 8
"""One request of so many is for lists that were empty or off, as long as not all can be read."""
SPARE = 20
"""One request of so many is kept for pages that are read beside, where rows have shifted."""


@dataclass
class Budgeted:
    """A run that reads in parts: what it began from, to book afterwards what it found."""

    ledger: Ledger
    schedule: Schedule
    views: dict[str, ListView]
    plans: Mapping[str, Plan]
    now: datetime
    every: float
    """Seconds from one run to the next."""
    named: NamedRows = field(default_factory=NamedRows)

    def too_little(self, spending: Spending) -> int | None:
        """The requests a run with which everything is read within ``reconcile_every``, where runs
        as they usually are have less; else None."""
        needed = self.schedule.needed
        return needed if needed > spending.usual else None


def plan_parts(
    plans: dict[str, Plan], stored: StoredRows, spending: Spending
) -> Budgeted | None:
    """Let the planner choose what is read, where not everything can be.

    Changes the plans; those of lists of which nothing is read are taken out. Returns None where
    everything is read.
    """
    if spending.allowance is None:
        return None
    for plan in plans.values():
        read = plan.read
        if isinstance(read, UnderParents) or (isinstance(read, WholeList) and not _is_new(plan)):
            read.left = spending.left
    cost = sum(cost_of(plan) for plan in plans.values())
    unread = [plan for plan in plans.values() if asks_api_for_parents(plan, plans)]
    if cost <= (spending.left() // 2 if unread else spending.left()):
        for plan in unread:  # what that costs is not known: the other lists go before
            assert isinstance(plan.read, UnderParents)
            plan.read.left = lambda: max(0, spending.left() - cost)
        return None
    _take_turns(plans, spending)
    ledger = Ledger.load(stored)
    now = spending.report.clock
    seen = {
        name: view_of(plan, stored, ledger, now)
        for name, plan in plans.items()
        if why_by_itself(plan) is None
    }
    by_themselves = {name: cost_of(plan) for name, plan in plans.items() if name not in seen}
    for name in by_themselves:
        if asks_api_for_parents(plans[name], plans):
            by_themselves[name] = max(by_themselves[name], share_of_unsynced(spending))
    taken = sum(by_themselves.values())
    pace = max(0, spending.pace(ledger.rates.lively(now.timestamp())) - taken)
    most = max(pace, spending.steady() - taken)
    schedule = choose(
        [*seen.values()], ledger.rates, _but_spare(pace), now.timestamp(), spending.every,
        most=_but_spare(most),
    )
    if schedule.cost > _but_spare(pace):
        pace = most
    budgeted = Budgeted(ledger, schedule, seen, dict(plans), now, spending.every)
    for plan in plans.values():
        budgeted.named.listen(plan)
    chosen: dict[str, list[Choice]] = {}
    for choice in schedule.choices:
        chosen.setdefault(choice.name, []).append(choice)
    shares = {name: sum(choice.cost for choice in found) for name, found in chosen.items()}
    moved = {table for plan in plans.values() for table in moved_by(plan.endpoint).values()}
    later = {name: 0 for name in seen if plans[name].endpoint.parents or name in moved}
    shares = later | shares
    spending.share_out(shares | by_themselves, pace - sum(shares.values()))
    for name in by_themselves:
        read = plans[name].read
        if isinstance(read, UnderParents):
            at_once = _at_once(plans[name])
            read.left = None if at_once else partial(spending.left_of, name)
    for name in seen:
        if name in shares:  # parents may change in this run, and rows be named
            _set_read(plans[name], seen[name], chosen.get(name, ()), budgeted.named, spending)
        else:
            _pass_over(name, plans, spending)
    return budgeted


def _but_spare(requests: int) -> int:
    return requests - min(requests, -(-requests // SPARE))


def tell_beforehand(
    plans: Mapping[str, Plan], budgeted: Budgeted | None, spending: Spending, settings: Settings
) -> None:
    """Note what each list will take, and say if runs have too little to come round in time."""
    for name, plan in plans.items():
        if len(plan.index):
            share = spending.shares.get(name)
            spending.report.runs[name].expected = cost_of(plan) if share is None else share
    if budgeted and (needed := budgeted.too_little(spending)):
        spending.report.notes.append(
            f"with {spending.usual:.0f} requests a run not everything is read within "
            f"reconcile_every: that takes {spending.advice(needed, settings)}, or a longer "
            "reconcile_every"
        )


def _pass_over(name: str, plans: dict[str, Plan], spending: Spending) -> None:
    """Read nothing of a list in this run, nor its rows as parents of others beyond those held."""
    del plans[name]
    for plan in plans.values():
        if isinstance(plan.read, UnderParents):
            plan.read.book.start(name)
    run = spending.report.runs[name]
    run.status, run.passed_over = "done", True
    run.began = run.ended = time.monotonic()


def _is_new(plan: Plan) -> bool:
    """Whether this is the first load of a list: it is read whole, whatever that costs."""
    return plan.position.began is None and plan.position.readable is not False


def _take_turns(plans: dict[str, Plan], spending: Spending) -> None:
    """Leave out some of the lists that were empty or off, where there are many of them.

    Each is a request in which next to nothing is ever found: they have a share, and take turns.
    """
    assert spending.allowance is not None
    idle = sorted(
        name
        for name, plan in plans.items()
        if not (plan.endpoint.parents or plan.index.living or plan.position.had_rows)
        and not (_is_new(plan) or plan.refresh or plan.damaged)
    )
    most = max(1, spending.allowance // IDLE_SHARE)
    for place, name in enumerate(idle):
        if (place - spending.turn * most) % len(idle) >= most:
            _pass_over(name, plans, spending)


def why_by_itself(plan: Plan) -> str | None:
    """Why a list is read without the planner, and whole; None where the planner chooses."""
    if plan.refresh:
        return "every row is written again"
    if plan.damaged:
        return "a table of it was dropped or emptied"
    if plan.endpoint.params and not plan.endpoint.parent_setting:
        return "few parents are to be asked" if cost_of(plan) <= FEW_PARENTS else None
    if plan.position.began is None:
        return "it is read whole the first time"
    if not (plan.index.living or plan.endpoint.params):
        return "it had no rows, or was off"
    due = is_due(plan.position, plan.policy.reconcile_every, plan.clock)
    return "it is read in one go, and that is due" if _at_once(plan) and due else None


def _at_once(plan: Plan) -> bool:
    """Whether a list is read whole or not at all, and not by one request for each page."""
    return bool(plan.endpoint.detail_path or plan.endpoint.parent_setting)


def asks_api_for_parents(plan: Plan, plans: Mapping[str, Plan]) -> bool:
    """Whether a list has parents that are neither held nor read in this run, but for its sake."""
    read = plan.read
    if not isinstance(read, UnderParents):
        return False
    parents = zip(plan.endpoint.parents, read.stored, strict=False)
    return any(
        values is None
        and not read.book.met(plan.endpoint, number).started
        and filled_by(parent.table).table not in plans
        for number, (parent, values) in enumerate(parents)
    )


def share_of_unsynced(spending: Spending) -> int:
    """The requests that a list has whose parents are read for its sake."""
    return (spending.allowance or 0) // IDLE_SHARE


def cost_of(plan: Plan) -> int:
    """The requests that reading a list takes: what is left of it, if a read was interrupted."""
    done = plan.checkpoint.rows // PER_PAGE if plan.resumed and not plan.endpoint.params else 0
    return max(0, plan.read.cost(len(plan.index)) - done)


# ---- what the planner sees


def view_of(plan: Plan, stored: StoredRows, ledger: Ledger, now: datetime) -> ListView:
    """A list, as the planner sees it."""
    endpoint, position, index = plan.endpoint, plan.position, plan.index
    living = index.living_keys
    proven = _epoch(position.reconciled_at, now)
    view = ListView(
        endpoint.table,
        len(living) if endpoint.paged else min(len(living), PER_PAGE),
        order="none",
        by_page=False,
        by_item=item_params(endpoint) is not None and not needs_names(endpoint),
        reconcile_every=plan.policy.reconcile_every.total_seconds(),
        proven_at=proven,
        walk_left=cost_of(plan) if plan.resumed and not endpoint.params else 0,
    )
    if _at_once(plan):
        return replace(view, at_once=cost_of(plan), walk_left=0)
    if isinstance(plan.read, UnderParents):
        return replace(view, parents=_parents_of(plan, plan.read, stored))
    if not may_be_ordered(endpoint):
        return view
    hinted = np.array(sorted(ledger.hints.get(endpoint.table, ())), np.int64)
    view = replace(view, hinted=hinted[among(hinted, living)])
    order = ORDERS.get(position.order or "", "unknown")
    times, last = ledger.unknown.get(endpoint.table, (0, NEVER))
    if times >= ROWS_UNKNOWN and not last < proven:
        order = "unknown"  # there are rows that its pages by rank pass over
    windows = _windows(endpoint, view, position.no_windows_until, stored, ledger, now)
    if order in ("none", "unknown"):
        return replace(view, order=order, windows=windows)
    blocks = Blocks.stored(ledger.blocks.get(endpoint.table, ()), living)
    read_at = believed(blocks.read_at, now.timestamp())
    blocks = replace(blocks, read_at=np.fmax(read_at, proven))
    return replace(
        view,
        order=order,
        by_page=position.numbered,
        blocks=blocks,
        windows=windows,
        suspect=_suspect(plan, ledger, living),
    )


def _suspect(plan: Plan, ledger: Ledger, living: Ids) -> list[tuple[int, int]]:
    """Rows that were missing when they were last looked for, and those beside many changes."""
    missed = plan.missed_before
    found = [(int(one), int(one)) for one in missed[among(missed, living)]]
    for first, held, _ in ledger.suspects.get(plan.endpoint.table, ()):
        low = int(np.searchsorted(living, first))
        if low < len(living):
            found.append((int(living[low]), int(living[min(low + held, len(living)) - 1])))
    return found


def _parents_of(plan: Plan, read: UnderParents, stored: StoredRows) -> Parents:
    """The parents that are to be asked, the newest first."""
    for parent in plan.endpoint.parents:
        read.bare = np.union1d(read.bare, stored.bare_parents(parent))
    refs = {
        parent.ref(values).key_id
        for parent, found in zip(plan.endpoint.parents, read.stored, strict=False)
        for values in found or ()
        if None not in values
    }
    ids = np.array(sorted(refs, reverse=True), np.int64)
    late = np.isin(ids, plan.waiting_before)
    starts_round = plan.mode == "reconcile" or bool(plan.position.round and not len(late))
    asked = _epoch(plan.position.reconciled_at, plan.clock)
    likely_empty = np.isin(ids, np.setdiff1d(read.bare, read.filled))
    changed = ~late if not starts_round else np.zeros(len(ids), np.bool_)
    return Parents(ids, np.full(len(ids), asked), changed, likely_empty)


def _windows(
    endpoint: Endpoint,
    view: ListView,
    not_before: str | None,
    stored: StoredRows,
    ledger: Ledger,
    now: datetime,
) -> list[Window]:
    """What filters give in which life goes on."""
    until = parse(not_before)
    if until is not None and now < until:
        return []
    looked = ledger.windows.get(endpoint.table, {})
    found = []
    for window in endpoint.windows:
        events = stored.moments(window.table, window.moment, now - window.lasts, now)
        rows = view.rows / max(1, stored.count(window.table))
        found += [
            Window(
                f"{endpoint.table}?{window.column}",
                {window.column: str(key)},
                rows,
                moment.timestamp(),
                looked.get(key, NEVER),
            )
            for key, moment in events
        ]
    return found


def _epoch(moment: str | None, now: datetime) -> float:
    """Seconds; what a clock that was wrong noted for the future counts as never."""
    found = parse(moment)
    return NEVER if found is None or found > now else found.timestamp()


# ---- what it chose, as reads


def _set_read(
    plan: Plan, view: ListView, choices: Sequence[Choice], named: NamedRows, spending: Spending
) -> None:
    """Let the plan read what was chosen of the list.

    Where that is a walk through it as well as parts of it, they take turns, run by run.
    """
    left = partial(spending.left_of, plan.endpoint.table)
    if isinstance(plan.read, UnderParents):
        if view.at_once:  # all of it is asked for, and so proven
            plan.mode = plan.checkpoint.mode = "reconcile"
            plan.read.left, plan.read.proof = None, replace(plan.read.proof, of_list=True)
            return
        plan.read.left = left
        share = sum(choice.cost for choice in choices)
        if plan.mode == "reconcile" and share < len(view.parents.ids if view.parents else ()):
            plan.mode = plan.checkpoint.mode = "parents"
            plan.read.proof = replace(plan.read.proof, of_list=False)
            plan.position.round = plan.clock.isoformat()
        return
    others = [choice for choice in choices if choice.kind != "whole"]
    walks = len(others) < len(choices)
    if walks and not (others and spending.turn % 2):
        # by content: it costs no more requests, and the ledger tells what was proven, not looked at
        plan.mode = plan.checkpoint.mode = plan.mode if plan.resumed else "reconcile"
        plan.read = WholeList(plan.endpoint, Proof(of_list=plan.mode == "reconcile"), left=left)
        return
    keys = plan.index.living_keys
    order: Order = "descending" if view.order == "descending" else "ascending"
    made = [_part(choice, keys, order) for choice in others]
    in_the_end = named.reads(view, keys, left)
    plan.read_parts(
        parts.Parts(
            plan.endpoint, plan.index, made, order, left,
            more=lambda met: [_part(choice, keys, order) for choice in in_the_end(met)],
        )
    )


def _part(choice: Choice, keys: Ids, order: Order) -> parts.Part:
    if choice.kind == "items":
        return parts.Items(tuple(choice.ids.tolist()))
    if choice.kind == "window":
        assert choice.window is not None
        ((column, value),) = choice.window.params.items()
        return parts.Window(column, int(value))
    first, last = (choice.first - 1) * PER_PAGE, choice.last * PER_PAGE - 1
    end = len(keys) - 1
    if order == "ascending":
        high = int(keys[last]) if last < end else int(parts.HIGHEST)
        return parts.Pages(int(keys[min(first, end)]), high)
    high = int(keys[end - first]) if choice.first > 1 else int(parts.HIGHEST)
    return parts.Pages(int(keys[max(0, end - last)]), high)
