"""Comments and keys in the destination, and that loads go on as if they were not there."""

import re
import time
from typing import Any

import pytest

from pipelines.eduframe.destinations.tables.constraints import (
    DIALECTS,
    CatalogTable,
    Declaring,
    wanted,
)
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.store.run_log import LOG_TABLES
from sources.eduframe.rows.tables import MAIN_TABLES
from sources.eduframe_simulator import Simulator
from tests.conftest import BOTH, MakeWarehouse
from tests.test_dialects import NOWHERE, Rendered, render
from tests.warehouses import Warehouse

COMMENTS = {
    "duckdb": "SELECT table_name AS t, NULL AS c, comment FROM duckdb_tables() "
    "WHERE schema_name = 'eduframe' UNION ALL "
    "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'eduframe'",
    "postgres": "SELECT c.relname AS t, a.attname AS c, d.description AS comment "
    "FROM pg_class c JOIN pg_description d ON d.objoid = c.oid LEFT JOIN pg_attribute a "
    "ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0 "
    "WHERE c.relnamespace = 'eduframe'::regnamespace",
}
CONSTRAINTS = """
    SELECT conrelid::regclass::text AS t, pg_get_constraintdef(oid) AS said FROM pg_constraint
    WHERE connamespace = 'eduframe'::regnamespace AND contype IN ('p', 'f')
"""


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def comments(warehouse: Warehouse) -> dict[tuple[str, str | None], str]:
    rows = warehouse.query(COMMENTS[warehouse.destination])
    return {(r["t"], r["c"]): r["comment"] for r in rows if r["comment"]}


def constraints(warehouse: Warehouse) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    if warehouse.destination == "postgres":
        for row in warehouse.query(CONSTRAINTS):
            found.setdefault(row["t"], set()).add(row["said"])
    return found


def expected_comments() -> dict[tuple[str, str | None], str]:
    return {
        **{(name, None): table.comment for name, table in wanted().items()},
        **{(n, c): text for n, table in wanted().items() for c, text in table.columns.items()},
    }


def test_all_tables_and_columns_bear_what_the_models_say(warehouse: Warehouse) -> None:
    found = comments(warehouse)
    assert {k: v for k, v in found.items() if not k[0].startswith("_dlt")} == expected_comments()
    assert found["users", None].startswith("A person who can sign in")
    assert "null for rows that live" in found["users", "_deleted_at"]


def test_postgres_knows_the_keys(warehouse: Warehouse) -> None:
    if warehouse.destination == "duckdb":
        pytest.skip("DuckDB has comments only")
    found = constraints(warehouse)
    for name, table in MAIN_TABLES.items():
        assert f"PRIMARY KEY ({', '.join(table.key)})" in found[name]
    assert found["order_items"] == {
        "FOREIGN KEY (order_id) REFERENCES orders(id) NOT ENFORCED",
        "FOREIGN KEY (student_id) REFERENCES users(id) NOT ENFORCED",
    }
    pointing = sum(len(table.foreign_keys) for table in wanted().values())
    assert sum("FOREIGN KEY" in said for table in found.values() for said in table) == pointing


def test_changes_and_deletions_are_loaded_over_them(synced: Warehouse) -> None:
    warehouse, sim = synced, synced.sim
    lists = ("users", "orders", "invoices", "payments")
    before = comments(warehouse), constraints(warehouse)
    sim.change("orders", sim.rows("orders")[0]["id"], order_items=[])
    sim.change("users", sim.rows("users")[0]["id"], last_name="Changed", labels=[])
    for name in lists:
        sim.delete(name, sim.rows(name)[-1]["id"])
    report = warehouse.sync(*lists, reconcile=True, deletes="hard")
    assert (report.exit_code, report.notes) == (DONE, [])
    assert report.total("deleted") == len(lists)
    warehouse.assert_equals_truth(*lists)
    assert (comments(warehouse), constraints(warehouse)) == before


def test_a_table_that_is_made_anew_gets_them_again(warehouse: Warehouse) -> None:
    before = comments(warehouse), constraints(warehouse)
    warehouse.execute("DROP TABLE orders CASCADE; DROP TABLE order_items CASCADE")
    assert [n for n in warehouse.sync("orders").notes if "dropped" not in n] == []
    assert (comments(warehouse), constraints(warehouse)) == before
    warehouse.assert_equals_truth("orders")


