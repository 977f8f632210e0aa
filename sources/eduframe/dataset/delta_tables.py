"""dlt's ``filesystem``, with Delta tables in which rows are replaced and deleted.

dlt 1.31 only adds and replaces rows of Delta tables by a primary key. Here a load does what it
does in a database: *delete-insert*. All rows with a key that the load has go, and the load's
own rows come in their place, in one commit of the table.

The tables are read by ``deltalake`` and asked by DuckDB in memory, so no extension of DuckDB's
is needed; UPDATE and DELETE statements are ``deltalake``'s too.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import sqlglot
from deltalake import DeltaTable, write_deltalake
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.libs.deltalake import (
    deltalake_storage_options,
    ensure_delta_compatible_arrow_schema,
    evolve_delta_table_schema,
)
from dlt.common.libs.pyarrow import columns_to_arrow
from dlt.common.schema.typing import TSchemaTables, TTableSchemaColumns
from dlt.common.schema.utils import get_columns_names_with_prop, get_first_column_name_with_prop
from dlt.destinations import filesystem as dlt_filesystem
from dlt.destinations.impl.duckdb.sql_client import WithTableScanners
from dlt.destinations.impl.filesystem.filesystem import (
    DeltaLoadFilesystemJob,
    FilesystemClient,
    ReferenceFollowupJob,
)
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp

from sources.eduframe.dataset.full_disks import telling_of_full_disk

TIDY_EVERY = 50
"""So many versions of a table apart, its small files are made one, and old files removed."""

DROP = "_drop"
"""Marks the rows of a merge that stand for a key, of which all stored rows go."""


class filesystem(dlt_filesystem):  # the name is the destination's, in dlt's configuration
    """A destination for a dlt pipeline; configured like dlt's own ``filesystem``."""

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.preferred_loader_file_format = "parquet"
        capabilities.preferred_table_format = "delta"
        capabilities.supported_table_formats = ["delta"]
        capabilities.supported_merge_strategies = ["delete-insert"]
        return capabilities

    @property
    def client_class(self) -> type[FilesystemClient]:
        if self.is_hf:
            raise ValueError("dlt keeps no Delta tables at Hugging Face")
        return LakeClient


def notes() -> list[str]:
    """What is to be told before a run."""
    return []


def take_over(pipeline: Any) -> None:
    """Let a pipeline that was made for dlt's own ``filesystem`` use this one."""
    if type(pipeline.destination) is dlt_filesystem:
        pipeline.destination = filesystem(**pipeline.destination.config_params)


