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

from schemas.eduframe.models.column_types import OneOf, References
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


_OF_RUN = References("_sync_runs", "run_id")
_RESOURCE = "The list, by the name of its main table."
_KEY = "The row's key in that table, as text; JSON where it has several parts."
_KEY_ID = "The row's key in that table where it is a whole number, else a hash of it."
_READ = "it names a read of a list, of which only positions and these rows know."

SYNC_RUNS = LogTable(
    "_sync_runs",
    "The runs of eduframe-sync: a row each.",
    1,
    (
        Column("run_id", "text", description="The key: a random name of the run."),
        Column(
            "started_at",
            "timestamp",
            description="When the run began; also the _synced_at of what it wrote.",
        ),
        Column(
            "ended_at",
            "timestamp",
            description="When the run was over; null while it lasts, or if it was cut off.",
        ),
        Column(
            "status",
            "text",
            description="What became of the run.",
            allowed=OneOf(
                {
                    "running": "not over, or cut off",
                    "done": "every list was read",
                    "partly done": "some lists were not, or something is to be looked at",
                    "failed": "it broke off",
                }
            ),
        ),
        Column("version", "text", description="Of eduframe-sync: which release wrote."),
        Column("resources", "bigint", description="How many lists were to be read."),
        Column("requests", "bigint", description="How many requests the API was asked."),
        Column("rows_read", "bigint", description="Rows that the API served, changed or not."),
        Column("rows_written", "bigint", description="New and changed rows of main tables."),
        Column("rows_deleted", "bigint", description="Rows of main tables that were proven gone."),
        Column("message", "text", description="What the run had to say, for people."),
        Column("row_hash_version", "bigint", description="Of the method that made _row_hash."),
        Column("budget", "text", description="What the run was allowed to spend, as it was set."),
        Column("balance", "decimal", description="Requests that are left on the account, at "
               "balance_at; without a share of the limit as budget there is none."),
        Column("balance_at", "timestamp", description="As of when the balance is told."),
        Column("statements", "bigint", description="How many statements the destination was sent, "
               "the log's last excepted; null where it does not bill by them."),
        Column("bytes_read", "bigint", description="Bytes these statements looked at, as the "
               "destination tells them, by which BigQuery bills; null elsewhere."),
        Column("followed_at", "timestamp", description="When the next run began, which may have "
               "been cut off before it told of itself."),
    ),
)

SYNC_RESOURCES = LogTable(
    "_sync_resources",
    "How each list was read in each run.",
    2,
    (
        Column("run_id", "text", description="The run that read the list.", references=_OF_RUN),
        Column("resource", "text", description=_RESOURCE),
        Column(
            "mode",
            "text",
            description="How changes were looked for.",
            allowed=OneOf(
                {
                    "reconcile": "by comparing the content of all rows",
                    "cursor": "by updated_at, or by comparing parts of the list: see reads",
                    "parents": "by comparing content, under those parents that changed",
                }
            ),
        ),
        Column(
            "status",
            "text",
            description="What became of the list in the run.",
            allowed=OneOf(
                {
                    "waiting": "not begun",
                    "reading": "not over, or cut off",
                    "done": "read, and loaded",
                    "off": "the token may not read it, or the feature is off",
                    "failed": "not read to its end, or not loaded",
                    "held back": "loaded, but its deletions were not carried out",
                    "stopped": "not finished; the next run goes on",
                }
            ),
        ),
        Column("started_at", "timestamp", description="When its reading began."),
        Column("ended_at", "timestamp", description="When its reading was over."),
        Column("rows_read", "bigint", description="Rows that the API served, changed or not."),
        Column("rows_new", "bigint", description="Rows that the table did not have."),
        Column("rows_changed", "bigint", description="Rows that were written again."),
        Column("rows_deleted", "bigint", description="Rows that were proven gone."),
        Column("rows_rejected", "bigint", description="Rows that were set aside."),
        Column("requests", "bigint", description="How many requests the list took."),
        Column("retries", "bigint", description="How many of them were made once more."),
        Column("retry_causes", "json", description="Why requests were tried again, how often."),
        Column(
            "waited_seconds",
            "decimal",
            description="How long it waited for the request limit, in seconds.",
        ),
        Column("seconds", "decimal", description="How long its reading took, waiting included."),
        Column("unknown_fields", "json", description="Fields that the models do not know."),
        Column("unknown_values", "json", description="Values outside of what the API declares."),
        Column("unfit_fields", "json", description="Fields whose values do not fit, by kind."),
        Column("message", "text", description="What there is to say of it, for people."),
        Column(
            "reads",
            "json",
            description="How it was read: whole, pages, window, items, under parents; each with "
            "its requests, rows, and changes found.",
        ),
    ),
)

DELETIONS = LogTable(
    "_deletions",
    "The rows that were found gone from the API.",
    3,
    (
        Column("resource", "text", description=_RESOURCE),
        Column("key", "text", description=_KEY),
        Column(
            "read_id", "text", description="The read of the list that proved it.", unfollowed=_READ
        ),
        Column("deleted_at", "timestamp", description="The start of the run that found it gone."),
        Column("run_id", "text", description="The run that found it so.", references=_OF_RUN),
        Column(
            "kind",
            "text",
            description="What was done with the row.",
            allowed=OneOf({"soft": "_deleted_at was set", "hard": "it was removed"}),
        ),
        Column("proof", "text", description="The two witnesses of its absence, in words."),
    ),
)

