"""``_sync_ledger`` and ``_sync_rates``: what of each list was last read when, and how often it
changes. Only runs that read in parts write them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.eduframe.store.run_log import SYNC_LEDGER, SYNC_RATES
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.planning.blocks import Blocks, LedgerRow
from sources.eduframe.planning.rates import Rates

NEVER = float("nan")


@dataclass
class Ledger:
    """What the destination knows of partial reads."""

    blocks: dict[str, list[LedgerRow]] = field(default_factory=dict)
    """By list."""
    windows: dict[str, dict[int, float]] = field(default_factory=dict)
    """By list: a filter's value to the time of its last look, in epoch seconds."""
    hints: dict[str, dict[int, float]] = field(default_factory=dict)
    """By list: the ids of rows that may have changed, and since when."""
    suspects: dict[str, list[LedgerRow]] = field(default_factory=dict)
    """By list: blocks of rows beside many changes."""
    unknown: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By list: how many runs in a row found that it has rows that are not known, and when."""
    rates: Rates = field(default_factory=Rates)
    _stored: dict[tuple[str, str], int] = field(default_factory=dict)
    """List and kind to how many numbers the table has."""

    @classmethod
    def load(cls, dataset: Dataset) -> "Ledger":
        """As the destination has it; empty where it has none."""
        ledger = cls()
        for row in _rows(dataset, SYNC_LEDGER.name, [c.name for c in SYNC_LEDGER.columns]):
            resource, kind, number, first, held, read_at = row
            if None in (resource, kind, number):
                continue  # somebody changed the table: what is lost of it is learned again
            place = (resource, kind)
            ledger._stored[place] = max(ledger._stored.get(place, 0), number + 1)
            if not held or first is None:
                continue
            at = _seconds(read_at)
            if kind == "pages":
                ledger.blocks.setdefault(resource, []).append((first, held, at))
            elif kind == "suspect":
                ledger.suspects.setdefault(resource, []).append((first, held, at))
            elif kind == "unknown":
                ledger.unknown[resource] = (held, at)
            elif kind == "hint":
                ledger.hints.setdefault(resource, {})[first] = at
            else:
                ledger.windows.setdefault(resource, {})[first] = at
        for blocks in (*ledger.blocks.values(), *ledger.suspects.values()):
            blocks.sort(key=itemgetter(0))
        counted = _rows(dataset, SYNC_RATES.name, [c.name for c in SYNC_RATES.columns])
        counters = [row for row in counted if None not in row]
        if counters:
            ledger.rates = Rates.stored(
                ((r[0], r[1], r[2], float(r[3]), float(r[4])) for r in counters),
                max(_seconds(r[5]) for r in counters),
            )
        return ledger

    def tables(self, resources: Iterable[str]) -> dict[str, pa.Table]:
        """The rows that bring the destination's tables up to date for these lists."""
        rows: list[dict[str, Any]] = []
        for name in resources:
            rows += self._numbered(name, "pages", self.blocks.get(name, ()))
            rows += self._numbered(name, "suspect", self.suspects.get(name, ()))
            times = self.unknown.get(name)
            rows += self._numbered(name, "unknown", [(0, *times)] if times else ())
            for kind, of in (("window", self.windows), ("hint", self.hints)):
                single = [(key, 1, at) for key, at in sorted(of.get(name, {}).items())]
                rows += self._numbered(name, kind, single)
        at = _moment(self.rates.at)
        counters = [
            {
                "resource": resource, "kind": kind, "bucket": bucket,
                "found": _decimal(found), "watched": _decimal(watched), "counted_at": at,
            }
            for resource, kind, bucket, found, watched in self.rates.rows()
        ]  # fmt: skip
        return {
            SYNC_LEDGER.name: SYNC_LEDGER.table(rows), SYNC_RATES.name: SYNC_RATES.table(counters),
        }  # fmt: skip

    def _numbered(self, name: str, kind: str, rows: Sequence[LedgerRow]) -> list[dict[str, Any]]:
        """The rows under their numbers; numbers that are no longer used hold no rows."""
        there = [*rows, *[(0, 0, NEVER)] * (self._stored.get((name, kind), 0) - len(rows))]
        return [
            {
                "resource": name, "kind": kind, "number": number, "first_key": first,
                "rows_held": held, "read_at": _moment(at),
            }
            for number, (first, held, at) in enumerate(there)
        ]  # fmt: skip


def ledger_blocks(ledger: Sequence[LedgerRow], rows: int, whole: float) -> Blocks:
    """The blocks of a list of which only the number of its rows is known: ranks stand for keys.

    ``whole`` is when all of it was last read.
    """
    keys = np.arange(rows)
    if not ledger:
        return Blocks.of(keys, whole)
    starts = np.cumsum([0, *(held for _, held, _ in ledger)])
    ranked = [
        (int(start), held, at) for start, (_, held, at) in zip(starts[:-1], ledger, strict=True)
    ]
    blocks = Blocks.stored(ranked, keys)
    return replace(blocks, read_at=np.fmax(blocks.read_at, whole))


def _rows(dataset: Dataset, table: str, columns: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    selected = ", ".join(dataset.column(name) for name in columns)
    sql = f"SELECT {selected} FROM {dataset.name(table)} WHERE {dataset.completed()}"
    for rows in dataset.query(sql):
        yield from zip(*(column.to_pylist() for column in rows.columns), strict=True)


def _seconds(moment: datetime | None) -> float:
    if moment is None:
        return NEVER
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _moment(seconds: float) -> datetime | None:
    return None if seconds != seconds else datetime.fromtimestamp(seconds, UTC)


def _decimal(value: float) -> Decimal:
    return Decimal(repr(round(value, 6)))


