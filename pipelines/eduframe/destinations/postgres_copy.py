"""dlt's Postgres, loading by COPY: rows travel as parquet, through the ADBC driver.

Without ``adbc-driver-postgresql`` rows go as INSERT statements, several times slower. dlt's CSV
is never used: it turns empty strings into NULL.
"""

import logging
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pyarrow.parquet as pq
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.typing import TColumnSchema, TSchemaTables
from dlt.destinations import postgres as dlt_postgres
from dlt.destinations._adbc_jobs import has_adbc_driver, make_adbc_parquet_file_format_selector
from dlt.destinations.impl.postgres.factory import get_adbc_driver_location
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob

log = logging.getLogger("eduframe.postgres")

TABLES_AT_ONCE = 4
"""Each takes a connection, and memory for its rows. dlt would load 20 tables at once."""
DOCS = "https://dlthub.com/docs/dlt-ecosystem/destinations/postgres"


class postgres(dlt_postgres):  # the name is the destination's, in dlt's configuration
    """A destination for a dlt pipeline; configured like dlt's own ``postgres``."""

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.supported_loader_file_formats = ["insert_values", "parquet", "model"]
        capabilities.loader_file_format_selector = make_adbc_parquet_file_format_selector(
            get_adbc_driver_location(), DOCS, prefer_parquet=True
        )
        capabilities.max_parallel_load_jobs = TABLES_AT_ONCE
        return capabilities

    @property
    def client_class(self) -> type[PostgresClient]:
        return _Client


class _CopyJob(PostgresParquetCopyJob):
    """Files without a row, which only make their table exist, are more than ADBC can take."""

    def run(self) -> None:
        if pq.read_metadata(self._file_path).num_rows:
            super().run()

    @contextmanager
    def _connect(self) -> Iterator[Any]:  # type: ignore[override]  # dlt says ``with`` to it
        """The thread's connection. It lasts as long as the thread, unless something fails."""
        credentials: Any = self._job_client.config.credentials
        try:
            yield _of_thread.connection(credentials.to_native_representation())
        except BaseException:
            _of_thread.own = None
            raise


class _Connection:
    """A connection that is closed when it is forgotten, as by the end of its thread."""

    first: ClassVar[dict[str, "weakref.ref[_Connection]"]] = {}
    """One for each database, from which others are made."""
    one_at_a_time: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, uri: str) -> None:
        from adbc_driver_manager import dbapi  # not everybody has it

        self.uri = uri
        self.connection: Any = None
        with self.one_at_a_time:
            reference = self.first.get(uri)
            first = reference and reference()
            if first:
                self.connection = first.connection.adbc_clone()
            else:
                driver = get_adbc_driver_location()
                self.connection = dbapi.connect(driver, db_kwargs={"uri": uri})
                self.first[uri] = weakref.ref(self)

    def __del__(self) -> None:
        with self.one_at_a_time:
            reference = self.first.get(self.uri)
            if reference and reference() in (self, None):
                del self.first[self.uri]
            if self.connection:
                self.connection.close()


class _OfThread(threading.local):
    """The connection of each thread that loads.

    To connect, the driver reads the catalogue of the whole database, which takes 0.1 s with our
    tables, and seconds where there are many others: so a thread keeps its connection, and those
    that come later share what the first one has read.
    """

    own: _Connection | None = None

    def connection(self, uri: str) -> Any:
        if self.own is None or self.own.uri != uri:
            self.own = _Connection(uri)
        return self.own.connection


_of_thread = _OfThread()


class _Client(PostgresClient):
    """Makes JSON columns ``jsonb``, but ``json`` in staging, as ADBC cannot copy into ``jsonb``."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        job = super().create_load_job(table, file_path, load_id, restore)
        return _CopyJob(file_path) if isinstance(job, PostgresParquetCopyJob) else job

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
