"""What a destination says of each table: rows, last sync, since when it is proven."""

import tempfile
from dataclasses import dataclass
from datetime import datetime

from pipelines.eduframe.commands.freshness import TableStatus, look
from pipelines.eduframe.pipeline import make_pipeline
from sources.eduframe.clock import now_utc
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


def freshness(destination: str, dataset: str) -> Freshness:
    """Look at a dataset; nothing is written there.

    Raises:
        SettingsError: the destination cannot be used, or nothing has been synced there.
    """
    on = [endpoint.table for endpoint in select(resolve(token_needed=False)).on]
    with tempfile.TemporaryDirectory() as folder:  # the working folder is left alone
        found, _ = look(make_pipeline(destination, dataset, pipelines_dir=folder), on)
    if all(one.rows is None for one in found):
        raise SettingsError(
            f"Nothing has been synced into dataset {dataset} of {destination} yet: name the one "
            "that holds the tables, or leave out --destination and --dataset."
        )
    return Freshness(destination, dataset, now_utc(), {one.resource: one for one in found})
