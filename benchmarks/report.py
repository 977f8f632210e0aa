"""Tables of medians, as Markdown: what is printed is what goes into the README."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measure import Measured


@dataclass
class Table:
    """One table of results, and what is to be said of it."""

    title: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    note: str = ""

    def markdown(self) -> str:
        """The table under its title; the first column is text, the others are numbers."""
        lines = [f"**{self.title}**", "", _line(self.header)]
        lines.append("|---|" + "---:|" * (len(self.header) - 1))
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass
class Medians:
    """The medians of some runs of one program."""

    seconds: float
    cpu: float
    peak_mb: float
    runs: int

    @classmethod
    def of(cls, runs: Sequence[Measured]) -> "Medians":
        return cls(
            median(run.seconds for run in runs),
            median(run.cpu for run in runs),
            median(run.peak_mb for run in runs),
            len(runs),
        )


def machine() -> str:
    """What it was measured on, in a line."""
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, "
        f"load before {load:.1f}"
    )
