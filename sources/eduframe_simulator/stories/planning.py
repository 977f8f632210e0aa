"""Planned courses, their meetings and teachers, rooms and materials."""

from datetime import date, datetime, timedelta
from typing import Any

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.values import money, timestamp
from sources.eduframe_simulator.provider.world import Place, World


def planned_courses(world: World, row: JsonRow, place: Place) -> None:
    """Spread from two years ago to four months ahead; their status follows from the dates."""
    course = world.get("courses", row["course_id"])
    today = world.now.date()
    start = today - timedelta(days=730 - round(850 * place.i / max(place.n - 1, 1)))
    days = world.rng.choice((1, 1, 2, 5, 30, 90))
    end = start + timedelta(days=days - 1)
    flexible = world.rng.random() < 0.1
    status = "completed" if end < today else "active" if start <= today else "planned"
    row |= {"status": "canceled" if world.rng.random() < 0.05 else status}
    row |= {"start_date": start.isoformat(), "end_date": None if flexible else end.isoformat()}
    row |= {"type": "FlexiblePlannedCourse" if flexible else "FixedPlannedCourse"}
    row |= {"duration_in_days": None if flexible else days, "currency": "EUR", "payable": True}
    row |= {"min_participants": 4, "max_participants": world.rng.choice((None, 8, 12, 16, 20))}
    row |= {"cost": course.get("cost"), "cost_scheme": course.get("cost_scheme", "free")}
    row["cost_multiplier"] = world.rng.choice((None, "1.0", "0.85"))
    row["availability_state"] = "open" if row["status"] in ("planned", "active") else "closed"


def soon(world: World, table: str, place: Place) -> Any:
    """The id of a planned course, or of a variant, that begins not long after a row is made."""
    ids = world.ids(table)
    if not ids:
        return world.pick(table)
    first = round(len(ids) * 0.86 * place.i / place.n)
    return ids[min(first + world.rng.randrange(1 + len(ids) // 8), len(ids) - 1)]


def meetings(world: World, row: JsonRow, place: Place) -> None:
    """A planned course's meetings, a week apart."""
    planned = world.ids("planned_courses")
    if planned:
        row["planned_course_id"] = planned[place.i % len(planned)]
    nth = place.i // max(len(planned), 1)
    begin = world.get("planned_courses", row["planned_course_id"]).get("start_date")
    first = date.fromisoformat(begin) if begin else world.now.date()
    start = datetime.combine(first + timedelta(weeks=nth), world.now.time(), world.now.tzinfo)
    start = start.replace(hour=9, minute=world.rng.choice((0, 30)), second=0, microsecond=0)
    row |= {"name": world.rng.choice((None, f"Day {nth + 1}", f"Dag {nth + 1}: “praktijk”"))}
    row["start_date_time"] = timestamp(start)
    row["end_date_time"] = timestamp(start + timedelta(hours=world.rng.choice((3, 7))))
    _bookings(world, row, "Meeting")


def planning_events(world: World, row: JsonRow, place: Place) -> None:
    """Entries about meetings. Their times are plain strings, with any offset."""
    meeting = world.get("meetings", row["meeting_id"])
    for name in ("start_date_time", "end_date_time"):
        if name in meeting:
            moment = datetime.fromisoformat(meeting[name])
            local = (moment + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00")
            row[name] = world.rng.choice((meeting[name], local))
    row["name"] = meeting.get("name")
    kinds = [i for i in world.ids("labels") if world.rng.random() < 0.3]
    for part in ("required_teacher_groups", "planning_attendee_conditions"):
        for group in row.get(part) or []:
            group["teacher_label_ids"] = kinds[:3]
    if row.get("required_teacher_groups") and "planning_attendee_conditions" in row:
        row["planning_attendee_conditions"] = row["required_teacher_groups"]
    _bookings(world, row, "Planning::Event")


def _bookings(world: World, row: JsonRow, kind: str) -> None:
    rooms = row["planning_meeting_location_ids"]
    row["meeting_location_id"] = rooms[0] if rooms else None
    for attendee in row["planning_attendees"]:
        attendee |= {"attendable_id": row["id"], "attendable_type": kind}


def planning_conflicts(world: World, row: JsonRow, place: Place) -> None:
    one, other = (world.get("meetings", world.pick("meetings")) for _ in range(2))
    for prefix, event in (("event", one), ("conflicting_event", other)):
        row |= {f"{prefix}_id": event.get("id", 1), f"{prefix}_type": "Meeting"}
        for edge in ("start_date_time", "end_date_time"):
            row[f"{prefix}_{edge}"] = row[edge] = event.get(edge, row[edge])
    lists = {"Teacher": "teachers", "Material": "materials", "MeetingLocation": "meeting_locations"}
    table = lists[row["resource_type"]]
    row["resource_id"] = world.pick(table)
    found = world.get(table, row["resource_id"])
    row["resource_name"] = found.get("name") or found.get("last_name") or "?"


def course_locations(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = words.CITIES[place.i % len(words.CITIES)]


def meeting_locations(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = words.ROOMS[place.i % len(words.ROOMS)]
    row["capacity"] = world.rng.choice((None, 8, 12, 20, 60))


def materials(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = words.THINGS[place.i % len(words.THINGS)]


def planning_locations(world: World, row: JsonRow, place: Place) -> None:
    _same(world, row, place, "meeting_locations")


def planning_materials(world: World, row: JsonRow, place: Place) -> None:
    _same(world, row, place, "materials")


def _same(world: World, row: JsonRow, place: Place, table: str) -> None:
    """Some lists show the rows of another once more."""
    ids = world.ids(table)
    if place.i < len(ids):
        source = world.get(table, ids[place.i])
        row |= {name: value for name, value in source.items() if name in row}


def program_editions(world: World, row: JsonRow, place: Place) -> None:
    program = world.get("programs", row["program_id"])
    start = world.now.date() - timedelta(days=700 - 100 * (place.i % 10))
    row |= {"name": f"{program.get('name', 'Program')} {start.year}/{place.i}"}
    row |= {
        "start_date": start.isoformat(),
        "end_date": world.rng.choice((None, f"{start.year + 1}-06-30")),
    }
    row |= {"cost": money(world.rng.randrange(20, 80) * 100), "cost_scheme": "student"}
    row |= {"min_participants": 5, "max_participants": world.rng.choice((None, 15, 25))}
    row["current_participants"] = 0
