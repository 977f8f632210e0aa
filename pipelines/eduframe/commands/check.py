"""``eduframe check``: where each setting came from, and whether everything can be used.

Nothing is changed: what is written into the destination is removed again.
"""

import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import orjson
import typer
from rich.console import Console

from pipelines.eduframe.commands.output import Column, Row, print_line, print_table
from pipelines.eduframe.destinations.duckdb_file import holding_file
from pipelines.eduframe.destinations.lock import database_lock, folder_lock
from pipelines.eduframe.destinations.scratch_table import try_out
from pipelines.eduframe.exit_codes import DONE, FAILED
from pipelines.eduframe.pipeline import cause_of, duckdb_path, make_pipeline
from pipelines.eduframe.run.sync import shared_window
from pipelines.eduframe.store.state import customer_of
from sources.eduframe.declare import Endpoint, JsonRow, Parent, ParentRef
from sources.eduframe.endpoints import BY_TABLE, ENDPOINTS, IDENTITY, filled_by
from sources.eduframe.errors import (
    AuthenticationError,
    EduframeError,
    LockedError,
    ReadFailedError,
    ResourceOffError,
    SettingsError,
)
from sources.eduframe.http.client import Client
from sources.eduframe.http.limiter import Limiter
from sources.eduframe.rows.nested import nested_rows
from sources.eduframe.rows.tables import CHILD_TABLES
from sources.eduframe.settings import (
    Settings,
    configured,
    resolve,
    select,
    shown_duration,
)

log = logging.getLogger("eduframe.check")

SETTINGS = (Column("setting"), Column("value", wraps=True), Column("from", wraps=True))
RESOURCES = (
    Column("resource"),
    Column("sync", spare=1),
    Column("try"),
    Column("", wraps=True),
)
ATTEMPTS = 2
SECRETS = ("api_token",)

State = Literal["readable", "forbidden", "not found", "failing", "no parent", "not tried"]


@dataclass(frozen=True)
class SettingFound:
    """A setting, as shown: a secret's value is only said to be there."""

    name: str
    value: str
    source: str


@dataclass
class Api:
    """The API and the token."""

    base_url: str
    token_accepted: bool = False
    educator_id: int | None = None
    educator: str | None = None
    message: str | None = None


@dataclass
class Destination:
    """Where the rows go."""

    name: str
    place: str
    dataset: str
    usable: bool = False
    holds: dict[str, Any] | None = None
    """The customer whose data the dataset holds; None while it is empty."""
    message: str | None = None


@dataclass(frozen=True)
class Tried:
    """What one request for a list came to."""

    resource: str
    path: str
    on: bool
    why_off: str | None
    state: State
    message: str | None = None


@dataclass
class Findings:
    """All that a check found out."""

    settings: list[SettingFound]
    api: Api
    destination: Destination
    resources: list[Tried] = field(default_factory=list)

    @property
    def same_customer(self) -> bool | None:
        """Whether the dataset holds this educator's data; None where that cannot be told."""
        holds = self.destination.holds
        if not holds or not self.api.token_accepted:
            return None
        host = urlsplit(self.api.base_url).hostname
        return (holds.get("educator_id"), holds.get("host")) == (self.api.educator_id, host)

    @property
    def ok(self) -> bool:
        usable = self.api.token_accepted and self.destination.usable
        return usable and self.same_customer is not False


def run_check(destination: str, dataset: str, *, as_json: bool, wide: bool = False) -> int:
    """Check everything and print it. Returns the exit code.

    Raises:
        SettingsError: a setting is wrong, or the destination cannot be used for this.
        LockedError: a sync is going on, which its requests would come on top of.
    """
    settings, found = _settings()
    pipeline = make_pipeline(destination, dataset)
    limiter = Limiter(settings.requests_per_window, settings.window_seconds)
    with (
        folder_lock(pipeline),
        shared_window(pipeline, settings, limiter),
        Client(
            settings.base_url,
            settings.api_token,
            limiter,
            attempts=ATTEMPTS,
            connections=settings.threads,
        ) as client,
    ):
        target = _destination(pipeline, destination, settings.lock_wait_seconds)
        findings = Findings(found, _api(client), target)
        findings.resources = Trial(client, settings, findings.api).run()
    if as_json:
        typer.echo(_as_json(findings))
    else:
        _print(findings, wide)
    return DONE if findings.ok else FAILED


