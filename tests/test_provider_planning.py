"""What a provider has on offer, and when and where it meets."""

from collections import Counter, defaultdict
from datetime import time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.provider_rows import (
    TODAY,
    Provider,
    day,
    local,
    provider,
)


@pytest.fixture(scope="module")
def world() -> Provider:
    return provider()


# ---- What is on offer


def test_prices_follow_from_the_course(world: Provider) -> None:
    for planned in world.rows("planned_courses"):
        course = world.get("courses", planned["course_id"])
        cost = Decimal(course["cost"]) * Decimal(planned["cost_multiplier"] or 1)
        assert abs(Decimal(planned["cost"]) - cost) < Decimal("0.01")
        assert planned["payable"] == (cost > 0)
    for product in world.rows("catalog_products"):
        table = {"Course": "courses", "Program::Program": "programs"}[product["productable_type"]]
        sold = world.get(table, product["productable_id"])
        assert [product[n] for n in ("name", "cost", "category_id")] == [
            sold[n] for n in ("name", "cost", "category_id")
        ]
    for variant in world.rows("catalog_variants"):
        if variant["variantable_type"] == "PlannedCourse":
            planned = world.get("planned_courses", variant["variantable_id"])
            product = world.get("catalog_products", variant["product_id"])
            assert planned["course_id"] == product["productable_id"]
            names = ("cost", "cost_scheme", "currency")
            assert [variant[n] for n in names] == [planned[n] for n in names]
            assert variant["properties"]["start_date"] == planned["start_date"]


def test_status_of_planned_courses_follows_from_their_dates(world: Provider) -> None:
    for row in world.rows("planned_courses"):
        start, end = day(row["start_date"]), row["end_date"] and day(row["end_date"])
        if row["type"] == "FlexiblePlannedCourse":
            assert end is None
            assert row["duration_in_days"]
        else:
            assert start <= end
            assert row["duration_in_days"] == (end - start).days + 1
            expected = "completed" if end < TODAY else "active" if start <= TODAY else "planned"
            assert row["status"] in (expected, "canceled")
        assert row["status"] in ("planned", "active") or row["availability_state"] == "closed"
        assert start.weekday() < 5
        assert day(row["created_at"]) < start
        room = row["max_participants"]
        assert room is None or row["min_participants"] <= room


def test_counts_are_those_of_the_enrollments(world: Provider) -> None:
    for row in world.rows("planned_courses"):
        found = world.by("enrollments", "planned_course_id")[row["id"]]
        taken = sum(enrollment["status"] != "canceled" for enrollment in found)
        assert row["current_participants"] == taken
        assert row["confirmed_active_and_completed_enrollments_count"] == taken
        requested = [
            order["number_of_students"]
            for order in world.rows("orders")
            if order["status"] == "requested" and world.ordered(order) == row
        ]
        assert row["requested_enrollments_count"] == sum(requested)
        room = row["max_participants"]
        assert row["available_places"] == (room is None or taken < room)
        assert taken <= (room or 25)
    for variant in world.rows("catalog_variants"):
        tables = {"PlannedCourse": "planned_courses", "Program::Edition": "program_editions"}
        sold = world.get(tables[variant["variantable_type"]], variant["variantable_id"])
        room = sold["max_participants"]
        left = 0 if room is None else max(room - sold["current_participants"], 0)
        assert variant["available_places"] == left
        assert (variant["availability"] == "not_available") == (room is not None and not left)


def test_courses_are_neither_empty_nor_overfull(world: Provider) -> None:
    over = [
        row
        for row in world.rows("planned_courses")
        if row["status"] == "completed" and row["max_participants"]
    ]
    shares = [row["current_participants"] / row["max_participants"] for row in over]
    assert 0.3 < sum(shares) / len(shares) < 0.9
    assert max(shares) <= 1


# ---- Meetings


def test_meetings_lie_within_their_course(world: Provider) -> None:
    for meeting in world.rows("meetings"):
        planned = world.planned(meeting)
        begin = local(meeting["start_date_time"]).date()
        assert day(planned["start_date"]) <= begin
        assert begin <= day(planned["end_date"])
        assert meeting["created_at"] < meeting["start_date_time"]


def test_meetings_lie_in_local_office_hours(world: Provider) -> None:
    offsets = set()
    for meeting in world.rows("meetings"):
        begin, end = (local(meeting[f"{edge}_date_time"]) for edge in ("start", "end"))
        assert begin.weekday() < 5
        assert begin.date() == end.date()
        assert time(9) <= begin.time() < end.time() <= time(17)
        assert end - begin in (timedelta(hours=3.5), timedelta(hours=7.5))
        offsets.add(begin.utcoffset())
    assert len(offsets) == 2


def test_teachers_of_a_meeting_teach_its_course(world: Provider) -> None:
    team = defaultdict(set)
    for row in world.rows("teacher_enrollments"):
        team[row["planned_course_id"]].add(row["teacher_id"])
    attended = 0
    for meeting in world.rows("meetings"):
        teachers = [row["teacher_id"] for row in meeting["planning_attendees"]]
        assert len(teachers) == len(set(teachers))
        assert set(teachers) <= team[meeting["planned_course_id"]]
        attended += bool(teachers)
    assert attended > 0.7 * len(world.rows("meetings"))
    for event in world.rows("planning_events"):
        meeting = world.get("meetings", event["meeting_id"])
        teachers = {row["teacher_id"] for row in event["planning_attendees"]}
        assert teachers <= team[meeting["planned_course_id"]]


def test_teachers_work_as_much_as_one_can(world: Provider) -> None:
    hours: Counter[Any] = Counter()
    for meeting in world.rows("meetings"):
        begin, end = (local(meeting[f"{edge}_date_time"]) for edge in ("start", "end"))
        for row in meeting["planning_attendees"]:
            hours[row["teacher_id"], begin.year, begin.month] += int((end - begin).seconds / 3600)
    assert max(hours.values()) < 120
    assert len({teacher for teacher, *_ in hours}) > 8


def test_events_are_where_and_when_their_meeting_is(world: Provider) -> None:
    for event in world.rows("planning_events"):
        meeting = world.get("meetings", event["meeting_id"])
        for name in ("start_date_time", "end_date_time"):
            assert local(event[name]) == local(meeting[name])
        assert event["meeting_location_id"] == meeting["meeting_location_id"]


def test_rooms_are_at_the_location_of_the_course(world: Provider) -> None:
    for meeting in world.rows("meetings"):
        planned = world.planned(meeting)
        for ident in meeting["planning_meeting_location_ids"]:
            room = world.get("meeting_locations", ident)
            assert planned["course_location_id"] in (None, room["course_location_id"])
            assert (room["capacity"] or 60) >= (planned["max_participants"] or 25)


def test_conflicts_are_of_two_meetings_that_want_the_same_at_once(world: Provider) -> None:
    for row in world.rows("planning_conflicts"):
        both = [world.get("meetings", row[f"{w}_id"]) for w in ("event", "conflicting_event")]
        assert both[0] != both[1]
        for meeting in both:
            wanted = {("Teacher", who["teacher_id"]) for who in meeting["planning_attendees"]}
            wanted |= {("MeetingLocation", n) for n in meeting["planning_meeting_location_ids"]}
            booked = meeting.get("planning_materials") or []
            wanted |= {("Material", thing["material_id"]) for thing in booked}
            assert (row["resource_type"], row["resource_id"]) in wanted
        begin = max(meeting["start_date_time"] for meeting in both)
        end = min(meeting["end_date_time"] for meeting in both)
        assert (row["start_date_time"], row["end_date_time"]) == (begin, end)
        assert begin < end
