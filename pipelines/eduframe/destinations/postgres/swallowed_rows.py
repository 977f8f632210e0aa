"""Triggers and rules that others hung on a table may take rows, and say nothing: the merge would
count as done. Where there are such, it is looked whether what was merged is there."""

from collections.abc import Sequence
from typing import Any

from dlt.common.schema.utils import (
    get_columns_names_with_prop,
    get_first_column_name_with_prop,
)

_MAY_SWALLOW = """
SELECT format('the trigger %%I', t.tgname) FROM pg_trigger t WHERE t.tgrelid = to_regclass(%s)
AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 1 = 1 AND t.tgtype & 2 = 2
UNION ALL SELECT format('the rule %%I', r.rulename) FROM pg_rewrite r
WHERE r.ev_class = to_regclass(%s) AND r.is_instead
"""
"""Triggers of rows, before something is done to them, and rules of what is done instead."""


def checking(client: Any, table: Any, incoming: str, merged_by: Sequence[str]) -> list[str]:
    """The SQL after a merge, in one transaction with it, that fails where rows did not arrive or
    stayed; none where nothing may take them.

    Args:
        table: dlt's table.
        incoming: in SQL, what is merged.
        merged_by: the columns by which it is.
    """
    name, quoted = client.make_qualified_table_name(table["name"]), client.escape_column_name
    found = [row[0] for row in client.execute_sql(_MAY_SWALLOW, name, name) or ()]
    if not found or not merged_by:
        return []
    removed = get_first_column_name_with_prop(table, "hard_delete")
    gone = f"coalesce(incoming.{quoted(removed)}, false)" if removed else "false"
    same = " AND ".join(f"stored.{quoted(c)} = incoming.{quoted(c)}" for c in merged_by)
    load_id = quoted("_dlt_load_id")
    keys = ", ".join(map(quoted, [*merged_by, "_dlt_load_id"]))
    # of rows that share a primary key dlt keeps one
    many = "1" if get_columns_names_with_prop(table, "primary_key") else "count(*)"
    counted = f"SELECT {keys}, {many} AS n FROM"
    said = _literal(f"rows are taken, or kept, without a word, by {', '.join(found)}")
    return [
        f"DO $check$ BEGIN IF EXISTS ("
        f"SELECT 1 FROM ({counted} {incoming} AS incoming WHERE NOT {gone} GROUP BY {keys}) AS "
        f"incoming LEFT JOIN ({counted} {name} GROUP BY {keys}) AS stored ON {same} "
        f"AND stored.{load_id} = incoming.{load_id} WHERE coalesce(stored.n, 0) < incoming.n"
        f") OR EXISTS (SELECT 1 FROM {name} AS stored "
        f"WHERE EXISTS (SELECT 1 FROM {incoming} AS incoming WHERE {same}) AND NOT EXISTS "
        f"(SELECT 1 FROM {incoming} AS incoming WHERE {same} "
        f"AND stored.{load_id} = incoming.{load_id})) "
        f"THEN RAISE EXCEPTION USING MESSAGE = {said}; END IF; END $check$"
    ]


def _literal(text: str) -> str:
    doubled = text.replace("'", "''").replace("$check$", "")
    return f"'{doubled}'"
