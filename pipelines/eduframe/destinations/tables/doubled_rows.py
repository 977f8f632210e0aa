"""Rows that stand in a table more than once: DuckDB has no keys, and people insert rows again."""

from typing import Any

import numpy as np

from pipelines.eduframe.place.target import is_a, kind_of
from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.rows.keys import Ids, key_ids
from sources.eduframe.rows.tables import Table

_PLACE = {"duckdb": "rowid", "motherduck": "rowid", "postgres": "ctid"}
"""By kind of destination: what tells rows apart that are equal. In others, a row that is written
takes the place of all that have its key."""


def remove_doubled(pipeline: Any, stored: StoredRows, table: Table) -> Ids:
    """Leave one of the rows with one key, the one that was written last.

    Returns the key ids of the rows that stood more than once, or of the owners of such rows.
    """
    same = _same(table)
    found: list[Ids] = [np.zeros(0, np.int64)]
    if not same or not is_a(pipeline, *_PLACE):
        return found[0]
    name, columns = stored.name(table.name), ", ".join(map(stored.column, same))
    where, parameters = "1 = 1", list[Any]()
    if table.child and table.child.shape in ("objects", "links", "inner links"):
        # those without an id may be many
        where = " AND ".join(f"{stored.column(c)} IS NOT NULL" for c in same)
    if table.child and table.child.shared:
        where += f" AND {stored.column('owner_table')} = %s"
        parameters.append(table.endpoint.table)
    owner = ", ".join(map(stored.column, table.owner_key if table.child else table.key))
    sql = (
        f"SELECT DISTINCT {owner} FROM (SELECT {columns} FROM {name} WHERE {where} "
        f"GROUP BY {columns} HAVING COUNT(*) > 1) AS doubled"
    )
    found += [key_ids(rows.columns) for rows in stored.query(sql, *parameters) if rows.num_rows]
    ids = np.concatenate(found)
    if len(ids):
        place = _PLACE[kind_of(pipeline)]
        last = "_dlt_load_id" if table.child else "_synced_at"
        stored.execute(
            f"DELETE FROM {name} WHERE {place} IN (SELECT place FROM (SELECT {place} AS place, "
            f"ROW_NUMBER() OVER (PARTITION BY {columns} ORDER BY {stored.column(last)} DESC) "
            f"AS turn FROM {name} WHERE {where}) AS numbered WHERE turn > 1)",
            *parameters,
        )
    return ids


def _same(table: Table) -> tuple[str, ...]:
    """The columns that no two rows share; none where rows may be alike."""
    if table.child is None:
        return table.key
    if table.child.shape == "object":
        return table.owner_columns
    return (*table.owner_columns, *table.key) if table.key else ()
