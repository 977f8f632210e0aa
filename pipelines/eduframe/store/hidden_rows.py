"""``_hidden_rows``: rows that their list lacks, and that stay, as they were not found gone."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.reading.read import AskedBefore

STAY = ("hidden", "open")
"""The states of rows that are still missing; the others are settled."""


def asked_before(dataset: Dataset) -> dict[str, AskedBefore]:
    """The missing rows that were asked for and stay, by resource."""
    found: dict[str, list[tuple[int, bool, datetime]]] = {}
    names = ("resource", "key_id", "state", "asked_at")
    columns = ", ".join(dataset.column(name) for name in names)
    sql = (
        f"SELECT {columns} FROM {dataset.name('_hidden_rows')} "
        f"WHERE {dataset.column('state')} IN (%s, %s) AND {dataset.completed()}"
    )
    for rows in dataset.query(sql, *STAY):
        for resource, key, state, at in zip(*(c.to_pylist() for c in rows.columns), strict=True):
            moment = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
            found.setdefault(resource, []).append((int(key), state == "hidden", moment))
    return {resource: _sorted(rows) for resource, rows in found.items()}


def _sorted(rows: Sequence[tuple[int, bool, datetime]]) -> AskedBefore:
    ids, hidden, at = zip(*sorted(rows), strict=True)
    return AskedBefore(np.array(ids, np.int64), np.array(hidden, np.bool_), at)


def forget_settled(dataset: Dataset) -> None:
    """Remove the rows that turned up again, or are gone."""
    table, state = dataset.name("_hidden_rows"), dataset.column("state")
    where = f"WHERE {state} NOT IN (%s, %s)"
    if any(t.num_rows for t in dataset.query(f"SELECT 1 FROM {table} {where} LIMIT 1", *STAY)):
        dataset.execute(f"DELETE FROM {table} {where}", *STAY)
