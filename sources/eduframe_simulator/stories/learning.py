"""Enrollments, attendances, grades, certificates, credits."""

from collections import defaultdict, deque
from datetime import date, datetime, timedelta
from typing import Any

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import Ident, JsonRow
from sources.eduframe_simulator.provider.values import ABSENT, born, timestamp
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories import people, planning

STATUS = {"completed": "completed", "active": "active", "planned": "confirmed"}


class Classes:
    """Who takes part in which planned course, while orders and enrollments are made."""

    def __init__(self) -> None:
        self.ordered: deque[tuple[JsonRow, int]] = deque()
        """Orders of planned courses, and a student of each, for whom no enrollment is made yet."""
        self.students: dict[Ident, set[int]] = defaultdict(set)

    def take(self, planned: JsonRow, students: list[int]) -> bool:
        """Give them places in a planned course, if there are some, and none has one yet."""
        there = self.students[planned.get("id")]
        if there.intersection(students) or len(there) + len(students) > planning.room(planned):
            return False
        there.update(students)
        return True


def classes(world: World) -> Classes:
    """Who takes part in what so far."""
    found: Classes = world.memo.setdefault("classes", Classes())
    return found


def enrollments(world: World, row: JsonRow, place: Place) -> None:
    """Students that were ordered for, and others, in planned courses with a place left."""
    places = classes(world).ordered
    order: JsonRow = {}
    due = places and places[0][0]["created_at"] <= row["created_at"]
    if due or (places and place.n - place.i <= len(places)):
        order, row["student_id"] = places.popleft()
        row["planned_course_id"] = _planned_of(world, order)
        wait = timedelta(hours=world.rng.choice((0.01, 0.05, 2, 20)))
        created = min(datetime.fromisoformat(order["created_at"]) + wait, world.now)
        born(row, timestamp(created))
    elif world.filling:
        _enroll_without_order(world, row)
    row["order_id"] = order.get("id")
    planned = world.get("planned_courses", row["planned_course_id"])
    _dates(world, row, planned)
    if order.get("status") == "canceled" or world.rng.random() < 0.06:
        row["status"] = "canceled"
    _judge_enrollment(world, row, planned)


def _planned_of(world: World, order: JsonRow) -> Any:
    return world.get("catalog_variants", order["catalog_variant_id"])["variantable_id"]


def _enroll_without_order(world: World, row: JsonRow) -> None:
    """Somebody who has no place there yet, in a planned course that has one."""
    ids = world.ids("planned_courses")
    row["student_id"] = people.student(world)
    for _ in range(20 if ids else 0):
        nth = planning.soon(world, row["created_at"])
        row["student_id"] = people.student(world)
        row["planned_course_id"] = world.pick("planned_courses") if nth is None else ids[nth]
        planned = world.get("planned_courses", row["planned_course_id"])
        if classes(world).take(planned, [row["student_id"]]):
            return


def _dates(world: World, row: JsonRow, planned: JsonRow) -> None:
    """The planned course's dates and status; in flexible ones the student's own."""
    row["start_date"] = planned.get("start_date") or row["start_date"]
    row["end_date"] = planned.get("end_date")
    row["status"] = STATUS.get(planned.get("status", "planned"), "canceled")
    if planned.get("type") == "FlexiblePlannedCourse" and planned["status"] != "canceled":
        enrolled = date.fromisoformat(row["created_at"][:10]) + timedelta(days=3)
        start = max(enrolled, date.fromisoformat(planned["start_date"]))
        end = start + timedelta(days=planning.STUDY_DAYS)
        row |= {"start_date": start.isoformat(), "end_date": end.isoformat()}
        begun = "active" if start <= world.today else "confirmed"
        row["status"] = "completed" if end < world.today else begun


def _judge_enrollment(world: World, row: JsonRow, planned: JsonRow) -> None:
    judged = row["status"] == "completed"
    teachers = [teacher for teacher, _ in planning.team(world, planned.get("id"))]
    judge(world, row, "Enrollment", judged=judged, graders=teachers)
    if isinstance(row.get("grade"), dict) and row["end_date"]:
        graded = date.fromisoformat(row["end_date"]) + timedelta(days=world.rng.randrange(1, 15))
        at = min(datetime.combine(graded, world.now.timetz()), world.now)
        row["grade"] |= {"created_at": timestamp(at), "updated_at": timestamp(at)}


def judge(
    world: World, row: JsonRow, kind: str, *, judged: bool, graders: list[int] | None = None
) -> None:
    """A graduation state, and mostly a grade that goes with it."""
    weights = (6, 14, 80) if judged else (1, 0, 0)
    row["graduation_state"] = world.rng.choices(
        ("awaiting_judgement", "failed", "passed"), weights
    )[0]
    if row["graduation_state"] == "awaiting_judgement":
        row["grade"] = world.rng.choice((ABSENT, ABSENT, None))
    elif row.get("grade") is not None:
        passed = row["graduation_state"] == "passed"
        score = world.rng.randrange(55, 101) if passed else world.rng.randrange(10, 55)
        row["grade"] |= {"result": row["graduation_state"], "gradeable_id": row["id"]}
        row["grade"] |= {"gradeable_type": kind, "grade": f"{score / 10:.1f}", "score": str(score)}
        row["grade"]["grader_id"] = world.rng.choice(graders or world.ids("teachers") or [1])
        if world.rng.random() < 0.1:
            row["grade"] |= {"grade": "B+" if passed else "D", "score": None}


