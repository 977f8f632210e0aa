"""What students do and reach: enrollments, attendances, certificates, credits, theses."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import (
    Date,
    Derived,
    FreeText,
    Name,
    Number,
    OneOf,
    Personal,
    ReferencesBy,
    Row,
)
from schemas.eduframe.models.common import (
    CourseId,
    CreatedAt,
    EnrollmentId,
    Grade,
    GraduationState,
    Id,
    MeetingId,
    OrderId,
    PlannedCourseId,
    UpdatedAt,
    UserId,
)

AttendanceState = Annotated[
    str,
    Personal("judgement"),
    OneOf(
        {
            "attended": "was there",
            "late": "was there, but came late",
            "absent": "was not there, and had not been excused: a no-show",
            "absent_with_leave": "was not there, and had been excused",
            "blanco": "not filled in: neither there nor absent",
        }
    ),
]
CertifiableType = Annotated[
    str,
    OneOf(
        {
            "course_enrollment": "an enrollment in a planned course",
            "program_enrollment": "an enrollment in a program edition",
            "evaluation_element": "an evaluation within a program",
        }
    ),
]
EnrollmentStatus = Annotated[
    str,
    Derived(),
    OneOf(
        {
            "confirmed": "the place is sure, and the course has not begun",
            "active": "the course is under way",
            "completed": "the course is over, whether it was passed or not",
            "canceled": "given up: does not count",
        }
    ),
]
ThesisConfidentiality = Annotated[
    str,
    OneOf({"no": "all may read it", "yes": "nobody outside", "on_request": "who asks may"}),
]
ThesisLocale = Annotated[str, OneOf.codes("names of languages", ("english", "dutch"))]


class Enrollment(Row):
    """A student's place in a planned course."""

    id: Id
    student_id: UserId = Field(description="Who takes part.")
    planned_course_id: PlannedCourseId = Field(description="What the student takes part in.")
    order_id: OrderId | None = Field(
        description="The order that it came of; null where somebody was enrolled without one."
    )
    start_date: Date = Field(description="The student's first day.")
    end_date: Date | None = Field(
        description="The planned course's last day; in flexible ones the student's own."
    )
    status: EnrollmentStatus = Field(description="Whether the place counts, and how far it is.")
    graduation_state: GraduationState
    updated_at: UpdatedAt
    created_at: CreatedAt
    grade: Grade | None = None


class Attendance(Row):
    """Whether a student was at a meeting: a row for each enrollment and meeting."""

    id: Id
    meeting_id: MeetingId = Field(description="Where the student was expected.")
    enrollment_id: EnrollmentId = Field(description="Who was expected, by their enrollment.")
    state: AttendanceState = Field(
        description="Whether the student came. For a rate of no-shows, leave out 'blanco'."
    )
    comment: FreeText | None = Field(description="What the teacher remarks on it.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class Certificate(Row):
    """A certificate that was awarded."""

    id: Id
    certifiable_id: Annotated[
        int,
        ReferencesBy(
            "certifiable_type",
            {
                "course_enrollment": "enrollments",
                "program_enrollment": "program_enrollments",
                "evaluation_element": None,
            },
        ),
    ] = Field(
        description="What it was awarded for; the API has no list with ids of evaluations."
    )
    certifiable_type: CertifiableType = Field(description="The kind of what it was awarded for.")
    pdf_url: str | None = Field(description="Address of the certificate as a PDF file.")
    created_at: CreatedAt


class CreditType(Row):
    """A kind of credits within a category."""

    id: Id
    name: str = Field(description="What such credits are called.")


class CreditCategory(Row):
    """A scheme under which credits are given, such as a professional register."""

    id: Id
    name: str = Field(description="What the scheme is called.")
    types: list[CreditType]


class Credit(Row):
    """Credits that a student has earned. The API does not say of which category they are."""

    id: Id
    student_id: UserId = Field(description="Who earned them.")
    credits: Annotated[Number, Personal("judgement")] = Field(
        description="How many: hours or points, as the scheme counts."
    )
    description: FreeText | None = Field(description="What they were given for.")
    course_id: CourseId | None = Field(description="The course that gave them, if one did.")
    enrollment_id: EnrollmentId | None = Field(
        description="The enrollment that gave them, if one did."
    )
    created_at: CreatedAt


class Thesis(Row):
    """A thesis that students have handed in. It names its people, and refers to no user."""

    id: Id
    title: str | None = Field(description="What it is called.")
    subtitle: str | None = Field(description="What stands under the title.")
    keywords: list[str] = Field(description="The keywords under which theses are found.")
    abstract: str | None = Field(description="What it is about, in a paragraph.")
    authors: list[Name] = Field(description="The names of those who wrote theses.")
    date: Date | None = Field(description="The day that it bears.")
    supervisors: list[Name] = Field(description="The names of those who guided theses.")
    confidentiality: ThesisConfidentiality | None = Field(description="Who may read it.")
    locale: ThesisLocale | None = Field(description="The language it is written in.")
    file_url: str | None = Field(description="Address of the thesis as a file.")
