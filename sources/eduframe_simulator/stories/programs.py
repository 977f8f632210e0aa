"""Programs: what an edition consists of, who takes part, and what each student follows."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.world import Place, World
from sources.eduframe_simulator.stories.learning import judge


def program_elements(world: World, row: JsonRow, place: Place) -> None:
    """Courses of an edition, and when they are given in it, where that is set."""
    planned = _given_in(world, row["edition_id"])
    row["course_id"] = planned.get("course_id", row["course_id"])
    row["planned_course_id"] = world.rng.choice((None, planned.get("id")))
    row["position"] = place.i // 10


def _given_in(world: World, edition_id: Any) -> JsonRow:
    """A planned course that begins in the year of an edition; none, where it is hard to find."""
    edition = world.get("program_editions", edition_id)
    begin: str = edition.get("start_date") or world.today.isoformat()
    until = (date.fromisoformat(begin) + timedelta(days=365)).isoformat()
    until = edition.get("end_date") or until
    for _ in range(20):
        picked = world.get("planned_courses", world.pick("planned_courses"))
        if begin <= str(picked.get("start_date")) <= until:
            return picked
    return {}


def program_edition_elements(world: World, row: JsonRow, place: Place) -> None:
    """A node of the edition's tree; blocks have further nodes below them."""
    kinds = ("BlockElement", "CourseElement", "ElectiveElement", "ThesisElement", "BlockElement")
    node = _node(world, kinds[place.i // 10 % 5], place.scope.get("id"))
    row.clear()
    row |= node


def _node(world: World, kind: str, edition_id: Any) -> JsonRow:
    credits = world.rng.choice((None, "2.5", "5.0", "10.0"))
    node: JsonRow = {
        "name": world.rng.choice(words.TOPICS),
        "credits": credits,
        "element_type": kind,
    }
    if kind in ("CourseElement", "ThesisElement"):
        planned: dict[str, Any] = _given_in(world, edition_id and int(edition_id))
        node["course_id"] = planned.get("course_id") or world.pick("courses")
        node["planned_course_id"] = world.rng.choice((None, planned.get("id")))
    if kind == "BlockElement":
        below = world.rng.choices(("CourseElement", "EvaluationElement"), k=world.rng.randrange(4))
        node["elements"] = [_node(world, kind, edition_id) for kind in below]
    return node


def program_enrollments(world: World, row: JsonRow, place: Place) -> None:
    """Students who take the edition's courses; those that were ordered for come first."""
    row["personal_program_id"] = 5000 + place.i
    if world.filling:
        places: list[tuple[JsonRow, int]] = world.memo.get("ordered programs", [])
        order: JsonRow = {}
        if place.i < len(places):
            order, row["student_id"] = places[place.i]
            variant = world.get("catalog_variants", order["catalog_variant_id"])
            row["edition_id"] = variant["variantable_id"]
        else:
            row["student_id"] = _likely(world, row["edition_id"], row["student_id"])
        row["order_id"] = order.get("id")
        world.memo.setdefault("in programs", set()).add((row["edition_id"], row["student_id"]))
    start = world.get("program_editions", row["edition_id"]).get("start_date")
    row["state"] = "canceled" if world.rng.random() < 0.1 else "confirmed"
    begun = date.fromisoformat(start) if start else world.today - timedelta(days=400)
    passed = begun + timedelta(days=world.rng.randrange(250, 420))
    over = passed < world.today and row["state"] == "confirmed"
    judge(world, row, "Program::Enrollment", judged=over)
    row["graduation_date"] = (
        passed.isoformat() if row["graduation_state"] == "passed" else None
    )
    if isinstance(row.get("grade"), dict):
        at = f"{passed.isoformat()}T12:00:00.000Z"
        row["grade"] |= {"created_at": at, "updated_at": at}


def _likely(world: World, edition_id: Any, otherwise: Any) -> Any:
    """A student of one of the edition's courses who is not in the edition yet."""
    takers = world.memo.get("takers")
    if takers is None:
        takers = world.memo["takers"] = defaultdict(list)
        for enrollment in world.all("enrollments"):
            planned = world.get("planned_courses", enrollment["planned_course_id"])
            if enrollment["status"] != "canceled":
                takers[planned.get("course_id")].append(enrollment)
    there = world.memo.setdefault("in programs", set())
    elements = _elements(world).get(edition_id, [])
    students = [e["student_id"] for element in elements for e in takers[element["course_id"]]]
    students += world.ids("users")[20:] or [otherwise]
    return next((one for one in students if (edition_id, one) not in there), otherwise)


def _elements(world: World) -> dict[Any, list[JsonRow]]:
    """The elements of each edition."""
    if "elements" not in world.memo:
        found = world.memo["elements"] = defaultdict(list)
        for element in world.all("program_elements"):
            found[element["edition_id"]].append(element)
    elements: dict[Any, list[JsonRow]] = world.memo["elements"]
    return elements


def personal_program_elements(world: World, row: JsonRow, place: Place) -> None:
    """The elements of a student's edition, with the enrollment that fills them; then their own."""
    if not world.filling:
        return
    if "followed" not in world.memo:
        world.memo["followed"] = _followed(world)
    enrollment, course_id, taken, element_id = next(
        world.memo["followed"], (row["enrollment_id"], row["course_id"], None, None)
    )
    row |= {"enrollment_id": enrollment, "course_id": course_id, "element_id": element_id}
    row["course_enrollment_id"] = taken


def _followed(world: World) -> Iterator[tuple[Any, Any, Any, Any]]:
    taken: dict[Any, dict[Any, Any]] = defaultdict(dict)
    for enrollment in world.all("enrollments"):
        planned = world.get("planned_courses", enrollment["planned_course_id"])
        if enrollment["status"] != "canceled":
            taken[enrollment["student_id"]][planned.get("course_id")] = enrollment["id"]
    students = world.all("program_enrollments")
    for round_ in range(50):
        for student in students:
            elements = _elements(world).get(student["edition_id"], [])
            courses = {element["course_id"]: element["id"] for element in elements}
            mine = taken[student["student_id"]]
            courses |= {course: None for course in mine if course not in courses}
            if round_ < len(courses):
                course = [*sorted(courses, key=lambda c: c not in mine)][round_]
                yield student["id"], course, mine.get(course), courses[course]
