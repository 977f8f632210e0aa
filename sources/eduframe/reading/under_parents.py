"""Reading a list under parents: which are asked first, and what it means that some do not answer.

What one parent answers is that parent's: its rows stay, it is asked again, and the others are
read. Only many in a row, and nothing else, are the list's.
"""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np

from sources.eduframe.declare import Endpoint, ParentRef
from sources.eduframe.errors import (
    ExhaustedError,
    PositionLostError,
    ReadFailedError,
    ResourceOffError,
)
from sources.eduframe.reading.fetching import Page
from sources.eduframe.reading.parents import ParentBook, ParentPages, gather_parents
from sources.eduframe.reading.read import Progress, Proof, Read
from sources.eduframe.reading.sizing import tell_of_many
from sources.eduframe.rows.keys import Ids

PARENTS_AT_ONCE = 4
PARENT_REFUSALS = 3
"""A list that answers 403 for so many parents, and 200 for none, is off."""
PARENT_MISSES = 20
"""A list that answers 404 for so many parents, low ones and others, and 200 for none, is off."""
LOWEST_FIRST = 5
"""A list that never answered is asked for so many of the lowest parents, then for others."""
FAILURES_IN_A_ROW = 20
"""A list that fails for so many parents in a row is not asked for others."""
EXHAUSTED_IN_A_ROW = 3
"""The same, where the server was asked again and again: it is the server that fails."""
MANY = 500
"""Of so many parents it is said beforehand what they cost."""
NAMED = 5
"""So many parents are named in a message."""

OF_ANSWERED_PARENTS = Proof(of_answered_parents=True)
Refusal = ResourceOffError | ReadFailedError


def _no_ids() -> Ids:
    return np.zeros(0, np.int64)


