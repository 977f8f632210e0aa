"""The API's answers: token, rate limit, paths, parameters and paging, without a socket."""

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from functools import cmp_to_key
from threading import Lock
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

import orjson

from sources.eduframe_simulator.provider.store import Ident, JsonRow, RowList, Store
from sources.eduframe_simulator.server import routes
from sources.eduframe_simulator.server.faults import Faults
from sources.eduframe_simulator.server.filters import FILTERS, NOT_BY_PAGE, REPEATED, SORTS, Test
from sources.eduframe_simulator.server.messages import Answer, Request, error, json_answer
from sources.eduframe_simulator.server.routes import Route

Paging = Literal["cursor", "page"]
PageNumbers = Literal["served", "refused", "ignored"]
Order = tuple[tuple[str, bool], ...]
"""Columns to sort by, each with whether it descends."""
Entry = tuple[tuple[Any, ...], Ident]
"""A row of a sorted list: the values it is sorted by, and its ident."""

PREFIX = "/api/v1"
PER_PAGE = 25
MAX_PER_PAGE = 100
VIEWS_KEPT = 32


class RefusedError(Exception):
    """The request is answered with this status."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(message)
        self.answer = error(status, message)


class Window:
    """The rate limit: at most so many requests in any window of so many seconds."""

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests = requests
        self.seconds = seconds
        self._lock = Lock()
        self._granted: deque[float] = deque()

    def wait(self, at: float) -> float:
        """Take a request that arrives at this time; else the seconds until one may come."""
        with self._lock:
            while self._granted and self._granted[0] <= at - self.seconds:
                self._granted.popleft()
            if len(self._granted) >= self.requests:
                return self._granted[0] + self.seconds - at
            self._granted.append(at)
            return 0.0


class Api:
    """Answers requests from a store."""

    def __init__(self, store: Store, token: str, window: Window, paging: Paging) -> None:
        self.store = store
        self.token = token
        self.window = window
        self.paging = paging
        self.base_url = ""
        self.faults = Faults()
        self.forbidden: dict[str, int] = {}
        self.before_response: Callable[[Request], None] | None = None
        self.cursor_age = 0
        """Cursors of an earlier age have expired."""
        self.page_numbers: PageNumbers = "served"
        """What becomes of ``page`` where pages are linked by cursors."""
        self.sorted_by: dict[str, Order] = {}
        """By list: how it is sorted where nothing is asked for; else by its key."""
        self._views: dict[Any, tuple[int, list[Entry]]] = {}

    def answer(self, request: Request) -> Answer:
        """The answer to a request, with whatever fault it meets."""
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return error(401, "The access token is invalid")
        wait = self.window.wait(request.at)
        if wait > 0:
            answer = error(429, "Rate limit exceeded")
            answer.headers["Retry-After"] = str(math.ceil(wait))
            return answer
        fault = self.faults.take(request)
        if self.before_response is not None:
            self.before_response(request)
        try:
            answer = self._read(request)
        except RefusedError as refused:
            answer = refused.answer
        if fault is not None:
            request.fault = fault.kind
            answer = fault.strike(answer, self._url(request.path, request.query))
        return answer

    def rows_at(self, path: str) -> list[JsonRow] | None:
        """All rows of one path's list, without paging; None where it answers 404."""
        found = routes.find(path.split("/"))
        if found is None:
            return None
        try:
            with self.store.lock:
                rows, tests = self._list(*found)
                return [row for row in rows if all(test(row) for test in tests)]
        except RefusedError:
            return None

    # One request

    def _read(self, request: Request) -> Answer:
        if request.method != "GET":
            raise RefusedError(405)
        parts = [unquote(part) for part in request.path.split("/")]
        found = routes.find(parts)
        if found is None:
            raise RefusedError(404)
        route, params = found
        if route.endpoint.table in self.forbidden:
            raise RefusedError(self.forbidden[route.endpoint.table])
        with self.store.lock:
            if route.kind in ("item", "detail") or route.endpoint.single:
                if request.query:
                    raise RefusedError(400, "This path takes no parameters")
                one = self._item if route.kind == "item" else self._object
                return json_answer(orjson.dumps(one(route, params)))
            rows, tests = self._list(route, params)
            return self._page(request, route, rows, tests)

    def _list(self, route: Route, params: dict[str, str]) -> tuple[RowList, list[Test]]:
        """The rows of a list, and what they must pass to belong to it."""
        table, covering = route.endpoint.table, route.covering
        if covering is not None:
            value = next(iter(params.values()))
            parent = self.store.get(covering.parent, int(value) if value.isdecimal() else value)
            if parent is None:
                raise RefusedError(404)
            if covering.field is not None:
                return _listed(parent.get(covering.field) or []), []
            column, ident = covering.column, parent["id"]
            return self.store.list_at(table), [lambda row: row[column] == ident]
        scope = tuple(params.values())
        if scope and not self.store.exists(table, scope):
            raise RefusedError(404)
        rows = self.store.list_at(table, scope)
        if route.endpoint.detail_path:
            nested = {child.field for child in route.endpoint.children}
            rows = _listed({k: v for k, v in row.items() if k not in nested} for row in rows)
        return rows, []

    def _item(self, route: Route, params: dict[str, str]) -> JsonRow:
        endpoint = route.endpoint
        scope = tuple(params[name] for name in endpoint.params if name in params)
        text = list(params.values())[-1]
        ident: Ident = text
        if endpoint.row.model_fields["id"].annotation is int:
            ident = int(text) if text.isdecimal() else None
        if endpoint.params and not scope:
            try:
                _, scope = self.store.find(endpoint.table, ident)
            except KeyError:
                raise RefusedError(404) from None
        row = self.store.get(endpoint.table, ident, scope)
        if row is None or (scope and not self.store.exists(endpoint.table, scope)):
            raise RefusedError(404)
        return row

    def _object(self, route: Route, params: dict[str, str]) -> JsonRow:
        """A row that is read by itself: without what is in its path already."""
        for row in self.store.list_at(route.endpoint.table):
            if all(str(row[name]) == value for name, value in params.items()):
                return {name: value for name, value in row.items() if name not in params}
        raise RefusedError(404)

    # One page

    def _page(self, request: Request, route: Route, rows: RowList, tests: list[Test]) -> Answer:
        query = request.query
        _check_names(route, query, self.paging, self.page_numbers)
        tests = tests + self._tests(route, query)
        order = _order(route, query) or self.sorted_by.get(route.endpoint.table, ())
        plain = not tests and not order
        view = None if plain else self._view(request, route, rows, tests, order)
        length = len(rows.idents) if view is None else len(view)
        if not route.paged:
            return self._answer(rows, view, 0, length, {})
        per_page = _number(query, "per_page", PER_PAGE, most=MAX_PER_PAGE)
        by_number = "page" in query and self.page_numbers != "ignored"
        if by_number or (self.paging == "page" and "cursor" not in query):
            page = _number(query, "page", 1)
            start, stop = (page - 1) * per_page, page * per_page
            link = {"page": str(page + 1)}
        else:
            start = self._start(query, rows, view, order)
            stop = start + per_page
            last = (rows.idents if view is None else view)[start:stop][-1:]
            link = {"cursor": self._cursor(last[0])} if last else {}
        headers = {}
        if stop < length:
            following = {name: values for name, values in query.items() if name not in link} | {
                name: [value] for name, value in link.items()
            }
            headers["Link"] = f'<{self._url(request.path, following)}>; rel="next"'
        return self._answer(rows, view, start, stop, headers)

    def _answer(
        self,
        rows: RowList,
        view: list[Entry] | None,
        start: int,
        stop: int,
        headers: dict[str, str],
    ) -> Answer:
        if view is None:
            idents = rows.idents[start:stop]
        else:
            idents = [ident for _, ident in view[start:stop]]
        body = b",".join([rows.rows[ident] for ident in idents])
        return json_answer(b"[" + body + b"]", headers)

    def _tests(self, route: Route, query: Any) -> list[Test]:
        tests = []
        for name, make in FILTERS.get(route.template, {}).items():
            if name in query:
                try:
                    tests.append(make(self.store, query[name]))
                except ValueError as problem:
                    raise RefusedError(400, f"{name}: {problem}") from None
        return tests

    def _view(
        self, request: Request, route: Route, rows: RowList, tests: list[Test], order: Order
    ) -> list[Entry]:
        """The rows that pass, in order; kept until some list changes."""
        state = sum(self.store.versions.values())
        paging = ("cursor", "page", "per_page")
        asked = [(name, *values) for name, values in request.query.items() if name not in paging]
        key = request.path, tuple(asked)
        known = self._views.get(key)
        if known is not None and known[0] == state:
            return known[1]
        passed = (
            (row, ident)
            for row, ident in zip(rows, rows.idents, strict=True)
            if all(test(row) for test in tests)
        )
        view = [(tuple(row.get(column) or "" for column, _ in order), i) for row, i in passed]
        if order:
            view.sort(key=_sort_key(order))
        if len(self._views) >= VIEWS_KEPT:
            self._views.clear()
        self._views[key] = state, view
        return view

    # Cursors: opaque to the client; inside, the last row that was served.

    def _cursor(self, last: Any) -> str:
        return urlsafe_b64encode(orjson.dumps([self.cursor_age, last])).decode().rstrip("=")

    def _start(self, query: Any, rows: RowList, view: list[Entry] | None, order: Order) -> int:
        """Where the page begins: after the last row that was served, whether it is still there."""
        if "cursor" not in query:
            return 0
        try:
            text = query["cursor"][-1]
            age, last = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            if view is None:
                start = bisect_right(rows.idents, last)
            else:
                key = _sort_key(order)
                start = bisect_right(view, key((tuple(last[0]), last[1])), key=key)
        except (ValueError, TypeError, IndexError):
            raise RefusedError(400, "The cursor is not valid") from None
        if age != self.cursor_age:
            raise RefusedError(400, "The cursor has expired")
        return start

    def _url(self, path: str, query: Any) -> str:
        asked = f"?{urlencode(query, doseq=True)}" if query else ""
        return f"{self.base_url}{quote(path, safe='/%')}{asked}"


