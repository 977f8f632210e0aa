"""What is gone from the API: nothing vanishes but on the word of two witnesses, and never too much.

The one place that says what a read proves (:class:`Evidence`). Every read proves that what it met
is there. That a row is gone takes two looks that could have shown it:

- its list, or its parent's list, read to the end without a failure; and
- 404 on its own path, while that of a row that is there answers; or its place again, in a later
  read, for lists whose rows cannot be asked for.

What was refused, skipped, interrupted, set aside without a key, or not asked in this read says
nothing. A row that its own path serves stays: it is *hidden*, and asked for again after a while.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from sources.eduframe.clock import parse
from sources.eduframe.comparing.change_detection import FEW
from sources.eduframe.declare import JsonRow
from sources.eduframe.digest import key_id
from sources.eduframe.reading.batch import AskedFor, Gone, ResourceRun
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.reading.parents import ParentsGone
from sources.eduframe.reading.parts import Parts, Span
from sources.eduframe.reading.questions import (
    WITNESSES,
    Questions,
    item_params,
    outer_columns,
)
from sources.eduframe.reading.read import Plan, Read
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.rows.keys import Flags, Ids, key_text

log = logging.getLogger("eduframe.gone")

NOTHING: Ids = np.zeros(0, np.int64)

DRAWN = 20
"""So many rows, drawn at random, speak for many."""
CUT = 10
"""A list that lacks so many rows for the first time, of which half are there, was cut short."""
ASK_HIDDEN_AGAIN = timedelta(days=7)
EMPTY_AGREES_AFTER = timedelta(hours=1)
"""A short list that turns empty is believed when two reads so far apart agree."""

OF_LIST = "a complete read of the list lacks it"
OF_PAGES = "pages of the list that enclose its place lack it"
OF_PARENT = "a complete read of its parent's list lacks it"
OF_LOST_PARENT = "a complete read of the lists of its parents lacks its parent"


@dataclass(frozen=True)
class Evidence:
    """What a read that came to its end proves of rows that it did not meet."""

    of_list: bool
    """What was not met is missing from the list."""
    answered: Ids
    """Parents that were asked in this read and answered: what was not met there is missing."""
    parents: ParentsGone
    whole: bool = False
    """Whether each row that the list has was met, under whatever parent."""
    why_not: str | None = None
    """Why the read proves no absence at all."""
    limits: str | None = None
    """What the read leaves as it is, where that is less than a list of this kind should."""
    spans: Sequence[Span] = ()
    """What was not met between these keys is missing from the list."""
    absent: Ids = field(default_factory=lambda: NOTHING)
    """Rows whose own path answered 404, and whose place was not looked at."""

    @classmethod
    def of(cls, plan: Plan, read: Read, parents: ParentsGone) -> "Evidence":
        """What this read proves, now that it has come to its end without a failure."""
        why_not = None
        if plan.checkpoint.unkeyed:
            why_not = "a row without a usable key was set aside"
        if isinstance(read, Parts):
            spans = read.covered if item_params(plan.endpoint) else read.spans
            return cls(
                False, NOTHING, parents, why_not=why_not, spans=() if read.disorder else spans,
                absent=np.array(read.absent, np.int64),
            )
        under_parents, limits = bool(plan.endpoint.params), None
        some = not read.proof.of_list and not len(read.waiting)
        if under_parents and plan.mode == "reconcile" and some:
            limits = (
                "rows whose parent is gone stay, as some parent's row lacks what the list under it "
                "is asked by"
            )
        return cls(
            read.proof.of_list and not under_parents,
            read.answered if read.proof.of_answered_parents else NOTHING,
            parents,
            read.proof.of_list and not len(read.refused) and not len(read.failed),
            why_not,
            limits,
        )

    @property
    def proves_absence(self) -> bool:
        return self.why_not is None

    def ownerless(self, index: RowIndex, met: Ids) -> dict[str, Ids]:
        """Child table to the owners that neither the table of owners nor a whole read has.

        Nobody can look for what such rows belong to; an owner that turns up after all is new, and
        comes with all its children.
        """
        if not self.whole or not self.proves_absence:
            return {}
        left = {table: np.setdiff1d(ids, met) for table, ids in index.strays.items()}
        return {table: ids for table, ids in left.items() if len(ids)}

    def missing(self, index: RowIndex) -> tuple[Flags, str]:
        """The living rows of which the read is a first witness that they are gone."""
        living = ~index.deleted & ~index.seen
        if not self.proves_absence:
            return np.zeros(len(living), np.bool_), ""
        if self.spans:
            enclosed = np.zeros(len(living), np.bool_)
            for low, high in self.spans:
                start = np.searchsorted(index.keys, low)
                end = np.searchsorted(index.keys, high, "right")
                enclosed[start:end] = True
            return living & enclosed, OF_PAGES
        if index.parents is None:
            return living & self.of_list, OF_LIST
        lost = np.isin(index.parents, self.parents.lost)
        answered = np.isin(index.parents, self.answered)
        return living & (answered | lost), OF_PARENT if answered.any() else OF_LOST_PARENT

    def orphaned(self, index: RowIndex) -> Flags:
        """The living rows whose parent is itself proven gone: by two witnesses of its own."""
        if index.parents is None or not self.proves_absence:
            return np.zeros(len(index), np.bool_)
        return ~index.deleted & ~index.seen & np.isin(index.parents, self.parents.proven)


@dataclass
class Verdict:
    """What is gone, what is not, and what stays open."""

    gone: list[Gone] = field(default_factory=list)
    left: Ids = field(default_factory=lambda: NOTHING)
    """Missing, and neither proven gone nor there: a later read decides."""
    there: list[JsonRow] = field(default_factory=list)
    """Rows that the list lacks, as their own paths serve them."""
    asked_for: list[AskedFor] = field(default_factory=list)
    held: str | None = None
    """Why nothing of the list is deleted."""
    anew: bool = False
    """Whether the next run is to read the list anew."""


class Judge:
    """Decides, at the end of a read, what of the missing rows is gone."""

    def __init__(
        self,
        plan: Plan,
        evidence: Evidence,
        questions: Questions,
        run: ResourceRun,
        position: Position,
    ) -> None:
        self._plan = plan
        self._index = plan.index
        self._evidence = evidence
        self._questions = questions
        self._run = run
        self._position = position
        self._verdict = Verdict()
        self._absent: list[int] = []
        self._there: list[int] = []
        self._unclear: dict[int, str] = {}
        """Key id to what its own path said that does not tell."""
        self._moved = 0
        self._dice = np.random.default_rng(int(plan.checkpoint.id[:8], 16))

    def settle(self) -> Verdict:
        """Ask what has to be asked, and decide."""
        plan, verdict = self._plan, self._verdict
        if plan.policy.deletes == "ignore" or plan.endpoint.single:
            return verdict
        self._run.frozen += filter(None, [self._evidence.why_not, self._evidence.limits])
        self._forget_what_turned_up()
        missing, first = self._evidence.missing(self._index)
        orphaned = self._evidence.orphaned(self._index)
        missing &= ~orphaned & ~self._is_hidden()
        found = self._index.keys[missing]
        orphans = self._index.keys[orphaned]
        if plan.endpoint.key == ("_row_hash",):
            verdict.gone = [Gone(found, "two reads of the list, whose content is its key, lack it")]
        elif len(found) or len(orphans):
            self._decide(found, orphans, first)
        else:
            self._position.empty_since = None
        if self._removes_marked():
            marked = self._index.keys[self._index.deleted & ~self._index.seen]
            verdict.gone.append(Gone(marked, "it was marked as deleted before"))
        self._leave_the_rest_open(found)
        verdict.gone = [gone for gone in verdict.gone if len(gone.ids)]
        self._run.deleted += sum(len(gone.ids) for gone in verdict.gone)
        return verdict

    def _removes_marked(self) -> bool:
        """Whether rows that were marked, before deletions were hard, are to go now."""
        policy, verdict = self._plan.policy, self._verdict
        asked_for = policy.deletes == "hard" and policy.allow_mass_delete and not verdict.held
        return asked_for and self._plan.mode == "reconcile" and self._evidence.proves_absence

    # ---- the ways to a proof

    def _decide(self, found: Ids, orphans: Ids, first: str) -> None:
        verdict = self._verdict
        parts = [Gone(orphans, "its parent is gone")]
        twice = np.isin(found, self._plan.missed_before)
        by_asking = self._can_ask(found)
        if by_asking is None:
            pass
        elif by_asking:
            if self._was_cut(found[~twice]):
                return
            sampled = self._speak_for_all(found[twice])
            if not self._too_many(found, orphans):
                self._ask_in_turn(found[~np.isin(found, sampled)])
            parts.append(Gone(sampled, f"{first}, a second one too, and the own paths of "
                              f"{DRAWN} such rows, drawn at random, answer 404"))
            absent = np.setdiff1d(np.array(self._absent, np.int64), sampled)
            parts.append(Gone(absent, f"{first}, and its own path answers 404"))
        else:
            parts.append(Gone(found[twice], f"{first}, and a second one too"))
            if not twice.all():
                self._run.notes.append(
                    f"{np.count_nonzero(~twice)} rows are missing: they count as gone if the "
                    "next reading of their place lacks them too"
                )
        if self._too_many(found, orphans):
            verdict.asked_for = [one for one in verdict.asked_for if one.state != "gone"]
        else:
            verdict.gone = parts
        if self._there:
            self._run.notes.append(
                f"{len(self._there)} rows are not in the list, but are there: they stay"
            )

    def _can_ask(self, found: Ids) -> bool | None:
        """Whether rows can be asked for by themselves. None: that cannot be told now."""
        questions, index = self._questions, self._index
        if questions.left <= 0 or not len(found):
            return False
        met = self._draw(np.flatnonzero(index.seen & ~index.deleted), WITNESSES)
        others = np.flatnonzero(~index.seen & ~index.deleted & ~np.isin(index.keys, found))
        others = self._draw(others, WITNESSES - len(met))
        said, why = questions.answered([index.key(place) for place in (*met, *others)])
        if said == "there":
            return True
        if len(met) or len(others):
            self._run.frozen.append(
                f"{len(found)} rows are missing, but no row can be read by its id{why}: left for a "
                "later reading"
            )
        return None if said in ("unclear", "refused") and (len(met) or len(others)) else False

    def _was_cut(self, new: Ids) -> bool:
        """Whether the list seems to have been cut: many are missing at once, and half are there."""
        if len(new) < CUT:
            return False
        drawn = self._ask(self._draw(new))
        there = len(self._there) - self._moved
        if not drawn or 2 * there < drawn:
            return False
        self._verdict.held = (
            f"{len(new)} rows are missing from the list, but {there} of {drawn} of them that were "
            "asked for are there: the list was cut short; nothing was deleted, and the next run "
            "reads it anew"
        )
        self._verdict.anew = True
        self._verdict.there, self._verdict.asked_for = [], []
        self._there, self._absent = [], []
        return True

    def _speak_for_all(self, twice: Ids) -> Ids:
        """Rows that two reads miss, if a few of them, drawn at random, are all gone."""
        if len(twice) <= self._questions.left or self._questions.left < DRAWN:
            return NOTHING
        drawn, before = self._draw(twice), len(self._absent)
        self._ask(drawn)
        return twice if len(self._absent) - before == len(drawn) else NOTHING

    def _ask_in_turn(self, found: Ids) -> None:
        asked_before = np.isin(found, self._plan.asked_for.ids)
        self._ask([*found[~asked_before], *found[asked_before]])

    def _draw(self, ids: Ids, most: int = DRAWN) -> Ids:
        return self._dice.choice(ids, min(most, len(ids)), replace=False)

    def _ask(self, ids: Sequence[int] | Ids) -> int:
        """Ask for rows, as far as questions are left. Returns how many were asked for."""
        index, endpoint, asked = self._index, self._plan.endpoint, 0
        known = {*self._absent, *self._there, *self._unclear}
        for one in map(int, ids):
            if one in known:
                continue
            if self._questions.left <= 0:
                break
            place = int(np.searchsorted(index.keys, one))
            key, outer = index.key(place), outer_columns(endpoint, index, place)
            reply = self._questions.ask(key, outer)
            asked += 1
            state = "open"
            if reply.said == "absent":
                self._absent.append(one)
                state = "gone"
            elif reply.row is not None:
                self._there.append(one)
                self._verdict.there.append(reply.row)
                moved = self._has_moved(reply.row, place)
                self._moved += moved
                state = "there" if moved else "hidden"
            else:
                self._unclear[one] = reply.why
            self._verdict.asked_for.append(
                AskedFor(one, key_text(key), state, self._plan.synced_at)
            )
        return asked

    def _has_moved(self, row: JsonRow, place: int) -> bool:
        """Whether the row is now under a parent that was not asked in this read."""
        index, endpoint = self._index, self._plan.endpoint
        if index.parents is None:
            return False
        parent = key_id(tuple(row.get(name) for name in endpoint.parent_columns))
        return parent != index.parents[place] and parent not in self._evidence.answered

    # ---- the brake

    def _too_many(self, found: Ids, orphans: Ids) -> bool:
        """The brake. Says what was seen, and how to go on."""
        plan, position = self._plan, self._position
        living, policy, table = self._index.living, plan.policy, plan.endpoint.table
        asked = len(self._absent) + len(self._there)
        open_ones = len(found) - asked
        share = len(self._absent) / asked if asked else 1.0
        count = len(orphans) + len(self._absent) + round(open_ones * share)
        empty = plan.mode == "reconcile" and plan.checkpoint.rows == 0 and living > 0 and count > 0
        if not empty:
            position.empty_since = None
        if policy.allow_mass_delete:
            return False
        if empty:
            since = parse(position.empty_since)
            if living < FEW and since and plan.clock - since >= EMPTY_AGREES_AFTER:
                return False
            position.empty_since = position.empty_since or plan.clock.isoformat()
            seen = f"the list is empty, and held {living} rows"
        elif count >= FEW and count > policy.max_delete_share * living:
            seen = (
                f"{count} of {living} rows ({count / living:.0%}) are gone from the list, more "
                f"than max_delete_share ({policy.max_delete_share:.0%})"
            )
        else:
            return False
        self._verdict.held = (
            f"{seen}; nothing was deleted. If that is right: "
            f"eduframe sync {table} --reconcile --allow-mass-delete {table}"
        )
        return True

    # ---- what is remembered

    def _is_hidden(self) -> Flags:
        """Rows that were hidden not long ago: they are neither asked for nor counted."""
        asked = self._plan.asked_for
        fresh = asked.hidden & (asked.ages(self._plan.clock) < ASK_HIDDEN_AGAIN.total_seconds())
        return np.isin(self._index.keys, asked.ids[fresh])

    def _forget_what_turned_up(self) -> None:
        places, known = self._index.find(self._plan.asked_for.ids)
        for one, place, here in zip(self._plan.asked_for.ids, places, known, strict=True):
            if not here or self._index.seen[place] or self._index.deleted[place]:
                self._verdict.asked_for.append(
                    AskedFor(int(one), "", "there", self._plan.synced_at)
                )

    def _leave_the_rest_open(self, found: Ids) -> None:
        """What is missing and not settled, now or in a read whose word still stands."""
        verdict, index = self._verdict, self._index
        settled = [gone.ids for gone in verdict.gone]
        settled.append(np.array(self._there, np.int64))
        waiting = np.union1d(found, self._plan.missed_before)
        waiting = np.union1d(waiting, self._evidence.absent)
        places, known = index.find(waiting)
        still = known.copy()
        still[known] = ~index.seen[places[known]] & ~index.deleted[places[known]]
        verdict.left = np.setdiff1d(waiting[still], np.concatenate(settled))
        self._tell_of_doubts(len(verdict.left))

    def _tell_of_doubts(self, left: int) -> None:
        """Name the rows of which it is still open whether they are gone."""
        if self._verdict.held:
            return
        notes, unclear = self._run.notes, len(self._unclear)
        if unclear:
            notes.append(
                f"{unclear} rows are missing, but their own paths do not tell whether they are "
                f"gone ({next(iter(self._unclear.values()))}): they stay, and are asked for "
                "again. If that lasts, look at them in Eduframe: _hidden_rows has them as open"
            )
        if left > unclear and self._questions.asked:
            notes.append(
                f"{left - unclear} rows are missing and were not asked for yet: they stay until "
                "the next complete readings, which go on with it (max_absence_questions)"
            )
