"""A dataset moves to another destination, and the sync goes on there."""

import logging
from pathlib import Path
from typing import Any

import pytest

from pipelines.eduframe.commands.copy import NothingToCopyError, copy_dataset, run_copy
from pipelines.eduframe.exit_codes import DONE
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.errors import SettingsError
from sources.eduframe_simulator import Simulator
from tests.conftest import stop_after
from tests.warehouses import PLENTY, Home, Warehouse

EVERYTHING = [endpoint.table for endpoint in ENDPOINTS if endpoint.enabled]
NOT_COMPARED = ("_dlt_load_id", "_row_hash")


def contents(warehouse: Warehouse) -> dict[str, list[str]]:
    return {
        name: sorted(
            str({k: str(v) for k, v in sorted(row.items()) if k not in NOT_COMPARED})
            for row in rows
        )
        for name, rows in warehouse.tables().items()
    }


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("duckdb", "postgres"),
        ("postgres", "duckdb"),
        ("duckdb", "duckdb"),
        ("duckdb", "filesystem"),
        ("filesystem", "duckdb"),
    ],
)
def test_a_copy_holds_the_same_and_goes_on_incrementally(
    home: Home, tmp_path: Path, source: str, target: str
) -> None:
    with Simulator(scale=0.1, requests_per_window=PLENTY) as sim:
        odd, empty = (row["id"] for row in sim.rows("users")[:2])
        sim.change("users", odd, touch=False, first_name={"not": "a name"})
        sim.change("users", empty, touch=False, middle_name="", custom={"a": [None, ""]})
        first = home.make(source, sim, tmp_path, synced=EVERYTHING)
        sim.delete("users", sim.rows("users")[2]["id"])
        sim.delete("orders", sim.rows("orders")[0]["id"])
        assert first.sync("users", "orders", reconcile=True).total("deleted") == 2

        (tmp_path / "there").mkdir()
        second = home.make(target, sim, tmp_path / "there", tables=False)
        counts, _ = copy_dataset(first.pipeline, second.pipeline)
        assert counts["users"] == first.count("users")
        assert counts["_deletions"] == 2
        if {source, target} == {"duckdb"}:
            assert contents(second) == contents(first)
        assert {t: len(rows) for t, rows in second.tables().items()} == {
            t: len(rows) for t, rows in first.tables().items()
        }
        sim.clear_requests()
        again = second.sync()
        assert (again.total("new"), again.total("changed"), again.total("deleted")) == (0, 0, 0)
        assert not any(r.path.endswith("/payments") for r in sim.requests)
        new = sim.add("users")
        report = second.sync("users")
        assert (report.runs["users"].mode, report.total("new")) == ("cursor", 1)
        assert new["id"] in {row["id"] for row in second.rows("users")}
        sim.delete("labels", sim.rows("labels")[0]["id"])
        assert second.sync(reconcile=True).total("deleted") == 1
        with pytest.raises(NothingToCopyError, match="holds synced data already"):
            copy_dataset(first.pipeline, second.pipeline)


def end_here(*_: Any) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_read_goes_on_in_a_copy_that_was_interrupted_too(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(scale=1, requests_per_window=PLENTY) as sim:
        first = home.make("duckdb", sim, tmp_path, synced=["attendances"])
        sim.delete("attendances", sim.rows("attendances")[3]["id"])
        first.sync("attendances", reconcile=True, watch=stop_after(sim, 10))
        sim.before_response = None
        (tmp_path / "there").mkdir()
        second = home.make("postgres", sim, tmp_path / "there", tables=False)
        with monkeypatch.context() as killed:
            killed.setattr("pipelines.eduframe.commands.copy.load_pending", end_here)
            with pytest.raises(KeyboardInterrupt):
                copy_dataset(first.pipeline, second.pipeline)
        counts, _ = copy_dataset(first.pipeline, second.pipeline)  # which is completed
        assert counts["attendances"] == second.count("attendances") == 2500
        report = second.sync("attendances", reconcile=True)
        assert any("went on after" in note for note in report.runs["attendances"].notes)
        assert report.total("deleted") == 0  # attendances have no path of their own:
        report = second.sync("attendances", reconcile=True)  # a second read has to miss it too
        assert report.total("deleted") == 1
        second.assert_equals_truth("attendances")


def test_a_copy_is_told_of_as_it_goes_and_has_its_comments(
    home: Home, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    first = home.make("duckdb", sim, tmp_path)
    first.sync("labels")
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", first.address)
    with pytest.raises(SettingsError, match="the same dataset, eduframe in duckdb"):
        run_copy("duckdb", "duckdb", "eduframe", None)
    caplog.set_level(logging.INFO)
    assert run_copy("duckdb", "duckdb", "eduframe", "other") == DONE
    assert f"labels: {first.count('labels')} rows read" in caplog.text
    [row] = first.query(
        "SELECT comment FROM duckdb_tables() WHERE schema_name = 'other' AND table_name = 'labels'"
    )
    assert row["comment"]


def test_what_was_never_synced_is_not_copied(home: Home, sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    first = home.make("duckdb", sim, tmp_path, tables=False)
    second = home.make("duckdb", sim, tmp_path / "there", tables=False)
    with pytest.raises(NothingToCopyError, match="no synced dataset"):
        copy_dataset(first.pipeline, second.pipeline)


DROPPED = {
    "ALTER TABLE users DROP COLUMN first_name": "users lacks the column first_name",
    "ALTER TABLE _sync_runs DROP COLUMN message": "_sync_runs lacks the column message",
    "DROP TABLE labels CASCADE": "the table labels is not there",
    "DROP TABLE orders CASCADE; CREATE VIEW orders AS SELECT 1 AS id": "orders is a view",
}


@pytest.mark.parametrize("source", ["duckdb", "postgres"])
@pytest.mark.parametrize("dropped", DROPPED)
def test_what_was_dropped_of_a_dataset_is_named_before_anything_is_copied(
    home: Home, sim: Simulator, tmp_path: Path, source: str, dropped: str
) -> None:
    (tmp_path / "there").mkdir()
    first = home.make(source, sim, tmp_path, synced=("users", "labels"))
    second = home.make("duckdb", sim, tmp_path / "there", tables=False)
    first.execute(dropped)
    with pytest.raises(NothingToCopyError, match=DROPPED[dropped]) as refused:
        copy_dataset(first.pipeline, second.pipeline)
    assert f"eduframe sync --destination {source} makes" in str(refused.value)
    if "orders" in dropped:
        first.execute("DROP VIEW orders")
    assert first.sync("users", "labels").exit_code == DONE
    copy_dataset(first.pipeline, second.pipeline)
    second.assert_equals_truth("users", "labels")
