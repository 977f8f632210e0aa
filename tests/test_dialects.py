"""What dlt and we generate for destinations that cannot run here: rendered, parsed, looked at.

Each destination's own client is made, with credentials that lead nowhere. It renders a full cycle
over every table, as the sync loads it: make the tables, add a column, merge, delete.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from dlt.common.schema.typing import TColumnSchema
from sqlglot import exp
from sqlglot.errors import ErrorLevel

from pipelines.eduframe.commands.freshness import last_run, status_of
from pipelines.eduframe.destinations.tables.schema_upgrade import forget_hashes, statements_for
from pipelines.eduframe.pipeline import CAN_DELETE, make_pipeline, usage_of
from pipelines.eduframe.run.package_contents import Loader
from pipelines.eduframe.run.plans import come_after_the_last_run
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.store.recent_runs import COLUMNS, PastRun, PastRuns, past_runs
from pipelines.eduframe.store.rejected_rows import resolve_rejected, set_aside
from pipelines.eduframe.store.run_log import LOG_TABLES
from pipelines.eduframe.store.seen_keys import forget_seen, seen_keys
from pipelines.eduframe.views.custom_fields import fields, wide_views
from pipelines.eduframe.views.files import written_views
from pipelines.eduframe.views.keeping import HAVE_VIEWS
from pipelines.eduframe.views.living import living_views
from pipelines.eduframe.views.making import Maker
from pipelines.eduframe.views.view import fingerprints, in_order
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.reading.batch import Batch, Settled
from sources.eduframe.resource_policy import Policy
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, CHILD_TABLES, MAIN_TABLES, Table

NOWHERE = {
    "bigquery": {
        "CREDENTIALS__PROJECT_ID": "project",
        "CREDENTIALS__PRIVATE_KEY": "key",
        "CREDENTIALS__CLIENT_EMAIL": "sync@project",
    },
    "snowflake": {"CREDENTIALS": "snowflake://user:pw@account/database?warehouse=w&role=r"},
    "redshift": {"CREDENTIALS": "redshift://user:pw@localhost:5439/database"},
    "databricks": {
        "CREDENTIALS__SERVER_HOSTNAME": "host",
        "CREDENTIALS__HTTP_PATH": "/path",
        "CREDENTIALS__CATALOG": "catalog",
        "CREDENTIALS__ACCESS_TOKEN": "token",
    },
    "clickhouse": {"CREDENTIALS": "clickhouse://user:pw@localhost:9440/database"},
}
"""Credentials in the environment, after ``DESTINATION__<NAME>__``."""

TYPES = {
    "bigquery": {
        "bigint": "INT64",
        "text": "STRING",
        "bool": "BOOL",
        "decimal": "NUMERIC(38,9)",
        "timestamp": "TIMESTAMP",
        "date": "DATE",
        "json": "STRING",
    },
    "snowflake": {
        "bigint": "NUMBER(19,0)",
        "text": "VARCHAR",
        "bool": "BOOLEAN",
        "decimal": "NUMBER(38,9)",
        "timestamp": "TIMESTAMP_LTZ(6)",
        "date": "DATE",
        "json": "VARCHAR",
    },
    "redshift": {
        "bigint": "bigint",
        "text": "varchar(max)",
        "bool": "boolean",
        "decimal": "numeric(38,9)",
        "timestamp": "timestamp with time zone",
        "date": "date",
        "json": "varchar(max)",
    },
    "databricks": {
        "bigint": "BIGINT",
        "text": "STRING",
        "bool": "BOOLEAN",
        "decimal": "DECIMAL(38,9)",
        "timestamp": "TIMESTAMP",
        "date": "DATE",
        "json": "STRING",
    },
    "clickhouse": {
        "bigint": "Int64",
        "text": "String",
        "bool": "Boolean",
        "decimal": "Decimal(38,9)",
        "timestamp": "DateTime64(6,'UTC')",
        "date": "Date",
        "json": "String",
    },
}
"""What each of our types is there. Every timestamp has, or is, UTC."""

FILES = {
    "bigquery": "parquet",
    "snowflake": "parquet",
    "redshift": "insert_values",
    "databricks": "parquet",
    "clickhouse": "parquet",
}
"""How rows travel."""

OURS: dict[str, tuple[Column, ...]] = {
    **{name: table.all_columns for name, table in ALL_TABLES.items()},
    **{table.name: table.columns for table in LOG_TABLES},
}
KEYS: dict[str, tuple[str, ...]] = {
    **{name: table.merge_columns for name, table in ALL_TABLES.items()},
    **{t.name: tuple(c.name for c in t.columns[: t.key]) for t in LOG_TABLES},
}


@dataclass
class Rendered:
    """A destination, after the first piece was made for it, and nothing was sent."""

    name: str
    pipeline: Any
    client: Any
    jobs: list[Any]

    def sql(self, statement: str) -> exp.Expression:
        """The statement, parsed in the destination's dialect, every part of it understood."""
        dialect = self.client.capabilities.sqlglot_dialect
        statement = statement.replace("%s", "NULL")
        if re.fullmatch(r'ALTER TABLE "EDUFRAME"."\w+"\s+DROP CLUSTERING KEY', statement):
            return exp.Alter()  # Snowflake knows it, sqlglot does not
        mutation = re.fullmatch(r"ALTER TABLE (\S+) UPDATE (.+)", statement)  # nor ClickHouse's
        if mutation:
            statement = f"UPDATE {mutation[1]} SET {mutation[2]}"
        parsed = sqlglot.parse_one(statement, dialect=dialect, error_level=ErrorLevel.RAISE)
        assert not isinstance(parsed, exp.Command), statement
        assert not [*parsed.find_all(exp.Command)], statement
        return parsed

    def create(self, table: str, storage: dict[str, Any] | None = None) -> list[str]:
        statements, _ = self.client._build_schema_update_sql([(table, storage or {})])
        return list(statements)

    def merge(self, table: str) -> list[str]:
        [job] = self.client._create_merge_followup_jobs([self.client.prepare_load_table(table)])
        return Path(job.new_file_path()).read_text("utf-8").splitlines()

    def same(self, name: str) -> str:
        return str(self.client.capabilities.casefold_identifier(name))

    def column_type(self, column: TColumnSchema, table: str) -> str:
        prepared = self.client.prepare_load_table(table)
        return str(self.client.type_mapper.to_destination_type(column, prepared))


