"""``eduframe verify``: it finds what is wrong in a dataset, and nothing where all is right."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.eduframe.exit_codes import DONE, FAILED, PARTLY, WRONG_USE
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import TOKEN, Eduframe, MakeWarehouse, Outcome, settings
from tests.warehouses import PLENTY, Warehouse

pytestmark = pytest.mark.usefixtures("no_waiting")

COUNTS = {
    "users": 330, "orders": 120, "labels": 24, "enrollments": 60, "attendances": 320,
    "invoices": 30, "payments": 40, "accounts": 20, "planning_conflicts": 12, "referrals": 6,
    "program_editions": 4, "program_edition_elements": 16, "custom_objects": 3,
    "custom_records": 12, "courses": 5, "planned_courses": 10, "meetings": 30, "leads": 20,
}
LISTS = (
    "users", "orders", "labels", "enrollments", "attendances", "invoices", "payments",
    "planning_conflicts", "referrals", "program_editions", "program_edition_elements",
    "custom_objects", "custom_records", "leads", "educators",
)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(scale=0, counts=COUNTS, token=TOKEN, requests_per_window=PLENTY) as sim:
        yield sim


@pytest.fixture
def warehouse(make_warehouse: MakeWarehouse, sim: Simulator) -> Warehouse:
    return make_warehouse(sim, synced=LISTS)


class Verify:
    """Runs the command, and sees to it that it keeps its word."""

    def __init__(self, eduframe: Eduframe, warehouse: Warehouse) -> None:
        self.eduframe = eduframe
        self.warehouse = warehouse

    def __call__(self, *arguments: str, requests: int = 300, **more: str) -> Outcome:
        sim, path = self.warehouse.sim, Path(self.warehouse.address)
        sim.clear_requests()
        before = path.read_bytes() if path.exists() else b""
        found = self.eduframe(
            "verify", *arguments, "--requests", str(requests), *self.warehouse.options,
            **settings(sim), **self.warehouse.environment, **more,
        )
        assert not before or path.read_bytes() == before
        assert len(sim.requests) <= requests
        return found

    def json(self, *arguments: str, **how: Any) -> dict[str, Any]:
        found: dict[str, Any] = self(*arguments, "--json", **how).json
        assert found["requests"] == len(self.warehouse.sim.requests)
        return found


@pytest.fixture
def verify(eduframe: Eduframe, warehouse: Warehouse) -> Verify:
    return Verify(eduframe, warehouse)


def one_list(found: dict[str, Any], resource: str) -> dict[str, Any]:
    [one] = [one for one in found["lists"] if one["resource"] == resource]
    return one


def wrong(found: dict[str, Any]) -> dict[str, int]:
    names = ("differing", "missing_here", "missing_there")
    return {name: found[name] for name in names if found[name]}


def test_an_exact_mirror_differs_in_nothing(verify: Verify) -> None:
    found = verify.json(*LISTS)
    assert (wrong(found), found["unsettled"], found["since"]) == ({}, 0, 0)
    assert (found["ok"], found["share_at_most"]) == (True, 0)
    assert {one["resource"]: one["compared"] for one in found["lists"]} == {
        name: verify.warehouse.count(name) for name in LISTS
    }


SPOILT = [
    # list, which of its rows, what is done to it, how that is told
    ("users", 0, "UPDATE users SET first_name = 'Eve' WHERE id = {id}", "first_name"),
    ("users", 1, "UPDATE users SET _deleted_at = now() WHERE id = {id}", "marked deleted here"),
    ("users", 2, "UPDATE users SET updated_at = NULL WHERE id = {id}", "updated_at"),
    ("users", 3, "UPDATE users SET created_at = created_at + INTERVAL 1 SECOND WHERE id = {id}",
     "created_at"),
    ("users", 4, """UPDATE users SET custom = '{{"a": 1}}' WHERE id = {id}""", "custom"),
    ("users", 5, """UPDATE users SET _extra = '{{"a": 1}}' WHERE id = {id}""", "_extra"),
    ("users", 6, "UPDATE addresses SET city = 'Ys' WHERE owner_table = 'users' "
     "AND owner_id = {id}", "addresses.city"),
    ("users", 7, "DELETE FROM user_roles WHERE user_id = {id}", "user_roles (a row missing here)"),
    ("users", 8, "INSERT INTO user_roles SELECT * FROM user_roles WHERE user_id = {id} LIMIT 1",
     "user_roles (a row too many here)"),
    ("orders", 0, "UPDATE orders SET total_cost_incl = total_cost_incl + 0.000000001 "
     "WHERE id = {id}", "total_cost_incl"),
    ("orders", 2, "UPDATE order_items SET student_id = 0 WHERE order_id = {id}",
     "order_items.student_id"),
    ("orders", 1, "DELETE FROM orders WHERE id = {id}", "missing here"),
    ("enrollments", 0, "UPDATE enrollments SET start_date = DATE '1999-01-01' WHERE id = {id}",
     "start_date"),
    ("attendances", 0, "DELETE FROM attendances WHERE id = {id}", "missing here"),
    ("attendances", 1, "INSERT INTO attendances SELECT * REPLACE (-{id} AS id) FROM attendances "
     "WHERE id = {id}", "missing there"),
    ("labels", -1, "DELETE FROM labels WHERE id = {id}", "missing here"),
    ("labels", 0, "INSERT INTO labels SELECT * REPLACE (-{id} AS id) FROM labels WHERE id = {id}",
     "missing there"),
    ("labels", 1, "INSERT INTO labels SELECT * FROM labels WHERE id = {id}", "doubled here"),
    ("referrals", -1, "DELETE FROM referrals WHERE id = {id}", "missing here"),
    ("payments", 0, "UPDATE payments SET amount = NULL WHERE id = {id}", "amount"),
    ("payments", 1, "INSERT INTO payments SELECT * REPLACE (-{id} AS id) FROM payments "
     "WHERE id = {id}", "missing there"),
    ("program_edition_elements", 0, "UPDATE program_edition_elements SET path = '9.9' "
     "WHERE edition_id = {edition_id} AND path = '{path}'", "missing here"),
    ("custom_objects", 0, "DELETE FROM custom_object_fields WHERE custom_object_id = {id}",
     "custom_object_fields (a row missing here)"),
    ("custom_records", 0, "UPDATE custom_record_values SET value_text = 'x' "
     "WHERE object_slug = '{object_slug}' AND record_id = {id}", "custom_record_values.value_text"),
    ("planning_conflicts", 0, "DELETE FROM planning_conflicts WHERE _row_hash = {_row_hash}",
     "missing here"),
]


def test_whatever_was_spoilt_is_found(verify: Verify) -> None:
    warehouse = verify.warehouse
    rows = {
        name: sorted(warehouse.rows(name), key=lambda row: str(row.get("id") or row))
        for name in LISTS
    }
    warehouse.execute(";".join(sql.format(**rows[name][n]) for name, n, sql, _ in SPOILT))
    found = verify.json(*LISTS)
    assert not found["ok"]
    told = {
        (one["resource"], row["key"]): {row["kind"], *row["fields"]}
        for one in found["lists"]
        for row in one["rows_that_differ"]
        if not row["excuse"]
    }
    for name, place, sql, how in SPOILT:
        row = rows[name][place]
        key = {
            "program_edition_elements": '[{edition_id},"{path}"]',
            "custom_records": '["{object_slug}",{id}]',
            "planning_conflicts": "{_row_hash}",
        }.get(name, "-{id}" if how == "missing there" else "{id}").format(**row)
        assert how in told.pop((name, key)), (sql, key)
    assert [*told] == [("program_edition_elements", '[1,"9.9"]')] or len(told) == 1
    assert found["since"] == 0
