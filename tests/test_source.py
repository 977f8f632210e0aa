"""The plain source, in a pipeline of one's own: the same rows by the same way as the sync."""

from typing import Any

import pytest

from sources.eduframe.errors import SettingsError
from sources.eduframe.limits.rate_limiter import Limiter, share_window
from sources.eduframe.settings import resolve
from sources.eduframe.source import eduframe_source
from sources.eduframe_simulator import Simulator
from tests.warehouses import PLENTY, Warehouse

LISTS = ("users", "addresses", "custom_values")


def source(sim: Simulator) -> Any:
    return eduframe_source(
        api_token=sim.token,
        base_url=sim.base_url,
        requests_per_window=PLENTY,
        include=["users", "orders", "labels"],
    )


def test_what_was_not_selected_at_first_arrives_later(warehouse: Warehouse) -> None:
    sim, pipeline = warehouse.sim, warehouse.pipeline
    pipeline.run(source(sim).with_resources("users"))
    assert warehouse.count("addresses") == 0
    before = warehouse.marks()
    pipeline.run(source(sim).with_resources("users"))
    assert warehouse.marks() == before
    pipeline.run(source(sim))
    warehouse.assert_equals_truth("users", "orders", "labels")


def test_what_the_plain_source_left_out_arrives_with_the_sync(warehouse: Warehouse) -> None:
    warehouse.pipeline.run(source(warehouse.sim).with_resources("users"))
    warehouse.sync("users", reconcile=True)
    warehouse.assert_equals_truth("users")


def test_one_source_may_run_again_and_again(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    one = source(sim)
    warehouse.pipeline.run(one)
    user = next(row for row in sim.rows("users") if row.get("address"))
    sim.change("users", user["id"], address={**user["address"], "city": "Elsewhere"})
    sim.change("users", sim.rows("users")[-1]["id"], first_name="Renamed")
    warehouse.pipeline.run(one)
    warehouse.assert_equals_truth("users", "orders", "labels")
    before = warehouse.marks()
    warehouse.pipeline.run(one)
    assert warehouse.marks() == before


@pytest.mark.parametrize("paging", ["cursor", "page"])
def test_a_row_that_is_met_twice_counts_as_read_last(
    make_warehouse: Any, paging: Any
) -> None:
    counts = {"users": 200, "labels": 5}
    with Simulator(scale=0, counts=counts, paging=paging, requests_per_window=PLENTY) as sim:
        warehouse = make_warehouse(sim)
        known = sim.rows("users")
        for row in known:
            sim.change("users", row["id"], label_ids=[1, 2])

        def meddle(request: Any) -> None:
            if request.path == "/users" and len(request.query) == 2:
                sim.before_response = None
                for number in range(30):  # those behind them move on to the next page
                    sim.add("users", id=known[0]["id"] - 1 - number, label_ids=[3])
                sim.change("users", known[99]["id"], label_ids=[4])

        sim.before_response = meddle
        warehouse.pipeline.run(source(sim).with_resources("users", *LISTS[1:]))
        warehouse.pipeline.run(source(sim).with_resources("users", *LISTS[1:]))
        warehouse.assert_equals_truth("users")


def test_settings_are_taken_from_their_own_names_alone(
    monkeypatch: pytest.MonkeyPatch, sim: Simulator, warehouse: Warehouse
) -> None:
    with Simulator(scale=0) as strange:
        others = {"BASE_URL": strange.base_url, "API_TOKEN": "of-another-program",
                  "INCLUDE": "C:\\VC\\include", "EXCLUDE": "users", "DELETES": "x", "THREADS": "x",
                  "REQUESTS_PER_WINDOW": "1", "WINDOW_SECONDS": "x", "CUSTOM_OBJECT_TYPES": "x"}
        for name, value in others.items():
            for prefix in ("", "SOURCES__", "EDUFRAME__"):
                monkeypatch.setenv(prefix + name, value)
        with pytest.raises(SettingsError, match="api_token"):
            eduframe_source()
        monkeypatch.setenv("SOURCES__EDUFRAME__API_TOKEN", sim.token)
        monkeypatch.setenv("SOURCES__EDUFRAME__BASE_URL", "http://127.0.0.1:9/elsewhere")
        monkeypatch.setenv("SOURCES__EDUFRAME__EXCLUDE", "labels")
        given = eduframe_source(base_url=sim.base_url)
        assert "labels" not in given.resources
        warehouse.pipeline.run(given.with_resources(*LISTS))
        monkeypatch.setenv("SOURCES__EDUFRAME__BASE_URL", sim.base_url)
        settings = resolve()
        assert (settings.api_token, settings.base_url) == (sim.token, sim.base_url)
        assert (settings.include, settings.threads) == ((), 4)
        assert strange.requests == []
    assert warehouse.count("users") == len(sim.rows("users"))


def test_a_plain_pipeline_shares_the_request_window(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    warehouse.pipeline.run(source(sim).with_resources("users"))
    limiter = Limiter(PLENTY, 300)
    share_window(limiter, sim.base_url, sim.token, 60)
    assert limiter.left == PLENTY - len(sim.requests)
    warehouse.sync("labels")
    limiter.acquire()
    assert limiter.left == PLENTY - len(sim.requests) - 1
