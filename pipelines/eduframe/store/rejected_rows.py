"""``_rejected_rows``: rows that were set aside, until they fit or are gone."""

from datetime import datetime

import numpy as np

from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.digest import key_id
from sources.eduframe.http.body import read_json
from sources.eduframe.reading.batch import SetAside, Settled
from sources.eduframe.rows.keys import key_values
from sources.eduframe.rows.tables import MAIN_TABLES


def set_aside(dataset: Dataset) -> dict[str, SetAside]:
    """The rows that are set aside, by resource."""
    keys: dict[str, list[str]] = {}
    columns = ", ".join(dataset.column(name) for name in ("resource", "key"))
    sql = (
        f"SELECT {columns} FROM {dataset.name('_rejected_rows')} "
        f"WHERE {dataset.column('resolved_at')} IS NULL"
    )
    for rows in dataset.query(sql):
        for resource, key in zip(*(c.to_pylist() for c in rows.columns), strict=True):
            keys.setdefault(resource, []).append(key)
    return {resource: _set_aside(resource, found) for resource, found in keys.items()}


def _set_aside(resource: str, keys: list[str]) -> SetAside:
    usable = [key for key in keys if resource in MAIN_TABLES and not key.startswith("#")]
    ids = [key_id(key_values(MAIN_TABLES[resource], key)) for key in usable]
    return SetAside(frozenset(keys), np.array(ids, np.int64))


def resolve_rejected(dataset: Dataset, resource: str, settled: Settled, now: datetime) -> None:
    """Mark rows that were set aside, and by a complete read fit now or are gone."""
    column = dataset.column
    where = (
        f"{column('resolved_at')} IS NULL AND {column('resource')} = %s "
        f"AND {column('rejected_at')} < %s"
    )
    values = {"resolved_at": now}
    if settled.parents is None:
        dataset.update("_rejected_rows", values, where, resource, settled.before)
        return
    outer = MAIN_TABLES[resource].endpoint.parent_columns
    sql = (
        f"SELECT {column('key')}, {column('row')} FROM {dataset.name('_rejected_rows')} "
        f"WHERE {where}"
    )
    keys = []
    for rows in dataset.query(sql, resource, settled.before):
        for key, text in zip(*(c.to_pylist() for c in rows.columns), strict=True):
            row = read_json(text.encode())[0]
            if isinstance(row, dict) and key_id(tuple(map(row.get, outer))) in settled.parents:
                keys.append(key)
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        among = f"{where} AND {column('key')} IN ({', '.join(['%s'] * len(some))})"
        dataset.update("_rejected_rows", values, among, resource, settled.before, *some)
