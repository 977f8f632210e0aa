"""A made-up training provider: how many rows each list has, and how they come to be.

The same seed, scale and counts give the same data on every machine. What a row of a list looks
like comes from its model (`fields.py`); what makes it plausible stands in `stories/`.
"""

import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sources.simulator import stories
from sources.simulator.fields import ABSENT, make, timestamp
from sources.simulator.store import BY_TABLE, Ident, JsonRow, Scope, Store

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""When the made-up data ends."""
SPAN = timedelta(days=730)
"""How far it goes back."""

GROWING = {
    "users": 250,
    "accounts": 60,
    "affiliations": 120,
    "authentications": 120,
    "teachers": 14,
    "courses": 40,
    "programs": 6,
    "catalog_products": 46,
    "planned_courses": 120,
    "program_editions": 10,
    "catalog_variants": 130,
    "meetings": 600,
    "planning_events": 80,
    "planning_conflicts": 12,
    "teacher_enrollments": 150,
    "orders": 300,
    "enrollments": 900,
    "attendances": 2500,
    "invoices": 300,
    "program_elements": 40,
    "program_edition_elements": 40,
    "program_enrollments": 60,
    "personal_program_elements": 120,
    "certificates": 150,
    "credits": 150,
    "leads": 80,
    "organizations": 6,
    "organization_accounts": 15,
    "organization_affiliations": 15,
    "organization_invoices": 20,
    "organization_orders": 20,
    "tasks": 60,
    "theses": 12,
    "custom_records": 30,
    "webhook_notifications": 12,
    "webhook_failed_notifications": 6,
    "planning_teachers": 14,
}
"""How many rows at scale 1; they grow with the scale."""

FIXED = {
    "labels": 24,
    "categories": 8,
    "course_locations": 5,
    "course_tabs": 4,
    "course_variants": 4,
    "credit_categories": 3,
    "custom_objects": 3,
    "custom_associations": 8,
    "signup_questions": 14,
    "custom_field_options": 24,
    "discount_codes": 8,
    "edition_description_sections": 3,
    "invoice_vats": 3,
    "material_groups": 4,
    "materials": 15,
    "meeting_locations": 12,
    "payment_methods": 4,
    "payment_options": 3,
    "referrals": 6,
    "teacher_roles": 3,
    "webhooks": 3,
    "planning_locations": 12,
    "planning_materials": 15,
}
"""How many rows at any scale above 0."""

LARGE_IDS = ("attendances", "certificates", "invoices", "credits")
"""Lists whose later ids do not fit into 32 bits."""


class Place(NamedTuple):
    """Where a row stands: the ``i``-th of ``n``, in the list of these path parameters."""

    i: int
    n: int
    scope: Mapping[str, str]


class World:
    """Makes rows, and puts them into a store."""

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
        self._last_ids: dict[str, int] = {}

    # What stories and field makers use

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

    # Filling

    def fill(self, scale: float, counts: Mapping[str, int]) -> None:
        """Make all lists. ``counts`` overrides the number of rows of single lists."""
        unknown = counts.keys() - set(stories.ORDER)
        if unknown:
            raise ValueError(f"no list of a settable length: {', '.join(sorted(unknown))}")
        self.add("educators", Place(0, 1, {}), {})
        for table in stories.ORDER:
            scopes = self._scopes_to_fill(table)
            natural = len(scopes) if table == "payments" else _count(table, scale)
            self._fill_list(table, scopes, counts.get(table, natural))
        stories.settle(self)
        self.memo.clear()

    def _scopes_to_fill(self, table: str) -> list[Scope]:
        if table == "payments":
            return stories.sales.payers(self)
        return list(self.store.scopes(table)) if BY_TABLE[table].params else [()]

    def _fill_list(self, table: str, scopes: list[Scope], n: int) -> None:
        params = BY_TABLE[table].params
        step = SPAN / max(n, 1)
        for i in range(n if scopes else 0):
            created = NOW - SPAN + step * (i + self.rng.random() * 0.9)
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
        self.place = place.i
        row = make(self, model) | outer | values
        scope = tuple(place.scope[param] for param in endpoint.params)
        if "id" in model.model_fields:
            row["id"] = values["id"] if "id" in values else self._next_id(table, scope)
        stories.tell(table, self, row, place)
        row = {name: value for name, value in (row | values).items() if value is not ABSENT}
        ident = row["id"] if "id" in row else self._next_serial(table, scope)
        self.store.put(table, ident, row, scope)
        return row

    def add_now(self, table: str, now: datetime, params: Scope, values: JsonRow) -> JsonRow:
        """A new row, created and changed ``now``."""
        self.now = now
        self._set_times(now, now)
        n = len(self.store.list_at(table, params).idents)
        scope = dict(zip(BY_TABLE[table].params, params, strict=True))
        return self.add(table, Place(n, n + 1, scope), values)

    def _set_times(self, created: datetime, updated: datetime) -> None:
        self.created_at, self.updated_at = timestamp(created), timestamp(updated)

    def _changed_after(self, created: datetime) -> datetime:
        """When a row was last changed: never since, some time later, or with many others."""
        chance = self.rng.random()
        if chance < 0.3:
            return created
        if chance < 0.5:
            month = timedelta(days=91)
            return created + month - (created - NOW) % month
        later = created + timedelta(days=self.rng.expovariate(1 / 20))
        return min(later, NOW - timedelta(seconds=self.rng.randrange(1, 86_400)))

    def _next_serial(self, table: str, scope: Scope) -> int:
        return 1 + max(self.store.list_at(table, scope).idents[-1:], default=-1)

    def _next_id(self, table: str, scope: Scope) -> Ident:
        if BY_TABLE[table].row.model_fields["id"].annotation is str:
            return self.uuid()
        if len(BY_TABLE[table].key) > 1:  # Ids that are unique only within one parent.
            return 1 + max(self.store.list_at(table, scope).idents[-1:], default=0)
        last = self._last_ids.get(table) or max(
            (ident for rows in self.store.lists[table].values() for ident in rows.idents[-1:]),
            default=self.rng.randrange(1, 500),
        )
        if table in LARGE_IDS and last < 2**31 and self.place > 20:
            last += 2**31
        last += self.rng.choice((1, 1, 1, 1, 2, 3, 7))
        while self.store.get(table, last) is not None:  # Given to a row that was added with it.
            last += 1
        self._last_ids[table] = last
        return self._last_ids[table]


def _count(table: str, scale: float) -> int:
    if scale <= 0:
        return 0
    return FIXED[table] if table in FIXED else max(1, round(GROWING[table] * scale))


def filled(
    seed: int, scale: float, counts: Mapping[str, int], educator_id: int
) -> tuple[Store, World]:
    """A store with everything in it, and the world that can add more."""
    store = Store()
    world = World(store, seed, educator_id)
    world.fill(scale, counts)
    return store, world
