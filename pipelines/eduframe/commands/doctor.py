"""``eduframe doctor``: find and mend what crashes can leave behind.

The sync does all of this by itself at its start; the doctor does it without reading the API,
and says what it found.
"""

import tempfile
from typing import Any

from pipelines.eduframe.commands.output import print_line
from pipelines.eduframe.commands.umask import let_readers_in
from pipelines.eduframe.destinations.duckdb_file import holding_file, reading_file
from pipelines.eduframe.destinations.lock import one_at_a_time
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.pipeline import duckdb_path, make_pipeline
from pipelines.eduframe.run.pending_packages import recover
from pipelines.eduframe.store.run_log import SYNC_RUNS
from pipelines.eduframe.store.seen_keys import forget_seen
from pipelines.eduframe.store.versions import check_version
from sources.eduframe.clock import now_utc, parse
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import NoDatasetError
from sources.eduframe.reading.checkpoint import Position
from sources.eduframe.rows.tables import ALL_TABLES, MAIN_TABLES
from sources.eduframe.settings import Settings, resolve


def run_doctor(destination: str, dataset: str) -> int:
    """Mend the pipeline's working folder and dataset, and tell what was found.

    Raises:
        NoDatasetError: there is no such dataset.
        LockedError: a run is going on.
        OlderVersionError: a newer version of this program wrote the dataset.
    """
    settings = resolve(token_needed=False)
    _check_there(destination, dataset, settings)
    pipeline = make_pipeline(destination, dataset)
    let_readers_in(pipeline, settings.permissions)
    file, seconds = duckdb_path(pipeline), settings.lock_wait_seconds
    with one_at_a_time(pipeline), holding_file(file, seconds, mode=settings.permissions):
        found = recover(pipeline)
        with Dataset(pipeline) as stored:
            check_version(pipeline, stored)
        found += _look(pipeline, settings)
    for line in found or ["all is well: nothing pending, no table missing, no read interrupted"]:
        print_line(line)
    return DONE


def _check_there(destination: str, dataset: str, settings: Settings) -> None:
    """Before anything is made: whether there is such a dataset, and nobody writes it."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
        seconds = settings.lock_wait_seconds
        with one_at_a_time(pipeline), reading_file(pipeline, seconds), Dataset(pipeline) as stored:
            if stored.existing([*ALL_TABLES, SYNC_RUNS.name]):
                return
    raise NoDatasetError(
        f"There is no dataset {dataset} in {destination}: no sync has loaded anything into it. "
        "Name another one (--dataset, --destination), or begin with eduframe sync."
    )


def _look(pipeline: Any, settings: Settings) -> list[str]:
    found: list[str] = []
    state = pipeline.state.get("sources", {}).get("eduframe", {}).get("resources", {})
    positions = {name: Position.load(dict(kept)) for name, kept in state.items()}
    unfinished = {n: p.checkpoint for n, p in positions.items() if p.checkpoint}
    oldest = now_utc() - settings.max_read_age
    for name, read in unfinished.items():
        began = parse(read.began)
        stale = "starts anew" if began is None or began < oldest else "goes on from there"
        found.append(f"{name}: a read was interrupted after {read.rows} rows; the next {stale}")
    with Dataset(pipeline) as dataset:
        existing = dataset.existing(ALL_TABLES)
        for name in sorted(set(MAIN_TABLES) & existing):
            half = _count(
                dataset,
                f"SELECT COUNT(*) FROM {dataset.name(name)} WHERE NOT ({dataset.completed()})",
            )
            if half:
                found.append(f"{name}: {half} rows of a half-loaded piece; they are written again")
        missed = [p.missed for p in positions.values() if p.missed]
        forget_seen(dataset, [*missed, *(read.id for read in unfinished.values())])
        running = _count(
            dataset,
            f"SELECT COUNT(*) FROM {dataset.name('_sync_runs')} "
            f"WHERE {dataset.column('status')} = 'running'",
        )
    if running:
        found.append(f"{running} runs did not come to their end")
    missing = set(ALL_TABLES) - existing
    if existing and missing:
        found.append(f"tables are missing: {', '.join(sorted(missing))}; the next sync makes them "
                     "anew, and fills them")
    return found


def _count(dataset: Dataset, sql: str) -> int:
    return sum(int(rows.column(0)[0].as_py()) for rows in dataset.query(sql) if rows.num_rows)
