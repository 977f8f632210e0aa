"""What a section of the report is: a question, the query that answers it, and how it is drawn."""

from dataclasses import dataclass
from typing import Any, Literal

ROWS = 200
"""So many rows of an answer stand on the page, unless its section says otherwise."""

Kind = Literal["bars", "months", "days", "hours", "years", "heat", "runs"]
"""How a chart is drawn: bars that lie below each other, columns or cells over time, points."""
Shown = Literal["text", "count", "number", "percent", "year", "date", "month", "moment"]
"""How the values of a column are written. Percents are shares of 100."""


@dataclass(frozen=True)
class Chart:
    """How rows are drawn."""

    kind: Kind
    by: tuple[str, ...]
    """What names a bar, all of them together; or the column with the time, alone."""
    values: tuple[str, ...]
    """The columns with numbers; several are stacked on each other, or stand side by side."""
    axis: str
    """What the numbers are."""
    colour: str | None = None
    """A column by whose value the numbers are told apart, where there is one of numbers alone."""
    stacked: bool = True
    limit: str | None = None
    """A column with a number that is drawn as a line across."""
    most: int = 15
    """So many bars are drawn: the first of the table, as it is sorted and filtered."""


@dataclass(frozen=True)
class Section:
    """One question. A new one is one entry in ``questions.py`` or ``syncing.py``."""

    name: str
    """In its address."""
    question: str
    of: tuple[str, ...]
    """The views or tables that answer it; the first one's description is shown."""
    sql: str
    """The query, in DuckDB's dialect, over names without a dataset. ``{today}`` and the like stand
    for days (see ``reading.py``). Columns that end in ``_id`` are for the order alone."""
    order: str
    """What the rows are sorted by, in SQL."""
    nothing: str
    """What is said where there are no rows."""
    chart: Chart | None = None
    note: str = ""
    """What is to be known before the numbers are read."""
    totals: tuple[str, ...] = ()
    """Columns whose sums over all rows are shown, for each currency where there are several."""
    rows: int = ROWS


@dataclass(frozen=True)
class Column:
    """A column of an answer."""

    name: str
    shown: Shown

    @property
    def title(self) -> str:
        """Its name in words."""
        return self.name.replace("_percent", " %").replace("_", " ")


@dataclass(frozen=True)
class Answer:
    """What a section's query gave."""

    section: Section
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    of_all: int = 0
    """How many rows there are, those that are left out included."""
    totals: tuple[dict[str, Any], ...] = ()
    """Sums by column, one for each ``currency`` where the rows have one."""
    sql: str = ""
    """The query, as it can be asked again after ``SET search_path``."""
    missing: tuple[str, ...] = ()
    """What it would be answered by, and is not there."""
    failed: str = ""
    """Why the destination did not answer, such as that a view lacks a column."""
