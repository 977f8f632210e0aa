"""Keys as 64-bit integers: the id itself where that is the whole key, else a hash of its text."""

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from sources.eduframe.digest import hash_text
from sources.eduframe.rows.hashing import row_texts
from sources.eduframe.rows.tables import Table

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def key_ids(columns: list[pa.ChunkedArray]) -> Ids:
    """A 64-bit integer for the key in each row of the key columns."""
    if len(columns) == 1 and pa.types.is_integer(columns[0].type):
        return np.asarray(columns[0].combine_chunks().to_numpy(zero_copy_only=False), np.int64)
    texts = row_texts([c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c
                       for c in columns]).to_pylist()
    return np.fromiter((hash_text(text) for text in texts), np.int64, len(texts))


def among(ids: Any, keys: Ids) -> Flags:
    """Which ids are among some keys, which are sorted and many: numpy sorts them each time."""
    wanted = np.asarray(ids, np.int64)
    if not len(keys):
        return np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(keys[places] == wanted)


def key_text(key: tuple[Any, ...]) -> str:
    """A key as the run log writes it: the value, or JSON where there are several."""
    return str(key[0]) if len(key) == 1 else orjson.dumps(list(key)).decode()


def key_values(table: Table, text: str) -> tuple[Any, ...]:
    """The key of a row of a main table that :func:`key_text` wrote."""
    if len(table.key) > 1:
        return tuple(orjson.loads(text))
    types = {column.name: column.type for column in table.columns}
    return (int(text) if types[table.key[0]] == "bigint" else text,)


def table_key_ids(table: Table, rows: pa.Table, hashes: Ids) -> Ids:
    """The key ids of a batch of a main table; a list without a key is known by its content."""
    if table.key == ("_row_hash",):
        return hashes
    return key_ids([rows.column(name) for name in table.key])
