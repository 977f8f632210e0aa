"""What of a package depends on the customer: found in the destination, where it can be reached."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dlt.common.destination import Destination

from pipelines.eduframe.destinations.duckdb_file import reading_file
from pipelines.eduframe.failures import cause_of
from pipelines.eduframe.pipeline import duckdb_path, make_pipeline
from pipelines.eduframe.place.target import target_of
from pipelines.eduframe.views.catalog import custom_fields, look
from pipelines.eduframe.views.custom_fields import CustomObject, Field
from pipelines.eduframe.views.keeping import HAVE_VIEWS
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import EduframeError, SettingsError
from sources.eduframe.region import iana_zone
from sources.eduframe.settings import Settings, resolve

DIALECTS = {kind: kind for kind in HAVE_VIEWS} | {"motherduck": "duckdb"}
"""Kinds of destinations that there are packages for, and their SQL, which is also how dbt calls its
adapter."""


@dataclass(frozen=True)
class Customer:
    """What a destination tells of the customer."""

    time_zone: str | None
    """IANA's name."""
    currency: str | None
    fields: tuple[Field, ...]
    """The custom fields."""
    not_synced: tuple[str, ...]
    """The lists, by their tables, that no run has read."""
    objects: tuple[CustomObject, ...] = ()
    """The custom objects, …"""
    object_fields: tuple[Field, ...] = ()
    """… and the fields of their records."""

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Those of rows and of records."""
        return self.fields + self.object_fields

    @classmethod
    def of(cls, known: dict[str, Any]) -> Self:
        """What was written down as JSON."""
        return cls(
            known["time_zone"],
            known["currency"],
            tuple(Field(**field) for field in known["fields"]),
            tuple(known["not_synced"]),
            tuple(CustomObject(**one) for one in known["objects"]),
            tuple(Field(**field) for field in known["object_fields"]),
        )


@dataclass(frozen=True)
class Place:
    """Where the raw tables are, as far as it is known."""

    dataset: str
    file: Path | None
    """The DuckDB file."""
    customer: Customer | None
    why: str = ""
    """Why nothing is known of the customer."""


NOT_BY_DEFAULT = tuple(endpoint.table for endpoint in ENDPOINTS if not endpoint.enabled)
"""The lists that are synced only where they are named."""


def dialect_of(destination: str) -> str:
    """The SQL of a destination, by its kind or by the name that it is configured under.

    Raises:
        SettingsError: there is no such destination, or no package for it.
    """
    kind = destination
    if kind not in DIALECTS:
        try:
            found = getattr(Destination.from_reference(destination), "destination_type", "")
        except Exception as error:  # dlt has an exception of its own for each cause
            raise SettingsError(
                f"There is no destination {destination!r}. Use one of: {', '.join(DIALECTS)}."
            ) from error
        kind = str(found).rsplit(".", 1)[-1]
    if kind not in DIALECTS:
        raise SettingsError(
            f"There is no dbt package for {kind}, where there are no views either. "
            f"Use one of: {', '.join(DIALECTS)}."
        )
    return DIALECTS[kind]


def place_of(destination: str, dataset: str) -> Place:
    """Look at a destination; nothing is written there, and none is needed.

    Raises:
        SettingsError: a setting is no value of its kind.
    """
    file, settings = None, resolve(token_needed=False)
    with tempfile.TemporaryDirectory() as folder:  # the working folder is left alone
        try:
            pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
            dataset, file = target_of(pipeline).dataset, duckdb_path(pipeline)
            if file is not None and not file.exists():
                return Place(dataset, file, None, f"there is no file {file}")
            with reading_file(pipeline), Dataset(pipeline) as stored:
                customer = _customer(stored, settings)
        except Exception as error:  # each driver has exceptions of its own
            why = str(error) if isinstance(error, EduframeError) else cause_of(error)
            return Place(dataset, file, None, why)
    if customer is None:
        return Place(dataset, file, None, f"nothing has been synced into dataset {dataset} yet")
    return Place(dataset, file, customer)


def _customer(stored: Dataset, settings: Settings) -> Customer | None:
    read = _read_lists(stored)
    if not read:
        return None
    found = look(stored, None)
    of_rows, of_records = custom_fields(stored, found)
    return Customer(
        settings.time_zone or iana_zone(found.time_zone),
        settings.currency or found.currency,
        tuple(of_rows),
        tuple(endpoint.table for endpoint in ENDPOINTS if endpoint.table not in read),
        tuple(found.objects),
        tuple(of_records),
    )


def _read_lists(stored: Dataset) -> Sequence[str]:
    sql = (
        f"SELECT DISTINCT {stored.column('resource')} AS resource "
        f"FROM {stored.name('_sync_resources')} WHERE {stored.column('status')} = 'done'"
    )
    return [name for rows in stored.query(sql) for name in rows.column(0).to_pylist()]
