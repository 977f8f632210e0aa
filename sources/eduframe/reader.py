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
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np

from sources.eduframe.batch import Batch, ResourceRun
from sources.eduframe.changes import Changes, later_wins, newest_update
from sources.eduframe.client import Answer, Client
from sources.eduframe.declare import Endpoint, JsonRow
from sources.eduframe.errors import (
    AuthenticationError,
    ReadFailedError,
    ResourceError,
    ResourceOffError,
    StoppedError,
)
from sources.eduframe.gone import can_ask, find_gone
from sources.eduframe.known import Known, key_id
from sources.eduframe.normalise import key_of
from sources.eduframe.parents import ParentBook, ParentRef, column_names
from sources.eduframe.plan import CLOCK_MARGIN, Plan, Policy, Position, now_utc, parse
from sources.eduframe.tables import MAIN_TABLES

log = logging.getLogger("eduframe.reader")

PER_PAGE = 100
"""The most rows that the API gives on a page."""
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
        for rows in self.pages():
            self._take(rows)
            if self.plan.unfinished.next_url is not None and self._full():
                yield self._flush()
        yield self._finish()

    def pages(self) -> Iterator[list[Any]]:
        """The rows of each page, from the position that the plan holds."""
        url = self.plan.unfinished.next_url
        params: Mapping[str, str | int] | None = None
        visited: set[str] = set()
        if url is None:
            url, params = self._first_page()
        while url is not None:
            try:
                answer = self._first_answer or self._get(url, params)
            except (ReadFailedError, ResourceOffError) as error:
                if not self.plan.resumed or visited:
                    raise self._unless_first(error, visited) from error
                self._start_anew(f"the position was no longer accepted ({error})")
                url, params = self._first_page()
                self.plan.resumed = False
                continue
            self._first_answer = None
            visited.add(url)
            self._note_begin(answer)
            rows = self._with_details(self._rows_of(answer))
            url, params = answer.next_url, None
            if url in visited:
                raise ReadFailedError(f"{self.endpoint.path}: the pages go round in circles")
            self.plan.unfinished.next_url = url
            if url is not None and "page" in parse_qs(urlsplit(url).query):
                self.plan.unfinished.by_number = True
            yield rows

    def _first_page(self) -> tuple[str, Mapping[str, str | int] | None]:
        return self.endpoint.path, {"per_page": PER_PAGE} if self.endpoint.paged else None

    def _unless_first(self, error: ResourceError, visited: set[str]) -> ResourceError:
        """A list that answered before, and says 404 on a later page, is not off but broken."""
        if isinstance(error, ResourceOffError) and visited:
            return ReadFailedError(f"{self.endpoint.path}: a later page answered {error.status}")
        return error

    def _start_anew(self, why: str) -> None:
        self.run.notes.append(f"reading starts anew: {why}")
        log.warning("%s: reading starts anew: %s", self.endpoint.table, why)
        self.plan.known.seen[:] = False
        self.plan.unfinished = self.plan.new_read()

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
        for ref, rows in self._fetch_all(ordered[start:]):
            if isinstance(rows, ResourceOffError):
                if rows.status == 403:
                    raise rows
                misses += 1
                if not answered and misses >= PARENT_MISSES:
                    raise rows
            else:
                answered += 1
                self._take(rows)
                self._read_parents.append(ref.key_id)
            self.plan.unfinished.parent = list(ref.params)
            if self._full():
                yield self._flush()
        if misses and not answered and not start:
            raise ResourceOffError(f"answered 404 for all {misses} parents", 404)
        if misses:
            self.run.notes.append(f"{misses} parents answered 404; what they held stays")
        yield self._finish()

    def _fetch_all(
        self, parents: Sequence[ParentRef]
    ) -> Iterator[tuple[ParentRef, list[JsonRow] | ResourceOffError]]:
        """The rows under each parent, in order, a few requests at a time."""
        queue = iter(parents)
        pool = ThreadPoolExecutor(PARENTS_AT_ONCE, thread_name_prefix=self.endpoint.table)
        waiting: deque[tuple[ParentRef, Future[list[JsonRow] | ResourceOffError]]] = deque()
        try:
            for ref in itertools.islice(queue, PARENTS_AT_ONCE):
                waiting.append((ref, pool.submit(self._fetch, ref)))
            while waiting:
                ref, future = waiting.popleft()
                rows = future.result()
                following = next(queue, None)
                if following is not None:
                    waiting.append((following, pool.submit(self._fetch, following)))
                yield ref, rows
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, ref: ParentRef) -> list[JsonRow] | ResourceOffError:
        names = column_names(self.endpoint)
        values = {
            name: quote(str(value), safe="")
            for name, value in zip(self._param_names(), ref.params, strict=True)
        }
        url: str | None = self.endpoint.path.format(**values)
        params = {"per_page": PER_PAGE} if self.endpoint.paged else None
        injected = dict(zip(names, ref.columns, strict=True))
        rows: list[JsonRow] = []
        visited: set[str] = set()
        while url is not None:
            if url in visited:
                raise ReadFailedError(f"{self.endpoint.path}: the pages go round in circles")
            visited.add(url)
            try:
                answer = self._get(url, params)
            except ResourceOffError as off:
                if rows:
                    raise ReadFailedError(f"{url}: a later page answered {off.status}") from off
                return off
            self._note_begin(answer)
            for row in self._rows_of(answer):
                rows.append({**injected, **row} if isinstance(row, dict) else row)
            url, params = answer.next_url, None
        return rows

    def _param_names(self) -> tuple[str, ...]:
        if self.endpoint.parent_setting:
            return self.endpoint.params
        return tuple(self.endpoint.parents[0].params)

    # ---- pages to batches

    def _get(self, url: str, params: Mapping[str, str | int] | None) -> Answer:
        expect: Literal["list", "object"] = "object" if self.endpoint.single else "list"
        answer = self._client.get(url, params, expect=expect, traffic=self.run.traffic)
        self.run.pages += 1
        return answer

    def _rows_of(self, answer: Answer) -> list[Any]:
        rows = [answer.data] if self.endpoint.single else answer.data
        return self.endpoint.flatten(rows) if self.endpoint.flatten else rows

    def _with_details(self, rows: list[Any]) -> list[Any]:
        """Each row with the fields of its own answer, where the list gives less than that."""
        if self.endpoint.detail_path is None:
            return rows
        return [self._detailed(row) if self._asks_details(row) else row for row in rows]

    def _asks_details(self, row: Any) -> bool:
        return isinstance(row, dict) and not self._changes.frozen

    def _detailed(self, row: JsonRow) -> JsonRow:
        assert self.endpoint.detail_path is not None
        names = {k: quote(str(v), safe="") for k, v in row.items() if isinstance(v, str | int)}
        try:
            path = self.endpoint.detail_path.format(**names)
        except KeyError:
            return row
        try:
            detail = self._client.get(path, expect="object", traffic=self.run.traffic).data
        except ResourceOffError as off:
            self.run.notes.append(f"{path} answered {off.status}: details are not read")
            self._changes.freeze(row)
            return row
        return {**row, **detail}

    def _note_begin(self, answer: Answer) -> None:
        if not self.plan.unfinished.began:
            began = answer.date or now_utc() - NO_DATE_MARGIN
            self.plan.unfinished.began = began.isoformat()

    def _take(self, rows: list[Any]) -> None:
        if not self._buffer:
            self._buffered_at = time.monotonic()
        self._buffer += rows
        self.run.read += len(rows)
        self.plan.unfinished.rows += len(rows)

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
        self._note_newest(rows)
        found = self._changes.detect(rows)
        batch.tables = found.tables
        batch.rejected = found.rejected
        batch.seen = found.seen if self.plan.mode == "reconcile" else None
        self.plan.unfinished.unkeyed |= found.unkeyed
        self.book.note(self.endpoint.table, found.tables, found.read)
        return batch

    def _note_newest(self, rows: list[Any]) -> None:
        if self.endpoint.cursor is None:
            return
        newest = newest_update(self.endpoint, rows)
        before = parse(self.plan.unfinished.newest)
        if newest is not None and (before is None or newest > before):
            self.plan.unfinished.newest = newest.isoformat()

    # ---- the end of a read

    def _finish(self) -> Batch:
        """The last batch: rows that were held back, what is gone, and the new position."""
        batch = self._batch()
        batch.tables = later_wins(
            MAIN_TABLES[self.endpoint.table], [batch.tables, self._changes.release()]
        )
        position, unfinished = self._position, self.plan.unfinished
        began = parse(unfinished.began)
        if self._must_look_again():
            self._look_again()
        held = self.plan.known.parents
        known_parents = np.zeros(0, np.int64) if held is None else np.unique(held)
        gone, missed = find_gone(
            self.plan, self.run, position, self._client,
            read_parents=np.array(sorted(self._read_parents), np.int64),
            parents=self._parents,
            parents_gone=self.book.gone(self.endpoint, known_parents),
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
        position.cursor = self._next_cursor(began)
        position.began = unfinished.began or position.began
        position.readable = True
        position.held = bool(self.plan.known.living or self.run.new or self.run.changed)
        position.unfinished = None
        if self.plan.mode == "reconcile" and self.run.status == "done":
            position.reconciled_at = self.plan.synced_at.isoformat()
        if self.endpoint.params:
            position.parents_until = unfinished.stamp
        batch.position = self._stored()
        batch.finished = True
        ids = np.concatenate([g.ids for g in gone]) if gone else np.zeros(0, np.int64)
        if self.run.status == "done" and self.plan.mode == "reconcile":
            self.book.complete(self.endpoint.table, ids)
        return batch

    def _must_look_again(self) -> bool:
        """Whether rows are missing that only a second look at the whole list can prove gone.

        Pages by number shift while they are read, and these rows cannot be asked for themselves.
        """
        plan = self.plan
        doubtful = plan.mode == "reconcile" and plan.unfinished.by_number
        return doubtful and not can_ask(self.endpoint) and len(plan.known.missing()) > 0

    def _look_again(self) -> None:
        self.run.notes.append("rows were missing: the list was read once more to be sure")
        rows = read_rows(self._client, self.endpoint, self.run)
        keys = (key_of(self.endpoint, row) for row in rows)
        ids = [key_id(key) for key in keys if key is not None]
        self.plan.known.mark_seen(np.array(ids, np.int64))

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


def read_rows(
    client: Client, endpoint: Endpoint, run: ResourceRun | None = None
) -> Iterator[JsonRow]:
    """The raw rows of a list, for nothing but a look: no position, no comparison."""
    nothing = Plan(endpoint, "reconcile", Position(), Known(), Policy(), now_utc())
    reader = Reader(nothing, client, run or ResourceRun(endpoint.table), ParentBook(()))
    for rows in reader.pages():
        yield from (row for row in rows if isinstance(row, dict))
