"""The command as a process of its own, forked from one that has imported everything already.

To start Python and to import dlt costs more than a small sync. What a test wants to see (a kill, a
signal, an exit code, what is printed) is the same in a fork.
"""

import contextlib
import io
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pipelines.eduframe.commands.progress
import pipelines.eduframe.destinations.duckdb_merge
import pipelines.eduframe.destinations.postgres.copy
import pipelines.eduframe.run.sync  # noqa: F401  # imported once for all forks
from pipelines.eduframe.commands.cli import main
from tests.quicker_dlt import make_dlt_quicker

make_dlt_quicker()
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])
PATIENCE = 120.0
"""Seconds after which a command that should have ended never will."""


class Process:
    """A command that runs, or has ended. A context manager: waits for the end."""

    def __init__(
        self, args: Sequence[str], cwd: Path, env: Mapping[str, str], file_limit: int | None
    ) -> None:
        folder = Path(tempfile.mkdtemp(prefix="printed-", dir=cwd))
        self._out, self._err = folder / "stdout", folder / "stderr"
        given = (list(args), str(cwd), dict(env), str(self._out), str(self._err), file_limit)
        self._process = FORKS.Process(target=_become, args=given)
        _start(self._process)

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid or 0, number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code, minus the number of the signal that killed it."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"still running after {timeout:g} s: {self.stderr}")
        return self._process.exitcode

    def wait_for(self, words: str, timeout: float = PATIENCE) -> None:
        """Until it has printed this on the standard error."""
        deadline = time.monotonic() + timeout
        while words not in self.stderr:
            assert self._process.is_alive(), self.stderr
            assert time.monotonic() < deadline, self.stderr
            time.sleep(0.02)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._out.read_text("utf-8") if self._out.exists() else ""

    @property
    def stderr(self) -> str:
        return self._err.read_text("utf-8") if self._err.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()


def start(
    args: Sequence[str], cwd: Path, env: Mapping[str, str], file_limit: int | None = None
) -> Process:
    """Start what :func:`tests.conftest.command` describes.

    ``args`` are those of Python: ``-m`` with the module of the command line, or ``-c`` with code.
    Files that it writes end at ``file_limit`` bytes, as if the disk were full.
    """
    return Process(args, cwd, env, file_limit)


def run(
    args: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    file_limit: int | None = None,
    timeout: float = PATIENCE,
) -> Process:
    """Run it to its end."""
    process = start(args, cwd, env, file_limit)
    process.wait(timeout)
    return process


def _start(process: Any) -> None:
    """The first one starts the process that all are forked from, which must find this module."""
    with _environment(PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
        process.start()


@contextlib.contextmanager
def _environment(**values: str) -> Any:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _become(
    args: list[str], cwd: str, env: dict[str, str], out: str, err: str, file_limit: int | None
) -> None:
    """Be the command, in the new process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = io.TextIOWrapper(open(1, "wb", 0, closefd=False), "utf-8", write_through=True)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(open(2, "wb", 0, closefd=False), "utf-8", write_through=True)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    _, how, what, *rest = args
    sys.argv = ["-c" if how == "-c" else "eduframe", *rest]
    if how == "-c":
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    else:
        main()
