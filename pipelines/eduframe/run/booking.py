"""What reads of parts of lists found, as rows of the ledger and of the rates."""

import copy
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from pipelines.eduframe.run.parts import Budgeted
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.store.ledger import NEVER, Ledger
from sources.eduframe.planning.blocks import Blocks, LedgerRow, ages
from sources.eduframe.planning.hints import suspects, without
from sources.eduframe.planning.rates import CHANGED, EMPTY, OTHER
from sources.eduframe.planning.rates import NEVER as NEVER_ASKED
from sources.eduframe.planning.views import ListView, Parents
from sources.eduframe.planning.worth import parent_buckets
from sources.eduframe.reading import parts
from sources.eduframe.reading.read import WholeList
from sources.eduframe.reading.under_parents import UnderParents
from sources.eduframe.rows.keys import Ids, among

HINTS_LAST = 86400.0
"""Seconds after which a hint that was not followed is forgotten: the sweep comes round."""


def book(budgeted: Budgeted, report: Report) -> dict[str, pa.Table]:
    """What the reads of this run teach, as rows of the ledger and of the rates.

    What was stopped, failed, is held back, or not loaded, proves nothing.
    """
    ledger, now = copy.deepcopy(budgeted.ledger), budgeted.now.timestamp()
    changes = sum(run.new + run.changed for run in report.runs.values())
    ledger.rates.decay(now)
    ledger.rates.observe_run(changes, now - budgeted.every, now)
    for name, view in budgeted.views.items():
        plan = budgeted.plans[name]
        read, index = plan.read, plan.index
        seen = index.keys[index.seen] if name not in report.unloaded else index.keys[:0]
        ledger.hints[name] = {
            **{one: at for one, at in ledger.hints.get(name, {}).items() if now - at < HINTS_LAST},
            **dict.fromkeys(budgeted.named.ids.get(name, ()), now),
        }
        hinted = np.array([*ledger.hints[name]], np.int64)
        for one in hinted[among(hinted, seen)].tolist():
            del ledger.hints[name][one]
        done = report.runs[name].status == "done" and name not in report.unloaded
        if not done or report.runs[name].passed_over:
            continue
        if isinstance(read, WholeList) and plan.mode == "reconcile":
            _learn(ledger, read, view, index.living_keys, now)
        elif isinstance(read, UnderParents) and view.parents is not None:
            filled = np.array([*budgeted.named.filled.get(name, ())], np.int64)
            asked = np.setdiff1d(read.answered, read.answered_before)
            _learn_of_parents(ledger, view, view.parents, asked, filled, now)
        elif isinstance(read, UnderParents):
            hours = float(ages(np.array([view.proven_at]), now)[0]) / 3600
            if np.isfinite(hours) and hours > 0:
                news = report.runs[name].new + report.runs[name].changed
                ledger.rates.observe(name, 0, news, hours, "growth")
        elif isinstance(read, parts.Parts):
            _book_windows(ledger, read, view, now)
            if view.blocks is not None and not read.disorder:
                ledger.blocks[name] = _book_pages(ledger, read, view.blocks, name, now)
    return ledger.tables(budgeted.views)


def _learn(ledger: Ledger, read: WholeList, view: ListView, keys: Ids, now: float) -> None:
    """Count what a list showed that is read whole, or by a walk; ``keys`` are those known before.

    The order of its keys stands for the age of its rows.
    """
    blocks = Blocks.of(keys, view.proven_at) if view.blocks is None else view.blocks
    met = np.unique(np.concatenate([np.zeros(0, np.int64), *read.met]))
    changed = np.unique(np.concatenate([np.zeros(0, np.int64), *read.changed]))
    known = met[among(met, blocks.keys)]
    ledger.rates.observe_rows(view.name, blocks, known, np.intersect1d(changed, known), now)
    if not (read.cut or view.walk_left) and len(blocks):
        hours = float(blocks.ages(now).max()) / 3600
        if np.isfinite(hours) and hours > 0:
            ledger.rates.observe(view.name, 0, len(met) - len(known), hours, "growth")


