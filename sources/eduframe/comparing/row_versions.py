"""Sets of tables of one list: joined, so that the version of a row that was read last wins."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sources.eduframe.rows.keys import Flags, Ids, key_ids
from sources.eduframe.rows.tables import CHILD_TABLES, Table


def removals(table: Table, owners: pa.Table) -> pa.Table:
    """Rows that remove from a child table everything of these rows of the main table."""
    assert table.child is not None
    columns: dict[str, Any] = {
        name: owners.column(source) for name, source in table.child.owner.items()
    }
    if table.child.shared:
        columns["owner_table"] = pa.repeat(pa.scalar(table.endpoint.table), owners.num_rows)
    columns["_removed"] = pa.repeat(pa.scalar(True), owners.num_rows)
    return complete(table, pa.table(columns), {})


def concat(parts: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Several sets of tables as one."""
    together: dict[str, list[pa.Table]] = {}
    for tables in parts:
        for name, table in tables.items():
            if table.num_rows:
                together.setdefault(name, []).append(table)
    return {name: pa.concat_tables(tables) for name, tables in together.items()}


def later_wins(
    table: Table, parts: Sequence[Mapping[str, pa.Table]]
) -> dict[str, Iterator[pa.Table]]:
    """Of each table the rows in sets of tables of one list; a row's last version is the one.

    dlt keeps the first of two rows with one key, and both of two sets of children. A table of a
    set is asked for when it is its turn, so sets may hold more than there is memory for.
    """
    filled = [part for part in parts if table.name in part]
    if not filled:
        return {}
    ids = [key_ids([part[table.name].column(name) for name in table.key]) for part in filled]
    last = last_of_each(np.concatenate(ids))
    keep = np.split(last, np.cumsum([len(own) for own in ids])[:-1])
    names = dict.fromkeys(name for part in filled for name in part)
    return {
        name: _last_versions(table, name, list(zip(filled, ids, keep, strict=True)))
        for name in names
    }


def _last_versions(
    table: Table, name: str, parts: Sequence[tuple[Mapping[str, pa.Table], Ids, Flags]]
) -> Iterator[pa.Table]:
    """What is left of one of the tables. ``parts`` have the key ids of rows, and which to keep."""
    child = next((c for c in CHILD_TABLES[table.name] if c.name == name), None)
    for part, ids, keep in parts:
        if name not in part:
            continue
        rows = part[name]
        if not keep.all():
            if child is not None:
                owners = key_ids([rows.column(column) for column in child.owner_key])
                keep = ~np.isin(owners, ids[~keep])
            rows = rows.filter(pa.array(keep))
        if rows.num_rows:
            yield rows


def last_of_each(ids: Ids) -> Flags:
    """Flags the last of the rows with the same key: a row seen twice counts as read last."""
    last = np.zeros(len(ids), np.bool_)
    last[len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]] = True
    return last


def complete(table: Table, rows: pa.Table, values: Mapping[str, Any]) -> pa.Table:
    """The table in its full Arrow schema; what is given nowhere is null."""
    arrays = []
    for wanted in table.arrow_schema:
        value = values.get(wanted.name)
        if value is None and wanted.name in rows.column_names:
            value = rows.column(wanted.name)
        arrays.append(pa.nulls(rows.num_rows, wanted.type) if value is None else value)
    return pa.table(arrays, schema=table.arrow_schema)
