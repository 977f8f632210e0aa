"""What the models of several areas share: columns that many have, foreign keys, enumerations,
nested rows."""

from typing import Annotated, Any

from pydantic import Field
from pydantic_core import PydanticUndefined

from schemas.eduframe.models.column_types import (
    FreeText,
    Judgement,
    Name,
    OneOf,
    Personal,
    References,
    ReferencesBy,
    Row,
    Timestamp,
)

# Columns that many tables have.

Id = Annotated[int, Field(description="The key: Eduframe's own number of the row.")]
CreatedAt = Annotated[Timestamp, Field(description="When the row was made in Eduframe.")]
UpdatedAt = Annotated[
    Timestamp,
    Field(
        description="When Eduframe last changed the row. What it computes, labels and nested parts "
        "may change without it (our reading)."
    ),
]
Avatar = Annotated[str, Field(description="Address of the picture that is shown with it.")]
FirstName = Annotated[Name, Field(description="Given name, as it is used.")]
MiddleName = Annotated[
    Name, Field(description="What stands between first and last name, such as 'van der'.")
]
LastName = Annotated[Name, Field(description="Family name, without what stands in middle_name.")]
Locale = Annotated[
    str, OneOf.codes("BCP 47 tags of languages", ("de", "en", "en-GB", "en-US", "es", "is", "nl"))
]

AddressLine = Annotated[str, Personal("address")]

# Foreign keys: the column holds the id of a row of the table named.

AccountId = Annotated[int, References("accounts")]
CatalogProductId = Annotated[int, References("catalog_products")]
CatalogVariantId = Annotated[int, References("catalog_variants")]
CategoryId = Annotated[int, References("categories")]
CourseId = Annotated[int, References("courses")]
CourseLocationId = Annotated[int, References("course_locations")]
CourseTabId = Annotated[int, References("course_tabs")]
CourseVariantId = Annotated[int, References("course_variants")]
CustomObjectId = Annotated[int, References("custom_objects")]
EditionDescriptionSectionId = Annotated[int, References("edition_description_sections")]
EnrollmentId = Annotated[int, References("enrollments")]
InvoiceId = Annotated[int, References("invoices")]
InvoiceVatId = Annotated[int, References("invoice_vats")]
LabelId = Annotated[int, References("labels")]
LeadId = Annotated[int, References("leads")]
MaterialGroupId = Annotated[int, References("material_groups")]
MaterialId = Annotated[int, References("materials")]
MeetingId = Annotated[int, References("meetings")]
MeetingLocationId = Annotated[int, References("meeting_locations")]
OrderId = Annotated[int, References("orders")]
OrganizationId = Annotated[int, References("organizations")]
PaymentMethodId = Annotated[int, References("payment_methods")]
PaymentOptionId = Annotated[int, References("payment_options")]
PlannedCourseId = Annotated[int, References("planned_courses")]
ProgramEditionId = Annotated[int, References("program_editions")]
ProgramElementId = Annotated[int, References("program_elements")]
ProgramEnrollmentId = Annotated[int, References("program_enrollments")]
ProgramId = Annotated[int, References("programs")]
ReferralId = Annotated[int, References("referrals")]
TeacherId = Annotated[int, References("teachers")]
TeacherRoleId = Annotated[int, References("teacher_roles")]
UserId = Annotated[int, References("users")]
WebhookId = Annotated[str, References("webhooks")]

# Enumerations that more than one row has.

_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
_USA_STATES = """
AL AK AZ AR CA CO CT DC DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM
NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY
"""

