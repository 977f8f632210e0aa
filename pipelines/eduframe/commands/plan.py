"""``eduframe plan``: what the next sync would read, what that costs, and why; without a request."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from pipelines.eduframe.commands.output import Column, Row, print_json, print_line, print_table
from pipelines.eduframe.destinations.duckdb_file import reading_file
from pipelines.eduframe.exit_codes import DONE, FAILED
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
from sources.eduframe.display import escaped
from sources.eduframe.http.client import Bounds, Client
from sources.eduframe.limits.rate_limiter import Limiter
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
    requests: int
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
    requests: int
    """Requests of these reads. Lists under parents take more, where parents are new."""
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
    """Print what the next sync would read. Returns 1 where nothing was synced yet.

    Raises:
        SettingsError: a setting, the budget or a name is wrong.
    """
    settings = resolve(token_needed=False)
    select(settings, resources)  # what is wrong is said, whether or not there is a dataset
    if budget is not None:
        check_budget(budget)
    with tempfile.TemporaryDirectory() as folder:  # the working folder is left alone
        pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
        with reading_file(pipeline), StoredRows(pipeline) as stored:
            existing = stored.existing([*ALL_TABLES, "_sync_runs"])
            outlook = (
                _look(pipeline, stored, existing, settings, resources, budget) if existing else None
            )
    if outlook is None:
        print(
            f"Nothing has been synced into dataset {escaped(dataset)} yet: the first sync reads "
            "every list whole, and lists under parents as far as the budget goes.",
            file=sys.stderr,
        )
        return FAILED
    if as_json:
        print_json(orjson.dumps(asdict(outlook), option=orjson.OPT_INDENT_2).decode())
    else:
        _print(outlook, wide)
    return DONE


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
    requests = sum(read.requests for read in reads)
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
    may = "as many as it takes" if outlook.allowance is None else f"{outlook.allowance:,}"
    left = "" if outlook.left is None else f", {outlook.left:,} left"
    print_line(f"budget {outlook.budget}: {may} requests; planned {outlook.requests:,}{left}")
    if outlook.needed is not None:
        print_line(
            f"not everything is read within reconcile_every: that takes {outlook.needed:,} "
            "requests a run"
        )


def _shown(seconds: float | None) -> str:
    return "never" if seconds is None else in_words(seconds)
