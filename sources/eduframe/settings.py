"""The settings, resolved by dlt: environment first, then ``.dlt/secrets.toml`` and ``config.toml``.

Every setting is ``sources.eduframe.<name>`` (``SOURCES__EDUFRAME__<NAME>``). Those of
:data:`PER_RESOURCE` may also be set for one resource, as ``sources.eduframe.<resource>.<name>``.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import orjson
from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
)
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.typing import TSecretStrValue

from sources.eduframe.dataset.dlt_defaults import install_defaults
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import SettingsError
from sources.eduframe.policy import Deletes, Policy

SECTIONS = ("sources", "eduframe")
DEFAULT_BASE_URL = "https://api.eduframe.nl/api/v1"
CUSTOM_OBJECT_TYPES = ("users", "accounts", "catalog_products", "catalog_variants", "teachers")
PER_RESOURCE = ("reconcile_every", "deletes", "max_delete_share")

@configspec
class Settings(BaseConfiguration):
    """What can be set, with defaults. Times are seconds, or a number with s, m, h or d."""

    api_token: TSecretStrValue = None  # type: ignore[assignment]
    """The API token, from Eduframe's settings."""
    base_url: str = DEFAULT_BASE_URL
    """Where the API is."""
    requests_per_window: int = 500
    """The most requests in any window, over all threads."""
    window_seconds: float = 300.0
    """The window's length."""
    include: Any | None = None
    """Only these resources; if all of them are off by default, these beside the others."""
    exclude: Any | None = None
    """Never these resources."""
    custom_object_types: Any = CUSTOM_OBJECT_TYPES
    """The object types whose custom associations are asked for."""
    reconcile_every: Any = "1d"
    """How old a list's last comparison by content may become; 0 = every sync."""
    reconcile_parents_every: Any = "7d"
    """The same for lists under a parent, which cost a request per parent."""
    deletes: str = "soft"
    """What happens to rows that are gone: soft (marked), hard (removed) or ignore."""
    max_delete_share: float = 0.2
    """More than this share of a table (and 50 rows) is never deleted without being told to."""
    max_absence_questions: int = 100
    """Where pages go by number, so many missing rows are asked for one by one before they count
    as gone; more of them wait for a second reconciliation."""
    threads: int = 4
    """How many lists are read at a time; one, while answers come within 5 ms."""
    piece_seconds: float = 60.0
    """A load package is closed after so long …"""
    piece_rows: int = 1_000_000
    """… or after so many rows."""
    max_read_age: Any = "6h"
    """An interrupted read that is older starts anew."""
    lock_wait_seconds: float = 60.0
    """How long to wait for a DuckDB file that another program holds open."""


@dataclass(frozen=True)
class Selection:
    """The resources of a run, and those that are off, with the reason."""

    on: tuple[Endpoint, ...]
    off: dict[str, str]


def resolve(*, token_needed: bool = True) -> Settings:
    """The settings as configured. Commands that do not ask the API need no token.

    Raises:
        SettingsError: one is missing, misspelt, or no value of its kind.
    """
    install_defaults()
    check_names()
    try:
        given = Settings() if token_needed else Settings(api_token="not needed")
        settings = resolve_configuration(given, sections=SECTIONS)
    except ConfigFieldMissingException as error:
        missing = ", ".join(error.fields)
        raise SettingsError(
            f"Not set: {missing}. Set SOURCES__EDUFRAME__{missing.upper()} in the environment, or "
            f"{missing} under [sources.eduframe] in .dlt/secrets.toml."
        ) from None
    except ConfigurationException as error:
        raise SettingsError(str(error).splitlines()[0]) from None
    _check_values(settings)
    return settings


def _check_values(settings: Settings) -> None:
    if not str(settings.api_token or "").strip():
        raise SettingsError("Not set: api_token. Set SOURCES__EDUFRAME__API_TOKEN.")
    for name in ("requests_per_window", "threads", "piece_rows"):
        if getattr(settings, name) < 1:
            raise SettingsError(f"{name} is {getattr(settings, name)}; it must be at least 1.")
    for name in ("window_seconds", "piece_seconds"):
        if not getattr(settings, name) > 0:
            raise SettingsError(f"{name} is {getattr(settings, name)}; it must be more than 0.")
    for name in ("reconcile_every", "reconcile_parents_every", "max_read_age"):
        duration(name, getattr(settings, name))
    policy_of(settings, settings)
    select(settings)


