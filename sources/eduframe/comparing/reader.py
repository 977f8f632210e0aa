"""Reading one list: pages in, batches of what must be written out.

One read serves everything: new and changed rows, the cursor, and, where it is complete, the
proof of what is gone. The position travels with each batch.
"""

import copy
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from sources.eduframe.clock import now_utc, parse
from sources.eduframe.comparing.change_detection import Changes, concat, later_wins, newest_update
from sources.eduframe.comparing.deletions import NOTHING, can_ask, find_gone
from sources.eduframe.digest import key_id
from sources.eduframe.errors import (
    AuthenticationError,
    ReadFailedError,
    ResourceError,
    ResourceOffError,
    StoppedError,
)
from sources.eduframe.http.client import Client
from sources.eduframe.reading.batch import Batch, ResourceRun, Settled
from sources.eduframe.reading.checkpoint import Checkpoint, Position
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.reading.parents import ParentBook
from sources.eduframe.reading.read import Plan
from sources.eduframe.rows.keys import Ids
from sources.eduframe.rows.normalise import key_of
from sources.eduframe.rows.tables import DEPRECATED, MAIN_TABLES

log = logging.getLogger("eduframe.reader")

CLOCK_MARGIN = timedelta(seconds=60)
"""How far the cursor stays behind the server's clock at the start of a read."""
BATCH_ROWS = 2_000
BATCH_BYTES = 16_000_000
BATCH_SECONDS = 15.0
"""A batch is closed after so many rows or bytes, or when its oldest row has waited so long."""
NO_DATE_MARGIN = timedelta(minutes=5)


