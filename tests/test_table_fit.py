"""Somebody altered the tables: what is missing comes back, what is in the way is named, and a
refresh makes a table as it must be."""

from typing import Any

import pytest

from pipelines.eduframe.exit_codes import DONE, PARTLY
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse, in_a_lake_too
from tests.warehouses import Warehouse

LISTS = ("users", "orders", "labels", "leads")


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def warehouse(make_warehouse: MakeWarehouse, lists: Simulator) -> Warehouse:
    return make_warehouse(lists, synced=LISTS)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("users", "first_name"),
        ("users", "_row_hash"),
        ("users", "_dlt_load_id"),
        ("users", "_deleted_at"),
        ("users", "id"),
        ("order_items", "student_id"),
        ("order_items", "order_id"),
        ("custom_values", "value_text"),
        ("_sync_runs", "started_at"),
        ("_sync_resources", "run_id"),
        ("_sync_seen", "key_id"),
    ],
)
def test_a_column_that_was_dropped_comes_back_with_all_that_was_in_it(
    warehouse: Warehouse, lists: Simulator, table: str, column: str
) -> None:
    before = warehouse.types()
    warehouse.execute(f'ALTER TABLE "{table}" DROP COLUMN "{column}" CASCADE')
    report = warehouse.sync("labels")
    assert report.exit_code == DONE
    assert [note for note in report.notes if f"{table} lacked {column}" in note]
    report = warehouse.sync(*LISTS)
    assert report.exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)
    assert {n: set(c) for n, c in warehouse.types().items()} == {
        n: set(c) for n, c in before.items()
    }
    marks = warehouse.marks()
    report = warehouse.sync(*LISTS)
    assert not [note for note in report.notes if "lacked" in note]
    assert warehouse.marks() == marks
    assert warehouse.count("_deletions") == 0


IN_THE_WAY: dict[str, dict[str, Any]] = {
    "type": {
        "duckdb": "ALTER TABLE users ALTER email TYPE INTEGER USING 1",
        "postgres": "ALTER TABLE users ALTER email TYPE integer USING 1",
        "said": "users.email is integer",
    },
    "narrow": {
        "duckdb": "ALTER TABLE leads ALTER value TYPE DECIMAL(18, 2)",
        "postgres": "ALTER TABLE leads ALTER value TYPE numeric(18, 2)",
        "said": "leads.value is",
    },
    "no zone": {
        "duckdb": "ALTER TABLE users ALTER updated_at TYPE TIMESTAMP",
        "postgres": "ALTER TABLE users ALTER updated_at TYPE timestamp",
        "said": "users.updated_at is timestamp",
    },
    "not null": {
        "duckdb": "UPDATE users SET avatar_url = 'x'; "
        "ALTER TABLE users ALTER avatar_url SET NOT NULL",
        "postgres": "UPDATE users SET avatar_url = 'x'; "
        "ALTER TABLE users ALTER avatar_url SET NOT NULL",
        "said": "users.avatar_url is NOT NULL",
    },
    "foreign": {
        "duckdb": "ALTER TABLE users ADD COLUMN mine INTEGER; UPDATE users SET mine = 1; "
        "ALTER TABLE users ALTER mine SET NOT NULL",
        "postgres": "ALTER TABLE users ADD COLUMN mine integer; UPDATE users SET mine = 1; "
        "ALTER TABLE users ALTER mine SET NOT NULL",
        "said": "users.mine is NOT NULL",
    },
    "unique": {
        "duckdb": "CREATE UNIQUE INDEX one ON users (id)",
        "postgres": "CREATE UNIQUE INDEX one ON users (email)",
        "said": "users has a unique index one",
    },
    "constraint": {
        "duckdb": "ALTER TABLE labels ADD PRIMARY KEY (name)",
        "postgres": "ALTER TABLE labels ADD CONSTRAINT two UNIQUE (updated_at, name)",
        "said": "labels has a unique constraint",
    },
}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_in_the_way_fails_its_list_alone_until_a_refresh(
    warehouse: Warehouse, lists: Simulator, what: str
) -> None:
    before = warehouse.types()
    change = IN_THE_WAY[what]
    said = change["said"]
    failed = said.split(".")[0].split()[0]
    warehouse.execute(f"ALTER TABLE {failed} ADD COLUMN note VARCHAR DEFAULT 'mine'")
    warehouse.execute(change[warehouse.destination])
    for name in LISTS:
        lists.add(name)
    report = warehouse.sync(*LISTS)
    assert report.exit_code == PARTLY
    assert {n for n, run in report.runs.items() if run.status != "done"} == {failed}
    message = str(report.runs[failed].message)
    assert said in message
    assert f"eduframe refresh {failed}" in message
    assert report.runs[failed].traffic.requests == 0
    warehouse.assert_equals_truth(*(name for name in LISTS if name != failed))
    report = warehouse.sync(failed, refresh=True)
    assert report.exit_code == DONE, [run.message for run in report.runs.values()]
    lists.change(failed, lists.rows(failed)[1]["id"], created_at="2024-01-01T00:00:00Z")
    report = warehouse.sync(*LISTS)
    assert (report.exit_code, report.notes) == (DONE, [])
    assert "mine" in {row["note"] for row in warehouse.rows(failed)}
    for column in ("note", "mine"):
        warehouse.execute(f"ALTER TABLE {failed} DROP COLUMN IF EXISTS {column}")
    assert warehouse.types() == before
    warehouse.assert_equals_truth(*LISTS)


