"""What the tests share: a simulator to read from, and a warehouse to sync it into."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import orjson
import pytest

from pipelines.pipeline import make_pipeline
from pipelines.report import Report
from pipelines.sync import sync
from sources.eduframe.declare import Child, Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.settings import Settings
from sources.simulator import Simulator
from tests.truth import Table, expected_tables
from tests.truth import _rows as rows_with_outer

PLENTY = 20_000
SQL_TYPES: dict[type, tuple[str, ...]] = {
    bool: ("BOOLEAN", "boolean"),
    int: ("BIGINT", "bigint"),
    str: ("VARCHAR", "character varying"),
    Decimal: ("DECIMAL(38,9)", "numeric"),
    datetime: ("TIMESTAMP WITH TIME ZONE", "timestamp with time zone"),
    date: ("DATE", "date"),
    dict: ("JSON", "jsonb"),
    list: ("JSON", "jsonb"),
}


class Warehouse:
    """A DuckDB file that a simulator is synced into."""

    def __init__(self, sim: Simulator, folder: Path, **settings: Any) -> None:
        self.sim = sim
        self.folder = folder
        self.file = folder / "warehouse.duckdb"
        self.settings = settings
        self.connection: duckdb.DuckDBPyConnection | None = None
        self.ahead = timedelta()
        """How far the sync's clock is set ahead."""
        self.pipeline = self.make_pipeline()

    def make_pipeline(self) -> Any:
        return make_pipeline(duckdb_file=str(self.file), pipelines_dir=str(self.folder / "dlt"))

    def sync(
        self,
        *resources: str,
        reconcile: bool = False,
        allow_mass_delete: Collection[str] = (),
        **settings: Any,
    ) -> Report:
        """One run of the sync. ``settings`` go over those of the warehouse."""
        given = {
            "api_token": self.sim.token,
            "base_url": self.sim.base_url,
            "requests_per_window": PLENTY,
            **self.settings,
            **settings,
        }
        clock = patch("pipelines.sync.now_utc", lambda: datetime.now(UTC) + self.ahead)
        with clock:
            return sync(
                self.pipeline,
                resources,
                settings=Settings(**given),
                reconcile=reconcile,
                allow_mass_delete=tuple(allow_mass_delete),
            )

    def query(self, sql: str, *params: Any) -> Table:
        """The rows that a query gives."""
        with self.reading() as connection:
            found = connection.execute(sql, params)
            names = [column[0] for column in found.description or ()]
            arrow = found.to_arrow_table()
            columns = [column.to_pylist() for column in arrow.columns]
            return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One connection for many queries; opening the file costs more than most of them."""
        if self.connection is not None:
            yield self.connection
            return
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET search_path = 'eduframe'")
            self.connection = connection
            try:
                yield connection
            finally:
                self.connection = None

    def execute(self, sql: str) -> None:
        """Change something by hand."""
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("SET search_path = 'eduframe'")
            connection.execute(sql)

    def tables(self) -> dict[str, Table]:
        """The rows of every table but dlt's own."""
        with self.reading():
            return {t: self.rows(t) for t in self.types() if not t.startswith("_dlt")}

    def rows(self, table: str) -> Table:
        return self.query(f'SELECT * FROM "{table}"')

    def count(self, table: str) -> int:
        return int(self.query(f'SELECT count(*) AS n FROM "{table}"')[0]["n"])

    def types(self) -> dict[str, dict[str, str]]:
        """For every table the SQL type of each column."""
        found: dict[str, dict[str, str]] = {}
        for row in self.query(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'eduframe' ORDER BY ordinal_position"
        ):
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
        return found

    def marks(self) -> dict[str, Table]:
        """What tells of every writing into a data table: unchanged where nothing was written."""
        return {
            name: sorted(
                ({k: row.get(k) for k in ("_dlt_load_id", "_synced_at", "id")} for row in rows),
                key=str,
            )
            for name, rows in self.tables().items()
            if not name.startswith("_")
        }

    def assert_equals_truth(self, *resources: str, include: Collection[str] = ()) -> None:
        """The living rows of every table (or those of some resources) are what the API serves."""
        with self.reading():
            assert_equals_truth(self, self.sim, resources, include)


