"""The plain source by dlt's own front door, into destinations of all kinds."""

import logging
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from sources.eduframe_simulator import Simulator
from tests.test_dlt_memory import LISTS, filled_simulator, source
from tests.warehouses import Lake


@pytest.fixture
def sim() -> Any:
    with filled_simulator() as sim:
        yield sim


def pipeline_into(destination: Any, folder: Path, **how: Any) -> Any:
    return dlt.pipeline(
        "mine", destination=destination, dataset_name="eduframe",
        pipelines_dir=str(folder / "mine"), **how,
    )


@pytest.mark.slow
def test_delta_tables_by_dlts_own_filesystem_are_the_truth(sim: Simulator, tmp_path: Path) -> None:
    lake = Lake(sim, tmp_path, f"file://{tmp_path}/lake")
    for run in range(3):
        lake.pipeline = pipeline_into(dlt.destinations.filesystem(lake.address), tmp_path)
        lake.pipeline.run(source(sim), table_format="delta")
        lake.assert_equals_truth(*LISTS)
        user = next(row for row in sim.rows("users") if row.get("address"))
        sim.change("users", user["id"], address=None, label_ids=[])
        sim.change("orders", sim.rows("orders")[run]["id"], order_items=[])
    lake.pipeline.run(source(sim), table_format="delta")
    versions = lake.versions()
    lake.pipeline.run(source(sim), table_format="delta")
    assert lake.versions() == versions


@pytest.mark.parametrize(("table_format", "why"), [(None, "only grow"), ("iceberg", "as rows")])
def test_formats_without_merge_are_refused(
    sim: Simulator, tmp_path: Path, table_format: Any, why: str
) -> None:
    pipeline = pipeline_into(dlt.destinations.filesystem(f"file://{tmp_path}/files"), tmp_path)
    with pytest.raises(PipelineStepFailed, match=why):
        pipeline.run(source(sim), table_format=table_format)
    assert not list(tmp_path.glob("files/**/*.parquet"))


@pytest.mark.parametrize("by", ["run", "hints"])
@pytest.mark.parametrize("kind", ["sqlalchemy", "filesystem"])
def test_a_strategy_that_a_destination_lacks_is_refused(
    sim: Simulator, tmp_path: Path, kind: str, by: str
) -> None:
    made = {
        "sqlalchemy": dlt.destinations.sqlalchemy(f"sqlite:///{tmp_path}/mine.sqlite"),
        "filesystem": dlt.destinations.filesystem(f"file://{tmp_path}/files"),
    }
    pipeline, copied = pipeline_into(made[kind], tmp_path), source(sim)
    how: dict[str, Any] = {"table_format": "delta"} if kind == "filesystem" else {}
    upsert: Any = {"disposition": "merge", "strategy": "upsert"}
    if by == "hints":
        copied.users.apply_hints(write_disposition=upsert)
    else:
        how["write_disposition"] = upsert
    with pytest.raises(PipelineStepFailed, match=r"users.*upsert.*use delete-insert"):
        pipeline.run(copied, **how)
    assert not pipeline.has_pending_data
    assert "/users" not in {request.path for request in sim.requests}


def test_whole_copies_go_into_plain_files(sim: Simulator, tmp_path: Path) -> None:
    pipeline = pipeline_into(dlt.destinations.filesystem(f"file://{tmp_path}/files"), tmp_path)
    for _ in range(2):
        copied = source(sim, *LISTS, "educators")
        pipeline.run(copied, write_disposition="replace", loader_file_format="parquet")
        assert len(pipeline.dataset()["users"].fetchall()) == 120


def test_a_destination_without_sql_gets_every_row_each_time(
    sim: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    got: dict[str, int] = {}

    @dlt.destination
    def sink(items: Any, table: Any) -> None:
        rows = len(items) if isinstance(items, list) else items.num_rows
        got[table["name"]] = got.get(table["name"], 0) + rows

    caplog.set_level(logging.WARNING, "eduframe")
    for run in range(1, 3):
        pipeline_into(sink, tmp_path).run(source(sim))
        assert got["users"] == 120 * run
        assert got["order_items"] == run * sum(len(r["order_items"]) for r in sim.rows("orders"))
    told = [r for r in caplog.records if "cannot be asked" in r.getMessage()]
    assert len(told) == 2


def test_dummy(sim: Simulator, tmp_path: Path) -> None:
    dummy = dlt.destinations.dummy(completed_prob=1.0)
    for _ in range(2):
        info = pipeline_into(dummy, tmp_path).run(source(sim))
        assert not info.has_failed_jobs


def test_sqlite(tmp_path: Path) -> None:
    with filled_simulator(invoices=5, payments=8) as sim:
        run_in_sqlite(sim, tmp_path)


def run_in_sqlite(sim: Simulator, tmp_path: Path) -> None:
    destination = dlt.destinations.sqlalchemy(f"sqlite:///{tmp_path}/mine.sqlite")
    for run in range(3):
        pipeline = pipeline_into(destination, tmp_path)
        pipeline.run(source(sim, *LISTS, "invoices", "payments"))
        with pipeline.sql_client() as client:
            def count(table: str, where: str = "1 = 1") -> int:
                name = client.make_qualified_table_name(table)
                return int(client.execute_sql(f"SELECT COUNT(*) FROM {name} WHERE {where}")[0][0])

            assert count("users") == 120
            assert count("addresses") == sum(bool(r.get("address")) for r in sim.rows("users"))
            assert count("user_labels") == sum(len(r["label_ids"]) for r in sim.rows("users"))
            assert count("users", "first_name = 'Renamed'") == run
            written = count("users", "_dlt_load_id = (SELECT MAX(load_id) FROM "
                            f"{client.make_qualified_table_name('_dlt_loads')})")
            assert written == (120 if not run else 2)
            assert count("payments") == len(sim.rows("payments")) > 0
        users = [row for row in sim.rows("users") if row.get("address") and row.get("label_ids")]
        sim.change("users", users[run]["id"], address=None, label_ids=[])
        sim.change("users", sim.rows("users")[100 + run]["id"], first_name="Renamed")
