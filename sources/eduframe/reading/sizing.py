"""How long a list is that was never read: found by asking for pages far ahead.

No answer of the API tells a total. Where a page can be asked for by its number, some ten requests
tell the number of pages to a quarter, which is worth it once a list has shown that it is long.
"""

import logging
from collections.abc import Sequence
from typing import Any

from sources.eduframe.errors import ResourceError
from sources.eduframe.reading.fetching import Fetcher

LONG = 200
"""A list with more pages is worth these requests: where 20,000 rows are all that a customer has, a
first load takes none beside its pages. They go on …"""
PRECISE = 4
"""… until the number of pages is known to one part in so many."""

log = logging.getLogger("eduframe.reader")


def pages_of(fetcher: Fetcher, first: Sequence[Any], known: int) -> int | None:
    """About how many pages a list has in all; None where that cannot be told.

    Args:
        first: the rows of its first page.
        known: so many pages it has at least.

    Raises:
        StoppedError: a stop was asked for.
        AuthenticationError: the token is no longer accepted.
    """
    low, high = known, 0
    while not high or high - low > max(1, low // PRECISE):
        number = (low + high) // 2 if high else 2 * low
        try:
            page = fetcher.numbered(number)
        except ResourceError as refusal:
            log.debug("how long a list is cannot be told: %s", refusal)
            return None
        if page.rows and page.rows[0] == first[0]:
            return None  # numbers are not looked at
        if not page.rows:
            high = number
        elif page.next_url is None:
            return number
        else:
            low = number
    return (low + high) // 2


def tell_of_many(fetcher: Fetcher, name: str, requests: int, what: str, more: str = "") -> None:
    """Say beforehand what reading a list takes."""
    limiter = fetcher.client.limiter
    minutes = requests * limiter.window / limiter.requests / 60
    log.info(
        "%s: %s requests, %s, take about %s of the whole request limit%s", name,
        f"{requests:,}", what, in_minutes(minutes), more,
    )


def in_minutes(minutes: float) -> str:
    """How long that is: ``90 minutes``, and ``13 hours`` where they are many."""
    number, unit = (minutes / 60, "hour") if minutes >= 180 else (max(minutes, 1.0), "minute")
    return f"{number:.0f} {unit}{'' if round(number) == 1 else 's'}"
