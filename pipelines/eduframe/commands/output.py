"""What commands print on stdout: lines, tables that fit the terminal, and the summary of a run.

A table shows on a terminal as many of its columns as fit there; elsewhere, in a file or a pipe, it
is complete, with a line for each row.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.eduframe.run.report import Report
from sources.eduframe.display import escaped
from sources.eduframe.limits.traffic import Traffic
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.rows.findings import OTHERS
from sources.eduframe.rows.tables import DEPRECATED

WIDE = 150
"""Columns where there is no terminal to fit."""
GAP = 2
"""Columns between those of a table."""
NARROWEST = 20
"""Columns that text needs to be readable over several lines."""
NAMED = 10
"""So many names are listed; the rest is counted."""
NOTHING = ("", "·", "-")
"""Cells that say that there is nothing."""
_NOT_ASCII = re.compile(r"[^\n -~]")


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    right: bool = False
    spare: int = 0
    """Which columns a narrow terminal does without: the highest first, those of 0 never."""
    wraps: bool = False
    """Whether it is text that may go over several lines."""


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    cells: Sequence[str]
    style: str = ""


def console(width: int = WIDE) -> Console:
    """A console for results: coloured on a terminal, plain and wide elsewhere."""
    if sys.stdout.isatty():
        return Console(highlight=False, emoji=False)
    return Console(
        width=width, no_color=True, highlight=False, emoji=False, force_terminal=False
    )


def print_line(text: str) -> None:
    """Print a line, escaped; on a terminal it goes on below where it is too long."""
    console().print(escaped(text), markup=False, soft_wrap=not sys.stdout.isatty())


def print_text(text: str) -> None:
    """Print a text of our own, as it is."""
    print(text, flush=True)


def print_json(text: str) -> None:
    """Print JSON, in which what a terminal would obey, or cannot show, is escaped."""
    encoding = sys.stdout.encoding or "ascii"

    def shown(odd: re.Match[str]) -> str:
        if odd[0].isprintable() and odd[0].encode(encoding, "ignore"):
            return odd[0]
        return re.sub("(....)", r"\\u\1", odd[0].encode("utf-16-be", "surrogatepass").hex())

    print_text(_NOT_ASCII.sub(shown, text))


def print_table(columns: Sequence[Column], rows: Sequence[Row], *, wide: bool = False) -> None:
    """Print rows as a table, or one below the other where the terminal is too narrow for that.

    With ``wide``, and where there is no terminal, all columns are shown, however long a line gets.
    """
    out = console()
    rows = [Row([*map(escaped, row.cells)], row.style) for row in rows]
    widths = [
        max(map(cell_len, [column.name, *(row.cells[at] for row in rows)]))
        for at, column in enumerate(columns)
    ]
    if wide or not out.is_terminal:
        shown = [*range(len(columns))]
        out.width = sum(widths) + GAP * len(widths)
    else:
        least = [min(w, NARROWEST) if c.wraps else w for c, w in zip(columns, widths, strict=True)]
        shown = _fitting(columns, rows, least, out.width)
    if shown:
        _print_table(out, columns, rows, shown)
    else:
        _print_list(out, columns, rows)


def _fitting(
    columns: Sequence[Column], rows: Sequence[Row], least: Sequence[int], width: int
) -> list[int]:
    """The columns to show; none, if not even those fit that have to be there.

    The first to go are spare ones that say nothing in any row.
    """

    def worth(at: int) -> tuple[bool, int]:
        return any(row.cells[at] not in NOTHING for row in rows), -columns[at].spare

    shown = [*range(len(columns))]
    for at in sorted((at for at in shown if columns[at].spare), key=worth):
        if _total(least, shown) <= width:
            break
        shown.remove(at)
    return shown if _total(least, shown) <= width else []


def _total(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[at] for at in shown) + GAP * (len(shown) - 1)


def _print_table(
    out: Console, columns: Sequence[Column], rows: Sequence[Row], shown: Sequence[int]
) -> None:
    padding = (0, GAP - 1, 0, 0)  # the box has one column more between two
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding)
    for at in shown:
        column = columns[at]
        table.add_column(
            Text(column.name),
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(row.cells[at]) for at in shown), style=row.style)
    out.print(table)
    out.print()
    hidden = ", ".join(column.name for at, column in enumerate(columns) if at not in shown)
    if hidden:
        print_line(f"(--wide shows also: {hidden})")


def _print_list(out: Console, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print each row as its first cell and, below, what the others say."""
    for row in rows:
        name, *cells = row.cells
        out.print(Text(name, style=row.style or "bold"))
        said = [
            f"{column.name} {cell}".strip()
            for column, cell in zip(columns[1:], cells, strict=True)
            if cell not in NOTHING
        ]
        out.print(Padding(Text(", ".join(said)), (0, 0, 0, 2), expand=False))
    out.print()


