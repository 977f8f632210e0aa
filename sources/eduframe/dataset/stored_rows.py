"""The destination is the memory: what it holds decides what is written and what is gone.

Keys and hashes, and the parents still to be asked, are read from the destination at the start of
a run. A row counts only if the load package that wrote it was completed: dlt loads table by table,
so after a crash a row may be there without its children. Such rows are in the index, but with an
unknown hash, and so are written again. Children are counted for every child table, also where it
holds none of the list's rows: else a table that was emptied would stay so.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from sources.eduframe.dataset.sql import CHUNK, Dataset, flags, ints, typed
from sources.eduframe.declare import Parent
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.reading.questions import needs_names
from sources.eduframe.reading.row_index import RowIndex
from sources.eduframe.rows.hashing import UNKNOWN, VERSION, VERSION_SHIFT
from sources.eduframe.rows.keys import Ids, key_ids, key_values
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES, Table


class StoredRows(Dataset):
    """What a dataset holds of the API's rows."""

    def known(
        self,
        table: Table,
        parent: Mapping[str, str] | None,
        whole: bool,
        anew: Collection[str] = (),
    ) -> RowIndex:
        """The rows of a main table. ``parent`` maps its columns to those of the parent's key.

        ``whole`` is False where a child table is missing: then every row must be written again.
        What the tables in ``anew`` hold does not count.
        """
        columns = [*dict.fromkeys([*table.key, *(parent or {})])]
        by_name = needs_names(table.endpoint)
        selected = ", ".join(self.column(c) for c in columns)
        sql = (
            f"SELECT {selected}, {self.column('_row_hash')} AS row_hash, "
            f"{self.column('_deleted_at')} IS NOT NULL AS gone, "
            f"{self.completed()} AS complete FROM {self.name(table.name)}"
        )
        keys, hashes, deleted, parents, names = [], [], [], [], []
        for rows in self.query(sql) if table.name not in anew else ():
            row_hash = ints(rows.column(len(columns)))
            gone = flags(rows.column(len(columns) + 1))
            complete = flags(rows.column(len(columns) + 2))
            gone &= complete  # or else it is proven, and logged, once more
            sound = complete & ~gone & whole
            sound &= row_hash >> VERSION_SHIFT == VERSION
            named = dict(zip(columns, rows.columns, strict=False))
            keys.append(
                row_hash
                if table.key == ("_row_hash",)
                else key_ids([named[name] for name in table.key])
            )
            hashes.append(np.where(sound, row_hash, UNKNOWN))
            deleted.append(gone)
            if parent:
                parents.append(key_ids([named[name] for name in parent]))
            if by_name:
                names.append(pa.table({name: named[name] for name in table.key}))
        nothing = np.zeros(0, np.int64)
        index = RowIndex(
            np.concatenate([nothing, *keys]),
            np.concatenate([nothing, *hashes]),
            np.concatenate([np.zeros(0, np.bool_), *deleted]),
            np.concatenate([nothing, *parents]) if parent else None,
            pa.concat_tables(names) if names else None,
        )
        del keys, hashes, deleted, parents, names  # the index has them all
        for child in CHILD_TABLES[table.name]:
            index.no_children(child.name)
            for owners, counts in self._child_counts(child) if child.name not in anew else ():
                index.set_child_counts(child.name, owners, counts)
        if len(index.keys) > CHUNK // 2:  # tens of MB, of a million rows
            pa.default_memory_pool().release_unused()
            self.spare_memory()
        return index

    def _child_counts(self, table: Table) -> Iterator[tuple[Ids, Any]]:
        assert table.child is not None
        owner = ", ".join(self.column(name) for name in table.owner_key)
        shared = table.child.shared
        where = f"WHERE {self.column('owner_table')} = %s " if shared else ""
        sql = (
            f"SELECT {owner}, COUNT(*) AS rows_held FROM {self.name(table.name)} "
            f"{where}GROUP BY {owner}"
        )
        for rows in self.query(sql, *([table.endpoint.table] if shared else [])):
            yield key_ids(rows.columns[:-1]), ints(rows.columns[-1])

    def owners(self, table: Table, ids: Ids) -> pa.Table:
        """The owners with these key ids that a child table's rows name, by the columns of the
        owners' own table."""
        assert table.child is not None
        mine = list(table.child.owner)
        schema = pa.schema([table.arrow_schema.field(name) for name in mine])
        where = f" WHERE {self.column('owner_table')} = %s" if table.child.shared else ""
        sql = (
            f"SELECT DISTINCT {', '.join(self.column(name) for name in mine)} "
            f"FROM {self.name(table.name)}{where}"
        )
        parts = [schema.empty_table()]
        for rows in self.query(sql, *([table.endpoint.table] if table.child.shared else [])):
            part = typed(rows, schema)
            own = key_ids([part.column(name) for name in table.owner_key])
            parts.append(part.filter(pa.array(np.isin(own, ids))))
        return pa.concat_tables(parts).rename_columns([*table.child.owner.values()])

    def parents(self, parent: Parent, since: datetime | None) -> list[tuple[Any, ...]] | None:
        """The living parents written after ``since``, as values of :attr:`Parent.wanted`.

        None where the destination holds no parent at all. A parent of which it is not known
        whether, or how, to ask for what is under it has a None among its values.
        """
        owner, join = self._owner_of(parent.table)
        columns = [*parent.wanted, *parent.where]
        selected = [f"p.{self.column(c)} AS value_{n}" for n, c in enumerate(columns)]
        source = f"FROM {self.name(parent.table)} AS p {join}"
        if not any(rows.num_rows for rows in self.query(f"SELECT 1 {source} LIMIT 1")):
            return None
        conditions = [f"{owner}.{self.column('_deleted_at')} IS NULL"]
        values: list[Any] = []
        for column, allowed in parent.where.items():
            name, marks = f"p.{self.column(column)}", ", ".join(["%s"] * len(allowed))
            conditions.append(f"({name} IN ({marks}) OR {name} IS NULL)")
            values += allowed
        if since is not None:
            conditions.append(f"{owner}.{self.column('_synced_at')} > %s")
            values.append(since)
        sql = (
            f"SELECT DISTINCT {', '.join(selected)} {source} "
            f"WHERE {' AND '.join(conditions)}"
        )
        found: list[tuple[Any, ...]] = []
        count = len(parent.wanted)
        for rows in self.query(sql, *values):
            for row in zip(*(c.to_pylist() for c in rows.columns), strict=True):
                found.append((None,) * count if None in row else row[:count])
        return found

    def bare_parents(self, parent: Parent) -> Ids:
        """The key ids of the living parents under which there is hardly ever anything, as far as
        their own rows tell."""
        owner, join = self._owner_of(parent.table)
        ways, values = [], list[Any]()
        for column, seldom in parent.bare.items():
            ways.append(f"p.{self.column(column)} IN ({', '.join(['%s'] * len(seldom))})")
            values += seldom
        if parent.bare_if_equal:
            ways.append(" = ".join(f"p.{self.column(column)}" for column in parent.bare_if_equal))
        if not ways:
            return np.zeros(0, np.int64)
        columns = [*(parent.columns or parent.params).values()]
        selected = [f"p.{self.column(c)} AS value_{n}" for n, c in enumerate(columns)]
        sql = (
            f"SELECT DISTINCT {', '.join(selected)} FROM {self.name(parent.table)} AS p {join} "
            f"WHERE {owner}.{self.column('_deleted_at')} IS NULL AND ({' OR '.join(ways)})"
        )
        found = [key_ids(rows.columns) for rows in self.query(sql, *values)]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def moments(
        self, table: str, column: str, since: datetime, until: datetime
    ) -> list[tuple[int, datetime]]:
        """The living rows of a table whose moment lies between two others: id and moment."""
        moment = self.column(column)
        sql = (
            f"SELECT {self.column('id')}, {moment} FROM {self.name(table)} "
            f"WHERE {moment} >= %s AND {moment} <= %s AND {self.column('_deleted_at')} IS NULL"
        )
        return [
            (key, at if at.tzinfo else at.replace(tzinfo=UTC))
            for rows in self.query(sql, since, until)
            for key, at in _rows_of(rows)
        ]

    def parents_gone(self, parent: Parent) -> list[tuple[Any, ...]]:
        """The parents that were proven gone, as :meth:`parents` has them.

        Those marked as deleted; and, where children know a parent by its id, those removed, as
        the log of deletions tells.
        """
        owner, join = self._owner_of(parent.table)
        selected = [f"p.{self.column(c)} AS value_{n}" for n, c in enumerate(parent.wanted)]
        sql = (
            f"SELECT DISTINCT {', '.join(selected)} FROM {self.name(parent.table)} AS p {join} "
            f"WHERE {owner}.{self.column('_deleted_at')} IS NOT NULL"
        )
        found = [row for rows in self.query(sql) for row in _rows_of(rows)]
        if set(parent.wanted) == {"id"}:
            key = self.column("key")
            sql = (
                f"SELECT DISTINCT {key} FROM {self.name('_deletions')} "
                f"WHERE {self.column('resource')} = %s AND {self.completed()}"
            )
            table = MAIN_TABLES[parent.table]
            for rows in self.query(sql, parent.table):
                ids = [key_values(table, text)[0] for text in rows.column(0).to_pylist()]
                found += [(one,) * len(parent.wanted) for one in ids]
        return found

    def _owner_of(self, table: str) -> tuple[str, str]:
        """The alias of the main table that says whether a row lives, and the join to it."""
        if table in MAIN_TABLES:
            return "p", ""
        for endpoint in ENDPOINTS:
            for child in endpoint.children:
                if child.table == table:
                    on = " AND ".join(
                        f"p.{self.column(mine)} = o.{self.column(theirs)}"
                        for mine, theirs in child.owner.items()
                        if theirs in endpoint.key
                    )
                    return "o", f"JOIN {self.name(endpoint.table)} AS o ON {on}"
        raise KeyError(table)

    def rows(self, table: Table, ids: Ids) -> pa.Table:
        """The rows with these key ids, whole, in the table's own Arrow schema."""
        wanted = np.sort(ids)
        names = [c.name for c in table.all_columns]
        sql = f"SELECT {', '.join(self.column(n) for n in names)} FROM {self.name(table.name)}"
        values: tuple[Any, ...] = ()
        if len(ids) <= 500 and table.endpoint.key == ("id",) and _is_bigint(table):
            marks = ", ".join(["%s"] * len(ids))
            sql += f" WHERE {self.column('id')} IN ({marks})"
            values = tuple(int(i) for i in ids)
        parts = []
        for rows in self.query(sql, *values):
            part = typed(rows, table.arrow_schema)
            found = _table_ids(table, part)
            places = np.minimum(np.searchsorted(wanted, found), max(len(wanted) - 1, 0))
            parts.append(part.filter(pa.array(wanted[places] == found)))
        return pa.concat_tables(parts) if parts else table.arrow_schema.empty_table()

    def children(self, table: Table, owners: Ids) -> pa.Table:
        """The rows of a child table whose owners have these key ids, in its Arrow schema."""
        assert table.child is not None
        names = ", ".join(self.column(c.name) for c in table.all_columns)
        sql, values = f"SELECT {names} FROM {self.name(table.name)} WHERE 1 = 1", list[Any]()
        if table.child.shared:
            sql += f" AND {self.column('owner_table')} = %s"
            values.append(table.endpoint.table)
        if len(owners) <= 500 and len(table.owner_key) == 1 and _is_bigint(table, *table.owner_key):
            marks = ", ".join(["%s"] * len(owners))
            sql += f" AND {self.column(table.owner_key[0])} IN ({marks})"
            values += owners.tolist()
        parts = [table.arrow_schema.empty_table()]
        for rows in self.query(sql, *values):
            part = typed(rows, table.arrow_schema)
            found = key_ids([part.column(name) for name in table.owner_key])
            parts.append(part.filter(pa.array(np.isin(found, owners))))
        return pa.concat_tables(parts)

    def table(self, table: Table) -> Iterator[pa.Table]:
        """All rows of a table, in its own Arrow schema; the hash of half-loaded ones is unknown."""
        selected = [self.column(c.name) for c in table.all_columns]
        if table.child is None and table.key != ("_row_hash",):
            row_hash = self.column("_row_hash")
            selected[selected.index(row_hash)] = (
                f"CASE WHEN {self.completed()} THEN {row_hash} ELSE {UNKNOWN} END AS {row_hash}"
            )
        yield from self.select(table.name, table.arrow_schema, selected)

    def written(self, table: Table, since: datetime) -> Iterator[Ids]:
        """The key ids of the living rows that were written by runs from this one on."""
        columns = ", ".join(self.column(name) for name in table.key)
        sql = (
            f"SELECT {columns} FROM {self.name(table.name)} "
            f"WHERE {self.column('_synced_at')} >= %s "
            f"AND {self.column('_deleted_at')} IS NULL AND {self.completed()}"
        )
        for rows in self.query(sql, since):
            if table.key == ("_row_hash",):
                yield ints(rows.column(0))
            else:
                yield key_ids(rows.columns)


def _rows_of(rows: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def _table_ids(table: Table, rows: pa.Table) -> Ids:
    if table.key == ("_row_hash",):
        return ints(rows.column("_row_hash"))
    return key_ids([rows.column(name) for name in table.key])


def _is_bigint(table: Table, name: str = "id") -> bool:
    return any(c.name == name and c.type == "bigint" for c in table.columns)
