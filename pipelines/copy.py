"""``eduframe copy``: move a dataset to another destination, without reading the API again.

All tables, the run log and the positions go into one load package of the new destination, so
that they count as done only together. Afterwards a sync into it goes on incrementally.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import dlt
import pyarrow as pa
import typer
from dlt.extract import DltResource

from pipelines.duckdb_file import holding_file
from pipelines.lock import one_at_a_time
from pipelines.pieces import ALL_TABLES, without_nul
from pipelines.pipeline import is_a, make_pipeline
from pipelines.recovery import recover
from pipelines.report import DONE
from pipelines.runlog import LOG_TABLES
from pipelines.upgrade import upgrade
from sources.eduframe.batch import Batch
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import EduframeError
from sources.eduframe.memory import Memory
from sources.eduframe.plan import Position
from sources.eduframe.settings import Settings
from sources.eduframe.source import endpoint_resource, quiet_hints, shared_resource
from sources.eduframe.tables import CHILD_TABLES, MAIN_TABLES, SHARED_TABLES


class NothingToCopyError(EduframeError):
    """There is no dataset to copy, or the place for it is taken."""


class CopyFailedError(EduframeError):
    """The copy does not hold as many rows as what was copied."""


@dlt.source(name="eduframe", section="eduframe", root_key=False)
def _whole(resources: list[DltResource]) -> list[DltResource]:
    return resources


def run_copy(source: str, destination: str, dataset: str, to_dataset: str | None) -> int:
    """Copy a dataset from one destination to another, and print what was copied.

    Raises:
        NothingToCopyError: there is no synced dataset, or the other one holds data already.
        LockedError: a sync into the other dataset is going on.
    """
    into = make_pipeline(destination, to_dataset or dataset)
    with tempfile.TemporaryDirectory() as folder:
        held = make_pipeline(source, dataset, pipelines_dir=folder)
        with (
            one_at_a_time(into),
            one_at_a_time(held),
            holding_file(held, Settings.lock_wait_seconds),
            holding_file(into, Settings.lock_wait_seconds),
        ):
            counts = copy_dataset(held, into)
    for name, count in counts.items():
        if count:
            typer.echo(f"{name:<32}{count:>12,}")
    options = f"--destination {destination}"
    if into.dataset_name != "eduframe":
        options += f" --dataset {into.dataset_name}"
    typer.echo(
        f"copied {sum(counts.values()):,} rows from {source} to {destination}, dataset "
        f"{into.dataset_name}; next: eduframe sync {options}"
    )
    return DONE


def copy_dataset(held: Any, into: Any) -> dict[str, int]:
    """Copy all tables and positions of one pipeline's dataset into another's.

    Returns the rows per table. Raises :class:`NothingToCopyError`, or :class:`CopyFailedError` if
    the other dataset does not hold as many rows afterwards.
    """
    quiet_hints()
    held.sync_destination()
    state = held.state.get("sources", {}).get("eduframe", {})
    if "customer" not in state:
        raise NothingToCopyError(
            f"There is no synced dataset {held.dataset_name} in {held.destination.destination_name}"
        )
    recover(into)
    if "customer" in into.state.get("sources", {}).get("eduframe", {}):
        raise NothingToCopyError(
            f"The dataset {into.dataset_name} in {into.destination.destination_name} holds synced "
            "data already. Copy to another one (--to-dataset), or drop it first."
        )
    counts: dict[str, int] = {}
    with Memory(held) as memory:
        existing = memory.existing([*ALL_TABLES, *(table.name for table in LOG_TABLES)])
        upgrade(held, memory, existing)

        def chunks(name: str) -> Iterator[pa.Table]:
            table = ALL_TABLES[name]
            yield table.arrow_schema.empty_table()
            for rows in memory.table(table) if name in existing else ():
                counts[name] = counts.get(name, 0) + rows.num_rows
                yield without_nul(rows) if is_a(into, "postgres") else rows

        into.run(_whole([*_resources(chunks, state), *_logs(memory, existing, state, counts)]))
    with Memory(into) as memory:
        arrived = {name: memory.count(name) for name in counts}
    if short := {name for name in counts if arrived[name] != counts[name]}:
        raise CopyFailedError(
            f"Not all rows arrived in {', '.join(sorted(short))}. Drop the dataset "
            f"{into.dataset_name} in {into.destination.destination_name}, and copy again."
        )
    return counts


def _resources(
    chunks: Callable[[str], Iterable[pa.Table]], state: Mapping[str, Any]
) -> Iterator[DltResource]:
    positions = state.get("resources", {})

    for endpoint in ENDPOINTS:
        names = [
            table.name
            for table in (MAIN_TABLES[endpoint.table], *CHILD_TABLES[endpoint.table])
            if table.name not in SHARED_TABLES
        ]

        def batches(
            resource: str = endpoint.table, names: list[str] = names
        ) -> Iterator[Batch]:
            for name in names:
                for rows in chunks(name):
                    yield Batch(resource, None, {name: rows})
            if resource in positions:
                yield Batch(resource, Position.load(dict(positions[resource])))

        yield endpoint_resource(endpoint, batches, {})
    for name in SHARED_TABLES:
        yield shared_resource(name, chunks, lambda: True)


def _logs(
    memory: Memory, existing: set[str], state: Mapping[str, Any], counts: dict[str, int]
) -> Iterator[DltResource]:
    for table in LOG_TABLES:
        rows = table.arrow_schema.empty_table()
        if table.name in existing:
            rows = pa.concat_tables([rows, *memory.select(table.name, table.arrow_schema)])
        counts[table.name] = rows.num_rows
        yield table.resource(rows, state["customer"])
