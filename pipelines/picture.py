"""``python -m pipelines.picture``: the core of the model as a mermaid picture, for the README.

It is drawn from the declarations; ``dlt pipeline eduframe schema --format mermaid`` draws all
tables of a dataset.
"""

from collections.abc import Iterator

import typer

from sources.eduframe.tables import CHILD_TABLES, MAIN_TABLES, Table

CORE = (
    "accounts",
    "users",
    "categories",
    "courses",
    "planned_courses",
    "meetings",
    "teachers",
    "teacher_enrollments",
    "catalog_products",
    "catalog_variants",
    "orders",
    "order_items",
    "invoices",
    "invoice_items",
    "payments",
    "enrollments",
    "attendances",
)
"""The tables that most questions are answered from."""


def foreign_keys(table: Table) -> Iterator[tuple[str, str]]:
    """Each column of a table that refers to another table, and that table."""
    if table.child and not table.child.shared:
        yield ", ".join(table.child.owner), table.endpoint.table
    for column in table.columns:
        if column.references and column.name not in table.owner_columns:
            yield column.name, column.references.table


def mermaid() -> str:
    """The picture: an entity relationship diagram of :data:`CORE`."""
    tables = {**MAIN_TABLES, **{t.name: t for found in CHILD_TABLES.values() for t in found}}
    lines = ["erDiagram"]
    for name in CORE:
        for column, target in foreign_keys(tables[name]):
            if target in CORE:
                lines.append(f'    {target} ||--o{{ {name} : "{column}"')
    return "\n".join(lines)


if __name__ == "__main__":
    typer.echo(mermaid())
