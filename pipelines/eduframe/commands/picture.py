"""``python -m pipelines.eduframe.commands.picture``: the core of the model, for the README.

It is a mermaid picture, drawn from the declarations; ``dlt pipeline eduframe schema --format
mermaid`` draws all tables of a dataset.
"""

import typer

from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES

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


def mermaid() -> str:
    """The picture: an entity relationship diagram of :data:`CORE`."""
    tables = {**MAIN_TABLES, **{t.name: t for found in CHILD_TABLES.values() for t in found}}
    lines = ["erDiagram"]
    for name in CORE:
        for key in tables[name].foreign_keys:
            if key.table in CORE:
                lines.append(f'    {key.table} ||--o{{ {name} : "{", ".join(key.columns)}"')
    return "\n".join(lines)


if __name__ == "__main__":
    typer.echo(mermaid())
