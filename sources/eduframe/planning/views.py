"""What the planner is told, and what it answers: plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from sources.eduframe.planning.blocks import PER_PAGE, Blocks, Floats, Ids

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
    """The ledger, fitted to the living rows; None where there is none yet, or the keys are no
    numbers that ascend as the list grows."""
    proven_at: float = float("nan")
    """When it was last proven whole: the beginning of its last whole read; nan is never."""
    at_once: int = 0
    """The requests of a list that takes others than a page for a hundred rows, and is read whole or
    not at all; 0 for all others."""
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
        rows = self.rows if self.blocks is None else len(self.blocks.keys)
        return max(1, -(-rows // PER_PAGE))

    @property
    def cost(self) -> int:
        """The requests that reading it whole takes."""
        return self.at_once or (self.pages if self.parents is None else len(self.parents.ids))

    @property
    def paged(self) -> bool:
        """Whether parts of it can be read by the numbers of their pages."""
        ordered = self.order in ("ascending", "descending") and self.by_page is not False
        return ordered and self.blocks is not None and self.pages > 1


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
    the low keys, in a descending one from the high keys. Where they end with the page of the newest
    known row, in an ascending list, the read goes on to the end of the list. Rows that are not
    there any more, as others were deleted, are followed to the page before."""
    ids: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """``items``: their keys; ``under parents``: the parents to ask."""
    window: Window | None = None


def in_words(seconds: float) -> str:
    """How long that is, to the unit: ``3d``, ``5h``, ``12m``, ``7s``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