def assert_equals_truth(
    warehouse: Any, sim: Simulator, resources: Collection[str] = (), include: Collection[str] = ()
) -> None:
    expected = expected_tables(sim, include)
    types = warehouse.types()
    for endpoint in ENDPOINTS:
        if resources and endpoint.table not in resources:
            continue
        rows = warehouse.rows(endpoint.table)
        dead = [row for row in rows if row["_deleted_at"] is not None]
        living = [row for row in rows if row["_deleted_at"] is None]
        _assert_same(endpoint.table, expected[endpoint.table], living, types[endpoint.table])
        for child in endpoint.children:
            wanted, found = expected[child.table], warehouse.rows(child.table)
            if child.shared:
                wanted = [row for row in wanted if row["owner_table"] == endpoint.table]
                found = [row for row in found if row["owner_table"] == endpoint.table]
            buried = {_owner(child, row, main=True) for row in dead}
            found = [row for row in found if _owner(child, row) not in buried]
            _assert_same(child.table, wanted, found, types[child.table])


def _owner(child: Child, row: dict[str, Any], *, main: bool = False) -> tuple[Any, ...]:
    return tuple(row[source if main else name] for name, source in child.owner.items())


def _assert_same(name: str, expected: Table, found: Table, types: dict[str, str]) -> None:
    columns = [column for column in types if not column.startswith("_")]
    json = {column for column in columns if types[column] in SQL_TYPES[dict]}
    for row in expected:
        assert set(row) == set(columns), name
        for column, value in row.items():
            assert value is None or types[column] in SQL_TYPES[type(value)], (name, column)
    wanted = Counter(_canonical(row, columns, json) for row in expected)
    got = Counter(_canonical(row, columns, json) for row in found)
    missing, surplus = wanted - got, got - wanted
    assert not missing, f"{name} lacks {sum(missing.values())}, such as {[*missing][:2]}"
    assert not surplus, f"{name} has {sum(surplus.values())} too many, such as {[*surplus][:2]}"


def _canonical(row: dict[str, Any], columns: list[str], json: set[str]) -> tuple[Any, ...]:
    return tuple(_plain(row[column], column in json) for column in columns)


def _plain(value: Any, json: bool) -> Any:
    if value is None:
        return None
    if json:
        parsed = orjson.loads(value) if isinstance(value, str) else value
        return orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, Decimal):
        return value.normalize()
    return value


def raw_rows(sim: Simulator, endpoint: Endpoint) -> list[dict[str, Any]]:
    """The rows of a list as they come in, with the columns that are taken from the path."""
    tables = expected_tables(sim, [e.table for e in ENDPOINTS]) if endpoint.params else {}
    return [outer | row for outer, row in rows_with_outer(sim, endpoint, tables)]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the machine's own configuration, or leaves anything beside it."""
    for name in os.environ:
        if name.upper().startswith(("SOURCES__", "DESTINATION__", "EDUFRAME")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(scale=0.2, requests_per_window=PLENTY) as sim:
        yield sim


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse in which every table is there, and only one (empty) list was ever read."""
    folder = tmp_path_factory.mktemp("template")
    with Simulator(scale=0) as sim:
        warehouse = Warehouse(sim, folder)
        assert warehouse.sync("referrals").exit_code == 0
    return warehouse.file


MakeWarehouse = Callable[..., Warehouse]


@pytest.fixture
def make_warehouse(empty_file: Path, tmp_path: Path) -> MakeWarehouse:
    """Makes a warehouse for a simulator. Its tables are there already, which saves seconds."""

    def make(sim: Simulator, folder: Path = tmp_path, **settings: Any) -> Warehouse:
        shutil.copy(empty_file, folder / "warehouse.duckdb")
        return Warehouse(sim, folder, **settings)

    return make


@pytest.fixture
def warehouse(make_warehouse: MakeWarehouse, sim: Simulator) -> Warehouse:
    return make_warehouse(sim)
