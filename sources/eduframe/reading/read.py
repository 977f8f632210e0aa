"""A read, as a value: which part of a list is read, what that costs, and what it may prove.

:class:`WholeList` and :class:`UnderParents` are the kinds there are. Each gives pages; one loop
(`reader.py`) takes the pages of any kind to batches. A kind more is a class more here:
it says its :attr:`~Read.proof` and its cost, and yields its pages.

:class:`Plan` is a read of this run with all that it needs to know beforehand.
"""

import itertools
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Protocol

import numpy as np

from sources.eduframe.clock import parse
from sources.eduframe.declare import Endpoint, ParentRef
from sources.eduframe.errors import ReadFailedError, ResourceOffError
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.pagination import PER_PAGE
from sources.eduframe.reading.batch import SetAside
from sources.eduframe.reading.checkpoint import Checkpoint, Mode, Position
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.reading.parents import ParentBook, gather_parents
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.keys import Ids

PARENTS_AT_ONCE = 4
PARENT_MISSES = 5
"""A list that answers 404 for so many parents, and 200 for none, is off."""


@dataclass(frozen=True)
class Proof:
    """What a read says of rows that it did not meet, once it came to its end without a failure.

    Every read proves that what it met is there. A row is missing only where this says so.
    """

    of_list: bool = False
    """A row that was not met is missing from the list."""
    of_answered_parents: bool = False
    """A row that was not met under a parent whose list was read to its end is missing there."""


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


class Read(Protocol):
    """A part of one list."""

    @property
    def proof(self) -> Proof:
        """What the read may prove."""

    @property
    def parents(self) -> Sequence[ParentRef]:
        """The parents that are asked; none for a list of its own."""

    @property
    def answered(self) -> Ids:
        """The key ids of the parents whose lists were read to their end, in order."""

    def cost(self, rows: int) -> int:
        """The requests that it takes, given how many rows the destination holds of the list."""

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        """The pages, from the checkpoint on. None between two parents: there it may stop.

        Raises:
            ResourceError: the list cannot be read.
            StoppedError: a stop was asked for.
        """

    def places(self, missing_under: Ids) -> Sequence[ParentRef | None]:
        """Where rows would be found that are missing under these parents: for a second look."""


@dataclass
class WholeList:
    """A list of its own, from its first page to its last."""

    endpoint: Endpoint
    proof: Proof = Proof()
    first_answer: Answer | None = None
    """The answer that holds the first page, where it was asked for already."""

    @property
    def parents(self) -> Sequence[ParentRef]:
        return ()

    @property
    def answered(self) -> Ids:
        return np.zeros(0, np.int64)

    def cost(self, rows: int) -> int:
        details = rows if self.endpoint.detail_path else 0
        return details + (max(1, ceil(rows / PER_PAGE)) if self.endpoint.paged else 1)

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        yield from progress.fetcher.walk(self._first(progress))

    def _first(self, progress: Progress) -> Page:
        """The page that an interrupted read had come to, or else the first."""
        url = progress.checkpoint.next_url
        if url is not None:
            try:
                return progress.fetcher.at(url)
            except (ReadFailedError, ResourceOffError) as error:
                progress.start_anew(f"the position was no longer accepted ({error})")
        if self.first_answer:
            return progress.fetcher.from_answer(self.first_answer)
        return progress.fetcher.first()

    def places(self, missing_under: Ids) -> Sequence[ParentRef | None]:
        return [None]