def _learn_of_parents(
    ledger: Ledger, view: ListView, of: Parents, asked: Ids, filled: Ids, now: float
) -> None:
    """Count under how many of the parents that were asked there was news."""
    buckets, found = parent_buckets(view), np.isin(of.ids, filled)
    hours = ages(of.asked_at, now) / 3600
    for bucket in (CHANGED, NEVER_ASKED, OTHER, EMPTY):
        which = np.isin(of.ids, asked) & (buckets == bucket)
        if bucket in (OTHER, EMPTY):
            which &= np.isfinite(hours)
        watched = float(hours[which].sum()) if bucket in (OTHER, EMPTY) else int(which.sum())
        if which.any():
            ledger.rates.observe(view.name, bucket, int(found[which].sum()), watched, "parents")


def _book_pages(
    ledger: Ledger, read: parts.Parts, blocks: Blocks, name: str, now: float
) -> list[LedgerRow]:
    nothing = np.zeros(0, np.int64)
    met = np.unique(np.concatenate([nothing, *read.met]))
    changed = np.unique(np.concatenate([nothing, *read.changed]))
    ledger.rates.observe_rows(name, blocks, met, np.intersect1d(changed, met), now)
    suspect = [s for some in read.met for s in _beside(blocks, some, changed)]
    suspect += _gap(read, blocks.keys)
    ledger.suspects[name] = [
        *_not_yet_read(ledger.suspects.get(name, ()), read, blocks.keys, now),
        *_rows(suspect, blocks.keys, now),
    ]
    new = met[~among(met, blocks.keys)]
    if any(high == parts.HIGHEST for _, high in read.covered) and len(blocks):
        hours = float(blocks.ages(now)[-1]) / 3600
        if np.isfinite(hours) and hours > 0:
            ledger.rates.observe(name, 0, len(new), hours, "growth")
    for low, high in read.covered:
        blocks = blocks.mark(low, high, now)
    keys = np.sort(np.concatenate([blocks.keys, new]))
    times, _ = ledger.unknown.get(name, (0, NEVER))
    ledger.unknown[name] = (times + 1 if read.unknown_rows(keys) > 0 else 0, now)
    return blocks.fit(keys, now).ledger()


def _gap(read: parts.Parts, keys: Ids) -> list[tuple[int, int]]:
    """Where rows were left out: a list that begins with its newest rows has more new ones than
    requests were left for. Those that follow the ones that were read are before what is known."""
    newest = int(keys[-1]) if len(keys) else parts.HIGHEST
    gap = any(low > newest for low, high in read.covered if high == parts.HIGHEST)
    return [(newest, newest)] if gap and read.order == "descending" else []


def _not_yet_read(
    suspect: Sequence[LedgerRow], read: parts.Parts, keys: Ids, now: float
) -> Iterator[LedgerRow]:
    """What is left of earlier suspects."""
    for first, held, at in suspect:
        if now - at < HINTS_LAST:
            ends = np.searchsorted(keys, first) + held
            left = [(first, int(keys[min(int(ends), len(keys) - 1)]))]
            for low, high in read.covered:
                left = without(left, low, high)
            yield from _rows(left, keys, at)


def _rows(intervals: Iterable[tuple[int, int]], keys: Ids, at: float) -> Iterator[LedgerRow]:
    for low, high in intervals:
        begin, end = np.searchsorted(keys, [low, high + 1]).tolist()
        if end > begin:
            yield int(keys[begin]), end - begin, at


def _beside(blocks: Blocks, read: Ids, changed: Ids) -> list[tuple[int, int]]:
    """The known rows beside a page with many changes."""
    known = np.unique(read[among(read, blocks.keys)])
    return suspects(blocks, known, np.intersect1d(changed, known)) if len(known) else []


def _book_windows(ledger: Ledger, read: parts.Parts, view: ListView, now: float) -> None:
    looked = ledger.windows.setdefault(view.name, {})
    read_now = {int(window.value): found for window, found in read.read_windows.items()}
    lasting = {}
    for window in view.windows:
        key = int(next(iter(window.params.values())))
        if key in read_now:
            lasting[key] = now
            changed = int(np.isin(read_now[key], read.changed_in_windows).sum())
            before = looked.get(key, NEVER)
            since = max(0.0, before - window.event) if before == before else 0.0
            ledger.rates.observe_window(
                view.name, since / 3600, (now - window.event) / 3600, changed, len(read_now[key])
            )
        elif key in looked:
            lasting[key] = looked[key]
    ledger.windows[view.name] = lasting
