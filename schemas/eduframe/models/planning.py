"""When, where, by whom and with what: planned courses, meetings, teachers, rooms, materials."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import (
    Contact,
    Derived,
    FreeText,
    Identifier,
    LooseDate,
    LooseTimestamp,
    Money,
    OneOf,
    References,
    ReferencesBy,
    Row,
    Timestamp,
)
from schemas.eduframe.models.common import (
    Address,
    Avatar,
    CostScheme,
    CourseId,
    CourseLocationId,
    CourseVariantId,
    CreatedAt,
    Currency,
    FirstName,
    Id,
    LabelId,
    LastName,
    Locale,
    MaterialGroupId,
    MaterialId,
    MeetingId,
    MeetingLocationId,
    MiddleName,
    PlannedCourseId,
    PlannedCourseType,
    TeacherId,
    TeacherRoleId,
    UpdatedAt,
    UserRole,
    deprecated,
)

AvailabilityState = Annotated[
    str,
    OneOf({"open": "one can sign up", "closed": "one cannot, whether places are left or not"}),
]
ConflictResourceType = Annotated[
    str,
    OneOf(
        {
            "Teacher": "a teacher",
            "Material": "a material",
            "MeetingLocation": "a meeting location",
        }
    ),
]
EventType = Annotated[
    str,
    OneOf({"Meeting": "a meeting of a planned course", "Planning::Event": "a planning event"}),
]
MaterialUseType = Annotated[
    str, OneOf({"reservable": "lent, and given back", "consumable": "used up"})
]
PlannedCourseStatus = Annotated[
    str,
    Derived(),
    OneOf(
        {
            "planned": "has not begun",
            "active": "has begun, and not ended",
            "completed": "has ended",
            "canceled": "was called off",
        }
    ),
]
EVENTS = {"Meeting": "meetings", "Planning::Event": "planning_events"}


class PlannedCourse(Row):
    """A course as it is given once, from a start date on."""

    id: Id
    status: PlannedCourseStatus = Field(description="How far it has come.")
    duration_in_days: int | None = Field(
        description="How many days it takes; for flexible ones, the time a student has (our "
        "reading)."
    )
    availability_state: AvailabilityState = Field(description="Whether one can sign up.")
    payable: bool = Field(description="Whether something is to be paid for it (our reading).")
    current_participants: Annotated[int, Derived()] = Field(
        description="How many students take part; canceled ones do not count (our reading)."
    )
    confirmed_active_and_completed_enrollments_count: Annotated[int, Derived()] = Field(
        description="Enrollments that are neither requested nor canceled."
    )
    requested_enrollments_count: Annotated[int, Derived()] = Field(
        description="Enrollments that await approval. (None of enrollments.status is 'requested': "
        "the list does not seem to have them.)"
    )
    available_places: Annotated[bool, Derived()] = Field(
        description="Whether places are left: yes or no, while catalog_variants.available_places "
        "is their number."
    )
    canvas_link: str | None = Field(
        None, description="Address of the same course in Canvas, the learning platform."
    )
    currency: Currency
    cost_multiplier: Money | None = Field(description="What the course's cost is multiplied by.")
    is_published: bool = Field(description="Whether the website shows it.")
    course_id: CourseId = Field(description="What is given.")
    type: PlannedCourseType
    start_date: LooseDate = Field(
        description="The first day; only those with fixed dates need one."
    )
    end_date: LooseDate = Field(description="The last day; only those with fixed dates need one.")
    min_participants: int | None = Field(
        description="How many students it takes for the course to be given."
    )
    max_participants: int | None = Field(
        description="How many students can enroll; null where that is not limited."
    )
    cost_scheme: CostScheme
    cost: Money | None = Field(
        description="The price, without VAT (our reading), for what cost_scheme counts by."
    )
    course_variant_id: CourseVariantId | None = Field(
        description="The form in which it is given, such as evening."
    )
    course_location_id: CourseLocationId | None = Field(
        description="Where it is given; single meetings may be elsewhere."
    )
    updated_at: UpdatedAt
    created_at: CreatedAt


class PlanningAttendee(Row):
    """A teacher planned for a meeting or planning event; many are there twice, with both."""

    id: Id
    attendable_id: Annotated[int, ReferencesBy("attendable_type", EVENTS)] = Field(
        description="What the teacher is planned for: mostly the row that owner_id names, too."
    )
    attendable_type: str = Field(
        description="The kind of what is attended, in Eduframe's words. The API lists no values; "
        "those known to us are Meeting and Planning::Event."
    )
    teacher_id: TeacherId = Field(description="Who is planned.")
    teacher_role_id: TeacherRoleId | None = Field(None, description="As what, if that is told.")
    comment: FreeText | None = Field(description="What the planner remarks on it.")


class PlanningMaterialBooking(Row):
    """Material that is booked for a meeting or planning event."""

    material_id: MaterialId = Field(description="What is booked.")
    amount: int | None = Field(description="How many pieces are booked.")
    comment: FreeText | None = Field(description="What the planner remarks on it.")


class Meeting(Row):
    """One session of a planned course. Its planning events repeat its hours: count one of them."""

    id: Id
    name: str | None = Field(description="What the session is called, if anything.")
    planned_course_id: PlannedCourseId = Field(description="What it is a session of.")
    start_date_time: Timestamp = Field(description="When it begins.")
    end_date_time: Timestamp = Field(description="When it ends, breaks included.")
    meeting_location_id: MeetingLocationId | None = Field(
        description="The room, or the first of several."
    )
    planning_meeting_location_ids: list[MeetingLocationId] = Field(
        description="The locations that are booked for meetings and planning events."
    )
    description: str | None = Field(description="What is told of the session.")
    description_dashboard: str | None = Field(description="What students read on their dashboard.")
    updated_at: UpdatedAt
    created_at: CreatedAt
    planning_attendees: list[PlanningAttendee]
    planning_materials: list[PlanningMaterialBooking] | None = None


class RequiredTeacherGroup(Row):
    """How many teachers with certain labels a planning event needs."""

    id: Id
    quantity: int = Field(description="How many such teachers are needed.")
    teacher_label_ids: list[LabelId] = Field(
        description="The labels that such a teacher has, as a JSON list of their ids in labels; a "
        "table beside this one has a row for each."
    )


class PlanningEvent(Row):
    """An entry of the planning: mostly a meeting once more, as planners see it."""

    id: Id
    meeting_id: MeetingId = Field(description="The session that the entry is about.")
    meeting_location_id: MeetingLocationId | None = Field(
        description="The room, or the first of several."
    )
    name: str | None = Field(description="What the entry is called, if anything.")
    start_date_time: LooseTimestamp = Field(description="When it begins.")
    end_date_time: LooseTimestamp = Field(description="When it ends, breaks included.")
    planning_meeting_location_ids: list[MeetingLocationId] = Field(
        description="The locations that are booked for meetings and planning events."
    )
    planning_attendee_conditions: list[RequiredTeacherGroup] | None = deprecated(
        "The former name of required_teacher_groups.", default=None
    )
    required_teacher_groups: list[RequiredTeacherGroup] | None = None
    planning_attendees: list[PlanningAttendee]
    planning_materials: list[PlanningMaterialBooking] | None = None


class PlanningConflict(Row):
    """A teacher, material or location that is planned for two events at one time."""

    resource_type: ConflictResourceType = Field(description="The kind of what is planned twice.")
    resource_id: Annotated[
        int,
        ReferencesBy(
            "resource_type",
            {
                "Teacher": "teachers",
                "Material": "materials",
                "MeetingLocation": "meeting_locations",
            },
        ),
    ] = Field(description="The teacher, material or meeting location that is planned twice.")
    resource_name: str = Field(
        description="What it is called; a person's name, where it is a teacher."
    )
    event_id: Annotated[int, ReferencesBy("event_type", EVENTS)] = Field(
        description="One of the two that want the same at once."
    )
    event_type: EventType = Field(description="The kind of the one event: in which table it is.")
    event_start_date_time: LooseTimestamp = Field(description="When the one of the two begins.")
    event_end_date_time: LooseTimestamp = Field(description="When the one of the two is over.")
    conflicting_event_id: Annotated[int, ReferencesBy("conflicting_event_type", EVENTS)] = Field(
        description="The other of the two that want the same at once."
    )
    conflicting_event_type: EventType = Field(
        description="The kind of the other: in which table it is."
    )
    conflicting_event_start_date_time: LooseTimestamp = Field(
        description="When the other event begins."
    )
    conflicting_event_end_date_time: LooseTimestamp = Field(
        description="When the other event ends."
    )
    start_date_time: LooseTimestamp = Field(description="When the overlap begins.")
    end_date_time: LooseTimestamp = Field(description="When the overlap ends.")


class PlanningTeacher(Row):
    """A user who can be planned as a teacher. teachers has the same people, told shorter."""

    id: Annotated[Id, References("users")] = Field(
        description="The key: the id that the teacher has in teachers and as a user (our reading)."
    )
    first_name: FirstName
    middle_name: MiddleName | None
    last_name: LastName
    email: Contact = Field(description="The address that the teacher is written to.")
    slug: Identifier = deprecated("The teacher in web addresses: mostly made of the name.")
    avatar_url: Avatar
    roles: list[UserRole] = Field(description="What planning teachers may do in Eduframe.")
    notes_user: FreeText | None = Field(description="The educator's own notes on the user.")
    description: FreeText | None = Field(description="What is told of the user to others.")
    label_ids: list[LabelId] = Field(description="The labels that planning teachers bear.")
    employee_number: Identifier | None = Field(
        description="By which number an employer knows the teacher."
    )
    student_number: Identifier | None = Field(
        description="By which number a school knows the teacher, who was a student."
    )
    teacher_headline: FreeText | None = Field(description="The line under the teacher's name.")
    teacher_description: FreeText | None = Field(
        description="What the website tells of the teacher."
    )
    teacher_enrollments_count: Annotated[int, Derived()] = deprecated(
        "How many planned courses the teacher teaches."
    )
    locale: Locale = Field(description="The language in which the teacher is addressed.")
    wants_newsletter: bool = Field(description="Whether the teacher agreed to get newsletters.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class TeacherEnrollment(Row):
    """A teacher of a planned course. Courses have several: joined, students are counted twice."""

    id: Id
    planned_course_id: PlannedCourseId = Field(description="What is taught.")
    teacher_id: TeacherId = Field(
        description="Who teaches it as a whole; planning_attendees says who is at which meeting."
    )
    teacher_role_id: TeacherRoleId | None = Field(None, description="As what, if that is told.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class TeacherRole(Row):
    """What a teacher can be in a course, such as instructor or assistant."""

    id: Id
    name: str = Field(description="What the role is called.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class CourseLocation(Row):
    """A place where courses are given."""

    id: Id
    name: str = Field(description="What the place is called.")
    updated_at: UpdatedAt
    created_at: CreatedAt
    address: Address | None = None


class MeetingLocation(Row):
    """A room, or another spot of a course location."""

    id: Id
    course_location_id: CourseLocationId = Field(description="The place that it is in.")
    name: str = Field(description="What the room is called.")
    capacity: int | None = Field(description="How many people it holds.")
    updated_at: UpdatedAt
    created_at: CreatedAt
    address: Address | None = None


class PlanningLocation(Row):
    """A meeting location that can be planned. meeting_locations has the same rooms."""

    id: Annotated[Id, References("meeting_locations")] = Field(
        description="The key: the room's id in meeting_locations, too (our reading)."
    )
    course_location_id: CourseLocationId = Field(description="The place that it is in.")
    name: str = Field(description="What the room is called.")
    capacity: int | None = Field(description="How many people it holds.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class Material(Row):
    """A thing that meetings use: lent and given back, or used up."""

    id: Id
    name: str = Field(description="What the thing is called.")
    use_type: MaterialUseType = Field(description="What becomes of it.")
    material_group_id: MaterialGroupId = Field(description="The kind of material that it is.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class PlanningMaterial(Material):
    """A material that can be planned. materials has the same things."""

    id: Annotated[Id, References("materials")] = Field(
        description="The key: the thing's id in materials, too (our reading)."
    )


class MaterialGroup(Row):
    """Materials of one kind."""

    id: Id
    name: str = Field(description="What the kind is called.")
    updated_at: UpdatedAt
    created_at: CreatedAt
