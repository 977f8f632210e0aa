"""What is in a load package: batches of many lists, with their positions and the run log.

Everything in it is merged by key, so a package that lands in part, or twice, does no harm; and it
counts as done only when dlt has completed the whole package.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import dlt
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from dlt.extract import DltResource

from pipelines.eduframe.place.target import is_a
from pipelines.eduframe.process_memory import give_back
from pipelines.eduframe.store.deletion_log import forget_unproven
from pipelines.eduframe.store.run_log import (
    DELETIONS,
    HIDDEN_ROWS,
    LOG_TABLES,
    REJECTED_ROWS,
    RELATIONS,
    SYNC_RESOURCES,
    SYNC_RUNS,
    SYNC_SEEN,
)
from sources.eduframe.comparing.row_versions import later_wins, removals
from sources.eduframe.dataset.dlt_defaults import DLT_DEFAULTS
from sources.eduframe.dataset.dlt_resources import (
    ready_resource,
    remember_position,
    shared_resource,
)
from sources.eduframe.dataset.dropped import make_tables
from sources.eduframe.dataset.joining import with_stored
from sources.eduframe.dataset.merge_hints import (
    declare_format,
    declare_tables,
    keeps_json,
    quiet_hints,
)
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.private_files import close_to_others
from sources.eduframe.reading.batch import Batch
from sources.eduframe.reading.checkpoint import Position, set_name
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.keys import Ids, key_text
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, CHILD_TABLES, MAIN_TABLES, SHARED_TABLES

log = logging.getLogger("eduframe.load")

GROUP_ROWS: int = DLT_DEFAULTS["data_writer"]["row_group_size"]


@dlt.source(name="eduframe", section="eduframe", root_key=False)
def _package(resources: list[DltResource]) -> list[DltResource]:
    return resources


@dataclass
class _Merged:
    """The rows that a package has of one list, a table at a time, and the position after them."""

    resource: str
    position: Position | None
    tables: dict[str, Iterator[pa.Table]]


class Loader:
    """Loads the packages of one run."""

    def __init__(
        self,
        stored: StoredRows,
        run_id: str,
        synced_at: datetime,
        policies: Mapping[str, Policy],
        customer: Mapping[str, Any] | None,
    ) -> None:
        self.pipeline = stored.pipeline
        self.stored = stored
        self._run_id = run_id
        self._synced_at = synced_at
        self._policies = policies
        self._customer = customer
        self._missing: set[str] = set()
        self.also: Callable[[], Mapping[str, pa.Table]] = dict
        """Further rows of the run log, by table."""
        self._relations: pa.Table | None = None
        self.packages = 0

    def create(self, missing: set[str]) -> None:
        """These tables are not there yet: the next package makes them, whatever it holds."""
        self._missing = missing

    def tell_relations(self, rows: pa.Table | None) -> None:
        """The next package brings these rows of ``_relations``, if any."""
        self._relations = rows

    def load(
        self,
        batches: Sequence[Batch],
        runs: Iterable[dict[str, Any]],
        resources: Iterable[dict[str, Any]],
    ) -> None:
        """Load these batches and rows of the run log as one package.

        Raises:
            PipelineStepFailed: dlt could not load it; the package stays pending.
        """
        quiet_hints()
        by_resource: dict[str, list[Batch]] = {}
        for batch in batches:
            by_resource.setdefault(batch.resource, []).append(batch)
        logs: dict[str, list[pa.Table]] = {
            SYNC_RUNS.name: [SYNC_RUNS.table(runs)],
            SYNC_RESOURCES.name: [SYNC_RESOURCES.table(resources)],
            **{name: [rows] for name, rows in self.also().items()},
        }
        if self._relations is not None:
            logs[RELATIONS.name] = [self._relations]
        merged = [self._merge(name, parts, logs) for name, parts in by_resource.items()]
        written = [rows for rows in merged if rows.tables]
        unwritten = [rows for rows in merged if not rows.tables]
        made: list[DltResource] = [
            ready_resource(BY_TABLE[rows.resource], partial(self._rows, rows), rows.position)
            for rows in written
        ]
        made += [
            shared_resource(name, partial(self._shared, written))
            for name in sorted({n for rows in written for n in rows.tables if n in SHARED_TABLES})
        ]
        made += self._log_resources(logs, lambda: self._remember(unwritten))
        package = _package(made)
        declare_tables(package.schema, self._missing, as_text=not keeps_json(self.pipeline))
        declare_format(package.schema, self._missing | self._known(), self.pipeline)
        try:
            self.pipeline.run(package)
        finally:
            close_to_others(Path(self.pipeline.working_dir))
        if self._missing:
            make_tables(self.pipeline, self._missing)
        self._missing = set()
        self._relations = None
        self.packages += 1
        give_back()

    def give_up(self) -> None:
        """Throw away the package that is pending, with the state and the schema it would leave."""
        self.pipeline.abort_packages()

    def _known(self) -> set[str]:
        """The tables of which dlt's schema knows."""
        pipeline = self.pipeline
        return set(pipeline.default_schema.data_table_names() if pipeline.schema_names else ())

    def _shared(self, written: Iterable["_Merged"], name: str) -> Iterator[pa.Table]:
        for merged in written:
            yield from self._rows(merged, name)

    def _rows(self, merged: "_Merged", name: str) -> Iterator[pa.Table]:
        for rows in _larger(merged.tables.get(name, ())):
            yield storable(self.pipeline, rows, ALL_TABLES[name].all_columns)

    def _merge(
        self, name: str, batches: list[Batch], logs: dict[str, list[pa.Table]]
    ) -> "_Merged":
        """The batches of one list as one; its log rows go to ``logs``."""
        table = MAIN_TABLES[name]
        last = batches[-1]
        parts = [with_stored(self.stored, batch) for batch in batches]
        parts += self._deletions(batches, logs)
        for batch in batches:
            self._log_rejected(batch, logs)
            self._log_asked_for(batch, logs)
        logs.setdefault(SYNC_SEEN.name, []).extend(
            _keys(name, set_id, ids) for set_id, ids in _sets(batches).items() if len(ids)
        )
        tables = later_wins(table, parts)
        for child, rows in self._ownerless(batches):
            tables[child] = chain(tables.get(child, ()), [rows])
        return _Merged(name, last.position, tables)

    def _ownerless(self, batches: list[Batch]) -> Iterator[tuple[str, pa.Table]]:
        """Removals of child rows whose owners are not there."""
        for batch in batches:
            for table in CHILD_TABLES[batch.resource]:
                if table.name in batch.ownerless:
                    with self.stored as stored:
                        owners = stored.owners(table, batch.ownerless[table.name])
                    yield table.name, removals(table, owners)

    def _deletions(
        self, batches: list[Batch], logs: dict[str, list[pa.Table]]
    ) -> list[dict[str, pa.Table]]:
        """The rows that are gone: marked or removed, with their entry in ``_deletions``."""
        made = []
        for batch in batches:
            table = MAIN_TABLES[batch.resource]
            hard = self._policies[batch.resource].deletes == "hard" or table.key == ("_row_hash",)
            for gone in batch.gone:
                with self.stored as stored:
                    rows = stored.rows(table, gone.ids)
                    keys = _key_texts([rows.column(name) for name in table.key])
                    forget_unproven(stored, batch.resource, keys)
                if hard:
                    made.append(self._removals(batch.resource, rows))
                else:
                    made.append({table.name: self._marked(rows)})
                read_id = batch.read_id
                logs.setdefault(DELETIONS.name, []).append(
                    DELETIONS.table(
                        {
                            "resource": batch.resource,
                            "key": key,
                            "read_id": read_id,
                            "deleted_at": self._synced_at,
                            "run_id": self._run_id,
                            "kind": "hard" if hard else "soft",
                            "proof": gone.proof,
                        }
                        for key in keys
                    )
                )
        return made

    def _marked(self, rows: pa.Table) -> pa.Table:
        now = pa.repeat(pa.scalar(self._synced_at, pa.timestamp("us", tz="UTC")), rows.num_rows)
        for name in ("_deleted_at", "_synced_at"):
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, rows.schema.field(place), now)
        return rows

    def _removals(self, resource: str, rows: pa.Table) -> dict[str, pa.Table]:
        table = MAIN_TABLES[resource]
        columns = [
            rows.column(f.name)
            if f.name in table.key
            else pa.repeat(pa.scalar(True), rows.num_rows)
            if f.name == "_removed"
            else pa.nulls(rows.num_rows, f.type)
            for f in table.arrow_schema
        ]
        removed = {table.name: pa.table(columns, schema=table.arrow_schema)}
        for child in CHILD_TABLES[resource]:
            removed[child.name] = removals(child, rows)
        return removed

    def _log_rejected(self, batch: Batch, logs: dict[str, list[pa.Table]]) -> None:
        if not batch.rejected:
            return
        rows = {rejected.key: rejected for rejected in batch.rejected}
        logs.setdefault(REJECTED_ROWS.name, []).append(
            REJECTED_ROWS.table(
                {
                    "resource": batch.resource,
                    "key": key,
                    "row": rejected.row,
                    "reason": rejected.reason,
                    "rejected_at": self._synced_at,
                    "run_id": self._run_id,
                }
                for key, rejected in rows.items()
            )
        )

    def _log_asked_for(self, batch: Batch, logs: dict[str, list[pa.Table]]) -> None:
        if batch.asked_for:
            logs.setdefault(HIDDEN_ROWS.name, []).append(
                HIDDEN_ROWS.table(
                    {"resource": batch.resource, **asdict(one)} for one in batch.asked_for
                )
            )

    def _remember(self, unwritten: Sequence["_Merged"]) -> None:
        """What the state holds beside the positions of the lists that have rows in this package."""
        if self._customer:
            dlt.current.source_state()["customer"] = dict(self._customer)
        for rows in unwritten:
            remember_position(rows.resource, rows.position)

    def _log_resources(
        self, logs: Mapping[str, list[pa.Table]], remember: Callable[[], None]
    ) -> list[DltResource]:
        made = []
        for table in LOG_TABLES:
            parts = [part for part in logs.get(table.name, ()) if part.num_rows]
            if not parts and table.name not in self._missing:
                continue
            rows = [storable(self.pipeline, part, table.columns) for part in parts]
            rows = rows or [table.arrow_schema.empty_table()]
            made.append(table.resource(rows, *([remember] if table is SYNC_RUNS else [])))
        return made


