"""Each raw table under its own name, as one means it: without deleted rows, nested rows of deleted
owners, and the sync's own columns. Made from the declarations: no table needs a file.
"""

from collections.abc import Collection, Iterator

from pipelines.eduframe.views.view import View
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, MAIN_TABLES, Table

MONEY = (
    "amount", "cost", "extra_cost", "starting_price", "total_cost_excl", "total_cost_incl",
    "total_discount", "total_excl", "total_incl", "total_open", "value",
)
"""Decimal columns that hold amounts of money, or sums of them: shown with two decimals."""

NUMBERS = frozenset(("orders.number", "invoices.number_int", "invoices.order_number"))
"""Decimal columns that name a row: shown as text, without decimals."""

NO_MONEY = "discount_codes.amount"
"""It may be a percentage."""

TABLES_OF_TYPES: dict[str, str] = {
    "Account": "accounts",
    "Catalog::Product": "catalog_products",
    "Course": "courses",
    "Enrollment": "enrollments",
    "Invoice": "invoices",
    "Lead": "leads",
    "Material": "materials",
    "Meeting": "meetings",
    "MeetingLocation": "meeting_locations",
    "Order": "orders",
    "PlannedCourse": "planned_courses",
    "Planning::Event": "planning_events",
    "Program::Edition": "program_editions",
    "Program::Enrollment": "program_enrollments",
    "Program::Program": "programs",
    "Task": "tasks",
    "Teacher": "teachers",
    "User": "users",
    "account": "accounts",
    "catalog_product": "catalog_products",
    "catalog_variant": "catalog_variants",
    "course_enrollment": "enrollments",
    "order": "orders",
    "program_enrollment": "program_enrollments",
    "teacher": "teachers",
    "user": "users",
}
"""What Eduframe calls a kind of row, and the table of such rows."""

POLYMORPHIC = (
    "attendable_type", "certifiable_type", "conflicting_event_type", "event_type",
    "gradeable_type", "productable_type", "resource_type", "subject_type", "variantable_type",
    "model_type", "for_type",
)
"""Columns that say of which kind the row is that is meant: beside each stands its table's name."""

STAMPS = ("created_at", "updated_at")


def living_views(existing: Collection[str]) -> Iterator[View]:
    """A view for each of these tables."""
    for name, table in ALL_TABLES.items():
        if name in existing and (table.child is None or {*_owners(table)} <= {*existing}):
            yield _living(table)


def _living(table: Table) -> View:
    columns = sorted(table.columns, key=_place)  # which keeps the order of the equal
    selected, described = [], {}
    for column in columns:
        selected.append(_selected(table, column))
        described[column.name] = column.description or ""
        if column.name in POLYMORPHIC:
            beside = column.name.removesuffix("_type") + "_table"
            words = " ".join(
                f"WHEN '{value}' THEN '{TABLES_OF_TYPES[value]}'"
                for value in column.one_of or TABLES_OF_TYPES
                if value in TABLES_OF_TYPES
            )
            selected.append(f'CASE t."{column.name}" {words} END AS "{beside}"')
            described[beside] = f"The table of the rows that {column.name} names."
    sql = f'SELECT {", ".join(selected)} FROM raw."{table.name}" AS t WHERE {_is_living(table)}'
    types = " ".join(f"{column.name}:{column.type}" for column in columns)
    return View(table.name, "living", _about(table), described, sql, types)


def _about(table: Table) -> str:
    gone = "without rows of owners that are deleted" if table.child else "without deleted rows"
    said = " ".join(table.description.split())
    return f"{said} From the table {table.name}, {gone}."


def _place(column: Column) -> int:
    """Where a column stands: what it says first, then keys, then when."""
    if column.name in STAMPS:
        return 3 + STAMPS.index(column.name)
    return 1 if column.name == "id" else 2 if column.name.endswith("_id") else 0


def _selected(table: Table, column: Column) -> str:
    name, place = f't."{column.name}"', f"{table.name}.{column.name}"
    if column.type == "decimal" and place in NUMBERS:
        return f'CAST(CAST({name} AS DECIMAL(29, 0)) AS VARCHAR) AS "{column.name}"'
    if column.type == "decimal" and column.name in MONEY and place != NO_MONEY:
        return f'CAST({name} AS DECIMAL(31, 2)) AS "{column.name}"'
    return name


def _is_living(table: Table) -> str:
    if table.child is None:
        return 't."_deleted_at" IS NULL'
    owners = []
    for owner in _owners(table):
        child = next(c for c in MAIN_TABLES[owner].endpoint.children if c.table == table.name)
        keys = {source: name for name, source in child.owner.items()}
        key = [f'o."{name}" = t."{keys[name]}"' for name in MAIN_TABLES[owner].key]
        owners.append((owner, child.shared, " AND ".join(key)))
    if not owners[0][1]:
        [(owner, _, same)] = owners
        return f'EXISTS (SELECT 1 FROM raw."{owner}" AS o WHERE {same} AND o."_deleted_at" IS NULL)'
    there = " UNION ALL ".join(
        f"SELECT '{owner}' AS owner_table, \"id\" AS owner_id FROM raw.\"{owner}\" "
        'WHERE "_deleted_at" IS NULL'
        for owner, _, _ in owners
    )
    same = 'o.owner_table = t."owner_table" AND o.owner_id = t."owner_id"'
    return f"EXISTS (SELECT 1 FROM ({there}) AS o WHERE {same})"


def _owners(table: Table) -> list[str]:
    """The main tables whose rows own those of a nested table."""
    return [e.table for e in ENDPOINTS if any(c.table == table.name for c in e.children)]
