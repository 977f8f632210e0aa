"""Fetching a list: its pages, of the list itself or of those under its parents, as raw rows.

What the answers lack is added: the columns that come from the path, and the fields that only a
row's own path gives.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from sources.eduframe.declare import DISPLACED, Endpoint, JsonRow, ParentRef
from sources.eduframe.endpoints import IDENTITY
from sources.eduframe.errors import (
    AuthenticationError,
    RefusedError,
    ResourceError,
    ResourceOffError,
)
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.client import Client
from sources.eduframe.http.pagination import PER_PAGE, is_by_number, walk
from sources.eduframe.reading.batch import ReadKind, ResourceRun
from sources.eduframe.rows.columns import parse
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import MAIN_TABLES
from sources.eduframe.rows.trees import flatten

DETAIL_REFUSALS = 3
"""After so many rows' own paths were refused, and none answered, no others are asked."""

log = logging.getLogger("eduframe.reader")

MENDED = (
    "some values were no JSON, and are kept as near as can be: halves of characters as \ufffd, "
    "NaN, numbers out of range and what nests too deeply as their text"
)


@dataclass(frozen=True)
class Page:
    """The rows of one page, raw, and where the next one is."""

    rows: list[Any]
    next_url: str | None
    date: datetime | None
    """The server's clock."""
    parent: ParentRef | None = None
    """The parent under which the list is."""
    size: int = 0
    """Bytes of JSON."""
    kind: ReadKind = "whole"
    """In what kind of read it came."""

    @property
    def by_number(self) -> bool:
        """Whether the list is paged by number, so that rows shift while it is read."""
        return self.next_url is not None and is_by_number(self.next_url)


