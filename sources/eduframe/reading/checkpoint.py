"""What is remembered of a list between runs, and how an interrupted read goes on.

A :class:`Position` lives in dlt's resource state, so it reaches the destination in the same load
package as the rows it speaks of. While a read lasts it holds a :class:`Checkpoint`.
"""

from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from sources.eduframe.clock import parse
from sources.eduframe.reading.key_order import EITHER

Mode = Literal["reconcile", "cursor", "parents", "parts"]
"""How changes are found: by content, in a complete read; by ``updated_at``; for a list under a
parent, by content but only under the parents that changed; or by content in parts of a list."""


@dataclass
class Checkpoint:
    """A read that spans load packages: enough to go on from where the last package ended."""

    id: str
    mode: Mode
    began: str
    """The server's clock when the read began; empty before the first page."""
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
    order: str = EITHER
    """The order of the keys so far, as `key_order.py` has it."""
    last_key: int | None = None
    runs: int = 0
    """How many runs ended before it did, as their requests were used up."""
    asked: bool = False
    """Whether somebody asked for it, and not only its time had come."""


def set_name(read_id: str, what: str) -> str:
    """The name of one of the sets of key ids that a read leaves in the destination."""
    return f"{read_id}/{what}"


_TOLD_IF_FALSE = ("readable", "numbered")
_STORED_AS = {"checkpoint": "unfinished", "had_rows": "held"}
"""Fields that dlt's state knows by another name, which earlier releases gave them."""


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
    """The set of rows that the last reads missed, of whose absence a second witness is wanted."""
    refused: str | None = None
    """The set of parents that answered 404 in the last read: they are asked once more."""
    failed: str | None = None
    """The set of parents whose lists could not be read: each read asks them again."""
    failed_anew: bool = False
    """Whether the rows under those are to be written again, changed or not."""
    had_rows: bool = False
    """Whether the table held rows after the last read."""
    filled: list[str] = field(default_factory=list)
    """The tables of nested parts that held rows of the list after the last read."""
    refresh: str | None = None
    """When it was asked for that every row is written again, until that is done."""
    refreshed: str | None = None
    """The last such request that was done."""
    deletes: str | None = None
    """What was done with rows that are gone, in the last read."""
    frozen: str | None = None
    """Why nothing of the list counted as gone in its last complete read, where that was so."""
    told_unfit: list[str] = field(default_factory=list)
    """Fields of which it was said that most rows have them unfit."""
    unfit: dict[str, int] = field(default_factory=dict)
    """Field to the number of rows that had it unfit in the last complete read."""
    told_names: list[str] = field(default_factory=list)
    """Unknown fields and values of which it was said that they are there."""
    order: str | None = None
    """The order of the keys in the last complete read; "none" once a page was in no order."""
    numbered: bool | None = None
    """Whether pages can be asked for by number; None: that was not tried."""
    no_windows_until: str | None = None
    """Filters are not tried before: one was refused, or gave rows outside itself."""
    round: str | None = None
    """Under parents: when the asking of all parents began that goes on over several runs."""
    waiting: str | None = None
    """The set of parents that were still to be asked when that began. Those asked since are in
    another, :meth:`asked`, so that no run has to write the rest again."""
    late: str | None = None
    """The set of parents that changed, and that were not asked as requests were used up."""
    checkpoint: Checkpoint | None = None
    """The read that was interrupted, if one was."""

    @property
    def asked(self) -> str | None:
        """The set of parents that were asked since the round began."""
        return set_name(self.waiting, "asked") if self.waiting else None

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Position":
        """From dlt's state; what an older or newer release stored under other names is dropped."""
        stored = {f.name: state.get(_STORED_AS.get(f.name, f.name)) for f in fields(cls)}
        position = cls(**{name: value for name, value in stored.items() if value is not None})
        if isinstance(position.checkpoint, dict):
            try:
                position.checkpoint = Checkpoint(**position.checkpoint)
            except TypeError:
                position.checkpoint = None
        return position

    def dump(self) -> dict[str, Any]:
        """For dlt's state."""
        return {
            _STORED_AS.get(name, name): value
            for name, value in asdict(self).items()
            if value not in (None, [], {}) and (value is not False or name in _TOLD_IF_FALSE)
        }


def why_not_resumed(
    checkpoint: Checkpoint,
    *,
    mode: Mode,
    forced: bool,
    refresh: bool,
    asked: bool,
    oldest: datetime,
    max_age: str,
    trusted: bool,
    known_rows: int,
    known_seen: int,
) -> str | None:
    """Why an interrupted read starts anew; None if it goes on, "" if it had not begun.

    Args:
        mode: how the list is to be read now; ``forced`` if somebody asked for that.
        refresh: whether every row is to be written now.
        asked: whether somebody asks for all of the list, as it is now.
        oldest: reads that began before this are too old to go on; ``max_age`` says it in words.
        trusted: whether the next page is where the token may go.
        known_rows: rows that the destination holds.
        known_seen: rows of which the destination still knows that the read has met them.
    """
    began = parse(checkpoint.began)
    if began is None or (checkpoint.parent is None and checkpoint.next_url is None):
        return ""
    if began < oldest:
        return f"the interrupted read is older than {max_age}"
    if refresh and not checkpoint.refresh:
        return "every row is to be written"
    if asked and not checkpoint.asked:
        return "all of it was asked for, and what was read before may have changed since"
    if checkpoint.mode != mode and (forced or checkpoint.mode != "reconcile"):
        return "it is to be read in another way than the interrupted read"
    if checkpoint.next_url and not trusted:
        return "the interrupted read was of another address"
    if checkpoint.rows and not known_rows:
        return "the table was emptied since"
    if checkpoint.mode != "cursor" and known_seen < checkpoint.rows / 2:
        return "the keys of the interrupted read are lost"
    return None