@dataclass
class UnderParents(Read):
    """A list under parents: those that are to be asked, in order, each from first to last page."""

    endpoint: Endpoint
    book: ParentBook
    stored: Sequence[Sequence[tuple[Any, ...]] | None] = ()
    """For each declared parent, the ones that the destination holds and that are to be asked;
    None where it holds none at all."""
    object_types: Sequence[str] = ()
    """The values of the setting that stands in for parents."""
    proof: Proof = OF_ANSWERED_PARENTS
    answered_before: Ids = field(default_factory=_no_ids)
    """The key ids of the parents that were asked and answered before the read was interrupted."""
    failed_before: Ids = field(default_factory=_no_ids)
    """The key ids of parents whose lists could not be read when they were last asked."""
    ever_answered: bool = True
    """Whether the list answered in an earlier read."""
    left: Callable[[], int] | None = None
    """How many requests may still be made for it; None: as many as it takes. Where that is told,
    the parents that changed come first, and then the newest."""
    waiting_before: Ids = field(default_factory=_no_ids)
    """The key ids of the parents that a round over several runs has still to ask."""
    parent_pages: ParentPages | None = None
    """Where the parents are read from the API some pages in each run: from where on."""
    left_over: Ids = field(default_factory=_no_ids)
    """The key ids of the parents that the last run did not come to."""
    bare: Ids = field(default_factory=_no_ids)
    """The key ids of parents in the destination under which there is hardly ever anything, as far
    as their own rows tell."""
    filled: Ids = field(default_factory=_no_ids)
    """The key ids of parents under which the destination holds rows."""
    parents: Sequence[ParentRef] = field(init=False, default=())
    _gathered: bool = field(init=False, default=False)
    _waiting: Ids = field(init=False, default_factory=_no_ids)
    _answered: list[int] = field(init=False, default_factory=list)
    _refused: dict[int, str] = field(init=False, default_factory=dict)
    """Key id to path, of the parents whose lists answered 403 or 404."""
    _failed: dict[int, str] = field(init=False, default_factory=dict)
    """Key id to what happened, of the parents whose lists could not be read."""
    _in_a_row: int = field(init=False, default=0)
    _exhausted: int = field(init=False, default=0)

    @property
    def answered(self) -> Ids:
        return np.union1d(self.answered_before, np.array(self._answered, np.int64))

    @property
    def waiting(self) -> Ids:
        return self._waiting

    @property
    def next_parents(self) -> str | None:
        """Where the next run begins to read parents from the API; None: with the first page."""
        if self.parent_pages is None or self.left is None:
            return None
        return self.parent_pages.next_page({*self._waiting.tolist()})

    @property
    def refused(self) -> Ids:
        return np.array(sorted(self._refused), np.int64)

    @property
    def failed(self) -> Ids:
        """Also those that failed before, and were not asked again as too many others failed."""
        before = self.failed_before
        if self._gathered:
            there = np.array([ref.key_id for ref in self.parents], np.int64)
            before = np.setdiff1d(np.intersect1d(before, there), self.answered)
        now = np.union1d(before, np.array([*self._failed], np.int64))
        return np.setdiff1d(now, self.refused)

    @property
    def failure(self) -> str | None:
        if not self._failed:  # those of earlier runs that were not asked now fail nothing
            return None
        count = len(self.failed)
        named = [*itertools.islice(self._failed.values(), NAMED)]
        more = f"; {count - len(named)} more" if count > len(named) else ""
        return (
            f"the lists under {count} parents could not be read; what they held stays, and each "
            "run asks for them again, beside what is due. If that lasts, look at these parents in "
            f"Eduframe, or ask its support about them: {'; '.join(named)}{more}"
        )

    def cost(self, rows: int) -> int:
        known = sum(len(values or ()) for values in self.stored)
        return max(known, len(self.object_types) if self.endpoint.parent_setting else 0)

    def pages(self, progress: Progress) -> Iterator[Page | None]:
        gathered = gather_parents(
            progress.fetcher, self.endpoint, self.book, self.stored, self.object_types, self.left,
            self.parent_pages,
        )  # fmt: skip
        if self.parent_pages is not None and self.parent_pages.pages:
            open_ones = self.parent_pages.open({*self.left_over.tolist()})
            gathered = [ref for refs in open_ones for ref in refs]
        met = [self.book.met(self.endpoint, n) for n in range(len(self.endpoint.parents))]
        if any(parents.untold for parents in met):
            self.proof = replace(self.proof, of_list=False)
            if self.left is not None and None in self.stored:
                progress.note(
                    "its parents are read from the API, and the budget does not pay for all of "
                    "them: each run goes on where the last one ended. Sync their list, too, and "
                    "those that change and the newest come first"
                )
        self.parents = sorted(gathered, key=lambda ref: _order(ref.params))
        self._gathered = True
        done = set(self.answered_before.tolist())
        forbidden = 0
        queue = self._in_turn(done, progress.checkpoint.id + progress.checkpoint.stamp)
        if self.parent_pages is not None and self.parent_pages.pages:
            queue = self._page_by_page(queue, gathered)
        elif self.left is not None:
            queue = self._newest_first(queue)
        if len(queue) >= MANY:
            later = "; what the budget does not allow now is left to the next runs"
            tell_of_many(
                progress.fetcher, self.endpoint.table, len(queue), "one for each of its parents",
                later if self.left is not None else "",
            )
        affordable_now = len(queue) if self.left is None else min(len(queue), self.left())
        progress.fetcher.expect(affordable_now)
        handed: list[ParentRef] = []
        affordable = self._affordable(queue, handed)
        for ref, page in self._first_pages(affordable, progress):
            if isinstance(page, ResourceOffError):
                shown = progress.fetcher.client.shown
                self._refused[ref.key_id] = shown(self.endpoint.path_under(ref))
                forbidden += page.status == 403
                if self._is_off(len(done), forbidden, len(self.parents)):
                    raise page
            elif not (yield from self._take(ref, page, progress)):
                break
            progress.checkpoint.parent = list(ref.params)
            progress.checkpoint.within = progress.checkpoint.next_url = None
            yield None
        if self.left is not None and len(handed) < len(queue):
            waiting = (ref.key_id for ref in queue[len(handed) :])
            self._waiting = np.unique(np.fromiter(waiting, np.int64))
            self.proof = replace(self.proof, of_list=False)
        misses = len(self._refused)
        if misses > 1 and not self._answered and not done and not self.ever_answered:
            raise ResourceOffError(f"answered 404 for all {misses} parents", 404)
        if misses:
            statuses = "403 or 404" if forbidden else "404"
            named = ", ".join(itertools.islice(self._refused.values(), NAMED))
            more = f" and {misses - NAMED} more" if misses > NAMED else ""
            progress.note(
                f"{misses} parents answered {statuses}; what they held stays: {named}{more}"
            )

    def _take(
        self, ref: ParentRef, page: Page | ReadFailedError, progress: Progress
    ) -> Generator[Page, None, bool]:
        """The pages under a parent. Returns whether others are to be asked.

        Raises:
            ReadFailedError: the list fails for so many parents in a row that it is the list's.
        """
        try:
            if isinstance(page, ReadFailedError):
                raise page
            yield from progress.fetcher.walk(page, ref)
        except ReadFailedError as failure:
            return self._goes_on_after(ref, failure)
        self._answered.append(ref.key_id)
        self._in_a_row = self._exhausted = 0
        return True

    def _goes_on_after(self, ref: ParentRef, failure: ReadFailedError) -> bool:
        """Note that a parent's list could not be read. Returns whether others are to be asked.

        Parents that failed before come last: where many do, the rest of them waits for the next
        run, and what was read of the others counts.
        """
        self._failed[ref.key_id] = str(failure)
        self._in_a_row += 1
        self._exhausted = self._exhausted + 1 if isinstance(failure, ExhaustedError) else 0
        if self._in_a_row < FAILURES_IN_A_ROW and self._exhausted < EXHAUSTED_IN_A_ROW:
            return True
        if ref.key_id in self.failed_before:
            return False
        count = self._in_a_row if self._in_a_row >= FAILURES_IN_A_ROW else self._exhausted
        raise ReadFailedError(
            f"the lists under {count} parents in a row could not be read; of the last: {failure}"
        ) from failure

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

    def _in_turn(self, done: Set[int], chance: str) -> list[ParentRef]:
        """The parents that are left, in order; of a list that never answered, some of all first.

        Those whose lists could not be read before come last, as chance has it: where not all of
        them are asked, others are in the next run.
        """
        left = [ref for ref in self.parents if ref.key_id not in done]
        partly = self.ever_answered and not self.proof.of_list
        if not partly and len(left) > PARENT_MISSES:
            lowest, rest = left[:LOWEST_FIRST], left[LOWEST_FIRST:]
            step = len(rest) // (PARENT_MISSES - LOWEST_FIRST)
            spread = rest[::-1][::step]
            chosen = set(spread)
            left = [*lowest, *spread, *(ref for ref in rest if ref not in chosen)]
        failed = set(self.failed_before.tolist())
        last = [ref for ref in left if ref.key_id in failed]
        Random(chance).shuffle(last)
        return [*(ref for ref in left if ref.key_id not in failed), *last]

    def _newest_first(self, queue: Sequence[ParentRef]) -> list[ParentRef]:
        """Those that changed, the newest of the others, those with nothing under them.

        Of parents that were read from the API, nothing tells which changed: those left over by the
        last run come first, so that all have their turn.
        """
        late = {*self.waiting_before.tolist()}
        all_read = bool(self.stored) and not any(values is not None for values in self.stored)
        empty, failed = {*self._last().tolist()}, {*self.failed_before.tolist()}

        def rank(ref: ParentRef) -> int:
            if ref.key_id in failed:
                return 3
            if ref.key_id in empty:
                return 2
            return int((ref.key_id in late) != all_read)

        newest = sorted(queue, key=lambda ref: _order(ref.params), reverse=True)
        return sorted(newest, key=rank)

    def _page_by_page(
        self, queue: Sequence[ParentRef], gathered: Sequence[ParentRef]
    ) -> list[ParentRef]:
        """In the order of their own list, so that the next run goes on where this one ends."""
        place = {ref: number for number, ref in enumerate(gathered)}
        failed = {*self.failed_before.tolist()}
        return sorted(queue, key=lambda ref: (ref.key_id in failed, place[ref]))

    def _last(self) -> Ids:
        """The parents under which there is likely nothing: as their rows are in this run, or else
        as the destination has them."""
        met = [self.book.met(self.endpoint, n) for n in range(len(self.endpoint.parents))]
        written = np.array([ref.key_id for one in met for ref in one.written], np.int64)
        now = np.concatenate([_no_ids(), *(ids for one in met for ids in one.bare)])
        return np.setdiff1d(np.union1d(np.setdiff1d(self.bare, written), now), self.filled)

    def _affordable(
        self, queue: Sequence[ParentRef], handed: list[ParentRef]
    ) -> Iterator[ParentRef]:
        """The parents that requests are left for; those given are noted in ``handed``."""
        for ref in queue:
            if self.left is not None:
                told = len(self._answered) + len(self._refused) + len(self._failed)
                if self.left() <= len(handed) - told:
                    return
            handed.append(ref)
            yield ref

    def _first_pages(
        self, queue: Iterator[ParentRef], progress: Progress
    ) -> Iterator[tuple[ParentRef, Page | Refusal]]:
        """The first page under each parent, in order, a few requests at a time."""
        reached = (tuple(progress.checkpoint.within or ()), progress.checkpoint.next_url)
        pool = ThreadPoolExecutor(PARENTS_AT_ONCE, thread_name_prefix=self.endpoint.table)
        waiting: deque[tuple[ParentRef, Future[Page | Refusal]]] = deque()
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


def _first_under(
    progress: Progress, ref: ParentRef, within: tuple[Any, ...] = (), url: str | None = None
) -> Page | Refusal:
    """The first page under a parent, or the one that an interrupted read had come to."""
    if url is not None and ref.params == within:
        try:
            return progress.fetcher.at(url, ref)
        except (PositionLostError, ResourceOffError) as error:
            progress.note(f"a parent's list is read anew: its position is lost ({error})")
        except ReadFailedError as failure:
            return failure
    try:
        return progress.fetcher.first(ref)
    except (ResourceOffError, ReadFailedError) as refusal:
        return refusal


def _order(params: Sequence[Any]) -> tuple[tuple[int, int, str], ...]:
    """Orders ids as numbers and slugs as text, whatever stands beside what."""
    return tuple(
        (0, value, "") if isinstance(value, int) else (1, 0, str(value)) for value in params
    )


