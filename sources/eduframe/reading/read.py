"""A read, as a value: which part of a list is read, what that costs, and what it may prove.

:class:`WholeList` and :class:`UnderParents` are the kinds there are. Each gives pages; one loop
(`reader.py`) takes the pages of any kind to batches. A kind more is a class more here:
it says its :attr:`~Read.proof` and its cost, and yields its pages.

:class:`Plan` is a read of this run with all that it needs to know beforehand.
"""

import itertools
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sources.eduframe.clock import parse
from sources.eduframe.declare import Endpoint, ParentRef
from sources.eduframe.errors import PositionLostError, ReadFailedError, ResourceOffError
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.pagination import PER_PAGE
from sources.eduframe.reading.batch import SetAside
from sources.eduframe.reading.checkpoint import Checkpoint, Mode, Position
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.reading.parents import ParentBook, gather_parents
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.keys import Flags, Ids

PARENTS_AT_ONCE = 4
PARENT_REFUSALS = 3
"""A list that answers 403 for so many parents, and 200 for none, is off."""
PARENT_MISSES = 20
"""A list that answers 404 for so many parents, low ones and others, and 200 for none, is off."""
LOWEST_FIRST = 5
"""A list that never answered is asked for so many of the lowest parents, then for others."""


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

    @property
    def refused(self) -> Ids:
        """The key ids of the parents whose lists answered 404."""


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
        with ExitStack() as stack:
            try:
                yield from progress.fetcher.walk(self._first(progress, stack))
            except PositionLostError as lost:
                yield from progress.fetcher.walk(self._by_number(progress, lost))

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

    @property
    def refused(self) -> Ids:
        return np.zeros(0, np.int64)


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
    answered_before: Ids = field(default_factory=_no_ids)
    """The key ids of the parents that were asked and answered before the read was interrupted."""
    ever_answered: bool = True
    """Whether the list answered in an earlier read."""
    parents: Sequence[ParentRef] = field(init=False, default=())
    _answered: list[int] = field(init=False, default_factory=list)
    _refused: list[int] = field(init=False, default_factory=list)

    @property
    def answered(self) -> Ids:
        return np.union1d(self.answered_before, np.array(self._answered, np.int64))

    @property
    def refused(self) -> Ids:
        return np.array(sorted(self._refused), np.int64)

    def cost(self, rows: int) -> int:
        known = sum(len(values or ()) for values in self.stored)
        return max(known, len(self.object_types) if self.endpoint.parent_setting else 0)

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        gathered = gather_parents(
            progress.fetcher, self.endpoint, self.book, self.stored, self.object_types
        )
        met = (self.book.met(self.endpoint, n) for n in range(len(self.endpoint.parents)))
        if any(parents.untold for parents in met):
            self.proof = replace(self.proof, of_list=False)
        self.parents = sorted(gathered, key=lambda ref: _order(ref.params))
        done = set(self.answered_before.tolist())
        forbidden = 0
        for ref, page in self._first_pages(self._in_turn(done), progress):
            if isinstance(page, ResourceOffError):
                self._refused.append(ref.key_id)
                forbidden += page.status == 403
                if self._is_off(len(done), forbidden, len(self.parents)):
                    raise page
            else:
                yield from progress.fetcher.walk(page, ref)
                self._answered.append(ref.key_id)
            progress.checkpoint.parent = list(ref.params)
            progress.checkpoint.within = progress.checkpoint.next_url = None
            yield None
        misses = len(self._refused)
        if misses > 1 and not self._answered and not done and not self.ever_answered:
            raise ResourceOffError(f"answered 404 for all {misses} parents", 404)
        if misses:
            statuses = "403 or 404" if forbidden else "404"
            progress.note(f"{misses} parents answered {statuses}; what they held stays")

    def _is_off(self, answered_before: int, forbidden: int, parents: int) -> bool:
        """What one parent answers is that parent's; many, and nothing else, are the list's.

        Of a list that answered before, only a whole read tells: of some parents, the ones that
        were refused may be all that is asked.
        """
        if self._answered or answered_before:
            return False
        tells = self.proof.of_list or not self.ever_answered
        if forbidden >= (min(PARENT_REFUSALS, parents) if tells else PARENT_REFUSALS):
            return True
        return tells and len(self._refused) >= PARENT_MISSES

    def _in_turn(self, done: Set[int]) -> list[ParentRef]:
        """The parents that are left, in order; of a list that never answered, some of all first."""
        left = [ref for ref in self.parents if ref.key_id not in done]
        partly = self.ever_answered and not self.proof.of_list
        if partly or len(left) <= PARENT_MISSES:
            return left
        lowest, rest = left[:LOWEST_FIRST], left[LOWEST_FIRST:]
        step = len(rest) // (PARENT_MISSES - LOWEST_FIRST)
        spread = rest[::-1][::step]
        chosen = set(spread)
        return [*lowest, *spread, *(ref for ref in rest if ref not in chosen)]

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
                    task = pool.submit(_first_under, progress, following, *reached)
                    waiting.append((following, task))
                yield ref, page
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class FirstPages:
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


def _first_under(
    progress: Progress, ref: ParentRef, within: tuple[Any, ...] = (), url: str | None = None
) -> Page | ResourceOffError:
    """The first page under a parent, or the one that an interrupted read had come to."""
    if url is not None and ref.params == within:
        try:
            return progress.fetcher.at(url, ref)
        except (PositionLostError, ResourceOffError) as error:
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
    missed_before: Ids = field(default_factory=_no_ids)
    """The key ids of rows that earlier reads missed, and that are neither proven gone nor there."""
    asked_for: AskedBefore = field(default_factory=AskedBefore)
    """The missing rows that were asked for by themselves, and stay."""
    parents_gone: Ids = field(default_factory=_no_ids)
    """The key ids of parents that were proven gone before this run."""
    refused_before: Ids = field(default_factory=_no_ids)
    """The key ids of parents that answered 404 in the read before, and are asked once more."""
    set_aside: SetAside = field(default_factory=SetAside)
    """The rows that did not fit before."""
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
