"""dlt's DuckDB, in which rows are merged straight from the parquet files of a load package.

dlt 1.31 copies them into tables of a staging dataset first, and merges those, which takes twice
the time, and memory. Here a load does at once what that comes to, *delete-insert*: all rows with a
key that the load has go, and the load's own rows come in their place, in one transaction.
"""

from pathlib import Path
from typing import Any

from dlt.common.configuration import configspec
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.utils import get_columns_names_with_prop, get_first_column_name_with_prop
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations import duckdb as dlt_duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from pipelines.eduframe.destinations.tables.others_columns import keeping
from pipelines.eduframe.place.working_folder import DUCKDB_NOTE

STRAIGHT = "1MB"
"""A merge of so much, as DuckDB estimates it, goes into the file at once; less waits in the log
beside it, as usual.

dlt lets up to 1 GB gather in that log: DuckDB then writes all rows twice, first there, as they
are, and compressed into the file when that is closed.
"""


@configspec(init=False)
class FileConfiguration(DuckDbClientConfiguration):
    """Knows the file of the pipeline's last run, where none is configured: so does dlt then, in
    ``dlt.attach`` and ``dlt pipeline``."""

    def make_location(self, configured_location: str | None, default_location_pat: str) -> str:
        note = Path(self.pipeline_working_dir or "") / DUCKDB_NOTE
        if not configured_location and note.is_file():
            return note.read_text("utf-8")
        return super().make_location(configured_location or "", default_location_pat)


class duckdb(dlt_duckdb):  # the name is the destination's, in dlt's configuration
    """A destination for a dlt pipeline; configured like dlt's own ``duckdb``."""

    spec: type[DuckDbClientConfiguration] = FileConfiguration

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        # side by side, tables take more memory, and a file has one writer all the same
        capabilities.loader_parallelism_strategy = "sequential"
        return capabilities

    @property
    def client_class(self) -> type[DuckDbClient]:
        return _Client


def notes() -> list[str]:
    """What is to be told before a run."""
    return []


def take_over(pipeline: Any) -> None:
    """Let a pipeline that was made for dlt's own DuckDB use this one."""
    if type(pipeline.destination) is dlt_duckdb:
        pipeline.destination = duckdb(**pipeline.destination.config_params)


class _Client(DuckDbClient):
    def should_load_data_to_staging_dataset(self, table_name: str) -> bool:
        return False

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if table["write_disposition"] == "merge" and file_path.endswith(".parquet"):
            return _MergeJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)


class _MergeJob(RunnableLoadJob):
    """Merges all files that the package has of a table; where there are several, once for each."""

    def run(self) -> None:
        table: Any = self._load_table
        client: Any = self._job_client.sql_client  # type: ignore[attr-defined]
        name = client.make_qualified_table_name(table["name"])
        rows = f"read_parquet([{', '.join(map(_literal, self._files()))}], union_by_name = true)"
        primary = get_columns_names_with_prop(table, "primary_key")
        key = primary or get_columns_names_with_prop(table, "merge_key")
        gone = get_first_column_name_with_prop(table, "hard_delete")
        living = f'SELECT * FROM {rows} WHERE "{gone}" IS NOT TRUE' if gone else f"FROM {rows}"
        if primary and self._repeat(client, rows, primary):
            living += f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {_columns(primary)}) = 1"
        same = " AND ".join(f'stored."{column}" = incoming."{column}"' for column in key)
        before, after = keeping(client, table, rows, key)
        client.execute_sql(f"SET GLOBAL checkpoint_threshold = '{STRAIGHT}'")
        with client.begin_transaction():
            for statement in before:
                client.execute_sql(statement)
            client.execute_sql(
                f"DELETE FROM {name} AS stored WHERE EXISTS (SELECT 1 FROM {rows} AS incoming "
                f"WHERE {same})"
            )
            client.execute_sql(f"INSERT INTO {name} BY NAME {living}")
            for statement in after:
                client.execute_sql(statement)

    def _repeat(self, client: Any, rows: str, key: list[str]) -> bool:
        """Whether rows share a key. A look tells quickly; to pick among all rows takes long."""
        found = client.execute_sql(
            f"SELECT count(*) > count(DISTINCT ({_columns(key)})) FROM {rows}"
        )
        return bool(found[0][0])

    def _files(self) -> list[Path]:
        """The package's files of the table, in whatever state their jobs are."""
        own = Path(self._file_path)
        return sorted(
            file
            for file in own.parent.parent.glob("*_jobs/*.parquet")
            if ParsedLoadJobFileName.parse(file.name).table_name == self.load_table_name
        )


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _columns(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