@dataclass
class UnderParents:
    """A list under parents: those that are to be asked, in order, each from first to last page."""

    endpoint: Endpoint
    book: ParentBook
    stored: Sequence[Sequence[tuple[Any, ...]] | None] = ()
    """For each declared parent, the ones that the destination holds and that are to be asked;
    None where it holds none at all."""
    object_types: Sequence[str] = ()
    """The values of the setting that stands in for parents."""
    proof: Proof = Proof(of_answered_parents=True)
    parents: Sequence[ParentRef] = field(init=False, default=())
    _answered: list[int] = field(init=False, default_factory=list)

    @property
    def answered(self) -> Ids:
        return np.array(sorted(self._answered), np.int64)

    def cost(self, rows: int) -> int:
        known = sum(len(values or ()) for values in self.stored)
        return max(known, len(self.object_types) if self.endpoint.parent_setting else 0)

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        self.parents = sorted(
            gather_parents(
                progress.fetcher.client, self.endpoint, self.book, self.stored, self.object_types
            ),
            key=lambda ref: _order(ref.params),
        )
        met = (self.book.met(self.endpoint, n) for n in range(len(self.endpoint.parents)))
        if any(parents.untold for parents in met):
            self.proof = replace(self.proof, of_list=False)
        start, done = 0, progress.checkpoint.parent
        if done is not None:
            start = sum(_order(ref.params) <= _order(done) for ref in self.parents)
            self._answered += [ref.key_id for ref in self.parents[:start]]
        answers = misses = 0
        for ref, page in self._first_pages(self.parents[start:], progress):
            if isinstance(page, ResourceOffError):
                misses += 1
                if page.status == 403 or (not answers and misses >= PARENT_MISSES):
                    raise page
            else:
                answers += 1
                yield from progress.fetcher.walk(page, ref)
                self._answered.append(ref.key_id)
            progress.checkpoint.parent = list(ref.params)
            progress.checkpoint.within = progress.checkpoint.next_url = None
            yield None
        if misses and not answers and not start:
            raise ResourceOffError(f"answered 404 for all {misses} parents", 404)
        if misses:
            progress.note(f"{misses} parents answered 404; what they held stays")

    def _first_pages(
        self, parents: Sequence[ParentRef], progress: Progress
    ) -> Iterator[tuple[ParentRef, Page | ResourceOffError]]:
        """The first page under each parent, in order, a few requests at a time."""
        reached = (tuple(progress.checkpoint.within or ()), progress.checkpoint.next_url)
        queue = iter(parents)
        pool = ThreadPoolExecutor(PARENTS_AT_ONCE, thread_name_prefix=self.endpoint.table)
        waiting: deque[tuple[ParentRef, Future[Page | ResourceOffError]]] = deque()
        try:
            for ref in itertools.islice(queue, PARENTS_AT_ONCE):
                waiting.append((ref, pool.submit(_first_under, progress, ref, *reached)))
            while waiting:
                ref, future = waiting.popleft()
                page = future.result()
                following = next(queue, None)
                if following is not None:
                    waiting.append((following, pool.submit(_first_under, progress, following)))
                yield ref, page
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def places(self, missing_under: Ids) -> Sequence[ParentRef | None]:
        wanted = set(np.intersect1d(missing_under, self.answered).tolist())
        return [ref for ref in self.parents if ref.key_id in wanted]


def _first_under(
    progress: Progress, ref: ParentRef, within: tuple[Any, ...] = (), url: str | None = None
) -> Page | ResourceOffError:
    """The first page under a parent, or the one that an interrupted read had come to."""
    if url is not None and ref.params == within:
        try:
            return progress.fetcher.at(url, ref)
        except (ReadFailedError, ResourceOffError) as error:
            progress.note(f"a parent's list is read anew: its position is lost ({error})")
    try:
        return progress.fetcher.first(ref)
    except ResourceOffError as off:
        return off


def _order(params: Sequence[Any]) -> tuple[tuple[int, int, str], ...]:
    """Orders ids as numbers and slugs as text, whatever stands beside what."""
    return tuple(
        (0, value, "") if isinstance(value, int) else (1, 0, str(value)) for value in params
    )


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
    missed_before: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """The key ids that an earlier reconciliation missed, and could not ask for one by one."""
    set_aside: SetAside = field(default_factory=SetAside)
    """The rows that did not fit before."""
    checkpoint: Checkpoint = field(init=False)
    read: Read = field(init=False)
    """Which part of the list is read."""

    def __post_init__(self) -> None:
        self.checkpoint = self.new_checkpoint()
        self.read = WholeList(self.endpoint, Proof(of_list=self.mode == "reconcile"))

    def new_checkpoint(self) -> Checkpoint:
        """The checkpoint of a read that has not begun."""
        return Checkpoint(
            uuid.uuid4().hex, self.mode, "", self.synced_at.isoformat(), refresh=self.refresh
        )

    def resume(self, stored: Checkpoint) -> None:
        """Go on with an interrupted read, in the way in which it began."""
        self.mode, self.refresh, self.resumed = stored.mode, stored.refresh, True
        self.checkpoint = stored


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
    reconciled = parse(position.reconciled_at)
    due = reconciled is None or not timedelta() <= now - reconciled < every
    emptied = not len(index) and (position.had_rows or not endpoint.params)
    if forced or due or emptied:
        return "reconcile"
    if endpoint.params:
        return "parents"
    if endpoint.cursor is None or position.cursor is None:
        return "reconcile"
    return "cursor"
