"""The plain source by dlt's own front door: what the destination holds is compared only where a run
merges into it. Everywhere else all is new, and nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.eduframe.failures import cause_of
from sources.eduframe import eduframe_source, raise_failed
from sources.eduframe.errors import ListsFailedError, OtherCustomerError
from sources.eduframe_simulator import Simulator
from sources.eduframe_simulator.server.faults import Fault
from tests.conftest import MakeWarehouse
from tests.warehouses import PLENTY, Warehouse

LISTS = ("users", "orders", "labels")
SHARED = ("addresses", "custom_values")
COUNTS = {"users": 120, "orders": 30, "labels": 6}

both = pytest.mark.parametrize("destination", ["duckdb", "postgres"], scope="session")


@contextmanager
def filled_simulator(**counts: int) -> Iterator[Simulator]:
    """One whose rows fill all tables of :data:`LISTS`."""
    with Simulator(scale=0, counts=COUNTS | counts, requests_per_window=PLENTY) as sim:
        for user in sim.rows("users")[::2]:
            sim.change("users", user["id"], label_ids=[1, 2])
        yield sim


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with filled_simulator() as sim:
        yield sim


@pytest.fixture
def mine(make_warehouse: MakeWarehouse, sim: Simulator, tmp_path: Path) -> Warehouse:
    return own_pipeline(make_warehouse(sim, tables=False), tmp_path)


def own_pipeline(warehouse: Warehouse, tmp_path: Path, name: str = "mine") -> Warehouse:
    """A warehouse with a pipeline of the user's own into dlt's own destination."""
    destination = getattr(dlt.destinations, warehouse.destination)
    warehouse.pipeline = dlt.pipeline(
        name,
        destination=destination(warehouse.address),
        dataset_name="eduframe",
        pipelines_dir=str(tmp_path / "mine"),
    )
    return warehouse


def source(sim: Simulator, *include: str, **settings: Any) -> Any:
    return eduframe_source(
        api_token=sim.token,
        base_url=sim.base_url,
        requests_per_window=PLENTY,
        include=include or LISTS,
        **settings,
    )


def refuse(sim: Simulator, path: str, status: int) -> None:
    sim.inject(Fault("status", path=path, status=status, times=None))


@both
@pytest.mark.parametrize("refresh", ["drop_sources", "drop_resources", "drop_data"])
def test_a_refresh_leaves_every_row(mine: Warehouse, refresh: Any) -> None:
    for run in range(2):
        mine.pipeline.run(source(mine.sim), refresh=refresh if run else None)
        mine.assert_equals_truth(*LISTS)


def test_a_refresh_that_the_pipeline_was_made_with_leaves_every_row(mine: Warehouse) -> None:
    mine.pipeline.run(source(mine.sim))
    mine.pipeline.refresh = "drop_sources"
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)


def test_a_refresh_of_some_lists_leaves_what_the_others_own(mine: Warehouse) -> None:
    mine.pipeline.run(source(mine.sim))
    some = source(mine.sim).with_resources("users", "addresses")
    mine.pipeline.run(some, refresh="drop_resources")
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)


@both
def test_what_is_replaced_is_whole_each_time(mine: Warehouse) -> None:
    sim = mine.sim
    for run in range(3):
        mine.pipeline.run(source(sim), write_disposition="replace")
        mine.assert_equals_truth(*LISTS)
        user = sim.rows("users")[run]
        sim.change("users", user["id"], label_ids=[], address=None)
        sim.delete("orders", sim.rows("orders")[0]["id"])
    mine.pipeline.run(source(sim), write_disposition="merge")
    gone = mine.query(f"SELECT 1 FROM user_labels WHERE user_id = {user['id']}")
    assert gone == []


def test_one_list_is_replaced_beside_others_that_are_merged(mine: Warehouse) -> None:
    for _ in range(3):
        made = source(mine.sim)
        made.users.apply_hints(write_disposition="replace")
        mine.pipeline.run(made)
        mine.assert_equals_truth(*LISTS)
        user = mine.sim.rows("users")[0]
        mine.sim.change("users", user["id"], label_ids=[])
        mine.execute("DELETE FROM addresses WHERE owner_id IN (SELECT min(id) FROM users)")


def test_what_is_appended_is_a_whole_copy_each_time(mine: Warehouse) -> None:
    for run in range(1, 3):
        mine.pipeline.run(source(mine.sim, "users", "labels"), write_disposition="append")
        assert mine.count("users") == 120 * run
        labels = sum(len(row["label_ids"]) for row in mine.sim.rows("users"))
        assert mine.count("user_labels") == labels * run
        assert mine.query("SELECT 1 FROM user_labels WHERE _removed") == []


@pytest.mark.parametrize("how", [{"write_disposition": "replace"}, {"refresh": "drop_data"}])
def test_nothing_is_emptied_for_a_list_that_cannot_be_read(
    mine: Warehouse, no_waiting: None, how: Any
) -> None:
    mine.pipeline.run(source(mine.sim))
    for status in (500, 403):
        refuse(mine.sim, "/users", status)
        with pytest.raises(PipelineStepFailed, match="would have emptied"):
            mine.pipeline.run(source(mine.sim), **how)
        mine.assert_equals_truth(*LISTS)
        mine.sim.clear_faults()


# ---- parts of the source


@both
def test_parts_that_are_selected_later_arrive(mine: Warehouse) -> None:
    sim, run = mine.sim, mine.pipeline.run
    run(source(sim).with_resources("users"))
    assert mine.count("users") == 120
    user = next(row for row in sim.rows("users") if row.get("address"))
    run(source(sim).with_resources("addresses", "orders"))
    run(source(sim).with_resources("custom_values", "labels"))
    mine.assert_equals_truth(*LISTS)
    sim.change("users", user["id"], address={**user["address"], "city": "Elsewhere"})
    run(source(sim).with_resources("users"))
    before = mine.marks()
    run(source(sim).with_resources("users"))
    assert mine.marks() == before
    run(source(sim))
    mine.assert_equals_truth(*LISTS)
    before = mine.marks()
    run(source(sim))
    assert mine.marks() == before


def test_rows_that_are_deleted_by_hand_arrive_again(mine: Warehouse) -> None:
    mine.pipeline.run(source(mine.sim))
    for table in ("addresses", "user_labels", "order_items", "labels"):
        mine.execute(f"DELETE FROM {table}")
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)


def test_two_parts_of_a_source_in_one_run(mine: Warehouse) -> None:
    whole = source(mine.sim)
    mine.pipeline.run(
        [whole.with_resources("users", *SHARED), whole.with_resources("orders", "labels", *SHARED)]
    )
    mine.assert_equals_truth(*LISTS)


def test_single_resources_in_one_run(mine: Warehouse) -> None:
    whole = source(mine.sim)
    mine.pipeline.run([whole.users, whole.addresses, whole.custom_values])
    mine.assert_equals_truth("users")


def test_one_resource_a_run(mine: Warehouse) -> None:
    for part in source(mine.sim).decompose("scc"):
        mine.pipeline.run(part)
    mine.assert_equals_truth(*LISTS)


@both
def test_lists_in_parallel(mine: Warehouse) -> None:
    for _ in range(2):
        mine.pipeline.run(source(mine.sim).parallelize())
        mine.assert_equals_truth(*LISTS)
        user = next(row for row in mine.sim.rows("users") if row.get("address"))
        mine.sim.change("users", user["id"], address={**user["address"], "city": "Elsewhere"})


def test_first_in_first_out(mine: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRACT__NEXT_ITEM_MODE", "fifo")
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)


@pytest.mark.parametrize(("how", "rows"), [
    ({"max_items": 1}, 100), ({"max_items": 150, "count_rows": True}, 120), ({"max_items": 0}, 0),
])
def test_a_limit_counts_pages_of_main_rows(mine: Warehouse, how: Any, rows: int) -> None:
    mine.pipeline.run(source(mine.sim))
    for table in ("users", "user_labels", "addresses"):
        mine.execute(f"DELETE FROM {table}")
    mine.sim.clear_requests()
    mine.pipeline.run(source(mine.sim).add_limit(**how))
    assert mine.count("users") == rows
    assert len([r for r in mine.sim.requests if r.path == "/users"]) == -(-rows // 100)
    for table, owner in (("user_labels", "user_id"), ("addresses", "owner_id")):
        orphans = f"SELECT 1 FROM {table} WHERE {owner} NOT IN (SELECT id FROM users)"
        assert mine.query(orphans) == []
        assert bool(mine.count(table)) == bool(rows)
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)


def test_rows_may_be_masked_added_to_and_filtered(mine: Warehouse) -> None:
    kept: set[int] = set()

    def dutch(rows: pa.Table) -> pa.Table:
        if "locale" not in rows.column_names:
            return rows.filter(pc.is_in(rows["user_id"], pa.array(kept, pa.int64())))
        rows = rows.filter(pc.equal(rows["locale"], "nl"))
        kept.update(rows["id"].to_pylist())
        place = rows.schema.get_field_index("email")
        rows = rows.append_column("domain", pc.replace_substring_regex(rows["email"], ".*@", ""))
        return rows.set_column(place, "email", pa.nulls(rows.num_rows, pa.string()))

    for _ in range(2):
        made = source(mine.sim).with_resources("users")
        made.users.add_map(dutch)
        mine.pipeline.run(made)
        rows = mine.rows("users")
        assert {row["id"] for row in rows} == {
            row["id"] for row in mine.sim.rows("users") if row["locale"] == "nl"
        }
        assert {(row["email"], row["domain"]) for row in rows} == {(None, "example.com")}
        assert {row["user_id"] for row in mine.rows("user_labels")} <= kept


# ---- lists that fail


def test_a_list_that_fails_is_told(
    mine: Warehouse, no_waiting: None, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(mine.sim, "/orders", 500)
    refuse(mine.sim, "/labels", 403)
    made = source(mine.sim)
    info = mine.pipeline.run(made)
    assert not info.has_failed_jobs
    assert list(made.failed) == ["orders"]
    with pytest.raises(ListsFailedError, match=r"orders.*500"):
        raise_failed(made)
    mine.assert_equals_truth("users")
    levels = {(r.levelname, r.getMessage().split(":")[0]) for r in caplog.records}
    assert ("ERROR", "orders") in levels
    assert ("WARNING", "labels") in levels
    mine.sim.clear_faults()
    mine.pipeline.run(made.with_resources("orders", "labels"))
    raise_failed(made)
    assert mine.count("orders") == 30


def test_a_list_that_fails_ends_the_run_if_asked(mine: Warehouse, no_waiting: None) -> None:
    refuse(mine.sim, "/orders", 500)
    with pytest.raises(PipelineStepFailed, match=r"orders.*Nothing of this run is loaded"):
        mine.pipeline.run(source(mine.sim, on_failed_list="raise"))
    assert not mine.pipeline.has_pending_data
    mine.sim.clear_faults()
    mine.pipeline.run(source(mine.sim, on_failed_list="raise"))
    mine.assert_equals_truth(*LISTS)


def test_what_others_do_to_the_schema_of_a_pipeline_leaves_the_source_alone(
    mine: Warehouse,
) -> None:
    """dagster-dlt takes the names out of the columns that it tells of, and drops what is local."""
    made = source(mine.sim)
    for _ in range(3):
        mine.pipeline.drop()
        mine.pipeline.run(made)
        mine.assert_equals_truth(*LISTS)
        for column in mine.pipeline.default_schema.get_table_columns("users").values():
            column.pop("name")


# ---- what others did to the dataset


@both
@pytest.mark.parametrize(("name", "lists"), [
    ("mine", ["users", "educators"]),  # by the rows
    ("eduframe", ["users"]),  # by the command's state
])
def test_the_data_of_another_educator_is_refused_before_a_row_is_read(
    make_warehouse: MakeWarehouse, sim: Simulator, tmp_path: Path, name: str, lists: list[str]
) -> None:
    mine = make_warehouse(sim, tables=False)
    mine.sync(*lists)
    own_pipeline(mine, tmp_path, name)
    mine.sim.clear_requests()
    mine.pipeline.run(source(mine.sim, *lists).parallelize())
    asked = [request.path for request in mine.sim.requests]
    assert asked.count("/educators/current") == 1
    before = mine.rows("users")
    with Simulator(
        scale=0, counts=COUNTS, educator_id=2, token="other-token-1", requests_per_window=PLENTY
    ) as other:
        for how in ({}, {"write_disposition": "replace"}):
            with pytest.raises(PipelineStepFailed, match=r"educator 1.*educator 2") as refused:
                mine.pipeline.run(source(other), **how)
            assert cause_of(refused.value).startswith(OtherCustomerError.__name__)
        assert {request.path for request in other.requests} == {"/educators/current"}
    assert mine.rows("users") == before
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)


def test_nothing_is_asked_where_nobody_is_known(mine: Warehouse) -> None:
    for _ in range(2):
        mine.pipeline.run(source(mine.sim))
    assert "/educators/current" not in {request.path for request in mine.sim.requests}


@both
@pytest.mark.parametrize("table", ["users", "addresses", "user_labels", "order_items", "labels"])
def test_a_table_that_is_dropped_is_made_and_filled_again(mine: Warehouse, table: str) -> None:
    mine.pipeline.run(source(mine.sim))
    mine.execute(f"DROP TABLE {table}")
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)
    before = mine.marks()
    mine.pipeline.run(source(mine.sim))
    assert mine.marks() == before


@both
@pytest.mark.parametrize(("table", "column"), [
    ("users", "email"), ("users", "_row_hash"), ("addresses", "city"), ("users", "_deleted_at"),
    ("order_items", "_removed"), ("users", "_synced_at"),
])
def test_a_column_that_is_dropped_is_made_and_filled_again(
    mine: Warehouse, no_waiting: None, table: str, column: str
) -> None:
    mine.pipeline.run(source(mine.sim))
    mine.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    refuse(mine.sim, "/users", 500)  # it is not forgotten for a list that fails in that run
    mine.pipeline.run(source(mine.sim).with_resources("users", *SHARED))
    mine.sim.clear_faults()
    for _ in range(2):
        mine.pipeline.run(source(mine.sim))
        mine.assert_equals_truth(*LISTS)
    before = mine.marks()
    mine.pipeline.run(source(mine.sim))
    assert mine.marks() == before


@both
@pytest.mark.parametrize(("table", "column"), [("users", "id"), ("user_labels", "user_id")])
def test_a_key_that_is_dropped_is_told_with_what_to_do(
    mine: Warehouse, table: str, column: str
) -> None:
    mine.pipeline.run(source(mine.sim))
    mine.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    with pytest.raises(PipelineStepFailed, match=f"Drop the table {table}"):
        mine.pipeline.run(source(mine.sim))
    mine.execute(f"DROP TABLE {table}")
    mine.pipeline.run(source(mine.sim))
    mine.assert_equals_truth(*LISTS)