# ---- Settings


def _settings() -> tuple[Settings, list[SettingFound]]:
    """The settings, and where each of them stands; those of single resources come last."""
    settings = resolve()
    places = configured()
    found = [
        SettingFound(name, _shown(name, getattr(settings, name)), places[name].source)
        if name in places
        else SettingFound(name, _shown(name, getattr(settings, name)), "default")
        for name in Settings.model_fields
    ]
    found += [
        SettingFound(f"{resource}.{name}", _shown(name, one.value), one.source)
        for resource in BY_TABLE
        for name, one in configured(resource).items()
    ]
    return settings, found


def _shown(name: str, value: Any) -> str:
    if name in SECRETS:
        return "set" if value else "not set"
    if value is None or value == ():
        return "not set"
    if isinstance(value, timedelta):
        return shown_duration(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# ---- Destination


def _destination(
    pipeline: Any, destination: str, seconds: float
) -> Destination:
    """Whether the destination can be reached and written, and whose data the dataset holds."""
    target = Destination(destination, "", pipeline.dataset_name)
    try:
        client = pipeline.destination_client()
        target.place = str(duckdb_path(pipeline) or client.config)
        with (
            database_lock(pipeline),  # so that what is removed is nobody else's
            holding_file(duckdb_path(pipeline), seconds),
        ):
            target.message = try_out(pipeline)
            target.holds = customer_of(pipeline)
        target.usable = True
    except SettingsError:
        raise
    except LockedError as error:
        target.usable = True
        target.message = f"not tried, as it is in use: {error}"
    except EduframeError as error:
        target.message = str(error)
    except Exception as error:  # each driver has exceptions of its own
        target.message = (
            f"it cannot be reached: {cause_of(error)}. Check the host, the user and the password "
            f"(DESTINATION__{destination.upper()}__CREDENTIALS), and that the user may connect"
        )
    return target


# ---- API


def _api(client: Client) -> Api:
    """Whether the token is accepted, and whose it is."""
    api = Api(client.base_url)
    try:
        educator = client.get(IDENTITY, expect="object").data
    except AuthenticationError as error:
        api.message = str(error)
    except ResourceOffError as error:
        api.token_accepted = True
        api.message = f"whose token it is cannot be told: {IDENTITY} {error}"
    except ReadFailedError as error:
        api.message = f"{error}. Check base_url (SOURCES__EDUFRAME__BASE_URL) and the network."
    else:
        api.token_accepted = True
        api.educator_id, api.educator = educator.get("id"), educator.get("name")
    return api


class Trial:
    """Tries each list with one request; those under a parent with the first parent found."""

    def __init__(self, client: Client, settings: Settings, api: Api) -> None:
        self.client = client
        self.api = api
        self.threads = settings.threads
        self.object_types = settings.custom_object_types
        self.off = select(settings).off
        self._rows: dict[str, list[JsonRow]] = {}

    def run(self) -> list[Tried]:
        """All lists, in the order of the declarations."""
        if not self.api.token_accepted:
            return [self._tried(e, "not tried") for e in ENDPOINTS]
        found: dict[str, Tried] = {}
        first = [e for e in ENDPOINTS if not e.params]
        then = [e for e in ENDPOINTS if e.params]
        with _progress(len(ENDPOINTS)) as told, ThreadPoolExecutor(self.threads) as pool:
            for group in (first, then):
                for one in pool.map(self._try, group):
                    found[one.resource] = one
                    told(len(found))
        return [found[e.table] for e in ENDPOINTS]

    def _try(self, endpoint: Endpoint) -> Tried:
        if endpoint.path == IDENTITY and self.api.educator_id is not None:
            return self._tried(endpoint, "readable")
        if not endpoint.params:
            return self._ask(endpoint, endpoint.path)
        tried = self._tried(endpoint, "no parent", "needs a parent: none there")
        for ref in self._parents(endpoint):
            tried = self._ask(endpoint, endpoint.path_under(ref))
            if tried.state != "not found" or not endpoint.parent_setting:
                break
        return tried

    def _ask(self, endpoint: Endpoint, path: str) -> Tried:
        params = {"per_page": _enough(endpoint)} if endpoint.paged else None
        try:
            data = self.client.get(
                path, params, expect="object" if endpoint.single else "list"
            ).data
        except ResourceOffError as off:
            state: State = "forbidden" if off.status == 403 else "not found"
            return self._tried(endpoint, state, f"{off}: needs {endpoint.needs}")
        except EduframeError as error:
            return self._tried(endpoint, "failing", str(error))
        rows = [data] if endpoint.single else data
        self._rows[endpoint.table] = [row for row in rows if isinstance(row, dict)]
        return self._tried(endpoint, "readable")

    def _tried(self, endpoint: Endpoint, state: State, message: str | None = None) -> Tried:
        name = endpoint.table
        return Tried(name, endpoint.path, name not in self.off, self.off.get(name), state, message)

    def _parents(self, endpoint: Endpoint) -> Iterator[ParentRef]:
        """The parents to try: the first that was found, or the values of a setting."""
        if endpoint.parent_setting:
            yield from (ParentRef((value,), (value,)) for value in self.object_types)
            return
        for parent in endpoint.parents:
            for row in self._parent_rows(parent):
                ref = parent.ref_of(row)
                if ref is not None:
                    yield ref
                    return

    def _parent_rows(self, parent: Parent) -> Iterator[JsonRow]:
        owner = filled_by(parent.table)
        rows = self._rows.get(owner.table, [])
        if owner.table == parent.table:
            yield from rows
            return
        table = next(t for t in CHILD_TABLES[owner.table] if t.name == parent.table)
        for row in rows:
            try:
                detailed = self._detailed(owner, row)
            except EduframeError:
                continue
            yield from nested_rows(table, detailed)

    def _detailed(self, owner: Endpoint, row: JsonRow) -> JsonRow:
        """The row with what only its own path gives."""
        if owner.detail_path is None:
            return row
        path = owner.detail_path.format(**{k: quote(str(v), safe="") for k, v in row.items()})
        return {**row, **self.client.get(path, expect="object").data}


def _enough(endpoint: Endpoint) -> int:
    """Rows to ask for: one, or a page where lists under it are only read for certain rows."""
    chosen = any(p.where and p.table == endpoint.table for e in ENDPOINTS for p in e.parents)
    return 100 if chosen else 1


# ---- What is shown


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Yields what to call with the number of lists tried so far; shown on stderr."""
    if not sys.stderr.isatty():
        log.info("trying %s lists", total)
        yield lambda _: None
        return
    with Console(stderr=True).status(f"trying {total} lists") as status:
        yield lambda count: status.update(f"tried {count} of {total} lists")


def _as_json(findings: Findings) -> str:
    shown = {"ok": findings.ok, "same_customer": findings.same_customer, **asdict(findings)}
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()


def _print(findings: Findings, wide: bool) -> None:
    settings = [Row((found.name, found.value, found.source)) for found in findings.settings]
    print_table(SETTINGS, settings, wide=wide)
    print_table(RESOURCES, [_row(tried) for tried in findings.resources], wide=wide)
    for line in _verdict(findings):
        print_line(line)


def _row(tried: Tried) -> Row:
    cells = (
        tried.resource,
        "on" if tried.on else tried.why_off or "off",
        tried.state,
        tried.message or "",
    )
    return Row(cells, "" if tried.state == "readable" else "yellow" if tried.on else "dim")


def _verdict(findings: Findings) -> Iterator[str]:
    api, target = findings.api, findings.destination
    yield f"API          {api.base_url}"
    if api.token_accepted and api.educator_id is not None:
        yield f"token        accepted, of educator {api.educator_id} ({api.educator})"
    else:
        yield f"token        {'accepted' if api.token_accepted else 'NOT USABLE'}: {api.message}"
    place = f"{target.name} {target.place}".strip()
    yield f"destination  {place}: {'' if target.usable else 'NOT USABLE: '}{target.message}"
    if target.holds is None:
        yield f"dataset      {target.dataset}: {'empty' if target.usable else 'unknown'}"
    else:
        whose = f"educator {target.holds.get('educator_id')} at {target.holds.get('host')}"
        other = findings.same_customer is False
        advice = "; ANOTHER than the token's: use another --dataset, or the other token"
        yield f"dataset      {target.dataset}: of {whose}{advice if other else ''}"
    on = [tried for tried in findings.resources if tried.on]
    readable = sum(tried.state == "readable" for tried in on)
    yield f"resources    {readable} of the {len(on)} that are on can be read"
