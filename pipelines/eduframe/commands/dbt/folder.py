"""A package's folder: what was written there, and nothing else, is written anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sources.eduframe.digest import hash_text
from sources.eduframe.errors import SettingsError

MEMORY = ".eduframe.json"
"""The file that says which files are ours, and what they were made from."""
FEW = 3


@dataclass(frozen=True)
class Written:
    """What became of the files of a package."""

    changed: tuple[str, ...]
    """Those that are new, or not what they were."""
    gone: tuple[str, ...]
    """Those that were removed, as they are of no use any more."""


def memory_of(folder: Path) -> dict[str, Any]:
    """What an earlier package in the folder was made from; empty where there is none.

    Raises:
        SettingsError: it cannot be read.
    """
    file = folder / MEMORY
    try:
        known = orjson.loads(file.read_bytes())
        return {"files": {}, "made_from": {}, **known}
    except (FileNotFoundError, NotADirectoryError):
        return {"files": {}, "made_from": {}}
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(
            f"{file} cannot be read, so that it is not known which files are of eduframe: {error}. "
            "Name another folder, or remove that package."
        ) from error


def write(folder: Path, files: Mapping[str, str], made_from: Mapping[str, Any]) -> Written:
    """Write a package. ``made_from`` is kept for the next time.

    Raises:
        SettingsError: a file is in the way that is not ours, or was changed; nothing was written.
            Or the folder cannot be written.
    """
    try:
        return _write(folder, files, made_from)
    except OSError as error:
        raise SettingsError(
            f"The package cannot be written into {folder}: {error.strerror}"
            f"{f' ({error.filename})' if error.filename else ''}. Name another folder."
        ) from error


def _write(folder: Path, files: Mapping[str, str], made_from: Mapping[str, Any]) -> Written:
    ours: dict[str, str] = memory_of(folder)["files"]
    there = {name: _read(folder / name) for name in {*files, *ours}}
    others = sorted(
        name
        for name, text in there.items()
        if text is not None and text != files.get(name) and _mark(text) != ours.get(name)
    )
    if others:
        more = f" and {len(others) - FEW} more" if len(others) > FEW else ""
        raise SettingsError(
            f"In {folder} are files that eduframe did not write, or that were changed since: "
            f"{', '.join(others[:FEW])}{more}. Nothing was written. Move them away, or name "
            "another folder; changes are best made in a project that uses the package."
        )
    changed = sorted(name for name, text in files.items() if there[name] != text)
    gone = sorted(name for name in {*ours} - {*files} if there[name] is not None)
    for name in changed:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(files[name], encoding="utf-8", newline="\n")
    for name in gone:
        (folder / name).unlink()
    memory = {"made_from": made_from, "files": {n: _mark(files[n]) for n in sorted(files)}}
    (folder / MEMORY).write_bytes(orjson.dumps(memory, option=orjson.OPT_INDENT_2))
    return Written(tuple(changed), tuple(gone))


def _read(file: Path) -> str | None:
    """A file's text; None where there is none. What is no text is nobody's of ours."""
    try:
        return file.read_bytes().decode("utf-8", "backslashreplace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _mark(text: str) -> str:
    return f"{hash_text(text):014x}"
