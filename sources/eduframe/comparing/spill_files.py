"""Where rows wait until they are loaded: in files, as memory is for what is being read."""

import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from sources.eduframe.reading.batch import Batch

FILE_BYTES = 64 * 2**20
"""A file takes no more tables once it is so long, so that it can go when they are loaded."""


class SpillFiles:
    """Keeps the tables of batches in files without a name, which end with the program, however
    it ends, and with the last of their tables. Thread-safe."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder`` is where the files are; left out, where the machine keeps such files."""
        self._folder = folder
        self._file: _File | None = None
        self._lock = threading.Lock()

    def keep(self, batch: Batch) -> Batch:
        """The batch, with its tables in a file.

        Raises:
            OSError: the disk is full, or does not work.
        """
        batch.tables = self._kept(batch.tables)
        batch.additions = self._kept(batch.additions)
        return batch

    def _kept(self, tables: Mapping[str, pa.Table]) -> Mapping[str, pa.Table]:
        if not tables:
            return tables
        with self._lock:
            if self._file is None or self._file.length >= FILE_BYTES:
                self._file = _File(self._folder)
            file = self._file
        return Kept(file, {name: file.write(rows) for name, rows in tables.items()})


class Kept(Mapping[str, pa.Table]):
    """Tables in a file, each read when it is asked for."""

    def __init__(self, file: "_File", places: Mapping[str, "_Place"]) -> None:
        self._file = file
        self._places = places

    def __getitem__(self, name: str) -> pa.Table:
        return self._file.read(self._places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@dataclass(frozen=True)
class _Place:
    start: int
    length: int


class _File:
    def __init__(self, folder: Path | None) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._lock = threading.Lock()
        self.length = 0

    def write(self, rows: pa.Table) -> _Place:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        content = sink.getvalue()
        with self._lock:
            place = _Place(self.length, content.size)
            self._file.seek(place.start)
            self._file.write(content)
            self.length += place.length
        return place

    def read(self, place: _Place) -> pa.Table:
        with self._lock:
            self._file.seek(place.start)
            content = self._file.read(place.length)
        return pa.ipc.open_stream(content).read_all()
