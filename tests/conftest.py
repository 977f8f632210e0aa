"""What the tests share: a simulator to read from, and a warehouse to sync it into."""

import gc
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from pipelines.eduframe.commands.cli import GARBAGE_EVERY, main
from pipelines.eduframe.run.control import Run
from sources.eduframe.endpoints import BY_TABLE
from sources.eduframe.errors import DoesNotCastError
from sources.eduframe.rows import columns
from sources.eduframe_simulator import Simulator
from sources.eduframe_simulator.server.faults import Fault
from tests.clocks import Clock
from tests.quicker_dlt import make_dlt_quicker
from tests.single_rows import Slowly
from tests.warehouses import PLENTY, Home, Warehouse

pytest_plugins = ["tests.slow_cases"]

gc.set_threshold(GARBAGE_EVERY)  # as the command line does
make_dlt_quicker()

TOKEN = "sesame-4711-secret"
BOTH = ["duckdb", "postgres"]
in_a_lake_too = pytest.mark.parametrize("destination", [*BOTH, "filesystem"], scope="session")
"""Marks a test that also runs on Delta tables."""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the machine's own configuration, or leaves anything beside it."""
    for name in os.environ:
        if name.upper().startswith(("SOURCES__", "DESTINATION__", "EDUFRAME")):
            monkeypatch.delenv(name)
    # or meets another test, which may run at the same time, in dlt's own folder
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt_data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(scale=0.2, requests_per_window=PLENTY) as sim:
        yield sim


@pytest.fixture
def big() -> Iterator[Simulator]:
    """One whose lists have many pages."""
    with Simulator(scale=1, requests_per_window=PLENTY) as sim:
        yield sim


LISTS = ("users", "orders", "labels", "leads", "referrals")
"""Those that :func:`lists` has."""


@pytest.fixture
def lists() -> Iterator[Simulator]:
    """A few lists, long enough for the brake on deletions to take an interest in them."""
    counts = {"users": 200, "orders": 120, "labels": 120, "leads": 60, "referrals": 6}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as sim:
        yield sim


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before a request is tried again."""
    monkeypatch.setattr("sources.eduframe.http.client.RETRY_WAIT", lambda state: 0)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    yield home
    home.close()


@pytest.fixture(scope="session")
def destination() -> str:
    """Where the tests' warehouses are; test modules that run on both override it."""
    return "duckdb"


MakeWarehouse = Callable[..., Warehouse]


@pytest.fixture
def make_warehouse(home: Home, destination: str, tmp_path: Path) -> MakeWarehouse:
    """Makes a warehouse for a simulator, in which every table is there already."""

    def make(sim: Simulator, folder: Path = tmp_path, **settings: Any) -> Warehouse:
        return home.make(destination, sim, folder, **settings)

    return make


@pytest.fixture
def warehouse(make_warehouse: MakeWarehouse, sim: Simulator) -> Warehouse:
    return make_warehouse(sim)


SOME = ("labels", "users", "orders", "enrollments", "invoices", "payments", "credit_categories")


@pytest.fixture
def synced(make_warehouse: MakeWarehouse, sim: Simulator) -> Warehouse:
    """A warehouse that holds a few lists: :data:`SOME`."""
    return make_warehouse(sim, synced=SOME)


def stop_after(sim: Simulator, requests: int) -> Callable[[Run], None]:
    """Something to give to ``watch``: ends the run once so many more requests were made."""
    until = len(sim.requests) + requests

    def watch(run: Run) -> None:
        def hook(request: Any) -> None:
            if len(sim.requests) >= until:
                run.stop("ended by the test")

        sim.before_response = hook

    return watch


def move_a_payment(sim: Simulator, dice: Random) -> None:
    """A payment moves to another invoice; whether the two change, too, is left to chance."""
    if sim.rows("payments"):
        payment = dice.choice(sim.rows("payments"))
        left, other = payment["invoice_id"], dice.choice(sim.rows("invoices"))["id"]
        sim.delete("payments", payment["id"])
        sim.add("payments", **{**payment, "invoice_id": other})
        for invoice in (left, other):
            if dice.random() < 0.5:
                sim.change("invoices", invoice)


def command(warehouse: Warehouse, *resources: str, **env: str) -> dict[str, Any]:
    """How to start a sync as a process of its own."""
    folder = warehouse.folder
    return {
        "args": [
            *(sys.executable, "-m", "pipelines.eduframe.commands.cli", "sync"),
            *resources,
            *warehouse.options,
        ],
        "cwd": folder,
        "env": {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "HOME": str(folder),
            "DLT_DATA_DIR": str(folder / "data"),
            "SOURCES__EDUFRAME__API_TOKEN": warehouse.sim.token,
            "SOURCES__EDUFRAME__BASE_URL": warehouse.sim.base_url,
            "SOURCES__EDUFRAME__REQUESTS_PER_WINDOW": str(PLENTY),
            "SOURCES__EDUFRAME__LOAD_PACKAGE_SECONDS": "0.3",
            **warehouse.environment,
            **env,
        },
    }


def tampered(sim: Simulator, table: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """From now on each row of a list is served as ``change`` leaves it, or gives it back."""

    def tamper(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [change(row) or row for row in rows]

    path = re.sub(r"{\w+}", "*", BY_TABLE[table].path)
    sim.inject(Fault("tamper", path=path, times=None, tamper=tamper))


def living(warehouse: Warehouse, table: str) -> set[Any]:
    return {row["id"] for row in warehouse.rows(table) if row["_deleted_at"] is None}


def ids(sim: Simulator, table: str) -> list[Any]:
    return [row["id"] for row in sim.rows(table)]


def asked(sim: Simulator) -> Counter[str]:
    """How often each path was requested."""
    return Counter(request.path for request in sim.requests)


# ---- The command, in this process


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


Eduframe = Callable[..., Outcome]


@pytest.fixture
def eduframe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Eduframe:
    """Runs the command with some settings; the token never shows."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))

    def run(*arguments: str, **settings: str) -> Outcome:
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                whole = name.startswith("DESTINATION__")
                patch.setenv(name if whole else f"SOURCES__EDUFRAME__{name}", value)
            patch.setattr(sys, "argv", ["eduframe", *arguments])
            with pytest.raises(SystemExit) as ending:
                main()
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        return Outcome(int(ending.value.code or 0), out, err)

    return run


@pytest.fixture
def here() -> Iterator[Simulator]:
    """A small simulator, whose token the command is given."""
    with Simulator(scale=0.1, token=TOKEN, requests_per_window=1_000_000) as sim:
        yield sim


@pytest.fixture
def tables(home: Home, here: Simulator, tmp_path: Path) -> None:
    """The warehouse is there, with all its tables, empty: saves seconds."""
    home.make("duckdb", here, tmp_path)


def settings(sim: Simulator) -> dict[str, str]:
    """The settings that lead to a simulator."""
    return {
        "API_TOKEN": sim.token,
        "BASE_URL": sim.base_url,
        "REQUESTS_PER_WINDOW": "4000",
    }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Slowly:
    """Within it no column is cast as a whole, whatever it holds."""

    def no_cast(values: Any, column: Any) -> Any:
        raise DoesNotCastError("not today")

    @contextmanager
    def slowly() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(columns, "_CASTS", dict.fromkeys(columns._CASTS, no_cast))
            yield

    return slowly

