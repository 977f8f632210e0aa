"""What commands print on stdout: where to, and the summary of a run."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.eduframe.run.report import Report
from sources.eduframe.http.client import Traffic
from sources.eduframe.reading.batch import ResourceRun

WIDE = 150
"""Columns where there is no terminal to fit."""


def console(width: int = WIDE) -> Console:
    """A console for results: coloured on a terminal, plain and wide elsewhere."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=width, no_color=True, highlight=False)


def print_summary(report: Report) -> None:
    """Print the table of resources, what was noticed, and how the run ended."""
    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("resource", no_wrap=True)
    table.add_column("how", no_wrap=True)
    for name in ("read", "new", "changed", "deleted", "set aside", "requests", "waited", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for run in report.runs.values():
        table.add_row(*_cells(run), style=_style(run))
    out.print(table)
    for run in report.runs.values():
        for remark in remarks(run):
            out.print(f"{run.resource}: {remark}", markup=False)
    for remark in retried(report.identity):
        out.print(f"whose data it is: {remark}", markup=False)
    for note in report.notes:
        out.print(note, markup=False)
    written = report.total("new") + report.total("changed")
    out.print(
        f"{report.status}: {report.total('read'):,} rows read with {report.requests:,} requests in "
        f"{report.seconds:.1f} s; {written:,} written, {report.total('deleted'):,} deleted, "
        f"to {report.destination}, dataset {report.dataset}",
        markup=False,
    )
    if report.message:
        out.print(report.message, markup=False)


def _cells(run: ResourceRun) -> list[str]:
    numbers = [run.read, run.new, run.changed, run.deleted, run.rejected, run.traffic.requests]
    return [
        run.resource,
        run.mode or "",
        *(f"{number:,}" if number else "·" for number in numbers),
        f"{run.traffic.waited:.0f}" if run.traffic.waited >= 1 else "·",
        f"{run.seconds:.1f}",
        "newly off" if run.newly_off else run.status,
    ]


def _style(run: ResourceRun) -> str:
    if run.incomplete:
        return "bold red"
    return "dim" if run.status == "off" else ""


def remarks(run: ResourceRun) -> list[str]:
    """What deserves a word beside the numbers."""
    found = [run.message] if run.message else []
    found += run.notes
    found += [f"nothing counts as gone here: {why}" for why in run.frozen]
    if run.rejected:
        found.append(f"{run.rejected:,} rows do not fit the model: see _rejected_rows")
    if run.unknown_fields:
        names = ", ".join(sorted(run.unknown_fields))
        found.append(f"fields that are not known yet, kept in _extra: {names}")
    if run.unknown_values:
        values = ", ".join(sorted(run.unknown_values)[:10])
        found.append(f"values outside of what the API declares, kept: {values}")
    return found + retried(run.traffic)


def retried(traffic: Traffic) -> list[str]:
    """How many requests were tried again, and why."""
    if not traffic.retries:
        return []
    causes = ", ".join(f"{cause} ({n}×)" for cause, n in traffic.causes.most_common())
    return [f"{traffic.retries:,} requests were tried again: {causes}"]
