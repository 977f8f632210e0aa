"""Where each setting stands."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.settings import Settings, configured, resolve, shown_duration

SECRETS = ("api_token",)


@dataclass(frozen=True)
class SettingFound:
    """A setting, as shown: a secret's value is only said to be there."""

    name: str
    value: str
    source: str


def find_settings() -> tuple[Settings, list[SettingFound]]:
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
    if value in (None, (), ""):
        return "not set"
    if isinstance(value, timedelta):
        return shown_duration(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
