"""dlt resources: one per list and one per shared child table, for the source and for the sync."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dlt
import pyarrow as pa

from sources.eduframe.dataset.dlt_classes import EduframeResource
from sources.eduframe.dataset.merge_hints import json_as_text, table_hints, written_alike
from sources.eduframe.declare import Endpoint
from sources.eduframe.reading.batch import Batch
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES, SHARED_TABLES, Table


def own_tables(endpoint: Endpoint) -> list[Table]:
    """The tables that a list has for itself, its main table last."""
    tables = (*CHILD_TABLES[endpoint.table], MAIN_TABLES[endpoint.table])
    return [table for table in tables if table.name not in SHARED_TABLES]


def endpoint_resource(
    endpoint: Endpoint, batches: Callable[[], Iterable[Batch | None]]
) -> EduframeResource:
    """The resource of a list, which yields the rows of its own tables."""

    tables = own_tables(endpoint)

    def rows() -> Iterator[Any]:
        json_as_text({table.name: table.all_columns for table in tables})
        written_alike(table.name for table in tables)
        for batch in batches():
            if batch is None:
                yield None
                continue
            for name, table in batch.tables.items():
                # main rows go where the resource says, which may have been told otherwise
                main = name == endpoint.table
                yield table if main else dlt.mark.with_table_name(table, name)
            remember_position(batch.resource, batch.position)

    resource = _resource(rows, endpoint.table)
    for table in tables[:-1]:
        resource.apply_hints(table_name=table.name, create_table_variant=True, **table_hints(table))
    # last, as a table variant starts from the hints that the resource has by then
    resource.apply_hints(**table_hints(tables[-1]))
    return resource


def ready_resource(
    endpoint: Endpoint, tables: Callable[[str], Iterable[pa.Table]], position: Position | None
) -> EduframeResource:
    """The resource of a list whose rows are at hand: a table at a time, then the position."""

    def batches() -> Iterator[Batch]:
        for table in own_tables(endpoint):
            for rows in tables(table.name):
                yield Batch(endpoint.table, None, {table.name: rows})
        yield Batch(endpoint.table, position)

    return endpoint_resource(endpoint, batches)


def remember_position(resource: str, position: Position | None) -> None:
    """Put the position of a list into dlt's state. To be called within a running resource."""
    if position is not None:
        state = dlt.current.resource_state(resource)
        state.clear()
        state.update(position.dump())


def shared_resource(
    name: str, tables: Callable[[str], Iterable[pa.Table | None]]
) -> EduframeResource:
    """The resource of a child table with several kinds of owner: what the lists left for it."""

    table = SHARED_TABLES[name]

    def rows() -> Iterator[Any]:
        json_as_text({name: table.all_columns})
        written_alike([name])
        yield from tables(name)

    return _resource(rows, name).apply_hints(**table_hints(table))


def _resource(rows: Callable[[], Iterator[Any]], name: str) -> EduframeResource:
    made: Any = dlt.resource(rows, name=name, _impl_cls=EduframeResource)
    assert isinstance(made, EduframeResource)
    return made
