"""Which dataset it is: the kind of the destination, the address, and the dataset's name there.

Two pipelines with the same target write the same tables, whatever they are called, and wherever
their working folders are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from dlt.common.configuration.exceptions import ConfigurationValueError

from sources.eduframe.digest import hash_text


@dataclass(frozen=True)
class Target:
    """One dataset."""

    kind: str
    """The kind of the destination, such as ``duckdb``."""
    address: str
    dataset: str
    """The dataset as dlt spells it in the destination."""
    former: str = ""
    """How earlier releases wrote down what this is."""
    path: Path | None = None
    """The DuckDB file, or the folder of Delta tables; None for what is not on this machine."""

    def __str__(self) -> str:
        return f"{self.kind} {self.address} {self.dataset}"

    @property
    def number(self) -> str:
        """Stands for the target in names of files."""
        return f"{hash_text(str(self)):014x}"

    def is_called(self, text: str) -> bool:
        """Whether a text that this or an earlier release wrote down means this dataset."""
        kind, _, rest = text.partition(" ")
        return f"{kind.rsplit('.', 1)[-1]} {rest}" in (str(self), self.former)


def is_a(pipeline: Any, *kinds: str) -> bool:
    """Whether the pipeline's destination is of one of these kinds: ``duckdb``, ``postgres``, …"""
    return kind_of(pipeline) in kinds


def kind_of(pipeline: Any) -> str:
    """The kind of the pipeline's destination, whatever name it was given in the configuration."""
    return str(pipeline.destination.destination_type).rsplit(".", 1)[-1]


_known: WeakKeyDictionary[Any, dict[str | None, Target]] = WeakKeyDictionary()
"""By destination and dataset: dlt takes a while to find out how a destination is configured."""


def target_of(pipeline: Any) -> Target:
    """The dataset that a pipeline writes."""
    known = _known.setdefault(pipeline.destination, {})
    if pipeline.dataset_name not in known:
        known[pipeline.dataset_name] = _find(pipeline)
    return known[pipeline.dataset_name]


def _find(pipeline: Any) -> Target:
    kind = kind_of(pipeline)
    client = pipeline.destination_client()
    config = client.config
    try:
        location = str(config.data_location() or "")
    except ConfigurationValueError:
        location = str(config.fingerprint())
    path: Path | None = None
    is_file = kind == "duckdb" and config.credentials.database not in ("", None, ":memory:")
    if is_file or (kind == "filesystem" and config.is_local_filesystem):
        path = Path(location).resolve()
        location = str(path)
    elif kind == "filesystem":
        location = config.bucket_url  # where dlt names the bucket alone
    former = f"{kind} {location} {pipeline.dataset_name}"
    if path is None:
        location = " ".join([location, *_within(config)])
    return Target(kind, location, config.normalize_dataset_name(client.schema), former, path)


def _within(config: Any) -> list[str]:
    """What tells databases of one server, or projects of one cloud, from each other."""
    credentials = getattr(config, "credentials", None)
    query = getattr(credentials, "query", None) or {}
    found = [query.get("host")] if isinstance(query, dict) else []  # a socket's folder
    for name in ("project_id", "database", "catalog"):
        found.append(getattr(config, name, None) or getattr(credentials, name, None))
    return [str(value) for value in found if value]
