"""Rows that wait in files until they are loaded."""

import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from sources.eduframe.comparing import spill_files as module
from sources.eduframe.comparing.row_versions import later_wins
from sources.eduframe.comparing.spill_files import SpillFiles
from sources.eduframe.reading.batch import Batch
from sources.eduframe.rows.tables import MAIN_TABLES


def batch(number: int) -> Batch:
    made = Batch("users", None)
    made.fill(
        {
            "users": pa.table({"id": [number, number + 1], "name": ["é\x00", None]}),
            "addresses": pa.table({"owner_id": pa.array([number], pa.int64())}),
        }
    )
    return made


def test_what_is_kept_comes_back_as_it_was_and_has_no_name_on_the_disk(tmp_path: Path) -> None:
    spool = SpillFiles(tmp_path)
    kept = [spool.keep(batch(number)) for number in range(3)]
    assert [b.rows for b in kept] == [3, 3, 3]
    for number in (2, 0, 1):
        assert dict(kept[number].tables) == dict(batch(number).tables)
    assert list(tmp_path.iterdir()) == []


def test_a_slice_of_a_table_takes_no_more_than_its_own_rows(tmp_path: Path) -> None:
    long = pa.table({"id": range(100_000)})
    made = Batch("users", None)
    made.fill({"users": long.slice(50_000, 2)})
    kept = SpillFiles(tmp_path).keep(made).tables["users"]
    assert kept.column("id").to_pylist() == [50_000, 50_001]
    assert kept.get_total_buffer_size() < 1_000


def test_a_batch_without_tables_needs_no_file(tmp_path: Path) -> None:
    tmp_path.rmdir()
    assert SpillFiles(tmp_path).keep(Batch("users", None)).tables == {}


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
def test_a_file_goes_with_the_last_of_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> int:
        links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        return sum(str(tmp_path) in os.readlink(link) for link in links if os.path.islink(link))

    monkeypatch.setattr(module, "FILE_BYTES", 1)
    spool = SpillFiles(tmp_path)
    kept = [spool.keep(batch(number)) for number in range(3)]
    assert files() == 3
    del kept[:2]
    assert files() == 1


def test_the_last_version_of_a_row_and_its_children_is_left(tmp_path: Path) -> None:
    spool = SpillFiles(tmp_path)

    def part(users: list[int], roles: list[tuple[int, str]]) -> Batch:
        made = Batch("users", None)
        tables = {"users": pa.table({"id": pa.array(users, pa.int64())})}
        if roles:
            owners, values = map(list, zip(*roles, strict=True))
            tables["user_roles"] = pa.table({"user_id": owners, "value": values})
        made.fill(tables)
        return spool.keep(made)

    parts = [
        part([1, 2], [(1, "old"), (2, "student"), (1, "older")]),
        part([3], []),
        part([1, 4], [(1, "new"), (4, "teacher")]),
        part([4], []),
    ]
    left = later_wins(MAIN_TABLES["users"], [batch.tables for batch in parts])
    rows = {name: [row for t in tables for row in t.to_pylist()] for name, tables in left.items()}
    assert [row["id"] for row in rows["users"]] == [2, 3, 1, 4]
    assert [tuple(row.values()) for row in rows["user_roles"]] == [(2, "student"), (1, "new")]
