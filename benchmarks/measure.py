"""Programs as processes of their own: time, processor time and peak memory of each."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).parent.parent
TOKEN = "demo-token"  # The simulator's.


class ProgramFailed(Exception):
    """A program that was to be measured did not end well."""


@dataclass(frozen=True)
class Measured:
    """One run of a program."""

    seconds: float
    cpu: float
    """Seconds of processor time, over all threads."""
    peak_mb: float
    output: str


class Folder:
    """A working folder: a DuckDB file, dlt's data, and the environment for programs there."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SOURCES__", "DESTINATION__", "EDUFRAME"))
        } | {
            "DLT_DATA_DIR": str(path / "dlt"),
            "XDG_STATE_HOME": str(path / "state"),
            "PYTHONPATH": str(ROOT),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "SOURCES__EDUFRAME__API_TOKEN": TOKEN,
            "SOURCES__EDUFRAME__BASE_URL": url,
        }

    def set(self, name: str, value: str) -> None:
        """Give the programs an environment variable."""
        self._environment[name] = value

    def run(self, *arguments: str, **environment: Any) -> Measured:
        """Run Python with these arguments, and wait for it.

        The kernel counts the peak memory of the program that starts another as the other's too:
        whoever calls this must be small.
        """
        output = self.path / "output.txt"
        given = {name: str(value) for name, value in environment.items()}
        with output.open("wb") as out, (self.path / "log.txt").open("wb") as log:
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.path,
                env=self._environment | given,
                stdout=out,
                stderr=log,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said = (self.path / "log.txt").read_text("utf-8", "replace")[-2000:]
            raise ProgramFailed(f"{' '.join(arguments)} ended with {process.returncode}: {said}")
        return Measured(
            seconds,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024,
            output.read_text("utf-8"),
        )

    def eduframe(self, *arguments: str, **environment: Any) -> Measured:
        """Run a command of ours."""
        return self.run("-m", "pipelines.eduframe.commands.cli", *arguments, **environment)

    def sync(self, *arguments: str, requests: int = 1_000_000, window: float = 300) -> Measured:
        """Run ``eduframe sync``, with a limit, and the memory of a window in which it was idle."""
        from sources.eduframe.limits.rate_limiter_file import WindowFile, window_name

        url = self._environment["SOURCES__EDUFRAME__BASE_URL"]
        file = self.path / "state" / "eduframe-sync" / window_name(url, TOKEN)
        if not file.exists():
            WindowFile(file, window).open()
        return self.eduframe(
            "sync",
            "--json",
            *arguments,
            SOURCES__EDUFRAME__REQUESTS_PER_WINDOW=requests,
            SOURCES__EDUFRAME__WINDOW_SECONDS=window,
        )


@contextmanager
def folder(url: str) -> Iterator[Folder]:
    """A fresh folder, for programs that read from this address."""
    with tempfile.TemporaryDirectory(prefix="eduframe-benchmark-") as path:
        yield Folder(Path(path), url)


@contextmanager
def serving(counts: Mapping[str, int], *, custom: bool = False) -> Iterator[str]:
    """The address of a server with so many rows in each list."""
    given = [f"--count={name}={count}" for name, count in counts.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", *given, *(["--custom"] if custom else [])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def ask(url: str, path: str) -> Any:
    """Tell the server something, or ask it: ``touch``, ``requests``, ``limit?latency=0.1``."""
    with urlopen(Request(f"{url}/{path}"), timeout=60) as answer:
        return json.load(answer)


def even(records: int, names: Sequence[str]) -> dict[str, int]:
    """So many records, spread over lists."""
    return {
        name: records * (number + 1) // len(names) - records * number // len(names)
        for number, name in enumerate(names)
    }
