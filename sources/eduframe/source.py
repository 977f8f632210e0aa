"""The dlt source: one resource per list of the API, and one per shared child table.

``pipeline.run(eduframe_source())`` reads, compares and merges in one load package, in any dlt
pipeline. A list that fails yields nothing more and moves no cursor; nothing is ever deleted.
Checkpoints, deletions and recovery are the business of ``pipelines.eduframe``, which loads through
the very same resources.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.configuration.specs import BaseConfiguration
from dlt.extract import DltResource

from sources.eduframe.dataset.dlt_classes import EduframeSource, Failed, PageLimit
from sources.eduframe.dataset.dlt_defaults import install_defaults
from sources.eduframe.dataset.dlt_resources import endpoint_resource, shared_resource
from sources.eduframe.dataset.memory import tables_of
from sources.eduframe.dataset.merge_hints import current_pipeline, quiet_hints
from sources.eduframe.dataset.plain_run import PlainRun
from sources.eduframe.declare import Endpoint
from sources.eduframe.http.client import Client
from sources.eduframe.limits.rate_limiter import Limiter, share_window
from sources.eduframe.reading.batch import Batch
from sources.eduframe.rows.tables import SHARED_TABLES
from sources.eduframe.settings import resolve, select


# by a spec without fields dlt fills in no argument: it would take them from shorter names, too
@dlt.source(
    name="eduframe", section="eduframe", root_key=False, spec=BaseConfiguration,
    _impl_cls=EduframeSource,
)
def eduframe_source(
    api_token: str | None = None,
    base_url: str | None = None,
    requests_per_window: int | None = None,
    window_seconds: float | None = None,
    include: Any = None,
    exclude: Any = None,
    custom_object_types: Any = None,
    on_failed_list: str | None = None,
) -> list[DltResource]:
    """The lists of the Eduframe API as dlt resources, typed, with their nested parts as tables.

    Every row is compared by hash with the destination of the running pipeline, and only what
    differs is yielded. Shared child tables (``addresses``, ``grades``, ``custom_values`` and the
    bookings) are resources of their own, with the rows of the owners that are selected along with
    them, or of all.

    A list that fails is an error in the log, and in ``source.failed``: call :func:`raise_failed`
    after ``pipeline.run``. If ``on_failed_list`` is ``raise``, it ends the run instead, and nothing
    of the run is loaded.

    What is left out is taken from the configuration, as by the command (see
    :mod:`sources.eduframe.settings`). The request window is shared with all programs of this
    machine that use the token.

    Raises:
        AuthenticationError: the API does not accept the token.
        OtherCustomerError: the destination holds the data of another educator; in the run, before a
            row is read.
        SettingsError: a setting is no value of its kind, or there is no such setting.
    """
    install_defaults()
    quiet_hints()
    given = {
        "api_token": api_token,
        "base_url": base_url,
        "requests_per_window": requests_per_window,
        "window_seconds": window_seconds,
        "include": include,
        "exclude": exclude,
        "custom_object_types": custom_object_types,
        "on_failed_list": on_failed_list,
    }
    settings = resolve(given)
    chosen = select(settings).on
    limiter = Limiter(settings.requests_per_window, settings.window_seconds)
    share_window(limiter, settings.base_url, settings.api_token, settings.request_seconds)
    client = Client(settings.base_url, settings.api_token, limiter)
    failed: Failed = {}
    last: list[tuple[str, PlainRun]] = []
    beginning = threading.Lock()

    def run() -> PlainRun:
        """That of the extraction that is going on: each begins with nothing."""
        package: Any = dlt.current.load_package_state()
        source, load_id = dlt.current.source(), package["load_id"]
        with beginning:
            going_on = bool(last) and last[0][0] == load_id
            if not going_on or last[0][1].source is not source:
                if not going_on:
                    failed.clear()
                last[:] = [(load_id, PlainRun(
                    current_pipeline(), source, package["state"], client, chosen,
                    settings.custom_object_types, failed,
                    raises=settings.on_failed_list == "raise",
                    before=last[0][1] if going_on else None,
                    customer=dlt.current.source_state().get("customer"),
                ))]
        return last[0][1]

    def of_list(endpoint: Endpoint) -> Callable[[], Iterator[Batch | None]]:
        return lambda: run().of_list(endpoint, _state(endpoint.table), _limit())

    def of_shared_table(name: str) -> Iterator[pa.Table | None]:
        return run().of_shared_table(name, _state, _limit())

    filled = {name for endpoint in chosen for name in tables_of(endpoint)}
    resources = [
        *(endpoint_resource(endpoint, of_list(endpoint)) for endpoint in chosen),
        *(shared_resource(name, of_shared_table) for name in SHARED_TABLES if name in filled),
    ]
    for resource in resources:
        resource.failed = failed
    return list[DltResource](resources)


def _state(resource: str) -> dict[str, Any]:
    return dict(dlt.current.resource_state(resource))


def _limit() -> PageLimit | None:
    """The limit of the resource that is running."""
    limit = dlt.current.resource().limit
    return limit if isinstance(limit, PageLimit) else None
