"""How an educator has set up Eduframe: custom fields and objects, tasks, webhooks."""

from typing import Annotated, Any

from pydantic import Field

from schemas.eduframe.models.column_types import (
    CustomFields,
    FreeText,
    LooseDate,
    LooseTimestamp,
    Money,
    OneOf,
    Personal,
    ReferencesBy,
    Row,
    Unfollowed,
)
from schemas.eduframe.models.common import (
    AccountType,
    Address,
    Country,
    CreatedAt,
    Currency,
    CustomObjectId,
    FieldType,
    Id,
    LabelId,
    Locale,
    UpdatedAt,
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

NotificationStatus = Annotated[
    str,
    OneOf(
        {
            "pending": "not sent yet",
            "retry": "refused, and to be sent again",
            "succeeded": "taken by the receiver",
            "failed": "given up",
        }
    ),
]
FailedNotificationStatus = Annotated[str, OneOf({"failed": "given up"})]
QuestionOwner = Annotated[
    str,
    OneOf(
        {
            "user": "users",
            "teacher": "teachers",
            "account": "accounts",
            "catalog_product": "catalog_products",
            "order": "orders",
            "catalog_variant": "catalog_variants",
        }
    ),
]
SUBJECTS = {
    "Course": "courses",
    "Account": "accounts",
    "User": "users",
    "Lead": "leads",
    "Invoice": "invoices",
    "PlannedCourse": "planned_courses",
    "Order": "orders",
    "Program::Program": "programs",
    "Program::Edition": "program_editions",
}
SubjectType = Annotated[str, OneOf({kind: f"a row of {table}" for kind, table in SUBJECTS.items()})]
WebhookEvent = Annotated[
    str, OneOf.codes("what the thing is, a dot, and what happened to it", _EVENTS.split())
]
EventId = Annotated[
    str,
    Unfollowed("the API has no list of events."),
    Field(description="The event that is told; several webhooks may be told of one."),
]
Sent = Annotated[
    dict[str, Any],
    Personal("free text"),
    Field(description="What was sent, as JSON: a whole row, with all that is in it."),
]


class Educator(Row):
    """The training provider whose data this is: one row."""

    id: Id
    slug: str = Field(description="The educator in web addresses.")
    standard_planning_text: str | None = Field(
        description="A text that the planning starts from (our reading)."
    )
    default_invoice_vat_multiplier: Money | None = Field(
        description="The VAT factor for new invoices. The API does not say whether 0.21 or 1.21."
    )
    phone: str | None = Field(description="The provider's own telephone number.")
    website_url: str | None = Field(description="Address of the provider's own website.")
    signup_default_account_type: AccountType = Field(
        description="As what somebody who signs up is first offered to order."
    )
    signup_contact_info: str | None = Field(
        description="Whom the sign-up page says to ask for help."
    )
    currency: Currency
    country: Country = Field(description="The country that the provider is in.")
    email: str | None = Field(description="The provider's own e-mail address.")
    time_zone: str = Field(
        description="The zone in which its days begin, by the name that Ruby on Rails has for it: "
        "Amsterdam for Europe/Amsterdam. Databases do not know these names."
    )
    name: str = Field(description="What the provider is called.")
    locale: Locale | None = Field(None, description="The language in which it works.")
    terms_url: str | None = Field(None, description="Address of the general terms.")
    invoice_address: Address | None = None


class SignupQuestion(Row):
    """A custom field: a question that users, orders and other rows answer in ``custom``."""

    id: Id
    position: int = Field(description="Place among the questions.")
    field_type: FieldType
    title: str = Field(description="The question, as people read it.")
    slug: str = Field(description="The answer's key in custom, and in custom_values.")
    required: bool = Field(description="Whether an answer must be given.")
    for_type: QuestionOwner = Field(description="The kind of row that answers.")
    visibility: list[str] = Field(
        description="Who sees the questions, in Eduframe's words (the API lists no values)."
    )
    for_student: bool = Field(description="Whether students are asked.")
    for_customer: bool = Field(description="Whether customers are asked.")
    choices: list[str] = Field(description="The answers that questions offer to choose from.")
    system_name: str | None = Field(description="Eduframe's own name of a built-in question.")
    use_as_duplicate_indicator: bool = Field(
        description="Whether equal answers suggest that two rows are one."
    )


class CustomObjectField(Row):
    """A field that the records of a custom object have."""

    id: Id
    slug: str = Field(description="The value's key in properties, and in custom_record_values.")
    title: str = Field(description="The field's name, as people read it.")
    field_type: FieldType


class CustomObject(Row):
    """A kind of record that the educator has defined."""

    id: Id
    slug: str = Field(description="What paths and other tables call it.")
    name_singular: str = Field(description="What one such record is called.")
    name_plural: str = Field(description="What several are called.")
    fields: list[CustomObjectField] | None = None


class CustomRecord(Row):
    """What the educator keeps in a custom object, an entry each: a room, a license."""

    id: int = Field(description="The record's number, which is unique within its object only.")
    active: bool = Field(description="Whether it can still be chosen (our reading).")
    display_name: FreeText = Field(description="What it is shown as.")
    properties: CustomFields = Field(
        description="Field slug to value, as JSON. custom_record_values has a row for each."
    )


class AssociatedObject(Row):
    """The custom object that an association leads to."""

    id: CustomObjectId = Field(description="The custom object that it leads to.")
    slug: str = Field(description="That object, as paths call it.")
    name_singular: str = Field(description="What one of its records is called.")
    name_plural: str = Field(description="What several are called.")


class CustomAssociation(Row):
    """A link that rows of one kind can have to the records of a custom object."""

    id: int = Field(description="The link's number, which is unique within its kind of row only.")
    name: str = Field(description="What the link is called, as people read it.")
    slug: str = Field(description="The link's key in the custom_associations that rows have.")
    custom_object: AssociatedObject


class CustomFieldOption(Row):
    """A value that a custom field offers."""

    id: int = Field(description="The option's number, which is unique within its field only.")
    value: str = Field(description="What can be chosen.")
    enabled: bool = Field(description="Whether it can still be chosen.")


class Task(Row):
    """Something that a user has to do."""

    id: Id
    creator_id: UserId = Field(description="The user who thought of it.")
    completed_at: LooseTimestamp = Field(description="When it was done; null while it is not.")
    completed_by_id: UserId | None = Field(description="The user who has done it.")
    assigned_by_id: UserId | None = Field(description="The user who gave it to the assignee.")
    name: FreeText = Field(description="What is to be done, in a few words.")
    description: FreeText | None = Field(description="What is to be done, at length.")
    due_date: LooseDate = Field(description="The day by which it must be done.")
    starred: bool = Field(description="Whether somebody marked it as important.")
    assignee_id: UserId | None = Field(description="The user who has to do it.")
    subject_type: SubjectType | None = Field(description="The kind of row the task is about.")
    subject_id: Annotated[int | None, ReferencesBy("subject_type", SUBJECTS)] = Field(
        description="The row that the task is about; null where it is about none."
    )
    label_ids: list[LabelId] = Field(description="The labels that tasks bear.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class Webhook(Row):
    """An address that Eduframe calls when something happens."""

    id: str = Field(description="The key: Eduframe's own name of the row, a UUID.")
    created_at: LooseTimestamp = Field(description="When the row was made in Eduframe.")
    updated_at: LooseTimestamp = Field(description="When Eduframe last changed the row.")
    url: str | None = Field(None, description="The address that is called.")
    active: bool | None = Field(None, description="Whether it is called at present.")
    events: list[WebhookEvent] | None = Field(None, description="What webhooks are told of.")


class WebhookSendAttempt(Row):
    """One try to deliver a notification."""

    response: FreeText = Field(description="What the receiver answered.")
    status_code: int = Field(description="The HTTP status that the receiver answered.")
    created_at: LooseTimestamp = Field(description="When it was tried.")


class WebhookNotification(Row):
    """A call of a webhook. Synced only if it is asked for."""

    id: str = Field(description="The key: Eduframe's own name of the row, a UUID.")
    event_id: EventId
    data: Sent
    status: NotificationStatus = Field(description="Whether it was delivered.")
    send_attempts: list[WebhookSendAttempt]


class WebhookFailedNotification(Row):
    """A call of a webhook that was given up. Synced only if it is asked for."""

    id: str = Field(description="The key: Eduframe's own name of the row, a UUID.")
    event_id: EventId
    webhook_id: WebhookId = Field(description="The webhook that was called in vain.")
    data: Sent
    status: FailedNotificationStatus = Field(description="Always that it was given up.")
    created_at: CreatedAt
