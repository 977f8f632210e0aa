"""The settings: one model of them, for the command line, for the source and for your own code.

Every setting is ``sources.eduframe.<name>``: ``SOURCES__EDUFRAME__<NAME>`` in the environment, or
under ``[sources.eduframe]`` in ``.dlt/secrets.toml`` and ``config.toml``, in this order. Nothing is
taken from shorter names. Those of :data:`PER_RESOURCE` may also be set for one resource, as
``sources.eduframe.<resource>.<name>``.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Literal

import orjson
from dlt.common.configuration import known_sections
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.typing import TSecretStrValue
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sources.eduframe.dataset.dlt_defaults import install_defaults
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import BY_TABLE, ENDPOINTS
from sources.eduframe.errors import SettingsError
from sources.eduframe.planning.budget import Budget
from sources.eduframe.region import parse_currency, parse_time_zone
from sources.eduframe.resource_policy import Deletes, Policy

SECTIONS = ("sources", "eduframe")
DEFAULT_BASE_URL = "https://api.eduframe.nl/api/v1"
CUSTOM_OBJECT_TYPES = ("users", "accounts", "catalog_products", "catalog_variants", "teachers")
PER_RESOURCE = ("reconcile_every", "deletes", "max_delete_share")
FORMER_NAMES = {"piece_seconds": "load_package_seconds", "piece_rows": "load_package_rows"}
"""Settings under the names that earlier releases gave them; they go on to work."""


def parse_duration(value: Any) -> timedelta:
    """A time: seconds, or a number with s, m, h or d. Raises ``ValueError`` otherwise."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(value))
    if not match:
        raise ValueError("write seconds, or for example 30m, 6h or 1d")
    unit = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    try:
        return timedelta(seconds=float(match[1]) * unit)
    except OverflowError:
        raise ValueError("that is longer than any time") from None


