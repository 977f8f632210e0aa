"""``eduframe verify``: it finds what is wrong in a dataset, and nothing where all is right."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.eduframe.exit_codes import DONE, FAILED, PARTLY, WRONG_USE
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import TOKEN, Eduframe, MakeWarehouse, Outcome, ids, settings
from tests.warehouses import PLENTY, Home, Warehouse

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
    ("leads", 0, "DELETE FROM leads WHERE id = {id}", "missing here"),
    ("leads", 1, "INSERT INTO addresses SELECT * REPLACE (-{id} AS owner_id) FROM addresses "
     "WHERE owner_table = 'users' LIMIT 1; UPDATE addresses SET owner_table = 'leads' "
     "WHERE owner_id = -{id}", "addresses (rows of an owner that is not here)"),
    ("payments", 2, "INSERT INTO payments SELECT * REPLACE (-{id} AS id, -1 AS invoice_id) "
     "FROM payments WHERE id = {id}", "missing there"),
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
        }.get(name, "-{id}" if "(-{id} AS" in sql else "{id}")
        assert how in told.pop((name, key.format(**row))), sql
    assert {name for name, _ in told} == {"program_edition_elements"}  # the path that is none
    assert len(told) == 1
    assert found["since"] == 0


def test_what_is_wrong_is_told_without_values_and_what_to_do(verify: Verify) -> None:
    warehouse = verify.warehouse
    first = warehouse.query("SELECT min(id) AS id FROM users")[0]["id"]
    warehouse.execute(
        "UPDATE users SET first_name = 'Secretia' WHERE id IN (SELECT id FROM users ORDER BY id "
        "LIMIT 4);"
        "DELETE FROM labels WHERE id = (SELECT min(id) FROM labels)"
    )
    told = verify("users", "labels")
    assert told.code == PARTLY  # 5 of 354
    assert "4 differing, 1 missing here" in told.out
    assert f"users: {first} differs: first_name\n" in told.out
    assert "Secretia" not in told.out + told.err
    assert "eduframe sync labels --reconcile" in told.out
    assert "eduframe refresh users" in told.out
    assert verify("users", "labels", "--tolerate", "2%").code == DONE
    assert "Secretia" in verify("users", "--show-values").out
    found = verify.json("users", "--show-values")
    [field] = one_list(found, "users")["rows_that_differ"][0]["fields"]
    assert (field["field"], field["here"]) == ("first_name", "Secretia")
    assert verify("users", "--tolerate", "much").code == WRONG_USE


def test_what_changed_since_is_told_apart(verify: Verify) -> None:
    sim = verify.warehouse.sim
    sim.change("orders", sim.rows("orders")[0]["id"], origin="elsewhere")
    sim.change("users", sim.rows("users")[0]["id"], first_name="New")
    sim.change("users", sim.rows("users")[1]["id"], touch=False, first_name="New")
    grade = next(row for row in sim.rows("enrollments") if row.get("grade"))
    later = {**grade["grade"], "updated_at": sim.rows("users")[0]["updated_at"]}
    sim.change("enrollments", grade["id"], touch=False, grade={**later, "grade": "7"})
    sim.add("users")
    sim.add("payments")
    sim.add("attendances")
    lists = ("users", "orders", "enrollments", "payments", "attendances")
    found = verify.json(*lists)
    assert (found["since"], wrong(found)) == (6, {"differing": 1})
    assert found["ok"]


def test_what_is_gone_since_is_missing_there_once_that_is_settled(verify: Verify) -> None:
    sim, lists = verify.warehouse.sim, ("users", "attendances", "payments")
    for name in lists:
        sim.delete(name, sim.rows(name)[5]["id"])
    assert wrong(verify.json(*lists)) == {"missing_there": 3}
    found = verify.json("attendances", "--seed", "1", requests=3)
    assert one_list(found, "attendances")["read"] == "pages"  # the first is among them
    assert wrong(found) == {"missing_there": 1}
    hidden = sim.rows("users")[9]["id"]
    sim.inject(
        Fault("tamper", "/users", None, tamper=lambda rows: [r for r in rows if r["id"] != hidden])
    )
    found = verify.json("users")
    assert (wrong(found), found["unsettled"]) == ({"missing_there": 1}, 0)
    [note] = one_list(found, "users")["notes"]
    assert note == f"its list lacks 1 rows that are there by their own paths, such as {hidden}"
    sim.inject(Fault("status", "/users/*", None, status=404))
    assert verify.json("users")["unsettled"] == 2


def test_lists_whose_rows_are_asked_for_one_by_one_have_requests_for_that(verify: Verify) -> None:
    found = verify.json("users", "attendances", "custom_objects", requests=9)
    one = one_list(found, "custom_objects")
    assert (one["state"], one["read"], one["compared"] >= 1) == ("compared", "rows", True)


def test_the_same_seed_draws_the_same(verify: Verify) -> None:
    def paths(seed: int) -> list[str]:
        verify.json("users", "attendances", "payments", "--seed", str(seed), requests=12)
        return [f"{request.path} {request.query}" for request in verify.warehouse.sim.requests]

    assert paths(1) == paths(1) != paths(2)


def test_requests_are_a_hard_limit_whatever_fails(verify: Verify) -> None:
    sim = verify.warehouse.sim
    sim.inject(Fault("status", "/users", None, status=500))
    found = verify.json("users", "labels", requests=4)
    assert (found["requests"], one_list(found, "users")["state"]) == (4, "failed")
    assert one_list(found, "labels")["compared"] == 24
    told = verify("users", "labels")
    assert told.code == PARTLY
    assert "users: failed: " in told.out
    assert verify("users").code == FAILED


def test_lists_that_cannot_be_compared_are_named(verify: Verify) -> None:
    sim = verify.warehouse.sim
    verify.warehouse.execute(
        "ALTER TABLE leads DROP COLUMN email; DROP TABLE user_roles; "
        "ALTER TABLE attendances ALTER meeting_id TYPE VARCHAR;"
        "UPDATE attendances SET meeting_id = 'Eve'"
    )
    sim.forbid("orders")
    told = verify(INCLUDE="labels,leads,users,orders,courses,tasks,attendances", EXCLUDE="tasks")
    assert told.code == PARTLY
    assert "leads: not comparable: leads lacks the column email" in told.out
    assert "users: not comparable: the table user_roles is not there" in told.out
    assert "attendances: not comparable: some column has a type" in told.out
    assert "Eve" not in told.out
    assert "orders: off: answered 403: needs the scope orders:read" in told.out
    assert "not looked at (never synced): courses" in told.out
    assert "not looked at (excluded): tasks" in told.out
    assert verify("labels", "orders").code == DONE
    assert verify("orders").code == FAILED


def test_rows_whose_state_was_lost_are_compared_all_the_same(verify: Verify) -> None:
    verify.warehouse.execute("DELETE FROM _dlt_pipeline_state; UPDATE labels SET color = 'none'")
    sim = verify.warehouse.sim
    sim.change("users", ids(sim, "users")[0], first_name="New")
    found = verify.json("users", "labels")
    assert (wrong(found), found["since"]) == ({"differing": 24}, 1)


def test_another_customers_api_is_not_compared(
    eduframe: Eduframe, warehouse: Warehouse
) -> None:
    with Simulator(scale=0, educator_id=2, token=TOKEN) as other:
        told = eduframe("verify", **settings(other), **warehouse.environment)
    assert told.code == FAILED
    assert "holds the data of educator 1" in told.err
    assert len(other.requests) == 1


def test_no_dataset(eduframe: Eduframe, sim: Simulator) -> None:
    told = eduframe("verify", **settings(sim))
    assert told.code == FAILED
    assert "no dataset eduframe" in told.err


def test_on_postgres_too_and_while_a_sync_writes(
    home: Home, eduframe: Eduframe, sim: Simulator, tmp_path: Path
) -> None:
    lists = ("users", "orders")
    verify = Verify(eduframe, home.make("postgres", sim, tmp_path, synced=lists))
    warehouse, known = verify.warehouse, ids(sim, "users")
    warehouse.execute(
        f"UPDATE users SET custom = custom || '{{\"odd\": 1.50}}' WHERE id = {known[0]};"
        f"DELETE FROM user_roles WHERE user_id = {known[1]};"
        f"UPDATE orders SET total_cost_incl = total_cost_incl + 0.01 WHERE id IN "
        f"(SELECT min(id) FROM orders)"
    )
    found = verify.json(*lists)
    assert wrong(found) == {"differing": 3}
    names = {name for row in one_list(found, "users")["rows_that_differ"] for name in row["fields"]}
    assert names == {"custom", "user_roles (a row missing here)"}

    def write(request: Any) -> None:
        if request.path == "/orders" and not begun:
            begun.append(request)
            sim.change("users", known[5], touch=False, first_name="Newer")
            warehouse.sync("users", refresh=True)

    begun: list[Any] = []
    sim.before_response = write
    told = verify(*lists, "--seed", "1")
    assert begun
    assert "a sync wrote here during the audit" in told.out
    assert "1 differing" in told.out  # of orders, which the sync left alone


def test_pages_in_order_prove_what_they_would_hold(
    eduframe: Eduframe, make_warehouse: MakeWarehouse
) -> None:
    """Also where rows may slip from page to page, as they are paged by number."""
    counts = {"attendances": 420}
    with Simulator(
        scale=0, counts=counts, token=TOKEN, requests_per_window=PLENTY, paging="page"
    ) as sim:
        verify = Verify(eduframe, make_warehouse(sim, synced=tuple(counts)))
        known = ids(sim, "attendances")
        sim.delete("attendances", known[150])
        verify.warehouse.execute(
            "INSERT INTO attendances SELECT * REPLACE (CASE WHEN id % 2 = 0 THEN -1 ELSE 1 END * "
            f"(id + 1000000) AS id) FROM attendances WHERE id IN ({known[0]}, {known[1]})"
        )
        found = verify.json("attendances")
        assert (wrong(found), found["unsettled"]) == ({"missing_there": 3}, 0)


def test_lists_that_are_much_longer_here_are_noticed(
    eduframe: Eduframe, make_warehouse: MakeWarehouse
) -> None:
    """Where pages are drawn, most of which the API does not have."""
    counts = {"users": 120, "attendances": 120}
    with Simulator(scale=0, counts=counts, token=TOKEN, requests_per_window=PLENTY) as sim:
        verify = Verify(eduframe, make_warehouse(sim, synced=tuple(counts)))
        for name in counts:
            verify.warehouse.execute(
                f"INSERT INTO {name} SELECT u.* REPLACE (u.id + 10000 * n AS id) "
                f"FROM {name} u, range(1, 20) r(n)"
            )
        found = verify.json(*counts, "--seed", "3", requests=30)
    for name in counts:
        one = one_list(found, name)
        assert one["read"] == "pages"
        assert one["presumed"] > 300
    assert one_list(found, "users")["missing_there"] > 0
    assert found["share"] > 0.5


# ---- Servers without page numbers


@pytest.fixture
def odd(eduframe: Eduframe, make_warehouse: MakeWarehouse) -> Iterator[Verify]:
    """Lists of several pages: of the last two the API serves no page by its number."""
    counts = {"users": 420, "certificates": 420, "course_tabs": 420}
    with Simulator(scale=0, counts=counts, token=TOKEN, requests_per_window=PLENTY) as sim:
        yield Verify(eduframe, make_warehouse(sim, synced=tuple(counts)))


def test_where_pages_have_no_numbers_rows_are_drawn_by_their_ids(odd: Verify) -> None:
    odd.warehouse.execute("UPDATE certificates SET created_at = NULL")
    found = odd.json("certificates", requests=5)
    one = one_list(found, "certificates")
    assert (one["read"], one["compared"], one["differing"]) == ("rows", 3, 3)
    assert "drawn by their ids" in one["notes"][0]
    one = one_list(odd.json("course_tabs", requests=5), "course_tabs")
    assert (one["read"], one["compared"]) == ("first pages", 300)
    assert one["share_at_most"] is None


def test_a_server_that_ignores_the_number_is_noticed(odd: Verify) -> None:
    def ignore(request: Any) -> None:
        request.query.pop("page", None)

    odd.warehouse.sim.before_response = ignore
    for seed in range(2):
        one = one_list(odd.json("users", "--seed", str(seed), requests=5), "users")
        assert (one["read"], one["differing"]) == ("rows", 0)
        assert "the same page whatever number" in one["notes"][0]
    assert one_list(odd.json("users"), "users")["compared"] == 420  # in turn


@pytest.mark.parametrize("order", ["id:asc", "id:desc"])
def test_the_last_page_but_one_is_no_first_page(
    eduframe: Eduframe, make_warehouse: MakeWarehouse, order: str
) -> None:
    """Nearly all of its rows stand at the end of the list, where the last page has few."""
    counts = {"users": 503, "attendances": 503}
    sorted_by = dict.fromkeys(counts, order)
    with Simulator(
        scale=0, counts=counts, token=TOKEN, requests_per_window=PLENTY, sorted_by=sorted_by
    ) as sim:
        verify = Verify(eduframe, make_warehouse(sim, synced=tuple(counts)))
        for seed in range(3):
            found = verify.json(*counts, "--seed", str(seed), requests=9)
            assert [one_list(found, name)["read"] for name in counts] == ["pages", "pages"]
            assert (wrong(found), [one["notes"] for one in found["lists"][:2]]) == ({}, [[], []])