def _listed(rows: Iterable[JsonRow]) -> RowList:
    listed = RowList()
    for place, row in enumerate(rows):
        listed.put(place, row)
    return listed


def _check_names(
    route: Route, query: Any, paging: Paging, page_numbers: PageNumbers
) -> None:
    """Only what the list takes, and each once unless it may be repeated."""
    filters = FILTERS.get(route.template, {})
    known = {*filters}
    if route.template in SORTS:
        known.add("sort")
    if route.paged:
        known |= {"cursor", "per_page"}
        served = route.template not in NOT_BY_PAGE and page_numbers != "refused"
        if paging == "page" or served:
            known.add("page")
    unknown = query.keys() - known
    if unknown:
        raise RefusedError(400, f"Unknown parameter: {', '.join(sorted(unknown))}")
    if {"cursor", "page"} <= query.keys():
        raise RefusedError(400, "Give either cursor or page")
    many = {"sort", *REPEATED.get(route.template, ())}
    repeated = [name for name, values in query.items() if len(values) > 1 and name not in many]
    if repeated:
        raise RefusedError(400, f"Given more than once: {', '.join(repeated)}")


def _order(route: Route, query: Any) -> Order:
    order = []
    for value in query.get("sort", ()):
        column, _, direction = value.partition(":")
        if column not in SORTS[route.template] or direction not in ("asc", "desc"):
            raise RefusedError(400, f"sort: cannot sort by {value}")
        order.append((column, direction == "desc"))
    return tuple(order)


def _sort_key(order: Order) -> Callable[[Entry], Any]:
    def compare(one: Entry, other: Entry) -> int:
        for a, b, (_, descending) in zip(one[0], other[0], order, strict=True):
            if a != b:
                return 1 if (a > b) is not descending else -1
        return int(one[1] > other[1]) - int(one[1] < other[1])

    return cmp_to_key(compare)


def _number(query: Any, name: str, default: int, most: int | None = None) -> int:
    text = query[name][-1] if name in query else str(default)
    number = int(text) if text.isdecimal() else 0
    if number < 1 or (most is not None and number > most):
        raise RefusedError(400, f"{name}: must be a number from 1{f' to {most}' if most else ''}")
    return number
