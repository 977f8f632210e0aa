"""Made-up values for the fields of a row model, from what the model says about them."""

import types
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from schemas.eduframe.models.column_types import Loose, OneOf, References, Row
from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.values import ABSENT, money, timestamp
from sources.eduframe_simulator.provider.world import World

Maker = Callable[[World], Any]


@cache
def makers(model: type[Row]) -> tuple[tuple[str, Maker], ...]:
    """How to make each field of a model. A maker may answer ``ABSENT``."""
    return tuple(
        (
            name,
            _maker(name, Annotated[info.annotation, None, *info.metadata], not info.is_required()),
        )
        for name, info in model.model_fields.items()
    )


def make(world: World, model: type[Row]) -> JsonRow:
    """A row of made-up values."""
    row: JsonRow = {}
    for name, maker in makers(model):
        value = maker(world)
        if value is not ABSENT:
            row[name] = value
    return row


def _maker(name: str, annotation: Any, may_be_absent: bool) -> Maker:
    kind, metadata, nullable = _unwrap(annotation)
    maker = _known(name, kind) or _of_kind(name, kind, metadata)
    if not nullable or any(isinstance(fact, Loose) for fact in metadata):
        return maker  # Loose fields may be null for our sake; the API does not say that they are.
    missing = ABSENT if may_be_absent else None
    nested = may_be_absent and _is_nested(kind)

    def sometimes(world: World) -> Any:
        chance = world.rng.random()
        if chance < 0.12:
            return None if nested and chance < 0.03 else missing
        return maker(world)

    return sometimes


def _unwrap(annotation: Any) -> tuple[Any, list[Any], bool]:
    """The plain type, all metadata, and whether it may be null."""
    metadata: list[Any] = []
    nullable = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            metadata += more
        elif origin in (Union, types.UnionType):
            parts = [part for part in get_args(annotation) if part is not type(None)]
            nullable = nullable or len(parts) < len(get_args(annotation))
            annotation = parts[0]
        else:
            return annotation, metadata, nullable


def _is_nested(kind: Any) -> bool:
    return get_origin(kind) is list or (isinstance(kind, type) and issubclass(kind, Row))


def _of_kind(name: str, kind: Any, metadata: list[Any]) -> Maker:
    for fact in metadata:
        if isinstance(fact, OneOf):
            return lambda world: world.rng.choice(fact.values)
        if isinstance(fact, References) and fact.column == "id":
            return lambda world: world.pick(fact.table)
    if get_origin(kind) is list:
        return _list_of(name, get_args(kind)[0])
    if get_origin(kind) is dict:
        return lambda world: {}
    if isinstance(kind, type) and issubclass(kind, Row):
        return lambda world: make(world, kind)
    return _PLAIN[kind]


def _list_of(name: str, item: Any) -> Maker:
    maker = _maker(name, item, may_be_absent=False)
    if _is_nested(_unwrap(item)[0]):
        return lambda world: [maker(world) for _ in range(world.rng.choice((0, 1, 1, 2, 3)))]
    return lambda world: list(
        dict.fromkeys(maker(world) for _ in range(world.rng.choice((0, 1, 1, 2))))
    )


def _some_day(world: World) -> str:
    return (world.now.date() - timedelta(days=world.rng.randrange(-90, 640))).isoformat()


def _some_time(world: World) -> str:
    return timestamp(world.now - timedelta(seconds=world.rng.randrange(640 * 86_400)))


_PLAIN: dict[Any, Maker] = {
    bool: lambda world: world.rng.random() < 0.7,
    int: lambda world: world.rng.randrange(1, 20),
    str: lambda world: world.rng.choice(words.PLAIN),
    Decimal: lambda world: money(world.rng.randrange(50, 250) * 10 + 0.5),
    date: _some_day,
    datetime: _some_time,
}

_KNOWN: dict[str, Maker] = {
    "id": lambda world: world.nested_id(),
    "created_at": lambda world: world.created_at,
    "updated_at": lambda world: world.updated_at,
    "currency": lambda world: "EUR",
    "cost_scheme": lambda world: world.rng.choice(("order", "student", "student", "student")),
    "country": lambda world: world.rng.choice(("NL", "NL", "NL", "NL", "BE", "DE", "IS", "US")),
    "address_line2": lambda world: "Building 4\nFloor 2",
    "addressee": lambda world: words.full_name(words.person(world.rng)),
    "postal_code": lambda world: f"{world.rng.randrange(1000, 9999)} AB",
    "city": lambda world: world.rng.choice(words.CITIES),
    "color": lambda world: f"#{world.rng.randrange(16**6):06x}",
    "phone": lambda world: f"+31 20 {world.rng.randrange(1000000, 9999999)}",
    "email": lambda world: f"contact{world.rng.randrange(10**6)}@example.com",
    "comment": lambda world: world.rng.choice(words.REMARKS),
    "description": lambda world: world.rng.choice(words.REMARKS),
    "notes_user": lambda world: world.rng.choice(words.REMARKS),
    "note": lambda world: world.rng.choice(words.REMARKS),
    "footnote": lambda world: world.rng.choice(words.REMARKS),
    "content": lambda world: world.rng.choice(words.REMARKS),
    "customer_comment": lambda world: world.rng.choice(words.REMARKS),
    "attendable_type": lambda world: "Meeting",
    "is_published": lambda world: world.rng.random() < 0.85,
    "uid": lambda world: f"{world.rng.getrandbits(64):016x}",
    "event_id": lambda world: world.uuid(),
    "position": lambda world: world.place,
}


def _street(world: World) -> str:
    return f"{world.rng.choice(words.STREETS)} {world.rng.randrange(1, 250)}"


def _known(name: str, kind: Any) -> Maker | None:
    if name == "address" and kind is str:  # Elsewhere it is a whole address.
        return _street
    if name in _KNOWN:
        return _KNOWN[name]
    if name == "teacher_label_ids":  # The story of planning events knows which labels there are.
        return _list_of("label", int)
    if name == "avatar" or name.endswith(("_url", "_link")) or name == "url":
        return lambda world: f"https://files.example.com/{name}/{world.rng.getrandbits(40):010x}"
    if name.endswith("_count"):
        return lambda world: 0
    if name.endswith("_number"):
        return lambda world: f"{world.rng.randrange(10**6):07d}"
    return None