class LakeClient(FilesystemClient):
    """Knows the Delta tables of a dataset, whatever dlt's schema says of them."""

    @property
    def sql_client_class(self) -> type[SqlClientBase[Any]]:
        return _SqlClient

    @property
    def sql_client(self) -> SqlClientBase[Any]:
        if not self._sql_client:
            self._sql_client = _SqlClient(self, self.dataset_name)
        return self._sql_client

    @sql_client.setter
    def sql_client(self, client: SqlClientBase[Any]) -> None:
        self._sql_client = client

    @property
    def storage_options(self) -> dict[str, str]:
        config = self.config
        return deltalake_storage_options(config.credentials, config.deltalake_storage_options)

    def delta_table(self, name: str) -> DeltaTable | None:
        """A table at its latest version; None where there is none."""
        if not self._is_there(name):
            return None
        location = self.get_open_table_location("delta", name)
        return DeltaTable(location, storage_options=self.storage_options)

    def _is_there(self, name: str) -> bool:
        location = self.get_open_table_location("delta", name)
        return DeltaTable.is_deltatable(location, self.storage_options)

    def create_delta_table(self, name: str, schema: pa.Schema) -> DeltaTable:
        with telling_of_full_disk(self.dataset_path):
            return DeltaTable.create(
                self.get_open_table_location("delta", name),
                ensure_delta_compatible_arrow_schema(schema),
                configuration=self.config.deltalake_configuration,
                storage_options=self.storage_options,
            )

    def create_dataset(self) -> None:
        self.fs_client.makedirs(self.dataset_path, exist_ok=True)  # it may have been made by hand

    def get_storage_tables(
        self, table_names: Iterable[str]
    ) -> Iterable[tuple[str, TTableSchemaColumns]]:
        for name in table_names:
            if self.is_dlt_table(name):
                yield from super().get_storage_tables([name])
            else:
                yield name, {"_": {"name": "_"}} if self._is_there(name) else {}

    def update_stored_schema(
        self,
        only_tables: Any = None,
        expected_update: Any = None,
        force: bool = False,
    ) -> TSchemaTables:
        """Store dlt's schema; if ``force``, also make those of the tables that are not there."""
        update = super().update_stored_schema(only_tables, expected_update, force)
        for name in only_tables or () if force else ():
            if not self.is_dlt_table(name) and not self._is_there(name):
                columns = self.prepare_load_table(name)["columns"]
                self.create_delta_table(name, columns_to_arrow(columns, self.capabilities, "UTC"))
        return update

    def completed_loads(self) -> list[str]:
        """The ids of the load packages that were loaded to their end."""
        folder = self.get_table_dir(self.schema.loads_table_name)
        try:
            files = self.fs_client.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        # the names tell all, and a table of years has many: eduframe__1795558861.5.jsonl
        names = map(self.pathlib.basename, files)
        return [n.removesuffix(".jsonl").rpartition("__")[2] for n in names if n.endswith(".jsonl")]

    def get_reference_followup_job_class(  # type: ignore[override]
        self, table: PreparedTableSchema
    ) -> type[ReferenceFollowupJob] | None:
        found = super().get_reference_followup_job_class(table)
        return _ReplaceJob if found is DeltaLoadFilesystemJob else found

    def conform(self, name: str, schema: pa.Schema) -> None:
        """Give a table the columns of an Arrow schema: those it lacks, and those of other types."""
        if table := self.delta_table(name):
            with telling_of_full_disk(self.dataset_path):
                self._conform(table, schema)

    def _conform(self, table: DeltaTable, schema: pa.Schema) -> None:
        evolve_delta_table_schema(table, schema)
        stored = pa.schema(table.schema())
        wanted = {f.name: f.type for f in schema}
        fitting = pa.schema(f.with_type(wanted.get(f.name, f.type)) for f in stored)
        if fitting != stored:
            rows = table.to_pyarrow_dataset().to_table()
            columns = [_cast_or_null(rows.column(field.name), field.type) for field in fitting]
            rows = pa.table(columns, schema=fitting)
            write_deltalake(table, rows, mode="overwrite", schema_mode="overwrite")

    def complete_load(self, load_id: str) -> None:
        # dlt does it the other way round, and so a crash between the two would leave positions
        # that are ahead of what counts as loaded
        self._store_load(load_id)
        self._store_current_state(load_id)

    def _write_to_json_file(self, filepath: str, data: Any) -> None:
        if not self.is_local_filesystem:
            super()._write_to_json_file(filepath, data)
            return
        # a crash must not leave half a file
        unfinished = os.path.join(self.dataset_path, "unfinished")
        with telling_of_full_disk(self.dataset_path):
            super()._write_to_json_file(unfinished, data)
            os.makedirs(os.path.dirname(filepath), exist_ok=True)
        os.replace(unfinished, filepath)

    def remove_trial(self, table: str, schema_name: str, *, whole: bool) -> None:
        """Remove a table and what dlt wrote of its schema; if ``whole``, all but the folder."""
        fs = self.fs_client
        with suppress(FileNotFoundError):
            fs.rm(self.get_table_dir(table), recursive=True)
        folders = [self.get_table_dir(name) for name in self.schema.dlt_table_names()]
        for folder in folders:
            with suppress(FileNotFoundError):
                for file in fs.ls(folder, detail=False):
                    if self.pathlib.basename(file).startswith(f"{schema_name}__"):
                        fs.rm_file(file)
        if whole:
            fs.rm_file(self.init_file_path)
            for folder in folders:
                with suppress(OSError):  # in a bucket there are none
                    fs.rmdir(folder)


class _ReplaceJob(DeltaLoadFilesystemJob):
    """Loads all files that a package has of a table, in one commit."""

    def run(self) -> None:
        hints = self._load_table
        if hints["write_disposition"] != "merge":
            super().run()
            return
        client, rows = self._job_client, self.arrow_dataset
        assert isinstance(client, LakeClient)
        needed = sum(os.path.getsize(file) for file in rows.files)
        with telling_of_full_disk(client.dataset_path, needed):
            self._replace(client, rows, hints)

    def _replace(self, client: LakeClient, rows: Any, hints: Any) -> None:
        name = self.load_table_name
        table = client.delta_table(name) or client.create_delta_table(name, rows.schema)
        evolve_delta_table_schema(table, rows.schema)
        if not rows.count_rows():
            return
        package = _Package(rows, hints, pa.schema(table.schema()))
        before = table.version()
        if table.file_uris():
            package.merge_into(table)
        else:
            write_deltalake(table, package.living(), mode="append")
        if table.version() // TIDY_EVERY > before // TIDY_EVERY:
            table.optimize.compact()
            table.vacuum(dry_run=False)


