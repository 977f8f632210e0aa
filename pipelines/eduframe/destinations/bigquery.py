"""dlt's BigQuery, in which statements and the bytes that they look at are counted.

BigQuery bills by these bytes (and at least 10 MB for a table), and tells them with each answer.
Files that are loaded cost nothing there, and are not counted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema import Schema
from dlt.destinations import bigquery as dlt_bigquery
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient
from dlt.destinations.impl.bigquery.configuration import BigQueryClientConfiguration
from dlt.destinations.impl.bigquery.sql_client import BigQuerySqlClient

from sources.eduframe.dataset.usage import Usage


@dataclass
class _Spent:
    statements: int = 0
    bytes_read: int = 0


_spent: dict[str, _Spent] = {}
"""By dataset, in this process."""


class bigquery(dlt_bigquery):  # the name is the destination's, in dlt's configuration
    """A destination for a dlt pipeline; configured like dlt's own ``bigquery``."""

    @property
    def client_class(self) -> type[BigQueryClient]:
        return _Client


def notes() -> list[str]:
    """What is to be told before a run."""
    return []


def take_over(pipeline: Any) -> None:
    """Let a pipeline that was made for dlt's own BigQuery use this one."""
    if type(pipeline.destination) is dlt_bigquery:
        pipeline.destination = bigquery(**pipeline.destination.config_params)


def usage(pipeline: Any) -> Usage:
    """What this process has asked of the pipeline's dataset so far."""
    spent = _spent.get(_name(pipeline.destination_client().sql_client), _Spent())
    return Usage(spent.statements, spent.bytes_read)


def _name(client: BigQuerySqlClient) -> str:
    """Stays the same while the client looks at the dataset of staging tables, or of views."""
    return f"{client.project_id}.{client.staging_dataset_name}"


class _SqlClient(BigQuerySqlClient):
    @contextmanager
    def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with super().execute_query(query, *args, **kwargs) as cursor:
            spent = _spent.setdefault(_name(self), _Spent())
            spent.statements += 1
            # the public way to the number, the cursor's query_job, costs a request each time
            answer = getattr(cursor.native_cursor, "_query_rows", None)
            spent.bytes_read += getattr(answer, "total_bytes_processed", None) or 0
            yield cursor


class _Client(BigQueryClient):
    def __init__(
        self,
        schema: Schema,
        config: BigQueryClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        self.sql_client = _SqlClient(
            self.sql_client.dataset_name,
            self.sql_client.staging_dataset_name,
            config.credentials,
            capabilities,
            config.get_location(),
            config.project_id,
            config.http_timeout,
            config.retry_deadline,
        )
