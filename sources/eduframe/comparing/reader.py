"""Reading one list: pages in, batches of what must be written out.

One read serves everything: new and changed rows, the cursor, and, where it is complete, the
proof of what is gone. The position travels with each batch.
"""

import copy
import logging
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from sources.eduframe.clock import now_utc, parse
from sources.eduframe.comparing.change_detection import Changes, Found
from sources.eduframe.comparing.cursor import newest_update
from sources.eduframe.comparing.deletions import NOTHING, Evidence, Judge, Verdict
from sources.eduframe.comparing.remembering import Memory
from sources.eduframe.comparing.row_versions import concat, later_wins
from sources.eduframe.declare import JsonRow
from sources.eduframe.errors import (
    AuthenticationError,
    EndlessError,
    ResourceError,
    ResourceOffError,
    StoppedError,
)
from sources.eduframe.http.client import Client
from sources.eduframe.reading.batch import Batch, ReadCounts, ReadKind, ResourceRun, Settled
from sources.eduframe.reading.checkpoint import Checkpoint, Position
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.reading.key_order import may_be_ordered, order_with
from sources.eduframe.reading.parents import ParentBook, ParentsGone
from sources.eduframe.reading.parts import Parts
from sources.eduframe.reading.questions import Questions
from sources.eduframe.reading.read import Plan, WholeList
from sources.eduframe.reading.repeats import UNSTEADY, Repeats, needs_steadiness
from sources.eduframe.rows.keys import Ids, table_key_ids
from sources.eduframe.rows.normalise import normalise
from sources.eduframe.rows.tables import MAIN_TABLES

log = logging.getLogger("eduframe.reader")

