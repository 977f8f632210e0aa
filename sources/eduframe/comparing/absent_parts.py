"""Nested parts that a row comes without, though the destination holds rows of them.

``[]``, or null for a single part, says that there are none; an absent key, or null in place of a
list, says nothing. The row's own path is asked. If that lacks the part too, there are none only if
the API describes the part as one that may be absent, and other rows of this read have it. Else
what is held stays, and so it does where a fifth of the rows come without the part: then it is left
out of the list.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sources.eduframe.declare import Endpoint, JsonRow
from sources.eduframe.reading.questions import Questions, item_params, outer_columns
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.rows.keys import Flags, Ids
from sources.eduframe.rows.normalise import Normalised
from sources.eduframe.rows.tables import CHILD_TABLES, Table

LEFT_OUT = 0.2
"""A part that more than this share of the rows that have it come without is left out."""


@dataclass
class Waiting:
    """Rows that are not written yet, as it is open which children they have."""

    ids: Ids
    rows: Normalised
    places: Ids


class AbsentParts:
    """Finds rows that come without a part, and decides what that means."""

    def __init__(self, endpoint: Endpoint, index: RowIndex, *, wait: bool) -> None:
        self._endpoint = endpoint
        self._index = index
        self._tables = {table.name: table for table in CHILD_TABLES[endpoint.table]}
        self._wait = wait and item_params(endpoint) is not None
        self._holders = {n: int(np.count_nonzero(c)) for n, c in index.children.items()}
        self._lacking: Counter[str] = Counter()
        self._lacks: dict[int, set[str]] = {}
        self._met: set[str] = set()
        """Child tables of whose part this read has met a value."""
        self._waiting: list[Waiting] = []

    def look_at(
        self, rows: Normalised, ids: Ids, places: Ids, last: Flags, held: Callable[[Table], Flags]
    ) -> Flags:
        """Let rows keep the children that they do not speak of. Flags those that have to wait.

        ``last`` flags the last of the rows with the same key; ``held`` says of which rows the
        destination holds children.
        """
        wait = np.zeros(len(ids), np.bool_)
        for name in self._tables:
            absent = rows.absent.get(name)
            if len(ids) and (absent is None or not absent.all()):
                self._met.add(name)
            if absent is None:
                continue
            lacking = absent & last & held(self._tables[name])
            if lacking.any():
                before = rows.incomplete.get(name)
                rows.incomplete[name] = lacking if before is None else before | lacking
                self._lacking[name] += int(np.count_nonzero(lacking))
                if self._is_left_out(name):
                    continue
                wait |= lacking
                for one in ids[lacking].tolist():
                    self._lacks.setdefault(one, set()).add(name)
        if not self._wait:
            wait[:] = False
        if wait.any():
            self._waiting.append(Waiting(ids[wait], rows.select(wait), places[wait]))
        return wait

    def let_go(self, ids: Ids) -> None:
        """These rows turn up again, and count as they are now."""
        if not self._lacks:
            return
        for one in ids.tolist():
            for name in self._lacks.pop(one, ()):
                self._lacking[name] -= 1
        for late in self._waiting:
            keep = ~np.isin(late.ids, ids)
            if not keep.all():
                late.ids, late.places = late.ids[keep], late.places[keep]
                late.rows = late.rows.select(keep)

    def _is_left_out(self, name: str) -> bool:
        return self._lacking[name] > LEFT_OUT * self._holders.get(name, 0)

    def decide(self, questions: Questions) -> list[JsonRow]:
        """The rows as their own paths serve them, of which it is now told what they have."""
        decided = []
        for one, names in self._lacks.items():
            wanted = {name for name in names if not self._is_left_out(name)}
            place = int(np.searchsorted(self._index.keys, one))
            known = place < len(self._index) and self._index.keys[place] == one
            if not wanted or not known or questions.left <= 0:
                continue
            key = self._index.key(place)
            reply = questions.ask(key, outer_columns(self._endpoint, self._index, place))
            if reply.row is not None and all(self._tells(reply.row, name) for name in wanted):
                decided.append(reply.row)
        return decided

    def _tells(self, row: JsonRow, name: str) -> bool:
        """Whether a row tells what it has of a part; what its own path lacks may be none."""
        child = self._tables[name].child
        assert child is not None
        field, single = child.field, child.shape == "object"
        if row.get(field) is not None or (single and field in row):
            return True
        may_be_absent = not self._endpoint.row.model_fields[field].is_required()
        if may_be_absent and name in self._met:
            row[field] = None if single else {} if child.shape == "custom" else []
            return True
        return False

    def undecided(self) -> list[Waiting]:
        """The rows that still wait, and now keep the children that are held of them."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def kept(self) -> list[str]:
        """Where what is held stays, and why."""
        found = []
        for name, count in sorted(self._lacking.items()):
            if not count:
                continue
            child = self._tables[name].child
            assert child is not None
            found.append(
                f"{name} stays as it was for {count} of {self._holders.get(name, 0)} "
                f"{self._endpoint.table} that have rows there, as they come without {child.field}"
            )
        return found
