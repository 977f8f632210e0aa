"""The working folder of a dataset, in which dlt keeps its state and what is to be loaded.

The default dataset has the folder of the pipeline's name in dlt's folder of pipelines, as in any
dlt project. Each other one has a folder of pipelines for itself, beside it. What is damaged is
moved aside; nothing is ever removed that is not dlt's or ours.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipelines.eduframe.place.local_lock import local_lock
from pipelines.eduframe.place.target import Target
from sources.eduframe.errors import LockedError, SettingsError
from sources.eduframe.private_files import (
    PRIVATE,
    PRIVATE_FOLDER,
    make_private_folder,
    restrict,
    write_private,
)

log = logging.getLogger("eduframe.recovery")

DATASET_NAME = "eduframe"
"""The default dataset."""
TARGET_FILE = "eduframe-target"
"""Says, in the working folder, which dataset it belongs to."""
LOADS_FILE = "eduframe-loads"
"""Says, in the working folder, which loads the dataset held when the last package was made."""
DUCKDB_NOTE = "eduframe-duckdb-file"
"""Names, in the working folder, the DuckDB file of the last run, for dlt's own commands."""
TRACE_FILE = "trace.pickle"
"""dlt's record of the last run, kept for ``dlt pipeline eduframe trace``."""
STATE_FILE = "state.json"
KNOWN = {
    *(STATE_FILE, TRACE_FILE, TARGET_FILE, LOADS_FILE, DUCKDB_NOTE),
    *("schemas", "normalize", "load", ".DS_Store"),
}
"""What dlt and we make in a working folder, and what a Mac does in every one."""
BUSY_SECONDS = 60.0
"""A working folder is made, or made anew, in much less."""


@contextmanager
def changing_folder(pipelines_dir: Path, name: str) -> Iterator[None]:
    """While a working folder is made, made anew or opened, which takes an instant.

    Raises:
        LockedError: another program does not come to the end of that.
    """
    lock = FileLock(pipelines_dir / f".{name}.lock", timeout=BUSY_SECONDS, mode=PRIVATE)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"The working folder of pipeline {name} in {pipelines_dir} is held by a program that "
            "does not let go of it. End that program, and try again."
        ) from None
    try:
        yield
    finally:
        lock.release()


def open_pipeline(
    pipelines_dir: Path, name: str, target: Target, make: Callable[[str], Any]
) -> Any:
    """The pipeline, by ``make(its folder of pipelines)``, in the working folder of its dataset.

    Raises:
        SettingsError: the folder holds things that are not dlt's or ours.
        LockedError: there is no working folder, or a damaged one, and a run is going on.
    """
    make_private_folder(pipelines_dir)
    with changing_folder(pipelines_dir, name):
        home = _home(pipelines_dir, name, target)
    make_private_folder(home)
    with changing_folder(home, name):
        pipeline = _open(home / name, target, lambda: make(str(home)))
        restrict(home / name, PRIVATE_FOLDER)
        write_private(home / name / TARGET_FILE, str(target))
    return pipeline


def own_folder_note(pipeline: Any) -> list[str]:
    """Where the dataset's working folder is, if it is not where dlt looks for it."""
    home, name = Path(pipeline.pipelines_dir), pipeline.pipeline_name
    if not re.fullmatch(rf"{re.escape(name)}\..+\.[0-9a-f]{{8}}", home.name):
        return []
    return [
        f"this dataset has a working folder of its own: dlt pipeline --pipelines-dir {home} "
        f"{name} info"
    ]


def check_folder(folder: Path) -> None:
    """Refuse a working folder that holds what is not dlt's or ours, as it is made anew in each run.

    Raises:
        SettingsError: names what is in it.
    """
    if not folder.exists():
        return
    others = (
        sorted(p.name for p in folder.iterdir() if not _is_known(p.name))
        if folder.is_dir()
        else ["it is a file"]
    )
    if others:
        raise SettingsError(
            f"The working folder {folder} holds other things, which would be removed with it: "
            f"{', '.join(others[:3])}{' …' if others[3:] else ''}. Move them away, or set "
            "DLT_DATA_DIR to another folder."
        )


def _is_known(name: str) -> bool:
    return name in KNOWN or name.startswith("tmp")  # Windows shows files that wait to be loaded


def _home(pipelines_dir: Path, name: str, target: Target) -> Path:
    """The folder of pipelines for a dataset; that of the default one is taken by who comes first.

    An earlier release had one folder for all: what it holds of this dataset comes along.
    """
    plain = pipelines_dir / name
    file = plain / TARGET_FILE
    owner = file.read_text("utf-8") if file.is_file() else None
    if target.dataset == DATASET_NAME and (owner is None or target.is_called(owner)):
        check_folder(plain)
        make_private_folder(plain)
        write_private(file, str(target))
        return pipelines_dir
    home = pipelines_dir / f"{name}.{target.dataset}.{target.number[:8]}"
    if owner is not None and target.is_called(owner) and not home.exists():
        check_folder(plain)
        make_private_folder(home)
        plain.rename(home / name)
    return home


def _open(folder: Path, target: Target, make: Callable[[], Any]) -> Any:
    check_folder(folder)
    if not folder.exists() or {p.name for p in folder.iterdir()} <= {TARGET_FILE}:
        return make()
    if not (folder / STATE_FILE).exists():
        with local_lock(target):  # dlt makes the folder anew
            return make()
    try:
        return make()
    except OSError:
        raise
    except Exception as error:  # in a sound folder it can be made: whatever dlt stumbles over
        with local_lock(target):
            aside = folder.with_name(f"{folder.name}.damaged-{datetime.now():%Y%m%dT%H%M%S%f}")
            os.replace(folder, aside)
            log.warning(
                "the working folder was damaged (%s), is now %s, and is made anew: what it held is "
                "in the destination, or is read again",
                type(error).__name__,
                aside,
            )
            return make()