@pytest.mark.parametrize("lost", ["DELETE FROM _dlt_version", "DROP TABLE _dlt_pipeline_state"])
def test_tables_are_mended_too_where_dlt_lost_its_schema(warehouse: Warehouse, lost: str) -> None:
    users = "ALTER TABLE users"
    warehouse.execute(f"{lost}; {users} DROP COLUMN first_name; {users} ALTER email TYPE INTEGER "
                      "USING 1")
    report = warehouse.sync(*LISTS)
    assert {n for n, run in report.runs.items() if run.status != "done"} == {"users"}
    assert "users.email is integer" in str(report.runs["users"].message)
    assert warehouse.sync("users", refresh=True).exit_code == DONE
    warehouse.assert_equals_truth(*LISTS)


def test_a_view_in_the_place_of_a_table_is_called_one_and_the_next_sync_heals(
    warehouse: Warehouse,
) -> None:
    warehouse.execute("DROP TABLE labels CASCADE; CREATE VIEW labels AS SELECT 1 AS id")
    for refresh in (False, True):
        report = warehouse.sync("labels", "users", refresh=refresh)
        assert report.exit_code == PARTLY
        said = report.runs["labels"].message or ""
        assert "labels is a view, where a table belongs" in said
        assert "DROP VIEW" in said
        assert "eduframe refresh" not in said
        assert report.runs["users"].status == "done"
    warehouse.execute("DROP VIEW labels")
    assert warehouse.sync("labels", "users").exit_code == 0
    warehouse.assert_equals_truth("labels", "users")


@in_a_lake_too
def test_a_table_that_nobody_touched_needs_nothing(
    warehouse: Warehouse, lists: Simulator
) -> None:
    marks = warehouse.marks()
    report = warehouse.sync(*LISTS)
    assert (report.exit_code, report.notes) == (DONE, [])
    assert warehouse.marks() == marks


VIEW = (
    "SELECT definition, viewowner, obj_description('{0}'::regclass) AS said, relacl::text AS acl "
    "FROM pg_views JOIN pg_class ON relname = viewname WHERE viewname = '{0}'"
)