class _Package:
    """What a load package has of a table: new rows, and removals of all that has a key."""

    def __init__(self, rows: Any, hints: Any, schema: pa.Schema) -> None:
        self._rows = rows
        self._schema = schema
        replaced = get_columns_names_with_prop(hints, "merge_key")
        self._key = replaced or get_columns_names_with_prop(hints, "primary_key")
        removed = get_first_column_name_with_prop(hints, "hard_delete")
        self._keys = rows.to_table(columns=self._key)
        self._keep = np.ones(self._keys.num_rows, np.bool_)
        if not replaced:
            self._keep = _last_of_each(self._keys)
        if removed is not None:
            marks = rows.to_table(columns=[removed]).column(0).combine_chunks().fill_null(False)
            self._keep &= ~np.asarray(marks.to_numpy(zero_copy_only=False), np.bool_)

    def living(self) -> pa.RecordBatchReader:
        """The rows that are to be there."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches(self._schema))

    def merge_into(self, table: DeltaTable) -> None:
        """Let all rows with the package's keys go, and the living ones come, in one commit.

        A stored row matches only the row that stands for its key, never the one that replaces it:
        so any number of rows may have one key.
        """
        fields = [field.with_nullable(True) for field in self._schema]
        schema = pa.schema([*fields, pa.field(DROP, pa.bool_())])
        keys = self._keys.group_by(self._key).aggregate([])
        keys = keys.append_column(DROP, pa.repeat(pa.scalar(True), keys.num_rows))
        batches = [*(_fit(b, schema) for b in keys.to_batches()), *self._batches(schema)]
        same = " AND ".join(f'target."{name}" = source."{name}"' for name in self._key)
        (
            table.merge(
                pa.Table.from_batches(batches, schema),
                predicate=f"{same} AND source.{DROP} IS TRUE",
                source_alias="source",
                target_alias="target",
                streamed_exec=False,  # so that files without any of the keys are not read
            )
            .when_matched_delete()
            .when_not_matched_insert_all(predicate=f"source.{DROP} IS NULL", except_cols=[DROP])
            .execute()
        )

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in self._rows.to_batches():
            kept = self._keep[start : start + batch.num_rows]
            start += batch.num_rows
            yield _fit(batch.filter(pa.array(kept)), schema)


class _SqlClient(WithTableScanners):
    """Shows the tables to DuckDB as they are when a connection first asks for them."""

    remote_client: LakeClient

    def __init__(self, client: LakeClient, dataset_name: str) -> None:
        super().__init__(client, dataset_name)
        # DuckDB 1.5 hands filters to Arrow in a type of text that Arrow 26 cannot compare
        self._global_config["disabled_optimizers"] = "filter_pushdown,join_filter_pushdown"

    def open_connection(self) -> Any:
        self._shown: set[str] = set()
        return super().open_connection()

    def create_views_for_tables(self, tables: dict[str, str]) -> None:
        for name in tables.keys() - self._shown:
            rows: Any
            if name == self.schema.loads_table_name:
                ids = self.remote_client.completed_loads()
                rows = pa.table({"load_id": pa.array(ids, pa.string()), "status": [0] * len(ids)})
            elif (table := self.remote_client.delta_table(name)) is not None:
                rows = table.to_pyarrow_dataset()
            else:
                continue
            self._conn.register(f"delta:{name}", rows)
            view, source = self.make_qualified_table_name(name), f'"delta:{name}"'
            self._conn.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM {source}")
            self._shown.add(name)

    def execute_sql(self, sql: Any, *args: Any, **kw: Any) -> Sequence[Sequence[Any]] | None:
        if not sql.startswith(("UPDATE", "DELETE")):
            return super().execute_sql(sql, *args, **kw)
        statement = sqlglot.parse_one(_filled_in(sql, args), read="duckdb")
        name, where = statement.this.name, statement.args["where"].this.sql("duckdb")
        table = self.remote_client.delta_table(name)
        if table is None:
            return None
        if isinstance(statement, exp.Update):
            changes = {e.this.name: e.expression.sql("duckdb") for e in statement.expressions}
            with telling_of_full_disk(self.remote_client.dataset_path):
                table.update(updates=changes, predicate=where)
        else:
            with telling_of_full_disk(self.remote_client.dataset_path):
                table.delete(where)
        self._shown.discard(name)
        return None

    def can_create_view(self, table_schema: PreparedTableSchema) -> bool:
        return True

    def should_replace_view(self, view_name: str, table_schema: PreparedTableSchema) -> bool:
        return False

    def create_view_select(self, table_schema: PreparedTableSchema, schema: Any = None) -> None:
        return None  # create_views_for_tables does it all


def _filled_in(sql: str, values: Sequence[Any]) -> str:
    """A statement with its values in the places that wait for them.

    Times go as text, which takes the column's own type: as times they would have nanoseconds.
    """
    first, *rest = sql.split("%s")
    plain = (v.isoformat() if isinstance(v, datetime) else v for v in values)
    literals = (exp.convert(value).sql("duckdb") for value in plain)
    return first + "".join(map("".join, zip(literals, rest, strict=True)))


def _fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the columns of the schema; what it lacks is null."""
    present = set(batch.schema.names)
    columns = [
        batch.column(f.name).cast(f.type) if f.name in present else pa.nulls(batch.num_rows, f.type)
        for f in schema
    ]
    return pa.record_batch(columns, schema=schema)


def _last_of_each(keys: pa.Table) -> Any:
    """Flags the last of the rows with the same key."""
    numbered = keys.append_column("n", pa.array(np.arange(keys.num_rows)))
    last = numbered.group_by(keys.schema.names).aggregate([("n", "max")]).column("n_max")
    flags = np.zeros(keys.num_rows, np.bool_)
    flags[last.to_numpy()] = True
    return flags


def _cast_or_null(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([pa.nulls(len(column), kind)])  # the next read brings it