def one_row(table: Table) -> pa.Table:
    """A row of which only the key is known."""
    values = {"bigint": 1, "text": "x"}
    key = {c.name: values[c.type] for c in table.all_columns if c.name in table.merge_columns}
    return pa.Table.from_pylist([key], schema=table.arrow_schema)


def render(name: str, folder: str) -> Rendered:
    pipeline = make_pipeline(name, "eduframe", pipelines_dir=folder)
    now = datetime.now(UTC)
    report = Report("run", now, name, "eduframe", "0")
    loader = Loader(StoredRows(pipeline), "run", now, dict.fromkeys(MAIN_TABLES, Policy()), None)
    loader.create(set(OURS))
    batches = [
        Batch(name, None, {t.name: one_row(t) for t in (table, *CHILD_TABLES[name])})
        for name, table in MAIN_TABLES.items()
    ]

    def run(source: Any) -> None:
        pipeline.extract(source)
        pipeline.normalize()

    make_tables = "pipelines.eduframe.run.package_contents.make_tables"
    with patch.object(pipeline, "run", run), patch(make_tables):
        loader.load(batches, [report.run_row()], [])
    [package] = pipeline.list_normalized_load_packages()
    jobs = pipeline.get_load_package_info(package).jobs["new_jobs"]
    return Rendered(name, pipeline, pipeline.destination_client(), [j.job_file_info for j in jobs])


