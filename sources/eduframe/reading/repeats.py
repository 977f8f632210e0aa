"""Whether a list keeps its rows in place while it is read: if it serves some twice, it may leave
out others, and does so again in the next read where its order leaves ties to chance."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sources.eduframe.declare import Endpoint
from sources.eduframe.reading.questions import item_params
from sources.eduframe.rows.keys import Ids

UNSTEADY = (
    "the list, which is in no order of keys, gave rows twice, and so may have left out others"
)


def needs_steadiness(endpoint: Endpoint) -> bool:
    """Whether nothing but its place in the list tells of a row."""
    alone = endpoint.paged and not endpoint.params and endpoint.key != ("_row_hash",)
    return alone and item_params(endpoint) is None


@dataclass
class Repeats:
    """The rows of a list that came more than once, page after page.

    The end of a page that comes again at the start of the next one does not count: so rows shift
    that lie behind a new one, and none is left out.
    """

    columns: Sequence[str]
    """Of the key."""
    _met: list[Ids] = field(init=False, default_factory=list)
    _shifted: int = field(init=False, default=0)

    def take(self, rows: Sequence[Any]) -> None:
        """Note a page."""
        keys = [hash(tuple(map(row.get, self.columns))) for row in rows if isinstance(row, dict)]
        page = np.array(keys, np.int64)
        if self._met:
            before = self._met[-1]
            longest = range(min(len(before), len(page)), 0, -1)
            same = (n for n in longest if np.array_equal(before[-n:], page[:n]))
            self._shifted += next(same, 0)
        self._met.append(page)

    @property
    def count(self) -> int:
        """How many rows came again, at another place."""
        met = np.concatenate([np.zeros(0, np.int64), *self._met])
        return len(met) - len(np.unique(met)) - self._shifted