def policy_of(settings: Settings, own: Any, allow: bool = False) -> Policy:
    """The policy of one resource: ``own`` holds the settings in :data:`PER_RESOURCE`."""
    deletes = str(own.deletes).lower()
    if deletes not in ("soft", "hard", "ignore"):
        raise SettingsError(f"deletes is {own.deletes!r}; it must be soft, hard or ignore.")
    share = float(own.max_delete_share)
    if not 0 <= share <= 1:
        raise SettingsError(f"max_delete_share is {share}; it must be between 0 and 1.")
    known: dict[str, Deletes] = {"soft": "soft", "hard": "hard", "ignore": "ignore"}
    every = duration("reconcile_every", own.reconcile_every)
    return Policy(every, known[deletes], share, allow, settings.max_absence_questions)


def policies(settings: Settings, allow: Iterable[str] = ()) -> dict[str, Policy]:
    """The policy of every resource. ``allow`` names those that may lose many rows."""
    allowed = set(allow)
    set_apart = {resource for resource, _ in _resource_keys()}
    found = {}
    for endpoint in ENDPOINTS:
        name = endpoint.table
        own = settings
        if name in set_apart:
            sections = (*SECTIONS, name)
            own = resolve_configuration(Settings(), sections=sections, accept_partial=True)
        policy = policy_of(settings, own, name in allowed)
        if endpoint.params and not any(
            resource == name and key == "reconcile_every" for resource, key in _resource_keys()
        ):
            every = duration("reconcile_parents_every", settings.reconcile_parents_every)
            policy = replace(policy, reconcile_every=every)
        found[name] = policy
    return found


def duration(name: str, value: Any) -> timedelta:
    """A time: seconds, or a number with s, m, h or d. Raises ``SettingsError`` otherwise."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(value))
    if not match:
        raise SettingsError(f"{name} is {value!r}; write seconds, or for example 30m, 6h or 1d.")
    unit = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    return timedelta(seconds=float(match[1]) * unit)


def names(setting: str, value: Any) -> tuple[str, ...]:
    """A list of names: a list, a JSON list, or names with commas or spaces between them."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                value = orjson.loads(value.replace("'", '"'))
            except orjson.JSONDecodeError:
                raise SettingsError(f"{setting} is {value!r}, which is no list.") from None
        else:
            value = [part for part in re.split(r"[,\s]+", value) if part]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise SettingsError(f"{setting} is {value!r}; it must be a list of names.")
    return tuple(value)


def check_resources(wanted: Iterable[str]) -> tuple[str, ...]:
    """The names, if all are resources. Raises ``SettingsError`` with the nearest name."""
    wanted = tuple(wanted)
    known = {endpoint.table: endpoint for endpoint in ENDPOINTS}
    children = {child.table: e.table for e in ENDPOINTS for child in e.children}
    for name in wanted:
        if name in known:
            continue
        if name in children:
            raise SettingsError(f"{name} is filled by the resource {children[name]}: name that.")
        near = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise SettingsError(f"{name!r} is no resource.{hint} See them all: eduframe resources.")
    return wanted


def select(settings: Settings, wanted: Iterable[str] = ()) -> Selection:
    """The resources to sync: those ``wanted``, or else by ``include`` and ``exclude``."""
    wanted = check_resources(wanted)
    include = check_resources(names("include", settings.include))
    exclude = check_resources(names("exclude", settings.exclude))
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


def check_names() -> None:
    """Refuse a setting that does not exist, so that a slip of the pen is no silent default.

    Raises:
        SettingsError: with the nearest setting there is.
    """
    known = _field_names()
    resources = {endpoint.table for endpoint in ENDPOINTS}
    for place, path in _configured():
        first, *rest = path
        if first in known and not rest:
            continue
        if first in resources and len(rest) == 1 and rest[0] in PER_RESOURCE:
            continue
        if first in known | resources and not rest:
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


def _field_names() -> set[str]:
    return set(Settings.get_resolvable_fields())


def _resource_keys() -> set[tuple[str, str]]:
    return {(path[0], path[1]) for _, path in _configured() if len(path) == 2}


def _configured() -> Iterator[tuple[str, tuple[str, ...]]]:
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
