"""The pipeline: its name, its destination and its dataset."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.exceptions import DltException, MissingDependencyException
from dlt.common.pipeline import get_dlt_pipelines_dir

from pipelines.eduframe.dlt_settings import dlt_settings
from pipelines.eduframe.failures import first_line
from pipelines.eduframe.place.names import (
    check_dataset_name,
    check_pipeline_name,
    check_spelling,
)
from pipelines.eduframe.place.target import is_a, kind_of, target_of
from pipelines.eduframe.place.working_folder import DATASET_NAME, open_pipeline
from sources.eduframe.dataset.dlt_defaults import install_defaults
from sources.eduframe.dataset.usage import Usage
from sources.eduframe.errors import SettingsError

PIPELINE_NAME = "eduframe"
DUCKDB_FILE = "warehouse.duckdb"

CAN_DELETE = (
    "duckdb",
    "postgres",
    "bigquery",
    "snowflake",
    "redshift",
    "databricks",
    "clickhouse",
    "motherduck",
    "filesystem",
)
"""Destinations whose merge replaces rows and honours hard deletes: see ``docs/destinations``."""

TABLE_FORMAT = "delta"
"""The one table format of ``filesystem`` that rows can be deleted from."""

WHY_NOT = {
    "iceberg": "dlt writes rows that are marked for removal into its tables, as rows, and ignores "
    "merge keys, so nested rows that are gone would stay",
    "mssql": "its SQL has no LIMIT and no boolean values, which the sync's own queries need",
    "synapse": "its SQL has no LIMIT and no boolean values, which the sync's own queries need",
}
"""Why some others are refused."""

OURS = {
    "bigquery": "pipelines.eduframe.destinations.bigquery",
    "duckdb": "pipelines.eduframe.destinations.duckdb_merge",
    "filesystem": "sources.eduframe.dataset.delta_tables",
    "postgres": "pipelines.eduframe.destinations.postgres.copy",
}
"""Where we have a destination of our own, which does what dlt's does not: its module.

