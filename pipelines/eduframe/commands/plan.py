"""``eduframe plan``: what the next sync would read, what that costs, and why; without a request."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from pipelines.eduframe.commands.output import Column, Row, print_json, print_line, print_table
from pipelines.eduframe.destinations.duckdb_file import reading_file
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.run.parts import (
    asks_api_for_parents,
    cost_of,
    plan_parts,
    share_of_unsynced,
    why_by_itself,
)
from pipelines.eduframe.run.plans import Context, make_plans
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.run.spending import Spending, begin_spending
from pipelines.eduframe.store.recent_runs import past_runs
from pipelines.eduframe.store.state import state_in_destination
from sources.eduframe.clock import now_utc, parse
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.declare import Endpoint
from sources.eduframe.display import escaped
from sources.eduframe.http.client import Bounds, Client
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.planning.budget import Budget
from sources.eduframe.planning.views import Choice, in_words
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import Plan
from sources.eduframe.rows.tables import ALL_TABLES
from sources.eduframe.settings import Settings, check_budget, policies, resolve, select
from sources.eduframe.version import version

COLUMNS = (
    Column("resource"),
    Column("what"),
    Column("requests", right=True),
    Column("changes expected", right=True, spare=2),
    Column("not proven for", right=True, spare=1),
    Column("why", wraps=True),
)

@dataclass(frozen=True)
class Read:
    """One read that the next run would do."""

    resource: str
    kind: str
    requests: int | None
    """None: that shows as it is read."""
    changes_expected: float | None
    why: str
    part: str | None = None
    """Which part of the list, in words."""


@dataclass
class Outlook:
    """What the next run would do."""

    budget: str
    allowance: int | None
    """Requests that it may use; None: as many as it takes."""
    reads: list[Read]
    requests: int | None
    """Requests of these reads. Lists under parents take more, where parents are new. None: nothing
    was read yet that tells."""
    left: int | None
    not_proven_for: dict[str, float | None]
    """Seconds since each list was last compared whole; None: never."""
    needed: int | None
    """Requests a run with which everything would be read within reconcile_every, where the budget
    is too small for that."""


def run_plan(
    destination: str, dataset: str, resources: Sequence[str], *, budget: str | None, as_json: bool,
    wide: bool = False,
) -> int:
    """Print what the next sync would read.

    Raises:
        SettingsError: a setting, the budget or a name is wrong.
    """
    settings = resolve(token_needed=False)
    selection = select(settings, resources)  # what is wrong is said, dataset or not
    if budget is not None:
        check_budget(budget)
    with tempfile.TemporaryDirectory() as folder:  # the working folder is left alone
        pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
        with reading_file(pipeline), StoredRows(pipeline) as stored:
            existing = stored.existing([*ALL_TABLES, "_sync_runs"])
            outlook = (
                _look(pipeline, stored, existing, settings, resources, budget)
                if existing
                else _first(settings, selection.on, budget, named=bool(resources))
            )
    if as_json:
        print_json(orjson.dumps(asdict(outlook), option=orjson.OPT_INDENT_2).decode())
    elif existing:
        _print(outlook, wide)
    else:
        print_line(
            f"Nothing has been synced into dataset {escaped(dataset)} yet: the first sync reads "
            "every list whole, and lists under parents as far as the budget goes. It says what "
            "that takes as soon as it shows."
        )
        print_line(_spending(outlook))
    return DONE


def _first(
    settings: Settings, endpoints: Sequence[Endpoint], budget: str | None, *, named: bool
) -> Outlook:
    """What the first run would do: how long the lists are nobody knows yet."""
    chosen = Budget() if named and not budget else Budget.parse(budget or settings.budget)
    limit = settings.requests_per_window / settings.window_seconds
    reads = [
        Read(one.table, "under parents", None, None, "as far as the budget goes")
        if one.params
        else Read(one.table, "whole", None, None, "it is read whole the first time")
        for one in endpoints
    ]
    return Outlook(
        str(chosen),
        chosen.allowance(chosen.account(limit, 0.0), 0.0),
        reads,
        requests=None,
        left=None,
        not_proven_for=dict.fromkeys((one.table for one in endpoints), None),
        needed=None,
    )


def _look(
    pipeline: Any,
    stored: StoredRows,
    existing: set[str],
    settings: Settings,
    resources: Sequence[str],
    budget: str | None,
) -> Outlook:
    selection = select(settings, resources)
    report = Report(
        run_id="", started_at=now_utc(), destination=pipeline.destination.destination_name,
        dataset=pipeline.dataset_name, version=version(),
        runs={endpoint.table: ResourceRun(endpoint.table) for endpoint in selection.on},
    )  # fmt: skip
    limiter = Limiter(settings.requests_per_window, settings.window_seconds)
    with Client(
        settings.base_url, settings.api_token, limiter, connections=1, bounds=Bounds.of(settings)
    ) as client:
        positions = state_in_destination(pipeline).get("resources", {})
        context = Context(
            settings, policies(settings), client, report, positions, existing, looking=True
        )
        book = ParentBook(selection.on)
        plans = make_plans(
            stored, selection.on, context, book, forced=False, named=bool(resources)
        )
    past = past_runs(stored)
    spending = begin_spending(past, settings, report, budget=budget, bounded=not resources)
    report.identity.requests = 1  # with which a run asks whose token it is
    every = dict(plans)
    budgeted = plan_parts(plans, stored, spending)
    choices = budgeted.schedule.choices if budgeted else []
    planned = budgeted.views if budgeted else {}
    reads = [
        _by_itself(plan, plans, spending, planned=budgeted is not None)
        for name, plan in plans.items()
        if name not in planned
    ]
    reads += [_as_read(choice) for choice in choices]
    requests = sum(read.requests or 0 for read in reads)
    allowance = spending.allowance
    return Outlook(
        str(spending.budget),
        allowance,
        reads,
        requests,
        None if allowance is None else max(0, allowance - report.requests - requests),
        {name: _age(plan, report.clock) for name, plan in every.items()},
        budgeted.too_little(spending) if budgeted else None,
    )


def _by_itself(
    plan: Plan, plans: Mapping[str, Plan], spending: Spending, *, planned: bool
) -> Read:
    """The read of a list that the planner does not choose."""
    name, requests = plan.endpoint.table, cost_of(plan)
    why = (why_by_itself(plan) if planned else None) or "everything can be read"
    if asks_api_for_parents(plan, plans):
        why = "its parents are not synced: some of them, and what is under those"
        requests = max(requests, share_of_unsynced(spending))
    return Read(name, "under parents" if plan.endpoint.params else "whole", requests, None, why)


def _as_read(choice: Choice) -> Read:
    part = None
    if choice.kind == "pages":
        part = f"{choice.first}" if choice.first == choice.last else f"{choice.first}-{choice.last}"
        part = f"page {part}"
    elif choice.window is not None:
        part = ", ".join(f"{name}={value}" for name, value in choice.window.params.items())
    return Read(choice.name, choice.kind, choice.cost, choice.expected, choice.reason, part)


def _age(plan: Plan, now: datetime) -> float | None:
    proven = parse(plan.position.reconciled_at)
    return None if proven is None else max(0.0, (now - proven).total_seconds())


def _print(outlook: Outlook, wide: bool) -> None:
    rows = [
        Row(
            (
                read.resource,
                f"{read.kind}: {read.part}" if read.part else read.kind,
                f"{read.requests:,}",
                "·" if read.changes_expected is None else f"{read.changes_expected:.1f}",
                _shown(outlook.not_proven_for[read.resource]),
                read.why,
            )
        )
        for read in outlook.reads
    ]
    print_table(COLUMNS, rows, wide=wide)
    unread = outlook.not_proven_for.keys() - {read.resource for read in outlook.reads}
    if unread:
        print_line(
            "not in this run: "
            + ", ".join(f"{n} ({_shown(outlook.not_proven_for[n])})" for n in sorted(unread))
        )
    print_line(_spending(outlook))
    if outlook.needed is not None:
        print_line(
            f"not everything is read within reconcile_every: that takes {outlook.needed:,} "
            "requests a run"
        )


def _spending(outlook: Outlook) -> str:
    may = "as many as it takes" if outlook.allowance is None else f"{outlook.allowance:,}"
    planned = "" if outlook.requests is None else f"; planned {outlook.requests:,}"
    left = "" if outlook.left is None else f", {outlook.left:,} left"
    return f"budget {outlook.budget}: {may} requests{planned}{left}"


def _shown(seconds: float | None) -> str:
    return "never" if seconds is None else in_words(seconds)
