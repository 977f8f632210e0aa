"""What the models of several areas share: foreign keys, enumerations, nested rows."""

from typing import Annotated, Any

from pydantic import Field
from pydantic_core import PydanticUndefined

from schemas.eduframe.models.column_types import OneOf, References, Row, Timestamp

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

Country = Annotated[str, OneOf(*_COUNTRIES.split())]
UsaState = Annotated[str, OneOf(*_USA_STATES.split())]
AccountType = Annotated[str, OneOf("business", "personal")]
CostScheme = Annotated[str, OneOf("free", "order", "student", "tbd")]
Currency = Annotated[str, OneOf("EUR", "GBP", "ISK", "USD")]
FieldType = Annotated[
    str,
    OneOf(
        "boolean",
        "datepicker",
        "decimal",
        "phone",
        "select",
        "multiselect",
        "ssn",
        "string",
        "text",
        "vat_number",
    ),
]
GraduationState = Annotated[str, OneOf("awaiting_judgement", "failed", "passed")]
Locale = Annotated[str, OneOf("de", "en", "en-GB", "en-US", "es", "is", "nl")]
PlannedCourseType = Annotated[str, OneOf("FixedPlannedCourse", "FlexiblePlannedCourse")]
UserRole = Annotated[str, OneOf("admin", "teacher", "customer", "student")]

CustomAssociations = dict[str, Any] | list[Any]
"""Association slug to the linked records of a custom object, as ``custom_object_slug`` and
``custom_record_ids``. Older servers send a list."""


def deprecated(description: str | None = None, *, default: Any = PydanticUndefined) -> Any:
    """A field that the API still sends but advises against."""
    return Field(default, description=description, json_schema_extra={"deprecated": True})


class Address(Row):
    """A postal address."""

    addressee: str | None = Field(description="The name on the first line.")
    address: str = Field(description="Street and house number.")
    address_line2: str | None
    postal_code: str
    city: str
    country: Country = Field(description="ISO 3166-1 alpha-2 code.")
    state_province: UsaState | None = Field(
        description="State, for addresses in the United States (declared as never null; it is)."
    )


class Grade(Row):
    """A judgement of an enrollment or of a part of a program."""

    id: int
    grader_id: UserId = Field(description="The user who gave the grade.")
    result: str = Field(description="The verdict, such as passed or failed.")
    grade: str | None = Field(description="The grade as shown; may be a letter.")
    score: str | None = Field(description="The score behind the grade; may be a letter.")
    gradeable_id: int = Field(description="The id of what was graded, of the type beside it.")
    gradeable_type: str = Field(description="The kind of thing that was graded.")
    comment: str | None
    updated_at: Timestamp
    created_at: Timestamp
