"""Hints that a run finds by itself: rows of other lists that its new and changed rows name.

An invoice changes its order, an attendance its meeting, an enrollment its planned course. A list
that is read in parts comes after those that name rows of it, and asks for these in the end.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.eduframe.declare import Endpoint
from sources.eduframe.planning.hints import hinted_reads
from sources.eduframe.planning.views import Choice, ListView
from sources.eduframe.reading.read import Plan
from sources.eduframe.rows.keys import Ids, among, key_ids
from sources.eduframe.rows.tables import MAIN_TABLES


def moved_by(endpoint: Endpoint) -> dict[str, str]:
    """The columns that name rows which change with a row of the list, and the tables of these."""
    columns = {c.name: c for c in MAIN_TABLES[endpoint.table].columns}
    return {
        name: references.table
        for name in endpoint.moves
        if (references := columns[name].references)
    }


@dataclass
class NamedRows:
    """By list: the ids of rows that new and changed rows of other lists name."""

    ids: dict[str, set[int]] = field(default_factory=dict)
    filled: dict[str, set[int]] = field(default_factory=dict)
    """By list under parents: the key ids of the parents under which something was new or had
    changed."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self, plan: Plan) -> None:
        """Note which rows of other lists the new and changed rows of this one name."""
        targets = moved_by(plan.endpoint)
        name_of = plan.endpoint.table
        parents = plan.endpoint.parent_columns if plan.endpoint.params else ()

        def note(written: pa.Table) -> None:
            for name, table in targets.items():
                ids = pc.drop_null(pc.unique(written.column(name))).to_pylist()
                with self._lock:
                    self.ids.setdefault(table, set()).update(ids)
            if parents:
                under = key_ids([written.column(name) for name in parents])
                with self._lock:
                    self.filled.setdefault(name_of, set()).update(under.tolist())

        if targets or parents:
            plan.on_written = note

    def reads(
        self, view: ListView, living: Ids, left: Callable[[], int]
    ) -> Callable[[Ids], Sequence[Choice]]:
        """What is asked for of a list, given the keys that were met in it, once those that name
        rows of it were read."""

        def choices(met: Ids) -> Sequence[Choice]:
            with self._lock:
                named = np.array(sorted(self.ids.get(view.name, ())), np.int64)
            open_ones = np.setdiff1d(named[among(named, living)], met)
            most = max(0, left())
            if view.paged:
                return hinted_reads([replace(view, hinted=open_ones, suspect=())], most)
            if not view.by_item:
                return ()
            asked = open_ones[:most]
            reason = "a row that changed names it"
            return [Choice(view.name, "items", len(asked), float(len(asked)), reason, ids=asked)]

        return choices
