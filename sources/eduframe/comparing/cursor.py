"""The cursor: the greatest ``updated_at`` of a row and its nested parts."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from schemas.eduframe.models.column_types import parse_timestamp
from sources.eduframe.declare import Endpoint, JsonRow

_CANONICAL = len("2026-01-31T09:30:00.000Z")


def nested_updates(endpoint: Endpoint) -> tuple[str, ...]:
    """The nested parts whose rows have an ``updated_at`` of their own."""
    return tuple(
        child.field
        for child in endpoint.children
        if child.row is not None and "updated_at" in child.row.model_fields
    )


def newest_text(row: JsonRow, nested: tuple[str, ...]) -> str | None:
    """The greatest ``updated_at`` of a row and its nested parts, to the millisecond.

    None where one of them is missing or odd: such a row is always looked at.
    """
    found = [row.get("updated_at")]
    for name in nested:
        part = row.get(name)
        if isinstance(part, dict):
            found.append(part.get("updated_at"))
        elif isinstance(part, list):
            found += [item.get("updated_at") if isinstance(item, dict) else None for item in part]
        elif part is not None:
            return None
    newest = ""
    for text in found:
        if not isinstance(text, str):
            return None
        if len(text) != _CANONICAL or text[-1] != "Z" or text[10] != "T":
            try:
                text = to_the_millisecond(parse_timestamp(text))
            except ValueError:
                return None
        if text > newest:
            newest = text
    return newest


def newest_update(tables: Mapping[str, pa.Table]) -> datetime | None:
    """The greatest ``updated_at`` in the tables of a batch, nested parts included."""
    found = [
        pc.max(table.column("updated_at")).as_py()
        for table in tables.values()
        if "updated_at" in table.column_names
    ]
    return max((moment for moment in found if moment), default=None)


def to_the_millisecond(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
