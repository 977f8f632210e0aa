"""Reading one list: pages in, batches of what must be written out.

One read serves everything: new and changed rows, the cursor, and, where it is complete, the
proof of what is gone. The position travels with each batch.
"""

import copy
import itertools
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from sources.eduframe.errors import (
    AuthenticationError,
    ReadFailedError,
    ResourceError,
    ResourceOffError,
    StoppedError,
)
from sources.eduframe.http.client import Answer, Client
from sources.eduframe.reading.batch import Batch, ResourceRun, Settled
from sources.eduframe.reading.changes import Changes, concat, later_wins, newest_update
from sources.eduframe.reading.deletions import can_ask, find_gone
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.reading.parents import ParentBook, ParentRef
from sources.eduframe.reading.read import CLOCK_MARGIN, Plan, now_utc, parse
from sources.eduframe.rows.keys import Ids, key_id
from sources.eduframe.rows.normalise import key_of
from sources.eduframe.rows.tables import MAIN_TABLES

log = logging.getLogger("eduframe.reader")

BATCH_ROWS = 2_000
BATCH_SECONDS = 15.0
"""A batch is closed after so many rows, or when its oldest row has waited so long."""
PARENTS_AT_ONCE = 4
PARENT_MISSES = 5
"""A list that answers 404 for so many parents, and 200 for none, is off."""
NO_DATE_MARGIN = timedelta(minutes=5)


