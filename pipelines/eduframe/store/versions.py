"""Which program wrote a dataset: an older one keeps off, as it would write its rows anew."""

from typing import Any

from packaging.version import InvalidVersion, Version

from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import OlderVersionError
from sources.eduframe.rows.hashing import VERSION
from sources.eduframe.version import version

RUNS = "_sync_runs"
ROW_HASH_VERSION = "row_hash_version"


def check_version(pipeline: Any, dataset: Dataset) -> None:
    """Keep off a dataset that a newer program wrote. Two that take turns would rewrite it in turns.

    The pipeline's schema is to be that of the destination.

    Raises:
        OlderVersionError: says what to install.
    """
    if not pipeline.default_schema_name:
        return
    columns = pipeline.default_schema.tables.get(RUNS, {}).get("columns", {})
    names = [name for name in ("version", ROW_HASH_VERSION) if name in columns]
    if not names:
        return
    wrote: list[dict[str, Any]] = []
    selected = ", ".join(dataset.column(name) for name in names)
    for rows in dataset.query(f"SELECT DISTINCT {selected} FROM {dataset.name(RUNS)}"):
        wrote += rows.rename_columns(names).to_pylist()
    known = [found for row in wrote if (found := _parsed(row.get("version")))]
    mine = _parsed(version())
    newest = max(known, default=None)
    hashed = max((row.get(ROW_HASH_VERSION) or 0 for row in wrote), default=0)
    if hashed <= VERSION and (mine is None or newest is None or newest <= mine):
        return
    how = f", with row hashes of version {hashed}, not {VERSION}," if hashed > VERSION else ""
    raise OlderVersionError(
        f"The dataset {pipeline.dataset_name} was written by eduframe-sync {newest}{how} and this "
        f"is {version()}: the two would write all rows anew in turns. Nothing was read. Install "
        f"eduframe-sync {newest} or newer here, or sync into another dataset (--dataset)."
    )


def _parsed(text: str | None) -> Version | None:
    """A version; None for what is none, or not known."""
    try:
        return Version(text) if text and text != "0" else None
    except InvalidVersion:
        return None
