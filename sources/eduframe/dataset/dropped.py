"""Tables and columns that somebody dropped: made again, as dlt believes them to be there.

Tables fill by themselves, as every row is compared with what the destination holds. Of rows whose
column went, the hash says nothing any more.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from dlt.common.schema import Schema
from dlt.destinations.job_client_impl import SqlJobClientBase

from sources.eduframe.dataset.memory import tables_of
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import UnfitTableError
from sources.eduframe.rows.hashing import UNKNOWN
from sources.eduframe.rows.tables import ALL_TABLES, MAIN_TABLES

log = logging.getLogger("eduframe.source")


def make_tables(pipeline: Any, names: Iterable[str], schema: str | None = None) -> None:
    """Make tables, and columns, that dlt's schema has and the destination lacks."""
    with pipeline.destination_client(schema) as client:
        if client.is_storage_initialized():
            client.update_stored_schema(only_tables=sorted(names), force=True)


def make_dropped_tables(pipeline: Any, missing: Iterable[str]) -> list[str]:
    """Make dlt create tables that were dropped by hand, which it believes to be there."""
    schema = pipeline.default_schema_name and pipeline.default_schema
    dropped = sorted(set(missing) & set(schema.tables)) if schema else []
    if dropped:
        make_tables(pipeline, dropped)
    return dropped


def make_dropped(pipeline: Any, dataset: Dataset, name: str, resources: Iterable[str]) -> set[str]:
    """Make again what the destination lacks of the tables of these resources.

    ``name`` is that of dlt's schema. Returns the tables that got columns. The rows of the lists
    that own these have lost their hash, so that the next complete read writes them, in this run or
    a later one.

    Raises:
        UnfitTableError: a table lacks a column that its rows cannot be without.
    """
    client = pipeline.destination_client()
    if name not in pipeline.schema_names or not isinstance(client, SqlJobClientBase):
        return set()
    schema, wanted = pipeline.schemas[name], {*resources}
    names = [t["name"] for t in schema.data_tables() if t.get("resource") in wanted]
    exact = client.capabilities.generates_case_sensitive_identifiers()
    with dataset:
        if not dataset.client.has_dataset():
            return set()
        found = dataset.stored_columns(names)
        lacking = {
            table: columns for table, stored in found.items()
            if (columns := _missing(schema, table, stored, exact))
        }
        _forget(dataset, lacking)
    missing = set(names) - {*found}
    if missing or lacking:
        make_tables(pipeline, missing | {*lacking}, name)
    if missing:
        log.warning("tables that are not there are made, and filled: %s", _listed(missing))
    if lacking:
        log.warning("columns that were dropped are made again, and filled: %s", _listed(
            f"{table}.{column}" for table, columns in lacking.items() for column in columns
        ))
    return {*lacking}


def _missing(schema: Schema, table: str, stored: Mapping[str, Any], exact: bool) -> list[str]:
    """The columns that a stored table lacks.

    Raises:
        UnfitTableError: its rows cannot be without them.
    """
    missing = schema.get_new_table_columns(table, {**stored}, case_sensitive=exact)
    keys = ALL_TABLES[table].merge_columns if table in ALL_TABLES else ()
    for column in missing:
        if column["name"] in keys or not column.get("nullable", True):
            raise UnfitTableError(
                f"The table {table} lacks its column {column['name']}, without which its rows "
                f"cannot be told apart or written. Nothing was read. Drop the table {table}: the "
                "next run makes it and fills it again."
            )
    return [str(column["name"]) for column in missing]


def _forget(dataset: Dataset, lacking: Iterable[str]) -> None:
    """Forget the hashes of the lists that own these tables, before their columns look sound."""
    lost = {*lacking}
    mains = [e.table for e in ENDPOINTS if tables_of(e) & lost and _is_keyed(e.table)]
    for main, columns in dataset.stored_columns(mains).items():
        if "_row_hash" in columns:
            dataset.update(main, {"_row_hash": UNKNOWN}, "1 = 1")


def _is_keyed(table: str) -> bool:
    """Whether rows have a key beside their hash."""
    return MAIN_TABLES[table].key != ("_row_hash",)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
