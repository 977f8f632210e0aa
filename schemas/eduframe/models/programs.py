"""Programs: several courses under one roof, their editions, elements and enrollments."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import Date, Money, OneOf, Row
from schemas.eduframe.models.common import (
    CategoryId,
    CostScheme,
    CourseId,
    EnrollmentId,
    Grade,
    GraduationState,
    LabelId,
    OrderId,
    PlannedCourseId,
    ProgramEditionId,
    ProgramElementId,
    ProgramEnrollmentId,
    ProgramId,
    UserId,
)

ElementType = Annotated[
    str,
    OneOf("BlockElement", "CourseElement", "ElectiveElement", "EvaluationElement", "ThesisElement"),
]
ProgramEnrollmentState = Annotated[str, OneOf("confirmed", "canceled")]


class Program(Row):
    """A program, apart from when it is given."""

    id: int
    signup_url: str
    name: str
    cost: Money | None
    cost_scheme: CostScheme = Field(description="What the cost is counted by.")
    is_published: bool
    category_id: CategoryId
    conditions: str | None = Field(description="The terms that apply.")
    slug: str


class ProgramEdition(Row):
    """A program as it is given once."""

    id: int
    name: str
    program_id: ProgramId
    cost: Money | None
    cost_scheme: CostScheme = Field(description="What the cost is counted by.")
    min_participants: int | None
    max_participants: int | None
    current_participants: int
    is_published: bool
    start_date: Date | None
    end_date: Date | None


class ProgramElement(Row):
    """A course that is part of a program edition."""

    id: int
    edition_id: ProgramEditionId
    position: int = Field(description="Place within the edition.")
    course_id: CourseId
    planned_course_id: PlannedCourseId | None


class ProgramEditionElement(Row):
    """A node of an edition's tree of elements; the API gives the tree, we give its nodes."""

    path: str = Field(description="Positions from the top down, such as 2.1.")
    parent_path: str | None = Field(description="The path of the block above; null at the top.")
    position: int = Field(description="Place among its siblings, from 0.")
    name: str
    credits: Money | None
    element_type: ElementType
    course_id: CourseId | None = Field(None, description="For courses and theses.")
    planned_course_id: PlannedCourseId | None = Field(
        None, description="For courses and theses that are planned."
    )


class ProgramEnrollment(Row):
    """A student's place in a program edition."""

    id: int
    student_id: UserId
    edition_id: ProgramEditionId
    personal_program_id: int
    label_ids: list[LabelId]
    order_id: OrderId | None
    state: ProgramEnrollmentState
    graduation_state: GraduationState
    graduation_date: Date | None
    grade: Grade | None = None


class PersonalProgramElement(Row):
    """An element of the program that one student follows."""

    id: int
    enrollment_id: ProgramEnrollmentId
    course_id: CourseId
    course_enrollment_id: EnrollmentId | None = Field(
        description="The enrollment in the planned course that fills the element."
    )
    element_id: ProgramElementId | None
