"""Batches with what the destination holds: the same for the sync and for the plain source."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.reading.batch import Batch
from sources.eduframe.rows.keys import key_ids
from sources.eduframe.rows.tables import CHILD_TABLES


def with_stored(dataset: StoredRows, batch: Batch) -> Mapping[str, pa.Table]:
    """The tables of a batch, its additions together with the stored rows that they join."""
    made: dict[str, pa.Table] = {}
    for table in CHILD_TABLES[batch.resource]:
        rows = batch.additions.get(table.name)
        if rows is None:
            continue
        key = [*table.owner_key, *table.key]
        owners = np.unique(key_ids([rows.column(name) for name in table.owner_key]))
        with dataset as stored:
            before = stored.children(table, owners)
        replaced = np.isin(
            key_ids([before.column(name) for name in key]),
            key_ids([rows.column(name) for name in key]),
        )
        parts = [rows, before.filter(pa.array(~replaced))]
        if table.name in batch.tables:
            parts.append(batch.tables[table.name])
        made[table.name] = pa.concat_tables(parts)
    return {**batch.tables, **made} if made else batch.tables