BATCH_ROWS = 2_000
BATCH_BYTES = 16_000_000
BATCH_SECONDS = 15.0
"""A batch is closed after so many rows or bytes, or so long after the one before."""
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
        self._memory = Memory(plan, run, self._position)
        run.told_names = frozenset(plan.position.told_names)
        self._changes = Changes(plan, run, client.shown)
        self.fetcher = Fetcher(client, plan.endpoint, run)
        self._buffer: list[Any] = []
        self._buffered_bytes = 0
        self._rejected: set[str] = set()
        self._flushed_at = time.monotonic()
        self._filled = {name for name, counts in plan.index.children.items() if counts.any()}
        """The tables of nested parts that hold rows of the list, or get some."""
        self._told = plan.read.answered
        """The parents of which an earlier batch has told that they answered."""
        self._kind: ReadKind = "whole"
        self._until: int | None = None
        """The requests that belong to this kind; None: all that were made."""
        self._requests = run.traffic.requests
        self._ordered = may_be_ordered(plan.endpoint)
        needed = needs_steadiness(plan.endpoint)
        self._repeats = Repeats(plan.endpoint.key) if needed else None

    def batches(self) -> Generator[Batch]:
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
            if isinstance(failure, EndlessError):
                self._forget()
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
        self._forget()

    def _forget(self) -> None:
        self.plan.index.seen[:] = False
        self.plan.checkpoint = self.plan.new_checkpoint()

    # ---- pages to batches

    def _pages_to_batches(self) -> Iterator[Batch]:
        asked = self.run.traffic.requests
        for page in self.read.pages(self):
            if page is not None:
                if page.kind != self._kind:
                    self._until = asked  # the request of this page is of the next kind
                    if self._buffer:
                        yield self._flush()
                    self._count()
                    self._kind, self._until = page.kind, None
                self._take_page(page)
            asked = self.run.traffic.requests
            if (page is None or page.next_url is not None) and self._full():
                yield self._flush()
        if isinstance(self.read, Parts) and not self.run.traffic.requests:
            self.run.status = "done"  # nothing was asked: what is known of the list stays
            return
        if self.read.cut and not self.endpoint.params:
            self.checkpoint.runs += 1
            yield self._flush()
            self.run.status, self.run.cut = "done", True
        else:
            yield from self._finish()
        self._count()

    def _take_page(self, page: Page) -> None:
        checkpoint = self.checkpoint
        if not checkpoint.began:
            checkpoint.began = (page.date or now_utc() - NO_DATE_MARGIN).isoformat()
        checkpoint.next_url = page.next_url
        if page.by_number:
            checkpoint.by_number = self._position.numbered = True
        if self._ordered and page.kind == "whole":
            checkpoint.order, checkpoint.last_key = order_with(
                checkpoint.order, checkpoint.last_key, page.rows
            )
        if self._repeats and page.kind == "whole":
            self._repeats.take(page.rows)
        if page.parent is not None:
            checkpoint.within = list(page.parent.params)
        self._buffer += page.rows
        self._buffered_bytes += page.size
        self.run.read += len(page.rows)
        checkpoint.rows += len(page.rows)

    def _full(self) -> bool:
        waited = time.monotonic() - self._flushed_at >= BATCH_SECONDS
        anything = bool(self._buffer or self.read.parents)
        large = len(self._buffer) >= BATCH_ROWS or self._buffered_bytes >= BATCH_BYTES
        return large or (waited and anything)

    def _flush(self) -> Batch:
        """A batch of what is buffered, with the position of the unfinished read."""
        batch = self._batch()
        self._flushed_at = time.monotonic()
        if self.plan.mode != "parts":
            begun = bool(self.checkpoint.began)
            self._position.checkpoint = copy.copy(self.checkpoint) if begun else None
        self._memory.leave_failed(batch, "failing")
        batch.position = self._stored()
        answered = self.read.answered
        batch.answered = np.setdiff1d(answered, self._told)
        self._told = answered
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
        self._count(found)
        self._note_newest(found.read)
        if self.plan.on_written and self.endpoint.table in found.tables:
            self.plan.on_written(found.tables[self.endpoint.table])
        batch.fill(found.tables)
        self._filled |= {
            name
            for name in self.plan.index.children.keys() & found.tables.keys()
            if found.tables[name].column("_removed").null_count  # True where a row goes, else null
        }
        batch.additions = self._changes.additions()
        batch.rejected = found.rejected
        self._rejected |= {rejected.key for rejected in found.rejected}
        self.run.newly_rejected = len(self._rejected - self.plan.set_aside.keys)
        batch.seen = None if self.plan.mode in ("cursor", "parts") else found.unwritten
        self.checkpoint.unkeyed |= bool(found.rejected)
        self.book.note(self.endpoint.table, found.tables, found.read, found.untold)
        return batch

    def _count(self, found: Found | None = None) -> None:
        """Note what reads of this kind came to, since the last call."""
        requests = self.run.traffic.requests if self._until is None else self._until
        if found is None and requests == self._requests:
            return
        counts = self.run.reads.setdefault(self._kind, ReadCounts())
        counts.requests += requests - self._requests
        self._requests = requests
        if found is None:
            return
        counts.rows += len(found.ids)
        counts.changes += len(found.changed)
        if isinstance(self.read, Parts | WholeList):
            self.read.note_met(self._kind, found.ids, found.changed)

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
        plan, run, position = self.plan, self.run, self._position
        batch = self._batch()
        evidence = self._look_again(Evidence.of(plan, self.read, self._parents_gone()))
        if self._is_unsteady() and evidence.of_list and evidence.proves_absence:
            evidence = replace(evidence, why_not=UNSTEADY)
        questions = Questions(
            self.endpoint, self.fetcher, plan.policy.max_absence_questions
        )
        verdict = self._settle(evidence, questions)
        there = self._take(batch, verdict.there)
        decided = self._take(batch, self._changes.absent.decide(questions))
        parts = [batch.tables, there, decided, self._changes.release()]
        left = later_wins(MAIN_TABLES[self.endpoint.table], parts)
        batch.fill(concat([{name: rows} for name, found in left.items() for rows in found]))
        batch.additions = concat([batch.additions, self._changes.additions()])
        batch.gone, batch.asked_for = verdict.gone, verdict.asked_for
        if not verdict.held and plan.policy.deletes != "ignore":
            batch.ownerless = evidence.ownerless(plan.index, self._changes.new)
        self._memory.leave(batch, verdict)
        held = [*filter(None, [verdict.held]), *self._changes.braked]
        failure = self.read.failure
        if held or failure:
            run.status = "held back" if held else "failed"
            run.message = "; ".join([*held, *filter(None, [failure])])
            run.in_part = bool(failure)
        if run.status == "reading":
            run.status = "done"
        if not held and self.plan.mode != "parts":
            run.settled = self._settled(evidence.parents.proven)
        if not self.endpoint.params or len(self.read.answered):
            position.readable = True
        gone_now = sum(len(gone.ids) for gone in verdict.gone)
        position.had_rows = bool(plan.index.living > gone_now or run.new or run.changed)
        position.filled = sorted(self._filled)
        self._memory.unfit_fields()
        if isinstance(self.read, Parts):
            self._memory.parts(self.read, self.note)
        else:
            compared = not held and (not failure or len(self.read.answered) > 0)
            self._memory.read_to_its_end(failed=bool(len(self.read.failed)), compared=compared)
        if verdict.anew and not self.endpoint.params:
            position.reconciled_at = None
        batch.position = self._stored()
        batch.finished = True
        if run.status == "done" and plan.mode == "reconcile":
            gone = np.concatenate([NOTHING, *(g.ids for g in verdict.gone)])
            self.book.complete(self.endpoint.table, gone, all_met=self._met_all())
        yield batch

    def _is_unsteady(self) -> bool:
        in_order = self.checkpoint.order in ("ascending", "descending")
        return bool(self._repeats and not in_order and self._repeats.count)

    def _parents_gone(self) -> ParentsGone:
        stored = self.plan.index.parents
        of_rows = NOTHING if stored is None else np.unique(stored)
        return self.book.gone(self.endpoint, of_rows, self.plan.parents_gone)

    def _met_all(self) -> bool:
        """Whether this run read the whole list, and every row of it as a whole."""
        whole = not self.plan.resumed and not self.fetcher.details_refused
        return whole and not self.run.rejected

    def _settle(self, evidence: Evidence, questions: Questions) -> Verdict:
        if self.plan.mode == "cursor":  # which does not look at every row
            return Verdict()
        return Judge(self.plan, evidence, questions, self.run, self._position).settle()

    def _take(self, batch: Batch, rows: list[JsonRow]) -> dict[str, pa.Table]:
        """What is to be written of rows that their own paths serve, as of those of a page."""
        if not rows:
            return {}
        found = self._changes.detect(rows, again=True)
        batch.rejected = [*batch.rejected, *found.rejected]
        self.book.note(self.endpoint.table, found.tables, found.read, found.untold)
        return found.tables

    def _settled(self, parents_gone: Ids) -> Settled:
        before = parse(self.checkpoint.stamp) or self.plan.synced_at
        answered = frozenset(self.read.answered.tolist())
        every = {ref.key_id for ref in self.read.parents}
        if not self.endpoint.params or (self.plan.mode == "reconcile" and every <= answered):
            return Settled(before)
        return Settled(before, answered | frozenset(parents_gone.tolist()))

    def _look_again(self, evidence: Evidence) -> Evidence:
        """A second look at a list whose content is its key: no row of it can be asked for."""
        plan, endpoint = self.plan, self.endpoint
        by_content = endpoint.key == ("_row_hash",) and plan.policy.deletes != "ignore"
        if not by_content or not evidence.missing(plan.index)[0].any():
            return evidence
        self.note("rows were missing: the list was read once more, to be sure")
        try:
            for page in self.fetcher.walk(self.fetcher.first()):
                again = normalise(endpoint, page.rows)
                plan.index.mark_seen(
                    table_key_ids(MAIN_TABLES[endpoint.table], again.main, again.hashes)
                )
                if again.rejected:
                    return replace(evidence, why_not="a row was set aside in the second look")
        except (ResourceError, StoppedError) as failure:
            return replace(evidence, why_not=f"the second look failed: {failure}")
        return evidence

    def _turn_off(self, off: ResourceOffError) -> None:
        run, endpoint = self.run, self.endpoint
        run.newly_off = self._position.readable is True
        run.status = "off"
        run.message = f"{off}: needs {off.needs or endpoint.needs}"
        if run.newly_off:
            run.message += "; it was readable before, what it held stays"
        self._position.readable = False
        self._memory.refreshed()
        self._position.checkpoint = None
