"""Each slow case is in one part of the runs, and no part is empty."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.slow_cases import PARTS, part_of

ROOT = Path(__file__).parents[1]


def test_parts_are_of_about_one_size() -> None:
    sizes = Counter(part_of(f"tests/test_{n % 40}.py::test_something[{n}]") for n in range(1200))
    assert set(sizes) == set(range(1, PARTS + 1))
    assert max(sizes.values()) < 2 * min(sizes.values())


def collected(*arguments: str) -> set[str]:
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", *arguments]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {line for line in said.stdout.splitlines() if "::" in line}


@pytest.mark.slow
def test_a_run_of_everything_takes_one_part_and_whoever_names_cases_gets_them() -> None:
    every, one = collected("--all"), collected("--part", "1")
    left_out = every - one
    assert one < every
    assert min(len(left_out), len(one)) > 500
    assert {part_of(case) for case in left_out} == set(range(2, PARTS + 1))
    assert collected("tests/test_copy.py") == {case for case in every if "/test_copy.py" in case}
