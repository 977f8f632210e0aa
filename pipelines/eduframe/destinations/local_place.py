"""Where a destination on this machine keeps the rows, and who may read them there."""

from pathlib import Path
from typing import Any

from pipelines.eduframe.pipeline import duckdb_path
from pipelines.eduframe.place.target import is_a
from sources.eduframe.private_files import PRIVATE, files_made_with, mode_of


def local_place(pipeline: Any) -> Path | None:
    """The DuckDB file, or the dataset's folder of Delta tables; None where it is elsewhere."""
    if is_a(pipeline, "filesystem"):
        client = pipeline.destination_client()
        return Path(client.dataset_path) if client.config.is_local_filesystem else None
    return duckdb_path(pipeline)


def permissions_in(pipeline: Any, new: int) -> int:
    """Those that files made beside the rows should have: the place's own, or if it is ``new``."""
    place = local_place(pipeline)
    return mode_of(place) & 0o666 | PRIVATE if place and place.exists() else new


def make_folder(pipeline: Any, permissions: int) -> None:
    """Make the folder of Delta tables, such that files in it have no more readers than these."""
    place = local_place(pipeline)
    if place and is_a(pipeline, "filesystem") and not place.exists():
        with files_made_with(permissions):
            place.mkdir(parents=True)
