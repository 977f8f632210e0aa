"""Merging into DuckDB straight from the files of a load package."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest

from pipelines.eduframe.destinations.duckdb_file import holding_file
from pipelines.eduframe.pipeline import duckdb_path, make_pipeline
from tests.warehouses import Warehouse

Rows = list[dict[str, Any]]


@pytest.fixture
def pipeline(tmp_path: Path) -> Any:
    folder = tmp_path / "the team's files"
    folder.mkdir()
    return make_pipeline(credentials=str(folder / "w.duckdb"), pipelines_dir=str(folder / "dlt"))


def load(pipeline: Any, *files: Rows, **hints: Any) -> None:
    """Load rows, each list of them as a file of its own."""

    @dlt.resource(name="items", write_disposition="merge", **hints)
    def items() -> Iterator[pa.Table]:
        for rows in files:
            yield pa.Table.from_pylist(rows, SCHEMA)

    pipeline.run(items(), schema=dlt.Schema("test"))


SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string()), ("_removed", pa.bool_())])
REMOVED: Any = {"_removed": {"name": "_removed", "data_type": "bool", "hard_delete": True}}


def held(pipeline: Any) -> list[tuple[Any, ...]]:
    with pipeline.sql_client() as client:
        return list(client.execute_sql("SELECT id, text FROM items ORDER BY id, text") or ())


def row(id: int, text: str | None, removed: bool | None = None) -> dict[str, Any]:
    return {"id": id, "text": text, "_removed": removed}


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_WRITER__BUFFER_MAX_ITEMS", "1")
    monkeypatch.setenv("DATA_WRITER__FILE_MAX_ITEMS", "1")


@pytest.mark.usefixtures("small_files")
def test_rows_of_one_owner_may_lie_in_several_files(pipeline: Any) -> None:
    load(pipeline, [row(1, "old"), row(2, "old")], merge_key="id", columns=REMOVED)
    load(pipeline, [row(1, "a")], [row(1, "b"), row(3, "c")], merge_key="id", columns=REMOVED)
    jobs = pipeline.last_trace.last_load_info.load_packages[0].jobs["completed_jobs"]
    assert sum(job.job_file_info.table_name == "items" for job in jobs) == 2
    assert held(pipeline) == [(1, "a"), (1, "b"), (2, "old"), (3, "c")]


def test_rows_that_are_removed_go_and_null_is_no_removal(pipeline: Any) -> None:
    load(pipeline, [row(1, "a"), row(2, "b"), row(3, "c")], primary_key="id", columns=REMOVED)
    load(
        pipeline, [row(1, None, True), row(2, "B", False), row(4, "d", True)],
        primary_key="id", columns=REMOVED,
    )
    assert held(pipeline) == [(2, "B"), (3, "c")]


def test_one_row_of_those_with_a_primary_key_stays(pipeline: Any) -> None:
    load(pipeline, [row(1, "a"), row(1, "a"), row(2, "b")], primary_key="id", columns=REMOVED)
    assert held(pipeline) == [(1, "a"), (2, "b")]


def test_there_is_no_staging_dataset(warehouse: Warehouse) -> None:
    warehouse.sync("labels")
    found = warehouse.query("SELECT schema_name FROM information_schema.schemata")
    assert "eduframe" in {row["schema_name"] for row in found}
    assert not any("staging" in row["schema_name"] for row in found)


def test_a_pipeline_made_for_dlts_own_duckdb_is_led_here(warehouse: Warehouse) -> None:
    own = warehouse.pipeline
    warehouse.pipeline = dlt.pipeline(
        "eduframe",
        destination=dlt.destinations.duckdb(warehouse.address),
        dataset_name="eduframe",
        pipelines_dir=own.pipelines_dir,
    )
    assert type(warehouse.pipeline.destination) is not type(own.destination)
    assert warehouse.sync("labels").status == "done"
    assert type(warehouse.pipeline.destination) is type(own.destination)


def test_a_large_merge_goes_into_the_file_without_a_log_of_all_its_rows(pipeline: Any) -> None:
    file = duckdb_path(pipeline)
    assert file is not None
    log = file.with_name(f"{file.name}.wal")
    with holding_file(file, 0):
        load(pipeline, [row(1, "a")], primary_key="id", columns=REMOVED)
        before = file.stat().st_size
        many = [row(number, f"{number:x}" * 20) for number in range(60_000)]
        load(pipeline, many, primary_key="id", columns=REMOVED)
        assert file.stat().st_size > before + 500_000
        assert not log.exists() or log.stat().st_size < 500_000
    assert len(held(pipeline)) == 60_000
