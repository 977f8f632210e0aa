"""Planned courses, and their meetings: who, where, with what."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any

from sources.eduframe_simulator.provider import words
from sources.eduframe_simulator.provider.store import JsonRow
from sources.eduframe_simulator.provider.values import born, money, timestamp
from sources.eduframe_simulator.provider.world import ZONE, Place, World

DAY = timedelta(days=1)
ROOM_WITHOUT_MAXIMUM = 25
"""How many students a planned course gets at most that has no maximum."""
STUDY_DAYS = 90
"""How long a student has for a flexible course."""
OFFERED_DAYS = 365
"""How long a flexible course is offered."""
HOURS = {
    1: ((time(9), time(16, 30)), (time(9, 30), time(17)), (time(9), time(12, 30))),
    2: ((time(9), time(12, 30)), (time(13, 30), time(17))),
}
"""When a meeting begins and ends, breaks included, by how many there are on the day."""


def planned_courses(world: World, row: JsonRow, place: Place) -> None:
    """Spread from two years ago to four months ahead; their status follows from the dates."""
    course = world.get("courses", row["course_id"])
    start = _workday(world.today - timedelta(days=716 - round(836 * place.i / max(place.n - 1, 1))))
    days = world.rng.choice((1, 1, 2, 5, 30, 90))
    flexible = place.i % 10 == 3
    end = start + timedelta(days=OFFERED_DAYS) if flexible else _last_day(start, days)
    status = "completed" if end < world.today else "active" if start <= world.today else "planned"
    row |= {"status": "canceled" if world.rng.random() < 0.05 else status}
    row |= {"start_date": start.isoformat(), "end_date": None if flexible else end.isoformat()}
    row |= {"type": "FlexiblePlannedCourse" if flexible else "FixedPlannedCourse"}
    row["duration_in_days"] = STUDY_DAYS if flexible else (end - start).days + 1
    row |= {"min_participants": 4, "max_participants": world.rng.choice((None, 8, 12, 16, 20))}
    row["cost_multiplier"] = world.rng.choice((None, "1.0", "0.85"))
    if place.i % 17 == 5:  # For customers abroad.
        row |= {"currency": "GBP", "cost_multiplier": "0.85"}
    cost = Decimal(course.get("cost") or 0) * Decimal(row["cost_multiplier"] or 1)
    row |= {"cost": money(cost), "cost_scheme": course.get("cost_scheme", "free")}
    row["payable"] = cost > 0
    row["availability_state"] = "open" if row["status"] in ("planned", "active") else "closed"
    if row["status"] == "active" and not flexible:
        row["availability_state"] = "closed"
    born(row, min(row["created_at"], timestamp(_moment(start - 14 * DAY, time(10)))))


def _workday(day: date) -> date:
    return day + DAY * max(7 - day.weekday(), 0) if day.weekday() > 4 else day


def _last_day(start: date, days: int) -> date:
    end = start + DAY * (days - 1)
    return max(start, end - DAY * max(end.weekday() - 4, 0)) if end.weekday() > 4 else end


def _moment(day: date, at: time) -> datetime:
    """A time of the provider's day."""
    return datetime.combine(day, at, ZONE).astimezone(UTC)


