"""``eduframe plan``: what it says is what the next run does."""

from collections.abc import Iterator

import orjson
import pytest

from pipelines.eduframe.commands.plan import run_plan
from sources.eduframe.settings import SettingsError
from sources.eduframe_simulator import Simulator
from tests.conftest import MakeWarehouse
from tests.warehouses import PLENTY

pytestmark = pytest.mark.usefixtures("no_waiting")

EMPTY = ("accounts", "labels", "tasks", "theses")
LISTS = ("users", "orders", "invoices", "payments", *EMPTY)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    counts = {"users": 1230, "orders": 340}
    with Simulator(scale=0, counts=counts, requests_per_window=PLENTY) as simulator:
        yield simulator


def test_the_next_run_reads_what_was_planned(
    make_warehouse: MakeWarehouse,
    sim: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    warehouse = make_warehouse(sim, include=LISTS, budget="11")
    settings = {"base_url": sim.base_url, "include": ",".join(LISTS), "budget": "11"}
    for name, value in settings.items():
        monkeypatch.setenv(f"SOURCES__EDUFRAME__{name.upper()}", value)
    for name, value in warehouse.environment.items():
        monkeypatch.setenv(name, value)
    warehouse.sync()
    sim.clear_requests()
    capsys.readouterr()
    assert run_plan(warehouse.destination, "eduframe", (), budget=None, as_json=True) == 0
    plan = orjson.loads(capsys.readouterr().out)
    assert not sim.requests
    report = warehouse.sync()
    planned = {read["resource"] for read in plan["reads"]}
    assert planned == {name for name, run in report.runs.items() if not run.passed_over}
    assert sum(read["requests"] for read in plan["reads"]) == plan["requests"]
    assert report.requests == len(sim.requests) == plan["allowance"] - plan["left"] <= 11
    why = {read["resource"]: read["why"] for read in plan["reads"]}
    assert not any("first time" in reason for reason in why.values())
    assert "it had no rows, or was off" in why.values()


@pytest.mark.parametrize(
    ("resources", "budget"), [((), "much"), ((), ""), ((), "0%"), (("usrs",), None)]
)
def test_what_is_wrong_is_said_before_anything_was_synced(
    resources: tuple[str, ...], budget: str | None
) -> None:
    with pytest.raises(SettingsError):
        run_plan("duckdb", "eduframe", resources, budget=budget, as_json=False)


def test_before_anything_was_synced_it_is_json_too(
    make_warehouse: MakeWarehouse,
    sim: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    warehouse = make_warehouse(sim, include=LISTS)
    monkeypatch.setenv("SOURCES__EDUFRAME__INCLUDE", ",".join(LISTS))
    for name, value in warehouse.environment.items():
        monkeypatch.setenv(name, value)
    assert run_plan(warehouse.destination, "nothing", (), budget="30", as_json=True) == 0
    plan = orjson.loads(capsys.readouterr().out)
    assert (plan["allowance"], plan["requests"], plan["left"]) == (30, None, None)
    kinds = {read["resource"]: read["kind"] for read in plan["reads"]}
    assert kinds == dict.fromkeys(LISTS, "whole") | {"payments": "under parents"}
    assert run_plan(warehouse.destination, "nothing", (), budget="30", as_json=False) == 0
    assert "reads every list whole" in capsys.readouterr().out
    assert not sim.requests
