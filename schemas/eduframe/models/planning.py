"""When, where, by whom and with what: planned courses, meetings, teachers, rooms, materials."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import (
    LooseDate,
    LooseTimestamp,
    Money,
    OneOf,
    Row,
    Timestamp,
)
from schemas.eduframe.models.common import (
    Address,
    CostScheme,
    CourseId,
    CourseLocationId,
    CourseVariantId,
    Currency,
    LabelId,
    Locale,
    MaterialGroupId,
    MaterialId,
    MeetingId,
    MeetingLocationId,
    PlannedCourseId,
    PlannedCourseType,
    TeacherId,
    TeacherRoleId,
    UserRole,
    deprecated,
)

AvailabilityState = Annotated[str, OneOf("open", "closed")]
ConflictResourceType = Annotated[str, OneOf("Teacher", "Material", "MeetingLocation")]
EventType = Annotated[str, OneOf("Meeting", "Planning::Event")]
MaterialUseType = Annotated[str, OneOf("reservable", "consumable")]
PlannedCourseStatus = Annotated[str, OneOf("planned", "active", "completed", "canceled")]


class PlannedCourse(Row):
    """A course as it is given once, from a start date on."""

    id: int
    status: PlannedCourseStatus
    duration_in_days: int | None
    availability_state: AvailabilityState = Field(description="Whether one can sign up.")
    payable: bool
    current_participants: int
    confirmed_active_and_completed_enrollments_count: int = Field(
        description="Enrollments that are neither requested nor canceled."
    )
    requested_enrollments_count: int = Field(description="Enrollments that await approval.")
    available_places: bool = Field(description="Whether places are left.")
    canvas_link: str | None = Field(None, description="Address of the course in Canvas.")
    currency: Currency
    cost_multiplier: Money | None = Field(description="What the course's cost is multiplied by.")
    is_published: bool
    course_id: CourseId
    type: PlannedCourseType = Field(description="With fixed dates, or started at any time.")
    start_date: LooseDate
    end_date: LooseDate
    min_participants: int | None
    max_participants: int | None
    cost_scheme: CostScheme = Field(description="What the cost is counted by.")
    cost: Money | None
    course_variant_id: CourseVariantId | None
    course_location_id: CourseLocationId | None
    updated_at: Timestamp
    created_at: Timestamp


class PlanningAttendee(Row):
    """A teacher who is planned for a meeting or planning event."""

    id: int
    attendable_id: int = Field(description="The id of what is attended, of the type beside it.")
    attendable_type: str
    teacher_id: TeacherId
    teacher_role_id: TeacherRoleId | None = None
    comment: str | None


class PlanningMaterialBooking(Row):
    """Material that is booked for a meeting or planning event."""

    material_id: MaterialId
    amount: int | None = Field(description="How many pieces are booked.")
    comment: str | None


class Meeting(Row):
    """One session of a planned course."""

    id: int
    name: str | None
    planned_course_id: PlannedCourseId
    start_date_time: Timestamp
    end_date_time: Timestamp
    meeting_location_id: MeetingLocationId | None
    planning_meeting_location_ids: list[MeetingLocationId] = Field(
        description="All locations that are booked for the meeting."
    )
    description: str | None
    description_dashboard: str | None = Field(description="What students read on their dashboard.")
    updated_at: Timestamp
    created_at: Timestamp
    planning_attendees: list[PlanningAttendee]
    planning_materials: list[PlanningMaterialBooking] | None = None


class RequiredTeacherGroup(Row):
    """How many teachers with certain labels a planning event needs."""

    id: int
    quantity: int
    teacher_label_ids: list[int] = Field(description="The labels that such a teacher has.")


class PlanningEvent(Row):
    """An entry of the planning."""

    id: int
    meeting_id: MeetingId
    meeting_location_id: MeetingLocationId | None
    name: str | None
    start_date_time: LooseTimestamp
    end_date_time: LooseTimestamp
    planning_meeting_location_ids: list[MeetingLocationId] = Field(
        description="All locations that are booked for the event."
    )
    planning_attendee_conditions: list[RequiredTeacherGroup] | None = deprecated(
        "The former name of required_teacher_groups.", default=None
    )
    required_teacher_groups: list[RequiredTeacherGroup] | None = None
    planning_attendees: list[PlanningAttendee]
    planning_materials: list[PlanningMaterialBooking] | None = None


class PlanningConflict(Row):
    """A teacher, material or location that is planned for two events at one time."""

    resource_type: ConflictResourceType
    resource_id: int = Field(description="The id of the teacher, material or meeting location.")
    resource_name: str
    event_id: int = Field(description="The id of one event, of the type beside it.")
    event_type: EventType
    event_start_date_time: LooseTimestamp
    event_end_date_time: LooseTimestamp
    conflicting_event_id: int = Field(description="The id of the other event.")
    conflicting_event_type: EventType
    conflicting_event_start_date_time: LooseTimestamp
    conflicting_event_end_date_time: LooseTimestamp
    start_date_time: LooseTimestamp = Field(description="When the overlap begins.")
    end_date_time: LooseTimestamp = Field(description="When the overlap ends.")


class PlanningTeacher(Row):
    """A user who can be planned as a teacher."""

    id: int
    first_name: str
    middle_name: str | None = Field(description="What stands between first and last name.")
    last_name: str
    email: str
    slug: str = deprecated()
    avatar_url: str
    roles: list[UserRole]
    notes_user: str | None = Field(description="The educator's own notes on the user.")
    description: str | None
    label_ids: list[LabelId]
    employee_number: str | None
    student_number: str | None
    teacher_headline: str | None = Field(description="The line under the teacher's name.")
    teacher_description: str | None
    teacher_enrollments_count: int = deprecated("How many planned courses the teacher teaches.")
    locale: Locale = Field(description="The language in which the teacher is addressed.")
    wants_newsletter: bool
    updated_at: Timestamp
    created_at: Timestamp


class TeacherEnrollment(Row):
    """A teacher of a planned course."""

    id: int
    planned_course_id: PlannedCourseId
    teacher_id: TeacherId
    teacher_role_id: TeacherRoleId | None = None
    updated_at: Timestamp
    created_at: Timestamp


class TeacherRole(Row):
    """What a teacher can be in a course, such as instructor or assistant."""

    id: int
    name: str
    updated_at: Timestamp
    created_at: Timestamp


class CourseLocation(Row):
    """A place where courses are given."""

    id: int
    name: str
    updated_at: Timestamp
    created_at: Timestamp
    address: Address | None = None


class MeetingLocation(Row):
    """A room, or another spot of a course location."""

    id: int
    course_location_id: CourseLocationId
    name: str
    capacity: int | None = Field(description="How many people it holds.")
    updated_at: Timestamp
    created_at: Timestamp
    address: Address | None = None


class PlanningLocation(Row):
    """A meeting location that can be planned."""

    id: int
    course_location_id: CourseLocationId
    name: str
    capacity: int | None = Field(description="How many people it holds.")
    updated_at: Timestamp
    created_at: Timestamp


class Material(Row):
    """A thing that meetings use: lent and given back, or used up."""

    id: int
    name: str
    use_type: MaterialUseType
    material_group_id: MaterialGroupId
    updated_at: Timestamp
    created_at: Timestamp


class PlanningMaterial(Material):
    """A material that can be planned."""


class MaterialGroup(Row):
    """Materials of one kind."""

    id: int
    name: str
    updated_at: Timestamp
    created_at: Timestamp
