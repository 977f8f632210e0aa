"""What the tests share: a simulator to read from, and a warehouse to sync it into."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import GARBAGE_EVERY
from sources.simulator import Simulator
from tests.warehouses import PLENTY, Home, Warehouse

gc.set_threshold(GARBAGE_EVERY)  # as the command line does

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
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(scale=0.2, requests_per_window=PLENTY) as sim:
        yield sim


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
