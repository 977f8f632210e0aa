"""What an audit found: list by list, and all in all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipelines.eduframe.exit_codes import DONE, FAILED, PARTLY
from sources.eduframe.comparing.audit import Difference
from sources.eduframe.comparing.sampling import Sample, most_wrong

State = Literal["compared", "not reached", "off", "failed", "not comparable", "left out"]


@dataclass
class ListFound:
    """What was found of one list."""

    resource: str
    rows: int = 0
    """Living rows here."""
    state: State = "not reached"
    message: str | None = None
    how: str = ""
    requests: int = 0
    units: int = 0
    """Pages, rows or parents that the list has …"""
    drawn: int = 0
    """… and that were looked at …"""
    filled: int = 0
    """… and had rows."""
    complete: bool = False
    compared: int = 0
    """Rows that were looked at, here, there, or both."""
    unsettled: int = 0
    """Rows that seem to be missing there, of which that is not proven."""
    presumed: int = 0
    """Of these, how many are presumably missing: as many in proportion as of those that were
    asked for, and all where the list is too short to have them."""
    unkeyed: int = 0
    """Rows without a usable key, which the sync sets aside."""
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, *kinds: str) -> int:
        """How many rows differ so, without an excuse."""
        return sum(found.kind in kinds and not found.excuse for found in self.differences)

    @property
    def differing(self) -> int:
        """Rows that are on both sides, and not the same."""
        return self.count("differs", "marked deleted here", "doubled here")

    @property
    def missing_here(self) -> int:
        return self.count("missing here")

    @property
    def missing_there(self) -> int:
        return self.count("missing there")

    @property
    def wrong(self) -> int:
        return self.differing + self.missing_here + self.missing_there + self.presumed

    @property
    def since(self) -> int:
        """Rows that the destination could not know of yet, or that were written meanwhile."""
        return sum(found.excuse is not None for found in self.differences)

    @property
    def is_sample(self) -> bool:
        """Whether what was looked at says something of the rest."""
        return self.state == "compared" and self.how != "first pages"

    @property
    def sample(self) -> Sample:
        return Sample(
            self.rows, self.units, self.filled, self.compared, self.wrong, self.complete
        )

    @property
    def at_most(self) -> float | None:
        """The share of its rows that is wrong at most."""
        return most_wrong([self.sample]) if self.is_sample else None


@dataclass
class Findings:
    """What was found of all."""

    lists: list[ListFound]
    seed: int
    tolerate: float
    most: int
    """Requests that were allowed."""
    requests: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def compared(self) -> int:
        return sum(one.compared for one in self.lists)

    @property
    def wrong(self) -> int:
        return sum(one.wrong for one in self.lists)

    @property
    def share(self) -> float:
        """The share of the rows looked at that are wrong."""
        return self.wrong / self.compared if self.compared else 0.0

    @property
    def at_most(self) -> float | None:
        """The share of all rows of the lists looked at that is wrong at most."""
        return most_wrong(one.sample for one in self.lists if one.is_sample)

    def named(self, state: State) -> Sequence[ListFound]:
        return [one for one in self.lists if one.state == state]

    @property
    def exit_code(self) -> int:
        """3 above what is tolerated, or where a list could not be read; 1 if none was."""
        if not self.named("compared"):
            return FAILED
        unread = [*self.named("failed"), *self.named("not comparable")]
        return PARTLY if self.share > self.tolerate or unread else DONE
