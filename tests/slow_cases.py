"""Which of the slow cases one run of the tests takes.

A case is slow if it syncs into a warehouse, or starts processes of its own (``@pytest.mark.slow``);
together they take an hour on two cores. A run of everything takes one part of them, another each
day: over :data:`PARTS` days each case was run. ``--part N`` takes part N; ``--all`` takes all of
them, as ``.ci/run`` does; and whoever names files, or picks with ``-k`` or ``-m``, gets what they
named.
"""

import os
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from _pytest.config import Config

PARTS = 12
SHARED = "EDUFRAME_TESTS_PART"
"""Where the processes that run tests side by side find which part it is."""


def part_of(case: str) -> int:
    """The part (1 to :data:`PARTS`) that a case belongs to, by its name."""
    return int(sha256(case.encode()).hexdigest(), 16) % PARTS + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run all slow cases (an hour)")
    parser.addoption(
        "--part", type=int, choices=range(1, PARTS + 1), metavar="N",
        help=f"run part N of {PARTS} of the slow cases (else another each day)",
    )  # fmt: skip


def pytest_configure(config: Config) -> None:
    config.addinivalue_line("markers", "slow: starts processes, or takes seconds otherwise")
    if not hasattr(config, "workerinput"):  # the process that starts the others
        os.environ[SHARED] = str(_chosen(config) or "")


def _chosen(config: Config) -> int | None:
    """The part to run; none where all is wanted that was named."""
    named = config.args_source is not Config.ArgsSource.TESTPATHS
    if part := config.option.part:
        return int(part)
    if config.option.all or named or config.option.keyword or config.option.markexpr:
        return None
    return datetime.now(UTC).toordinal() % PARTS + 1


def pytest_collection_modifyitems(config: Config, items: list[pytest.Item]) -> None:
    if part := os.environ.get(SHARED):
        left_out = [item for item in items if _is_slow(item) and part_of(item.nodeid) != int(part)]
        config.hook.pytest_deselected(items=left_out)
        gone = {id(item) for item in left_out}
        items[:] = [item for item in items if id(item) not in gone]


def _is_slow(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return "home" in fixtures or item.get_closest_marker("slow") is not None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if part := os.environ.get(SHARED):
        terminalreporter.write_line(
            f"Of the slow cases, part {part} of {PARTS} was run; --part N runs another, --all all."
        )
