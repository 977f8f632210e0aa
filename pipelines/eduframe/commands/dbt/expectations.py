"""dbt's tests, from the declarations: keys, allowed values, and where columns lead.

Tests of keys are errors; all others warn, as ``dbt_project.yml`` says.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.eduframe.commands.dbt.models import ref, source
from pipelines.eduframe.views.view import View
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.relations import Relation
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import ALL_TABLES, Table

Test = str | dict[str, Any]

ERROR = {"severity": "error"}
LIVING = "_deleted_at is null"


def key_tests(key: Sequence[str], *, filled: Sequence[str]) -> dict[str, list[Test]]:
    """Tests of a key, by column; those of several columns under ``''``."""
    found: dict[str, list[Test]] = {}
    if len(key) == 1:
        found[key[0]] = [{"unique": {"config": ERROR}}]
    elif key:
        together = {"arguments": {"columns": [*key]}, "config": ERROR}
        found[""] = [{"eduframe_unique_together": together}]
    for name in filled:
        found.setdefault(name, []).append({"not_null": {"config": ERROR}})
    return found


def view_key_tests(view: View) -> dict[str, list[Test]]:
    """Tests of the key of a view. One of a measure may be empty: what is known of no course, say,
    has a row as well. Living views have those of their tables."""
    one = len(view.key) == 1 and view.kind != "measure"
    return key_tests(view.key, filled=view.key if one else ())


def table_key_tests(table: Table) -> dict[str, list[Test]]:
    """Tests of the key of a raw table."""
    return key_tests(table.whole_key, filled=table.merge_columns)


def column_tests(column: Column, *, has_deleted: bool) -> Iterator[Test]:
    """What the API declares of a column: its values; and that it is filled, where people join or
    count by it."""
    where = {"config": {"where": LIVING}} if has_deleted else {}
    if column.required and (column.allowed or column.references or column.references_by):
        yield {"not_null": where} if where else "not_null"
    if column.allowed:
        yield {"accepted_values": {"arguments": {"values": [*column.one_of]}, **where}}


def relation_test(relation: Relation, *, has_deleted: bool) -> Test:
    """That what a raw column leads to is there, be it deleted in Eduframe."""
    parts = [part for part in relation.condition.split(" AND ") if part]
    of_both = [part for part in parts if re.search(rf"\b{relation.to_table}\.", part)]
    where = [part for part in parts if part not in of_both] + ([LIVING] if has_deleted else [])
    to = source(relation.to_table).strip("{} ")
    arguments = {"to": to, "field": relation.to_column}
    name = "relationships"
    if of_both:
        name = "eduframe_relationships_if"
        tables = {relation.to_table: "parent", relation.from_table: "child"}
        condition = re.sub(r"(\w+)\.", lambda name: f"{tables[name[1]]}.", " and ".join(of_both))
        arguments["condition"] = condition
    config = {"where": " and ".join(where)} if where else {}
    return {name: {"arguments": arguments, "config": {**config, **while_synced(relation.to_table)}}}


def view_relation_test(said: str) -> Test | None:
    """The same of a view's column that is described as ``→ table.column``."""
    table, _, column = said.removeprefix("→ ").partition(".")
    if not said.startswith("→ ") or table not in ALL_TABLES:
        return None
    arguments = {"to": ref(table).strip("{} "), "field": column}
    return {"relationships": {"arguments": arguments, "config": while_synced(table)}}


def while_synced(table: str) -> Mapping[str, Any]:
    """Configuration that switches a test off where no list of the table is synced."""
    lists = lists_of(table)
    if not lists:
        return {}
    on = " or ".join(f"'{name}' not in var('eduframe_not_synced')" for name in lists)
    return {"enabled": f"{{{{ {on} }}}}"}


def lists_of(table: str) -> list[str]:
    """The lists that fill a table, by their main tables; none for those of the run log."""
    if table not in ALL_TABLES:
        return []
    if ALL_TABLES[table].child is None:
        return [table]
    return [e.table for e in ENDPOINTS if any(c.table == table for c in e.children)]
