"""What helps where a table takes no rows for something that others put on it: the constraint,
trigger or right is named, with the statement that removes or gives it."""

import re
from typing import Any

import duckdb

from pipelines.eduframe.destinations.postgres.locks import bottom_of, sqlstate
from pipelines.eduframe.destinations.postgres.rights import foreign_tables
from pipelines.eduframe.place.target import is_a
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.display import printable
from sources.eduframe.rows.tables import ALL_TABLES

NO_RIGHT = "42501"
NULL_IN_IT = "23502"

_IN_THE_WAY = """
SELECT 'TRIGGER', t.tgname FROM pg_trigger t WHERE t.tgrelid = to_regclass(%s)
AND NOT t.tgisinternal AND t.tgenabled <> 'D'
UNION ALL SELECT 'RULE', r.rulename FROM pg_rewrite r WHERE r.ev_class = to_regclass(%s)
"""
"""What others hung on a table."""


def what_helps(pipeline: Any, table: str, error: BaseException) -> str:
    """What to do about a table that refuses rows, in a sentence; empty where nothing is known."""
    bottom = bottom_of(error)
    if is_a(pipeline, "postgres"):
        return _in_postgres(pipeline, table, error, getattr(bottom, "diag", None))
    if isinstance(bottom, duckdb.ConstraintException):
        # DuckDB drops no constraints: a refresh puts a table without them in the place of this one
        if table not in ALL_TABLES:
            return f"Drop the table {table}, if nothing else helps: the next run makes it anew."
        return f"eduframe refresh {{}} makes {table} without what others added to it."
    return ""


def _in_postgres(pipeline: Any, table: str, error: BaseException, said: Any) -> str:
    state = sqlstate(error)
    with Dataset(pipeline) as dataset:
        name = dataset.name(table)
        if state.startswith("23") and getattr(said, "table_name", None):
            theirs = f"{_quoted(said.schema_name)}.{_quoted(said.table_name)}"
            if state == NULL_IN_IT:
                alter = f"ALTER COLUMN {_quoted(said.column_name)} DROP NOT NULL"
                return _removed("the column's NOT NULL", f"ALTER TABLE {theirs} {alter}")
            if said.constraint_name and said.constraint_name != f"pk_{table}":
                drop = f"ALTER TABLE {theirs} DROP CONSTRAINT {_quoted(said.constraint_name)}"
                return _removed(f"the constraint {printable(said.constraint_name)}", drop)
        if state == NO_RIGHT:
            for foreign in foreign_tables(dataset.client).values():
                if foreign.table == table and foreign.wrong:
                    statements = "; ".join(helps for _, helps in foreign.wrong)
                    return f"An administrator helps with: {statements}."
        found = dataset.client.execute_sql(_IN_THE_WAY, name, name)
    if not found:
        return ""
    # those that the error names, where it names any
    where = f"{getattr(said, 'context', '')} {getattr(said, 'message_primary', '')}"
    named = [row for row in found if re.search(rf"\b{re.escape(row[1])}\b", where)] or found
    what = ", ".join(f"the {kind.lower()} {printable(one)}" for kind, one in named)
    return _removed(what, *(f"DROP {kind} {_quoted(one)} ON {name}" for kind, one in named))


def _removed(what: str, *statements: str) -> str:
    return (
        f"What is in the way was put there by others: {what}. Remove it, with: "
        f"{'; '.join(statements)}."
    )


def _quoted(name: str) -> str:
    doubled = printable(name).replace('"', '""')
    return f'"{doubled}"'
