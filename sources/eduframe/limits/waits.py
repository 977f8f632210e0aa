"""Waits of the whole client, and how their end is told."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Wait:
    """A wait of the whole client: nothing is sent until it ends."""

    reason: str
    seconds: float
    """What is left of it."""
    until: datetime
    """When it ends, by the machine's clock."""


def from_now(seconds: float) -> datetime:
    now = datetime.now(UTC)
    with suppress(OverflowError):
        return now + timedelta(seconds=seconds)
    return now


def told(moment: datetime) -> str:
    local = moment.astimezone()
    same_day = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if same_day else f"{local:%Y-%m-%d %H:%M}"

