"""What a destination bills for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """What was asked of a destination; None where it does not tell."""

    statements: int | None = None
    bytes_read: int | None = None

    def since(self, before: "Usage") -> "Usage":
        """What came after an earlier look."""
        return Usage(
            _less(self.statements, before.statements),
            _less(self.bytes_read, before.bytes_read),
        )


def _less(now: int | None, before: int | None) -> int | None:
    return None if now is None else now - (before or 0)
