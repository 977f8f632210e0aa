"""The tables the sync keeps about itself, all merged by a key, so that nothing doubles.

Their names begin with ``_``. ``_sync_runs`` and ``_sync_resources`` tell how fresh the data is:
dlt writes no load where nothing changed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from sources.eduframe.dataset.merge_hints import json_as_text, layout
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.rows.table_columns import ARROW_TYPES, Column


@dataclass(frozen=True)
class LogTable:
    """A table of the run log: its columns, and how many of them, from the left, are the key."""

    name: str
    description: str
    key: int
    columns: tuple[Column, ...]

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns, under the name that the API's tables have them by."""
        return self.columns

    def dlt_columns(self) -> dict[str, dict[str, Any]]:
        """dlt's column hints."""
        return {
            column.name: {
                **column.dlt_hint(nullable=number >= self.key),
                "primary_key": number < self.key,
            }
            for number, column in enumerate(self.columns)
        }

    @property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema(
            pa.field(c.name, ARROW_TYPES[c.type], nullable=n >= self.key)
            for n, c in enumerate(self.columns)
        )

    def resource(
        self, rows: Iterable[pa.Table], remember: Callable[[], None] = lambda: None
    ) -> DltResource:
        """A dlt resource that merges these rows; ``remember`` may change the source's state."""
        def tables() -> Iterator[pa.Table]:
            json_as_text({self.name: self.columns})
            remember()
            yield from rows

        hints: Any = self.dlt_columns()
        keys = [column.name for column in self.columns[: self.key]]
        return dlt.resource(tables, name=self.name).apply_hints(
            write_disposition="merge",
            columns=hints,
            additional_table_hints=layout(keys, self.columns),
        )

    def table(self, rows: Iterable[dict[str, Any]]) -> pa.Table:
        return pa.Table.from_pylist(list(rows), schema=self.arrow_schema)


SYNC_RUNS = LogTable(
    "_sync_runs",
    "The runs of eduframe-sync: a row each.",
    1,
    (
        Column("run_id", "text"),
        Column("started_at", "timestamp", description="Also the _synced_at of what it wrote."),
        Column("ended_at", "timestamp"),
        Column("status", "text", description="running, done, partly done, or failed"),
        Column("version", "text", description="The version of eduframe-sync."),
        Column("resources", "bigint", description="How many resources were to be read."),
        Column("requests", "bigint"),
        Column("rows_read", "bigint"),
        Column("rows_written", "bigint", description="New and changed rows of main tables."),
        Column("rows_deleted", "bigint"),
        Column("message", "text"),
        Column("row_hash_version", "bigint", description="Of the method that made _row_hash."),
    ),
)

SYNC_RESOURCES = LogTable(
    "_sync_resources",
    "How each list was read in each run.",
    2,
    (
        Column("run_id", "text"),
        Column("resource", "text"),
        Column("mode", "text", description="reconcile, cursor, or parents"),
        Column("status", "text", description="done, off, failed, held back, or stopped"),
        Column("started_at", "timestamp"),
        Column("ended_at", "timestamp"),
        Column("rows_read", "bigint"),
        Column("rows_new", "bigint"),
        Column("rows_changed", "bigint"),
        Column("rows_deleted", "bigint"),
        Column("rows_rejected", "bigint"),
        Column("requests", "bigint"),
        Column("retries", "bigint"),
        Column("retry_causes", "json", description="Why requests were tried again, how often."),
        Column("waited_seconds", "decimal", description="Waiting for the request limit."),
        Column("seconds", "decimal"),
        Column("unknown_fields", "json", description="Fields that the models do not know."),
        Column("unknown_values", "json", description="Values outside of what the API declares."),
        Column("unfit_fields", "json", description="Fields whose values do not fit, by kind."),
        Column("message", "text"),
    ),
)

DELETIONS = LogTable(
    "_deletions",
    "The rows that were found gone from the API.",
    3,
    (
        Column("resource", "text"),
        Column("key", "text", description="The row's key; JSON where it has several parts."),
        Column("read_id", "text", description="The read of the list that proved it."),
        Column("deleted_at", "timestamp"),
        Column("run_id", "text"),
        Column("kind", "text", description="soft or hard"),
        Column("proof", "text"),
    ),
)

REJECTED_ROWS = LogTable(
    "_rejected_rows",
    "Rows that did not fit their model, as served.",
    2,
    (
        Column("resource", "text"),
        Column("key", "text", description="The row's key, or a hash of a row without one."),
        Column("row", "json", description="The row as served."),
        Column("reason", "text"),
        Column("rejected_at", "timestamp"),
        Column("run_id", "text"),
        Column("resolved_at", "timestamp", description="When it fitted, or was gone."),
    ),
)

SYNC_SEEN = LogTable(
    "_sync_seen",
    "The keys met in reads that are not finished, or missed by the last one.",
    3,
    (
        Column("resource", "text"),
        Column("read_id", "text"),
        Column("key_id", "bigint", description="The key, or a hash of it, of a row met unchanged."),
    ),
)

HIDDEN_ROWS = LogTable(
    "_hidden_rows",
    "Rows that their list lacks, and that were not found gone when they were asked for.",
    2,
    (
        Column("resource", "text"),
        Column("key_id", "bigint", description="The key, or a hash of it."),
        Column("key", "text", description="The row's key; JSON where it has several parts."),
        Column("state", "text", description="hidden: its own path serves it. open: not told yet."),
        Column("asked_at", "timestamp"),
    ),
)

LOG_TABLES = (SYNC_RUNS, SYNC_RESOURCES, DELETIONS, REJECTED_ROWS, SYNC_SEEN, HIDDEN_ROWS)


def note_end(dataset: Dataset, run_id: str, ended_at: datetime) -> None:
    """Set the end of a run, which its own row cannot know, as it is loaded before the end."""
    dataset.update("_sync_runs", {"ended_at": ended_at}, f"{dataset.column('run_id')} = %s", run_id)