_NUL_IN_JSON = r"(^|[^\\])((?:\\\\)*)(?:\\u0000)+"
"""A NUL in a JSON text: not a backslash, as text, that ``u0000`` happens to follow."""


def storable(pipeline: Any, rows: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """The rows without NUL characters, which Postgres and Redshift cannot hold in text or JSON."""
    if not is_a(pipeline, "postgres", "redshift"):
        return rows
    for column in columns:
        if column.type not in ("text", "json"):
            continue
        place = rows.schema.get_field_index(column.name)
        pattern, kept = (_NUL_IN_JSON, r"\1\2") if column.type == "json" else ("\x00", "")
        while pc.any(pc.match_substring_regex(rows.column(place), pattern)).as_py():
            cleaned = pc.replace_substring_regex(rows.column(place), pattern, kept)
            rows = rows.set_column(place, rows.schema.field(place), cleaned)
    return rows


def _larger(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables, each as long as a row group of a parquet file."""
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if sum(rows.num_rows for rows in waiting) >= GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _sets(batches: Sequence[Batch]) -> dict[str, Ids]:
    """The sets of key ids to be kept: what an unfinished read has met, or what a finished one
    leaves to the next."""
    last = batches[-1]
    if last.finished:
        return last.left
    if last.position is None or last.position.checkpoint is None:
        return last.left
    seen = [batch.seen for batch in batches if batch.seen is not None]
    answered = [batch.answered for batch in batches if batch.answered is not None]
    sets = {last.read_id: seen, set_name(last.read_id, "parents"): answered}
    met = {name: np.unique(np.concatenate(parts)) for name, parts in sets.items() if parts}
    return {**met, **last.left}


def _keys(resource: str, read_id: str, ids: Ids) -> pa.Table:
    """Rows of ``_sync_seen``."""
    columns = [
        pa.repeat(pa.scalar(resource), len(ids)),
        pa.repeat(pa.scalar(read_id), len(ids)),
        pa.array(ids),
    ]
    return pa.table(columns, schema=SYNC_SEEN.arrow_schema)


def _key_texts(columns: list[pa.ChunkedArray]) -> list[str]:
    return [key_text(key) for key in zip(*(c.to_pylist() for c in columns), strict=True)]
