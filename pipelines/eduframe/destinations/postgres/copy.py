"""dlt's Postgres, loading by COPY: rows travel as parquet, through the ADBC driver.

Without ``adbc-driver-postgresql`` rows go as INSERT statements, several times slower. dlt's CSV
is never used: it turns empty strings into NULL.
"""

import logging
import threading
from functools import lru_cache
from typing import Any

import pyarrow.parquet as pq
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.typing import TColumnSchema, TSchemaTables
from dlt.common.schema.utils import get_columns_names_with_prop
from dlt.destinations import postgres as dlt_postgres
from dlt.destinations._adbc_jobs import has_adbc_driver, make_adbc_parquet_file_format_selector
from dlt.destinations.impl.postgres.factory import get_adbc_driver_location
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.job_client_impl import SqlLoadJob

from pipelines.eduframe.destinations.postgres.room import TABLES_AT_ONCE, connected
from pipelines.eduframe.destinations.postgres.swallowed_rows import checking
from pipelines.eduframe.destinations.tables.others_columns import keeping
from sources.eduframe.dataset.foreign_keys import let_go_of

log = logging.getLogger("eduframe.postgres")

LOCK_SECONDS = 5.0
"""So long a statement waits for a table that somebody locks: a signal is heeded after it."""
DOCS = "https://dlthub.com/docs/dlt-ecosystem/destinations/postgres"


class postgres(dlt_postgres):  # the name is the destination's, in dlt's configuration
    """A destination for a dlt pipeline; configured like dlt's own ``postgres``."""

    tables_at_once = TABLES_AT_ONCE
    copying = True
    """Whether there is a second connection for each table."""

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.supported_loader_file_formats = ["insert_values", "parquet", "model"]
        if self.copying:
            capabilities.loader_file_format_selector = make_adbc_parquet_file_format_selector(
                get_adbc_driver_location(), DOCS, prefer_parquet=True
            )
        else:
            capabilities.supported_loader_file_formats = ["insert_values", "model"]
        capabilities.max_parallel_load_jobs = self.tables_at_once
        return capabilities

    @property
    def client_class(self) -> type[PostgresClient]:
        return _Client


class _CopyJob(PostgresParquetCopyJob):
    """Files without a row, which only make their table exist, are more than ADBC can take."""

    def run(self) -> None:
        if pq.read_metadata(self._file_path).num_rows:
            super().run()

    def _connect(self) -> Any:
        from adbc_driver_manager import AdbcConnection, dbapi

        credentials: Any = self._job_client.config.credentials
        with _one_at_a_time:
            database = _database(credentials.to_native_representation())
            lasting: Any = _Lasting(database)
            made = connected(lambda: AdbcConnection(database))
            connection = dbapi.Connection(lasting, made)
        _close_alone(connection)
        connection.execute(f"SET lock_timeout = {_milliseconds()}").close()
        return connection


class _MergeJob(SqlLoadJob):
    """dlt's merge, around which the values in columns of others are kept, and after which rows are
    looked for that others may have taken."""

    def _split_fragments(self, sql: str) -> list[str]:
        table: Any = self._load_table
        merge = super()._split_fragments(sql)
        key = get_columns_names_with_prop(table, "primary_key")
        key = key or get_columns_names_with_prop(table, "merge_key")
        job_client: Any = self._job_client
        client = job_client.sql_client  # which looks at the staging dataset
        with client.with_alternative_dataset_name(job_client.dataset_name):
            _, staged = client.get_qualified_table_names(table["name"])
            before, after = keeping(client, table, staged, key)
            after += checking(client, table, staged, key)
        return [*before, *merge, *after]


