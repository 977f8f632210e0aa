"""How one list is read in this run: the mode, the start, and what is remembered between runs.

:class:`Position` is what is kept of a list between runs. It lives in dlt's resource state, so it
reaches the destination in the same load package as the rows it speaks of.
"""

import uuid
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from sources.eduframe.declare import Endpoint
from sources.eduframe.policy import Policy
from sources.eduframe.reading.index import Known
from sources.eduframe.rows.keys import Ids

Mode = Literal["reconcile", "cursor", "parents"]
"""How changes are found: by content, in a complete read; by ``updated_at``; or, for a list under
a parent, by content but only under the parents that changed."""

CLOCK_MARGIN = timedelta(seconds=60)
"""How far the cursor stays behind the server's clock at the start of a read."""

@dataclass
class Unfinished:
    """A read that spans load packages: enough to go on from where the last one ended."""

    id: str
    mode: Mode
    began: str
    """The server's clock when the read began."""
    stamp: str
    """The start of the run in which the read began."""
    next_url: str | None = None
    """The next page of the list, or of the list under the parent ``within``."""
    parent: list[Any] | None = None
    """The last parent that was read to its end, in the order of the parents."""
    within: list[Any] | None = None
    """The parent in whose pages the read was interrupted."""
    unkeyed: bool = False
    """Whether a row was set aside whose key is unknown: then nothing counts as gone."""
    by_number: bool = False
    refresh: bool = False
    """Whether every row is written, changed or not."""
    rows: int = 0
    newest: str | None = None
    """The greatest ``updated_at`` met so far."""


@dataclass
class Position:
    """What is remembered of one list between runs; times are ISO 8601, UTC."""

    cursor: str | None = None
    """No change before this moment is missing."""
    began: str | None = None
    """When the last complete read began."""
    reconciled_at: str | None = None
    parents_until: str | None = None
    """Parents written by runs after this one are still to be asked."""
    readable: bool | None = None
    """False while the list answers 403 or 404."""
    empty_since: str | None = None
    """When a complete read first found nothing where rows are known."""
    missed: str | None = None
    """The read that missed rows whose absence a second one has to confirm."""
    held: bool = False
    """Whether the table held rows after the last read."""
    unfinished: Unfinished | None = None

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Position":
        """From dlt's state; what an older or newer release stored under other names is dropped."""
        names = {f.name for f in fields(cls)}
        position = cls(**{k: v for k, v in state.items() if k in names})
        if isinstance(position.unfinished, dict):
            try:
                position.unfinished = Unfinished(**position.unfinished)
            except TypeError:
                position.unfinished = None
        return position

    def dump(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if v is not None and v is not False} | (
            {"readable": False} if self.readable is False else {}
        )


@dataclass
class Plan:
    """Everything that reading one list needs to know beforehand."""

    endpoint: Endpoint
    mode: Mode
    position: Position
    known: Known
    policy: Policy
    synced_at: datetime
    """The start of the run, written to each row."""
    clock: datetime
    """The same by the machine's clock. Runs never go back in time; a clock may be set back."""
    since: datetime | None = None
    """``cursor`` mode: rows whose greatest ``updated_at`` is before this are not looked at."""
    resumed: bool = False
    refresh: bool = False
    """Write every row that is read, changed or not."""
    missed_before: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """The key ids that an earlier reconciliation missed, and could not ask for one by one."""
    set_aside: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """The key ids of rows that did not fit before: they are looked at again."""
    unfinished: Unfinished = field(init=False)

    def __post_init__(self) -> None:
        found = self.position.unfinished
        if self.resumed and found is not None:
            self.unfinished = found
        else:
            self.unfinished = self.new_read()

    def new_read(self) -> Unfinished:
        return Unfinished(
            uuid.uuid4().hex, self.mode, "", self.synced_at.isoformat(), refresh=self.refresh
        )


def choose_mode(
    endpoint: Endpoint,
    position: Position,
    known: Known,
    every: timedelta,
    now: datetime,
    *,
    forced: bool,
) -> Mode:
    """The rule: by content where there is no cursor, where it is time, or where it is asked for."""
    reconciled = parse(position.reconciled_at)
    due = reconciled is None or not timedelta() <= now - reconciled < every
    emptied = not len(known) and (position.held or not endpoint.params)
    if forced or due or emptied:
        return "reconcile"
    if endpoint.params:
        return "parents"
    if endpoint.cursor is None or position.cursor is None:
        return "reconcile"
    return "cursor"


def parse(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def now_utc() -> datetime:
    return datetime.now(UTC)
