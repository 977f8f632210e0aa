"""People and organisations: accounts, users, teachers, organizations, labels, leads."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import (
    Amount,
    Contact,
    CustomFields,
    Derived,
    FreeText,
    Identifier,
    Name,
    OneOf,
    References,
    Row,
    Unfollowed,
)
from schemas.eduframe.models.common import (
    CUSTOM,
    AccountId,
    AccountType,
    Address,
    Avatar,
    CatalogProductId,
    CatalogVariantId,
    CourseId,
    CreatedAt,
    FirstName,
    Id,
    InvoiceId,
    LabelId,
    LastName,
    LeadId,
    Locale,
    MiddleName,
    OrderId,
    OrganizationId,
    PlannedCourseId,
    UpdatedAt,
    UserId,
    UserRole,
    deprecated,
)

LabelModelType = Annotated[
    str,
    OneOf(
        {
            "Account": "accounts",
            "Catalog::Product": "catalog_products, and the courses behind them",
            "Lead": "leads",
            "Order": "orders",
            "Program::Enrollment": "program_enrollments",
            "Task": "tasks",
            "Teacher": "teachers and planning_teachers",
            "User": "users",
        }
    ),
]
LeadStatus = Annotated[
    str,
    OneOf(
        {
            "prospect": "open: may become a sale",
            "waiting_list": "waits for a place",
            "won": "became a sale",
            "lost": "will not become one",
            "archive": "put away, whatever became of it",
        }
    ),
]


class Account(Row):
    """A customer: a company, or the personal account of one user. Orders and invoices are its."""

    id: Id
    name: Name = Field(
        description="The company's name; of a personal account, one that Eduframe makes of the "
        "user's."
    )
    email: Contact | None = Field(description="Where invoices are sent.")
    phone: Contact | None = Field(description="Telephone number, as somebody typed it.")
    account_type: AccountType = Field(description="Whether it is a company's or one person's.")
    label_ids: list[LabelId] = Field(description="The labels that accounts bear.")
    personal_user_id: UserId | None = deprecated("The user whose personal account this is.")
    slug: Identifier = deprecated("The account in web addresses: mostly made of its name.")
    users_count: Annotated[int, Derived()] = deprecated("How many users belong to the account.")
    visible: bool = deprecated("Whether Eduframe shows the account in its lists (our reading).")
    updated_at: UpdatedAt
    created_at: CreatedAt
    custom: CustomFields | None = Field(None, description=CUSTOM)
    address: Address | None = None


class Affiliation(Row):
    """A user's membership of an account: users may have several, accounts many."""

    id: Id
    account_id: AccountId = Field(description="The account that the user belongs to.")
    user_id: UserId = Field(description="The person who orders or learns for the account.")
    key_contact: bool = Field(description="Whether the user is a main contact of the account.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class User(Row):
    """A person who can sign in: student, customer, teacher or administrator."""

    id: Id
    first_name: FirstName
    middle_name: MiddleName | None
    last_name: LastName
    email: Contact = Field(description="The address that the user is written to.")
    slug: Identifier = deprecated("The user in web addresses: mostly made of the name.")
    avatar_url: Avatar
    roles: list[UserRole] = Field(description="What users may do in Eduframe.")
    notes_user: FreeText | None = Field(description="The educator's own notes on the user.")
    description: FreeText | None = Field(description="What is told of the user to others.")
    label_ids: list[LabelId] = Field(description="The labels that users bear.")
    employee_number: Identifier | None = Field(
        description="By which number an employer knows the user."
    )
    student_number: Identifier | None = Field(
        description="By which number a school or the educator knows the student."
    )
    teacher_headline: FreeText | None = Field(description="The line under a teacher's name.")
    teacher_description: FreeText | None = Field(
        description="What the website tells of the user as a teacher."
    )
    teacher_enrollments_count: Annotated[int, Derived()] = deprecated(
        "How many planned courses the user teaches."
    )
    locale: Locale = Field(description="The language in which the user is addressed.")
    wants_newsletter: bool = Field(description="Whether the user agreed to get newsletters.")
    updated_at: UpdatedAt
    created_at: CreatedAt
    address: Address | None = None
    custom: CustomFields | None = Field(None, description=CUSTOM)


class Authentication(Row):
    """A way in which a user signs in. Synced only if it is asked for."""

    id: Id
    user_id: UserId = Field(description="Who signs in with it.")
    authentication_provider_id: Annotated[
        int, Unfollowed("the API has no list of providers.")
    ] = Field(description="What checks who the user is: Eduframe itself, or a service outside.")
    uid: Identifier = Field(description="The login by which the provider knows the user.")
    otp_enabled: bool = Field(description="Whether a one-time password is asked for as well.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class Teacher(Row):
    """Someone who teaches: a user, seen as a teacher."""

    id: Annotated[Id, References("users")] = Field(
        description="The key: the id that the teacher has as a user (our reading)."
    )
    first_name: FirstName
    middle_name: MiddleName | None
    last_name: LastName
    email: Contact = Field(description="The address that the teacher is written to.")
    slug: Identifier = deprecated("The teacher in web addresses: mostly made of the name.")
    label_ids: list[LabelId] = Field(description="The labels that teachers bear.")
    active: bool = Field(description="Whether the teacher still teaches here, and can be planned.")
    avatar_url: Avatar
    employee_number: Identifier | None = Field(
        description="By which number an employer knows the teacher."
    )
    note: FreeText | None = Field(description="The educator's own notes on the teacher.")
    teacher_headline: FreeText | None = Field(description="The line under the teacher's name.")
    teacher_description: FreeText | None = Field(
        description="What the website tells of the teacher."
    )
    teacher_enrollments_count: Annotated[int, Derived()] = deprecated(
        "How many planned courses the teacher teaches."
    )
    locale: Locale = Field(description="The language in which the teacher is addressed.")
    updated_at: UpdatedAt
    created_at: CreatedAt
    custom: CustomFields | None = Field(None, description=CUSTOM)


class Organization(Row):
    """A group of accounts that belong together. An account may be in several."""

    id: Id
    name: str = Field(description="What the group is called.")
    primary_account_id: AccountId = Field(description="The account that stands for the whole.")


class OrganizationAccount(Row):
    """An account that belongs to an organization. To count accounts, beware of those in two."""

    account_id: AccountId = Field(description="The account that belongs to the group.")
    organization_id: OrganizationId = Field(description="The group that the account belongs to.")


class OrganizationAffiliation(Row):
    """A user's membership of an organization."""

    id: Id
    organization_id: OrganizationId = Field(description="The group that the user belongs to.")
    user_id: UserId = Field(description="The person who belongs to the group.")
    key_contact: bool = Field(description="Whether the user is a main contact there.")


class OrganizationInvoice(Row):
    """An invoice that belongs to an organization."""

    invoice_id: InvoiceId = Field(description="The invoice, which is still one account's.")
    organization_id: OrganizationId = Field(description="The group that it counts for.")


class OrganizationOrder(Row):
    """An order that belongs to an organization."""

    organization_id: OrganizationId = Field(description="The group that it counts for.")
    order_id: OrderId = Field(description="The order, which is still one account's.")


class Label(Row):
    """A coloured tag for rows of one kind. Rows have any number: joined, they are counted twice."""

    id: Id
    name: str = Field(description="What the tag says.")
    color: str = Field(description="The tag's colour, as a hex code.")
    model_type: LabelModelType = Field(description="The kind of row that the label is for.")
    created_at: CreatedAt
    updated_at: UpdatedAt


class LeadCourse(Row):
    """A course that a lead is interested in."""

    id: Id
    lead_id: LeadId = Field(description="The lead that this is a part of.")
    course_id: CourseId = Field(description="What the lead would like to take.")
    planned_course_id: PlannedCourseId | None = Field(
        description="The date on which, where the lead has chosen one."
    )


class LeadProduct(Row):
    """A catalog product that a lead is interested in. Leads may have several."""

    catalog_product_id: CatalogProductId = Field(description="What the lead would like to buy.")
    catalog_variant_id: CatalogVariantId | None = Field(
        description="The date or edition of it, where the lead has chosen one."
    )


class Lead(Row):
    """A sale that may come about. The API tells of no order that came of it."""

    id: Id
    creation_method: str = Field(
        description="How the lead came in, in Eduframe's words (the API lists no values)."
    )
    referral_text: FreeText | None = Field(
        description="How the lead says to have heard of the educator."
    )
    title: FreeText = Field(description="What the sale is about, in a few words.")
    account_id: AccountId | None = Field(description="The customer, where it is one already.")
    user_id: UserId | None = Field(description="The person, where it is a user already.")
    label_ids: list[LabelId] = Field(description="The labels that leads bear.")
    value: Amount | None = Field(
        description="What the sale is expected to be worth: an amount in the educator's currency; "
        "the API does not say whether VAT is in it."
    )
    company_name: Name | None = Field(description="The company that the lead speaks for.")
    first_name: FirstName | None
    middle_name: MiddleName | None
    last_name: LastName | None
    administrator_id: UserId | None = Field(
        description="The administrator who owns the lead: who follows it up."
    )
    email: Contact | None = Field(description="The address that the lead is written to.")
    phone: Contact | None = Field(description="Telephone number, as somebody typed it.")
    status: LeadStatus = Field(description="How far the sale has come.")
    quality: str | None = Field(
        description="How promising the lead is: a number of stars, as text."
    )
    wants_newsletter: bool = Field(description="Whether the lead agreed to get newsletters.")
    updated_at: UpdatedAt
    created_at: CreatedAt
    address: Address | None = None
    courses_leads: list[LeadCourse] | None = deprecated(
        "The courses that leads are interested in; lead_products has taken their place.",
        default=None,
    )
    lead_products: list[LeadProduct] | None = Field(
        None, description="The catalog products that leads are interested in."
    )
