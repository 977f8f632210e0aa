"""``eduframe resources``: what is synced, from the declarations."""

from typing import Any

import orjson

from pipelines.eduframe.commands.output import Column, Row, print_json, print_line, print_table
from sources.eduframe.declare import Endpoint
from sources.eduframe.endpoints import COVERED, ENDPOINTS
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES

COLUMNS = (
    Column("table"),
    Column("path", spare=2),
    Column("key", spare=4),
    Column("changes"),
    Column("scope", spare=1),
    Column("feature", spare=3),
    Column("state", wraps=True),
    Column("children", spare=5, wraps=True),
)

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


def describe(endpoint: Endpoint, off: dict[str, str]) -> dict[str, Any]:
    """One resource, as the command shows it."""
    return {
        "resource": endpoint.table,
        "path": endpoint.path,
        "key": list(endpoint.key) if endpoint.key != ("_row_hash",) else ["the row's content"],
        "changes": changes(endpoint),
        "children": [child.table for child in endpoint.children],
        "scopes": list(endpoint.scopes),
        "feature_flag": endpoint.feature_flag,
        "on": endpoint.table not in off,
        "why_off": off.get(endpoint.table),
        "covered_by": None,
    }


def changes(endpoint: Endpoint) -> str:
    """How changes of a list are found."""
    if endpoint.params:
        return "content, per parent"
    return f"cursor {endpoint.cursor}" if endpoint.cursor else "content"


def print_resources(*, as_json: bool, wide: bool = False) -> None:
    """Print the declared lists, and those that others cover."""
    off = _off()
    found = [describe(endpoint, off) for endpoint in ENDPOINTS]
    if as_json:
        covered: list[dict[str, Any]] = [
            {"path": c.path, "covered_by": c.by, "on": False, "resource": None} for c in COVERED
        ]
        print_json(orjson.dumps(found + covered, option=orjson.OPT_INDENT_2).decode())
        return
    print_table(COLUMNS, [_row(one) for one in found], wide=wide)
    for one in COVERED:
        print_line(f"{one.path} is not asked for: its rows are those of {one.by}")


def _row(described: dict[str, Any]) -> Row:
    how = described["changes"]
    cells = (
        described["resource"],
        described["path"],
        ", ".join(described["key"]),
        "per parent" if how.endswith("per parent") else how.split()[0],
        ", ".join(described["scopes"]),
        described["feature_flag"] or "",
        described["why_off"] or "on",
        ", ".join(described["children"]),
    )
    return Row(cells, "" if described["on"] else "dim")


def _off() -> dict[str, str]:
    from sources.eduframe.settings import resolve, select

    return select(resolve(token_needed=False)).off


def mermaid() -> str:
    """The core of the model as a mermaid diagram: how the tables of :data:`CORE` refer.

    ``dlt pipeline eduframe schema --format mermaid`` draws all tables of a dataset.
    """
    tables = {**MAIN_TABLES, **{t.name: t for found in CHILD_TABLES.values() for t in found}}
    lines = ["erDiagram"]
    for name in CORE:
        for key in tables[name].foreign_keys:
            if key.table in CORE:
                lines.append(f'    {key.table} ||--o{{ {name} : "{", ".join(key.columns)}"')
    return "\n".join(lines)
