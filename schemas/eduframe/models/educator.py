"""How an educator has set up Eduframe: custom fields and objects, tasks, webhooks."""

from typing import Annotated, Any

from pydantic import Field

from schemas.eduframe.models.column_types import (
    CustomFields,
    LooseDate,
    LooseTimestamp,
    Money,
    OneOf,
    Row,
    Timestamp,
)
from schemas.eduframe.models.common import (
    AccountType,
    Address,
    Country,
    Currency,
    CustomObjectId,
    FieldType,
    LabelId,
    Locale,
    UserId,
    WebhookId,
)

_EVENTS = """
account.created account.deleted account.updated
catalog_variant.created catalog_variant.deleted catalog_variant.updated
category.created category.deleted category.updated
certificate.awarded certificate.deleted
course.created course.deleted course.updated
course_location.created course_location.deleted course_location.updated
course_variant.created course_variant.deleted course_variant.updated
custom_field_option.created custom_field_option.deleted custom_field_option.updated
custom_record.created custom_record.deleted custom_record.updated
educator.created educator.deleted educator.updated
enrollment.created enrollment.deleted enrollment.updated
invoice.created invoice.deleted invoice.updated
invoice_vat.created invoice_vat.deleted invoice_vat.updated
label.created label.deleted label.updated
lead.created lead.deleted lead.updated
meeting.created meeting.deleted meeting.teacher_attendees_changed meeting.updated
meeting_location.created meeting_location.deleted meeting_location.updated
order.approved order.canceled order.created order.deleted order.denied order.updated
payment.created payment.deleted payment.updated
planned_course.canceled planned_course.created planned_course.deleted
planned_course.teacher_attendees_changed planned_course.updated
planning_event.created planning_event.deleted planning_event.teacher_attendees_changed
planning_event.updated
product.created product.deleted product.updated
program.created program.deleted program.updated
program_edition.created program_edition.deleted program_edition.updated
program_enrollment.cancel program_enrollment.created program_enrollment.graduation_revoked
program_enrollment.pass program_enrollment.updated
teacher.created teacher.deleted teacher.updated
teacher_role.created teacher_role.deleted teacher_role.updated
user.created user.deleted user.merged user.updated
"""

NotificationStatus = Annotated[str, OneOf("pending", "retry", "succeeded", "failed")]
FailedNotificationStatus = Annotated[str, OneOf("failed")]
QuestionOwner = Annotated[
    str, OneOf("user", "teacher", "account", "catalog_product", "order", "catalog_variant")
]
SubjectType = Annotated[
    str,
    OneOf(
        "Course",
        "Account",
        "User",
        "Lead",
        "Invoice",
        "PlannedCourse",
        "Order",
        "Program::Program",
        "Program::Edition",
    ),
]
WebhookEvent = Annotated[str, OneOf(*_EVENTS.split())]


class Educator(Row):
    """The training provider whose data this is."""

    id: int
    slug: str
    standard_planning_text: str | None
    default_invoice_vat_multiplier: Money | None = Field(
        description="The VAT factor for new invoices."
    )
    phone: str | None
    website_url: str | None
    signup_default_account_type: AccountType
    signup_contact_info: str | None
    currency: Currency
    country: Country = Field(description="ISO 3166-1 alpha-2 code.")
    email: str | None
    time_zone: str
    name: str
    locale: Locale | None = None
    terms_url: str | None = Field(None, description="Address of the general terms.")
    invoice_address: Address | None = None


class SignupQuestion(Row):
    """A custom field: a question that users, orders and other rows answer in ``custom``."""

    id: int
    position: int = Field(description="Place among the questions.")
    field_type: FieldType
    title: str
    slug: str = Field(description="The answer's key in custom.")
    required: bool
    for_type: QuestionOwner = Field(description="The kind of row that answers.")
    visibility: list[str] = Field(description="Who sees the question.")
    for_student: bool = Field(description="Whether students are asked.")
    for_customer: bool = Field(description="Whether customers are asked.")
    choices: list[str] = Field(description="The answers to choose from.")
    system_name: str | None = Field(description="Eduframe's own name of a built-in question.")
    use_as_duplicate_indicator: bool = Field(
        description="Whether equal answers suggest that two rows are one."
    )


class CustomObjectField(Row):
    """A field that the records of a custom object have."""

    id: int
    slug: str = Field(description="The value's key in properties.")
    title: str
    field_type: FieldType


class CustomObject(Row):
    """A kind of record that the educator has defined."""

    id: int
    slug: str
    name_singular: str
    name_plural: str
    fields: list[CustomObjectField] | None = None


class CustomRecord(Row):
    """A record of a custom object."""

    id: int
    active: bool
    display_name: str
    properties: CustomFields = Field(description="Field slug to value.")


class AssociatedObject(Row):
    """The custom object that an association leads to."""

    id: CustomObjectId
    slug: str
    name_singular: str
    name_plural: str


class CustomAssociation(Row):
    """A link that rows of one kind can have to the records of a custom object."""

    id: int
    name: str
    slug: str
    custom_object: AssociatedObject


class CustomFieldOption(Row):
    """A value that a custom field offers."""

    id: int
    value: str
    enabled: bool


class Task(Row):
    """Something that a user has to do."""

    id: int
    creator_id: UserId
    completed_at: LooseTimestamp
    completed_by_id: UserId | None
    assigned_by_id: UserId | None
    name: str
    description: str | None
    due_date: LooseDate
    starred: bool
    assignee_id: UserId | None = Field(description="The user who has to do it.")
    subject_type: SubjectType | None = Field(description="The kind of row the task is about.")
    subject_id: int | None = Field(description="The id of that row.")
    label_ids: list[LabelId]
    updated_at: Timestamp
    created_at: Timestamp


class Webhook(Row):
    """An address that Eduframe calls when something happens."""

    id: str
    created_at: LooseTimestamp
    updated_at: LooseTimestamp
    url: str | None = None
    active: bool | None = None
    events: list[WebhookEvent] | None = None


class WebhookSendAttempt(Row):
    """One try to deliver a notification."""

    response: str
    status_code: int = Field(description="The HTTP status that the receiver answered.")
    created_at: LooseTimestamp


class WebhookNotification(Row):
    """A call of a webhook."""

    id: str
    event_id: str
    data: dict[str, Any] = Field(description="What was sent.")
    status: NotificationStatus
    send_attempts: list[WebhookSendAttempt]


class WebhookFailedNotification(Row):
    """A call of a webhook that was given up."""

    id: str
    event_id: str
    webhook_id: WebhookId
    data: dict[str, Any] = Field(description="What was sent.")
    status: FailedNotificationStatus
    created_at: Timestamp