class Reader:
    """Reads one list to its end, or to where it is stopped. Use :meth:`batches` once."""

    def __init__(
        self,
        plan: Plan,
        client: Client,
        run: ResourceRun,
        book: ParentBook,
        parents: Sequence[ParentRef] = (),
        first_answer: Answer | None = None,
    ) -> None:
        self.plan = plan
        self.endpoint = plan.endpoint
        self.run = run
        self.book = book
        self._client = client
        self._parents = parents
        self._first_answer = first_answer
        self._position = copy.deepcopy(plan.position)
        self._changes = Changes(plan, run)
        self._fetcher = Fetcher(client, plan.endpoint, run)
        self._buffer: list[Any] = []
        self._buffered_at = 0.0
        self._read_parents: list[int] = []

    def batches(self) -> Iterator[Batch]:
        """Read, and hand out what must be written. Failures end up in ``run``, not here.

        Raises:
            AuthenticationError: the token is no longer accepted.
        """
        run = self.run
        run.mode, run.status, run.began = self.plan.mode, "reading", time.monotonic()
        self.book.start(self.endpoint.table)
        try:
            yield from self._by_parents() if self.endpoint.params else self._whole_list()
        except StoppedError as stop:
            run.status, run.message = "stopped", str(stop)
            yield self._flush()
        except ResourceOffError as off:
            self._turn_off(off)
            yield Batch(self.endpoint.table, self._stored())
        except AuthenticationError:
            yield self._flush()
            raise
        except ResourceError as failure:
            run.status, run.message = "failed", str(failure)
            log.error("%s: %s", self.endpoint.table, failure)
            yield self._flush()
        finally:
            run.ended = time.monotonic()
            self.book.end(self.endpoint.table)
            if run.status == "reading":
                run.status = "stopped"

    # ---- a list of its own

    def _whole_list(self) -> Iterator[Batch]:
        for page in self._fetcher.walk(self._first_page()):
            self._take(page)
            if page.next_url is not None and self._full():
                yield self._flush()
        yield from self._finish()

    def _first_page(self) -> Page:
        """The page that an interrupted read had come to, or else the first."""
        url = self.plan.unfinished.next_url
        if url is not None:
            try:
                return self._fetcher.at(url)
            except (ReadFailedError, ResourceOffError) as error:
                self._start_anew(f"the position was no longer accepted ({error})")
        if self._first_answer:
            return self._fetcher.from_answer(self._first_answer)
        return self._fetcher.first()

    def _start_anew(self, why: str) -> None:
        self._note(f"reading starts anew: {why}")
        self.plan.known.seen[:] = False
        self.plan.unfinished = self.plan.new_read()

    def _note(self, what: str) -> None:
        self.run.notes.append(what)
        log.warning("%s: %s", self.endpoint.table, what)

    # ---- a list under a parent

    def _by_parents(self) -> Iterator[Batch]:
        done = self.plan.unfinished.parent
        start = 0
        ordered = sorted(self._parents, key=lambda ref: tuple(map(_sort_key, ref.params)))
        if done is not None:
            mark = tuple(map(_sort_key, done))
            start = sum(tuple(map(_sort_key, ref.params)) <= mark for ref in ordered)
            self._read_parents += [ref.key_id for ref in ordered[:start]]
        self._position.unfinished = self.plan.unfinished
        answered = misses = 0
        for ref, page in self._first_pages(ordered[start:]):
            if isinstance(page, ResourceOffError):
                if page.status == 403:
                    raise page
                misses += 1
                if not answered and misses >= PARENT_MISSES:
                    raise page
            else:
                answered += 1
                yield from self._under_parent(ref, page)
            self.plan.unfinished.parent = list(ref.params)
            self.plan.unfinished.within = self.plan.unfinished.next_url = None
            if self._full():
                yield self._flush()
        if misses and not answered and not start:
            raise ResourceOffError(f"answered 404 for all {misses} parents", 404)
        if misses:
            self.run.notes.append(f"{misses} parents answered 404; what they held stays")
        yield from self._finish()

    def _under_parent(self, ref: ParentRef, first: Page) -> Iterator[Batch]:
        for page in self._fetcher.walk(first, ref):
            self._take(page)
            self.plan.unfinished.within = list(ref.params)
            if page.next_url is not None and self._full():
                yield self._flush()
        self._read_parents.append(ref.key_id)

    def _first_pages(
        self, parents: Sequence[ParentRef]
    ) -> Iterator[tuple[ParentRef, Page | ResourceOffError]]:
        """The first page under each parent, in order, a few requests at a time."""
        unfinished = self.plan.unfinished
        reached = (tuple(unfinished.within or ()), unfinished.next_url)
        queue = iter(parents)
        pool = ThreadPoolExecutor(PARENTS_AT_ONCE, thread_name_prefix=self.endpoint.table)
        waiting: deque[tuple[ParentRef, Future[Page | ResourceOffError]]] = deque()
        try:
            for ref in itertools.islice(queue, PARENTS_AT_ONCE):
                waiting.append((ref, pool.submit(self._first_under, ref, *reached)))
            while waiting:
                ref, future = waiting.popleft()
                page = future.result()
                following = next(queue, None)
                if following is not None:
                    waiting.append((following, pool.submit(self._first_under, following)))
                yield ref, page
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _first_under(
        self, ref: ParentRef, within: tuple[Any, ...] = (), url: str | None = None
    ) -> Page | ResourceOffError:
        """The first page under a parent, or the one that an interrupted read had come to."""
        if url is not None and ref.params == within:
            try:
                return self._fetcher.at(url, ref)
            except (ReadFailedError, ResourceOffError) as error:
                self._note(f"a parent's list is read anew: its position is lost ({error})")
        try:
            return self._fetcher.first(ref)
        except ResourceOffError as off:
            return off

    # ---- pages to batches

    def _take(self, page: Page) -> None:
        unfinished = self.plan.unfinished
        if not unfinished.began:
            unfinished.began = (page.date or now_utc() - NO_DATE_MARGIN).isoformat()
        unfinished.next_url = page.next_url
        unfinished.by_number |= page.by_number
        if self._fetcher.refused is not None:
            self._changes.freeze(self._fetcher.refused)
        if not self._buffer:
            self._buffered_at = time.monotonic()
        self._buffer += page.rows
        self.run.read += len(page.rows)
        unfinished.rows += len(page.rows)

    def _full(self) -> bool:
        waited = time.monotonic() - self._buffered_at
        return len(self._buffer) >= BATCH_ROWS or bool(self._buffer and waited >= BATCH_SECONDS)

    def _flush(self) -> Batch:
        """A batch of what is buffered, with the position of the unfinished read."""
        batch = self._batch()
        self._position.unfinished = copy.copy(self.plan.unfinished)
        if not self.plan.unfinished.began:
            self._position.unfinished = None
        batch.position = self._stored()
        return batch

    def _stored(self) -> Any:
        return copy.deepcopy(self._position)

    def _batch(self) -> Batch:
        rows, self._buffer = self._buffer, []
        batch = Batch(self.endpoint.table, self._position, read_id=self.plan.unfinished.id)
        if not rows:
            return batch
        with self._client.slots.working:
            found = self._changes.detect(rows)
        self._note_newest(found.read)
        batch.fill(found.tables)
        batch.rejected = found.rejected
        batch.seen = None if self.plan.mode == "cursor" else found.unwritten
        self.plan.unfinished.unkeyed |= found.unkeyed
        self.book.note(self.endpoint.table, found.tables, found.read)
        return batch

    def _note_newest(self, tables: Mapping[str, pa.Table]) -> None:
        if self.endpoint.cursor is None:
            return
        newest = newest_update(tables)
        before = parse(self.plan.unfinished.newest)
        if newest is not None and (before is None or newest > before):
            self.plan.unfinished.newest = newest.isoformat()

    # ---- the end of a read

    def _finish(self) -> Iterator[Batch]:
        """The last batches: rows that were held back, what is gone, and the new position."""
        if self.plan.unfinished.by_number:
            yield self._flush()  # what follows asks the API again, and may fail
            self._look_again()
        batch = self._batch()
        parts = [batch.tables, self._changes.release()]
        left = later_wins(MAIN_TABLES[self.endpoint.table], parts)
        batch.fill(concat([{name: rows} for name, found in left.items() for rows in found]))
        position, unfinished = self._position, self.plan.unfinished
        began = parse(unfinished.began)
        held = self.plan.known.parents
        known_parents = np.zeros(0, np.int64) if held is None else np.unique(held)
        parents_gone = self.book.gone(self.endpoint, known_parents)
        gone, missed = find_gone(
            self.plan, self.run, position, self._client,
            read_parents=np.array(sorted(self._read_parents), np.int64),
            parents=self._parents,
            parents_gone=parents_gone,
        )
        batch.gone = gone
        position.missed = None
        if len(missed):
            batch.missed = missed
            position.missed = unfinished.id
        if self._changes.braked:
            self.run.status = "held back"
            self.run.message = "; ".join(
                [*filter(None, [self.run.message]), *self._changes.braked]
            )
        if self.run.status == "reading":
            self.run.status = "done"
            self.run.settled = self._settled(parents_gone)
        position.cursor = self._next_cursor(began)
        position.began = unfinished.began or position.began
        position.readable = True
        position.held = bool(self.plan.known.living or self.run.new or self.run.changed)
        position.unfinished = None
        if self.plan.mode == "reconcile" and self.run.status == "done":
            position.reconciled_at = self.plan.clock.isoformat()
        if self.endpoint.params:
            position.parents_until = unfinished.stamp
        batch.position = self._stored()
        batch.finished = True
        ids = np.concatenate([g.ids for g in gone]) if gone else np.zeros(0, np.int64)
        if self.run.status == "done" and self.plan.mode == "reconcile":
            self.book.complete(self.endpoint.table, ids)
        yield batch

    def _settled(self, parents_gone: Ids) -> Settled:
        before = parse(self.plan.unfinished.stamp) or self.plan.synced_at
        read = frozenset(self._read_parents)
        every = {ref.key_id for ref in self._parents}
        if not self.endpoint.params or (self.plan.mode == "reconcile" and every <= read):
            return Settled(before)
        return Settled(before, read | frozenset(int(k) for k in parents_gone))

    def _look_again(self) -> None:
        """Pages by number shift while they are read: what is missing may have slipped through.

        Rows that can be asked for one by one are; for others their list is read once more.
        """
        known, endpoint = self.plan.known, self.endpoint
        refs: Sequence[ParentRef | None] = [None]
        if endpoint.params:
            if known.parents is None:
                return
            missing = {int(k) for k in known.parents[~known.seen & ~known.deleted]}
            read = missing & set(self._read_parents)
            refs = [ref for ref in self._parents if ref.key_id in read]
        elif self.plan.mode != "reconcile" or can_ask(endpoint) or not len(known.missing()):
            return
        if refs:
            self.run.notes.append("rows were missing: they were looked for once more to be sure")
        for ref in refs:
            try:
                pages = self._fetcher.walk(self._fetcher.first(ref), ref)
            except ResourceOffError as off:
                raise ReadFailedError(f"{endpoint.path}: a second look was refused: {off}") from off
            for page in pages:
                keys = [key_of(endpoint, row) for row in page.rows if isinstance(row, dict)]
                ids = [key_id(key) for key in keys if key is not None]
                known.mark_seen(np.array(ids, np.int64))

    def _next_cursor(self, began: datetime | None) -> str | None:
        """The moment before which no change is missing.

        Never past the start of the read; with pages by number, on which rows shift while they
        are read, never past the start of the complete read before it.
        """
        position, unfinished = self._position, self.plan.unfinished
        newest = parse(unfinished.newest)
        if self.endpoint.cursor is None or newest is None or began is None:
            return position.cursor
        limit: datetime | None = began
        if unfinished.by_number:
            limit = parse(position.began)
        if limit is None:
            return position.cursor
        reached = min(newest, limit - CLOCK_MARGIN).astimezone(UTC)
        before = parse(position.cursor)
        return max(reached, before).isoformat() if before else reached.isoformat()

    def _turn_off(self, off: ResourceOffError) -> None:
        run, endpoint = self.run, self.endpoint
        needs = [f"the scope {scope}" for scope in endpoint.scopes]
        if endpoint.feature_flag:
            needs.append(f"the feature {endpoint.feature_flag}")
        wanted = " and ".join(needs) or "a right that the API does not name"
        run.newly_off = self._position.readable is True
        run.status = "off"
        run.message = f"{off}: needs {wanted}"
        if run.newly_off:
            run.message += "; it was readable before, what it held stays"
        self._position.readable = False
        self._position.unfinished = None


def _sort_key(value: Any) -> tuple[int, int, str]:
    """Orders ids as numbers and slugs as text, whatever stands beside what."""
    return (0, value, "") if isinstance(value, int) else (1, 0, str(value))

