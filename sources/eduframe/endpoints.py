"""What is synced: every list of the Eduframe API, and the tables it fills.

An :class:`Endpoint` says from where (the API's own path), into which table, as which rows, by
which key (``id`` unless said), with which tables for nested parts, and what a token needs to
read it. How changes are found follows from the rows: those with ``updated_at`` go by that
cursor, the others by their content. `declare.py` explains the words, `schemas/` has the columns.
"""

from datetime import timedelta

from schemas.eduframe.models import (
    catalog,
    common,
    educator,
    learning,
    planning,
    programs,
    relations,
    sales,
)
from sources.eduframe.declare import (
    Child,
    Covered,
    Endpoint,
    Parent,
    WindowOf,
    inner_links,
    links,
    objects,
    shared,
    values,
)

# fmt: off

IDENTITY = "/educators/current"
"""The object that says whose data a token reads."""

# ---- What a token needs, and the features that an educator must have switched on

COURSES = ("courses:read",)
ENROLLMENTS = ("enrollments:read",)
RELATIONS = ("relations:read",)
SETTINGS = ("settings:read",)

CUSTOM_OBJECTS = "Custom_objects"
DESCRIPTION_SECTIONS = "Edition_Description_Sections"
ORGANIZATIONS = "Organizations"
PROGRAMS = "Programs"

# ---- Nested parts that rows of several lists have

ADDRESS = shared("address", "addresses", common.Address, many=False, key=())
INVOICE_ADDRESS = shared("invoice_address", "addresses", common.Address, many=False, key=())
GRADE = shared("grade", "grades", common.Grade, many=False, key=("id",))
CUSTOM = Child("custom", "custom_values", "custom", {"owner_id": "id"}, shared=True,
               key=("slug", "position"))
ATTENDEES = shared("planning_attendees", "planning_attendees", planning.PlanningAttendee,
                   many=True, key=("id",))
MATERIALS = shared("planning_materials", "planning_material_bookings",
                   planning.PlanningMaterialBooking, many=True, key=())
LOCATIONS = Child("planning_meeting_location_ids", "planning_location_bookings", "links",
                  {"owner_id": "id"}, shared=True, key=("meeting_location_id",),
                  column="meeting_location_id", references="meeting_locations")


ASKED_OF = {
    "user": "users",
    "teacher": "teachers",
    "account": "accounts",
    "catalog_product": "catalog_products",
    "order": "orders",
    "catalog_variant": "catalog_variants",
}
"""Whose rows answer a custom field: ``signup_questions.for_type`` to the table."""


def labels(owner: str) -> Child:
    """The labels of an owner, which is named in the singular."""
    return links("label_ids", f"{owner}_labels", f"{owner}_id", "label_id", "labels")


def teacher_labels(field: str, group: str) -> Child:
    """The labels that the teachers of a group, which is named in the singular, must have."""
    return inner_links(field, f"planning_{group}_labels", "planning_event_id", "teacher_label_ids",
                       (f"{group}_id", "label_id"), "labels")


def custom_records(owner: str) -> Child:
    """The custom records that an owner, which is named in the singular, is linked to."""
    return Child("custom_associations", f"{owner}_custom_records", "associations",
                 {f"{owner}_id": "id"}, key=("association_slug", "custom_record_id"))


# ---- The lists

