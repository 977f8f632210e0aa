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
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