SUMMARY = (
    Column("resource"),
    Column("how", spare=6),
    Column("read", right=True),
    Column("new", right=True, spare=1),
    Column("changed", right=True, spare=2),
    Column("deleted", right=True, spare=3),
    Column("set aside", right=True, spare=4),
    Column("requests", right=True, spare=7),
    Column("waited", right=True, spare=5),
    Column("seconds", right=True, spare=8),
    Column("status"),
)


def print_summary(report: Report, *, wide: bool = False) -> None:
    """Print the table of resources, what was noticed, and how the run ended."""
    rows = [Row(_cells(run), _style(run)) for run in report.runs.values() if not run.passed_over]
    print_table(SUMMARY, rows, wide=wide)
    if passed := sum(run.passed_over for run in report.runs.values()):
        print_line(
            f"{passed} {'list was' if passed == 1 else 'lists were'} not read in this run, as the "
            f"budget ({report.budget}) is better spent on the others: see eduframe plan and "
            "eduframe status"
        )
    for run in report.runs.values():
        for remark in remarks(run):
            print_line(f"{run.resource}: {remark}")
    for remark in retried(report.identity):
        print_line(f"whose data it is: {remark}")
    for note in report.notes:
        print_line(note)
    written = report.total("new") + report.total("changed")
    waited = f", {report.waited:.0f} s of them waiting" if report.waited >= 1 else ""
    print_line(
        f"{report.status}: {report.total('read'):,} rows read with {report.requests:,} requests in "
        f"{report.seconds:.1f} s{waited}; "
        f"{written:,} written, {report.total('deleted'):,} deleted, "
        f"to {report.destination}, dataset {report.dataset}"
    )
    if report.message:
        print_line(report.message)


def _cells(run: ResourceRun) -> list[str]:
    numbers = [run.read, run.new, run.changed, run.deleted, run.rejected, run.traffic.requests]
    return [
        run.resource,
        ", ".join(run.reads) if run.mode == "parts" else run.mode or "",
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
    found += [f"nothing counts as gone here: {why}" for why in dict.fromkeys(run.frozen)]
    if run.rejected:
        new = f", {run.newly_rejected:,} of them for the first time" if run.newly_rejected else ""
        found.append(f"{run.rejected:,} rows have no usable key{new}: see _rejected_rows")
    found += [unfit(run, name) for name in sorted(run.unfit_fields)]
    if names := run.news(run.unknown_fields):
        listed = _listed(names, run.unknown_fields)
        found.append(f"fields that are not known yet, kept in _extra: {listed}")
    if names := run.news(run.unknown_values):
        listed = _listed(names, run.unknown_values)
        found.append(f"values outside of what the API declares, kept: {listed}")
    return found + retried(run.traffic)


def _listed(names: Sequence[str], found: Mapping[str, int]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    others = f", and {found[OTHERS]:,}× others" if found.get(OTHERS) else ""
    return ", ".join(names[:NAMED]) + rest + others


def unfit(run: ResourceRun, name: str) -> str:
    """How many rows have a field unfit, and what is there instead."""
    kinds = run.unfit_fields[name]
    shown = ", ".join(f"{kind} ({n:,}×)" for kind, n in kinds.most_common())
    rows = run.rows_checked[name.split(".")[0]]
    advised = "; the API advises against this field" if name in DEPRECATED else ""
    said = "; new" if name in run.newly_unfit else ""
    return f"{name} does not fit in {kinds.total():,} of {rows:,} rows: {shown}{advised}{said}"


def retried(traffic: Traffic) -> list[str]:
    """How many requests were tried again, and why."""
    if not traffic.retries:
        return []
    causes = ", ".join(f"{cause} ({n}×)" for cause, n in traffic.causes.most_common())
    return [f"{traffic.retries:,} requests were tried again: {causes}"]