def shown_duration(value: timedelta) -> str:
    """A time as one would set it, such as ``6h``."""
    seconds = value.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def parse_names(value: Any) -> tuple[str, ...]:
    """A list of names: a list, a JSON list, or names with commas or spaces between them.

    Raises ``ValueError`` for anything else.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                value = orjson.loads(value.replace("'", '"'))
            except orjson.JSONDecodeError:
                raise ValueError("that is no list") from None
        else:
            value = [part for part in re.split(r"[,\s]+", value) if part]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("it must be a list of names")
    return tuple(value)


def parse_file_mode(value: Any) -> str:
    """Permissions as ``chmod`` takes them, which must let the owner read and write.

    Raises ``ValueError`` for anything else.
    """
    match = re.fullmatch(r"0?o?(6[046][046])", str(value).strip())
    if not match:
        raise ValueError(
            'write it as text, as chmod takes it, such as "600", "640" or "660": '
            "the owner reads and writes, the others do so or not"
        )
    return match[1]


def parse_budget(value: Any) -> str:
    """A budget as :class:`Budget` reads it. Raises ``ValueError`` for anything else."""
    return str(Budget.parse(str(value)))


def parse_views(value: Any) -> str:
    """``on``, ``off``, or the name of a dataset. Raises ``ValueError`` for anything else."""
    if isinstance(value, bool):  # as TOML and YAML take these words
        return "on" if value else "off"
    text = str(value).strip()
    if text.lower() in ("on", "off", "true", "false"):
        return {"true": "on", "false": "off"}.get(text.lower(), text.lower())
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", text):
        raise ValueError(
            "it must be on, off, or the name of a dataset, of small letters, digits and _"
        )
    return text


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]
FileMode = Annotated[str, BeforeValidator(parse_file_mode)]
Views = Annotated[str, BeforeValidator(parse_views)]
TimeZone = Annotated[str, BeforeValidator(parse_time_zone)]
Currency = Annotated[str, BeforeValidator(parse_currency)]


class Settings(BaseModel):
    """What can be set, with defaults. Times are seconds, or a number with s, m, h or d.

    Raises:
        SettingsError: a value is none of its kind, or there is no such setting.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    api_token: str = Field("", repr=False)
    """The API token, from Eduframe's settings."""
    base_url: str = DEFAULT_BASE_URL
    """Where the API is."""
    requests_per_window: int = Field(500, ge=1)
    """The most requests in any window, over all threads."""
    window_seconds: float = Field(300.0, gt=0, allow_inf_nan=False)
    """The window's length."""
    request_seconds: float = Field(60.0, gt=0, allow_inf_nan=False)
    """The most that a request may take, from its sending to the last byte of the answer."""
    max_page_mb: float = Field(32.0, gt=0, allow_inf_nan=False)
    """A page that is larger, in megabytes of JSON, is not read: its list fails."""
    max_list_mb: float = Field(96.0, gt=0, allow_inf_nan=False)
    """The same for lists that the API does not page."""
    include: Names = ()
    """Only these resources; if all of them are off by default, these beside the others."""
    exclude: Names = ()
    """Never these resources."""
    custom_object_types: Names = CUSTOM_OBJECT_TYPES
    """The object types whose custom associations are asked for."""
    on_failed_list: Annotated[Literal["warn", "raise"], BeforeValidator(_lower)] = "warn"
    """The plain dlt source alone: whether a list that fails ends its run, and nothing is loaded."""
    reconcile_every: Duration = timedelta(days=1)
    """How old a list's last comparison by content may become; 0 = every sync."""
    reconcile_parents_every: Duration = timedelta(days=7)
    """The same for lists under a parent, which cost a request per parent."""
    budget: Annotated[str, BeforeValidator(parse_budget)] = "50%"
    """What a sync may spend: a share of the request limit, a number of requests a run, or all."""
    deletes: Annotated[Deletes, BeforeValidator(_lower)] = "soft"
    """What happens to rows that are gone: soft (marked), hard (removed) or ignore."""
    max_delete_share: float = Field(0.2, ge=0, le=1)
    """More than this share of a table (and 50 rows) is never deleted without being told to."""
    max_absence_questions: int = Field(100, ge=0)
    """So many missing rows of a list are asked for in a run, each by its own path; 0: none, and
    the next reconciliation decides."""
    threads: int = Field(4, ge=1)
    """How many lists are read at a time; one, while answers come within 5 ms."""
    load_package_seconds: float = Field(60.0, gt=0)
    """A load package is closed after so long …"""
    load_package_rows: int = Field(1_000_000, ge=1)
    """… or after so many rows."""
    max_read_age: Duration = timedelta(hours=6)
    """An interrupted read that is older starts anew."""
    lock_wait_seconds: float = Field(60.0, ge=0)
    """How long to wait for a DuckDB file that another program holds open."""
    views: Views = "on"
    """Where the views for analysts are made: ``on`` is beside the dataset, as ``<dataset>_views``;
    ``off`` is nowhere; else the name of a dataset for them."""
    time_zone: TimeZone = ""
    """The time zone whose days the views count by, as IANA calls it; '' is the educator's."""
    currency: Currency = ""
    """The money of amounts of which the API does not say it, as ISO 4217 has it; '' is the
    educator's."""
    file_mode: FileMode = "600"
    """Who may read a new DuckDB file, or local Delta folder, as ``chmod`` takes it."""

    @property
    def permissions(self) -> int:
        """:attr:`file_mode` as a number."""
        return int(self.file_mode, 8)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**{FORMER_NAMES.get(k, k): v for k, v in values.items()})
        except ValidationError as error:
            raise SettingsError(_in_words(error)) from None