ENDPOINTS: tuple[Endpoint, ...] = (

    # Relations: who the educator deals with

    Endpoint("/accounts", "accounts", relations.Account,
             scopes=RELATIONS, item_path="/accounts/{id}",
             children=(ADDRESS, labels("account"), CUSTOM)),
    Endpoint("/affiliations", "affiliations", relations.Affiliation,
             scopes=RELATIONS, deprecated=True),
    Endpoint("/users", "users", relations.User,
             scopes=RELATIONS, item_path="/users/{id}",
             children=(ADDRESS, values("roles", "user_roles", "user_id"), labels("user"), CUSTOM)),
    Endpoint("/users/{user_id}/authentications", "authentications", relations.Authentication,
             scopes=("authentications:read",), paged=False, enabled=False,
             parents=(Parent("users", params={"user_id": "id"}),)),
    Endpoint("/teachers", "teachers", relations.Teacher,
             scopes=("teachers:read",), item_path="/teachers/{id}",
             children=(labels("teacher"), CUSTOM)),
    Endpoint("/organizations", "organizations", relations.Organization,
             scopes=RELATIONS, feature_flag=ORGANIZATIONS, beta=True,
             item_path="/organizations/{id}"),
    Endpoint("/organization_accounts", "organization_accounts", relations.OrganizationAccount,
             scopes=RELATIONS, feature_flag=ORGANIZATIONS, beta=True,
             key=("organization_id", "account_id")),
    Endpoint("/organization_affiliations", "organization_affiliations",
             relations.OrganizationAffiliation,
             scopes=RELATIONS, feature_flag=ORGANIZATIONS, beta=True),
    Endpoint("/organization_invoices", "organization_invoices", relations.OrganizationInvoice,
             scopes=RELATIONS, feature_flag=ORGANIZATIONS, beta=True,
             key=("organization_id", "invoice_id")),
    Endpoint("/organization_orders", "organization_orders", relations.OrganizationOrder,
             scopes=RELATIONS, feature_flag=ORGANIZATIONS, beta=True,
             key=("organization_id", "order_id")),
    Endpoint("/leads", "leads", relations.Lead,
             item_path="/leads/{id}",
             children=(ADDRESS,
                       labels("lead"),
                       objects("courses_leads", "lead_courses", relations.LeadCourse, "lead_id"),
                       objects("lead_products", "lead_products", relations.LeadProduct, "lead_id",
                               key=()))),
    Endpoint("/labels", "labels", relations.Label,
             scopes=SETTINGS, item_path="/labels/{id}"),

    # Catalog: what is on offer

    Endpoint("/catalog/products", "catalog_products", catalog.CatalogProduct,
             scopes=COURSES, item_path="/catalog/products/{id}",
             children=(objects("course_tab_contents", "course_tab_contents",
                               catalog.CourseTabContent, "catalog_product_id"),
                       labels("catalog_product"),
                       CUSTOM,
                       custom_records("catalog_product"))),
    Endpoint("/catalog/variants", "catalog_variants", catalog.CatalogVariant,
             scopes=COURSES, item_path="/catalog/variants/{id}",
             children=(objects("edition_description_section_contents",
                               "edition_description_section_contents",
                               catalog.EditionDescriptionSectionContent, "catalog_variant_id",
                               key=()),
                       CUSTOM,
                       custom_records("catalog_variant"))),
    Endpoint("/categories", "categories", catalog.Category,
             scopes=COURSES, item_path="/categories/{id}"),
    Endpoint("/courses", "courses", catalog.Course,
             scopes=COURSES, item_path="/courses/{id}",
             children=(labels("course"),
                       values("slug_history", "course_slug_history", "course_id"),
                       CUSTOM)),
    Endpoint("/course_tabs", "course_tabs", catalog.CourseTab),
    Endpoint("/course_variants", "course_variants", catalog.CourseVariant,
             scopes=SETTINGS, item_path="/course_variants/{id}"),
    Endpoint("/edition_description_sections", "edition_description_sections",
             catalog.EditionDescriptionSection,
             scopes=SETTINGS, feature_flag=DESCRIPTION_SECTIONS, beta=True),

    # Planning: when, where, by whom and with what

    Endpoint("/planned_courses", "planned_courses", planning.PlannedCourse,
             scopes=COURSES, item_path="/planned_courses/{id}"),
    Endpoint("/meetings", "meetings", planning.Meeting,
             scopes=COURSES, item_path="/meetings/{id}",
             children=(ATTENDEES, MATERIALS, LOCATIONS)),
    Endpoint("/planning/events", "planning_events", planning.PlanningEvent,
             scopes=COURSES, item_path="/planning/events/{id}",
             children=(ATTENDEES, MATERIALS, LOCATIONS,
                       objects("required_teacher_groups", "planning_required_teacher_groups",
                               planning.RequiredTeacherGroup, "planning_event_id"),
                       teacher_labels("required_teacher_groups", "required_teacher_group"),
                       objects("planning_attendee_conditions", "planning_attendee_conditions",
                               planning.RequiredTeacherGroup, "planning_event_id"),
                       teacher_labels("planning_attendee_conditions", "attendee_condition"))),
    Endpoint("/planning/conflicts", "planning_conflicts", planning.PlanningConflict,
             scopes=COURSES, key=("_row_hash",)),
    Endpoint("/planning/locations", "planning_locations", planning.PlanningLocation,
             scopes=SETTINGS),
    Endpoint("/planning/materials", "planning_materials", planning.PlanningMaterial,
             scopes=SETTINGS),
    Endpoint("/planning/teachers", "planning_teachers", planning.PlanningTeacher,
             scopes=RELATIONS,
             children=(values("roles", "planning_teacher_roles", "planning_teacher_id"),
                       labels("planning_teacher"))),
    Endpoint("/teacher_enrollments", "teacher_enrollments", planning.TeacherEnrollment,
             scopes=COURSES),
    Endpoint("/teacher_roles", "teacher_roles", planning.TeacherRole,
             scopes=COURSES, item_path="/teacher_roles/{id}"),
    Endpoint("/course_locations", "course_locations", planning.CourseLocation,
             scopes=SETTINGS, item_path="/course_locations/{id}",
             children=(ADDRESS,)),
    Endpoint("/meeting_locations", "meeting_locations", planning.MeetingLocation,
             scopes=SETTINGS, item_path="/meeting_locations/{id}",
             children=(ADDRESS,)),
    Endpoint("/materials", "materials", planning.Material,
             scopes=SETTINGS),
    Endpoint("/material_groups", "material_groups", planning.MaterialGroup,
             scopes=SETTINGS, item_path="/material_groups/{id}"),

    # Sales: orders, invoices, payments

    Endpoint("/orders", "orders", sales.Order,
             scopes=("orders:read",), item_path="/orders/{id}",
             children=(objects("order_items", "order_items", sales.OrderItem, "order_id"),
                       labels("order"),
                       CUSTOM)),
    Endpoint("/invoices", "invoices", sales.Invoice,
             scopes=("invoices:read",), moves=("order_id",), item_path="/invoices/{id}",
             children=(objects("invoice_items", "invoice_items", sales.InvoiceItem,
                               "invoice_id"),)),
    Endpoint("/invoices/{invoice_id}/payments", "payments", sales.Payment,
             scopes=("payments:read",), item_path="/payments/{id}", paged=False,
             parents=(Parent("invoices", params={"invoice_id": "id"},
                             bare={"status": ("concept",)},
                             bare_if_equal=("total_open", "total_incl")),)),
    Endpoint("/payment_methods", "payment_methods", sales.PaymentMethod,
             scopes=SETTINGS),
    Endpoint("/payment_options", "payment_options", sales.PaymentOption,
             scopes=SETTINGS),
    Endpoint("/invoice_vats", "invoice_vats", sales.InvoiceVat,
             scopes=SETTINGS),
    Endpoint("/discount_codes", "discount_codes", sales.DiscountCode,
             scopes=("orders:read",)),
    Endpoint("/referrals", "referrals", sales.Referral,
             scopes=SETTINGS),

    # Learning: what students do and reach

    Endpoint("/enrollments", "enrollments", learning.Enrollment,
             scopes=ENROLLMENTS, moves=("planned_course_id",), item_path="/enrollments/{id}",
             children=(GRADE,)),
    Endpoint("/attendances", "attendances", learning.Attendance,
             scopes=ENROLLMENTS, moves=("meeting_id",),
             windows=(WindowOf("meeting_id", "meetings", "start_date_time", timedelta(days=3)),)),
    Endpoint("/certificates", "certificates", learning.Certificate,
             scopes=ENROLLMENTS, item_path="/certificates/{id}", beta=True),
    Endpoint("/credits", "credits", learning.Credit,
             scopes=SETTINGS),
    Endpoint("/credit_categories", "credit_categories", learning.CreditCategory,
             scopes=SETTINGS,
             children=(objects("types", "credit_types", learning.CreditType,
                               "credit_category_id"),)),
    Endpoint("/theses", "theses", learning.Thesis,
             scopes=ENROLLMENTS, feature_flag=PROGRAMS, beta=True,
             children=(values("keywords", "thesis_keywords", "thesis_id"),
                       values("authors", "thesis_authors", "thesis_id"),
                       values("supervisors", "thesis_supervisors", "thesis_id"))),

    # Programs: several courses under one roof

    Endpoint("/program/programs", "programs", programs.Program,
             scopes=COURSES, feature_flag=PROGRAMS, item_path="/program/programs/{id}"),
    Endpoint("/program/editions", "program_editions", programs.ProgramEdition,
             scopes=COURSES, feature_flag=PROGRAMS, item_path="/program/editions/{id}"),
    Endpoint("/program/editions/{id}/elements", "program_edition_elements",
             programs.ProgramEditionElement,
             scopes=COURSES, feature_flag=PROGRAMS, beta=True, paged=False,
             key=("edition_id", "path"), tree="elements",
             parents=(Parent("program_editions", params={"id": "id"},
                             columns={"edition_id": "id"}),)),
    Endpoint("/program/elements", "program_elements", programs.ProgramElement,
             scopes=COURSES, feature_flag=PROGRAMS, item_path="/program/elements/{id}"),
    Endpoint("/program/enrollments", "program_enrollments", programs.ProgramEnrollment,
             scopes=ENROLLMENTS, feature_flag=PROGRAMS, item_path="/program/enrollments/{id}",
             children=(GRADE, labels("program_enrollment"))),
    Endpoint("/program/personal_program_elements", "personal_program_elements",
             programs.PersonalProgramElement,
             scopes=ENROLLMENTS, feature_flag=PROGRAMS, deprecated=True),

    # Settings: how the educator has set up Eduframe

    Endpoint(IDENTITY, "educators", educator.Educator,
             single=True, paged=False,
             children=(INVOICE_ADDRESS,)),
    Endpoint("/signup_questions", "signup_questions", educator.SignupQuestion,
             scopes=SETTINGS,
             children=(values("choices", "signup_question_choices", "signup_question_id"),
                       values("visibility", "signup_question_visibility", "signup_question_id"))),
    Endpoint("/tasks", "tasks", educator.Task,
             item_path="/tasks/{id}",
             children=(labels("task"),)),
    Endpoint("/custom/objects", "custom_objects", educator.CustomObject,
             scopes=SETTINGS, feature_flag=CUSTOM_OBJECTS, beta=True,
             detail_path="/custom/objects/{slug}",
             children=(objects("fields", "custom_object_fields", educator.CustomObjectField,
                               {"custom_object_id": "id", "object_slug": "slug"}),)),
    Endpoint("/custom/objects/{object_slug}/records", "custom_records", educator.CustomRecord,
             scopes=SETTINGS, feature_flag=CUSTOM_OBJECTS, beta=True,
             item_path="/custom/objects/{object_slug}/records/{record_id}",
             key=("object_slug", "id"),
             parents=(Parent("custom_objects", params={"object_slug": "slug"}),),
             children=(Child("properties", "custom_record_values", "custom",
                             {"object_slug": "object_slug", "record_id": "id"},
                             key=("slug", "position")),)),
    Endpoint("/custom/{object_type}/associations", "custom_associations",
             educator.CustomAssociation,
             scopes=SETTINGS, feature_flag=CUSTOM_OBJECTS, beta=True, paged=False,
             key=("object_type", "id"), parent_setting="custom_object_types"),
    Endpoint("/custom/{object_type}/fields/{field_slug}/options", "custom_field_options",
             educator.CustomFieldOption,
             scopes=SETTINGS, beta=True,
             item_path="/custom/{object_type}/fields/{field_slug}/options/{option_id}",
             key=("object_type", "field_slug", "id"),
             parents=(Parent("signup_questions",
                             params={"object_type": "for_type", "field_slug": "slug"},
                             where={"field_type": ("select", "multiselect")},
                             rename={"object_type": ASKED_OF}),
                      Parent("custom_object_fields",
                             params={"object_type": "object_slug", "field_slug": "slug"},
                             where={"field_type": ("select", "multiselect")}))),
    Endpoint("/webhooks", "webhooks", educator.Webhook,
             scopes=SETTINGS, item_path="/webhooks/{id}",
             children=(values("events", "webhook_events", "webhook_id"),)),
    Endpoint("/webhooks/{webhook_id}/notifications", "webhook_notifications",
             educator.WebhookNotification,
             scopes=SETTINGS, paged=False, enabled=False,
             parents=(Parent("webhooks", params={"webhook_id": "id"}),),
             children=(objects("send_attempts", "webhook_send_attempts",
                               educator.WebhookSendAttempt, "webhook_notification_id",
                               key=()),)),
    Endpoint("/webhooks/{webhook_id}/notifications/failed", "webhook_failed_notifications",
             educator.WebhookFailedNotification,
             scopes=SETTINGS, enabled=False,
             parents=(Parent("webhooks", params={"webhook_id": "id"}),)),
)

# ---- Lists that only repeat what others give: declared, never requested

COVERED: tuple[Covered, ...] = (
    Covered("/courses/{course_id}/planned_courses", by="planned_courses"),
    Covered("/planned_courses/{planned_course_id}/meetings", by="meetings"),
    Covered("/planned_courses/{planned_course_id}/teacher_enrollments", by="teacher_enrollments"),
    Covered("/meetings/{id}/materials", by="planning_material_bookings"),
    Covered("/planning/events/{id}/materials", by="planning_material_bookings"),
)

BY_TABLE: dict[str, Endpoint] = {endpoint.table: endpoint for endpoint in ENDPOINTS}
"""Main table (= resource) to its list."""


def filled_by(table: str) -> Endpoint:
    """The list that fills a table: its own main table, or a nested part's.

    Raises:
        KeyError: no list fills it.
    """
    for endpoint in ENDPOINTS:
        if endpoint.table == table or any(child.table == table for child in endpoint.children):
            return endpoint
    raise KeyError(table)