Country = Annotated[str, OneOf.codes("ISO 3166-1 alpha-2 codes of countries", _COUNTRIES.split())]
UsaState = Annotated[
    str, OneOf.codes("the postal codes of the states of the USA", _USA_STATES.split())
]
AccountType = Annotated[
    str,
    OneOf(
        {
            "business": "an organisation",
            "personal": "one user, who buys for themselves",
        }
    ),
]
CostScheme = Annotated[
    str,
    OneOf(
        {
            "free": "nothing is to be paid",
            "order": "the cost is paid once, however many students the order has",
            "student": "the cost is paid for each student",
            "tbd": "to be determined: no price yet",
        }
    ),
    Field(description="What the cost is counted by."),
]
Currency = Annotated[
    str,
    OneOf.codes("ISO 4217 codes of currencies: EUR, GBP, ISK or USD", ("EUR", "GBP", "ISK", "USD")),
    Field(description="The money that amounts are in; never add up several."),
]
FieldType = Annotated[
    str,
    OneOf(
        {
            "boolean": "yes or no",
            "datepicker": "a date",
            "decimal": "a number",
            "phone": "a telephone number",
            "select": "one of the choices",
            "multiselect": "any number of the choices",
            "ssn": "a national identification number, such as the Dutch BSN",
            "string": "one line of text",
            "text": "several lines of text",
            "vat_number": "a VAT number of a company",
        }
    ),
    Field(description="What an answer looks like."),
]
GraduationState = Annotated[
    str,
    Personal("judgement"),
    OneOf(
        {
            "awaiting_judgement": "not judged yet, or never to be",
            "failed": "judged, and not passed",
            "passed": "judged, and passed",
        }
    ),
    Field(description="Whether the student has passed."),
]
PlannedCourseType = Annotated[
    str,
    OneOf(
        {
            "FixedPlannedCourse": "with a start and an end date for all who take part",
            "FlexiblePlannedCourse": "without: students begin when they like, and each enrollment "
            "has an end date of its own",
        }
    ),
    Field(description="Whether the dates are fixed."),
]
UserRole = Annotated[
    str,
    OneOf(
        {
            "admin": "runs the educator's Eduframe",
            "teacher": "teaches",
            "customer": "orders, for one or more accounts",
            "student": "takes part in courses",
        }
    ),
]

CustomAssociations = dict[str, Any] | list[Any]
"""Association slug to the linked records of a custom object, as ``custom_object_slug`` and
``custom_record_ids``. Older servers send a list."""

CUSTOM = "Answers to custom fields, as JSON: slug to value. custom_values has a row for each."
"""What is said of the ``custom`` of any row."""
CUSTOM_ASSOCIATIONS = "The custom records that the row is linked to, by the slug of the link."


def deprecated(description: str | None = None, *, default: Any = PydanticUndefined) -> Any:
    """A field that the API still sends but advises against."""
    return Field(default, description=description, json_schema_extra={"deprecated": True})


class Address(Row):
    """A postal address of a row, at most one for each: of a user, account, lead or location."""

    addressee: Name | None = Field(description="The name on the first line.")
    address: AddressLine = Field(description="Street and house number.")
    address_line2: AddressLine | None = Field(description="More of the address, such as a floor.")
    postal_code: AddressLine = Field(description="The code as the country writes it: '1012 AB'.")
    city: AddressLine = Field(description="Town or city, as somebody typed it.")
    country: Country = Field(description="The country that the address is in.")
    state_province: UsaState | None = Field(
        description="State, for addresses in the United States (declared as never null; it is)."
    )


class Grade(Row):
    """A judgement of an enrollment or program enrollment: text, as not all are numbers."""

    id: Id
    grader_id: UserId = Field(description="The user who gave the grade.")
    result: Judgement = Field(
        description="The verdict in a word, such as passed or failed (the API lists no values)."
    )
    grade: Judgement | None = Field(
        description="The grade as it is shown: '8.5', but also 'B+'. Cast what is a number, and "
        "count the rest."
    )
    score: Judgement | None = Field(
        description="The score behind the grade, on a scale that the educator chooses; text too."
    )
    gradeable_id: Annotated[
        int,
        ReferencesBy(
            "gradeable_type",
            {"Enrollment": "enrollments", "Program::Enrollment": "program_enrollments"},
        ),
    ] = Field(description="What was graded: mostly the row that owner_id names, too.")
    gradeable_type: str = Field(
        description="The kind of thing that was graded, in Eduframe's words. The API lists no "
        "values; those known to us are Enrollment and Program::Enrollment."
    )
    comment: FreeText | None = Field(description="What the grader remarks on it.")
    updated_at: UpdatedAt
    created_at: CreatedAt
