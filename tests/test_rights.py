"""What the token may not read."""

import pytest

from sources.eduframe.errors import AuthenticationError
from sources.eduframe_simulator import Fault
from tests.conftest import BOTH, asked
from tests.warehouses import Warehouse


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_forbidden_list_is_off_and_newly_off_only_once(warehouse: Warehouse) -> None:
    sim = warehouse.sim
    sim.forbid("orders")
    report = warehouse.sync("orders", "labels", "leads")
    assert (report.exit_code, report.runs["orders"].status) == (0, "off")
    assert "orders:read" in (report.runs["orders"].message or "")
    sim.allow("orders")
    assert warehouse.sync("orders", "labels", "leads").exit_code == 0
    sim.forbid("orders", 404)
    held = warehouse.marks()
    codes = [warehouse.sync("orders", "labels", "leads").exit_code for _ in range(2)]
    assert codes == [3, 0]
    assert warehouse.marks() == held
    (row,) = warehouse.query(
        "SELECT r.status, r.message FROM _sync_resources r JOIN _sync_runs USING (run_id) "
        "WHERE resource = 'orders' ORDER BY _sync_runs.started_at DESC LIMIT 1"
    )
    assert row["status"] == "off"


def test_a_token_that_may_read_nothing_fails(warehouse: Warehouse) -> None:
    for name in ("labels", "orders", "users"):
        warehouse.sim.forbid(name)
    report = warehouse.sync("labels", "orders", "users")
    assert report.exit_code == 1
    assert "scopes" in (report.message or "")


def test_a_wrong_token_is_refused_before_anything_is_read(warehouse: Warehouse) -> None:
    before = warehouse.tables()
    with pytest.raises(AuthenticationError):
        warehouse.sync("labels", api_token="of-someone-else")
    assert warehouse.tables() == before
    assert asked(warehouse.sim) == {"/educators/current": 1}


def test_a_token_that_is_revoked_on_the_way_ends_the_run(warehouse: Warehouse) -> None:
    warehouse.sim.inject(Fault("status", status=401, after=2, times=None))
    report = warehouse.sync("labels", "orders", "users", threads=1)
    assert report.exit_code == 1
    assert "401" in (report.message or "")
    warehouse.sim.clear_faults()
    assert warehouse.sync("labels", "orders", "users").exit_code == 0
    warehouse.assert_equals_truth("labels", "orders", "users")
