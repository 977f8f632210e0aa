"""What the destination holds of a list, as compact arrays: keys, hashes, numbers of children.

A row costs 17 bytes, and 4 for every child table; one under a parent 8 more. Keys are the numbers
that `rows/keys.py` makes of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.eduframe.rows.hashing import UNKNOWN
from sources.eduframe.rows.keys import Flags, Ids


def _no_ids() -> Ids:
    return np.zeros(0, np.int64)


@dataclass
class RowIndex:
    """The rows of one main table, sorted by key id."""

    keys: Ids = field(default_factory=_no_ids)
    hashes: Ids = field(default_factory=_no_ids)
    """Row hashes; UNKNOWN for what must be written again: deleted or half-loaded rows."""
    deleted: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    parents: Ids | None = None
    """For lists under a parent: the key id of each row's parent."""
    names: pa.Table | None = None
    """The key columns themselves, for lists whose rows are asked for by more than a number."""
    children: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    """Child table to the number of child rows of each row."""
    strays: dict[str, Ids] = field(default_factory=dict)
    """Child table to the owners of child rows whose own row is not there (half-loaded pieces,
    a main table dropped by hand)."""
    doubled: int = 0
    """Rows with a key that another one has. They count as one, which must be written again."""
    seen: Flags = field(init=False)

    def __post_init__(self) -> None:
        if not np.all(self.keys[1:] >= self.keys[:-1]):
            self._sort()
        self._join_doubled()
        self.seen = np.zeros(len(self.keys), np.bool_)

    def _sort(self) -> None:
        order = np.argsort(self.keys, kind="stable")
        self.keys, self.hashes = self.keys[order], self.hashes[order]
        self.deleted = self.deleted[order]
        if self.parents is not None:
            self.parents = self.parents[order]
        if self.names is not None:
            self.names = self.names.take(pa.array(order))

    def _join_doubled(self) -> None:
        first = np.ones(len(self.keys), np.bool_)
        first[1:] = self.keys[1:] != self.keys[:-1]
        self.doubled = int(np.count_nonzero(~first))
        if not self.doubled:
            return
        starts = np.flatnonzero(first)
        alone = np.diff(np.append(starts, len(first))) == 1
        self.deleted = np.logical_and.reduceat(self.deleted, starts)
        self.keys, self.hashes = self.keys[first], np.where(alone, self.hashes[first], UNKNOWN)
        if self.parents is not None:
            self.parents = self.parents[first]
        if self.names is not None:
            self.names = self.names.filter(pa.array(first))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def living(self) -> int:
        return int(np.count_nonzero(~self.deleted))

    @property
    def living_keys(self) -> Ids:
        """In order; not a copy where none is deleted."""
        return self.keys[~self.deleted] if self.deleted.any() else self.keys

    def find(self, ids: Ids) -> tuple[Ids, Flags]:
        """For each id its place here, and whether it is here at all."""
        if not len(self.keys):
            return np.zeros(len(ids), np.int64), np.zeros(len(ids), np.bool_)
        places = np.minimum(np.searchsorted(self.keys, ids), len(self.keys) - 1)
        return places, self.keys[places] == ids

    def forget_hashes_of(self, ids: Ids) -> None:
        """Let these rows count as changed when they are read."""
        places, found = self.find(ids)
        self.hashes[places[found]] = UNKNOWN

    def mark_seen(self, ids: Ids) -> None:
        places, found = self.find(ids)
        self.seen[places[found]] = True

    def no_children(self, table: str) -> None:
        """No row has a row in this child table, as long as nothing else is said."""
        self.children[table] = np.zeros(len(self.keys), np.int32)

    def emptied(self, filled: Iterable[str]) -> list[str]:
        """Of these child tables those without a row, where rows of the list itself are there."""
        if not len(self.keys):
            return []
        return [n for n in filled if n in self.children and not self.children[n].any()]

    def set_child_counts(self, table: str, owners: Ids, counts: npt.NDArray[np.int64]) -> None:
        places, found = self.find(owners)
        aligned = self.children.setdefault(table, np.zeros(len(self.keys), np.int32))
        aligned[places[found]] = counts[found]
        if not found.all():
            before = self.strays.get(table, _no_ids())
            self.strays[table] = np.concatenate([before, owners[~found]])

    def forget_hashes(self) -> None:
        """Let every row that is read count as changed."""
        self.hashes[:] = UNKNOWN

    def missing(self) -> Ids:
        """The key ids of living rows that this read has not seen."""
        return self.keys[~self.seen & ~self.deleted]

    def key(self, place: int) -> tuple[Any, ...]:
        """The key of the row at a place: its parts, or the number that stands for it."""
        if self.names is None:
            return (int(self.keys[place]),)
        return tuple(column[place].as_py() for column in self.names.columns)

    def write(self, ids: Ids, hashes: Ids, counts: Mapping[str, npt.NDArray[np.int64]]) -> None:
        """Note what is written in this run, for rows that turn up twice in one read."""
        places, found = self.find(ids)
        self.hashes[places[found]] = hashes[found]
        self.deleted[places[found]] = False
        for table, numbers in counts.items():
            if table in self.children:
                self.children[table][places[found]] = numbers[found]