def _in_words(error: ValidationError) -> str:
    """The first thing that is wrong with the settings; a token's value is not shown."""
    problem = error.errors(include_url=False)[0]
    name, context = ".".join(map(str, problem["loc"])), problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        return f"there is no setting {name}"
    match problem["type"]:
        case "greater_than_equal":
            must = f"it must be at least {context['ge']:g}"
        case "less_than_equal":
            must = f"it must be at most {context['le']:g}"
        case "greater_than":
            must = f"it must be more than {context['gt']:g}"
        case "literal_error":
            must = f"it must be {context['expected']}".replace("'", "")
        case "value_error":
            must = str(context["error"])
        case "int_parsing" | "int_from_float" | "int_type":
            must = "it must be a whole number"
        case "float_parsing" | "float_type" | "finite_number":
            must = "it must be a number"
        case _:
            must = problem["msg"]
    shown = "not usable" if name == "api_token" else repr(problem["input"])
    return f"{name} is {shown}; {must}."


@dataclass(frozen=True)
class Selection:
    """The resources of a run, and those that are off, with the reason."""

    on: tuple[Endpoint, ...]
    off: dict[str, str]


@dataclass(frozen=True)
class Configured:
    """A value from the configuration, and where it stands."""

    value: Any
    source: str


def configured(resource: str | None = None) -> dict[str, Configured]:
    """What is configured, by setting: for all resources, or for a single one."""
    sections = (*SECTIONS, resource) if resource else SECTIONS
    names = PER_RESOURCE if resource else tuple(Settings.model_fields)
    found: dict[str, Configured] = {}
    for provider in Container()[PluggableRunContext].providers.providers:
        for spelled in (*names, *FORMER_NAMES):
            name = FORMER_NAMES.get(spelled, spelled)
            if name not in names or name in found:
                continue
            hint: Any = TSecretStrValue if name == "api_token" else str
            value, key = provider.get_value(spelled, hint, "", *sections)
            if value is None or (value == "" and name not in ("include", "exclude")):
                continue
            place = f"{provider.name} ([{'.'.join(sections)}] {spelled})"
            if provider.name == "Environment Variables":
                place = f"environment ({key})"
            found[name] = Configured(value, place)
    return found


def resolve(given: Mapping[str, Any] | None = None, *, token_needed: bool = True) -> Settings:
    """The settings as configured; those that are ``given``, and not None, go before.

    Commands that do not ask the API need no token.

    Raises:
        SettingsError: one is missing, misspelt, or no value of its kind.
    """
    install_defaults()
    check_keys()
    values = {name: found.value for name, found in configured().items()}
    own = {name: value for name, value in (given or {}).items() if value is not None}
    settings = Settings(**values | own)
    if token_needed and not settings.api_token.strip():
        raise SettingsError(
            "Not set: api_token. Set SOURCES__EDUFRAME__API_TOKEN in the environment, or "
            "api_token under [sources.eduframe] in .dlt/secrets.toml."
        )
    policies(settings)
    select(settings)
    return settings


def policies(settings: Settings, allow: Iterable[str] = ()) -> dict[str, Policy]:
    """The policy of every resource. ``allow`` names those that may lose many rows."""
    allowed = set(allow)
    set_apart = {path[0] for _, path in _configured_paths() if len(path) == 2}
    found = {}
    for endpoint in ENDPOINTS:
        name = endpoint.table
        own = configured(name) if name in set_apart else {}
        mine = Settings(
            **{n: getattr(settings, n) for n in PER_RESOURCE}
            | {n: one.value for n, one in own.items()}
        )
        policy = Policy(
            mine.reconcile_every,
            mine.deletes,
            mine.max_delete_share,
            name in allowed,
            settings.max_absence_questions,
        )
        if endpoint.params and "reconcile_every" not in own:
            policy = replace(policy, reconcile_every=settings.reconcile_parents_every)
        found[name] = policy
    return found


def check_budget(budget: str) -> None:
    """Raises ``SettingsError`` for what is no budget."""
    try:
        Budget.parse(budget)
    except ValueError as error:
        raise SettingsError(f"{error}.") from None


