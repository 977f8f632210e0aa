"""The made-up provider while its rows are being made: its dice, its clock, and the rows so far.

Whoever makes a row (`fields.py`, the stories) gets this to ask for what is there already.
"""

import random
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sources.eduframe_simulator.provider.store import Ident, JsonRow, Store
from sources.eduframe_simulator.provider.values import timestamp

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""When the made-up data ends, unless another moment is given: the same for all time, for tests."""
ZONE = ZoneInfo("Europe/Amsterdam")
"""Where the provider is: its office hours and days."""
SPAN = timedelta(days=730)
"""How far it goes back."""


def this_day() -> datetime:
    """The beginning of today, in UTC: whoever makes a provider as of it gets the same all day."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


class Place(NamedTuple):
    """Where a row stands: the ``i``-th of ``n``, in the list of these path parameters."""

    i: int
    n: int
    scope: Mapping[str, str]


class World:
    """What makers of rows may use: dice, ids, other rows, and the moment of the row at hand."""

    rng: random.Random
    place: int
    created_at: str
    updated_at: str

    def __init__(
        self, store: Store, seed: int, educator_id: int, as_of: datetime = NOW
    ) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.educator_id = educator_id
        self.now = as_of
        self.filling = False
        """Whether all lists are being made, one after the other; else single rows come to them."""
        self.place = 0
        self.created_at = self.updated_at = timestamp(as_of)
        self.memo: dict[str, Any] = {}
        """What a story remembers from one row to the next, while all lists are being made."""
        self._known: dict[str, dict[Ident, JsonRow]] = {}
        self._all: dict[str, list[JsonRow]] = {}
        self._nested_id = 1000

    @property
    def today(self) -> date:
        """What day it is at the provider."""
        return self.now.astimezone(ZONE).date()

    def ids(self, table: str) -> list[Ident]:
        """The ids of a list's rows, in order."""
        return self.store.list_at(table).idents

    def get(self, table: str, ident: Ident) -> JsonRow:
        """A row, not to be changed; empty where it does not exist."""
        if not self.filling:
            return self.store.get(table, ident) or {}
        known = self._known.setdefault(table, {})
        if ident not in known:
            row = self.store.get(table, ident)
            if row is None:
                return {}
            known[ident] = row
        return known[ident]

    def all(self, table: str) -> list[JsonRow]:
        """All rows of a list, not to be changed."""
        ids = self.ids(table)
        rows = self._all.get(table)
        if rows is None or len(rows) != len(ids):
            rows = [self.get(table, ident) for ident in ids]
            if self.filling:
                self._all[table] = rows
        return rows

    def put(self, table: str, row: JsonRow) -> None:
        """Give a row other values than it was put into its list with."""
        self.store.put(table, row["id"], row)
        self._known.get(table, {}).pop(row["id"], None)
        self._all.pop(table, None)

    def forget(self) -> None:
        """All lists are made: whatever was remembered of them may change from now on."""
        self.filling = False
        self.memo.clear()
        self._known.clear()
        self._all.clear()

    def pick(self, table: str) -> Any:
        """The id of some row. Where the list is empty, a number without a row."""
        ids = self.ids(table)
        return self.rng.choice(ids) if ids else self.rng.randrange(1, 1000)

    def nested_id(self) -> int:
        """An id for a nested row."""
        self._nested_id += self.rng.randrange(1, 4)
        return self._nested_id

    def uuid(self) -> str:
        """A random id of the long kind."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
