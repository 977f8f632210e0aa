"""Who can read the files on this machine that hold personal data, or the token."""

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from pipelines.eduframe.destinations.local_place import local_place
from pipelines.eduframe.place.target import is_a
from sources.eduframe.private_files import mode_of

Readers = Literal["its owner", "its group", "everybody"]


@dataclass(frozen=True)
class FileFound:
    """A file or folder, and who on this machine can read it."""

    what: str
    path: str
    mode: str
    """As ``chmod`` takes it."""
    owner: str
    group: str
    readers: Readers

    @property
    def is_open(self) -> bool:
        return self.readers != "its owner"

    @property
    def closing(self) -> str:
        """The command after which its owner alone can read it."""
        return f"chmod {700 if Path(self.path).is_dir() else 600} {shlex.quote(self.path)}"


def find_files(pipeline: Any) -> list[FileFound]:
    """The destination's files, the working folder and the secrets, as far as they are there.

    None on Windows, where modes do not tell.
    """
    if os.name != "posix":
        return []
    place = local_place(pipeline)
    what = "Delta folder" if is_a(pipeline, "filesystem") else "DuckDB file"
    wanted = [(what, place)] if place else []
    wanted.append(("work folder", Path(pipeline.working_dir)))
    wanted += [("secrets", path) for path in _secrets()]
    return [_found(what, path.absolute()) for what, path in wanted if path.exists()]


def _secrets() -> Iterator[Path]:
    for provider in Container()[PluggableRunContext].providers.providers:
        if provider.supports_secrets:
            yield from map(Path, provider.present_locations)


def _found(what: str, path: Path) -> FileFound:
    info = path.stat()
    mode = f"{mode_of(path):o}"
    return FileFound(what, str(path), mode, _owner(path), _group(path), _readers(path, info))


def _readers(path: Path, info: os.stat_result) -> Readers:
    """By the modes of the file and of the folders on the way to it."""
    folders = [folder.stat() for folder in path.resolve().parents]
    if info.st_mode & stat.S_IROTH and all(f.st_mode & stat.S_IXOTH for f in folders):
        return "everybody"
    if info.st_mode & stat.S_IRGRP and all(
        f.st_mode & stat.S_IXOTH or (f.st_mode & stat.S_IXGRP and f.st_gid == info.st_gid)
        for f in folders
    ):
        return "its group"
    return "its owner"


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)


def _group(path: Path) -> str:
    try:
        return path.group()
    except KeyError:
        return str(path.stat().st_gid)
