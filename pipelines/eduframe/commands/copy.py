"""``eduframe copy``: move a dataset to another destination, without reading the API again.

All tables, the run log and the positions go into one load package of the new destination, so
that they count as done only together. Afterwards a sync into it goes on incrementally.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from pipelines.eduframe.commands.output import print_line
from pipelines.eduframe.commands.umask import let_readers_in
from pipelines.eduframe.destinations.duckdb_file import holding_file
from pipelines.eduframe.destinations.lock import one_at_a_time
from pipelines.eduframe.destinations.tables.constraints import declare_constraints
from pipelines.eduframe.destinations.tables.fit import compare, look
from pipelines.eduframe.destinations.tables.schema_upgrade import upgrade
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.pipeline import duckdb_path, make_pipeline
from pipelines.eduframe.place.target import target_of
from pipelines.eduframe.place.working_folder import DATASET_NAME
from pipelines.eduframe.run.package_contents import storable
from pipelines.eduframe.run.pending_packages import load_pending, recover
from pipelines.eduframe.store.run_log import LOG_TABLES, SYNC_RUNS, LogTable
from pipelines.eduframe.store.state import customer_of
from pipelines.eduframe.store.versions import check_version
from pipelines.eduframe.views.keeping import check_no_views
from sources.eduframe.dataset.dlt_resources import ready_resource, shared_resource
from sources.eduframe.dataset.merge_hints import quiet_hints
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import CopyFailedError, NothingToCopyError, SettingsError
from sources.eduframe.private_files import PRIVATE
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, SHARED_TABLES
from sources.eduframe.settings import resolve

log = logging.getLogger("eduframe.copy")

TABLES = (*ALL_TABLES, *(table.name for table in LOG_TABLES))


@dlt.source(name="eduframe", section="eduframe", root_key=False)
def _whole(resources: list[DltResource]) -> list[DltResource]:
    return resources


def run_copy(source: str, destination: str, dataset: str, to_dataset: str | None) -> int:
    """Copy a dataset from one destination to another, and print what was copied.

    Raises:
        SettingsError: both are the same.
        NothingToCopyError: there is no synced dataset, or the other one holds data already.
        LockedError: a sync into one of them is going on.
    """
    settings = resolve(token_needed=False)
    seconds, mode = settings.lock_wait_seconds, settings.permissions
    into = make_pipeline(destination, to_dataset or dataset)
    let_readers_in(into, mode)
    with tempfile.TemporaryDirectory() as folder:
        origin = make_pipeline(source, dataset, pipelines_dir=folder)
        if str(target_of(origin)) == str(target_of(into)):
            raise SettingsError(
                f"--from and --to are the same dataset, {dataset} in {source}. Name another "
                "destination, or another --to-dataset."
            )
        with one_at_a_time(into), one_at_a_time(origin):
            counts, notes = copy_dataset(origin, into, seconds, mode)
    for name, count in counts.items():
        if count:
            print_line(f"{name:<32}{count:>12,}")
    for note in notes:
        print_line(note)
    options = f"--destination {destination}"
    if into.dataset_name != "eduframe":
        options += f" --dataset {into.dataset_name}"
    print_line(
        f"copied {sum(counts.values()):,} rows from {source} to {destination}, dataset "
        f"{into.dataset_name}; next: eduframe sync {options}"
    )
    return DONE


def copy_dataset(
    origin: Any, into: Any, seconds: float = 60.0, mode: int = PRIVATE
) -> tuple[dict[str, int], list[str]]:
    """Copy all tables and positions of one pipeline's dataset into another's.

    DuckDB files are waited for so many ``seconds``, and made with the permissions ``mode``. A copy
    that was cut off while it was loaded is completed.

    Returns:
        The rows per table, and what is to be told.

    Raises:
        NothingToCopyError: there is no synced dataset, or the other one holds data already.
        CopyFailedError: the other dataset does not hold as many rows afterwards.
    """
    with (
        holding_file(duckdb_path(origin), seconds),
        holding_file(duckdb_path(into), seconds, mode=mode),
    ):
        return _copy(origin, into), declare_constraints(StoredRows(into))


def _copy(origin: Any, into: Any) -> dict[str, int]:
    quiet_hints()
    origin.sync_destination()
    state = origin.state.get("sources", {}).get("eduframe", {})
    if "customer" not in state:
        raise NothingToCopyError(
            f"There is no synced dataset {origin.dataset_name} in "
            f"{origin.destination.destination_name}"
        )
    with StoredRows(into) as other:
        check_no_views(other)
    was_empty = customer_of(into) is None
    recover(into)
    counts: dict[str, int] = {}
    with StoredRows(origin) as stored:
        if customer_of(into) is not None:
            if was_empty and _same_runs(stored, into):
                log.info("the copy that was cut off is complete now")
                return _arrived(into, TABLES)
            raise NothingToCopyError(
                f"The dataset {into.dataset_name} in {into.destination.destination_name} holds "
                "synced data already. Copy to another one (--to-dataset), or drop it first."
            )
        check_version(origin, stored)
        existing = stored.existing(TABLES)
        upgrade(origin, stored, existing)
        _check_whole(origin, stored)

        def counted(
            name: str, columns: Sequence[Column], found: Iterable[pa.Table]
        ) -> Iterator[pa.Table]:
            counts[name] = 0
            for rows in found if name in existing else ():
                counts[name] += rows.num_rows
                log.info("%s: %s rows read", name, f"{counts[name]:,}")
                yield storable(into, rows, columns)

        def chunks(name: str) -> Iterator[pa.Table]:
            table = ALL_TABLES[name]
            yield table.arrow_schema.empty_table()
            yield from counted(name, table.all_columns, stored.table(table))

        def logs(table: LogTable) -> Iterator[pa.Table]:
            yield table.arrow_schema.empty_table()
            found = stored.select(table.name, table.arrow_schema)
            yield from counted(table.name, table.columns, found)

        def remember() -> None:
            dlt.current.source_state()["customer"] = dict(state["customer"])

        logged = [table.resource(logs(table), remember) for table in LOG_TABLES]
        into.extract(_whole([*_resources(chunks, state), *logged]))
    log.info(
        "loading %s rows into %s", f"{sum(counts.values()):,}", into.destination.destination_name
    )
    load_pending(into)
    arrived = _arrived(into, counts)
    if short := {name for name in counts if arrived[name] != counts[name]}:
        raise CopyFailedError(
            f"Not all rows arrived in {', '.join(sorted(short))}. Drop the dataset "
            f"{into.dataset_name} in {into.destination.destination_name}, and copy again."
        )
    return counts


def _check_whole(origin: Any, stored: StoredRows) -> None:
    """Raises:
    NothingToCopyError: something of the dataset was dropped; names it, and what brings it back.
    """
    there = look(origin, stored)
    known = {*origin.default_schema.data_table_names()}
    wrong = [f"the table {name} is not there" for name in TABLES if name in known - {*there}]
    for fit in compare(origin, stored, there):
        wrong += [f"{fit.table.name} lacks the column {column.name}" for column in fit.missing]
        wrong += [misfit.what for misfit in fit.misfits if fit.stored.is_view]
    if wrong:
        where, dataset = origin.destination.destination_name, origin.dataset_name
        option = "" if dataset == DATASET_NAME else f" --dataset {dataset}"
        raise NothingToCopyError(
            f"The dataset {dataset} in {where} is not whole: {'; '.join(wrong)}. "
            f"eduframe sync --destination {where}{option} makes and fills again what was dropped; "
            "then copy."
        )


def _arrived(into: Any, names: Iterable[str]) -> dict[str, int]:
    with StoredRows(into) as stored:
        return {name: stored.count(name) for name in names}


def _same_runs(stored: StoredRows, into: Any) -> bool:
    """Whether the other dataset knows of runs of this one: then it is a copy."""
    schema = pa.schema([("run_id", pa.string())])
    with StoredRows(into) as other:
        mine, theirs = (
            {run for rows in m.select(SYNC_RUNS.name, schema) for run in rows[0].to_pylist()}
            for m in (stored, other)
        )
    return bool(mine & theirs)


def _resources(
    chunks: Callable[[str], Iterable[pa.Table]], state: Mapping[str, Any]
) -> Iterator[DltResource]:
    positions = state.get("resources", {})
    for endpoint in ENDPOINTS:
        position = positions.get(endpoint.table)
        yield ready_resource(endpoint, chunks, Position.load(dict(position)) if position else None)
    for name in SHARED_TABLES:
        yield shared_resource(name, chunks)
