"""The fit report: what a check found out of the API, as Markdown that may be shown to others.

It has no value of any row, nor what the API said in errors, nor whose the token is.
"""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version as version_of

from pipelines.eduframe.commands.check.api import Api, Tried
from pipelines.eduframe.commands.check.fit import OTHERS, Fit
from sources.eduframe.version import version


def fit_report(api: Api, resources: Sequence[Tried]) -> str:
    """The report of all lists."""
    different = [line for tried in resources for line in _section(tried)]
    lines = [
        f"# How the API fits eduframe-sync {version()}",
        "",
        f"Python {platform.python_version()} on {platform.system()}, dlt {version_of('dlt')}.",
        "A page of each list was read, and compared with the models. Nothing here is a value of a",
        f"row; names and words that may be data are counted as `{OTHERS}`.",
        "",
        f"Headers about the request limit: {limits(api) or 'none'}.",
        "",
        "| list | answer | rows | paging | order of keys |",
        "|---|---|---:|---|---|",
        *(_list_row(tried) for tried in resources),
        "",
        "## What differs from the models",
        "",
        *(different or ["Nothing.", ""]),
    ]
    return "\n".join(lines)


def limits(api: Api) -> str:
    """The headers about the request limit, in a line."""
    return ", ".join(f"{name}: {value}" for name, value in sorted(api.limit_headers.items()))


def differences(resource: str, fit: Fit) -> Iterator[str]:
    """What differs from the model, a line for each field."""
    if fit.set_aside:
        yield f"{resource}: {fit.set_aside} rows without a usable key, which would be set aside"
    for name, count in sorted(fit.unknown_fields.items()):
        yield f"{name} is not known: in {_of(fit, name, count)}"
    for name, kinds in sorted(fit.unfit_fields.items()):
        yield f"{name} does not fit: {_counted(fit, name, kinds)}"
    for name, values in sorted(fit.unknown_values.items()):
        yield f"{name} has values that are not declared: {_counted(fit, name, values)}"


def _counted(fit: Fit, name: str, found: dict[str, int]) -> str:
    return ", ".join(f"{what} in {_of(fit, name, n)}" for what, n in sorted(found.items()))


def _of(fit: Fit, name: str, count: int) -> str:
    return f"{count} of {fit.rows.get(name.split('.')[0], 0)}"


def _list_row(tried: Tried) -> str:
    fit = tried.fit
    said = (fit.rows.get(tried.resource, 0), fit.paging, fit.order) if fit else ("", "", "")
    return f"| `{tried.path}` | {tried.state} | " + " | ".join(map(str, said)) + " |"


def _section(tried: Tried) -> list[str]:
    if tried.fit is None or not tried.fit.differs:
        return []
    found = [f"- {line}" for line in differences(tried.resource, tried.fit)]
    return [f"### `{tried.path}`", "", *found, ""]
