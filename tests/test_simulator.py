"""The simulator behaves like the API: plain HTTP requests, no project client."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, get_args

import httpx
import pytest

from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import COVERED, ENDPOINTS
from sources.eduframe_simulator import ABSENT, Fault, Request, Simulator
from sources.eduframe_simulator.server.faults import Kind
from tests.truth import Table, expected_tables

CLIENT = httpx.Client(timeout=5)


@pytest.fixture(scope="module")
def shared_sim() -> Iterator[Simulator]:
    """For tests that only read."""
    with Simulator(requests_per_window=100_000) as sim:
        yield sim


@pytest.fixture(scope="module")
def small_sim() -> Iterator[Simulator]:
    with Simulator(scale=0.05, requests_per_window=100_000) as sim:
        yield sim


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(requests_per_window=100_000) as sim:
        yield sim


def get(sim: Simulator, path: str, **options: Any) -> httpx.Response:
    options.setdefault("headers", {"Authorization": f"Bearer {sim.token}"})
    url = path if path.startswith("http") else sim.base_url + path
    return CLIENT.get(url, **options)


def read(sim: Simulator, path: str) -> list[Any]:
    """A paged list to its end."""
    rows: list[Any] = []
    following: str | None = path
    while following:
        response = get(sim, following)
        assert response.status_code == 200, response.text
        rows += response.json()
        following = response.links.get("next", {}).get("url")
    return rows


@pytest.fixture(scope="module")
def truth(shared_sim: Simulator) -> dict[str, Table]:
    return expected_tables(shared_sim, include={endpoint.table for endpoint in ENDPOINTS})


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.table)
def test_every_list_has_rows_that_fit_its_model_and_have_unique_keys(
    shared_sim: Simulator, truth: dict[str, Table], endpoint: Endpoint
) -> None:
    rows = shared_sim.rows(endpoint.table)
    assert rows
    if endpoint.tree is None:
        known = endpoint.row.model_fields.keys()
        assert all(row.keys() <= known and endpoint.row.model_validate(row) for row in rows)
    table = truth[endpoint.table]
    if endpoint.key[0] in table[0]:
        keys = Counter(tuple(row[column] for column in endpoint.key) for row in table)
        assert set(keys.values()) == {1}


def test_every_table_of_the_truth_has_rows(truth: dict[str, Table]) -> None:
    assert [table for table, rows in truth.items() if not rows] == []


@pytest.mark.parametrize("paging", ["cursor", "page"])
def test_a_paged_list_is_read_whole_in_pages_of_100(paging: Any) -> None:
    with Simulator(paging=paging) as sim:
        assert read(sim, "/users?per_page=100") == sim.rows("users")
        assert len(sim.requests) == 3
        assert paging in sim.requests[-1].query
        assert len(get(sim, "/users").json()) == 25


def test_unpaged_lists_and_lists_under_a_parent(shared_sim: Simulator) -> None:
    sim = shared_sim
    paid = Counter(row["invoice_id"] for row in sim.rows("payments"))
    invoice_id, count = paid.most_common(1)[0]
    response = get(sim, f"/invoices/{invoice_id}/payments")
    assert len(response.json()) == count
    assert response.json() == sim.served(f"/invoices/{invoice_id}/payments")
    assert get(sim, f"/invoices/{invoice_id}/payments?per_page=100").status_code == 400
    assert get(sim, "/invoices/999999999/payments").status_code == 404
    assert get(sim, "/custom/users/associations").json()
    assert get(sim, "/custom/orders/associations").status_code == 404
    assert len(get(sim, "/custom/users/fields/t-shirt%20size/options").json()) > 0
    assert get(sim, "/custom/users/fields/birthday/options").status_code == 404
    assert get(sim, "/custom/rooms/fields/type/options").json()
    assert get(sim, "/custom/objects").json()[0].keys().isdisjoint({"fields"})
    assert get(sim, "/custom/objects/rooms").json().keys().isdisjoint({"slug"})
    assert get(sim, "/educators/current").json()["id"] == 1


def test_covered_lists_repeat_the_rows_of_others(shared_sim: Simulator) -> None:
    sim = shared_sim
    meeting = next(row for row in sim.rows("meetings") if row.get("planning_materials"))
    planned = meeting["planned_course_id"]
    assert get(sim, f"/meetings/{meeting['id']}/materials").json() == meeting["planning_materials"]
    assert meeting in get(sim, f"/planned_courses/{planned}/meetings").json()
    course = sim.rows("planned_courses")[0]["course_id"]
    for path in (covered.path for covered in COVERED):
        if path.startswith("/courses"):
            rows = read(sim, path.format(course_id=course))
            assert {row["course_id"] for row in rows} == {course}


def test_item_paths(shared_sim: Simulator) -> None:
    order, payment = shared_sim.rows("orders")[3], shared_sim.rows("payments")[3]
    assert get(shared_sim, f"/orders/{order['id']}").json() == order
    assert get(shared_sim, f"/payments/{payment['id']}").json() == payment
    missing = get(shared_sim, "/orders/999999999")
    assert missing.status_code == 404
    assert missing.json() == {"errors": {}, "code": 404, "message": "Not Found"}
    records = shared_sim.served("/custom/objects/rooms/records") or []
    assert get(shared_sim, "/custom/objects/rooms/records/1").json() == records[0]


def test_filters_and_sorts(shared_sim: Simulator) -> None:
    sim = shared_sim
    orders = sorted(sim.rows("orders"), key=lambda row: (row["created_at"], -row["id"]))
    newest = read(sim, "/orders?sort=created_at:desc&per_page=100")
    assert newest == orders[::-1]
    moment = orders[100]["created_at"]
    later = read(sim, f"/orders?created_at_after={moment}&per_page=100")
    assert {row["id"] for row in later} == {
        row["id"] for row in orders if row["created_at"] > moment
    }
    statuses = {row["status"] for row in read(sim, "/invoices?status=open&status=paid")}
    assert statuses == {"open", "paid"}
    assert all(row["status"] != "canceled" for row in read(sim, "/enrollments?with_canceled=false"))
    first, second = (row["id"] for row in sim.rows("teachers")[:2])
    assert [row["id"] for row in read(sim, f"/teachers?id={second}&id={first}")] == [first, second]


@pytest.mark.parametrize(
    "query",
    [
        *("updated_at_after=2026-01-01", "status[]=open", "status=bogus", "account_id=x"),
        *("per_page=101", "per_page=10&per_page=20", "page=0", "cursor=x", "page=1&cursor=x"),
    ],
)
def test_parameters_that_the_api_does_not_know_are_refused(
    shared_sim: Simulator, query: str
) -> None:
    assert get(shared_sim, f"/invoices?{query}").status_code == 400


def test_the_cursor_holds_its_place_while_rows_come_and_go(sim: Simulator) -> None:
    before = sim.rows("users")
    first = get(sim, "/users?per_page=100")
    sim.delete("users", before[5]["id"])
    sim.delete("users", before[99]["id"])
    added = sim.add("users")
    assert read(sim, first.links["next"]["url"]) == [*before[100:], added]
    sim.expire_cursors()
    assert get(sim, first.links["next"]["url"]).status_code == 400


def test_page_numbers_shift_when_a_row_goes() -> None:
    with Simulator(paging="page") as sim:
        before = sim.rows("users")
        first = get(sim, "/users?per_page=100")
        sim.delete("users", before[5]["id"])
        assert read(sim, first.links["next"]["url"]) == before[101:]


def test_a_wrong_token_and_a_wrong_path(sim: Simulator) -> None:
    wrong = get(sim, "/users", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == wrong.json()["code"] == 401
    assert get(sim, "/nothing").status_code == 404
    assert get(sim, sim.base_url.removesuffix("/v1") + "/users").status_code == 404
    assert [request.status for request in sim.requests] == [401, 404, 404]


def test_the_rate_limit_slides() -> None:
    with Simulator(requests_per_window=3, window_seconds=1) as sim:
        start = time.monotonic()
        assert [get(sim, "/labels").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = get(sim, "/labels")
        assert refused.headers["Retry-After"] == "1"
        time.sleep(max(0.0, start + 1.2 - time.monotonic()))
        assert get(sim, "/labels").status_code == 200


def test_rows_are_added_changed_and_deleted(sim: Simulator) -> None:
    enrollment = sim.rows("enrollments")[0]
    quiet = sim.change("enrollments", enrollment["id"], touch=False, grade=ABSENT)
    assert "grade" not in quiet
    assert quiet["updated_at"] == enrollment["updated_at"]
    moved = sim.change("enrollments", enrollment["id"], end_date=None)
    served = get(sim, f"/enrollments/{enrollment['id']}").json()
    date = parsedate_to_datetime(get(sim, "/labels").headers["Date"])
    assert moved == served
    assert abs(datetime.fromisoformat(served["updated_at"]) - date).total_seconds() < 2
    assert date >= datetime(2026, 6, 1, tzinfo=UTC)

    invoice = sim.add("invoices", description="new")
    payment = sim.add("payments", invoice_id=invoice["id"])
    assert sim.served(f"/invoices/{invoice['id']}/payments") == [payment]
    sim.delete("invoices", invoice["id"])
    assert sim.served(f"/invoices/{invoice['id']}/payments") is None
    assert payment not in sim.rows("payments")

    record = sim.add("custom_records", object_slug="rooms")
    sim.change("custom_records", ("rooms", record["id"]), active=False)
    sim.delete("custom_field_options", ("users", "diet", 1))
    pair = sim.rows("organization_accounts")[0]
    sim.delete("organization_accounts", (pair["organization_id"], pair["account_id"]))
    assert pair not in sim.rows("organization_accounts")
    with pytest.raises(KeyError):
        sim.delete("orders", -1)
    for endpoint in ENDPOINTS:
        if not endpoint.single:
            assert sim.add(endpoint.table) in sim.rows(endpoint.table)


def test_a_hook_can_change_rows_while_they_are_read(sim: Simulator) -> None:
    label = sim.rows("labels")[0]

    def rename(request: Request) -> None:
        sim.change("labels", label["id"], name="hooked")

    sim.before_response = rename
    assert get(sim, "/labels").json()[0]["name"] == "hooked"


def test_forbidden_lists(sim: Simulator) -> None:
    sim.forbid("orders")
    sim.forbid("custom_objects", 404)
    assert get(sim, "/orders").status_code == 403
    assert get(sim, "/custom/objects/rooms").status_code == 404
    assert expected_tables(sim)["order_items"] == []
    sim.allow("orders")
    assert get(sim, "/orders").status_code == 200


def test_the_data_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    one, same, other = (Simulator(seed, scale=0.3) for seed in (7, 7, 8))
    for endpoint in ENDPOINTS:
        assert one.rows(endpoint.table) == same.rows(endpoint.table)
    assert one.rows("users") != other.rows("users")


def test_scale_and_counts() -> None:
    empty = Simulator(scale=0, counts={"orders": 120})
    lengths = {endpoint.table: len(empty.rows(endpoint.table)) for endpoint in ENDPOINTS}
    assert {table: n for table, n in lengths.items() if n} == {"educators": 1, "orders": 120}
    assert len(Simulator(scale=2).rows("enrollments")) == 1800
    with pytest.raises(ValueError, match="ordres"):
        Simulator(counts={"ordres": 5})


def test_the_data_hangs_together(truth: dict[str, Table]) -> None:
    tables = truth
    by_id = {
        table: {row["id"]: row for row in rows}
        for table, rows in tables.items()
        if rows and "id" in rows[0]
    }
    planned = Counter(
        row["planned_course_id"] for row in tables["enrollments"] if row["status"] != "canceled"
    )
    assert all(
        row["current_participants"] == planned[row["id"]] for row in tables["planned_courses"]
    )
    for row in tables["attendances"]:
        meeting = by_id["meetings"][row["meeting_id"]]
        enrollment = by_id["enrollments"][row["enrollment_id"]]
        assert meeting["planned_course_id"] == enrollment["planned_course_id"]
    for invoice in tables["invoices"]:
        items = [row for row in tables["invoice_items"] if row["invoice_id"] == invoice["id"]]
        assert invoice["total_excl"] == sum(row["units"] * row["unit_price"] for row in items)
        paid = [
            row["amount"]
            for row in tables["payments"]
            if row["invoice_id"] == invoice["id"] and row["status"] == "paid"
        ]
        assert not paid or sum(paid) == invoice["total_incl"] - invoice["total_open"]
    assert {row["order_id"] for row in tables["order_items"]} <= by_id["orders"].keys()
    judged = Counter(row["graduation_state"] for row in tables["enrollments"])
    assert judged["passed"] > judged["failed"] > 0
    assert any(row["id"] > 2**31 for row in tables["invoices"])


def test_the_truth_of_one_awkward_row(sim: Simulator) -> None:
    values = {"a": [None, "x", 1.5], "b": "2026-02-30", "c": "2026-02-28", "d": None, "e": True}
    user = sim.add("users", custom=values, roles=["student", "admin"], label_ids=[5, 5, 3])
    tables = expected_tables(sim)
    none = dict.fromkeys(("value_text", "value_number", "value_boolean", "value_date"))
    owner = {"owner_table": "users", "owner_id": user["id"]}
    assert [row for row in tables["custom_values"] if row.items() >= owner.items()] == [
        owner | none | {"slug": "a", "position": 1, "value_text": "x"},
        owner | none | {"slug": "a", "position": 2, "value_number": Decimal("1.5")},
        owner | none | {"slug": "b", "position": 0, "value_text": "2026-02-30"},
        owner | none | {"slug": "c", "position": 0, "value_date": datetime(2026, 2, 28).date()},
        owner | none | {"slug": "e", "position": 0, "value_boolean": True},
    ]
    ident = {"user_id": user["id"]}
    assert [row for row in tables["user_labels"] if row.items() >= ident.items()] == [
        ident | {"label_id": 5},
        ident | {"label_id": 3},
    ]
    assert [row for row in tables["user_roles"] if row.items() >= ident.items()] == [
        ident | {"position": 0, "value": "student"},
        ident | {"position": 1, "value": "admin"},
    ]
    assert tables["users"][-1]["custom"] == values


FAULTS = {
    Fault("status", status=503): 503,
    Fault("too_many", retry_after=3): 429,
    Fault("redirect"): 302,
    Fault("empty"): b"",
    Fault("html"): b"<!DOCTYPE",
    Fault("object"): b'{"data":',
    Fault("cut_json"): b"[{",
    Fault("tamper", tamper=lambda rows: [*rows, 3]): b"[{",
    Fault("link_loop"): b"[{",
    Fault("link_anew"): b"[{",
    Fault("no_link"): b"[{",
    Fault("link_elsewhere"): b"[{",
    Fault("stall", seconds=0.1): b"[{",
    Fault("stall_body", seconds=0.1): b"[{",
    Fault("bad_gzip"): httpx.DecodingError,
    Fault("reset"): httpx.NetworkError,
    Fault("reset_body"): httpx.NetworkError,
    Fault("short_body"): httpx.RemoteProtocolError,
}


@pytest.mark.parametrize(("fault", "outcome"), FAULTS.items(), ids=lambda x: getattr(x, "kind", ""))
def test_faults(small_sim: Simulator, fault: Fault, outcome: Any) -> None:
    sim = small_sim
    sim.clear_requests()
    sim.inject(fault)
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            get(sim, "/labels")
    else:
        response = get(sim, "/labels")
        if isinstance(outcome, bytes):
            assert response.content.startswith(outcome)
        assert response.status_code in (outcome, 200)
        assert ("next" in response.links) == fault.kind.startswith("link")
    assert get(sim, "/labels").json() == sim.rows("labels")
    assert [request.fault for request in sim.requests] == [fault.kind, None]


def test_every_kind_of_fault_is_tested() -> None:
    assert {fault.kind for fault in FAULTS} == set(get_args(Kind))


def test_faults_strike_by_path_and_after_others(sim: Simulator) -> None:
    sim.inject(Fault("status", path="/users*", after=1, times=2, status=502))
    sim.inject(Fault("status", path="/orders", after=1, times=None, status=401))
    assert [get(sim, "/users").status_code for _ in range(4)] == [200, 502, 502, 200]
    assert [get(sim, "/orders").status_code for _ in range(4)] == [200, 401, 401, 401]
    sim.clear_faults()
    assert get(sim, "/orders").status_code == 200


def test_it_stops_and_goes_on_at_the_same_port(sim: Simulator) -> None:
    url = sim.base_url
    with httpx.Client(headers={"Authorization": f"Bearer {sim.token}"}) as client:
        assert client.get(f"{url}/labels").status_code == 200
        sim.stop()
        with pytest.raises(httpx.TransportError):
            client.get(f"{url}/labels")
        sim.start()
        assert client.get(f"{url}/labels").status_code == 200
