"""The parameters that each list takes, and what they select.

A filter is made for one request: it gets the store and the parameter's values, and answers with
a test of one row. It raises ``ValueError`` for a value that the API does not know.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from sources.eduframe_simulator.provider.store import JsonRow, Store

Test = Callable[[JsonRow], bool]
Filter = Callable[[Store, list[str]], Test]


def equal(column: str, *known: str) -> Filter:
    """The column is one of the values given; ``known`` are all that it can be."""

    def make(store: Store, values: list[str]) -> Test:
        for value in values:
            if known and value not in known:
                raise ValueError(f"must be one of {', '.join(known)}")
        return lambda row: str(row.get(column)) in values

    return make


def ident(column: str) -> Filter:
    """The column is one of the whole numbers given."""

    def make(store: Store, values: list[str]) -> Test:
        wanted = {int(value) for value in values}
        return lambda row: row.get(column) in wanted

    return make


def flag(name: str, test: Test) -> Filter:
    """A parameter whose only value is its own name."""

    def make(store: Store, values: list[str]) -> Test:
        if values != [name]:
            raise ValueError(f"must be {name}")
        return test

    return make


def contains(column: str, convert: Callable[[str], Any] = str) -> Filter:
    """The column, a list, holds one of the values."""

    def make(store: Store, values: list[str]) -> Test:
        wanted = {convert(value) for value in values}
        return lambda row: not wanted.isdisjoint(row.get(column) or ())

    return make


def search(*columns: str) -> Filter:
    """One of the columns has the value in it, in upper or lower case."""

    def make(store: Store, values: list[str]) -> Test:
        text = values[-1].casefold()
        return lambda row: any(text in str(row.get(name) or "").casefold() for name in columns)

    return make


def since(column: str, parse: Callable[[str], object] = datetime.fromisoformat) -> Filter:
    """The column's date or time is not before the value."""
    return _bound(column, parse, lambda found, value: found >= value)


def until(column: str, parse: Callable[[str], object] = datetime.fromisoformat) -> Filter:
    """The column's date or time is not after the value."""
    return _bound(column, parse, lambda found, value: found <= value)


def after(column: str, parse: Callable[[str], object] = datetime.fromisoformat) -> Filter:
    """The column's date or time is after the value."""
    return _bound(column, parse, lambda found, value: found > value)


def _bound(column: str, parse: Callable[[str], Any], holds: Callable[[Any, Any], bool]) -> Filter:
    def make(store: Store, values: list[str]) -> Test:
        value = parse(values[-1])
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("needs an offset from UTC")
        return lambda row: bool(row.get(column)) and holds(parse(row[column]), value)

    return make


def truth(column: str) -> Filter:
    """The column is the boolean given."""

    def make(store: Store, values: list[str]) -> Test:
        wanted = _boolean(values[-1])
        return lambda row: row.get(column) is wanted

    return make


def linked(table: str, by: str, to: str, column: str = "id", **also: Any) -> Filter:
    """Another list has a row that links the value (``by``) to this row's column (``to``)."""

    def make(store: Store, values: list[str]) -> Test:
        wanted = {int(value) for value in values}
        rows = (row for row in store.rows(table) if row[by] in wanted)
        found = {row[to] for row in rows if also.items() <= row.items()}
        return lambda row: row.get(column) in found

    return make


