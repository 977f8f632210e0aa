"""Pages of JSON rows to typed Arrow tables.

Only a row without a usable key is set aside. Any other field that does not fit costs that field
alone: its column is null, and the value as served stays in the row's ``_extra``. The same goes
for nested rows; one without a usable key, or a nested part of another shape, stays in the
``_extra`` of its owner.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.eduframe.declare import DISPLACED, Endpoint, JsonRow
from sources.eduframe.digest import hash_text
from sources.eduframe.rows.columns import Columns, misfit, parse
from sources.eduframe.rows.findings import NO_KEY, Findings, json_type
from sources.eduframe.rows.hashing import concat_texts, hash_rows, row_texts, set_texts
from sources.eduframe.rows.json_text import dump_deep_json
from sources.eduframe.rows.keys import Flags
from sources.eduframe.rows.nested import Indices, Parts, explode_all
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES, Table


@dataclass(frozen=True)
class Rejected:
    """A row without a usable key."""

    row: str
    reason: str

    @property
    def key(self) -> str:
        """What stands for its key: a hash of the row as served."""
        return f"#{hash_text(self.row):x}"


@dataclass
class Normalised(Findings):
    """A batch of typed rows, all tables without bookkeeping but for ``_extra``.

    ``owners[table]`` holds, for each row of a child table, the index of its main row.
    """

    main: pa.Table
    hashes: npt.NDArray[np.int64]
    children: dict[str, pa.Table]
    owners: dict[str, Indices]
    absent: dict[str, Flags] = field(default_factory=dict)
    """Child table to flags of the rows that come without the part: they say nothing of it."""
    incomplete: dict[str, Flags] = field(default_factory=dict)
    """Child table to a flag for each main row: whether its part tells only some of what it holds.
    It has another shape, has rows without a key, or was not asked for. Known children stay."""
    cut_trees: Flags | None = None
    """A flag for each main row: whether what stands below it in a tree is told only in part."""
    rejected: list[Rejected] = field(default_factory=list)

    def counts(self, table: str) -> npt.NDArray[np.int64]:
        """How many rows of a child table each main row has."""
        return np.bincount(self.owners[table], minlength=len(self.hashes))

    def select(self, mask: Flags) -> "Normalised":
        """Some of the main rows, with their children."""
        if mask.all():
            return self
        new_place = np.cumsum(mask) - 1
        children, owners = {}, {}
        for name, table in self.children.items():
            chosen = mask[self.owners[name]]
            children[name] = table.filter(pa.array(chosen))
            owners[name] = new_place[self.owners[name][chosen]]
        incomplete = {name: flags[mask] for name, flags in self.incomplete.items()}
        absent = {name: flags[mask] for name, flags in self.absent.items()}
        main = self.main.filter(pa.array(mask))
        return Normalised(main, self.hashes[mask], children, owners, absent, incomplete)


def normalise(endpoint: Endpoint, rows: Sequence[Any]) -> Normalised:
    """Turn raw rows of a list into typed tables, setting aside those without a usable key."""
    result = Normalised(pa.table({}), np.zeros(0, np.int64), {}, {})
    table = MAIN_TABLES[endpoint.table]
    main = Columns(table.name, rows, result)
    if set(map(type, rows)) - {dict} or not _read_main(main, table):
        return _without_the_unusable(endpoint, rows)
    children = CHILD_TABLES[endpoint.table]
    parts = [explode_all(child, rows) for child in children]
    for child, part in zip(children, parts, strict=True):
        _look_at_parts(main, child, part)
        if part.missing and not endpoint.detail_path:
            result.absent[child.name] = _absent(child, rows)
        incomplete = _incomplete(child, part, rows)
        if incomplete.any():
            result.incomplete[child.name] = incomplete
    result.cut_trees = _cut_trees(main, endpoint)
    names = [*(column.name for column in table.columns), "_extra"]
    result.main = pa.table([*main.arrays, main.extra()], names=names)
    texts = [row_texts(result.main.columns)] if rows else []
    for child, part in zip(children, parts, strict=True):
        made = _child_rows(child, part, result.main, result)
        result.children[child.name], result.owners[child.name] = made, part.owners
        if rows:
            own = _flat(made.columns[len(child.owner_columns) :])
            texts.append(set_texts(row_texts(own), part.owners, len(rows)))
    if rows:
        result.hashes = hash_rows(concat_texts(texts))
    return result


def key_of(endpoint: Endpoint, raw: Any) -> tuple[Any, ...] | None:
    """The key of a raw row, or None where it has no usable one."""
    if type(raw) is not dict:
        return None
    try:
        return tuple(parse(column, raw.get(column.path[0])) for column in _key_columns(endpoint))
    except ValueError:
        return None


def _key_columns(endpoint: Endpoint) -> list[Column]:
    columns = {column.name: column for column in MAIN_TABLES[endpoint.table].columns}
    return [columns[name] for name in endpoint.key if name in columns]


def _without_the_unusable(endpoint: Endpoint, rows: Sequence[Any]) -> Normalised:
    """The batch without the rows that have no usable key, which are set aside."""
    reasons = [_unusable(endpoint, row) for row in rows]
    result = normalise(endpoint, [r for r, why in zip(rows, reasons, strict=True) if why is None])
    result.rejected = [
        Rejected(dump_deep_json(row), why)
        for row, why in zip(rows, reasons, strict=True)
        if why is not None
    ]
    return result


def _unusable(endpoint: Endpoint, row: Any) -> str | None:
    """Why a row has no usable key; None where it has one."""
    if type(row) is not dict:
        return f"the row is no object ({json_type(row)})"
    for column in _key_columns(endpoint):
        value = row.get(column.path[0])
        try:
            parse(column, value)
        except ValueError as error:
            what = "absent" if column.path[0] not in row else misfit(column, value, error)
            return f"{column.name}, which is its key, is unusable: {what}"
    return None


def _read_main(main: Columns, table: Table) -> bool:
    """Read the columns of a main table. Returns whether all rows have a usable key."""
    endpoint = table.endpoint
    known = {c.path[0] for c in table.columns} | {c.field for c in endpoint.children}
    known |= {*endpoint.row.model_fields, endpoint.tree or "", DISPLACED}
    main.read(table.columns, known)
    if endpoint.params:
        _keep_displaced(main)
    arrays = {c.name: array for c, array in zip(table.columns, main.arrays, strict=True)}
    return not any(arrays[column.name].null_count for column in _key_columns(endpoint))


def _look_at_parts(main: Columns, child: Table, parts: Parts) -> None:
    """Count what is odd about a nested part, and keep with the owner what of it is no row."""
    part = child.part
    assert child.child is not None
    assert part is not None
    if child.child.shape in ("custom", "inner links"):
        return  # the part is a column too, or has another table, which sees to that
    if parts.missing:
        main.count_missing(part, main.items)
    for number, odd in parts.odd.items():
        main.keep(number, part.path, odd.served)
        if odd.kind == NO_KEY:
            main.findings.rows_checked[child.name] += odd.count
            main.findings.unfit(f"{child.name}.{child.key[-1]}", NO_KEY, odd.count)
        else:
            main.findings.unfit(f"{main.table}.{part.field}", odd.kind)


def _absent(child: Table, rows: Sequence[JsonRow]) -> Flags:
    """Flags the rows without a nested part: no key, or null where a list or a map belongs."""
    assert child.child is not None
    name = child.child.field
    if child.child.shape == "object":
        return np.array([name not in row for row in rows], np.bool_)
    return np.array([row.get(name) is None for row in rows], np.bool_)


def _incomplete(child: Table, parts: Parts, rows: Sequence[JsonRow]) -> Flags:
    """Flags the rows whose nested part tells only some of what it holds."""
    flags = np.zeros(len(rows), np.bool_)
    flags[list(parts.odd)] = True
    if child.endpoint.detail_path and parts.missing:
        assert child.child is not None
        flags |= [child.child.field not in row for row in rows]  # its details were not asked for
    return flags


def _cut_trees(main: Columns, endpoint: Endpoint) -> Flags | None:
    """Flags the rows that have more below them than :func:`flatten` made rows of, and keeps it."""
    if endpoint.tree is None:
        return None
    left = [row.get(endpoint.tree) or None for row in main.items]
    flags = np.array([served is not None for served in left], np.bool_)
    for number in np.flatnonzero(flags).tolist():
        served = left[number]
        kind = json_type(served[0] if isinstance(served, list) else served)
        main.keep(number, (endpoint.tree,), served)
        main.findings.unfit(f"{main.table}.{endpoint.tree}", kind)
    return flags


def _keep_displaced(main: Columns) -> None:
    """Keep what stood in place of values that were then taken from the request's path."""
    for number, row in enumerate(main.items):
        for name, served in row.get(DISPLACED, {}).items():
            main.keep(number, (name,), served)
            main.findings.unfit(f"{main.table}.{name}", json_type(served))


def _child_rows(table: Table, parts: Parts, main: pa.Table, findings: Findings) -> pa.Table:
    """The rows of a child table with their owners' keys."""
    child = table.child
    assert child is not None
    columns = table.columns[len(table.owner_columns) :]
    known = {c.path[0] for c in columns} | set(table.owner_columns)
    if child.row is not None:
        known |= set(child.row.model_fields)
    own = Columns(table.name, parts.items, findings)
    own.read(columns, known, typed=child.shape == "custom")
    index = pa.array(parts.owners)
    keys: list[pa.Array] = []
    if child.shared:
        keys.append(pa.repeat(pa.scalar(table.endpoint.table), len(parts.items)))
    keys += [main.column(source).take(index) for source in child.owner.values()]
    names = [*table.owner_columns, *(c.name for c in columns), "_extra"]
    return pa.table([*_flat(keys), *own.arrays, own.extra()], names=names)


def _flat(columns: Iterable[pa.ChunkedArray]) -> list[pa.Array]:
    return [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
