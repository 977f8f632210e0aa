"""How the API writes values: money, times, and keys that are not there."""

from datetime import datetime
from decimal import Decimal
from typing import Any

ABSENT: Any = object()
"""Stands for a key that the row does not have."""


def money(amount: Decimal | float) -> str:
    """An amount as the API writes it."""
    return f"{amount:.2f}"


def timestamp(moment: datetime) -> str:
    """A UTC moment as the API writes it."""
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


def born(row: dict[str, Any], created: str) -> None:
    """Let a row be made at this time, and not be changed before."""
    row["created_at"] = created
    if "updated_at" in row:
        row["updated_at"] = max(created, row["updated_at"])