def check_resources(wanted: Iterable[str]) -> tuple[str, ...]:
    """The names, if all are resources. Raises ``SettingsError`` with the nearest name."""
    wanted = tuple(wanted)
    children = {child.table: e.table for e in ENDPOINTS for child in e.children}
    for name in wanted:
        if name in BY_TABLE:
            continue
        if name in children:
            raise SettingsError(f"{name} is filled by the resource {children[name]}: name that.")
        near = difflib.get_close_matches(name, BY_TABLE, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise SettingsError(f"{name!r} is no resource.{hint} See them all: eduframe resources.")
    return wanted


def select(settings: Settings, wanted: Iterable[str] = ()) -> Selection:
    """The resources to sync: those ``wanted``, or else by ``include`` and ``exclude``.

    Raises:
        SettingsError: a name is no resource, or one that is wanted is excluded.
    """
    wanted = check_resources(wanted)
    include = check_resources(settings.include)
    exclude = check_resources(settings.exclude)
    for name in wanted:
        if name in exclude:
            raise SettingsError(f"{name} is excluded, and so is never read: see exclude.")
    by_default = {e.table for e in ENDPOINTS if e.enabled}
    only = set(include) if set(include) & by_default else by_default | set(include)
    on, off = [], {}
    for endpoint in ENDPOINTS:
        name = endpoint.table
        if wanted:
            if name in wanted:
                on.append(endpoint)
        elif name in exclude:
            off[name] = "excluded"
        elif name in only:
            on.append(endpoint)
        else:
            off[name] = "not included" if endpoint.enabled else "off by default"
    return Selection(tuple(on), off)


DLTS_SECTIONS = {
    known_sections.SCHEMA,
    known_sections.EXTRACT,
    known_sections.NORMALIZE,
    known_sections.LOAD,
    known_sections.DATA_WRITER,
}
DLTS_SETTINGS = {"max_table_nesting", "root_key", "schema_contract", "parallelized"}


def is_dlts(path: Sequence[str]) -> bool:
    """Whether a key of the source, or of one of its resources, is one of dlt's own settings."""
    return len(path) > 0 and (path[0] in DLTS_SECTIONS or path[0] in DLTS_SETTINGS)


def check_keys() -> None:
    """Refuse a setting that does not exist, so that a slip of the pen is no silent default.

    Raises:
        SettingsError: with the nearest setting there is.
    """
    known, resources = {*Settings.model_fields, *FORMER_NAMES}, set(BY_TABLE)
    for place, path in _configured_paths():
        first, *rest = path
        if first in known and not rest:
            continue
        if first in resources and len(rest) == 1 and rest[0] in PER_RESOURCE:
            continue
        if first in known | resources and not rest:
            continue
        if is_dlts(path[1:] if first in resources else path):
            continue
        wrong = ".".join(path)
        if first in resources:
            near = difflib.get_close_matches(".".join(rest), PER_RESOURCE, 1)
            hint = f"for one resource there is {', '.join(PER_RESOURCE)}"
        else:
            near = difflib.get_close_matches(first, known, 1)
            hint = "see the README for all settings"
        if near:
            hint = f"did you mean {near[0]}?"
        raise SettingsError(f"{place}: there is no setting {wrong}; {hint}")


def _configured_paths() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every configured key under ``sources.eduframe``: where it stands, and its path there."""
    prefix = "__".join(SECTIONS).upper() + "__"
    for name in os.environ:
        if name.upper().startswith(prefix):
            yield name, tuple(name[len(prefix) :].lower().split("__"))
    for provider in Container()[PluggableRunContext].providers.providers:
        document = getattr(provider, "_config_doc", None)
        section = (document or {}).get("sources", {})
        section = section.get("eduframe", {}) if isinstance(section, dict) else {}
        for name, value in section.items() if isinstance(section, dict) else ():
            if isinstance(value, dict):
                for inner in value:
                    yield provider.name, (name, inner)
            else:
                yield provider.name, (name,)
