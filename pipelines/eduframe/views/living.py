"""Each raw table under its own name, as one means it: without deleted rows, nested rows of deleted
owners, and the sync's own columns. Made from the declarations: no table needs a file.
"""

from collections.abc import Collection, Iterator

from pipelines.eduframe.views.view import View
from sources.eduframe.endpoints import ASKED_OF, ENDPOINTS
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

STAMPS = ("created_at", "updated_at")


def living_views(existing: Collection[str]) -> Iterator[View]:
    """A view for each of these tables."""
    for name, table in ALL_TABLES.items():
        if name in existing and (table.child is None or {*_owners(table)} <= {*existing}):
            yield _living(table)


def _living(table: Table) -> View:
    columns = sorted(table.columns, key=_place)  # which keeps the order of the equal
    kinds, selected, described = _kinds(table), [], {}
    for column in columns:
        selected.append(_selected(table, column))
        described[column.name] = column.comment or ""
        if tables := kinds.get(column.name):
            beside = column.name.removesuffix("_type") + "_table"
            words = " ".join(f"WHEN '{value}' THEN '{name}'" for value, name in tables.items())
            selected.append(f'CASE t."{column.name}" {words} END AS "{beside}"')
            described[beside] = f"The table of the rows that {column.name} names."
    sql = f'SELECT {", ".join(selected)} FROM raw."{table.name}" AS t WHERE {_is_living(table)}'
    types = " ".join(f"{column.name}:{column.type}" for column in columns)
    return View(table.name, "living", _about(table), described, sql, types)


def _kinds(table: Table) -> dict[str, dict[str, str]]:
    """The columns that say of which kind the row is that an id names, and the tables by kind."""
    found = {
        by.type_column: {kind: to.table for kind, to in by.cases if to}
        for by in (column.references_by for column in table.columns)
        if by and by.type_column.endswith("_type") and by.type_column not in table.key
    }
    return found | ({"for_type": ASKED_OF} if table.name == "signup_questions" else {})


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