class Reader:
    """Reads one list to its end, or to where it is stopped. Use :meth:`batches` once."""

    def __init__(self, plan: Plan, client: Client, run: ResourceRun, book: ParentBook) -> None:
        self.plan = plan
        self.read = plan.read
        self.endpoint = plan.endpoint
        self.run = run
        self.book = book
        self._client = client
        self._position = copy.deepcopy(plan.position)
        self._changes = Changes(plan, run)
        self.fetcher = Fetcher(client, plan.endpoint, run)
        self._buffer: list[Any] = []
        self._buffered_at = 0.0
        self._buffered_bytes = 0
        self._rejected: set[str] = set()

    def batches(self) -> Iterator[Batch]:
        """Read, and hand out what must be written. Failures end up in ``run``, not here.

        Raises:
            AuthenticationError: the token is no longer accepted.
        """
        run = self.run
        run.mode, run.status, run.began = self.plan.mode, "reading", time.monotonic()
        self.book.start(self.endpoint.table)
        try:
            yield from self._pages_to_batches()
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

    # ---- what the read may use

    @property
    def checkpoint(self) -> Checkpoint:
        """How far the read has come."""
        return self.plan.checkpoint

    def note(self, text: str) -> None:
        """Tell whoever runs this."""
        self.run.notes.append(text)
        log.warning("%s: %s", self.endpoint.table, text)

    def start_anew(self, why: str) -> None:
        """Forget the checkpoint, and what the interrupted read has met."""
        self.note(f"reading starts anew: {why}")
        self.plan.index.seen[:] = False
        self.plan.checkpoint = self.plan.new_checkpoint()

    # ---- pages to batches

    def _pages_to_batches(self) -> Iterator[Batch]:
        for page in self.read.pages(self):
            if page is not None:
                self._take(page)
            if (page is None or page.next_url is not None) and self._full():
                yield self._flush()
        yield from self._finish()

    def _take(self, page: Page) -> None:
        checkpoint = self.checkpoint
        if not checkpoint.began:
            checkpoint.began = (page.date or now_utc() - NO_DATE_MARGIN).isoformat()
        checkpoint.next_url = page.next_url
        checkpoint.by_number |= page.by_number
        if page.parent is not None:
            checkpoint.within = list(page.parent.params)
        if self.fetcher.refused is not None:
            self._changes.freeze(self.fetcher.refused)
        if not self._buffer:
            self._buffered_at = time.monotonic()
        self._buffer += page.rows
        self._buffered_bytes += page.size
        self.run.read += len(page.rows)
        checkpoint.rows += len(page.rows)

    def _full(self) -> bool:
        waited = time.monotonic() - self._buffered_at
        large = len(self._buffer) >= BATCH_ROWS or self._buffered_bytes >= BATCH_BYTES
        return large or bool(self._buffer and waited >= BATCH_SECONDS)

    def _flush(self) -> Batch:
        """A batch of what is buffered, with the position of the unfinished read."""
        batch = self._batch()
        self._position.checkpoint = copy.copy(self.checkpoint)
        if not self.checkpoint.began:
            self._position.checkpoint = None
        batch.position = self._stored()
        return batch

    def _stored(self) -> Position:
        return copy.deepcopy(self._position)

    def _batch(self) -> Batch:
        rows, self._buffer, self._buffered_bytes = self._buffer, [], 0
        batch = Batch(self.endpoint.table, self._position, read_id=self.checkpoint.id)
        if not rows:
            return batch
        with self._client.slots.working:
            found = self._changes.detect(rows)
        self._note_newest(found.read)
        batch.fill(found.tables)
        batch.additions = self._changes.additions()
        batch.rejected = found.rejected
        self._rejected |= {rejected.key for rejected in found.rejected}
        self.run.newly_rejected = len(self._rejected - self.plan.set_aside.keys)
        batch.seen = None if self.plan.mode == "cursor" else found.unwritten
        self.checkpoint.unkeyed |= bool(found.rejected)
        self.book.note(self.endpoint.table, found.tables, found.read, found.untold)
        return batch

    def _note_newest(self, tables: Mapping[str, pa.Table]) -> None:
        if self.endpoint.cursor is None:
            return
        newest = newest_update(tables)
        before = parse(self.checkpoint.newest)
        if newest is not None and (before is None or newest > before):
            self.checkpoint.newest = newest.isoformat()

    # ---- the end of a read

    def _finish(self) -> Iterator[Batch]:
        """The last batches: rows that were held back, what is gone, and the new position."""
        if self.checkpoint.by_number:
            yield self._flush()  # what follows asks the API again, and may fail
            self._look_again()
        batch = self._batch()
        parts = [batch.tables, self._changes.release()]
        left = later_wins(MAIN_TABLES[self.endpoint.table], parts)
        batch.fill(concat([{name: rows} for name, found in left.items() for rows in found]))
        batch.additions = concat([batch.additions, self._changes.additions()])
        position, checkpoint = self._position, self.checkpoint
        began = parse(checkpoint.began)
        stored_parents = self.plan.index.parents
        parents_gone = self.book.gone(
            self.endpoint, NOTHING if stored_parents is None else np.unique(stored_parents)
        )
        gone, missed = find_gone(
            self.plan, self.read, self.run, position, self._client, parents_gone
        )
        batch.gone = gone
        position.missed = None
        if len(missed):
            batch.missed = missed
            position.missed = checkpoint.id
        if self._changes.braked:
            self.run.status = "held back"
            self.run.message = "; ".join(
                [*filter(None, [self.run.message]), *self._changes.braked]
            )
        if self.run.status == "reading":
            self.run.status = "done"
            self.run.settled = self._settled(parents_gone)
        position.cursor = self._next_cursor(began)
        position.began = checkpoint.began or position.began
        position.readable = True
        position.had_rows = bool(self.plan.index.living or self.run.new or self.run.changed)
        position.checkpoint = None
        self._tell_unfit(position)
        if self.plan.mode == "reconcile":
            position.frozen = "; ".join(self.run.frozen) or None
        if self.plan.mode == "reconcile" and self.run.status == "done":
            position.reconciled_at = self.plan.clock.isoformat()
        if self.endpoint.params:
            position.parents_until = checkpoint.stamp
        batch.position = self._stored()
        batch.finished = True
        ids = np.concatenate([g.ids for g in gone]) if gone else np.zeros(0, np.int64)
        if self.run.status == "done" and self.plan.mode == "reconcile":
            self.book.complete(self.endpoint.table, ids)
        yield batch

    def _tell_unfit(self, position: Position) -> None:
        """Say once of a field that most rows have it unfit, until a complete read finds none."""
        run, told = self.run, position.told_unfit
        complete = self.plan.mode == "reconcile"
        mostly = run.mostly_unfit({} if complete else position.unfit)
        run.newly_unfit = [name for name in mostly if name not in told and name not in DEPRECATED]
        for name in run.newly_unfit:
            log.warning("%s: most rows have %s unfit", self.endpoint.table, name)
        if complete:
            position.unfit = {name: kinds.total() for name, kinds in run.unfit_fields.items()}
        lasting = [name for name in told if name in run.unfit_fields or not complete]
        position.told_unfit = sorted({*lasting, *run.newly_unfit})

    def _settled(self, parents_gone: Ids) -> Settled:
        before = parse(self.checkpoint.stamp) or self.plan.synced_at
        answered = frozenset(self.read.answered.tolist())
        every = {ref.key_id for ref in self.read.parents}
        if not self.endpoint.params or (self.plan.mode == "reconcile" and every <= answered):
            return Settled(before)
        return Settled(before, answered | frozenset(parents_gone.tolist()))

    def _look_again(self) -> None:
        """Pages by number shift while they are read: what is missing may have slipped through.

        Rows that can be asked for one by one are; for others their list is read once more.
        """
        index, endpoint = self.plan.index, self.endpoint
        if endpoint.params:
            if index.parents is None:
                return
            missing_under = index.parents[~index.seen & ~index.deleted]
        elif self.read.proof.of_list and not can_ask(endpoint) and len(index.missing()):
            missing_under = NOTHING
        else:
            return
        places = self.read.places(missing_under)
        if places:
            self.run.notes.append("rows were missing: they were looked for once more to be sure")
        for ref in places:
            try:
                pages = self.fetcher.walk(self.fetcher.first(ref), ref)
            except ResourceOffError as off:
                raise ReadFailedError(f"{endpoint.path}: a second look was refused: {off}") from off
            for page in pages:
                keys = [key_of(endpoint, row) for row in page.rows if isinstance(row, dict)]
                ids = [key_id(key) for key in keys if key is not None]
                index.mark_seen(np.array(ids, np.int64))

    def _next_cursor(self, began: datetime | None) -> str | None:
        """The moment before which no change is missing.

        Never past the start of the read; with pages by number, on which rows shift while they
        are read, never past the start of the complete read before it.
        """
        position, checkpoint = self._position, self.checkpoint
        newest = parse(checkpoint.newest)
        if self.endpoint.cursor is None or newest is None or began is None:
            return position.cursor
        limit: datetime | None = began
        if checkpoint.by_number:
            limit = parse(position.began)
        if limit is None:
            return position.cursor
        reached = min(newest, limit - CLOCK_MARGIN).astimezone(UTC)
        before = parse(position.cursor)
        return max(reached, before).isoformat() if before else reached.isoformat()

    def _turn_off(self, off: ResourceOffError) -> None:
        run, endpoint = self.run, self.endpoint
        run.newly_off = self._position.readable is True
        run.status = "off"
        run.message = f"{off}: needs {off.needs or endpoint.needs}"
        if run.newly_off:
            run.message += "; it was readable before, what it held stays"
        self._position.readable = False
        self._position.checkpoint = None
