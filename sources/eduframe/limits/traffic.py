"""What the requests for one resource cost."""

import threading
from collections import Counter
from dataclasses import dataclass, field

MOST_CAUSES = 20
"""Causes that are counted each by itself: a server may find ever new words."""


@dataclass
class Traffic:
    """What the requests for one resource cost; counted here, shown in the summary."""

    requests: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    """Why requests were tried again."""
    waited: float = 0.0
    """Seconds spent waiting for the limit."""
    late: int = 0
    """How many requests, the latest ones, got no answer in time."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, requests: int = 0, waited: float = 0.0) -> None:
        with self.lock:
            self.requests += requests
            self.waited += waited

    def retry(self, cause: object) -> None:
        with self.lock:
            text = str(cause)
            known = text in self.causes or len(self.causes) < MOST_CAUSES
            self.causes[text if known else "other causes"] += 1

    def in_time(self, answered: bool) -> None:
        with self.lock:
            self.late = 0 if answered else self.late + 1

    @property
    def retries(self) -> int:
        """How many requests were tried again."""
        return self.causes.total()