@pytest.fixture(scope="module", params=sorted(NOWHERE))
def there(request: pytest.FixtureRequest) -> Iterator[Rendered]:
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as folder:
        for key, value in NOWHERE[request.param].items():
            patched.setenv(f"DESTINATION__{request.param.upper()}__{key}", value)
        yield render(request.param, folder)


@pytest.mark.slow
def test_sync_takes_the_destination(there: Rendered) -> None:
    assert there.name in CAN_DELETE


def test_dlt_finds_no_fault_with_any_table_or_column(there: Rendered) -> None:
    """Its own check of names, their lengths and likeness, types in files, and merges."""
    assert {job.table_name for job in there.jobs} >= set(OURS)
    assert {j.file_format for j in there.jobs if j.table_name in OURS} == {FILES[there.name]}
    with patch("dlt.common.logger.warning") as warned:
        assert {t["name"] for t in there.client.verify_schema(None, there.jobs)} >= set(OURS)
    assert not warned.called


def test_every_table_is_made_with_every_column_and_its_type(there: Rendered) -> None:
    for name, columns in OURS.items():
        created, *more = there.create(name)
        parsed = there.sql(created)
        assert isinstance(parsed, exp.Create)
        found = {d.name: d for d in parsed.find_all(exp.ColumnDef)}
        assert [*found] == [there.same(c.name) for c in columns] + [there.same("_dlt_load_id")]
        lines = created.splitlines()
        for column in columns:
            [line] = [ln for ln in lines if re.match(rf'[`"]{there.same(column.name)}[`"] ', ln)]
            kind = TYPES[there.name][column.type]
            nullable = column.name not in KEYS[name]
            if there.name == "clickhouse" and nullable:
                kind = f"Nullable({kind})"
            declared = line.split(" ", 1)[1].rstrip(",)")
            assert declared.startswith(kind.rstrip(")")), (name, line)
            assert ("NOT NULL" in line) == (not nullable and there.name != "clickhouse")
        for statement in more:
            there.sql(statement)


def test_every_name_is_quoted_and_so_may_be_a_reserved_word(there: Rendered) -> None:
    for name in OURS:
        for statement in (*there.create(name), *there.merge(name)):
            for column in there.sql(statement).find_all(exp.Column, exp.ColumnDef):
                if column.name not in ("_dlt_dedup_rn", "MONTH"):
                    assert column.this.args["quoted"], (statement, column.name)


def test_names_fit_and_are_allowed(there: Rendered) -> None:
    limits = there.client.capabilities
    for name, columns in OURS.items():
        assert len(f"eduframe_staging___{name}_delete_0123456789") <= limits.max_identifier_length
        assert all(len(c.name) <= limits.max_column_identifier_length for c in columns)
        assert len({there.same(c.name) for c in columns}) == len(columns)
        if there.name == "bigquery":  # names that BigQuery keeps for itself
            kept = r"_(table|file|partition)_|_row_timestamp|__root__|_colidentifier|_(cha|chd)nge"
            assert not any(re.match(kept, c.name) for c in columns)


def test_a_column_that_a_release_adds_is_added(there: Rendered) -> None:
    for name in ("users", "order_items", "addresses", "_sync_runs"):
        columns = there.pipeline.default_schema.get_table_columns(name)
        held = {there.same(n): c for n, c in columns.items() if n != OURS[name][-2].name}
        added, *_ = [there.sql(s) for s in there.create(name, held)]
        assert isinstance(added, exp.Alter)
        assert [d.name for d in added.find_all(exp.ColumnDef)] == [there.same(OURS[name][-2].name)]


