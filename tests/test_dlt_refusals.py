"""What dlt cannot do with our tables is refused in one sentence, before anything is written; and
the source's settings and resources are what a dlt user expects."""

from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from sources.eduframe import eduframe_source
from sources.eduframe.errors import SettingsError
from sources.eduframe.rows.tables import ALL_TABLES, SHARED_TABLES
from sources.eduframe.settings import resolve
from sources.eduframe_simulator import Simulator
from tests.conftest import MakeWarehouse
from tests.test_dlt_memory import LISTS, filled_simulator, own_pipeline, source
from tests.warehouses import Warehouse


@pytest.fixture
def sim() -> Any:
    with filled_simulator() as sim:
        yield sim


@pytest.fixture
def mine(make_warehouse: MakeWarehouse, sim: Simulator, tmp_path: Path) -> Warehouse:
    return own_pipeline(make_warehouse(sim, tables=False), tmp_path)


def assert_nothing_is_written(mine: Warehouse) -> None:
    with duckdb.connect(mine.address, read_only=True) as connection:
        assert connection.sql("SELECT 1 FROM duckdb_tables()").fetchall() == []


def test_the_strategy_upsert_gives_the_truth(mine: Warehouse) -> None:
    sim, upsert = mine.sim, {"disposition": "merge", "strategy": "upsert"}
    for run in range(3):
        mine.pipeline.run(source(sim), write_disposition=upsert)
        mine.assert_equals_truth(*LISTS)
        user = sim.rows("users")[run]
        sim.change("users", user["id"], label_ids=[], address=None, first_name="Renamed")


@pytest.mark.parametrize(("strategy", "instead"), [
    ("scd2", "snapshot"), ("cdc", r"sync\(\)"), ("insert-only", "append"),
])
@pytest.mark.parametrize("by", ["run", "hints"])
def test_other_strategies_are_refused_with_what_to_use(
    mine: Warehouse, strategy: str, instead: str, by: str
) -> None:
    hint: Any = {"disposition": "merge", "strategy": strategy}
    made = source(mine.sim)
    if by == "hints":
        made.users.apply_hints(write_disposition=hint)
    with pytest.raises(PipelineStepFailed, match=f"users.*{strategy}.*{instead}"):
        mine.pipeline.run(made, **({"write_disposition": hint} if by == "run" else {}))
    assert_nothing_is_written(mine)
    assert not mine.pipeline.has_pending_data


def test_an_incremental_is_refused_with_what_to_use(mine: Warehouse) -> None:
    made = source(mine.sim)
    made.users.apply_hints(incremental=dlt.sources.incremental("updated_at"))
    with pytest.raises(PipelineStepFailed, match=r"users takes no incremental.*add_filter"):
        mine.pipeline.run(made)
    assert_nothing_is_written(mine)


@pytest.mark.parametrize("by", ["run", "hints"])
def test_a_list_goes_into_a_table_of_another_name(mine: Warehouse, by: str) -> None:
    for run in range(2):
        made = source(mine.sim).with_resources("users")
        if by == "hints":
            made.users.apply_hints(table_name="people")
        mine.pipeline.run(made, **({"table_name": "people"} if by == "run" else {}))
        assert mine.count("people") == 120
        labels = sum(len(row["label_ids"]) for row in mine.sim.rows("users"))
        assert mine.count("user_labels") == labels
        user = mine.sim.rows("users")[2 * run]
        mine.sim.change("users", user["id"], label_ids=[])
    assert "users" not in mine.types()


def test_several_lists_into_one_table_are_refused(mine: Warehouse) -> None:
    with pytest.raises(PipelineStepFailed, match=r"cannot both go into the table people"):
        mine.pipeline.run(source(mine.sim), table_name="people")
    assert_nothing_is_written(mine)


def test_a_named_destination(
    mine: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DESTINATION__HOUSE__DESTINATION_TYPE", "duckdb")
    monkeypatch.setenv("DESTINATION__HOUSE__CREDENTIALS", mine.address)
    for _ in range(2):
        mine.pipeline = dlt.pipeline(
            "named", destination="house", dataset_name="eduframe",
            pipelines_dir=str(tmp_path / "named"),
        )
        mine.pipeline.run(source(mine.sim))
        mine.assert_equals_truth(*LISTS)


# ---- settings and resources


def given(sim: Simulator, monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in {"api_token": sim.token, "base_url": sim.base_url, **settings}.items():
        monkeypatch.setenv(f"SOURCES__EDUFRAME__{name.upper()}", value)


@pytest.mark.parametrize("value", ["users,teachers", '["users", "teachers"]', "users teachers"])
def test_both_fronts_take_both_spellings_of_a_list(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    given(sim, monkeypatch, custom_object_types=value, include="accounts")
    assert resolve().custom_object_types == ("users", "teachers")
    assert "accounts" in eduframe_source().resources


def test_a_misspelt_setting_is_refused(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    given(sim, monkeypatch, exlude="users")
    with pytest.raises(SettingsError, match="did you mean exclude"):
        eduframe_source()


@pytest.mark.parametrize("name", [
    "schema__naming", "schema__json_normalizer", "max_table_nesting", "schema_contract",
    "users__extract__workers", "extract__workers", "data_writer__buffer_max_items",
])
def test_dlts_own_settings_of_a_source_are_dlts(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given(sim, monkeypatch, **{name: "snake_case"})
    assert resolve().base_url == sim.base_url


def test_the_naming_of_the_source_is_dlts_to_set(
    mine: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(mine.sim, monkeypatch, schema__naming="direct")
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)
    assert mine.sync("labels").exit_code == 0


def test_only_the_shared_tables_that_are_needed_are_resources(sim: Simulator) -> None:
    def names(*include: str) -> set[str]:
        return set(source(sim, *include).resources)

    assert names("labels") == {"labels"}
    assert names("users") == {"users", "addresses", "custom_values"}
    everything = [n for n, t in ALL_TABLES.items() if t.child is None]
    assert names(*everything) >= set(SHARED_TABLES)
