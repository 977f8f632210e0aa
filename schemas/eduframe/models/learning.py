"""What students do and reach: enrollments, attendances, certificates, credits, theses."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import Date, Number, OneOf, Row, Timestamp
from schemas.eduframe.models.common import (
    CourseId,
    EnrollmentId,
    Grade,
    GraduationState,
    MeetingId,
    OrderId,
    PlannedCourseId,
    UserId,
)

AttendanceState = Annotated[str, OneOf("absent", "absent_with_leave", "attended", "blanco", "late")]
CertifiableType = Annotated[
    str, OneOf("course_enrollment", "program_enrollment", "evaluation_element")
]
EnrollmentStatus = Annotated[str, OneOf("active", "canceled", "completed", "confirmed")]
ThesisConfidentiality = Annotated[str, OneOf("no", "yes", "on_request")]
ThesisLocale = Annotated[str, OneOf("english", "dutch")]


class Enrollment(Row):
    """A student's place in a planned course."""

    id: int
    student_id: UserId
    planned_course_id: PlannedCourseId
    order_id: OrderId | None
    start_date: Date
    end_date: Date | None
    status: EnrollmentStatus
    graduation_state: GraduationState
    updated_at: Timestamp
    created_at: Timestamp
    grade: Grade | None = None


class Attendance(Row):
    """Whether a student was at a meeting."""

    id: int
    meeting_id: MeetingId
    enrollment_id: EnrollmentId
    state: AttendanceState = Field(description="'blanco' where nobody has filled it in.")
    comment: str | None
    updated_at: Timestamp
    created_at: Timestamp


class Certificate(Row):
    """A certificate that was awarded."""

    id: int
    certifiable_id: int = Field(description="The id of what it is for, of the type beside it.")
    certifiable_type: CertifiableType
    pdf_url: str | None
    created_at: Timestamp


class CreditType(Row):
    """A kind of credits within a category."""

    id: int
    name: str


class CreditCategory(Row):
    """A scheme under which credits are given, such as a professional register."""

    id: int
    name: str
    types: list[CreditType]


class Credit(Row):
    """Credits that a student has earned."""

    id: int
    student_id: UserId
    credits: Number
    description: str | None
    course_id: CourseId | None
    enrollment_id: EnrollmentId | None
    created_at: Timestamp


class Thesis(Row):
    """A thesis that students have handed in."""

    id: int
    title: str | None
    subtitle: str | None
    keywords: list[str]
    abstract: str | None
    authors: list[str]
    date: Date | None
    supervisors: list[str]
    confidentiality: ThesisConfidentiality | None
    locale: ThesisLocale | None = Field(description="The language it is written in.")
    file_url: str | None