@pytest.mark.parametrize("destination", ["postgres"], scope="session")
def test_views_on_a_column_that_gets_its_type_again_are_made_anew_as_they_were(
    warehouse: Warehouse, lists: Simulator
) -> None:
    warehouse.execute("ALTER TABLE leads ALTER value TYPE numeric(18, 2)")
    warehouse.execute(
        "DROP ROLE IF EXISTS reader; CREATE ROLE reader; DROP ROLE IF EXISTS keeper; "
        "CREATE ROLE keeper; GRANT USAGE, CREATE ON SCHEMA eduframe TO keeper; "
        "GRANT SELECT ON leads TO keeper; "
        "CREATE VIEW worth AS SELECT id, value * 2 AS twice FROM leads; "
        "COMMENT ON VIEW worth IS 'it''s 50 %'; COMMENT ON COLUMN worth.twice IS 'two'; "
        "GRANT SELECT ON worth TO reader; "
        "CREATE MATERIALIZED VIEW sums AS SELECT sum(twice) AS total FROM worth; "
        "CREATE UNIQUE INDEX one_sum ON sums (total); ALTER VIEW worth OWNER TO keeper"
    )
    before = warehouse.query(VIEW.format("worth"))
    report = warehouse.sync("leads")
    assert "leads.value is numeric(18,2)" in str(report.runs["leads"].message)
    report = warehouse.sync("leads", refresh=True)
    assert report.exit_code == DONE, report.runs["leads"].message
    assert warehouse.query(VIEW.format("worth")) == before
    assert warehouse.query("SELECT count(*) AS n FROM pg_indexes WHERE indexname = 'one_sum'") == [
        {"n": 1}
    ]
    kinds = warehouse.types("leads")
    assert kinds["leads"]["value"] == "numeric"
    warehouse.execute("DROP MATERIALIZED VIEW sums; DROP VIEW worth")
    warehouse.assert_equals_truth("leads")


@pytest.mark.parametrize("destination", ["postgres"], scope="session")
def test_a_view_that_cannot_be_made_anew_is_named_and_nothing_is_changed(
    warehouse: Warehouse,
) -> None:
    warehouse.execute("ALTER TABLE users ALTER email TYPE integer USING 1")
    warehouse.execute("CREATE VIEW sums AS SELECT sum(email) AS total FROM users")
    report = warehouse.sync("users", "labels", refresh=True)
    assert report.exit_code == PARTLY
    assert report.runs["labels"].status == "done"
    message = str(report.runs["users"].message)
    assert "the view eduframe.sums cannot be made anew" in message
    assert "CREATE VIEW eduframe.sums AS" in message
    assert warehouse.types("users")["users"]["email"] == "integer"
    assert warehouse.query("SELECT total FROM sums")


def test_what_others_keep_in_columns_of_their_own_stays_with_the_rows_that_stay(
    warehouse: Warehouse, lists: Simulator
) -> None:
    added = "ADD COLUMN note VARCHAR DEFAULT 'new'"
    generated = "GENERATED ALWAYS AS (id + 1) STORED"
    for table in ("users", "order_items"):
        warehouse.execute(f"ALTER TABLE {table} {added}; UPDATE {table} SET note = 'of ' || id")
    if warehouse.destination == "postgres":
        warehouse.execute(f"ALTER TABLE users ADD COLUMN next bigint {generated}")
    order = next(row for row in lists.rows("orders") if len(row["order_items"]) > 1)
    items = [{**item, "name": "Mine"} for item in order["order_items"][1:]]
    lists.change("orders", order["id"], order_items=items)
    first, gone = (row["id"] for row in lists.rows("users")[:2])
    lists.change("users", first, first_name="Ada")
    lists.delete("users", gone)
    new = lists.add("users")["id"]
    for refresh in (False, True):
        report = warehouse.sync(*LISTS, reconcile=True, refresh=refresh)
        assert (report.exit_code, report.notes) == (DONE, [])
        for table in ("users", "order_items"):
            notes = {row["id"]: row["note"] for row in warehouse.rows(table)}
            assert notes == {one: "new" if one == new else f"of {one}" for one in notes}
    for table in ("users", "order_items"):
        warehouse.execute(f"ALTER TABLE {table} DROP COLUMN note")
    warehouse.execute("ALTER TABLE users DROP COLUMN IF EXISTS next")
    warehouse.assert_equals_truth(*LISTS)