def _boolean(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def _with_canceled(store: Store, values: list[str]) -> Test:
    everything = _boolean(values[-1])
    return lambda row: everything or row["status"] != "canceled"


def _variantable_type(store: Store, values: list[str]) -> Test:
    names = {"planned_course": "PlannedCourse", "program_edition": "Program::Edition"}
    if values[-1] not in names:
        raise ValueError(f"must be one of {', '.join(names)}")
    return lambda row: row["variantable_type"] == names[values[-1]]


def _of_published_course(store: Store, values: list[str]) -> Test:
    if values != ["parents_published"]:
        raise ValueError("must be parents_published")
    published = {row["id"] for row in store.rows("courses") if row["is_published"]}
    return lambda row: row["course_id"] in published


def _of_ordered_course(store: Store, values: list[str]) -> Test:
    courses = {int(value) for value in values}
    planned = {row["id"] for row in store.rows("planned_courses") if row["course_id"] in courses}
    variants = {
        row["id"]
        for row in store.rows("catalog_variants")
        if row["variantable_type"] == "PlannedCourse" and row["variantable_id"] in planned
    }
    return lambda row: row["catalog_variant_id"] in variants


def _provider(store: Store, values: list[str]) -> Test:
    known = ("azure_active_directory", "eduframe", "openid_connect", "surf_conext")
    if values[-1] not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return lambda row: known[row["authentication_provider_id"] % 4] == values[-1]


_PUBLISHED = flag("published", lambda row: bool(row["is_published"]))
_PUBLISHED_PUBLIC = flag("published_public", lambda row: bool(row["is_published"]))
_SUBJECTS = ("Account", "Catalog::Product", "Lead", "Order", "Program::Enrollment", "Task")
_PLANNED: dict[str, Filter] = {
    "search": search("id", "start_date"),
    "type": equal("type", "FixedPlannedCourse", "FlexiblePlannedCourse"),
    "parents_published": _of_published_course,
    "published_public": _PUBLISHED_PUBLIC,
    "start_date_from": since("start_date", date.fromisoformat),
    "start_date_until": until("start_date", date.fromisoformat),
    "availability_state": equal("availability_state", "open", "closed"),
    "id": ident("id"),
    "status": equal("status", "planned", "active", "completed", "canceled"),
}
_OF_STUDENT = linked("enrollments", "student_id", "planned_course_id", "planned_course_id")

FILTERS: Mapping[str, Mapping[str, Filter]] = {
    "/accounts": {
        "search": search("name", "email"),
        "key_contact_user_id": linked("affiliations", "user_id", "account_id", key_contact=True),
        "user_id": linked("affiliations", "user_id", "account_id"),
        "account_type": equal("account_type", "business", "personal"),
    },
    "/affiliations": {"user_id": ident("user_id"), "account_id": ident("account_id")},
    "/attendances": {"meeting_id": ident("meeting_id")},
    "/catalog/products": {
        "published": _PUBLISHED,
        "category_id": ident("category_id"),
        "productable_type": equal("productable_type", "Course", "Program::Program"),
        "search": search("name"),
    },
    "/catalog/variants": {
        "published_public": _PUBLISHED_PUBLIC,
        "product_id": ident("product_id"),
        "variantable_id": ident("variantable_id"),
        "variantable_type": _variantable_type,
    },
    "/categories": {"published": _PUBLISHED},
    "/courses": {"published": _PUBLISHED, "id": ident("id")},
    "/courses/{course_id}/planned_courses": _PLANNED,
    "/credits": {"student_id": ident("student_id")},
    "/enrollments": {
        "student_id": ident("student_id"),
        "planned_course_id": ident("planned_course_id"),
        "status": equal("status", "confirmed", "active", "canceled", "completed"),
        "with_canceled": _with_canceled,
    },
    "/invoices": {
        "account_id": ident("account_id"),
        "order_id": ident("order_id"),
        "status": equal("status", "concept", "expired", "open", "paid"),
    },
    "/labels": {
        "model_type": equal("model_type", *_SUBJECTS, "Teacher", "User"),
        "search": search("name"),
        "id": ident("id"),
    },
    "/leads": {"email": equal("email")},
    "/meetings": {
        "planned_course_id": ident("planned_course_id"),
        "for_student_id": _OF_STUDENT,
        "date_from": since("start_date_time", lambda text: date.fromisoformat(text[:10])),
        "start": since("start_date_time"),
        "end": until("end_date_time"),
    },
    "/orders": {
        "creator_id": ident("creator_id"),
        "created_at_after": after("created_at"),
        "course_id": _of_ordered_course,
        "catalog_variant_id": ident("catalog_variant_id"),
    },
    "/organization_affiliations": {"user_id": ident("user_id")},
    "/planned_courses": {**_PLANNED, "course_id": ident("course_id")},
    "/planned_courses/{planned_course_id}/meetings": {
        "for_student_id": _OF_STUDENT,
        "date_from": since("start_date_time", lambda text: date.fromisoformat(text[:10])),
    },
    "/program/editions": {"program_id": ident("program_id")},
    "/program/elements": {"edition_id": ident("edition_id")},
    "/program/enrollments": {"student_id": ident("student_id"), "edition_id": ident("edition_id")},
    "/signup_questions": {
        "for_user": flag("for_user", lambda row: row["for_type"] == "user"),
        "for_account": flag("for_account", lambda row: row["for_type"] == "account"),
        "for_type": equal(
            "for_type", "user", "teacher", "account", "catalog_product", "order", "catalog_variant"
        ),
        "visibility": contains("visibility"),
        "use_as_duplicate_indicator": truth("use_as_duplicate_indicator"),
    },
    "/teacher_enrollments": {"planned_course_id": ident("planned_course_id")},
    "/teachers": {
        "search": search("first_name", "last_name", "email"),
        "label_id": contains("label_ids", int),
        "id": ident("id"),
    },
    "/users": {
        "role": contains("roles"),
        "email": equal("email"),
        "label_id": contains("label_ids", int),
    },
    "/users/{user_id}/authentications": {"provider": _provider},
    "/webhooks/{webhook_id}/notifications/failed": {
        "start": since("created_at"),
        "end": until("created_at"),
    },
}

REPEATED: Mapping[str, tuple[str, ...]] = {
    "/courses": ("id",),
    "/courses/{course_id}/planned_courses": ("id",),
    "/enrollments": ("status",),
    "/invoices": ("status",),
    "/labels": ("id",),
    "/orders": ("course_id",),
    "/planned_courses": ("id", "course_id", "status"),
    "/program/editions": ("program_id",),
    "/teachers": ("label_id", "id"),
    "/users": ("label_id",),
}
"""Filters that may be given more than once."""

SORTS: Mapping[str, tuple[str, ...]] = {
    "/catalog/products": ("id", "position"),
    "/categories": ("position",),
    "/courses/{course_id}/planned_courses": ("start_date",),
    "/orders": ("created_at",),
    "/planned_courses": ("start_date",),
    "/planned_courses/{planned_course_id}/meetings": ("start_date_time", "name"),
    "/users": ("created_at",),
}
"""The columns by which a list can be sorted, each as ``column:asc`` or ``column:desc``."""

NOT_BY_PAGE = frozenset(
    (
        "/certificates",
        "/course_tabs",
        "/custom/{object_type}/fields/{field_slug}/options",
        "/custom/objects/{object_slug}/records",
        "/edition_description_sections",
        "/webhooks/{webhook_id}/notifications/failed",
    )
)
"""Paged lists that take a cursor, but no ``page``."""
