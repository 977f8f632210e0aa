"""Asking for single rows, by their list's item path: the second witness of what is missing."""

import logging
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from sources.eduframe.declare import Endpoint, JsonRow
from sources.eduframe.digest import key_id
from sources.eduframe.errors import ResourceError, ResourceOffError, StoppedError
from sources.eduframe.reading.fetching import Fetcher
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.rows.normalise import key_of
from sources.eduframe.rows.tables import MAIN_TABLES

log = logging.getLogger("eduframe.gone")

WITNESSES = 5
"""One of so many rows that are there must answer, for a 404 to prove anything."""
UNCLEAR = 3
"""After so many answers that do not tell, no other row is asked."""

Said = Literal["there", "absent", "refused", "unclear"]


@dataclass(frozen=True)
class Reply:
    """What a row's own path said: the row, 404, 403, or nothing that tells."""

    said: Said
    row: JsonRow | None = None
    why: str = ""
    """What came instead of an answer that tells."""


def item_params(endpoint: Endpoint) -> dict[str, str] | None:
    """The parameters of the item path, each with the key column that it takes; None without one.

    A parameter that is named otherwise than a column takes the ``id``.
    """
    if endpoint.item_path is None or endpoint.key == ("_row_hash",):
        return None
    names = [part[1:-1] for part in endpoint.item_path.split("/") if part.startswith("{")]
    return {name: name if name in endpoint.key else "id" for name in names}


def needs_names(endpoint: Endpoint) -> bool:
    """Whether rows are asked for by more than the number that stands for their key."""
    if item_params(endpoint) is None:
        return False
    types = {column.name: column.type for column in MAIN_TABLES[endpoint.table].columns}
    return endpoint.key != ("id",) or types["id"] != "bigint"


class Questions:
    """Asks for rows of one list, so many at the most."""

    def __init__(self, endpoint: Endpoint, fetcher: Fetcher, most: int) -> None:
        self._endpoint = endpoint
        self._fetcher = fetcher
        self._params = item_params(endpoint)
        self.left = most if self._params is not None else 0
        """How many more may be asked."""
        self.asked = 0

    def ask(self, key: tuple[Any, ...], outer: JsonRow) -> Reply:
        """What the row's own path says. ``outer`` are columns that the answer may lack.

        Raises:
            AuthenticationError: the token is no longer accepted.
        """
        self.left -= 1
        self.asked += 1
        return self._ask(key, outer)

    def _ask(self, key: tuple[Any, ...], outer: JsonRow) -> Reply:
        endpoint = self._endpoint
        assert endpoint.item_path is not None
        assert self._params is not None
        named = dict(zip(endpoint.key, key, strict=True))
        path = endpoint.item_path.format(
            **{name: quote(str(named[column]), safe="") for name, column in self._params.items()}
        )
        shown = self._fetcher.client.shown(path)
        try:
            row = self._fetcher.item(path)
        except ResourceOffError as off:
            if off.status == 404:
                return Reply("absent")
            return Reply("refused", why=f"{shown} answered {off.status}")
        except StoppedError:
            self.left = 0
            return Reply("unclear", why="the run was stopped")
        except ResourceError as error:
            log.warning("%s: cannot tell whether it is gone: %s", shown, error)
            return Reply("unclear", why=str(error))
        from_path = {n: v for n, v in named.items() if endpoint.params and n != "id"}
        whole = {**from_path, **outer, **row}
        met = key_of(endpoint, whole)
        if met is None or key_id(met) != key_id(key) or not looks_like_a_row(endpoint, row):
            log.warning("%s: cannot tell whether it is gone: something else came", shown)
            return Reply("unclear", why=f"{shown} serves something else")
        return Reply("there", whole)

    def answered(self, keys: list[tuple[Any, ...]]) -> tuple[Said, str]:
        """Whether rows can be asked for: what the paths of rows that are there say, and why.

        "there": so a 404 proves something. "absent" or "refused": the item path is of no use.
        "unclear": that cannot be told now. One row whose path is odd speaks for no other, but of a
        server that fails not many are asked.
        """
        said: Said = "unclear"
        why, unclear = "", 0
        for key in keys[:WITNESSES]:
            reply = self._ask(key, {})
            said, why = reply.said, reply.why and f" ({reply.why})"
            unclear += said == "unclear"
            if said == "there" or unclear >= UNCLEAR:
                break
        return ("unclear" if unclear and said != "there" else said), why


def looks_like_a_row(endpoint: Endpoint, row: JsonRow) -> bool:
    """Whether an answer has most of the fields of a row, and is no error or row of another kind."""
    fields = endpoint.row.model_fields.keys()
    return 2 * len(fields & row.keys()) >= len(fields)


def outer_columns(endpoint: Endpoint, index: RowIndex, place: int) -> JsonRow:
    """The columns that a row has from its parent, as far as the parent is known by a number."""
    columns = endpoint.parent_columns if endpoint.params else ()
    if index.parents is None or len(columns) != 1 or columns[0] in endpoint.key:
        return {}
    return {columns[0]: int(index.parents[place])}
