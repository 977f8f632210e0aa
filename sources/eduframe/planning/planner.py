"""The planner: what the next run reads, given what is known and what may be spent.

A crawler's question: when to poll which of many sources that change at unknown rates (Cho and
Garcia-Molina 2003; Azar et al., PNAS 2018). The answer here is a rule that can be checked by hand:

1. What costs no more than the allowance is read whole, all of it.
2. Hints come first, and may take half of what the sweep leaves.
3. Everything else competes by expected unseen changes per request, weighed by how soon they would
   be seen; no kind takes more than half of what the sweep leaves while others have anything to
   read that is worth it.
4. The sweep has at least a fifth of the allowance, and up to four fifths, as much as it takes to
   bring everything round within its ``reconcile_every``: it reads what is furthest gone of it.

Pure: no clock, no I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from sources.eduframe.planning.blocks import PER_PAGE, Blocks, Floats, Ids
from sources.eduframe.planning.rates import Rates

Order = Literal["ascending", "descending", "none", "unknown"]
Kind = Literal["whole", "pages", "window", "items", "under parents"]
Flags = npt.NDArray[np.bool_]

DAY = 86400.0


@dataclass(frozen=True)
class Window:
    """A part of a list that a filter of the API serves, and in which life goes on."""

    name: str
    """Windows of one name share their rates."""
    params: Mapping[str, str]
    rows: float
    """How many rows it is expected to have."""
    event: float
    """When what it is about happened (a meeting began), in epoch seconds."""
    read_at: float = float("nan")
    cost: int = 1


@dataclass(frozen=True)
class Parents:
    """The living parents of a list that is read under them, the newest first: parallel arrays."""

    ids: Ids
    """Their key ids."""
    asked_at: Floats
    """When each was last asked, in epoch seconds; nan is never."""
    changed: Flags
    """Whether its own row changed since."""
    likely_empty: Flags
    """Whether it has no children by its own fields: it is asked after the others."""


@dataclass(frozen=True)
class ListView:
    """What the planner knows of one list."""

    name: str
    rows: int
    """Living rows in the destination."""
    order: Order = "unknown"
    by_page: bool | None = None
    """Whether it can be asked for a page by its number; None is not known, and tried."""
    by_item: bool = False
    """Whether a row can be asked for by itself."""
    reconcile_every: float = DAY
    """Seconds within which all of it should be read."""
    blocks: Blocks | None = None
    """The ledger; None where there is none yet."""
    proven_at: float = float("nan")
    """When it was last proven whole: the beginning of its last whole read; nan is never."""
    walk_left: int = 0
    """Requests left of a whole read that was begun in an earlier run; 0 where there is none."""
    hinted: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """Keys of rows that may have changed, the most urgent first. Asked for one by one, or, where
    that is cheaper or the only way, by the pages that they are on."""
    suspect: Sequence[tuple[int, int]] = ()
    """Intervals of keys (both ends included) beside many changes: read like hints, by pages."""
    windows: Sequence[Window] = ()
    parents: Parents | None = None
    """For a list under parents; such a list has no pages of its own."""

    @property
    def pages(self) -> int:
        """The pages of its known rows, at least one."""
        return max(1, -(-self.rows // PER_PAGE))

    @property
    def cost(self) -> int:
        """The requests that reading it whole takes."""
        return self.pages if self.parents is None else len(self.parents.ids)


@dataclass(frozen=True)
class Choice:
    """A read that the next run should do."""

    name: str
    """The list."""
    kind: Kind
    cost: int
    """Requests. A ``whole`` read may cost more than this in all: it is begun, or carried on, for
    so many requests, and carried on in the next run."""
    expected: float
    """Unseen changes that it is expected to find."""
    reason: str
    """Why, in a few words."""
    first: int = 0
    last: int = 0
    """``pages``: the first and the last, by number from 1. In an ascending list they count from
    the low keys, in a descending one from the high keys."""
    ids: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """``items``: their keys; ``under parents``: the parents to ask."""
    window: Window | None = None


@dataclass(frozen=True)
class Schedule:
    """The outcome: what to read, in order."""

    choices: list[Choice]
    sweep: float
    """The share of the allowance that the sweep has."""
    needed: int
    """Requests a run with which everything would come round within ``reconcile_every``: where
    this is more than the allowance, the run should say so."""

    @property
    def cost(self) -> int:
        return sum(choice.cost for choice in self.choices)


def choose(
    lists: Sequence[ListView],
    rates: Rates,
    allowance: int | None,
    now: float,
    every: float,
    *,
    hints_only: bool = False,
) -> Schedule:
    """What a run reads that begins now.

    Args:
        lists: what is known of each list; names are unique.
        rates: what was learned so far.
        allowance: the requests that may be spent; None is no bound.
        now: epoch seconds.
        every: seconds from one run to the next, as they usually are.
        hints_only: a second look within a run, at what its reads gave rise to: only hints,
            suspect rows and changed parents, as far as the allowance goes.
    """
    raise NotImplementedError


def unseen(lists: Sequence[ListView], rates: Rates, now: float) -> dict[str, float]:
    """The number of changes, by list, that are expected to have happened and not to be seen."""
    raise NotImplementedError


def needed(lists: Sequence[ListView], every: float) -> int:
    """The requests a run that bring every list round within its ``reconcile_every``."""
    raise NotImplementedError
