"""What the API says in headers: its clock, and how long it wants to be left alone."""

import email.utils
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
RETRY_AFTER_DEFAULT = 30.0
"""Seconds to wait after a 429 that does not say how long."""
RETRY_AFTER_MOST = 86_400.0
RETRY_5XX_MOST = 120.0
"""As the server that fails is asked by each list for itself, it is not waited for longer."""


def server_date(header: str | None) -> datetime | None:
    """The ``Date`` header: the server's clock, to the second."""
    return _http_date(header)


@lru_cache(maxsize=16)  # the answers of one second have the same
def _http_date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def charset(content_type: str | None) -> str | None:
    """The character set that a ``Content-Type`` names."""
    found = _CHARSET.search(content_type or "")
    return found[1] if found else None


def pause_asked_for(header: str | None) -> float:
    """Seconds that a failing server asks to be left alone, up to :data:`RETRY_5XX_MOST`."""
    return min(retry_after(header), RETRY_5XX_MOST) if header else 0.0


def retry_after(header: str | None, now: Callable[[], float] = time.time) -> float:
    """Seconds to wait by a ``Retry-After`` header: seconds, an HTTP date, or a default."""
    if not header:
        return RETRY_AFTER_DEFAULT
    try:
        seconds = float(header)
    except ValueError:
        moment = _http_date(header)
        if moment is None:
            return RETRY_AFTER_DEFAULT
        seconds = moment.timestamp() - now()
    if seconds != seconds:
        return RETRY_AFTER_DEFAULT
    return min(max(0.0, seconds), RETRY_AFTER_MOST)
