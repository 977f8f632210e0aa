"""dlt's own settings: those with which rows would be lost or changed are refused."""

from pathlib import Path

import dlt
import pytest
from dlt.common.normalizers.naming import snake_case

from pipelines.eduframe import sync
from pipelines.eduframe.exit_codes import DONE, WRONG_USE
from sources.eduframe.errors import SettingsError
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator
from tests.conftest import Eduframe, settings

PREFIXES = ["", "SOURCES__", "SOURCES__EDUFRAME__"]


class NamingConvention(snake_case.NamingConvention):
    """One that changes names, as warehouses that write them in capitals have it."""

    def normalize_identifier(self, identifier: str) -> str:
        return super().normalize_identifier(identifier).upper()


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("naming", [__name__, "nonsense"])
def test_names_that_dlt_would_spell_otherwise_are_refused_before_anything_is_touched(
    eduframe: Eduframe,
    here: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    naming: str,
) -> None:
    monkeypatch.setenv(f"{prefix}SCHEMA__NAMING", naming)
    found = eduframe("sync", "labels", **settings(here))
    assert found.code == WRONG_USE
    assert "SCHEMA__NAMING" in found.err
    assert here.requests == []
    assert not [*tmp_path.glob("*.duckdb")]


@pytest.mark.slow
@pytest.mark.parametrize("prefix", PREFIXES)
def test_another_naming_than_that_of_the_dataset_is_refused_before_anything_is_asked(
    eduframe: Eduframe, here: Simulator, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    assert eduframe("sync", "labels", **settings(here)).code == DONE
    asked = len(here.requests)
    with monkeypatch.context() as patched:
        patched.setenv(f"{prefix}SCHEMA__NAMING", "direct")
        found = eduframe("sync", "labels", **settings(here))
    assert found.code == WRONG_USE
    assert "SCHEMA__NAMING" in found.err
    assert "snake_case" in found.err
    assert len(here.requests) == asked
    assert eduframe("sync", "labels", **settings(here)).code == DONE


@pytest.mark.parametrize(("section", "name", "value"), [
    ("", "ADD_DLT_LOAD_ID", "false"),
    ("NORMALIZE__PARQUET_NORMALIZER__", "ADD_DLT_LOAD_ID", "false"),
    ("NORMALIZE__PARQUET_NORMALIZER__", "ADD_DLT_LOAD_ID", "perhaps"),
    ("NORMALIZE__PARQUET_NORMALIZER__", "ADD_DLT_ID", "true"),
    ("SCHEMA__", "JSON_NORMALIZER", '{"module": "nonsense"}'),
    ("SOURCES__SCHEMA__", "JSON_NORMALIZER", '{"module": "nonsense"}'),
    ("SCHEMA__", "JSON_NORMALIZER", "nonsense"),
    ("", "RAISE_ON_FAILED_JOBS", "false"),
    ("LOAD__", "RAISE_ON_FAILED_JOBS", "false"),
])
def test_rows_that_dlt_would_change_or_lose_are_refused_before_anything_is_touched(
    eduframe: Eduframe,
    here: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    section: str,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(section + name, value)
    found = eduframe("sync", "labels", **settings(here))
    assert found.code == WRONG_USE
    assert "dlt's setting" in found.err
    assert here.requests == []
    assert not [*tmp_path.glob("*.duckdb")]


@pytest.mark.parametrize("name", ["WORKERS", "LOAD__WORKERS", "NORMALIZE__WORKERS"])
@pytest.mark.parametrize("value", ["0", "many"])
def test_a_number_of_workers_that_makes_no_sense_is_refused_before_anything_is_touched(
    eduframe: Eduframe, here: Simulator, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    found = eduframe("sync", "labels", **settings(here))
    assert found.code == WRONG_USE
    assert "workers" in found.err
    assert here.requests == []


@pytest.mark.parametrize("name", ["PARALLELISM_STRATEGY", "LOAD__RAISE_ON_MAX_RETRIES"])
def test_a_setting_of_dlts_that_is_none_is_found_before_anything_is_touched(
    eduframe: Eduframe, here: Simulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "nonsense")
    found = eduframe("sync", "labels", **settings(here))
    assert found.code == WRONG_USE
    assert name.rpartition("__")[2].lower() in found.err
    assert here.requests == []


@pytest.mark.parametrize(("name", "value"), [
    ("RAISE_ON_FAILED_JOBS", "false"), ("ADD_DLT_LOAD_ID", "false"), ("SCHEMA__NAMING", __name__),
])
def test_they_are_refused_too_where_dlt_alone_made_the_pipeline(
    here: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    mine = dlt.pipeline(
        "mine",
        destination=dlt.destinations.duckdb(str(tmp_path / "mine.duckdb")),
        dataset_name="eduframe",
        pipelines_dir=str(tmp_path / "mine"),
    )
    monkeypatch.setenv(name, value)
    given = Settings(api_token=here.token, base_url=here.base_url)
    with pytest.raises(SettingsError, match="dlt's setting"):
        sync(mine, ["labels"], settings=given)
    assert here.requests == []
    assert not (tmp_path / "mine.duckdb").exists()
