"""What is asked of the API: whose the token is, and a page of each list."""

import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
from rich.console import Console

from pipelines.eduframe.commands.check.fit import Fit, look, shown_limits
from sources.eduframe.dataset.customer import advice
from sources.eduframe.declare import Endpoint, ParentRef
from sources.eduframe.endpoints import ENDPOINTS, IDENTITY
from sources.eduframe.errors import (
    AuthenticationError,
    EduframeError,
    ReadFailedError,
    ResourceOffError,
)
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.client import Client
from sources.eduframe.limits.rate_limiter import Limiter
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.fetching import Fetcher, Page
from sources.eduframe.reading.parents import refs_in
from sources.eduframe.rows.normalise import normalise
from sources.eduframe.settings import Settings, select

log = logging.getLogger("eduframe.check")

State = Literal["readable", "forbidden", "not found", "failing", "no parent", "not tried"]


@dataclass
class Api:
    """The API and the token."""

    base_url: str
    token_accepted: bool = False
    educator_id: int | None = None
    educator: str | None = None
    message: str | None = None
    limit_headers: dict[str, str] = field(default_factory=dict)
    """What an answer's headers say of the request limit."""


@dataclass(frozen=True)
class Tried:
    """What the request for a page of a list came to."""

    resource: str
    path: str
    on: bool
    why_off: str | None
    state: State
    message: str | None = None
    fit: Fit | None = None


def identify(client: Client) -> tuple[Api, Answer | None]:
    """Whether the token is accepted, and whose it is; with the answer that says so."""
    api = Api(client.base_url)
    try:
        answer = client.get(IDENTITY, expect="object")
    except AuthenticationError as error:
        api.message = str(error)
    except ResourceOffError as error:
        api.token_accepted = True
        api.message = f"whose token it is cannot be told: {IDENTITY} {error}"
    except ReadFailedError as error:
        api.message = f"{error}. {advice(error)}."
    else:
        api.token_accepted = True
        api.educator_id, name = answer.data.get("id"), answer.data.get("name")
        api.educator = client.shown(name) if isinstance(name, str) else None
        api.limit_headers = shown_limits(answer.headers)
        return api, answer
    return api, None


class Trial:
    """Reads a page of each list; of those under a parent, for the first parent found."""

    def __init__(
        self, client: Client, settings: Settings, api: Api, identity: Answer | None
    ) -> None:
        self.client = client
        self.api = api
        self.identity = identity
        self.threads = settings.threads
        self.object_types = settings.custom_object_types
        self.off = select(settings).off
        self._tables: dict[str, pa.Table] = {}

    def run(self) -> list[Tried]:
        """All lists, in the order of the declarations."""
        if not self.api.token_accepted:
            return [self._tried(e, "not tried") for e in ENDPOINTS]
        found: dict[str, Tried] = {}
        first = [e for e in ENDPOINTS if not e.params]
        then = [e for e in ENDPOINTS if e.params]
        shown = _progress(len(ENDPOINTS), self.client.limiter)
        with shown as told, ThreadPoolExecutor(self.threads) as pool:
            for group in (first, then):
                for one in pool.map(self._try, group):
                    found[one.resource] = one
                    told(len(found))
        return [found[e.table] for e in ENDPOINTS]

    def _try(self, endpoint: Endpoint) -> Tried:
        if not endpoint.params:
            return self._ask(endpoint)
        tried = self._tried(endpoint, "no parent", "needs a parent: none there")
        for ref in self._parents(endpoint):
            tried = self._ask(endpoint, ref)
            if tried.state != "not found":
                break
        return tried

    def _parents(self, endpoint: Endpoint) -> list[ParentRef]:
        """The parents to try: the first that was found, or the values of a setting."""
        if endpoint.parent_setting:
            return [ParentRef((value,), (value,)) for value in self.object_types]
        found = [refs_in(parent, self._tables.get(parent.table)) for parent in endpoint.parents]
        return [refs[0] for refs in found if refs][:1]

    def _ask(self, endpoint: Endpoint, ref: ParentRef | None = None) -> Tried:
        run = ResourceRun(endpoint.table)
        fetcher = Fetcher(self.client, endpoint, run)
        try:
            if endpoint.path == IDENTITY and self.identity is not None:
                page = fetcher.from_answer(self.identity)
            else:
                page = fetcher.first(ref)
        except ResourceOffError as off:
            state: State = "forbidden" if off.status == 403 else "not found"
            return self._tried(endpoint, state, f"{off}: needs {endpoint.needs}")
        except EduframeError as error:
            return self._tried(endpoint, "failing", str(error))
        fit = self._look(endpoint, page)
        return self._tried(endpoint, "readable", "; ".join(run.notes) or None, fit)

    def _look(self, endpoint: Endpoint, page: Page) -> Fit:
        typed = normalise(endpoint, page.rows)
        self._tables |= {endpoint.table: typed.main, **typed.children}
        return look(endpoint, page, typed, self.client.shown)

    def _tried(
        self, endpoint: Endpoint, state: State, message: str | None = None, fit: Fit | None = None
    ) -> Tried:
        name, off = endpoint.table, self.off.get(endpoint.table)
        return Tried(name, endpoint.path, off is None, off, state, message, fit)


@contextmanager
def _progress(total: int, limiter: Limiter) -> Iterator[Callable[[int], object]]:
    """Yields what to call with the number of lists tried so far; shown on stderr."""
    if not sys.stderr.isatty():
        log.info("trying %s lists", total)
        yield lambda _: None
        return
    with Console(stderr=True).status(f"trying {total} lists") as status:
        limiter.on_wait = lambda wait: status.update(
            f"waiting until {wait.until.astimezone():%H:%M:%S}: {wait.reason}"
        )
        try:
            yield lambda count: status.update(f"tried {count} of {total} lists")
        finally:
            limiter.on_wait = None
