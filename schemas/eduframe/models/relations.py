"""People and organisations: accounts, users, teachers, organizations, labels, leads."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import CustomFields, Money, OneOf, Row, Timestamp
from schemas.eduframe.models.common import (
    AccountId,
    AccountType,
    Address,
    CatalogProductId,
    CatalogVariantId,
    CourseId,
    InvoiceId,
    LabelId,
    LeadId,
    Locale,
    OrderId,
    OrganizationId,
    PlannedCourseId,
    UserId,
    UserRole,
    deprecated,
)

LabelModelType = Annotated[
    str,
    OneOf(
        "Account",
        "Catalog::Product",
        "Lead",
        "Order",
        "Program::Enrollment",
        "Task",
        "Teacher",
        "User",
    ),
]
LeadStatus = Annotated[str, OneOf("prospect", "waiting_list", "won", "lost", "archive")]


class Account(Row):
    """A customer: a company, or the personal account of one user."""

    id: int
    name: str
    email: str | None
    phone: str | None
    account_type: AccountType
    label_ids: list[LabelId]
    personal_user_id: UserId | None = deprecated("The user whose personal account this is.")
    slug: str = deprecated()
    users_count: int = deprecated("How many users belong to the account.")
    visible: bool = deprecated()
    updated_at: Timestamp
    created_at: Timestamp
    custom: CustomFields | None = None
    address: Address | None = None


class Affiliation(Row):
    """A user's membership of an account."""

    id: int
    account_id: AccountId
    user_id: UserId
    key_contact: bool = Field(description="Whether the user is a main contact of the account.")
    updated_at: Timestamp
    created_at: Timestamp


class User(Row):
    """A person who can sign in: student, customer, teacher or administrator."""

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
    teacher_headline: str | None = Field(description="The line under a teacher's name.")
    teacher_description: str | None
    teacher_enrollments_count: int = deprecated("How many planned courses the user teaches.")
    locale: Locale = Field(description="The language in which the user is addressed.")
    wants_newsletter: bool
    updated_at: Timestamp
    created_at: Timestamp
    address: Address | None = None
    custom: CustomFields | None = None


class Authentication(Row):
    """A way in which a user signs in."""

    id: int
    user_id: UserId
    authentication_provider_id: int
    uid: str = Field(description="How the provider knows the user.")
    otp_enabled: bool = Field(description="Whether a one-time password is asked for as well.")
    updated_at: Timestamp
    created_at: Timestamp


class Teacher(Row):
    """Someone who teaches."""

    id: int
    first_name: str
    middle_name: str | None = Field(description="What stands between first and last name.")
    last_name: str
    email: str
    slug: str = deprecated()
    label_ids: list[LabelId]
    active: bool
    avatar_url: str
    employee_number: str | None
    note: str | None
    teacher_headline: str | None = Field(description="The line under the teacher's name.")
    teacher_description: str | None
    teacher_enrollments_count: int = deprecated("How many planned courses the teacher teaches.")
    locale: Locale = Field(description="The language in which the teacher is addressed.")
    updated_at: Timestamp
    created_at: Timestamp
    custom: CustomFields | None = None


class Organization(Row):
    """A group of accounts that belong together."""

    id: int
    name: str
    primary_account_id: AccountId = Field(description="The account that stands for the whole.")


class OrganizationAccount(Row):
    """An account that belongs to an organization."""

    account_id: AccountId
    organization_id: OrganizationId


class OrganizationAffiliation(Row):
    """A user's membership of an organization."""

    id: int
    organization_id: OrganizationId
    user_id: UserId
    key_contact: bool = Field(description="Whether the user is a main contact there.")


class OrganizationInvoice(Row):
    """An invoice that belongs to an organization."""

    invoice_id: InvoiceId
    organization_id: OrganizationId


class OrganizationOrder(Row):
    """An order that belongs to an organization."""

    organization_id: OrganizationId
    order_id: OrderId


class Label(Row):
    """A coloured tag for rows of one kind."""

    id: int
    name: str
    color: str
    model_type: LabelModelType = Field(description="The kind of row the label is for.")
    created_at: Timestamp
    updated_at: Timestamp


class LeadCourse(Row):
    """A course that a lead is interested in."""

    id: int
    lead_id: LeadId
    course_id: CourseId
    planned_course_id: PlannedCourseId | None


class LeadProduct(Row):
    """A catalog product that a lead is interested in."""

    catalog_product_id: CatalogProductId
    catalog_variant_id: CatalogVariantId | None


class Lead(Row):
    """A sale that may come about."""

    id: int
    creation_method: str = Field(description="How the lead came in.")
    referral_text: str | None = Field(description="How the lead says to have heard of us.")
    title: str
    account_id: AccountId | None
    user_id: UserId | None
    label_ids: list[LabelId]
    value: Money | None = Field(description="What the sale is expected to be worth.")
    company_name: str | None
    first_name: str | None
    middle_name: str | None = Field(description="What stands between first and last name.")
    last_name: str | None
    administrator_id: UserId | None = Field(description="The user who follows the lead up.")
    email: str | None
    phone: str | None
    status: LeadStatus
    quality: str | None = Field(description="How promising the lead is.")
    wants_newsletter: bool
    updated_at: Timestamp
    created_at: Timestamp
    address: Address | None = None
    courses_leads: list[LeadCourse] | None = deprecated(default=None)
    lead_products: list[LeadProduct] | None = None