def test_a_merge_deletes_by_key_and_leaves_out_what_is_marked_as_removed(there: Rendered) -> None:
    for name, columns in OURS.items():
        deleted, inserted = map(there.sql, there.merge(name))
        assert isinstance(deleted, exp.Delete)
        assert isinstance(inserted, exp.Insert)
        keys = {there.same(key) for key in KEYS[name]}
        assert {c.name for c in deleted.find_all(exp.Column)} == keys, name
        assert [i.name for i in inserted.this.expressions] == [
            there.same(n) for n in (*(c.name for c in columns), "_dlt_load_id")
        ]
        marker = there.same("_removed")
        marked = [eq.expression for eq in inserted.find_all(exp.EQ) if eq.this.name == marker]
        if name in ALL_TABLES:
            assert marked == [exp.false()]
            assert any(i.this.name == marker for i in inserted.find_all(exp.Is))
        partition = {c.name for w in inserted.find_all(exp.Window) for c in w.args["partition_by"]}
        assert partition == (set() if name in ALL_TABLES and ALL_TABLES[name].child else keys)


class Cursor:
    """Answers ``SELECT 1 …`` with a row, and anything else with none."""

    def __init__(self, sql: str) -> None:
        self.sql = sql

    def iter_arrow(self, chunk_size: int) -> Iterator[pa.Table]:
        if self.sql.startswith("SELECT 1 "):
            yield pa.table({"found": [1]})


class Recorder:
    """A pipeline, and its SQL client, that writes down what it is asked."""

    def __init__(self, there: Rendered) -> None:
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self._client = there.client.sql_client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    @contextmanager
    def sql_client(self) -> Iterator["Recorder"]:
        yield self

    @contextmanager
    def execute_query(self, sql: str, *params: Any) -> Iterator[Cursor]:
        self.asked.append((sql, params))
        yield Cursor(sql)

    def execute_sql(self, sql: str, *params: Any) -> list[Any]:
        self.asked.append((sql, params))
        return []


def test_what_the_sync_asks_and_tells_is_understood(there: Rendered) -> None:
    pipeline: Any = Recorder(there)
    now = datetime.now(UTC)
    ids = np.array([1, 2])
    with StoredRows(pipeline) as stored:
        past_runs(stored)
        running = PastRun(now, True, run_id="x", status="running")
        report = Report("run", now, there.name, "eduframe", "0")
        come_after_the_last_run(stored, PastRuns([running], 1, frozenset(COLUMNS)), report)
        for endpoint in ENDPOINTS:
            table = MAIN_TABLES[endpoint.table]
            stored.known(table, None, whole=True)
            stored.rows(table, ids)
            for parent in endpoint.parents:
                stored.parents(parent, now)
        list(seen_keys(stored, "users", "read"))
        set_aside(stored)
        resolve_rejected(stored, "orders", Settled(now), now)
        resolve_rejected(stored, "payments", Settled(now, frozenset({1})), now)
        forget_seen(stored, ["read"])
        forget_seen(stored, [])
        last_run(stored)
        status_of(stored, "orders")
        forget_hashes(stored, ["orders"])
    kinds = set()
    for sql, params in pipeline.asked:
        assert sql.count("%s") == len(params)
        assert there.name != "clickhouse" or not sql.startswith("UPDATE"), sql
        parsed = there.sql(sql)
        kinds.add(type(parsed))
        if isinstance(parsed, exp.Select):  # BigQuery wants names that differ
            names = [name for name in parsed.named_selects if name]
            assert len(names) == len(set(names)), sql
    assert kinds == {exp.Select, exp.Update, exp.Delete}


