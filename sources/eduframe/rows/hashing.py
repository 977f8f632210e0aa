"""The row hash: one number that changes when a row, or any nested part of it, changes.

It is taken over the *typed* values in the model's order, so that ``10:00:00Z`` and
``10:00:00.000Z`` are the same; the children of a row are sorted, as they are sets. Bookkeeping
columns are left out, ``_extra`` is not.

A hash is a positive 64-bit integer whose top bits hold ``VERSION``: a release that computes
hashes in another way raises it, and every row is written anew once.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

VERSION = 1
VERSION_SHIFT = 56
UNKNOWN = 0
"""The hash of a row that must be written whatever it looks like; no row hashes to it."""

_FIELD = "\x1f"
_RECORD = "\x1e"
_NULL = "\x00"

Hashes = npt.NDArray[np.int64]


def hash_rows(texts: pa.Array) -> Hashes:
    """The row hashes of an array of texts, as made by :func:`row_texts`."""
    blake2b = hashlib.blake2b
    digests = b"".join(
        blake2b(text, digest_size=8).digest() for text in texts.cast(pa.binary()).to_pylist()
    )
    hashes = np.frombuffer(digests, dtype=np.uint64) >> np.uint64(64 - VERSION_SHIFT)
    return hashes.astype(np.int64) | np.int64(VERSION << VERSION_SHIFT)


def partial_hashes(hashes: Hashes, left_out: Iterable[str]) -> Hashes:
    """The hashes of rows that are stored without their parts in these tables.

    They differ from those of whole rows, and tell as well whether a row has changed.
    """
    names = ",".join(sorted(left_out)).encode()
    mask = int.from_bytes(hashlib.blake2b(names, digest_size=8).digest(), "big")
    return hashes ^ np.int64(mask >> (64 - VERSION_SHIFT))


def row_texts(columns: Iterable[pa.Array]) -> pa.Array:
    """One text per row that is equal only where all columns are."""
    return pc.binary_join_element_wise(
        *(_as_text(column) for column in columns),
        _FIELD,
        null_handling="replace",
        null_replacement=_NULL,
    )


def set_texts(texts: pa.Array, owners: npt.NDArray[np.int64], rows: int) -> pa.Array:
    """For each of ``rows`` owners, the sorted texts of its children as one text."""
    order = pc.sort_indices(
        pa.table({"owner": owners, "text": texts}),
        sort_keys=[("owner", "ascending"), ("text", "ascending")],
    )
    offsets = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(np.bincount(owners, minlength=rows), out=offsets[1:])
    lists = pa.ListArray.from_arrays(pa.array(offsets), texts.take(order))
    return pc.binary_join(lists, _RECORD)


def _as_text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_string(kind):
        return _escape(column)
    return column.cast(pa.string())


def _escape(column: pa.Array) -> pa.Array:
    """Keep texts that hold our separators from being taken for several fields."""
    if not _has_control_characters(column):
        return column
    found = pc.match_substring_regex(column, "[\\x00\\x1e\\x1f]")
    if not pc.any(found).as_py():
        return column
    escaped = column
    for mark in ("\\", _FIELD, _RECORD, _NULL):
        escaped = pc.replace_substring(escaped, mark, f"\\{ord(mark):02x}")
    prefixed = pc.binary_join_element_wise(_NULL, escaped, "")
    return pc.if_else(pc.fill_null(found, False), prefixed, column)


def _has_control_characters(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether there may be any in the texts: one look at all bytes, which is quick."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    buffers = (chunk.buffers()[2] for chunk in chunks if len(chunk))
    return any(np.any(np.frombuffer(b, np.uint8) < ord(" ")) for b in buffers if b is not None)


def concat_texts(parts: Sequence[pa.Array]) -> pa.Array:
    """The texts of a row and of its child tables, joined."""
    return pc.binary_join_element_wise(*parts, _RECORD + _RECORD)