def soon(world: World, created: str) -> int | None:
    """The place in its list of a planned course that begins not long after; None if none does."""
    if "starts" not in world.memo:
        world.memo["starts"] = [row["start_date"] for row in world.all("planned_courses")]
    starts = world.memo["starts"]
    first = bisect_right(starts, created[:10])
    ahead = min(len(starts), first + 1 + len(starts) // 8)
    return world.rng.randrange(first, ahead) if first < ahead else None


def room(planned: JsonRow) -> int:
    """How many students a planned course takes."""
    return planned.get("max_participants") or ROOM_WITHOUT_MAXIMUM


def teacher_enrollments(world: World, row: JsonRow, place: Place) -> None:
    """A teacher for each planned course, who also gives it at other times; then another one."""
    planned = world.ids("planned_courses")
    if not (world.filling and planned and world.ids("teachers")):
        return
    if "active" not in world.memo:
        world.memo["active"] = [t["id"] for t in world.all("teachers") if t["active"]]
    teachers = world.memo["active"] or world.ids("teachers")
    nth, which = divmod(place.i, len(planned))
    given = world.get("planned_courses", planned[which])
    teacher = teachers[(given["course_id"] * 5 + nth) % len(teachers)]
    row |= {"planned_course_id": given["id"], "teacher_id": teacher}
    team = world.memo.setdefault("team", defaultdict(list))[given["id"]]
    team.append((teacher, row.get("teacher_role_id")))
    born(row, given["created_at"])


def team(world: World, planned_course_id: Any) -> list[tuple[int, int | None]]:
    """The teachers of a planned course, with their roles; known while all lists are made."""
    found: list[tuple[int, int | None]] = world.memo.get("team", {}).get(planned_course_id, [])
    return found


def meetings(world: World, row: JsonRow, place: Place) -> None:
    """A planned course's meetings: on its days, in office hours."""
    if world.filling and "agenda" not in world.memo:
        world.memo["agenda"] = _agenda(world, place.n)
    planned_id, nth, of = next(world.memo.get("agenda", iter(())), (row["planned_course_id"], 0, 1))
    planned = world.get("planned_courses", planned_id)
    days = _days(planned) or [world.today + 30 * DAY]
    a_day = -(-of // len(days))
    day = days[nth // a_day] if a_day > 1 else days[nth * len(days) // of]
    hours = HOURS[min(a_day, 2)]
    begin, end = hours[nth % a_day % 2] if a_day > 1 else world.rng.choice(hours)
    title = f"{days.index(day) + 1}"
    row |= {"name": world.rng.choice((None, f"Day {title}", f"Dag {title}: “praktijk”"))}
    row |= {"planned_course_id": planned_id, "start_date_time": timestamp(_moment(day, begin))}
    row["end_date_time"] = timestamp(_moment(day, end))
    if planned and world.filling:
        born(row, planned["created_at"])
    _bookings(world, row, "Meeting", planned)


def _agenda(world: World, n: int) -> Iterator[tuple[Any, int, int]]:
    """``n`` meetings: of which planned course, the how manieth, of how many."""
    planned = world.all("planned_courses")
    fixed = [row for row in planned if row["type"] == "FixedPlannedCourse"] or planned
    wanted = [len(_days(row)) for row in fixed]
    so_far, given = 0, 0
    for row, days in zip(fixed, wanted, strict=True):
        so_far += days
        until = round(n * so_far / sum(wanted))
        yield from ((row["id"], nth, until - given) for nth in range(until - given))
        given = until


def _days(planned: JsonRow) -> list[date]:
    """When a planned course meets: each working day of a week, else once or twice a week."""
    if not planned.get("start_date"):
        return []
    start = date.fromisoformat(planned["start_date"])
    end = date.fromisoformat(planned.get("end_date") or planned["start_date"])
    every = [start + DAY * n for n in range((end - start).days + 1)]
    if len(every) > 7:
        weekdays = {start.weekday()} if len(every) > 40 else {start.weekday(), start.weekday() - 2}
        return [day for day in every if day.weekday() in weekdays]
    return [day for day in every if day.weekday() < 5] or every[:1]


def _bookings(world: World, row: JsonRow, kind: str, planned: JsonRow) -> None:
    """Rooms at the course's location, and teachers of the course, as many as there are."""
    if world.filling:
        wanted = len(row["planning_meeting_location_ids"])
        here = _rooms(world, planned.get("course_location_id"))
        row["planning_meeting_location_ids"] = world.rng.sample(here, min(wanted, len(here)))
        teachers = team(world, planned.get("id"))
        if teachers:
            row["planning_attendees"] = row["planning_attendees"][: len(teachers)]
        for attendee, (teacher, role) in zip(row["planning_attendees"], teachers, strict=False):
            attendee |= {"teacher_id": teacher, "teacher_role_id": role}
    rooms = row["planning_meeting_location_ids"]
    row["meeting_location_id"] = rooms[0] if rooms else None
    for attendee in row["planning_attendees"]:
        attendee |= {"attendable_id": row["id"], "attendable_type": kind}


def _rooms(world: World, location: int | None) -> list[int]:
    """The rooms of a location; all, where it is not told or has none."""
    known: dict[int | None, list[int]] = world.memo.setdefault("rooms", {})
    if location not in known:
        rooms = world.all("meeting_locations")
        here = [row["id"] for row in rooms if row["course_location_id"] == location]
        known[location] = here or [row["id"] for row in rooms]
    return known[location]


def planning_events(world: World, row: JsonRow, place: Place) -> None:
    """Entries about meetings. Their times are plain strings, with any offset."""
    ids = world.ids("meetings")
    if world.filling and ids:
        row["meeting_id"] = ids[place.i * len(ids) // place.n]
    meeting = world.get("meetings", row["meeting_id"])
    for name in ("start_date_time", "end_date_time"):
        if name in meeting:
            moment = datetime.fromisoformat(meeting[name])
            local = moment.astimezone(ZONE).isoformat(timespec="seconds")
            row[name] = world.rng.choice((meeting[name], local))
    row["name"] = meeting.get("name")
    kinds = [i for i in world.ids("labels") if world.rng.random() < 0.3]
    for part in ("required_teacher_groups", "planning_attendee_conditions"):
        for group in row.get(part) or []:
            group["teacher_label_ids"] = kinds[:3]
    if row.get("required_teacher_groups") and "planning_attendee_conditions" in row:
        row["planning_attendee_conditions"] = row["required_teacher_groups"]
    planned = world.get("planned_courses", meeting.get("planned_course_id"))
    _bookings(world, row, "Planning::Event", planned)
    if meeting and world.filling:
        rooms = meeting["planning_meeting_location_ids"]
        row["planning_meeting_location_ids"] = rooms
        row["meeting_location_id"] = meeting["meeting_location_id"]


def planning_conflicts(world: World, row: JsonRow, place: Place) -> None:
    """Two meetings at one time, with a teacher, a room or material that both want."""
    if world.filling and "clashes" not in world.memo:
        world.memo["clashes"] = _clashes(world)
    picked = (world.get("meetings", world.pick("meetings")) for _ in range(2))
    other = row["resource_type"], world.pick(_RESOURCES[row["resource_type"]]), *picked
    kind, resource, one, another = next(world.memo.get("clashes", iter(())), other)
    row |= {"resource_type": kind, "resource_id": resource}
    for prefix, event in (("event", one), ("conflicting_event", another)):
        row |= {f"{prefix}_id": event.get("id", 1), f"{prefix}_type": "Meeting"}
        for edge in ("start_date_time", "end_date_time"):
            row[f"{prefix}_{edge}"] = event.get(edge, row[edge])
    for edge, which in (("start_date_time", max), ("end_date_time", min)):
        row[edge] = which(row[f"event_{edge}"], row[f"conflicting_event_{edge}"])
    found = world.get(_RESOURCES[kind], resource)
    names = (found.get(part) for part in ("first_name", "middle_name", "last_name", "name"))
    row["resource_name"] = " ".join(filter(None, names)) or "?"


_RESOURCES = {
    "Teacher": "teachers",
    "Material": "materials",
    "MeetingLocation": "meeting_locations",
}


def _clashes(world: World) -> Iterator[tuple[str, int, JsonRow, JsonRow]]:
    """What two meetings want at the same time."""
    wanted: dict[tuple[str, int, str], list[JsonRow]] = defaultdict(list)
    for meeting in world.all("meetings"):
        day = meeting["start_date_time"][:10]
        things = {("Teacher", who["teacher_id"]) for who in meeting["planning_attendees"]}
        things |= {("MeetingLocation", where) for where in meeting["planning_meeting_location_ids"]}
        booked = meeting.get("planning_materials") or []
        things |= {("Material", thing["material_id"]) for thing in booked}
        for kind, ident in sorted(things):
            wanted[kind, ident, day].append(meeting)
    for (kind, ident, _), together in sorted(wanted.items(), key=lambda item: item[0][2]):
        for one, other in combinations(together, 2):
            if max(one["start_date_time"], other["start_date_time"]) < min(
                one["end_date_time"], other["end_date_time"]
            ):
                yield kind, ident, one, other


def course_locations(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = words.CITIES[place.i % len(words.CITIES)]
    _stands_in(row, row["name"])


def _stands_in(row: JsonRow, city: str) -> None:
    """Put what has an address into a city of the Netherlands."""
    if address := row.get("address"):
        code = f"{1000 + 37 * row['id'] % 9000} AB"
        address |= {"city": city, "postal_code": code, "country": "NL", "state_province": None}


def meeting_locations(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = words.ROOMS[place.i % len(words.ROOMS)]
    row["capacity"] = world.rng.choice((None, 25, 30, 60))
    places = world.ids("course_locations")
    if places:
        row["course_location_id"] = places[place.i % len(places)]
        town = world.get("course_locations", row["course_location_id"])
        _stands_in(row, town["name"])


def materials(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = words.THINGS[place.i % len(words.THINGS)]


def course_variants(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = ("Daytime", "Evening", "Online", "In-company")[place.i % 4]


def teacher_roles(world: World, row: JsonRow, place: Place) -> None:
    row["name"] = ("Instructor", "Assistant", "Examiner")[place.i % 3]


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
    start = world.today - timedelta(days=700 - 100 * (place.i % 10))
    row |= {"name": f"{program.get('name', 'Program')} {start.year}/{place.i}"}
    row |= {
        "start_date": start.isoformat(),
        "end_date": world.rng.choice((None, f"{start.year + 1}-06-30")),
    }
    row |= {"cost": money(world.rng.randrange(20, 80) * 100), "cost_scheme": "student"}
    row |= {"min_participants": 5, "max_participants": world.rng.choice((None, 15, 25))}
    row["current_participants"] = 0
