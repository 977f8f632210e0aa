"""Filling the store: how rows come to be, list by list, and one by one later on.

What a row of a list looks like comes from its model (`provider/fields.py`); what makes it
plausible stands in `stories/`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sources.eduframe_simulator import stories
from sources.eduframe_simulator.provider.fields import make
from sources.eduframe_simulator.provider.sizes import count
from sources.eduframe_simulator.provider.store import BY_TABLE, Ident, JsonRow, Scope, Store
from sources.eduframe_simulator.provider.values import ABSENT, timestamp
from sources.eduframe_simulator.provider.world import SPAN, Place, World

LARGE_IDS = ("attendances", "certificates", "invoices", "credits")
"""Lists whose later ids do not fit into 32 bits."""


class Filler:
    """Makes rows, and puts them into a store. The same seed gives the same rows everywhere."""

    def __init__(self, store: Store, seed: int, educator_id: int, as_of: datetime) -> None:
        self._store = store
        self._world = World(store, seed, educator_id, as_of)
        self._as_of = as_of
        self._last_ids: dict[str, int] = {}
        self.gone: list[tuple[str, JsonRow]] = []

    def fill(self, scale: float, counts: Mapping[str, int]) -> None:
        """Make all lists. ``counts`` overrides the number of rows of single lists."""
        unknown = counts.keys() - set(stories.ORDER)
        if unknown:
            raise ValueError(f"no list of a settable length: {', '.join(sorted(unknown))}")
        self._world.filling = True
        self.add("educators", Place(0, 1, {}), {})
        for table in stories.ORDER:
            scopes = self._scopes_to_fill(table)
            natural = len(scopes) if table == "payments" else count(table, scale)
            self._fill_list(table, scopes, counts.get(table, natural))
        stories.settle(self._world)
        self.gone = stories.gone(self._world)
        self._world.forget()

    def _scopes_to_fill(self, table: str) -> list[Scope]:
        if table == "payments":
            return stories.invoicing.payers(self._world)
        return list(self._store.scopes(table)) if BY_TABLE[table].params else [()]

    def _fill_list(self, table: str, scopes: list[Scope], n: int) -> None:
        params = BY_TABLE[table].params
        step = SPAN / max(n, 1)
        for i in range(n if scopes else 0):
            created = self._as_of - SPAN + step * (i + self._world.rng.random() * 0.9)
            self._set_times(created, self._changed_after(created))
            scope = dict(zip(params, scopes[i % len(scopes)], strict=True))
            self.add(table, Place(i, n, scope), {})

    def add(self, table: str, place: Place, values: JsonRow) -> JsonRow:
        """Make one row with these values, put it into its list, and return it."""
        endpoint = BY_TABLE[table]
        model = endpoint.row
        outer: JsonRow = {
            name: int(value) if model.model_fields[name].annotation is int else value
            for name, value in place.scope.items()
            if name in model.model_fields
        }
        self._world.place = place.i
        row = make(self._world, model) | outer | values
        scope = tuple(place.scope[param] for param in endpoint.params)
        if "id" in model.model_fields:
            row["id"] = values["id"] if "id" in values else self._next_id(table, scope)
        stories.tell(table, self._world, row, place)
        row = {name: value for name, value in (row | values).items() if value is not ABSENT}
        ident = row["id"] if "id" in row else self._next_serial(table, scope)
        self._store.put(table, ident, row, scope)
        return row

    def add_now(self, table: str, now: datetime, params: Scope, values: JsonRow) -> JsonRow:
        """A new row, created and changed ``now``."""
        self._world.now = now
        self._set_times(now, now)
        n = len(self._store.list_at(table, params).idents)
        scope = dict(zip(BY_TABLE[table].params, params, strict=True))
        return self.add(table, Place(n, n + 1, scope), values)

    def _set_times(self, created: datetime, updated: datetime) -> None:
        self._world.created_at, self._world.updated_at = timestamp(created), timestamp(updated)

    def _changed_after(self, created: datetime) -> datetime:
        """When a row was last changed: never since, some time later, or with many others."""
        chance = self._world.rng.random()
        if chance < 0.3:
            return created
        if chance < 0.5:
            month = timedelta(days=91)
            return created + month - (created - self._as_of) % month
        later = created + timedelta(days=self._world.rng.expovariate(1 / 20))
        latest = self._as_of - timedelta(seconds=self._world.rng.randrange(1, 86_400))
        return max(created, min(later, latest))

    def _next_serial(self, table: str, scope: Scope) -> int:
        return 1 + max(self._store.list_at(table, scope).idents[-1:], default=-1)

    def _next_id(self, table: str, scope: Scope) -> Ident:
        if BY_TABLE[table].row.model_fields["id"].annotation is str:
            return self._world.uuid()
        if len(BY_TABLE[table].key) > 1:  # Ids that are unique only within one parent.
            return 1 + max(self._store.list_at(table, scope).idents[-1:], default=0)
        last = self._last_ids.get(table) or max(
            (ident for rows in self._store.lists[table].values() for ident in rows.idents[-1:]),
            default=self._world.rng.randrange(1, 500),
        )
        if table in LARGE_IDS and last < 2**31 and self._world.place > 20:
            last += 2**31
        last += self._world.rng.choice((1, 1, 1, 1, 2, 3, 7))
        while self._store.get(table, last) is not None:  # Given to a row that was added with it.
            last += 1
        self._last_ids[table] = last
        return self._last_ids[table]


def filled(
    seed: int, scale: float, counts: Mapping[str, int], educator_id: int, as_of: datetime
) -> tuple[Store, Filler]:
    """A store with everything in it, and what adds more rows to it."""
    store = Store()
    filler = Filler(store, seed, educator_id, as_of)
    filler.fill(scale, counts)
    return store, filler