def test_when_all_is_there_one_look_at_the_catalog_suffices(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    rows = Declaring.rows

    def counted(self: Declaring, query: str) -> Any:
        looked.append(query)
        return rows(self, query)

    monkeypatch.setattr(Declaring, "rows", counted)
    assert warehouse.sync("labels").notes == []
    assert looked == [DIALECTS[warehouse.destination].tables]


def test_another_release_changes_what_differs_and_nothing_else(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_release = wanted()
    next_release["users"].columns["first_name"] = "What the user's friends say."
    next_release["_sync_runs"].comment += " and more"
    monkeypatch.setattr(
        "pipelines.eduframe.destinations.tables.constraints.wanted",
        lambda owners_only: next_release,
    )
    executed: list[str] = []
    execute = Declaring.execute

    def counted(self: Declaring, statements: list[str]) -> None:
        executed.extend(statements)
        execute(self, statements)

    monkeypatch.setattr(Declaring, "execute", counted)
    assert warehouse.sync("labels").notes == []
    assert len(executed) == 2
    assert comments(warehouse)["users", "first_name"] == "What the user's friends say."


def test_what_cannot_be_made_is_told_and_tried_again(
    make_warehouse: MakeWarehouse, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = make_warehouse(sim, tables=False)
    with monkeypatch.context() as broken:
        broken.setattr(Declaring, "fill", lambda *_, **__: "COMMENT ON NOTHING")
        report = warehouse.sync("users")
    assert report.exit_code == DONE
    assert "comments and keys could not all be made" in " ".join(report.notes)
    warehouse.assert_equals_truth("users")
    assert warehouse.sync("users").notes == []
    assert expected_comments().items() <= comments(warehouse).items()


def test_postgres_waits_for_nobody_who_reads_a_table(warehouse: Warehouse) -> None:
    if warehouse.destination == "duckdb":
        pytest.skip("a DuckDB file has one writer and no readers beside it")
    warehouse.execute("ALTER TABLE labels DROP CONSTRAINT pk_labels CASCADE")
    warehouse.execute("COMMENT ON TABLE labels IS NULL")
    with warehouse.connect(read_only=True) as cursor:
        cursor.connection.set_session(autocommit=False)
        cursor.execute("SELECT count(*) FROM labels")
        began = time.monotonic()
        report = warehouse.sync("users")
    assert time.monotonic() - began < 20
    assert "lock timeout" in " ".join(report.notes)
    assert warehouse.sync("users").notes == []
    assert "PRIMARY KEY (id)" in constraints(warehouse)["labels"]


# ---- Elsewhere: the statements are understood

ACTION = r"ALTER COLUMN `\w+` SET OPTIONS \(description = '([^'\\]|\\.)+'\)"
COLUMNS_IN_BIGQUERY = re.compile(rf"ALTER TABLE `project`.`eduframe`.`\w+` {ACTION}(, {ACTION})*")
"""As Google's reference has it; sqlglot does not know it."""


@pytest.mark.parametrize("name", ["bigquery", "snowflake", "redshift", "databricks"])
def test_elsewhere_the_statements_are_understood(
    name: str, destination: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if destination != "duckdb":
        pytest.skip("once is enough")
    for key, value in NOWHERE[name].items():
        monkeypatch.setenv(f"DESTINATION__{name.upper()}__{key}", value)
    there = render(name, str(tmp_path))
    declaring = Declaring(NoDataset(there), DIALECTS[name], "eduframe")  # type: ignore[arg-type]
    columns = {n: there.pipeline.default_schema.get_table_columns(n) for n in wanted()}
    held = {
        there.same(n): CatalogTable(None, {there.same(c): None for c in found})
        for n, found in columns.items()
    }
    statements = [s for found in declaring.statements(held) for s in found]
    for statement in statements:
        if not COLUMNS_IN_BIGQUERY.fullmatch(statement):
            there.sql(statement)
    asked = [DIALECTS[name].tables, DIALECTS[name].columns, DIALECTS[name].constraints]
    for query in filter(None, asked):
        there.sql(query.format(dataset=there.client.sql_client.fully_qualified_dataset_name()))
    about_keys = {s for s in statements if re.search("(PRIMARY|FOREIGN) KEY", s)}
    if name == "bigquery":
        assert any("`orders` ADD PRIMARY KEY (`id`) NOT ENFORCED" in s for s in about_keys)
        assert any("(`order_id`) REFERENCES `project`.`eduframe`.`orders`" in s for s in about_keys)
        assert not any("(`student_id`)" in s for s in about_keys)
    else:
        assert not about_keys


class NoDataset:
    """Names things, and knows nothing."""

    def __init__(self, there: Rendered) -> None:
        self.client = there.client.sql_client
        self.name = self.client.make_qualified_table_name
        self.column = self.client.escape_column_name


def test_names_of_constraints_are_short_and_differ() -> None:
    names = [name for table in wanted().values() for name in table.foreign_keys]
    assert len(names) == len(set(names)) > 100
    assert max(map(len, names)) <= 63
    assert all(t.description.endswith(".") for t in LOG_TABLES)
    assert all(table.comment for table in wanted().values())
