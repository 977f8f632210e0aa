"""A read, as a value: which part of a list is read, what that costs, and what it may prove.

:class:`WholeList`, `UnderParents` (`under_parents.py`) and `Parts` (`parts.py`) are the kinds there
are. Each gives pages; one loop (`reader.py`) takes the pages of any kind to batches. A kind more is
a class more: it says its :attr:`~Read.proof` and its cost, and yields its pages.

:class:`Plan` is a read of this run with all that it needs to know beforehand.
"""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.eduframe.clock import parse
from sources.eduframe.declare import Endpoint, ParentRef
from sources.eduframe.errors import PositionLostError, ReadFailedError, ResourceOffError
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.pagination import PER_PAGE
from sources.eduframe.reading.batch import ReadKind, SetAside
from sources.eduframe.reading.checkpoint import Checkpoint, Mode, Position
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.reading.sizing import LONG, pages_of, tell_of_many
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.keys import Flags, Ids


def _no_ids() -> Ids:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Proof:
    """What a read says of rows that it did not meet, once it came to its end without a failure.

    Every read proves that what it met is there. A row is missing only where this says so.
    """

    of_list: bool = False
    """A row that was not met is missing from the list."""
    of_answered_parents: bool = False
    """A row that was not met under a parent whose list was read to its end is missing there."""
    between_neighbours: bool = False
    """A row whose key lies between two neighbours on pages in order, and was not met, is missing
    from the list."""


class Progress(Protocol):
    """What the loop lends a read while it gives pages."""

    fetcher: Fetcher

    @property
    def checkpoint(self) -> Checkpoint:
        """How far the read has come; the read may move it on."""

    def note(self, text: str) -> None:
        """Tell whoever runs this."""

    def start_anew(self, why: str) -> None:
        """Forget the checkpoint, and what the interrupted read has met."""


class Read(ABC):
    """A part of one list. What a kind of read has nothing to say of is empty."""

    @property
    def proof(self) -> Proof:
        """What the read may prove."""
        return Proof()

    @abstractmethod
    def cost(self, rows: int) -> int:
        """The requests that it takes, given how many rows the destination holds of the list."""

    @abstractmethod
    def pages(self, progress: Progress) -> Iterator[Page | None]:
        """The pages, from the checkpoint on. None between two parents: there it may stop.

        Raises:
            ResourceError: the list cannot be read.
            StoppedError: a stop was asked for.
        """

    @property
    def cut(self) -> bool:
        """Whether it ended before its end, as the requests for it are used up: it goes on in the
        next run."""
        return False

    @property
    def parents(self) -> Sequence[ParentRef]:
        """The parents that are asked; none for a list of its own."""
        return ()

    @property
    def answered(self) -> Ids:
        """The key ids of the parents whose lists were read to their end, in order."""
        return _no_ids()

    @property
    def refused(self) -> Ids:
        """The key ids of the parents whose lists answered 403 or 404."""
        return _no_ids()

    @property
    def failed(self) -> Ids:
        """The key ids of the parents whose lists could not be read: they are asked again."""
        return _no_ids()

    @property
    def failure(self) -> str | None:
        """What is to be said of those, and what to do."""
        return None

    @property
    def waiting(self) -> Ids:
        """The key ids of the parents that were not asked, as the requests for it are used up."""
        return _no_ids()


