"""What reading a list gives: batches of typed rows ready to load, and a record of the reading."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import pyarrow as pa

from sources.eduframe.limits.traffic import Traffic
from sources.eduframe.reading.checkpoint import Mode, Position
from sources.eduframe.rows.findings import OTHERS, Findings
from sources.eduframe.rows.keys import Ids
from sources.eduframe.rows.normalise import Rejected

ReadKind = Literal["whole", "pages", "window", "items", "under parents"]
"""The kinds of reads there are: what of a list is read."""

Status = Literal["waiting", "reading", "done", "off", "failed", "held back", "stopped"]


@dataclass(frozen=True)
class SetAside:
    """The rows of a list that are set aside."""

    keys: frozenset[str] = frozenset()
    """As ``_rejected_rows`` has them."""
    ids: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """The key ids of those that have a key, as an earlier release set aside: they are looked at
    again."""


@dataclass(frozen=True)
class Settled:
    """What a read that came to its end says of rows that were set aside before it began.

    All that it did not set aside again fit now, or are gone.
    """

    before: datetime
    """The start of the run in which the read began."""
    parents: frozenset[int] | None = None
    """The key ids of the parents whose rows were looked at; None: all were."""


@dataclass
class ReadCounts:
    """What reads of one kind came to."""

    requests: int = 0
    rows: int = 0
    changes: int = 0
    """New and changed rows."""


@dataclass
class ResourceRun(Findings):
    """What happened to one resource in this run; the progress view and the summary read it."""

    resource: str
    mode: Mode | None = None
    status: Status = "waiting"
    message: str | None = None
    newly_off: bool = False
    in_part: bool = False
    """Whether it failed for some of its parents only."""
    pages: int = 0
    read: int = 0
    new: int = 0
    changed: int = 0
    deleted: int = 0
    rejected: int = 0
    newly_rejected: int = 0
    """Rows that were set aside for the first time."""
    newly_unfit: list[str] = field(default_factory=list)
    """Fields of which it is said for the first time that most rows have them unfit."""
    told_names: frozenset[str] = frozenset()
    """Unknown fields and values that an earlier run told of."""
    settled: Settled | None = None
    traffic: Traffic = field(default_factory=Traffic)
    notes: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    """Why nothing of the list, or of a table of its nested rows, counts as gone."""
    expected: int | None = None
    """How many requests it takes in all, as far as is known before; None: that is not known."""
    reads: dict[ReadKind, ReadCounts] = field(default_factory=dict)
    """How the list was read."""
    cut: bool = False
    """Whether requests were used up before the end of the list: the next run goes on with it."""
    passed_over: bool = False
    """Whether nothing of it was to be read in this run, as the budget is spent elsewhere."""
    began: float | None = None
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """Time from the first request to the end of the read, waits included."""
        if self.began is None:
            return 0.0
        return (self.ended or time.monotonic()) - self.began

    def news(self, names: Collection[str]) -> list[str]:
        """Those of the names that no earlier run told of."""
        return sorted(name for name in names if name != OTHERS and name not in self.told_names)

    @property
    def incomplete(self) -> bool:
        """Whether the run counts as partly done because of this resource."""
        news = self.newly_off or self.newly_rejected or self.newly_unfit
        return bool(news) or self.status in ("failed", "held back", "stopped")


@dataclass
class Gone:
    """Rows proven gone, by key id, and the proof in words."""

    ids: Ids
    proof: str


@dataclass(frozen=True)
class AskedFor:
    """A missing row that was asked for by itself, and what came of it."""

    key_id: int
    key: str
    state: str
    """``hidden``: its list lacks it, its own path serves it. ``open``: that could not be told.
    ``gone`` or ``there``: settled."""
    asked_at: datetime


@dataclass
class Batch:
    """Rows of one resource to load together with the position after them."""

    resource: str
    position: Position | None
    """What to remember of the list once these rows are loaded; None: what is remembered stays."""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """Main and child tables in their own Arrow schema, removals included."""
    rows: int = 0
    """How many rows the tables have."""
    additions: Mapping[str, pa.Table] = field(default_factory=dict)
    """Rows of child tables that join those which the destination holds of their owners, where a
    part did not tell all. All others of one owner are replaced by those in ``tables``."""
    rejected: list[Rejected] = field(default_factory=list)
    seen: Ids | None = None
    """The key ids met and not written, where the read proves absence."""
    gone: list[Gone] = field(default_factory=list)
    ownerless: dict[str, Ids] = field(default_factory=dict)
    """Child table to the key ids of owners that are proven not to be there: their rows go."""
    answered: Ids | None = None
    """The key ids of the parents that were asked and answered since the batch before."""
    left: dict[str, Ids] = field(default_factory=dict)
    """What a finished read leaves to the next one, by the name of the set: key ids of rows that
    are missing, key ids of parents that were refused."""
    asked_for: list[AskedFor] = field(default_factory=list)
    finished: bool = False
    read_id: str = ""

    def fill(self, tables: Mapping[str, pa.Table]) -> None:
        """Give the batch these tables in place of those that it has."""
        self.tables = tables
        self.rows = sum(table.num_rows for table in tables.values())