def attendances(world: World, row: JsonRow, place: Place) -> None:
    """Each enrollment with each meeting of its planned course, once: the latest ``n`` of them."""
    if world.filling and "attendances" not in world.memo:
        pairs = _attendable(world)
        world.memo["attendances"] = iter(pairs[-place.n :])
    pair = next(world.memo.get("attendances", iter(())), None)
    now = begin = end = timestamp(world.now)
    if pair is not None:
        begin, meeting_id, row["enrollment_id"], end = pair
        row["meeting_id"] = meeting_id
    if begin >= now or end > now:
        row |= {"state": "blanco", "comment": None}
    else:
        states = ("attended", "late", "absent", "absent_with_leave", "blanco")
        row["state"] = world.rng.choices(states, (84, 5, 6, 3, 2))[0]
        if row["state"] == "attended":
            row["comment"] = None
    if pair is not None:
        sources = (("enrollments", row["enrollment_id"]), ("meetings", row["meeting_id"]))
        row["created_at"] = max(world.get(*source)["created_at"] for source in sources)
        row["updated_at"] = max(row["created_at"], end if end <= now else "")


def _attendable(world: World) -> list[tuple[str, int, int, str]]:
    """When which meeting begins, for which enrollment, and when it ends; in this order."""
    enrolled: dict[int, list[int]] = defaultdict(list)
    for enrollment in world.all("enrollments"):
        if enrollment["status"] != "canceled":
            enrolled[enrollment["planned_course_id"]].append(enrollment["id"])
    return sorted(
        (meeting["start_date_time"], meeting["id"], enrollment_id, meeting["end_date_time"])
        for meeting in world.all("meetings")
        for enrollment_id in enrolled[meeting["planned_course_id"]]
    )


Passed = tuple[str, str, int]
"""The day on which something was passed, of which kind it is, and its id."""


def _passed(world: World) -> list[Passed]:
    courses = [
        (row["end_date"], "course_enrollment", row["id"])
        for row in world.all("enrollments")
        if row["graduation_state"] == "passed" and row["end_date"]
    ]
    programs = [
        (row["graduation_date"], "program_enrollment", row["id"])
        for row in world.all("program_enrollments")
        if row["graduation_state"] == "passed"
    ]
    return sorted(courses + programs)


def _one_passed(world: World, row: JsonRow, place: Place) -> Passed | None:
    """The ``i``-th of ``n`` spread over all that were passed, each once; made some days later."""
    if not world.filling:
        return None
    if "passed" not in world.memo:
        world.memo["passed"] = _passed(world)
    passed: list[Passed] = world.memo["passed"]
    if place.n > len(passed):
        return None
    found = passed[place.i * len(passed) // place.n]
    later = timedelta(days=world.rng.randrange(1, 20), seconds=world.rng.randrange(28_800))
    at = datetime.fromisoformat(f"{found[0]}T08:00:00Z") + later
    row["created_at"] = timestamp(min(at, world.now))
    return found


def certificates(world: World, row: JsonRow, place: Place) -> None:
    """For what was passed; some for an evaluation, of which no list tells."""
    passed = _one_passed(world, row, place)
    kinds = {"course_enrollment": "enrollments", "program_enrollment": "program_enrollments"}
    if passed is not None:
        _, row["certifiable_type"], row["certifiable_id"] = passed
        if place.i % 12 == 7:
            row["certifiable_type"] = "evaluation_element"
    kind = kinds.get(row["certifiable_type"])
    if kind is None:
        row["certifiable_id"] = world.nested_id()
    elif passed is None:
        row["certifiable_id"] = world.pick(kind)


def credits(world: World, row: JsonRow, place: Place) -> None:
    """For enrollments that were passed, their courses known or not; and for other things."""
    row["credits"] = world.rng.choice((1, 2, 2.5, 4, 0.25))
    passed = _one_passed(world, row, place)
    if passed is not None:
        of_course = passed[1] == "course_enrollment" and row["enrollment_id"] is not None
        row["enrollment_id"] = passed[2] if of_course else None
    enrollment = world.get("enrollments", row["enrollment_id"] or 0)
    planned = world.get("planned_courses", enrollment.get("planned_course_id", 0))
    row["student_id"] = enrollment.get("student_id", row["student_id"])
    if row["course_id"] is not None:
        row["course_id"] = planned.get("course_id", row["course_id"])


def credit_categories(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = ("Nursing register", "Permanente educatie", "ECTS")[place.i % 3]
    row["types"] = [{"id": world.nested_id(), "name": name} for name in ("hours", "points")]


def theses(world: World, row: JsonRow, place: Place) -> None:
    people = [words.full_name(words.person(world.rng)) for _ in range(4)]
    row |= {"authors": people[:2], "supervisors": people[2 : 2 + place.i % 3]}
    row["keywords"] = [world.rng.choice(words.TOPICS) for _ in range(place.i % 4)]
    row["title"] = f"On {world.rng.choice(words.TOPICS)}"
