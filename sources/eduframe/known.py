"""What the destination holds of a list, as compact arrays: keys, hashes, numbers of children.

A key is a 64-bit integer: the id itself where that is the whole key, a hash of the key's text
otherwise. A row costs 17 bytes, and 4 for every child table; one under a parent 8 more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from sources.eduframe.hashing import UNKNOWN, hash_text, row_texts
from sources.eduframe.tables import Table

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def key_ids(columns: list[pa.ChunkedArray]) -> Ids:
    """A 64-bit integer for the key in each row of the key columns."""
    if len(columns) == 1 and pa.types.is_integer(columns[0].type):
        return np.asarray(columns[0].combine_chunks().to_numpy(zero_copy_only=False), np.int64)
    texts = row_texts([c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c
                       for c in columns]).to_pylist()
    return np.fromiter((hash_text(text) for text in texts), np.int64, len(texts))


def key_id(key: tuple[Any, ...]) -> int:
    """The number of one key, the same that :func:`key_ids` gives it."""
    if len(key) == 1 and isinstance(key[0], int):
        return key[0]
    return hash_text("\x1f".join(str(part) for part in key))


def key_text(key: tuple[Any, ...]) -> str:
    """A key as the run log writes it: the value, or JSON where there are several."""
    return str(key[0]) if len(key) == 1 else orjson.dumps(list(key)).decode()


def key_values(table: Table, text: str) -> tuple[Any, ...]:
    """The key of a row of a main table that :func:`key_text` wrote."""
    if len(table.key) > 1:
        return tuple(orjson.loads(text))
    types = {column.name: column.type for column in table.columns}
    return (int(text) if types[table.key[0]] == "bigint" else text,)


def table_key_ids(table: Table, rows: pa.Table, hashes: Ids) -> Ids:
    """The key ids of a batch of a main table; a list without a key is known by its content."""
    if table.key == ("_row_hash",):
        return hashes
    return key_ids([rows.column(name) for name in table.key])


def _no_ids() -> Ids:
    return np.zeros(0, np.int64)


@dataclass
class Known:
    """The rows of one main table, sorted by key id."""

    keys: Ids = field(default_factory=_no_ids)
    hashes: Ids = field(default_factory=_no_ids)
    """Row hashes; UNKNOWN for what must be written again: deleted or half-loaded rows."""
    deleted: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    parents: Ids | None = None
    """For lists under a parent: the key id of each row's parent."""
    children: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    """Child table to the number of child rows of each row."""
    strays: dict[str, Ids] = field(default_factory=dict)
    """Child table to the owners of child rows whose own row is not there (half-loaded pieces,
    a main table dropped by hand)."""
    seen: Flags = field(init=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.keys, kind="stable")
        self.keys, self.hashes = self.keys[order], self.hashes[order]
        self.deleted = self.deleted[order]
        if self.parents is not None:
            self.parents = self.parents[order]
        self.seen = np.zeros(len(self.keys), np.bool_)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def living(self) -> int:
        return int(np.count_nonzero(~self.deleted))

    def find(self, ids: Ids) -> tuple[Ids, Flags]:
        """For each id its place here, and whether it is here at all."""
        if not len(self.keys):
            return np.zeros(len(ids), np.int64), np.zeros(len(ids), np.bool_)
        places = np.minimum(np.searchsorted(self.keys, ids), len(self.keys) - 1)
        return places, self.keys[places] == ids

    def mark_seen(self, ids: Ids) -> None:
        places, found = self.find(ids)
        self.seen[places[found]] = True

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

    def write(self, ids: Ids, hashes: Ids, counts: Mapping[str, npt.NDArray[np.int64]]) -> None:
        """Note what is written in this run, for rows that turn up twice in one read."""
        places, found = self.find(ids)
        self.hashes[places[found]] = hashes[found]
        self.deleted[places[found]] = False
        for table, numbers in counts.items():
            if table in self.children:
                self.children[table][places[found]] = numbers[found]


