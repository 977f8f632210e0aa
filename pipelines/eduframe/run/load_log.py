"""dlt's own tables, where somebody dropped or emptied them: mended before anything is believed.

``_dlt_loads`` says which load packages were completed, and so which rows count. Without it no row
would, nor any position. It is made anew from the rows themselves: which package was cut short
cannot be told any more, and so each row is compared, and written, once more.
"""

from collections.abc import Iterator
from typing import Any

from pipelines.eduframe.destinations.tables.schema_upgrade import OURS, forget_hashes
from pipelines.eduframe.place.target import is_a
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.rows.tables import MAIN_TABLES

LOADS, STATE, VERSION = "_dlt_loads", "_dlt_pipeline_state", "_dlt_version"
LOST = {
    STATE: "how far each list was read is not known any more, and all are read from their start",
    VERSION: "dlt makes it anew",
}


def mend_load_log(pipeline: Any) -> list[str]:
    """Make dlt's tables anew that are gone. Returns what was done, in words."""
    if is_a(pipeline, "filesystem"):  # where they are files beside the rows
        return []
    with Dataset(pipeline) as dataset:
        there = dataset.existing((LOADS, STATE, VERSION))
        known = LOADS in there and _has_rows(dataset, LOADS)
        if known and len(there) == 3:
            return []
        tables = dataset.stored_columns((*OURS, STATE))
        if not any(_has_rows(dataset, name) for name in tables):
            return []  # nothing was ever loaded
        notes = [
            f"{name} was dropped: {lost}" for name, lost in LOST.items() if name not in there
        ]
        if not known:
            what = "empty" if LOADS in there else "dropped"
            _make_anew(pipeline, dataset, tables, make=LOADS not in there)
            notes.append(
                f"{LOADS} was {what}: it is made anew from what the tables hold, and each row is "
                "compared, and written, once more"
            )
    return notes


def _has_rows(dataset: Dataset, table: str) -> bool:
    sql = f"SELECT 1 AS one FROM {dataset.name(table)} LIMIT 1"
    return any(rows.num_rows for rows in dataset.query(sql))


def _make_anew(pipeline: Any, dataset: Dataset, tables: Any, *, make: bool) -> None:
    with_hashes = [n for n in MAIN_TABLES if "_row_hash" in _names(tables.get(n, ()))]
    forget_hashes(dataset, with_hashes)
    load_ids = sorted({*_load_ids(dataset, tables)})
    with dataset.job_client() as client:
        sql = client.sql_client
        if make:
            prepared = client.prepare_load_table(LOADS)
            columns = ", ".join(
                f"{sql.escape_column_name(name)} "
                f"{client.type_mapper.to_destination_type(column, prepared)}"
                f"{'' if column.get('nullable', True) else ' NOT NULL'}"
                for name, column in prepared["columns"].items()
            )
            sql.execute_sql(f"CREATE TABLE {sql.make_qualified_table_name(LOADS)} ({columns})")
        for load_id in load_ids:
            client.complete_load(load_id)


def _load_ids(dataset: Dataset, tables: Any) -> Iterator[str]:
    """The load packages that any row is of."""
    column = dataset.column("_dlt_load_id")
    for name, columns in tables.items():
        if "_dlt_load_id" in _names(columns):
            sql = f"SELECT DISTINCT {column} AS load_id FROM {dataset.name(name)}"
            for rows in dataset.query(sql):
                yield from filter(None, rows.column(0).to_pylist())


def _names(columns: Any) -> set[str]:
    return {name.lower() for name in columns}