class _Lasting:
    """A database of the ADBC driver that is not closed with a connection to it."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def close(self) -> None:
        """Nothing: the next connection is to find it open."""


_one_at_a_time = threading.RLock()
"""The driver counts the connections of a database, and not safely where threads open and close
them at once ("Open connection count underflowed")."""


def _close_alone(connection: Any) -> None:
    """Let a connection be closed while no other is opened or closed."""
    close = connection.close

    def close_alone() -> None:
        with _one_at_a_time:
            close()

    connection.close = close_alone


@lru_cache(maxsize=2)
def _database(address: str) -> Any:
    """The driver's view of a database. To make it, the driver reads the whole catalogue, of all
    tables of everybody: so it is made once, for all connections."""
    from adbc_driver_manager import AdbcDatabase

    return connected(lambda: AdbcDatabase(driver=get_adbc_driver_location(), uri=address))


def _milliseconds() -> int:
    return int(LOCK_SECONDS * 1000)


class _SqlClient(Psycopg2SqlClient):
    """Waits for :data:`LOCK_SECONDS` at most, unless the address has a ``lock_timeout``."""

    def open_connection(self) -> Any:
        options = self.credentials.get_query().get("options", "")
        dbapi: Any = self.dbapi
        self._conn = connected(
            lambda: dbapi.connect(
                dsn=self.credentials.to_native_representation(),
                options=f"-clock_timeout={_milliseconds()} {options} "
                f"-csearch_path={self.fully_qualified_dataset_name()},public",
            )
        )
        self._reset_connection()
        return self._conn


class _Client(PostgresClient):
    """Makes JSON columns ``jsonb``, but ``json`` in staging, as ADBC cannot copy into ``jsonb``."""

    def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
        super().__init__(schema, config, capabilities)
        made = self.sql_client
        self.dataset_name = made.dataset_name
        self.sql_client = _SqlClient(
            made.dataset_name, made.staging_dataset_name, config.credentials, capabilities
        )

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if table["write_disposition"] == "merge" and SqlLoadJob.is_sql_job(file_path):
            return _MergeJob(file_path)
        job = super().create_load_job(table, file_path, load_id, restore)
        return _CopyJob(file_path) if isinstance(job, PostgresParquetCopyJob) else job

    def drop_tables(self, *tables: str, delete_schema: bool = True) -> None:
        """Drop tables, also those that our own foreign keys refer to."""
        let_go_of(self.sql_client, tables)
        super().drop_tables(*tables, delete_schema=delete_schema)

    def _get_column_def_sql(self, c: TColumnSchema, table: Any = None) -> str:
        if table is not None and self.sql_client.is_staging_dataset_active:
            table = {**table, "file_format": "parquet"}
        return super()._get_column_def_sql(c, table)

    def update_stored_schema(self, *args: Any, **kw: Any) -> TSchemaTables | None:
        update = super().update_stored_schema(*args, **kw)
        if self.sql_client.is_staging_dataset_active:
            self._convert_staging()
        return update

    def _convert_staging(self) -> None:
        """Staging tables that were made by dlt's own destination get ``json`` columns too."""
        found = self.sql_client.execute_sql(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = %s AND data_type = 'jsonb'",
            self.sql_client.dataset_name,
        )
        for table, column in found or ():
            name = self.sql_client.escape_column_name(column)
            self.sql_client.execute_sql(
                f"ALTER TABLE {self.sql_client.make_qualified_table_name(table)} "
                f"ALTER COLUMN {name} TYPE json"
            )


def copies() -> bool:
    """Whether the driver that COPY needs is there."""
    found, _ = has_adbc_driver(get_adbc_driver_location())
    return bool(found)


def notes() -> list[str]:
    """What is to be told before a run."""
    if copies():
        return []
    return [
        "rows go to Postgres as INSERT statements, several times slower than by COPY: "
        "pip install 'eduframe-sync[postgres]' brings the driver for that"
    ]


def take_over(pipeline: Any) -> None:
    """Let a pipeline that was made for dlt's own Postgres use this one."""
    if type(pipeline.destination) is dlt_postgres:
        pipeline.destination = postgres(**pipeline.destination.config_params)
