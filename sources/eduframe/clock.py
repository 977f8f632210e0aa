"""Moments: now, and as text in the state (ISO 8601, UTC)."""

from datetime import UTC, datetime


def now_utc() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def parse(text: str | None) -> datetime | None:
    """A moment that was stored as text; None for none."""
    return datetime.fromisoformat(text) if text else None