It has a class of the kind's name, ``take_over(pipeline)`` and ``notes()``; one that bills by what
it is asked also has ``usage(pipeline)``.
"""

EXTRAS = (
    "postgres", "bigquery", "snowflake", "redshift", "databricks", "clickhouse", "filesystem"
)
"""Destinations whose driver comes with the extra of the same name."""


def make_pipeline(
    destination: str = "duckdb",
    dataset: str = DATASET_NAME,
    *,
    name: str = PIPELINE_NAME,
    credentials: Any = None,
    pipelines_dir: str | None = None,
) -> Any:
    """The dlt pipeline of this project. DuckDB goes into ``warehouse.duckdb`` unless configured.

    ``credentials`` are the destination's, as dlt takes them (DuckDB: the file, filesystem: the
    URL of the bucket); left out, they come from dlt's configuration.

    The default dataset has dlt's usual working folder, each other one a folder beside it (see
    :mod:`pipelines.eduframe.place.working_folder`).

    Raises:
        SettingsError: the destination is unknown, or cannot keep what the sync promises; or a name
            is none.
        LockedError: a run is going on, and its working folder is not whole.
    """
    install_defaults()
    check_pipeline_name(name)
    check_dataset_name(dataset)
    configured = dlt_settings(name)
    folder = Path(pipelines_dir or configured.pipelines_dir or get_dlt_pipelines_dir()).resolve()
    with _in_words(destination, folder, is_given=bool(pipelines_dir)):
        make = partial(dlt.pipeline, name, dataset_name=dataset)
        with tempfile.TemporaryDirectory() as scratch:  # nothing is touched before all is checked
            trial = make(destination=_destination(destination, credentials), pipelines_dir=scratch)
            check_can_delete(trial)
            _check_credentials(trial, destination)
            target = target_of(trial)
            check_spelling(trial.dataset_name, target.dataset)
            if target.path and Path(scratch).resolve() in target.path.parents:
                raise SettingsError(
                    "The destination cannot be in the pipeline's working folder, which is made "
                    "anew in each run. Give it a path of its own."
                )
            check_dataset(trial)
        return open_pipeline(
            folder,
            name,
            target,
            lambda home: make(destination=trial.destination, pipelines_dir=home),
        )


@contextmanager
def _in_words(destination: str, folder: Path, *, is_given: bool) -> Iterator[None]:
    """Tell in our words why there can be no pipeline."""
    try:
        yield
    except UnknownDestinationModule as error:
        raise SettingsError(
            f"There is no destination {destination!r}. Use one of: {', '.join(CAN_DELETE)}."
        ) from error
    except (DltException, ImportError, ValueError) as error:
        if destination in EXTRAS and isinstance(error, MissingDependencyException | ImportError):
            raise _driver_missing(destination, destination) from error
        raise SettingsError(
            f"The destination {destination!r} cannot be used: {first_line(error)}"
        ) from error
    except OSError as error:
        setting = "pipelines_dir" if is_given else "DLT_DATA_DIR"
        raise SettingsError(
            f"The folder for the pipeline's work, {folder}, cannot be written: "
            f"{error.strerror or first_line(error)}. Set {setting} to a folder that can."
        ) from error


def check_can_delete(pipeline: Any) -> None:
    """Refuse a destination or table format in which the sync cannot delete.

    Raises:
        SettingsError: says why, and what can be used.
    """
    kind, name = kind_of(pipeline), pipeline.destination.destination_name
    if kind not in CAN_DELETE:
        why = f": {WHY_NOT[kind]}" if kind in WHY_NOT else ""
        raise SettingsError(
            f"The destination {name!r} cannot replace and delete rows as the sync needs it, "
            f"so the tables would not stay equal to the API{why}. "
            f"Use one of: {', '.join(CAN_DELETE)}."
        )
    if kind == "filesystem":
        chosen = str(dlt.config.get(f"destination.{name}.table_format") or TABLE_FORMAT)
        if chosen != TABLE_FORMAT:
            why = WHY_NOT.get(chosen, "files without a table format only grow")
            raise SettingsError(
                f"The sync cannot delete rows in the table format {chosen!r} of the destination "
                f"{name!r}: {why}. Use {TABLE_FORMAT!r}, which is the default."
            )


def _destination(name: str, credentials: Any) -> Any:
    if name == "duckdb":
        credentials = _plain_file(credentials) if credentials else _configured_file()
    if name in OURS:
        return getattr(import_module(OURS[name]), name)(credentials)
    given = {"credentials": credentials} if credentials else {}
    return Destination.from_reference(name, **given)


def use_own_destination(pipeline: Any) -> None:
    """Let a pipeline that was made for dlt's own destination use ours of that kind, if there is.

    Raises:
        ImportError: a package that it needs is not installed.
    """
    if kind_of(pipeline) in OURS:
        import_module(OURS[kind_of(pipeline)]).take_over(pipeline)


def about_destination(pipeline: Any) -> list[str]:
    """What is to be told of the destination before a run, such as how it would be quicker."""
    if kind_of(pipeline) not in OURS:
        return []
    notes: list[str] = import_module(OURS[kind_of(pipeline)]).notes()
    return notes


def usage_of(pipeline: Any) -> Usage:
    """What this process has asked of the destination so far, where that has a price."""
    module = import_module(OURS[kind_of(pipeline)]) if kind_of(pipeline) in OURS else None
    tell: Callable[[Any], Usage] = getattr(module, "usage", lambda pipeline: Usage())
    return tell(pipeline)


def _check_credentials(pipeline: Any, destination: str) -> None:
    what = "BUCKET_URL" if is_a(pipeline, "filesystem") else "CREDENTIALS"
    key = f"DESTINATION__{destination.upper()}__{what}"
    try:
        use_own_destination(pipeline)
        target_of(pipeline)  # which asks for all that is configured
        check_address(pipeline)
    except ConfigFieldMissingException as error:
        raise SettingsError(
            f"The destination {destination} is not configured: {', '.join(error.fields)} is "
            f"missing. Set {key}, or the same in .dlt/secrets.toml."
        ) from error
    except (MissingDependencyException, ImportError) as error:
        raise _driver_missing(destination, kind_of(pipeline)) from error
    except (DltException, ValueError) as error:
        raise SettingsError(
            f"The destination {destination} cannot be used: {first_line(error)}. See {key}."
        ) from error


def check_address(pipeline: Any) -> None:
    """Refuse an address whose password is taken for a part of the host: it would be shown as one.

    Raises:
        SettingsError: names no part of it.
    """
    if is_a(pipeline, "duckdb", "filesystem"):
        return
    credentials = getattr(pipeline.destination_client().config, "credentials", None)
    host = str(getattr(credentials, "host", None) or "")
    if any(sign in host for sign in "@#? "):
        name = pipeline.destination.destination_name
        raise SettingsError(
            f"The address of the destination {name} cannot be read: its user or password has an @ "
            "or another sign that an address gives a meaning. Write it percent-encoded (@ is %40) "
            f"in DESTINATION__{name.upper()}__CREDENTIALS, or give user, password and host apart "
            f"(DESTINATION__{name.upper()}__CREDENTIALS__PASSWORD, …)."
        )


def _driver_missing(destination: str, kind: str) -> SettingsError:
    return SettingsError(
        f"The destination {destination} needs a driver that is not installed: {driver_for(kind)}."
    )


def driver_for(kind: str) -> str:
    """How to install what a destination needs."""
    package = f"eduframe-sync[{kind}]" if kind in EXTRAS else f"dlt[{kind}]"
    return f"pip install '{package}'"


def _configured_file() -> str | None:
    """The DuckDB file by the configuration, as an absolute path; None for what is no plain file.

    dlt would resolve a relative path against the folder that the pipeline was first run in.
    """
    key = "destination.duckdb.credentials"
    value: Any = dlt.secrets.get(key) or dlt.secrets.get(f"{key}.database") or DUCKDB_FILE
    found = _plain_file(value)
    return found if isinstance(found, str) and Path(found).is_absolute() else None


def _plain_file(value: Any) -> Any:
    """A file as an absolute path; whatever else dlt takes as it is."""
    if not isinstance(value, str) or value.startswith((":", "md:")):
        return value
    return str(Path(value.removeprefix("duckdb:///")).expanduser().absolute())


def check_dataset(pipeline: Any) -> None:
    """Refuse a DuckDB file that bears the dataset's name: queries would be ambiguous."""
    file = duckdb_path(pipeline)
    dataset = target_of(pipeline).dataset
    if file is not None and file.stem.lower() == dataset.lower():
        raise SettingsError(
            f"The DuckDB file {file.name} and the dataset {dataset} must not have "
            "the same name, as DuckDB could not tell them apart in a query. Rename the file "
            "(DESTINATION__DUCKDB__CREDENTIALS), or choose another --dataset."
        )


def duckdb_path(pipeline: Any) -> Path | None:
    """The pipeline's DuckDB file; None for other destinations."""
    return target_of(pipeline).path if is_a(pipeline, "duckdb") else None
