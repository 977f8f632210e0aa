"""Enrollments, attendances, grades, certificates, and the programs' side of them."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.values import ABSENT, timestamp
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories import planning

STATUS = {"completed": "completed", "active": "active", "planned": "confirmed"}


def enrollments(world: World, row: JsonRow, place: Place) -> None:
    """Students that were ordered for, and others, in planned courses with a place left."""
    places: deque[Any] = world.memo.get("places") or deque()
    taken = world.memo.setdefault("taken", {})
    if world.rng.random() * (place.n - place.i) < len(places):
        order_id, student_id, planned_id, created = places.popleft()
        row |= {"order_id": order_id, "student_id": student_id, "planned_course_id": planned_id}
        row |= {"created_at": created, "updated_at": max(created, row["updated_at"])}
    else:
        row["order_id"] = None
        row["planned_course_id"] = planning.soon(world, "planned_courses", place)
    planned = world.get("planned_courses", row["planned_course_id"])
    for _ in range(3):
        if row["order_id"] or taken.get(planned.get("id"), 0) < (
            planned.get("max_participants") or 25
        ):
            break
        planned = world.get("planned_courses", planning.soon(world, "planned_courses", place))
    row["planned_course_id"] = planned.get("id", row["planned_course_id"])
    taken[planned.get("id")] = taken.get(planned.get("id"), 0) + 1
    row["start_date"] = planned.get("start_date", row["start_date"])
    row["end_date"] = planned.get("end_date")
    row["status"] = STATUS.get(planned.get("status", "planned"), "canceled")
    if world.rng.random() < 0.06:
        row["status"] = "canceled"
    _judge(world, row, "Enrollment", judged=row["status"] == "completed")


def program_enrollments(world: World, row: JsonRow, place: Place) -> None:
    row["personal_program_id"] = 5000 + place.i
    row["state"] = "canceled" if world.rng.random() < 0.1 else "confirmed"
    _judge(world, row, "Program::Enrollment", judged=row["graduation_date"] is not None)
    if row["graduation_state"] != "passed":
        row["graduation_date"] = None


def _judge(world: World, row: JsonRow, kind: str, *, judged: bool) -> None:
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
        if world.rng.random() < 0.1:
            row["grade"] |= {"grade": "B+", "score": None}


def attendances(world: World, row: JsonRow, place: Place) -> None:
    """Each enrollment with each meeting of its planned course, once."""
    pairs = world.memo.get("attendances")
    if pairs is None:
        pairs = world.memo["attendances"] = _attendable(world)
    pair = next(pairs, None)
    start = timestamp(world.now)
    if pair is not None:
        row["enrollment_id"], row["meeting_id"], start = pair
    if start >= timestamp(world.now):
        row |= {"state": "blanco", "comment": None}
        return
    states = ("attended", "late", "absent", "absent_with_leave", "blanco")
    row["state"] = world.rng.choices(states, (84, 5, 6, 3, 2))[0]
    if row["state"] == "attended":
        row["comment"] = None


def _attendable(world: World) -> Iterator[tuple[int, int, str]]:
    meetings: dict[int, list[tuple[int, str]]] = {}
    for meeting in world.store.rows("meetings"):
        entry = meeting["id"], meeting["start_date_time"]
        meetings.setdefault(meeting["planned_course_id"], []).append(entry)
    enrolled = [
        (enrollment["id"], meetings[enrollment["planned_course_id"]])
        for enrollment in world.store.rows("enrollments")
        if enrollment["status"] != "canceled" and enrollment["planned_course_id"] in meetings
    ]
    for nth in range(max((len(found) for _, found in enrolled), default=0)):
        for enrollment_id, found in enrolled:
            if nth < len(found):
                yield enrollment_id, *found[nth]


def certificates(world: World, row: JsonRow, place: Place) -> None:
    kinds = {"course_enrollment": "enrollments", "program_enrollment": "program_enrollments"}
    kind = kinds.get(row["certifiable_type"])
    row["certifiable_id"] = world.pick(kind) if kind else world.nested_id()


def credits(world: World, row: JsonRow, place: Place) -> None:
    row["credits"] = world.rng.choice((1, 2, 2.5, 4, 0.25))
    enrollment = world.get("enrollments", row["enrollment_id"] or 0)
    row["student_id"] = enrollment.get("student_id", row["student_id"])


def credit_categories(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = ("Nursing register", "Permanente educatie", "ECTS")[place.i % 3]
    row["types"] = [{"id": world.nested_id(), "name": name} for name in ("hours", "points")]


def theses(world: World, row: JsonRow, place: Place) -> None:
    people = [words.full_name(words.person(world.rng)) for _ in range(4)]
    row |= {"authors": people[:2], "supervisors": people[2 : 2 + place.i % 3]}
    row["keywords"] = [world.rng.choice(words.TOPICS) for _ in range(place.i % 4)]
    row["title"] = f"On {world.rng.choice(words.TOPICS)}"


def program_elements(world: World, row: JsonRow, place: Place) -> None:
    planned = world.get("planned_courses", world.pick("planned_courses"))
    row["course_id"] = planned.get("course_id", row["course_id"])
    row["planned_course_id"] = world.rng.choice((None, planned.get("id")))
    row["position"] = place.i // 10


def personal_program_elements(world: World, row: JsonRow, place: Place) -> None:
    element = world.get("program_elements", world.pick("program_elements"))
    row["element_id"] = world.rng.choice((None, element.get("id")))
    row["course_id"] = element.get("course_id", row["course_id"])


def program_edition_elements(world: World, row: JsonRow, place: Place) -> None:
    """A node of the edition's tree; blocks have further nodes below them."""
    kinds = ("BlockElement", "CourseElement", "ElectiveElement", "ThesisElement", "BlockElement")
    node = _node(world, kinds[place.i // 10 % 5])
    row.clear()
    row |= node


def _node(world: World, kind: str) -> JsonRow:
    credits = world.rng.choice((None, "2.5", "5.0", "10.0"))
    node: JsonRow = {
        "name": world.rng.choice(words.TOPICS),
        "credits": credits,
        "element_type": kind,
    }
    if kind in ("CourseElement", "ThesisElement"):
        planned: dict[str, Any] = world.get("planned_courses", world.pick("planned_courses"))
        node["course_id"] = planned.get("course_id", 1)
        node["planned_course_id"] = world.rng.choice((None, planned.get("id")))
    if kind == "BlockElement":
        below = world.rng.choices(("CourseElement", "EvaluationElement"), k=world.rng.randrange(4))
        node["elements"] = [_node(world, kind) for kind in below]
    return node
