"""What a destination says: of each table its rows, last sync, and since when it is proven; and
which custom fields there are."""

import tempfile
from dataclasses import dataclass
from datetime import datetime

from pipelines.eduframe.commands.freshness import TableStatus, look
from pipelines.eduframe.destinations.duckdb_file import reading_file
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.views.keeping import views_dataset, views_of_custom_fields
from pipelines.eduframe.views.view import View
from sources.eduframe.clock import now_utc
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import SettingsError
from sources.eduframe.settings import resolve, select


@dataclass(frozen=True)
class Freshness:
    """How fresh a dataset was when it was looked at."""

    destination: str
    dataset: str
    looked_at: datetime
    tables: dict[str, TableStatus]
    """By the table's name; lists that are off are not among them."""
    views: str | None = None
    """The dataset of the views for analysts; None where there are none."""
    custom: tuple[View, ...] = ()
    """The views of custom fields, with the fields that there are."""


def freshness(destination: str, dataset: str) -> Freshness:
    """Look at a dataset; nothing is written there.

    Raises:
        SettingsError: the destination cannot be used, or nothing has been synced there.
    """
    settings = resolve(token_needed=False)
    on = [endpoint.table for endpoint in select(settings).on]
    with tempfile.TemporaryDirectory() as folder:  # the working folder is left alone
        pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
        found, _ = look(pipeline, on)
        with reading_file(pipeline), Dataset(pipeline) as stored:
            custom = views_of_custom_fields(stored, settings.views)
    if all(one.rows is None for one in found):
        raise SettingsError(
            f"Nothing has been synced into dataset {dataset} of {destination} yet: name the one "
            "that holds the tables, or leave out --destination and --dataset."
        )
    return Freshness(
        destination,
        dataset,
        now_utc(),
        {one.resource: one for one in found},
        views_dataset(dataset, settings.views),
        tuple(custom),
    )
