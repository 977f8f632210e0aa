"""The simulator: the API's answers over HTTP, and what its user may do to the data."""

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Self

from sources.eduframe_simulator.filling import filled
from sources.eduframe_simulator.provider.store import BY_TABLE, JsonRow, Scope
from sources.eduframe_simulator.provider.values import ABSENT, timestamp
from sources.eduframe_simulator.provider.world import NOW
from sources.eduframe_simulator.server.api import PREFIX, Api, PageNumbers, Paging, Window
from sources.eduframe_simulator.server.faults import Fault
from sources.eduframe_simulator.server.http_server import Server
from sources.eduframe_simulator.server.messages import Answer, Request, error


class Simulator:
    """The API, on ``http://127.0.0.1:<port>/api/v1``, from ``with`` (or :meth:`start`) on.

    ``scale`` multiplies the number of rows (0: empty lists), ``counts`` sets it for single lists.
    ``latency`` is the seconds that an answer takes, give or take ``jitter``. ``clock_offset``
    sets the server's clock ahead, in seconds. Port 0 is any free one. ``page_numbers`` says what
    becomes of ``page=`` where pages are linked by cursors. ``sorted_by`` sorts lists otherwise than
    by their key, such as ``{"users": "id:desc"}``. ``as_of`` is when the data ends: a fixed moment,
    so that a seed means the same rows for all time; ``this_day()`` for a provider of today.
    """

    def __init__(
        self,
        seed: int = 1,
        scale: float = 1.0,
        *,
        counts: Mapping[str, int] | None = None,
        token: str = "demo-token",
        requests_per_window: int = 500,
        window_seconds: float = 300,
        paging: Paging = "cursor",
        latency: float = 0.0,
        jitter: float = 0.0,
        educator_id: int = 1,
        port: int = 0,
        clock_offset: float = 0.0,
        page_numbers: PageNumbers = "served",
        sorted_by: Mapping[str, str] | None = None,
        as_of: datetime = NOW,
    ) -> None:
        self.token = token
        self.latency = latency
        self.jitter = jitter
        self.port = port
        self.as_of = as_of
        # A machine whose clock is behind the end of the data gets one that is not.
        self.clock_offset = clock_offset + max(0.0, as_of.timestamp() - time.time())
        self._store, self._filler = filled(seed, scale, counts or {}, educator_id, as_of)
        self._api = Api(self._store, token, Window(requests_per_window, window_seconds), paging)
        self._api.page_numbers = page_numbers
        for table, column in (sorted_by or {}).items():
            name, _, direction = column.partition(":")
            self._api.sorted_by[table] = ((name, direction == "desc"),)
        self._server: Server | None = None
        self._requests: list[Request] = []
        self._log_lock = Lock()
        self._dice = random.Random(seed)

    # Running

    def start(self) -> Self:
        """Begin to listen."""
        self._server = Server(self.port, self._respond, self._clock)
        self.port = self._server.port
        self._api.base_url = self.base_url
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop listening and end all connections. The data stays, :meth:`start` goes on."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}{PREFIX}"

    @property
    def now(self) -> datetime:
        """The time on the server's clock."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def _clock(self) -> float:
        return time.time() + self.clock_offset

    def _respond(self, request: Request) -> Answer:
        inside = request.path.startswith(f"{PREFIX}/")
        request.path = request.path.removeprefix(PREFIX)
        with self._log_lock:
            self._requests.append(request)
        answer = self._api.answer(request) if inside else error(404)
        request.status = answer.status
        answer.delay += max(0.0, self.latency + self.jitter * self._dice.uniform(-1, 1))
        return answer

    # What is served

    def rows(self, table: str) -> list[JsonRow]:
        """All rows of a list, for a list under a parent those of all parents.

        A custom object has its fields, which the API serves by themselves.
        """
        return self._store.rows(table)

    @property
    def gone(self) -> list[tuple[str, JsonRow]]:
        """What the provider had, and deleted before its data ends: orders, with their items, and
        users that were merged into others. ``restore`` brings one back."""
        return list(self._filler.gone)

    def served(self, path: str) -> list[JsonRow] | None:
        """All rows of one path, such as ``/invoices/12/payments``; None where there is no list."""
        return self._api.rows_at(path)

    # What happens to the data. A key is an id, or a tuple of the endpoint's whole key.

    def add(self, table: str, **values: Any) -> JsonRow:
        """A new row, made up where no value is given.

        Under a parent, the path's parameters (or the columns that hold them) say which; else it
        is the first.
        """
        with self._store.lock:
            scope = self._scope(table, values)
            row = self._filler.add_now(table, self.now, scope, values)
            return {name: value for name, value in row.items() if value is not ABSENT}

    def change(self, table: str, key: Any, *, touch: bool = True, **values: Any) -> JsonRow:
        """Give a row other values (``ABSENT`` removes a key), and move its ``updated_at``."""
        if "id" in values:
            raise ValueError("a row's id does not change")
        with self._store.lock:
            ident, scope = self._store.find(table, key)
            row = self._store.get(table, ident, scope) or {}
            if touch and "updated_at" in BY_TABLE[table].row.model_fields:
                row["updated_at"] = timestamp(self.now)
            row |= values
            row = {name: value for name, value in row.items() if value is not ABSENT}
            self._store.put(table, ident, row, scope)
            return row

    def delete(self, table: str, key: Any) -> None:
        """Remove a row. Lists under it can no longer be read."""
        with self._store.lock:
            self._store.remove(table, *self._store.find(table, key))

    def restore(self, table: str, row: JsonRow) -> None:
        """Put a row that is gone into its list again."""
        self._store.put(table, row["id"], row)

    def _scope(self, table: str, values: dict[str, Any]) -> Scope:
        """The parameters' values for a new row; taken out of ``values`` unless rows have them."""
        endpoint = BY_TABLE[table]
        if not endpoint.params:
            return ()
        names = {param: param for param in endpoint.params}
        for parent in endpoint.parents:
            for column, source in (parent.columns or {}).items():
                names |= {param: column for param, of in parent.params.items() if of == source}
        given = {}
        for param, column in names.items():
            if column in values:
                keep = column in endpoint.row.model_fields
                given[param] = str(values[column] if keep else values.pop(column))
        for scope in self._store.scopes(table):
            named = dict(zip(endpoint.params, scope, strict=True))
            if given.items() <= named.items():
                return scope
        raise KeyError(f"{table}: there is no parent with {given}")

    # What the token may read

    def forbid(self, table: str, status: int = 403) -> None:
        """Answer with this status (403, or 404 for what is switched off) from now on."""
        self._api.forbidden[BY_TABLE[table].table] = status

    def allow(self, table: str) -> None:
        """Take back :meth:`forbid`."""
        self._api.forbidden.pop(table, None)

    @property
    def forbidden(self) -> Mapping[str, int]:
        """The lists that are forbidden, and their statuses."""
        return dict(self._api.forbidden)

    # What goes wrong

    def inject(self, fault: Fault) -> None:
        """Let matching requests meet a fault."""
        self._api.faults.inject(fault)

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._api.faults.clear()

    def expire_cursors(self) -> None:
        """Answer every cursor that was given out so far with 400."""
        self._api.cursor_age += 1

    @property
    def before_response(self) -> Callable[[Request], None] | None:
        """Is called with each request before its rows are read; it may change them."""
        return self._api.before_response

    @before_response.setter
    def before_response(self, hook: Callable[[Request], None] | None) -> None:
        self._api.before_response = hook

    # What was asked

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order in which they came."""
        with self._log_lock:
            return list(self._requests)

    def clear_requests(self) -> None:
        """Forget the requests so far. The rate limit remembers them."""
        with self._log_lock:
            self._requests.clear()