REJECTED_ROWS = LogTable(
    "_rejected_rows",
    "Rows that were set aside as they have no usable key, as served.",
    2,
    (
        Column("resource", "text", description=_RESOURCE),
        Column("key", "text", description="The row's key, or a hash of a row without one."),
        Column("row", "json", description="What the API served, whole.", personal="free text"),
        Column("reason", "text", description="What is wrong with its key."),
        Column("rejected_at", "timestamp", description="The start of the run that met it last."),
        Column("run_id", "text", description="The run that found it so.", references=_OF_RUN),
        Column("resolved_at", "timestamp", description="When it fitted, or was gone."),
    ),
)

SYNC_SEEN = LogTable(
    "_sync_seen",
    "The keys met in reads that are not finished, or missed by the last one.",
    3,
    (
        Column("resource", "text", description=_RESOURCE),
        Column("read_id", "text", description="The read that met them.", unfollowed=_READ),
        Column(
            "key_id",
            "bigint",
            description=_KEY_ID,
            unfollowed="the resource says in which table, and it may be a hash.",
        ),
    ),
)

HIDDEN_ROWS = LogTable(
    "_hidden_rows",
    "Rows that their list lacks, and that were not found gone when they were asked for.",
    2,
    (
        Column("resource", "text", description=_RESOURCE),
        Column(
            "key_id",
            "bigint",
            description=_KEY_ID,
            unfollowed="the resource says in which table, and it may be a hash.",
        ),
        Column("key", "text", description=_KEY),
        Column(
            "state",
            "text",
            description="What the row's own path said.",
            allowed=OneOf(
                {
                    "hidden": "it serves the row",
                    "open": "that could not be told yet",
                    "there": "it serves the row, which has moved to another parent",
                    "gone": "the row is gone",
                }
            ),
        ),
        Column("asked_at", "timestamp", description="When it was asked for last."),
    ),
)

SYNC_LEDGER = LogTable(
    "_sync_ledger",
    "What of each list was last read when, where lists are read in parts.",
    3,
    (
        Column("resource", "text", description=_RESOURCE),
        Column(
            "kind",
            "text",
            description="What of the list the row is about.",
            allowed=OneOf(
                {
                    "pages": "a block of rows, in the order of their keys",
                    "window": "what a filter gives, by its value",
                    "hint": "a row that may have changed",
                    "suspect": "a block of rows that may have changed",
                    "unknown": "how many runs in a row found more rows than are known",
                }
            ),
        ),
        Column("number", "bigint", description="Of those of a kind, from 0."),
        Column("first_key", "bigint", description="The block's first key, the row's, or the "
               "filter's value."),
        Column("rows_held", "bigint", description="Rows of the block; 0: the number is free."),
        Column("read_at", "timestamp", description="When all of it was last read (null: never); of "
               "hints and suspect blocks: since when."),
    ),
)

SYNC_RATES = LogTable(
    "_sync_rates",
    "How often rows of each list change, as far as partial reads have found.",
    3,
    (
        Column("resource", "text", description=_RESOURCE),
        Column(
            "kind",
            "text",
            description="What changes are counted of.",
            allowed=OneOf(
                {
                    "age": "rows of an age, as their place from the growing end tells",
                    "window": "rows that a filter gives, by the hours since what it is about",
                    "growth": "new rows of the list",
                    "parents": "rows under parents",
                }
            ),
        ),
        Column("bucket", "bigint", description="Of the rows' age, or of hours since an event."),
        Column("found", "decimal", description="Rows that reads met with a change."),
        Column(
            "watched",
            "decimal",
            description="What they looked at: rows, times the hours since the look before.",
        ),
        Column("counted_at", "timestamp", description="As of when the numbers are weighed."),
    ),
)

RELATIONS = LogTable(
    "_relations",
    "Where columns lead, a row for each reference: join from_table to to_table where from_column "
    "equals to_column, and the condition holds.",
    5,
    (
        Column("from_table", "text", description="The table with the column that refers."),
        Column("from_column", "text", description="The one that holds an id, slug or code."),
        Column("to_table", "text", description="Where the row is that is meant."),
        Column("to_column", "text", description="The column that holds the same there."),
        Column(
            "condition",
            "text",
            description="SQL that must hold as well, such as owner_table = 'users'; empty where "
            "nothing must. A column without its table is one of from_table.",
        ),
        Column(
            "kind",
            "text",
            description="What kind of reference it is.",
            allowed=OneOf(
                {
                    "owner": "from a nested row to the row that it is a part of",
                    "id": "to the row with this id",
                    "id by type": "to the row with this id, in the table that another column tells",
                    "text": "to the row with this slug or code, which is no key",
                }
            ),
        ),
    ),
)

LOG_TABLES = (
    SYNC_RUNS,
    SYNC_RESOURCES,
    DELETIONS,
    REJECTED_ROWS,
    SYNC_SEEN,
    HIDDEN_ROWS,
    SYNC_LEDGER,
    SYNC_RATES,
    RELATIONS,
)


def note_end(dataset: Dataset, run_id: str, ended_at: datetime) -> None:
    """Set the end of a run, which its own row cannot know, as it is loaded before the end."""
    dataset.update("_sync_runs", {"ended_at": ended_at}, f"{dataset.column('run_id')} = %s", run_id)