@dataclass
class WholeList(Read):
    """A list of its own, from its first page to its last."""

    endpoint: Endpoint
    proof: Proof = Proof()
    first_answer: Answer | None = None
    """The answer that holds the first page, where it was asked for already."""
    left: Callable[[], int] | None = None
    """How many requests may still be made for it; None: as many as it takes."""
    is_new: bool = False
    """Whether it was never read before, so that nobody knows how long it is."""
    cut: bool = field(init=False, default=False)
    met: list[Ids] = field(init=False, default_factory=list)
    """The keys of the rows that were met in this run, and …"""
    changed: list[Ids] = field(init=False, default_factory=list)
    """… those of them that are new, or had changed."""

    def cost(self, rows: int) -> int:
        details = rows if self.endpoint.detail_path else 0
        return details + (max(1, ceil(rows / PER_PAGE)) if self.endpoint.paged else 1)

    def note_met(self, kind: ReadKind, ids: Ids, changed: Ids) -> None:
        """Note what was met, and which of it was new or had changed."""
        if self.left is not None:  # else nobody asks
            self.met.append(ids)
            self.changed.append(changed)

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        with ExitStack() as stack:
            try:
                pages = progress.fetcher.walk(self._first(progress, stack))
                yield from self._affordable(self._sized(pages, progress))
            except PositionLostError as lost:
                yield from self._affordable(
                    progress.fetcher.walk(self._by_number(progress, lost))
                )

    def _sized(self, pages: Iterator[Page], progress: Progress) -> Iterator[Page]:
        """The pages; of a new list that is long it is said how long, as soon as that shows."""
        first: Page | None = None
        for number, page in enumerate(pages, 1):
            yield page
            first = first or page
            if number == LONG and self.is_new and page.next_url and first.rows:
                found = pages_of(progress.fetcher, first.rows, LONG)
                if found is not None:
                    progress.fetcher.expect(max(0, found - number))
                    tell_of_many(progress.fetcher, self.endpoint.table, found, "one a page")

    def _affordable(self, pages: Iterator[Page]) -> Iterator[Page]:
        for page in pages:
            yield page
            if self.left is not None and page.next_url is not None and self.left() <= 0:
                self.cut = True
                return

    def _first(self, progress: Progress, stack: ExitStack) -> Page:
        """The page that an interrupted read had come to, or else the first.

        A list that takes no page numbers, and whose cursor has expired, is read in one go then.
        """
        url = progress.checkpoint.next_url
        if url is not None:
            try:
                return progress.fetcher.at(url)
            except PositionLostError as lost:
                try:
                    return self._by_number(progress, lost)
                except PositionLostError:
                    progress.start_anew(
                        f"the position was no longer accepted ({lost}); it is read in one go, "
                        "while the other lists wait"
                    )
                    stack.enter_context(progress.fetcher.client.limiter.alone())
            except ResourceOffError as off:
                progress.start_anew(f"the position was no longer accepted ({off})")
        if self.first_answer:
            return progress.fetcher.from_answer(self.first_answer)
        return progress.fetcher.first()

    def _by_number(self, progress: Progress, lost: PositionLostError) -> Page:
        """The last page that was read, by its number: so a read goes on whose cursor has expired.

        Raises:
            PositionLostError: the list takes no page numbers.
        """
        number = max(1, progress.checkpoint.rows // PER_PAGE)
        try:
            page = progress.fetcher.numbered(number)
        except (ReadFailedError, ResourceOffError) as refused:
            raise PositionLostError(
                f"{lost}; nor can it be read by page number ({refused}). A cursor that does not "
                "live until the next request may be made needs a higher requests_per_window, or "
                f"a run of {self.endpoint.table} alone"
            ) from refused
        progress.note(f"went on by page number, from page {number}: {lost}")
        progress.checkpoint.by_number = True
        return page


@dataclass
class FirstPages(Read):
    """The first pages of another read, for a look: it proves nothing of what it does not meet."""

    whole: Read
    enough: Callable[[int, int], bool]
    """Whether so many pages, with so many rows, are enough."""
    proof: Proof = Proof()

    @property
    def parents(self) -> Sequence[ParentRef]:
        return self.whole.parents

    @property
    def answered(self) -> Ids:
        return self.whole.answered

    @property
    def refused(self) -> Ids:
        return self.whole.refused

    @property
    def failed(self) -> Ids:
        return self.whole.failed

    @property
    def failure(self) -> str | None:
        return self.whole.failure

    @property
    def waiting(self) -> Ids:
        return self.whole.waiting

    @property
    def cut(self) -> bool:
        return self.whole.cut

    def cost(self, rows: int) -> int:
        return self.whole.cost(rows)

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        pages = rows = 0
        if self.enough(pages, rows):
            return
        for page in self.whole.pages(progress):
            yield page
            if page is not None:
                pages, rows = pages + 1, rows + len(page.rows)
                if self.enough(pages, rows):
                    return


@dataclass
class AskedBefore:
    """Missing rows that were asked for by themselves in earlier runs, sorted by key id."""

    ids: Ids = field(default_factory=_no_ids)
    hidden: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether the row is there, by its own path; else that could not be told."""
    at: Sequence[datetime] = ()

    def ages(self, now: datetime) -> npt.NDArray[np.float64]:
        """Seconds since each was asked for."""
        return np.array([(now - moment).total_seconds() for moment in self.at], np.float64)


@dataclass
class Plan:
    """Everything that reading one list in this run needs to know beforehand."""

    endpoint: Endpoint
    mode: Mode
    position: Position
    index: RowIndex
    """What the destination holds of the list."""
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
    asked: bool = False
    """Whether somebody asked for a comparison of all rows, and not the list's own rhythm."""
    damaged: bool = False
    """Whether tables of the list are missing or were emptied: it must be read whole."""
    missed_before: Ids = field(default_factory=_no_ids)
    """The key ids of rows that earlier reads missed, and that are neither proven gone nor there."""
    asked_for: AskedBefore = field(default_factory=AskedBefore)
    """The missing rows that were asked for by themselves, and stay."""
    parents_gone: Ids = field(default_factory=_no_ids)
    """The key ids of parents that were proven gone before this run."""
    refused_before: Ids = field(default_factory=_no_ids)
    """The key ids of parents that answered 404 in the read before, and are asked once more."""
    failed_before: Ids = field(default_factory=_no_ids)
    """The key ids of parents whose lists could not be read when they were last asked."""
    waiting_before: Ids = field(default_factory=_no_ids)
    """The key ids of parents that a round over several runs has still to ask."""
    late_before: Ids = field(default_factory=_no_ids)
    """The key ids of parents that changed, and were not asked as requests were used up."""
    set_aside: SetAside = field(default_factory=SetAside)
    """The rows that did not fit before."""
    on_written: Callable[[pa.Table], None] | None = None
    """Is given the new and changed rows of the list, batch by batch."""
    left_out: frozenset[str] = frozenset()
    """Tables of nested parts that are not loaded in this run."""
    checkpoint: Checkpoint = field(init=False)
    read: Read = field(init=False)
    """Which part of the list is read."""

    def __post_init__(self) -> None:
        self.checkpoint = self.new_checkpoint()
        self.read = WholeList(self.endpoint, Proof(of_list=self.mode == "reconcile"))

    def new_checkpoint(self) -> Checkpoint:
        """The checkpoint of a read that has not begun."""
        return Checkpoint(
            uuid.uuid4().hex, self.mode, "", self.synced_at.isoformat(), refresh=self.refresh,
            asked=self.asked,
        )  # fmt: skip

    def read_parts(self, read: Read) -> None:
        """Read parts of the list. A read of all of it that was interrupted waits meanwhile."""
        self.mode, self.resumed, self.read = "parts", False, read
        self.checkpoint = self.new_checkpoint()
        self.index.seen[:] = False

    def resume(self, stored: Checkpoint) -> None:
        """Go on with an interrupted read, in the way in which it began."""
        self.mode, self.refresh, self.resumed = stored.mode, stored.refresh, True
        self.checkpoint = stored


def is_due(position: Position, every: timedelta, now: datetime) -> bool:
    """Whether a list is to be compared whole: it never was, not since so long, or in the future."""
    reconciled = parse(position.reconciled_at)
    return reconciled is None or not timedelta() <= now - reconciled < every


def choose_mode(
    endpoint: Endpoint,
    position: Position,
    index: RowIndex,
    every: timedelta,
    now: datetime,
    *,
    forced: bool,
) -> Mode:
    """The rule: by content where there is no cursor, where it is time, or where it is asked for."""
    due = is_due(position, every, now)
    emptied = not len(index) and (position.had_rows or not endpoint.params)
    if forced or due or emptied:
        return "reconcile"
    if endpoint.params:
        return "parents"
    if endpoint.cursor is None or position.cursor is None:
        return "reconcile"
    return "cursor"
