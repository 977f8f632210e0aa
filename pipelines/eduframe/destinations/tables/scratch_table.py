"""Whether a destination can be used: a scratch table is written, merged and read, and removed.

The scratch rows go the way of a sync's rows, through dlt, with a column of every type that the
tables have. Afterwards the destination holds what it held before.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import dlt

from pipelines.eduframe.failures import cause_of
from pipelines.eduframe.place.target import is_a, kind_of
from pipelines.eduframe.store.run_log import LogTable
from sources.eduframe.dataset.merge_hints import quiet_hints
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import ScratchTableError
from sources.eduframe.rows.table_columns import REMOVED, Column

log = logging.getLogger("eduframe.trial")

NAME = "eduframe_check"
"""Of the scratch pipeline, and so of dlt's schema."""

SCRATCH = LogTable(
    "_eduframe_check",
    "A table that eduframe check made, and could not remove.",
    1,
    (
        Column("id", "bigint"),
        Column("text", "text"),
        Column("flag", "bool"),
        Column("amount", "decimal"),
        Column("started_at", "timestamp"),
        Column("day", "date"),
        Column("extra", "json"),
        REMOVED,
    ),
)
WIDER = replace(SCRATCH, columns=(*SCRATCH.columns, Column("added", "text")))
"""What a later release may make of a table."""

ROW = {
    "text": "it's a test",
    "amount": Decimal("1.5"),
    "started_at": datetime(2024, 2, 29, 12, tzinfo=UTC),
    "day": date(2024, 2, 29),
    "extra": '{"a": 1}',
}
FIRST = [{"id": number, **ROW} for number in (1, 2, 3)]
CHANGES: list[dict[str, Any]] = [{"id": 2, **ROW, "text": "changed"}, {"id": 3, "_removed": True}]
MERGED = [(1, "it's a test"), (2, "changed")]

DLT_TABLES = {
    "_dlt_loads": "schema_name",
    "_dlt_version": "schema_name",
    "_dlt_pipeline_state": "pipeline_name",
}
"""Where dlt writes down what it did, and the column that says for whom."""

FOREIGN_TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = %s "
    "AND NOT pg_has_role(tableowner, 'USAGE') ORDER BY tablename"
)
"""Postgres: tables that the role may not alter or truncate, whatever else it was granted."""


def try_out(pipeline: Any) -> str:
    """Write, merge and read a scratch table in the pipeline's dataset. Returns what was found.

    Raises:
        ScratchTableError: a step failed.
    """
    dataset, kind = pipeline.dataset_name, kind_of(pipeline)
    staging = pipeline.destination_client().config.staging_dataset_name_layout % dataset
    quiet_hints()
    with tempfile.TemporaryDirectory() as folder:
        scratch = dlt.pipeline(
            NAME, destination=pipeline.destination, dataset_name=dataset, pipelines_dir=folder
        )
        try:
            with _step(kind, "be reached", "the right to connect"), Dataset(scratch) as dataset:
                list(dataset.query("SELECT 1 AS one"))
            with _removing(scratch, kind):
                needs = f"to create the datasets {dataset} and {staging}, or tables in both"
                with _step(kind, "be written", needs):
                    _load(scratch, SCRATCH, FIRST)
                needs = f"to alter tables in {dataset}, and to delete and insert rows"
                with _step(kind, "merge rows", needs):
                    _load(scratch, WIDER, CHANGES)
                with _step(kind, "be read", f"to select from tables in {dataset}"):
                    _read(scratch)
                if is_a(scratch, "postgres"):
                    _owned(scratch, kind)
        finally:
            pipeline.activate()
    return "reachable; a scratch table was written, merged, read and removed"


@contextmanager
def _step(kind: str, what: str, needs: str) -> Iterator[None]:
    try:
        yield
    except ScratchTableError:
        raise
    except Exception as error:  # each driver has exceptions of its own
        raise ScratchTableError(
            f"it cannot {what}: {cause_of(error)}. The sync's role needs {needs}: see "
            f"docs/destinations/{kind}.md"
        ) from error


def _load(scratch: Any, table: LogTable, rows: Iterable[dict[str, Any]]) -> None:
    hint: Any = {REMOVED.name: {"name": REMOVED.name, "hard_delete": True}}
    scratch.run(table.resource([table.table(rows)]).apply_hints(columns=hint))


def _read(scratch: Any) -> None:
    with Dataset(scratch) as dataset:
        name, columns = dataset.name(SCRATCH.name), map(dataset.column, ("id", "text"))
        sql = f"SELECT {', '.join(columns)} FROM {name} ORDER BY 1"
        tables = [*dataset.query(sql)]
    found = [row for t in tables for row in zip(*t.to_pydict().values(), strict=True)]
    if found != MERGED:
        raise ScratchTableError(f"it does not merge rows as it should: {found} instead of {MERGED}")


def _owned(scratch: Any, kind: str) -> None:
    with Dataset(scratch) as dataset:
        found = [*dataset.query(FOREIGN_TABLES, dataset.client.dataset_name)]
    names = [name for table in found for name in table.column(0).to_pylist()]
    if names:
        raise ScratchTableError(
            f"{len(names)} tables of the dataset, such as {names[0]}, belong to another role, so "
            "that the sync could not change them. Make the sync's role their owner: see "
            f"docs/destinations/{kind}.md"
        )


@contextmanager
def _removing(scratch: Any, kind: str) -> Iterator[None]:
    """Remove afterwards what was not there before."""
    with scratch.destination_client() as client:
        before = [_is_there(client, staging=staging) for staging in (True, False)]
    try:
        yield
    except BaseException:
        try:
            _remove_new(scratch, before)
        except Exception as error:  # what went wrong first says more
            log.debug("the scratch table may be left behind: %s", cause_of(error))
        raise
    with _step(kind, "remove its scratch table", "to drop tables, and to delete rows"):
        _remove_new(scratch, before)


def _remove_new(scratch: Any, before: Sequence[bool]) -> None:
    with scratch.destination_client() as client:
        for staging, existed in zip((True, False), before, strict=True):
            if not _is_there(client, staging=staging):
                continue
            if is_a(scratch, "filesystem"):
                client.remove_trial(SCRATCH.name, NAME, whole=not existed)
            else:
                with client.with_staging_dataset() if staging else nullcontext():
                    _remove(client, whole=not existed)


def _is_there(client: Any, *, staging: bool) -> bool:
    with client.with_staging_dataset() if staging else nullcontext():
        return bool(client.is_storage_initialized())


def _remove(client: Any, *, whole: bool) -> None:
    if whole:
        client.sql_client.drop_dataset()
        return
    sql = client.sql_client
    sql.drop_tables(SCRATCH.name)
    for table, columns in client.get_storage_tables(DLT_TABLES):
        if columns:
            name, key = sql.make_qualified_table_name(table), DLT_TABLES[table]
            sql.execute_sql(f"DELETE FROM {name} WHERE {sql.escape_column_name(key)} = %s", NAME)
