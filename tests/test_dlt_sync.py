"""``sync()`` and the command, as those meet them who know dlt."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.helpers import pipeline_drop

from pipelines.eduframe import sync
from sources.eduframe.errors import SettingsError
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator
from tests.conftest import Eduframe, MakeWarehouse, settings
from tests.test_dlt_memory import own_pipeline, source
from tests.warehouses import PLENTY, DuckDB, Home, Warehouse


def configured(sim: Simulator) -> Settings:
    return Settings(api_token=sim.token, base_url=sim.base_url, requests_per_window=PLENTY)


@pytest.mark.slow
def test_a_pipeline_in_dev_mode_keeps_its_dataset(here: Simulator, tmp_path: Path) -> None:
    pipeline = dlt.pipeline(
        "dev", destination=dlt.destinations.duckdb(str(tmp_path / "dev.duckdb")),
        dataset_name="edu", dev_mode=True, pipelines_dir=str(tmp_path / "dev"),
    )
    name = pipeline.dataset_name
    written = [sync(pipeline, ["labels"], settings=configured(here)).total("new") for _ in "12"]
    assert pipeline.dataset_name == name
    assert written == [len(here.rows("labels")), 0]


def test_a_file_with_the_name_of_the_dataset_is_refused(here: Simulator, tmp_path: Path) -> None:
    pipeline = dlt.pipeline(
        "same", destination=dlt.destinations.duckdb(str(tmp_path / "edu.duckdb")),
        dataset_name="edu", pipelines_dir=str(tmp_path / "same"),
    )
    with pytest.raises(SettingsError, match="must not have the same name"):
        sync(pipeline, ["labels"], settings=configured(here))


def test_a_pipeline_that_is_to_drop_tables_is_refused(
    make_warehouse: MakeWarehouse, here: Simulator
) -> None:
    warehouse = make_warehouse(here, synced=("labels",))
    warehouse.pipeline.refresh = "drop_sources"
    with pytest.raises(SettingsError, match="drops nothing"):
        warehouse.sync("labels")
    assert warehouse.pipeline.refresh == "drop_sources"


@pytest.mark.parametrize("environment", [
    {"PYTHONIOENCODING": "ascii"}, {"PYTHONWARNINGS": "error"},
])
@pytest.mark.usefixtures("tables")
def test_the_command_runs_anywhere_and_reports_to_nobody(
    here: Simulator, tmp_path: Path, environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "pipelines.eduframe.commands.cli", "--debug"]
    done = subprocess.run(
        [*command, "sync", "labels"],
        env={
            **os.environ,
            **{f"SOURCES__EDUFRAME__{name}": value for name, value in settings(here).items()},
            "PYTHONPATH": str(Path(__file__).parents[1]),
            **environment,
        },
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "telemetry" not in done.stderr


@pytest.mark.slow
def test_dlt_finds_the_file_of_the_command_and_can_drop_in_it(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    given: Any = settings(here)
    lists = ("users", "labels")
    assert eduframe("sync", *lists, **given).code == 0
    there = DuckDB(here, tmp_path / "there", str(tmp_path / "warehouse.duckdb"))
    users = len(here.rows("users"))
    for found in (dlt.attach("eduframe"), dlt.pipeline("eduframe")):
        assert len(found.dataset()["users"].fetchall()) == users
    assert not (tmp_path / "eduframe.duckdb").exists()
    for resource in ("users", "addresses"):
        command = [str(Path(sys.executable).with_name("dlt")), "--yes", "pipeline", "eduframe"]
        subprocess.run([*command, "drop", resource], check=True, capture_output=True)
        assert resource not in there.types()
        outcome = eduframe("sync", *lists, **given)
        assert (outcome.code, "left pending" in outcome.out) == (0, False)
        there.assert_equals_truth(*lists)


def test_what_dlt_drops_the_plain_source_brings_again(
    make_warehouse: MakeWarehouse, sim: Simulator
) -> None:
    warehouse: Warehouse = make_warehouse(sim)
    warehouse.pipeline.run(source(sim, "users", "labels"))
    for resource in ("users", "addresses"):
        pipeline_drop(warehouse.pipeline, resources=[resource])()
        warehouse.pipeline.run(source(sim, "users", "labels"))
        warehouse.assert_equals_truth("users", "labels")


LISTS = ("users", "labels", "leads")


@pytest.fixture
def in_postgres(home: Home, lists: Simulator, tmp_path: Path) -> Warehouse:
    """What a sync made, with its primary and foreign keys."""
    return home.make("postgres", lists, tmp_path, synced=LISTS)


def test_keys_of_the_sync_are_not_in_the_way_of_dlt(
    in_postgres: Warehouse, lists: Simulator
) -> None:
    keys = "SELECT count(*) AS n FROM pg_constraint WHERE contype IN ('f', 'p')"
    there = in_postgres.query(keys)
    in_postgres.pipeline.sync_destination()
    pipeline_drop(in_postgres.pipeline, resources=["users"])()
    assert "users" not in in_postgres.types()
    made: Any = source(lists, *LISTS)
    in_postgres.pipeline.run(made, write_disposition="replace")
    in_postgres.assert_equals_truth(*LISTS)
    assert in_postgres.sync(*LISTS).exit_code == 0
    in_postgres.assert_equals_truth(*LISTS)
    assert in_postgres.query(keys) == there


@pytest.mark.parametrize("refresh", ["drop_resources", "drop_sources"])
def test_dlts_own_postgres_drops_tables_that_keys_of_the_sync_refer_to(
    in_postgres: Warehouse, lists: Simulator, tmp_path: Path, refresh: Any
) -> None:
    own_pipeline(in_postgres, tmp_path)
    some: Any = source(lists, *LISTS).with_resources("users", "addresses", "custom_values")
    lists.change("users", lists.rows("users")[0]["id"], first_name="Ada")
    in_postgres.pipeline.run(some)  # from now on dlt knows the table
    in_postgres.pipeline.run(some, refresh=refresh)
    in_postgres.pipeline.run(source(lists, *LISTS))
    in_postgres.assert_equals_truth(*LISTS)


def test_no_row_is_appended_under_a_primary_key(in_postgres: Warehouse, lists: Simulator) -> None:
    before = in_postgres.marks()
    with pytest.raises(PipelineStepFailed, match="labels, leads, users: by their primary key"):
        in_postgres.pipeline.run(source(lists, *LISTS), write_disposition="append")
    assert not in_postgres.pipeline.has_pending_data
    assert in_postgres.marks() == before
