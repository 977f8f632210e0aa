"""The made-up provider while its rows are being made: its dice, its clock, and the rows so far.

Whoever makes a row (`fields.py`, the stories) gets this to ask for what is there already.
"""

import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sources.eduframe_simulator.provider.store import Ident, JsonRow, Store
from sources.eduframe_simulator.provider.values import timestamp

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""When the made-up data ends."""
SPAN = timedelta(days=730)
"""How far it goes back."""


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

    def __init__(self, store: Store, seed: int, educator_id: int) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.educator_id = educator_id
        self.now = NOW
        self.place = 0
        self.created_at = self.updated_at = timestamp(NOW)
        self.memo: dict[str, Any] = {}
        """What a story remembers from one row to the next."""
        self._nested_id = 1000

    def ids(self, table: str) -> list[Ident]:
        """The ids of a list's rows, in order."""
        return self.store.list_at(table).idents

    def get(self, table: str, ident: Ident) -> JsonRow:
        """A row; empty where it does not exist."""
        return self.store.get(table, ident) or {}

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