def test_a_column_whose_type_a_release_changes_is_made_anew(
    there: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there.name == "databricks":
        pytest.skip("sqlglot does not know its DROP COLUMN")
    monkeypatch.setattr(there.client, "get_storage_table", lambda name: (True, {"cost": {}}))
    table = ALL_TABLES["orders"]
    [cost] = [c for c in table.columns if c.name == "cost"]
    with StoredRows(Recorder(there)) as stored:  # type: ignore[arg-type, unused-ignore]
        statements = [there.sql(s) for s in statements_for(there.client, stored, table, cost)]
    drop, add = (statement.args["actions"][0] for statement in statements)
    assert (type(drop), type(add)) == (exp.Drop, exp.ColumnDef)
    assert (drop.this.name, add.name) == (there.same("cost"), there.same("cost"))


def test_files_do_not_stay_where_they_were_uploaded_to(there: Rendered) -> None:
    assert not getattr(there.client.config, "keep_staged_files", False)


# ---- BigQuery


@pytest.fixture(scope="module")
def bigquery() -> Iterator[Rendered]:
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as folder:
        for key, value in NOWHERE["bigquery"].items():
            patched.setenv(f"DESTINATION__BIGQUERY__{key}", value)
        yield render("bigquery", folder)


def test_bigquery_tables_lie_by_month_of_change_and_by_key(bigquery: Rendered) -> None:
    def layout(name: str) -> list[str]:
        return re.findall("(?:PARTITION|CLUSTER) BY .*", bigquery.create(name)[0])

    assert layout("users") == [
        "PARTITION BY TIMESTAMP_TRUNC(`updated_at`, MONTH)",
        "CLUSTER BY `id`",
    ]
    assert layout("order_items")[-1] == "CLUSTER BY `order_id`"
    assert layout("addresses")[-1] == "CLUSTER BY `owner_table`, `owner_id`"
    assert layout("custom_records")[0] == "PARTITION BY TIMESTAMP_TRUNC(`_synced_at`, MONTH)"
    assert layout("_sync_resources") == [
        "PARTITION BY TIMESTAMP_TRUNC(`started_at`, MONTH)",
        "CLUSTER BY `run_id`, `resource`",
    ]


def test_bigquery_says_what_columns_mean(bigquery: Rendered) -> None:
    users = bigquery.create("users")[0]
    assert "`_row_hash` INT64   OPTIONS (description='The sync\\'s own: a number" in users


def test_views_are_made_in_its_words(there: Rendered) -> None:
    if there.name not in HAVE_VIEWS:
        assert there.name == "clickhouse"
        return
    found = fields([("user", "diet", "select", "Diet?")], [("users", "x", "number")])
    views = [
        *living_views(ALL_TABLES), *wide_views(found, ALL_TABLES),
        *written_views("Europe/Amsterdam", "EUR"),
    ]
    stored: Any = SimpleNamespace(client=there.client.sql_client)
    maker = Maker(stored, "eduframe_views", {}, views, fingerprints(views), {})
    statements: list[str] = []
    with patch.object(maker, "execute", statements.extend):
        maker.make(views, {"gone"})
    # sqlglot knows no comments on views
    parsed = [there.sql(re.sub("^COMMENT ON VIEW", "COMMENT ON TABLE", s)) for s in statements]
    made = [tree.this.name.lower() for tree in parsed if isinstance(tree, exp.Create)]
    assert made == [*(view.name for view in in_order(views)), "_views"]
    assert sum(isinstance(tree, exp.Drop) for tree in parsed) == 1


def test_bigquery_statements_and_the_bytes_they_look_at_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Answers:
        """Google's client, as far as a cursor asks it."""

        def query_and_wait(self, query: str, **_: Any) -> Any:
            return SimpleNamespace(
                schema=(),
                total_rows=None,
                total_bytes_processed=len(query),
                num_dml_affected_rows=0,
            )

        def _ensure_bqstorage_client(self) -> None:
            return None

    with monkeypatch.context() as patched:
        for key, value in NOWHERE["bigquery"].items():
            patched.setenv(f"DESTINATION__BIGQUERY__{key}", value)
        made = make_pipeline("bigquery", pipelines_dir=str(tmp_path))
        before = usage_of(made)
        assert (before.statements, before.bytes_read) == (0, 0)
        sql = made.destination_client().sql_client
        sql._client = Answers()
        sql.execute_sql("SELECT 1")
        with sql.with_staging_dataset():
            sql.execute_sql("DELETE FROM x")
        after = usage_of(made).since(before)
    assert (after.statements, after.bytes_read) == (2, len("SELECT 1DELETE FROM x"))
    assert usage_of(make_pipeline(credentials=str(tmp_path / "a.duckdb"))).statements is None
