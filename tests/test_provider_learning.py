"""Enrollments, attendance, results and programs of a provider."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from sources.eduframe_simulator.provider.values import timestamp
from tests.provider_rows import AS_OF, TODAY, Provider, day, local, provider


@pytest.fixture(scope="module")
def world() -> Provider:
    return provider()


# ---- Learning


def test_enrollments_are_made_before_the_course_begins(world: Provider) -> None:
    for row in world.rows("enrollments"):
        planned = world.planned(row)
        assert row["start_date"] <= (row["end_date"] or row["start_date"])
        if planned["type"] == "FixedPlannedCourse":
            assert (row["start_date"], row["end_date"]) == (
                planned["start_date"],
                planned["end_date"],
            )
    early = [row["created_at"][:10] <= row["start_date"] for row in world.rows("enrollments")]
    assert sum(early) > 0.95 * len(early)


def test_status_of_enrollments_follows(world: Provider) -> None:
    known = {"planned": "confirmed", "active": "active", "completed": "completed"}
    for row in world.rows("enrollments"):
        planned = world.planned(row)
        if planned["type"] == "FixedPlannedCourse":
            assert row["status"] in (known.get(planned["status"]), "canceled")
        if row["status"] == "completed":
            assert day(row["end_date"]) < TODAY
        if row["graduation_state"] != "awaiting_judgement":
            assert row["status"] == "completed"


def test_nobody_is_twice_in_a_course(world: Provider) -> None:
    places = Counter(
        (row["student_id"], row["planned_course_id"]) for row in world.rows("enrollments")
    )
    assert max(places.values()) == 1


def test_enrollments_follow_their_orders(world: Provider) -> None:
    places: Counter[Any] = Counter()
    for row in world.rows("enrollments"):
        if row["order_id"] is not None:
            order = world.get("orders", row["order_id"])
            planned = world.ordered(order)
            assert planned["id"] == row["planned_course_id"]
            assert row["student_id"] in {item["student_id"] for item in order["order_items"]}
            wait = local(row["created_at"]) - local(order["created_at"])
            assert timedelta(0) <= wait < timedelta(days=1)
            assert order["status"] == "active" or row["status"] == "canceled"
            places[order["id"]] += 1
    for order in world.rows("orders"):
        if order["status"] == "active" and world.ordered(order):
            assert places[order["id"]] == order["number_of_students"]


def test_attendances_are_of_participants_of_the_course(world: Provider) -> None:
    pairs = set()
    for row in world.rows("attendances"):
        meeting = world.get("meetings", row["meeting_id"])
        enrollment = world.get("enrollments", row["enrollment_id"])
        assert meeting["planned_course_id"] == enrollment["planned_course_id"]
        assert enrollment["status"] != "canceled"
        if row["state"] != "blanco":
            assert meeting["end_date_time"] <= timestamp(AS_OF)
            assert row["updated_at"] >= meeting["end_date_time"]
        pairs.add((row["meeting_id"], row["enrollment_id"]))
    assert len(pairs) == len(world.rows("attendances"))


def test_attendance_is_kept_for_all_who_take_part_since_it_began(world: Provider) -> None:
    taking_part = Counter(
        row["planned_course_id"] for row in world.rows("enrollments") if row["status"] != "canceled"
    )
    kept = Counter(row["meeting_id"] for row in world.rows("attendances"))
    meetings = [world.get("meetings", ident) for ident in kept]
    began = min(meeting["start_date_time"] for meeting in meetings)
    for meeting in world.rows("meetings"):
        if meeting["start_date_time"] > began:
            assert kept[meeting["id"]] == taking_part[meeting["planned_course_id"]]


def test_grades_are_on_the_scale_and_agree_with_the_result(world: Provider) -> None:
    graders = {
        (row["planned_course_id"], row["teacher_id"]) for row in world.rows("teacher_enrollments")
    }
    for table in ("enrollments", "program_enrollments"):
        for row in world.rows(table):
            grade = row.get("grade")
            if not grade:
                continue
            assert grade["gradeable_id"] == row["id"]
            assert grade["result"] == row["graduation_state"] in ("passed", "failed")
            if grade["grade"] is not None and grade["score"] is not None:
                assert Decimal(grade["grade"]) * 10 == Decimal(grade["score"])
                assert 1 <= Decimal(grade["grade"]) <= 10
                passed = Decimal(grade["grade"]) >= Decimal("5.5")
                assert passed == (row["graduation_state"] == "passed")
            if table == "enrollments":
                assert (row["planned_course_id"], grade["grader_id"]) in graders
                assert grade["created_at"][:10] >= row["end_date"]


def test_certificates_and_credits_are_for_what_was_passed(world: Provider) -> None:
    tables = {"course_enrollment": "enrollments", "program_enrollment": "program_enrollments"}
    done = Counter()
    for row in world.rows("certificates"):
        table = tables.get(row["certifiable_type"])
        if table:
            passed = world.get(table, row["certifiable_id"])
            assert passed["graduation_state"] == "passed"
            ended = passed["end_date"] if table == "enrollments" else passed["graduation_date"]
            assert row["created_at"][:10] > ended
            done[table, passed["id"]] += 1
    assert max(done.values()) == 1
    for row in world.rows("credits"):
        if row["enrollment_id"] is not None:
            enrollment = world.get("enrollments", row["enrollment_id"])
            assert enrollment["graduation_state"] == "passed"
            assert row["student_id"] == enrollment["student_id"]
            assert row["course_id"] in (None, world.planned(enrollment)["course_id"])


# ---- Programs


def test_program_elements_lie_in_their_edition(world: Provider) -> None:
    for row in world.rows("program_elements"):
        if row["planned_course_id"] is not None:
            planned = world.planned(row)
            assert planned["course_id"] == row["course_id"]
            assert (
                planned["start_date"]
                >= world.get("program_editions", row["edition_id"])["start_date"]
            )


def test_elements_of_personal_programs_belong_to_their_student(world: Provider) -> None:
    filled = 0
    for row in world.rows("personal_program_elements"):
        student = world.get("program_enrollments", row["enrollment_id"])
        if row["element_id"] is not None:
            element = world.get("program_elements", row["element_id"])
            assert element["edition_id"] == student["edition_id"]
            assert element["course_id"] == row["course_id"]
        if row["course_enrollment_id"] is not None:
            taken = world.get("enrollments", row["course_enrollment_id"])
            assert taken["student_id"] == student["student_id"]
            assert world.planned(taken)["course_id"] == row["course_id"]
            filled += 1
    assert filled > 20


def test_programs_are_passed_by_those_who_take_part(world: Provider) -> None:
    for row in world.rows("program_enrollments"):
        passed = row["graduation_state"] == "passed"
        assert passed == (row["graduation_date"] is not None)
        if passed:
            edition = world.get("program_editions", row["edition_id"])
            assert row["state"] == "confirmed"
            assert edition["start_date"] < row["graduation_date"] < TODAY.isoformat()
        if row["order_id"] is not None:
            order = world.get("orders", row["order_id"])
            variant = world.get("catalog_variants", order["catalog_variant_id"])
            assert variant["variantable_id"] == row["edition_id"]
            assert row["student_id"] in {item["student_id"] for item in order["order_items"]}
    places = Counter(
        (row["edition_id"], row["student_id"]) for row in world.rows("program_enrollments")
    )
    assert max(places.values()) == 1