class Fetcher:
    """Asks for the pages of a list, or of the lists under its parents."""

    def __init__(self, client: Client, endpoint: Endpoint, run: ResourceRun) -> None:
        self.client = client
        self._endpoint = endpoint
        self._run = run
        self.details_refused = 0
        """Rows whose own path was refused: they lack what only that gives."""
        self._details_given = 0
        self._untold: str | None = None
        """Why it cannot be told whether the token is accepted, once that is so."""
        self._telling = threading.Lock()

    def of(self, endpoint: Endpoint) -> "Fetcher":
        """One for another list, whose requests count for this one."""
        return Fetcher(self.client, endpoint, self._run)

    def expect(self, more: int) -> None:
        """So many requests more, as far as is known now, are to be made."""
        self._run.expected = self._run.traffic.requests + more

    def rows(self) -> Iterator[JsonRow]:
        """The raw rows of a list of its own, for nothing but a look. Raises like ``first``."""
        for page in self.walk(self.first()):
            yield from (row for row in page.rows if isinstance(row, dict))

    def first(self, ref: ParentRef | None = None) -> Page:
        """The first page, of the list under a parent where there is one.

        Raises:
            ResourceOffError: 403 or 404.
            ReadFailedError: errors or nonsense to the end.
            AuthenticationError: the token is no longer accepted.
            StoppedError: a stop was asked for.
        """
        path = self._endpoint.path if ref is None else self._endpoint.path_under(ref)
        return self._ask(path, {"per_page": PER_PAGE} if self._endpoint.paged else None, ref)

    def numbered(self, number: int) -> Page:
        """A page of the list by its number, from 1. Raises like :meth:`first`."""
        return self._ask(self._endpoint.path, {"per_page": PER_PAGE, "page": number}, None)

    def filtered(self, params: Mapping[str, str | int]) -> Page:
        """The first page of what filters choose. Raises like :meth:`first`."""
        return self._ask(self._endpoint.path, {"per_page": PER_PAGE, **params}, None)

    def at(self, url: str, ref: ParentRef | None = None) -> Page:
        """The page at an address that an earlier page gave. Raises like :meth:`first`."""
        return self._ask(url, None, ref)

    def walk(self, page: Page, ref: ParentRef | None = None) -> Iterator[Page]:
        """This page and those after it. A later page that is refused is a failed read."""
        key = self._endpoint.key
        return walk(page, lambda url: self.at(url, ref), self._endpoint.path, key, self._note_once)

    def from_answer(self, answer: Answer, ref: ParentRef | None = None) -> Page:
        """The page that an answer holds; the rows under a parent get the parent's columns."""
        endpoint = self._endpoint
        rows = [answer.data] if endpoint.single else answer.data
        if endpoint.tree:
            rows = flatten(rows, endpoint.tree)
        if ref is not None:
            outer = dict(zip(endpoint.parent_columns, ref.columns, strict=True))
            rows = [_under(endpoint, outer, row) if isinstance(row, dict) else row for row in rows]
        if endpoint.detail_path:
            rows = [self._detailed(row, endpoint.detail_path) for row in rows]
        kind: ReadKind = "whole" if ref is None else "under parents"
        return Page(rows, answer.next_url, answer.date, ref, answer.size, kind)

    def item(self, path: str) -> JsonRow:
        """One row, from its own path. Raises like :meth:`first`."""
        row: JsonRow = self._get(path, expect="object").data
        return row

    def accepts_token(self) -> bool:
        """Whether the token is still accepted, where one address alone may have refused it.

        True, too, where that cannot be told: it is not asked again then.

        Raises:
            StoppedError: a stop was asked for.
        """
        with self._telling:
            if self._untold is None:
                try:
                    self.client.get(IDENTITY, expect="object", traffic=self._run.traffic)
                except AuthenticationError:
                    return False
                except ResourceError as error:
                    self._untold = str(error)
                    log.warning("whether the token is still accepted cannot be told: %s", error)
        return True

    @property
    def _elsewhere(self) -> str:
        if self._untold is None:
            return f"though the token is accepted elsewhere: it may need {self._endpoint.needs}"
        return f"and whether the token is accepted elsewhere cannot be told ({self._untold})"

    def _ask(
        self, url: str, params: Mapping[str, str | int] | None, ref: ParentRef | None
    ) -> Page:
        expect: Literal["list", "object"] = "object" if self._endpoint.single else "list"
        answer = self._get(url, params, expect=expect, paged=self._endpoint.paged)
        page = self.from_answer(answer, ref)
        self._run.pages += 1
        return page

    def _get(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        *,
        expect: Literal["list", "object"],
        paged: bool = True,
    ) -> Answer:
        """An answer of the API, which may refuse the token for one address alone.

        Raises:
            AuthenticationError: the token is no longer accepted anywhere.
            RefusedError: it is, but not here.
        """
        try:
            answer = self.client.get(
                url, params, expect=expect, paged=paged, traffic=self._run.traffic
            )
        except AuthenticationError:
            if not self.accepts_token():
                raise
            refused = f"{self.client.name(url)}: answered 401, {self._elsewhere}"
            raise RefusedError(refused) from None
        self._note_mended(answer)
        return answer

    def _detailed(self, row: Any, detail_path: str) -> Any:
        """A row with the fields of its own answer, where the list gives less than that."""
        given_up = self.details_refused >= DETAIL_REFUSALS and not self._details_given
        if not isinstance(row, dict) or given_up:
            return row
        names = {k: quote(str(v), safe="") for k, v in row.items() if isinstance(v, str | int)}
        try:
            path = detail_path.format(**names)
        except KeyError:
            return row
        try:
            answer = self._get(path, expect="object")
        except ResourceOffError as off:
            said = f"{self.client.shown(path)} answered {off.status}"
        except RefusedError as refusal:
            said = str(refusal)
        else:
            self._details_given += 1
            return {**row, **answer.data}
        self.details_refused += 1
        if self.details_refused <= DETAIL_REFUSALS:
            self._run.notes.append(f"{said}: its details are not read, and stay as they were")
        return row

    def _note_mended(self, answer: Answer) -> None:
        if answer.mended:
            self._note_once(MENDED)

    def _note_once(self, text: str) -> None:
        if text not in self._run.notes:
            self._run.notes.append(text)


def _under(endpoint: Endpoint, outer: JsonRow, row: JsonRow) -> JsonRow:
    """A row with its parent's columns: its own values, but the path's where those cannot be read.

    Its parent is known in any case, as it was asked for.
    """
    columns = MAIN_TABLES[endpoint.table].columns
    displaced = {
        column.name: row[column.name]
        for column in columns
        if column.name in outer and column.name in row and not _reads(column, row[column.name])
    }
    if not displaced:
        return {**outer, **row}
    kept = {name: value for name, value in displaced.items() if value is not None}
    return {**row, **{name: outer[name] for name in outer.keys() - row.keys() | displaced.keys()},
            **({DISPLACED: kept} if kept else {})}


def _reads(column: Column, value: Any) -> bool:
    try:
        parse(column, value)
    except ValueError:
        return False
    return True
