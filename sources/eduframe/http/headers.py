"""What the API says in headers: its clock, and how long it wants to be left alone."""

import email.utils
import re
import time
from datetime import UTC, datetime
from functools import lru_cache

_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
RETRY_AFTER_DEFAULT = 30.0
"""Seconds to wait after a 429 that does not say how long."""
RETRY_AFTER_MOST = 31 * 86_400.0
"""What asks for a longer wait than a month is nonsense."""
RETRY_5XX_MOST = 120.0
"""As the server that fails is asked by each list for itself, it is not waited for longer."""
STAMPS = range(1_000_000_000, 100_000_000_000)
"""Numbers that are no seconds to wait, but seconds since 1970; a thousand times that: ms."""
YEARS = range(2000, 2200)
"""In these a server's clock is right, or may be."""


def server_date(header: str | None) -> datetime | None:
    """The ``Date`` header: the server's clock, to the second. None for none, and for nonsense."""
    return _http_date(header.strip()) if header else None


@lru_cache(maxsize=16)  # the answers of one second have the same
def _http_date(text: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):  # all of them occur
        return None
    return moment if moment.year in YEARS else None


def charset(content_type: str | None) -> str | None:
    """The character set that a ``Content-Type`` names."""
    found = _CHARSET.search(content_type or "")
    return found[1] if found else None


def asked_wait(header: str | None, now: float | None = None) -> float | None:
    """Seconds that a ``Retry-After`` header asks to wait; None for none, and for nonsense.

    It holds seconds or an HTTP date; a time stamp, in seconds or milliseconds since 1970, is read
    as a time. ``now`` is the server's clock, as a time stamp.
    """
    if not header:
        return None
    text = header.split(",")[0].strip() if header.strip()[:1].isdigit() else header.strip()
    now = time.time() if now is None else now
    moment = _http_date(text)
    if moment is not None:
        seconds = moment.timestamp() - now
    elif re.fullmatch(r"[0-9]{1,14}(\.[0-9]*)?", text):
        seconds = float(text)
        for scale in (1, 1000):
            if int(seconds / scale) in STAMPS:
                seconds = seconds / scale - now
                break
    else:
        return None
    return max(0.0, seconds) if seconds <= RETRY_AFTER_MOST else None


def pause_asked_for(header: str | None, now: float | None = None) -> float:
    """Seconds that a failing server asks to be left alone, up to :data:`RETRY_5XX_MOST`."""
    return min(asked_wait(header, now) or 0.0, RETRY_5XX_MOST)


def retry_after(header: str | None, now: float | None = None) -> float:
    """Seconds to wait after a 429: see :func:`asked_wait`, or else a default."""
    seconds = asked_wait(header, now)
    return RETRY_AFTER_DEFAULT if seconds is None else seconds
