"""What may be set differently from one resource to the next."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Deletes = Literal["soft", "hard", "ignore"]


@dataclass(frozen=True)
class Policy:
    """The settings that may differ from resource to resource."""

    reconcile_every: timedelta = timedelta(days=1)
    deletes: Deletes = "soft"
    max_delete_share: float = 0.2
    allow_mass_delete: bool = False
    max_absence_questions: int = 100
    """So many missing rows of a list are asked for in a run, each by its own path."""
