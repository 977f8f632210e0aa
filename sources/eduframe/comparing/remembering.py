"""What a read leaves to the next ones: the position of its list, and sets of keys."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from sources.eduframe.clock import parse
from sources.eduframe.comparing.deletions import NOTHING, Verdict
from sources.eduframe.reading.batch import Batch, ResourceRun
from sources.eduframe.reading.checkpoint import Position, set_name
from sources.eduframe.reading.key_order import EITHER
from sources.eduframe.reading.parts import Parts
from sources.eduframe.reading.read import Plan
from sources.eduframe.reading.under_parents import UnderParents
from sources.eduframe.rows.findings import MOST_NAMES
from sources.eduframe.rows.tables import DEPRECATED

log = logging.getLogger("eduframe.reader")

CLOCK_MARGIN = timedelta(seconds=60)
"""How far the cursor stays behind the server's clock at the start of a read."""
WINDOWS_AGAIN = timedelta(days=1)
"""How long a filter is not tried once it was of no use."""


@dataclass
class Memory:
    """What is remembered of a list, as a read changes it."""

    plan: Plan
    run: ResourceRun
    position: Position

    def read_to_its_end(self, *, failed: bool, compared: bool) -> None:
        """What is known of the list, now that all was read that was to be read."""
        plan, position, checkpoint = self.plan, self.position, self.plan.checkpoint
        position.cursor = self._next_cursor(parse(checkpoint.began))
        position.began = checkpoint.began or position.began
        position.checkpoint = None
        position.failed_anew = failed and (position.failed_anew or plan.refresh)
        if plan.refresh:
            self.refreshed()
        if plan.mode == "reconcile":
            position.frozen = "; ".join(self.run.frozen) or None
        if self.plan.endpoint.params:
            position.parents_until = checkpoint.stamp
            if compared and position.round and position.waiting is None and not position.parents_at:
                position.reconciled_at, position.round = position.round, None
        elif checkpoint.order != EITHER:
            position.order = checkpoint.order
        if plan.mode == "reconcile" and compared and not (position.waiting or position.parents_at):
            position.reconciled_at, position.round = self._proven_as_of().isoformat(), None
            position.numbered = position.numbered or None  # which a blip may have hidden

    def _proven_as_of(self) -> datetime:
        """When a complete read began: this run, or the first of those over which it went on, as it
        was to be read in parts."""
        clock = self.plan.clock
        stamp = parse(self.plan.checkpoint.stamp) if self.plan.checkpoint.runs else None
        return min(stamp, clock) if stamp else clock

    def parts(self, read: Parts, note: Callable[[str], object]) -> None:
        """What reading parts of the list taught of it."""
        position = self.position
        if read.disorder:
            position.order = "none"
            note("a page was not in the order of the keys: it is read as a whole from now on")
        if read.spans and position.numbered is None:
            position.numbered = True
        if read.unnumbered:
            position.numbered = False
            note(f"pages cannot be asked for by number: {read.unnumbered}")
        if read.refused_window:
            position.no_windows_until = (self.plan.clock + WINDOWS_AGAIN).isoformat()
            note(f"a filter is not used for a day: {read.refused_window}")

    def unfit_fields(self) -> None:
        """Say once of a field that most rows have it unfit, until a complete read finds none."""
        run, position = self.run, self.position
        told = position.told_unfit
        complete = self.plan.mode == "reconcile"
        mostly = run.mostly_unfit({} if complete else position.unfit)
        run.newly_unfit = [name for name in mostly if name not in told and name not in DEPRECATED]
        for name in run.newly_unfit:
            log.warning("%s: most rows have %s unfit", self.plan.endpoint.table, name)
        if complete:
            position.unfit = {name: kinds.total() for name, kinds in run.unfit_fields.items()}
        lasting = [name for name in told if name in run.unfit_fields or not complete]
        position.told_unfit = sorted({*lasting, *run.newly_unfit})
        names = run.news([*run.unknown_fields, *run.unknown_values])
        position.told_names = [*position.told_names, *names][:MOST_NAMES]

    def refreshed(self) -> None:
        """A refresh that was asked for is done, as far as it can be."""
        position = self.position
        position.refreshed, position.refresh = position.refresh or position.refreshed, None

    def _next_cursor(self, began: datetime | None) -> str | None:
        """The moment before which no change is missing.

        Never past the start of the read; with pages by number, on which rows shift while they
        are read, never past the start of the complete read before it.
        """
        position, checkpoint = self.position, self.plan.checkpoint
        newest = parse(checkpoint.newest)
        if self.plan.endpoint.cursor is None or newest is None or began is None:
            return position.cursor
        limit: datetime | None = began
        if checkpoint.by_number:
            limit = parse(position.began)
        if limit is None:
            return position.cursor
        reached = min(newest, limit - CLOCK_MARGIN).astimezone(UTC)
        before = parse(position.cursor)
        if before and before <= began:  # else the server's clock ran ahead, and was set back
            reached = max(reached, before)
        return reached.isoformat()

    def leave(self, batch: Batch, verdict: Verdict) -> None:
        """Remember what the next read has to decide, and the parents to be asked once more."""
        if self.plan.mode == "cursor":
            return
        plan = self.plan
        again = np.setdiff1d(self.plan.read.refused, plan.refused_before)
        position, read_id = self.position, self.plan.checkpoint.id
        position.missed = position.refused = None
        self._leave_waiting(batch)
        if len(verdict.left):
            position.missed = set_name(read_id, "missed")
            batch.left[position.missed] = verdict.left
        if len(again):
            position.refused = set_name(read_id, "refused")
            batch.left[position.refused] = again
        self.leave_failed(batch, "failed")

    def _leave_waiting(self, batch: Batch) -> None:
        """Remember the parents that were not asked, as requests were used up."""
        position, waiting, before = self.position, self.plan.read.waiting, self.plan.waiting_before
        late = waiting
        if len(waiting):
            self.run.cut = True
        asks_all = bool(position.round) or self.plan.mode == "reconcile"
        read = self.plan.read
        position.parents_at = read.next_parents if isinstance(read, UnderParents) else None
        if position.parents_at and asks_all:
            position.round = position.round or self.plan.clock.isoformat()
        if position.waiting is None and asks_all and len(waiting):
            position.round = position.round or self.plan.clock.isoformat()
            position.waiting = set_name(self.plan.checkpoint.id, "waiting")
            batch.left[position.waiting] = waiting
            late = NOTHING
        elif position.waiting is not None:
            late = np.setdiff1d(waiting, before)
            if len(late) == len(waiting):  # all that the round had to ask is asked
                position.waiting = None
            elif asked := position.asked:
                batch.left[asked] = np.setdiff1d(before, waiting)
        position.late = set_name(self.plan.checkpoint.id, "late") if len(late) else None
        if position.late:
            batch.left[position.late] = late

    def leave_failed(self, batch: Batch, what: str) -> None:
        """Remember the parents whose lists could not be read."""
        failed, position = self.plan.read.failed, self.position
        position.failed = set_name(self.plan.checkpoint.id, what) if len(failed) else None
        if position.failed:
            batch.left[position.failed] = failed
