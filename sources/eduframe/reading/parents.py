"""Which parents a list under a parent is read for.

While a parent's list is read, the book notes the parents that were written; a list under it asks
for those, and for the ones that the destination holds from runs whose children were not read to
the end.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from sources.eduframe.declare import Endpoint, Parent
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.keys import Ids, key_id


@dataclass(frozen=True, order=True)
class ParentRef:
    """One parent: the values of the path's parameters, and of the columns its rows get."""

    params: tuple[Any, ...]
    columns: tuple[Any, ...]

    @property
    def key_id(self) -> int:
        """The number that stands for the parent in :attr:`Known.parents`."""
        return key_id(self.columns)


def make_ref(parent: Parent, values: Sequence[Any]) -> ParentRef:
    """From the parent's values, those of ``params`` and then those of ``columns``, in order."""
    count = len(parent.params)
    params = tuple(
        parent.rename.get(name, {}).get(value, value)
        for name, value in zip(parent.params, values, strict=False)
    )
    return ParentRef(params, tuple(values[count:]) if parent.columns else params)


def column_names(endpoint: Endpoint) -> tuple[str, ...]:
    """The columns of a list's rows that come from its parent."""
    if endpoint.parent_setting:
        return endpoint.params
    return tuple(endpoint.parents[0].columns or endpoint.parents[0].params)


def list_path(endpoint: Endpoint, ref: ParentRef) -> str:
    """The path of the list under a parent."""
    names = tuple(endpoint.parents[0].params) if endpoint.parents else endpoint.params
    values = zip(names, ref.params, strict=True)
    return endpoint.path.format(**{name: quote(str(value), safe="") for name, value in values})


def owner_table(table: str) -> str:
    """The main table of a table that serves as parent: itself, or its owner's."""
    for endpoint in ENDPOINTS:
        if endpoint.table == table or any(c.table == table for c in endpoint.children):
            return endpoint.table
    raise KeyError(table)


@dataclass
class ParentsRead:
    """What is known of one parent table in this run."""

    started: bool = False
    ended: bool = False
    """Whether nothing more will come, however the read went."""
    complete: bool = False
    """Whether the read came to its end, and nothing was held back."""
    written: list[ParentRef] = field(default_factory=list)
    present: list[ParentRef] = field(default_factory=list)
    """All parents of a complete read, for small tables known by a slug."""
    gone: Ids = field(default_factory=lambda: np.zeros(0, np.int64))


class ParentBook:
    """The parents met in this run. Thread-safe."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._lock = threading.Lock()
        self._pages: dict[tuple[str, int], ParentsRead] = {}
        self._wanted: dict[str, list[tuple[tuple[str, int], Parent]]] = {}
        for endpoint in endpoints:
            for number, parent in enumerate(endpoint.parents):
                place = (endpoint.table, number)
                self._pages[place] = ParentsRead()
                self._wanted.setdefault(owner_table(parent.table), []).append((place, parent))

    def page(self, endpoint: Endpoint, number: int) -> ParentsRead:
        return self._pages[(endpoint.table, number)]

    def start(self, table: str) -> None:
        for place, _ in self._wanted.get(table, ()):
            self._pages[place].started = True

    def complete(self, table: str, gone: Ids) -> None:
        """The list of a parent table was read to its end; these are gone."""
        for place, _ in self._wanted.get(table, ()):
            self._pages[place].gone = gone
            self._pages[place].complete = True

    def end(self, table: str) -> None:
        for place, _ in self._wanted.get(table, ()):
            self._pages[place].ended = True

    def gone(self, endpoint: Endpoint, parents: Ids) -> Ids:
        """Which of these parents of a list are proven gone by this run."""
        pages = [self._pages[(endpoint.table, n)] for n in range(len(endpoint.parents))]
        if not pages or not all(page.complete for page in pages):
            return np.zeros(0, np.int64)
        if all(by_id(parent) for parent in endpoint.parents):
            return np.concatenate([page.gone for page in pages])
        present = np.array([ref.key_id for page in pages for ref in page.present], np.int64)
        return np.setdiff1d(parents, present)

    def note(
        self, table: str, written: Mapping[str, pa.Table], read: Mapping[str, pa.Table]
    ) -> None:
        """Note parents in a batch: the rows that are written, and all that were read."""
        for place, parent in self._wanted.get(table, ()):
            refs = refs_in(parent, written.get(parent.table))
            present = [] if by_id(parent) else refs_in(parent, read.get(parent.table))
            with self._lock:
                self._pages[place].written += refs
                self._pages[place].present += present


def by_id(parent: Parent) -> bool:
    """Whether children know the parent by its id, which is its key."""
    return tuple((parent.columns or parent.params).values()) == ("id",)


def refs_in(parent: Parent, rows: pa.Table | None) -> list[ParentRef]:
    """The parents in a table, those that ``where`` keeps, removals left out."""
    if rows is None or not rows.num_rows:
        return []
    names = [*parent.params.values(), *(parent.columns or {}).values()]
    columns = [rows.column(name).to_pylist() for name in names]
    keep = [True] * rows.num_rows
    if "_removed" in rows.column_names:
        keep = [not flag for flag in rows.column("_removed").to_pylist()]
    for name, allowed in parent.where.items():
        values = rows.column(name).to_pylist()
        keep = [flag and value in allowed for flag, value in zip(keep, values, strict=True)]
    return [
        make_ref(parent, values)
        for values, flag in zip(zip(*columns, strict=True), keep, strict=True)
        if flag
    ]
