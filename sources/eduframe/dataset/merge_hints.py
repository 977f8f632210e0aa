"""dlt's hints for our tables: how rows are merged in every destination, and how tables lie there.

Main tables are merged by their key, child tables replaced by owner: dlt's *delete-insert*, which
each destination's own SQL carries out.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.common.schema.utils import dlt_load_id_column, new_table

from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, JSON_IN, SHARED_TABLES, Table


def table_hints(table: Table) -> dict[str, Any]:
    """dlt's hints for a table: merged by key, children replaced by owner."""
    hints: dict[str, Any] = {
        "write_disposition": "merge",
        "columns": table.dlt_columns(),
        "additional_table_hints": layout(table.merge_columns, table.all_columns),
    }
    references = table.dlt_references()
    return hints | ({"references": references} if references else {})


MOMENTS = ("updated_at", "_synced_at", "started_at")
"""Columns that say when a row changed, or was made: the first that a table has tells best."""


def layout(key: Sequence[str], columns: Iterable[Column]) -> dict[str, Any]:
    """dlt's hints for how BigQuery lays out a table; other destinations pay them no heed.

    It bills a merge by the partitions in which it deletes rows, so tables lie by month of the
    column that says when a row changed (what changes has mostly changed lately), and within that
    by key. By day, small tables would fall into thousands of partitions.
    """
    hints: dict[str, Any] = {"x-bigquery-cluster-columns": list(key)[:4]}
    names = {column.name for column in columns}
    if moment := next((name for name in MOMENTS if name in names), None):
        hints["x-bigquery-partition"] = {moment: "TIMESTAMP_TRUNC({column_name}, MONTH)"}
    return hints


def json_as_text(columns: Mapping[str, Iterable[Column]]) -> None:
    """Within a resource, given its tables: make JSON columns text, where JSON is text.

    Only a resource that runs knows its destination; it was made before that.
    """
    if keeps_json(current_pipeline()):
        return
    resource = dlt.current.resource()
    for name, found in columns.items():
        json = [column.name for column in found if column.type == "json"]
        text: Any = {column: {"name": column, "data_type": "text"} for column in json}
        if not text:  # which would mean to dlt: no columns
            continue
        if name == resource.name:
            resource.apply_hints(columns=text)
        else:
            resource.apply_hints(table_name=name, columns=text, create_table_variant=True)


def written_alike(names: Iterable[str]) -> None:
    """Within a resource, given its tables: write those of nested parts as the main one.

    They are merged by owner, whatever the strategy: only main tables have a key of their own. Into
    Postgres rows go as INSERT statements by dlt's own destination, as its CSV loses empty strings,
    and by ours where they are not merged, as COPY does not fill the ``jsonb`` of the tables.
    """
    resource: Any = dlt.current.resource()
    how: dict[str, Any] = {}
    destination = current_pipeline().destination
    if isinstance(destination, dlt.destinations.postgres) and (
        type(destination) is dlt.destinations.postgres or resource.disposition != "merge"
    ):
        how["file_format"] = "insert_values"
    if found := open_format(current_pipeline()):
        how["table_format"] = found
    for name in names:
        if name != resource.name:
            resource.apply_hints(
                table_name=name,
                write_disposition=resource.disposition,
                create_table_variant=True,
                **how,
            )
        elif name in SHARED_TABLES:
            resource.apply_hints(write_disposition=resource.disposition, **how)
        elif how:
            resource.apply_hints(**how)


def open_format(pipeline: Any) -> str | None:
    """The format of the tables in our own ``filesystem``: ``delta``. None elsewhere."""
    if not str(pipeline.destination.destination_type).endswith(".delta_tables.filesystem"):
        return None
    return str(pipeline.destination.capabilities().preferred_table_format)


def declare_format(schema: dlt.Schema, names: Iterable[str], pipeline: Any) -> None:
    """Say in a dlt schema in which format tables are, so that dlt by itself can read them."""
    if found := open_format(pipeline):
        for name in names:
            table: Any = {"name": name, "columns": {}, "table_format": found}
            schema.update_table(table)


def current_pipeline() -> Any:
    """The pipeline that is running; as ``dlt.current.pipeline()``, which takes 7 ms to find it."""
    return Container()[PipelineContext].pipeline()


def keeps_json(pipeline: Any) -> bool:
    """Whether the pipeline's destination has a JSON type; in others, JSON columns are text."""
    return str(pipeline.destination.destination_type).rsplit(".", 1)[-1] in JSON_IN


def declare_tables(schema: dlt.Schema, names: Collection[str], *, as_text: bool) -> None:
    """Put these tables into a dlt schema, just as they would come with their first row.

    dlt would work that out from a resource as well, in fifty times as long.
    """
    for name, table in ALL_TABLES.items():
        if name in names:
            schema.update_table(declared(table, as_text=as_text))


def declared(table: Table, *, as_text: bool) -> Any:
    """A table as it stands in dlt's schema."""
    hints = table_hints(table)
    references: Any = hints.get("references")
    resource = table.name if table.name in SHARED_TABLES else table.endpoint.table
    columns = [*hints["columns"].values(), dlt_load_id_column()]
    if as_text:
        columns = [c | {"data_type": "text"} if c["data_type"] == "json" else c for c in columns]
    made = new_table(
        table.name,
        write_disposition=hints["write_disposition"],
        resource=resource,
        columns=columns,
        references=references,
    )
    variant = {} if table.name == resource else {"variant_name": table.name}
    return made | hints["additional_table_hints"] | variant


class _QuietHints(logging.Filter):
    """Some warnings of dlt's are of no use here.

    For each JSON column, that its Arrow column is text: it is meant so. For each table with two
    foreign keys to one table, that it keeps the last: so it does. For each table on its way to
    Postgres, that rows are written out as text: slower than its CSV, which loses empty strings.
    For each table that is not merged, that nothing marks rows for removal there: none come. And
    that the ``filesystem`` which loaded Delta tables is ours, and not dlt's.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not (
            "several column hints were different" in message
            or "has multiple references to" in message
            or "ArrowToInsertValuesWriter" in message
            or 'The "hard_delete" column hint' in message
            or "dataset.delta_tables.filesystem" in message
        )


def quiet_hints() -> None:
    """Keep dlt from warning of what is meant so."""
    logger = logging.getLogger("dlt")
    if not any(isinstance(f, _QuietHints) for f in logger.filters):
        logger.addFilter(_QuietHints())
