"""The audit's requests: never more than were asked for, whatever they are for."""

from sources.eduframe.errors import StoppedError
from sources.eduframe.limits.rate_limiter import Limiter


class UsedUpError(StoppedError):
    """All requests of the audit are made."""


class AtMost(Limiter):
    """A limiter that lets so many requests through in all, retries and redirects included."""

    def __init__(self, requests: int, window: float, most: int) -> None:
        super().__init__(requests, window)
        self.unspent = most
        """How many may still be made."""

    def acquire(self) -> float:
        """As the limiter does.

        Raises:
            UsedUpError: no request is left.
        """
        if self.unspent <= 0:
            raise UsedUpError("the audit's requests are used up")
        waited = super().acquire()
        self.unspent -= 1
        return waited
