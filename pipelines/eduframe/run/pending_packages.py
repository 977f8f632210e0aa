"""What an earlier run left behind: nothing of it may need a person.

Pending load packages are loaded first; one that cannot be loaded is tried once more, then
given up, and its read goes on from the last position that was loaded. So is one that was made for
a dataset that has changed since: it tells what differs from rows that are no longer there, and
would undo what came after it. Then local state is thrown away and restored from the destination,
which alone knows what was completed: dlt by itself lets newer local state win, and after a restored
backup rows would be missing for good.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from dlt.common.exceptions import DltException
from dlt.common.storages.load_package import PackageStorage

from pipelines.eduframe.dlt_settings import check_naming
from pipelines.eduframe.failures import cause_of
from pipelines.eduframe.pipeline import duckdb_path
from pipelines.eduframe.place.target import target_of
from pipelines.eduframe.place.working_folder import (
    DUCKDB_NOTE,
    LOADS_FILE,
    TARGET_FILE,
    TRACE_FILE,
    changing_folder,
    check_folder,
)
from pipelines.eduframe.run.load_log import mend_load_log
from pipelines.eduframe.store.state import completed_loads
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.private_files import close_to_others, write_private

log = logging.getLogger("eduframe.recovery")


def recover(pipeline: Any) -> list[str]:
    """Settle what is pending, and take the state from the destination. Returns what was done.

    Raises:
        SettingsError: the working folder holds other things, which would go with it; or the
            dataset was made with another naming of dlt's.
    """
    folder = Path(pipeline.working_dir)
    target = target_of(pipeline)
    check_folder(folder)
    notes = mend_load_log(pipeline)
    owner = _read(folder / TARGET_FILE)
    is_ours = owner is None or target.is_called(owner.decode("utf-8", "replace"))
    if is_ours:
        notes += _settle(pipeline)
    else:
        log.info("the working folder belonged to another dataset, and is made anew")
    trace, dataset = _read(folder / TRACE_FILE), pipeline.dataset_name
    with changing_folder(Path(pipeline.pipelines_dir), pipeline.pipeline_name):
        pipeline.drop()
        pipeline.dataset_name = dataset  # in dev_mode, dlt would give it another time
        write_private(folder / TARGET_FILE, str(target))
    pipeline.activate()
    pipeline.sync_destination()
    check_naming(pipeline)
    if (file := duckdb_path(pipeline)) is not None:
        write_private(folder / DUCKDB_NOTE, str(file.absolute()))
    if trace is not None and owner is not None and is_ours:
        (folder / TRACE_FILE).write_bytes(trace)
    close_to_others(folder)
    return notes


def remember_loads(dataset: Dataset) -> None:
    """Note, before a package is made, which loads the dataset holds that it is to follow."""
    with dataset:
        write_private(Path(dataset.pipeline.working_dir) / LOADS_FILE, completed_loads(dataset))


def _is_of_now(pipeline: Any) -> bool:
    """Whether what is pending was made for the dataset as it is, a part of itself left aside."""
    noted = _read(Path(pipeline.working_dir) / LOADS_FILE)
    if noted is None:
        return True  # a package that dlt made without us, or a copy into an empty dataset
    pending = pipeline.list_extracted_load_packages() + pipeline.list_normalized_load_packages()
    with Dataset(pipeline) as dataset:
        return noted == completed_loads(dataset, pending).encode()


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _settle(pipeline: Any) -> list[str]:
    for attempt in (1, 2):
        try:
            if not pipeline.has_pending_data:
                return []
            if not _is_of_now(pipeline):
                return [
                    "what an earlier run had left pending was given up, as the dataset has changed "
                    "since (by another machine, or a restored backup); it is read again"
                ]
            load_pending(pipeline)
        except (DltException, OSError, ValueError, KeyError) as error:
            log.warning(
                "what an earlier run left pending cannot be loaded (attempt %s): %s",
                attempt,
                cause_of(error),
            )
            continue
        return ["loaded what an earlier run had left pending"]
    return [
        "what an earlier run had left pending could not be loaded and was given up; "
        "it is read again"
    ]


def load_pending(pipeline: Any) -> None:
    """Load the packages that are extracted or normalized, but not loaded.

    Raises:
        PipelineStepFailed: one of them cannot be loaded.
    """
    for load_id in pipeline.list_normalized_load_packages():
        # dlt was killed before it had thrown away what it made this of, and would make it again
        extracted = Path(pipeline.working_dir) / "normalize" / "extracted" / load_id
        shutil.rmtree(extracted, ignore_errors=True)
    if pipeline.list_extracted_load_packages():
        pipeline.normalize()
    packages = pipeline.list_normalized_load_packages()
    for load_id in packages:
        _start_over(pipeline, load_id)
    try:
        if packages:
            pipeline.load()
    finally:
        close_to_others(Path(pipeline.working_dir))


def _start_over(pipeline: Any, load_id: str) -> None:
    """Let all of a package be loaded again, beginning with empty staging tables.

    dlt goes on with the jobs that it did not see completed. One that had filled its staging table
    when the run was killed would fill it twice, and what is merged by owner would be doubled. The
    state, and the mark that the package is completed, are no merges: they are appended, and so what
    the package wrote of them is taken out first.
    """
    package = Path(pipeline.working_dir) / "load" / "normalized" / load_id
    applied = package / PackageStorage.APPLIED_SCHEMA_UPDATES_FILE_NAME
    if not applied.is_file():
        return  # nothing of it was loaded yet
    shutil.rmtree(package / PackageStorage.PENDING_TRANSITIONS_FOLDER, ignore_errors=True)
    (package / PackageStorage.PENDING_TRANSITIONS_FOLDER).mkdir()
    for state in ("new_jobs", "started_jobs", "completed_jobs", "failed_jobs"):
        for job in list((package / state).iterdir()):
            if job.suffix in (".sql", ".reference", ".exception"):  # dlt asks for merges anew
                job.unlink()
            else:
                job.replace(package / "new_jobs" / job.name)
    with Dataset(pipeline) as dataset:
        for table, key in (("_dlt_loads", "load_id"), ("_dlt_pipeline_state", "_dlt_load_id")):
            name, column = dataset.name(table), dataset.column(key)
            dataset.execute(f"DELETE FROM {name} WHERE {column} = %s", load_id)
    # dlt empties the staging tables when it applies the changes of the schema
    applied.replace(package / PackageStorage.SCHEMA_UPDATES_FILE_NAME)
