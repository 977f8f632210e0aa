"""Programs: several courses under one roof, their editions, elements and enrollments."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import (
    Date,
    Derived,
    Money,
    OneOf,
    Personal,
    Row,
    Unfollowed,
)
from schemas.eduframe.models.common import (
    CategoryId,
    CostScheme,
    CourseId,
    EnrollmentId,
    Grade,
    GraduationState,
    Id,
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
    OneOf(
        {
            "BlockElement": "a block: holds further elements",
            "CourseElement": "a course",
            "ElectiveElement": "a choice of the student's",
            "EvaluationElement": "a judgement, without a course",
            "ThesisElement": "a thesis",
        }
    ),
]
ProgramEnrollmentState = Annotated[
    str, OneOf({"confirmed": "the place is sure", "canceled": "given up: does not count"})
]

Cost = Annotated[
    Money | None,
    Field(
        description="The list price, without VAT (our reading), in the educator's currency, for "
        "what cost_scheme counts by."
    ),
]


class Program(Row):
    """A program, apart from when it is given."""

    id: Id
    signup_url: str = Field(description="Address of the page on which to sign up for it.")
    name: str = Field(description="What it is called.")
    cost: Cost
    cost_scheme: CostScheme
    is_published: bool = Field(description="Whether the website shows it.")
    category_id: CategoryId = Field(description="The heading of the catalog that it stands under.")
    conditions: str | None = Field(description="The terms that apply.")
    slug: str = Field(description="How it is called in web addresses; unique.")


class ProgramEdition(Row):
    """A program as it is given once."""

    id: Id
    name: str = Field(description="What it is called, often with its year.")
    program_id: ProgramId = Field(description="What is given.")
    cost: Cost
    cost_scheme: CostScheme
    min_participants: int | None = Field(
        description="How many students it takes for the edition to be given."
    )
    max_participants: int | None = Field(
        description="How many students can enroll; null where that is not limited."
    )
    current_participants: Annotated[int, Derived()] = Field(
        description="How many students take part (our reading)."
    )
    is_published: bool = Field(description="Whether the website shows it.")
    start_date: Date | None = Field(description="The first day.")
    end_date: Date | None = Field(description="The last day.")


class ProgramElement(Row):
    """A course that is part of a program edition."""

    id: Id
    edition_id: ProgramEditionId = Field(description="The edition that the course is part of.")
    position: int = Field(description="Place within the edition.")
    course_id: CourseId = Field(description="What is to be taken.")
    planned_course_id: PlannedCourseId | None = Field(
        description="When it is given in this edition, where that is set."
    )


class ProgramEditionElement(Row):
    """A node of an edition's tree of elements: the API gives the tree, we give its nodes."""

    path: str = Field(description="Positions from the top down, such as 2.1.")
    parent_path: str | None = Field(
        description="The path of the block above, in the same edition; null at the top."
    )
    position: int = Field(description="Place among its siblings, from 0.")
    name: str = Field(description="What the element is called.")
    credits: Money | None = Field(
        description="What it is worth. A block may repeat what is in it: sum either blocks or what "
        "they hold."
    )
    element_type: ElementType = Field(description="What kind of element it is.")
    course_id: CourseId | None = Field(None, description="For courses and theses.")
    planned_course_id: PlannedCourseId | None = Field(
        None, description="For courses and theses that are planned."
    )


class ProgramEnrollment(Row):
    """A student's place in a program edition."""

    id: Id
    student_id: UserId = Field(description="Who takes part.")
    edition_id: ProgramEditionId = Field(description="What the student takes part in.")
    personal_program_id: Annotated[
        int, Unfollowed("the API has no list of personal programs, only of their elements.")
    ] = Field(description="The program as this student follows it.")
    label_ids: list[LabelId] = Field(description="The labels that program enrollments bear.")
    order_id: OrderId | None = Field(
        description="The order that it came of; null where somebody was enrolled without one."
    )
    state: ProgramEnrollmentState = Field(description="Whether the place counts.")
    graduation_state: GraduationState
    graduation_date: Annotated[Date | None, Personal("judgement")] = Field(
        description="The day on which the student passed."
    )
    grade: Grade | None = None


class PersonalProgramElement(Row):
    """An element of the program that one student follows."""

    id: Id
    enrollment_id: ProgramEnrollmentId = Field(
        description="The student's place in the program: despite its name no row of enrollments."
    )
    course_id: CourseId = Field(description="What is to be taken.")
    course_enrollment_id: EnrollmentId | None = Field(
        description="The enrollment in the planned course that fills the element."
    )
    element_id: ProgramElementId | None = Field(
        description="The element of the edition that it comes from; null for the student's own."
    )
