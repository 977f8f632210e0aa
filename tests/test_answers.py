"""The numbers of the views for analysts are right: each is worked out once more, in Python."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipelines.eduframe.views.files import written_views
from sources.eduframe_simulator import Simulator
from sources.eduframe_simulator.provider.values import timestamp
from tests import answers
from tests.answers import World
from tests.conftest import BOTH
from tests.truth import expected_tables
from tests.warehouses import PLENTY, Home, Warehouse

MEASURES = sorted(view.name for view in written_views() if view.kind == "measure")
VIEWS = "eduframe_views"
LISTS = (
    "accounts", "affiliations", "attendances", "catalog_products", "catalog_variants",
    "categories", "certificates", "course_locations", "courses", "credits", "educators",
    "enrollments", "invoice_vats", "invoices", "labels", "leads", "meetings", "meeting_locations",
    "orders", "payments", "planned_courses", "planning_events", "program_editions",
    "program_enrollments", "programs", "signup_questions", "teacher_enrollments", "teachers",
    "users",
)
"""Those that the views read, but for some that only give names."""


@pytest.fixture(scope="module", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def full(
    tmp_path_factory: pytest.TempPathFactory, home: Home, destination: str
) -> Iterator[Warehouse]:
    """A warehouse with all that makes counting hard: synced, then with rows deleted."""
    with Simulator(seed=7, scale=0.2, requests_per_window=PLENTY) as sim:
        _complicate(sim)
        warehouse = home.make(destination, sim, tmp_path_factory.mktemp("answers"), views="on")
        reports = [warehouse.sync(*LISTS)]
        deleted = _delete(sim)
        # with the payments, as those of a deleted invoice are gone with it
        reports.append(warehouse.sync(*deleted, "payments", reconcile=True))
        assert [note for report in reports for note in report.notes if "view" in note] == []
        with warehouse.reading():
            yield warehouse


@pytest.fixture(scope="module")
def world(full: Warehouse) -> World:
    return World(full.sim)


def _complicate(sim: Simulator) -> None:
    today = datetime.now(UTC).date()
    _invoices(sim, today)
    planned = sim.rows("planned_courses")
    for days, row in zip((0, 1, 40, 91, 92, -1), planned, strict=False):
        start = (today + timedelta(days=days)).isoformat()
        sim.change(
            "planned_courses", row["id"], start_date=start, end_date=start, status="planned",
            availability_state="open", max_participants=None if days == 40 else 2,
        )
    sim.change("planned_courses", planned[6]["id"], status="canceled")
    _meetings(sim, [row["id"] for row in planned[:8]])
    orders = sim.rows("orders")
    for row, created in zip(orders, ("2025-12-31T23:30:00.000Z", "2025-12-31T22:30:00.000Z"),
                            strict=False):
        sim.change("orders", row["id"], created_at=created, status="active")
    sim.change("orders", orders[2]["id"], order_items=[])
    for row, grade in zip(
        (r for r in sim.rows("enrollments") if r.get("grade") and r["status"] == "completed"),
        ("8,5", "B+", " 7 ", "9.25"), strict=False,
    ):
        sim.change("enrollments", row["id"], grade={**row["grade"], "grade": grade})
    for row in [r for r in sim.rows("enrollments") if r["status"] == "canceled"][-2:]:
        sim.change("enrollments", row["id"], start_date=None)
    for lead, order in zip(sim.rows("leads")[:8], orders[3:], strict=False):
        before = datetime.fromisoformat(order["created_at"]) - timedelta(days=lead["id"] % 60)
        sim.change("leads", lead["id"], account_id=order["account_id"],
                   created_at=timestamp(before))
    for lead in sim.rows("leads")[2:4]:  # who do not say what they want
        sim.change("leads", lead["id"], lead_products=[], courses_leads=[])
    user = sim.rows("users")[3]
    sim.change("leads", sim.rows("leads")[0]["id"], email=user["email"].upper())


def _invoices(sim: Simulator, today: date) -> None:
    """Currencies, a credit note, due dates about today, payments in parts."""
    rows = sim.rows("invoices")
    for currency, row in zip(("USD", "GBP", "USD"), rows, strict=False):
        sim.change("invoices", row["id"], currency=currency)
    for payment in sim.rows("payments"):
        invoice = next(r for r in sim.rows("invoices") if r["id"] == payment["invoice_id"])
        sim.change("payments", payment["id"], currency=invoice["currency"])
    ages = (0, 1, 30, 31, 60, 61, 90, 91, -5, None)
    for age, row in zip(ages, rows[3:], strict=False):
        due = None if age is None else (today - timedelta(days=age)).isoformat()
        sim.change("invoices", row["id"], status="open", expiration_date=due,
                   total_open=row["total_incl"])
    vat = next(row for row in sim.rows("invoice_vats") if row["percentage"] == "21.0")["id"]
    line = {"id": 900_001, "name": "Credit", "units": -2, "unit_price": "100.0",
            "invoice_vat_id": vat, "catalog_variant_id": None,
            "created_at": rows[4]["created_at"], "updated_at": rows[4]["updated_at"]}
    sim.add("invoices", account_id=rows[4]["account_id"], order_id=None, status="open",
            currency="EUR", total_excl="-200.0", total_incl="-242.0", total_open="-242.0",
            opened_at="2026-05-31", expiration_date=today.isoformat(), invoice_items=[line])


TIMES = (
    ("2026-05-31T22:30:00.000Z", "2026-06-01T01:00:00.000Z"),  # of June, in Amsterdam
    ("2026-06-30T20:00:00.000Z", "2026-07-01T00:00:00.000Z"),  # over midnight, and the month's end
    ("2026-10-24T22:30:00.000Z", "2026-10-25T04:00:00.000Z"),  # the clock goes back meanwhile
    ("2026-03-28T22:30:00.000Z", "2026-03-29T03:30:00.000Z"),  # and forward
    ("2036-01-01T08:00:00.000Z", "2036-01-01T10:20:00.000Z"),  # to come
)


def _meetings(sim: Simulator, planned: list[int]) -> None:
    """Meetings at odd times, with a teacher twice, and events beside them."""
    one, other = (row["id"] for row in sim.rows("teachers")[:2])
    meetings = sim.rows("meetings")
    for nth, ((start, end), row) in enumerate(zip(TIMES, meetings, strict=False)):
        attendees = [
            {"id": 800_000 + 10 * nth + n, "attendable_id": row["id"], "comment": None,
             "attendable_type": "Meeting", "teacher_id": teacher, "teacher_role_id": None}
            for n, teacher in enumerate((one, one, other))
        ]
        sim.change("meetings", row["id"], start_date_time=start, end_date_time=end,
                   planned_course_id=planned[0], planning_attendees=attendees)
    sim.change("meetings", meetings[5]["id"], planned_course_id=planned[6])
    events = sim.rows("planning_events")
    for event, meeting in zip(events, (*meetings[:3], None), strict=False):
        attendees = [
            {"id": 810_000 + event["id"] * 10 + n, "attendable_id": event["id"], "comment": None,
             "attendable_type": "Planning::Event", "teacher_id": teacher, "teacher_role_id": None}
            for n, teacher in enumerate((one, other))
        ]
        sim.change("planning_events", event["id"], meeting_id=meeting and meeting["id"],
                   start_date_time=TIMES[0][0], end_date_time=TIMES[0][1],
                   planning_attendees=attendees)


def _delete(sim: Simulator) -> set[str]:
    """Delete rows with nested rows, and rows that others refer to. Returns their lists."""
    gone = (
        ("orders", 7), ("orders", 8), ("invoices", 20), ("meetings", 2), ("meetings", 30),
        ("enrollments", 5), ("enrollments", 6), ("leads", 5), ("users", 30),
        ("courses", 3), ("accounts", 4), ("certificates", 2), ("catalog_products", 2),
    )
    for table, nth in gone:
        sim.delete(table, sim.rows(table)[nth]["id"])
    return {table for table, _ in gone}


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str([*row.values()]))


def test_every_measure_has_an_answer_here() -> None:
    assert MEASURES
    assert all(callable(getattr(answers, name, None)) for name in MEASURES)


@pytest.mark.parametrize("measure", [name for name in MEASURES if name != "revenue_by_course"])
def test_measure(full: Warehouse, world: World, measure: str) -> None:
    expected = getattr(answers, measure)(world)
    assert expected
    columns = ", ".join(expected[0])
    found = full.query(f"SELECT {columns} FROM {VIEWS}.{measure}")
    assert _sorted(found) == _sorted(expected)


def test_revenue_by_course(full: Warehouse, world: World) -> None:
    """Its payments are shares of payments, which may differ by a cent."""
    expected = answers.revenue_by_course(world)
    columns = ", ".join(expected[0])
    found = full.query(f"SELECT {columns} FROM {VIEWS}.revenue_by_course")
    shares = [[row.pop("paid") for row in _sorted(rows)] for rows in (found, expected)]
    assert _sorted(found) == _sorted(expected)
    assert shares[0] == pytest.approx(shares[1], abs=Decimal("0.01"))
    assert len({row["currency"] for row in found}) == 3


def test_what_is_hard_to_count_is_there(world: World, full: Warehouse) -> None:
    """The world has what the tests are about."""
    assert any(float(row["total_incl"]) < 0 for row in world.rows("invoices"))
    assert {row["currency"] for row in world.rows("invoices")} == {"EUR", "USD", "GBP"}
    assert {r["state"] for r in world.rows("attendances")} >= {"absent", "absent_with_leave"}
    assert {r["status"] for r in world.rows("enrollments")} >= {"canceled", "completed"}
    reasons = {row["reason"] for row in answers.cancellations(world)}
    assert {"other", "course canceled"} <= reasons
    assert None in {row["month"] for row in answers.cancellations(world)}
    certain = {row["certainty"] for row in answers.leads_to_enrollments(world)}
    assert {"high", "none"} < certain
    for table in ("orders", "meetings", "enrollments", "invoices", "users"):
        assert full.query(f"SELECT 1 AS n FROM {table} WHERE _deleted_at IS NOT NULL"), table


def test_meetings_last_as_long_as_they_do_wherever_the_clock_is(
    full: Warehouse, world: World
) -> None:
    found = full.query(
        "SELECT meeting_id, day, CAST(starts_at AS VARCHAR) AS starts_at, hours, teacher_count "
        f"FROM {VIEWS}.fact_meetings"
    )
    teachers = [(kind, ident) for _, kind, ident in answers.taught(world)]
    expected = [
        {
            "meeting_id": row["id"],
            "day": world.day(row["start_date_time"]),
            "starts_at": world.local(row["start_date_time"]).strftime("%Y-%m-%d %H:%M:%S"),
            "hours": answers.hours_of(row),
            "teacher_count": teachers.count(("meeting", row["id"])),
        }
        for row in world.rows("meetings")
    ]
    assert _sorted(found) == _sorted(expected)
    hours = {(str(row["starts_at"]), str(row["hours"])) for row in found}
    assert {("2026-03-28 23:30:00", "5.00"), ("2026-06-01 00:30:00", "2.50")} <= hours


def test_each_teacher_counts_once_a_meeting(full: Warehouse, world: World) -> None:
    found = full.query(f"SELECT teacher_id, kind, hours FROM {VIEWS}.fact_teacher_hours")
    expected = [
        {"teacher_id": teacher, "kind": kind, "hours": answers.hours_of(event)}
        for (teacher, kind, _), event in answers.taught(world).items()
    ]
    assert _sorted(found) == _sorted(expected)
    assert {row["kind"] for row in found} == {"meeting", "planning event"}


def test_lines_of_an_order_add_up_to_it(full: Warehouse, world: World) -> None:
    found = full.query(
        "SELECT order_id, order_number, COUNT(*) AS lines, SUM(amount_excl) AS excl, "
        f"SUM(amount_incl) AS incl FROM {VIEWS}.fact_order_lines GROUP BY 1, 2"
    )
    expected = [
        {
            "order_id": row["id"],
            "order_number": str(row["number"]),
            "lines": max(len(row["order_items"] or []), 1),
            "excl": answers.money(row["total_cost_excl"]),
            "incl": answers.money(row["total_cost_incl"]),
        }
        for row in world.rows("orders")
    ]
    assert _sorted(found) == _sorted(expected)


def test_lines_of_invoices_know_their_product_by_line_or_order(
    full: Warehouse, world: World
) -> None:
    found = full.query(
        "SELECT invoice_id, product, product_from, amount_excl, amount_incl "
        f"FROM {VIEWS}.fact_invoice_lines"
    )
    expected = [
        {
            "invoice_id": row["id"],
            "product": line["product"].get("name"),
            "product_from": line["by"],
            "amount_excl": line["excl"],
            "amount_incl": line["incl"],
        }
        for row in world.rows("invoices")
        for line in answers.lines_of(world, row)
    ]
    assert _sorted(found) == _sorted(expected)
    assert {row["product_from"] for row in found} == {"line", "order", "neither"}


def test_living_views_hold_what_the_api_serves(full: Warehouse) -> None:
    expected = expected_tables(full.sim, only=LISTS)
    with full.reading():
        for table, rows in expected.items():
            keys = [name for name in (rows[0] if rows else ()) if name.endswith("id")]
            selected = ", ".join(f'"{name}"' for name in keys) or "1 AS n"
            found = full.query(f'SELECT {selected} FROM {VIEWS}."{table}"')
            wanted = [{name: row[name] for name in keys} or {"n": 1} for row in rows]
            assert _sorted(found) == _sorted(wanted), table


def test_custom_fields_have_columns_of_their_types(full: Warehouse, world: World) -> None:
    found = full.query(
        f"SELECT user_id, diet, diet_2, birthday, langues_parlees FROM {VIEWS}.users_custom"
    )
    expected = []
    for user in world.rows("users"):
        custom = user.get("custom") or {}
        spoken = [word for word in custom.get("langues parlées") or [] if word is not None]
        expected.append({
            "user_id": user["id"],
            "diet": custom.get("diet"),
            "diet_2": custom.get("Diet"),
            "birthday": answers.as_day(custom.get("birthday")),
            "langues_parlees": ", ".join(spoken) or None,
        })
    assert _sorted(found) == _sorted(expected)


def test_no_rows_give_no_answers(
    home: Home, destination: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Simulator(scale=0, requests_per_window=PLENTY) as sim:
        warehouse = home.make(destination, sim, tmp_path_factory.mktemp("empty"), views="on")
        assert not [note for note in warehouse.sync("labels").notes if "view" in note]
        with warehouse.reading():
            for view in written_views():
                rows = warehouse.query(f"SELECT * FROM {VIEWS}.{view.name}")
                assert bool(rows) == (view.name == "dim_dates"), view.name
