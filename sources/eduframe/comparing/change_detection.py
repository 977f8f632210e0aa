"""Which rows of a read must be written, and with which children.

A row is written if its hash differs from the destination's. Its children are replaced as a
whole; where none are left, a removal goes in their place. Rows that lose children are held back
until the read is over, as only then can it be told whether suspiciously many do.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.eduframe.comparing.absent_parts import AbsentParts
from sources.eduframe.comparing.cursor import nested_updates, newest_text, to_the_millisecond
from sources.eduframe.comparing.row_versions import complete, concat, last_of_each, removals
from sources.eduframe.digest import key_id
from sources.eduframe.display import printable
from sources.eduframe.reading.batch import ResourceRun
from sources.eduframe.reading.read import Plan
from sources.eduframe.rows.hashing import UNKNOWN, partial_hashes
from sources.eduframe.rows.keys import Flags, Ids, key_ids, table_key_ids
from sources.eduframe.rows.normalise import Normalised, Rejected, normalise
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES, Table

FEW = 50
"""Fewer rows than this going at once are never suspicious."""


@dataclass
class Found:
    """What a batch of raw rows came to."""

    tables: dict[str, pa.Table]
    read: dict[str, pa.Table]
    """All rows that were looked at, also those that need no writing."""
    rejected: list[Rejected]
    unwritten: Ids
    """The key ids met that need no writing: what is written says by itself that it was met."""
    untold: set[str]
    """Tables of which this batch has rows that it does not tell: they have no key, say."""
    ids: Ids
    """The key ids of all rows that were looked at."""
    changed: Ids
    """Those of them that are new, or differ from what the destination holds."""


@dataclass
class Postponed:
    """Rows that lose children, and for each child table which of the rows do."""

    ids: Ids
    rows: Normalised
    places: Ids
    losing: dict[str, Flags]


class Changes:
    """Compares what is read of one list with what the destination holds of it."""

    def __init__(
        self, plan: Plan, run: ResourceRun, shown: Callable[[str], str] = printable
    ) -> None:
        self._plan = plan
        self._shown = shown
        self._run = run
        self._table = MAIN_TABLES[plan.endpoint.table]
        self._children = CHILD_TABLES[plan.endpoint.table]
        self._postponed: list[Postponed] = []
        self._new: Ids = np.zeros(0, np.int64)
        """The key ids of new rows that this read has met, sorted."""
        self.absent = AbsentParts(plan.endpoint, plan.index, wait=plan.mode != "cursor")
        self._changed: list[Ids] = []
        """The key ids of changed rows that this read has met, by batch."""
        self._additions: dict[str, list[pa.Table]] = {}
        self._lost: Counter[str] = Counter()
        self._totals = {name: int(counts.sum()) for name, counts in plan.index.children.items()}
        self.braked: list[str] = []

    def detect(self, rows: list[Any], *, again: bool = False) -> Found:
        """Normalise raw rows, and keep those that differ from what the destination holds."""
        plan, run, index = self._plan, self._run, self._plan.index
        if plan.mode == "cursor":
            rows = self._candidates(rows)
        batch = normalise(plan.endpoint, rows)
        run.rejected += len(batch.rejected)
        run.add(batch, self._shown)
        ids = table_key_ids(self._table, batch.main, batch.hashes)
        spared = self._below_cut_trees(batch)
        index.mark_seen(np.concatenate([ids, spared]))
        self._let_go(ids)
        places, found = index.find(ids)
        known, last = np.where(found, places, -1), last_of_each(ids)
        wait = self.absent.look_at(
            batch, ids, known, last, lambda table: self._stored_children(table, ids, known)
        )
        same = np.zeros(len(ids), np.bool_)
        same[found] = index.hashes[places[found]] == batch.hashes[found]
        if plan.left_out and self._table.key != ("_row_hash",):
            batch.hashes = partial_hashes(batch.hashes, plan.left_out)
            same[found] |= index.hashes[places[found]] == batch.hashes[found]
        for table, counts in index.children.items():
            # a load that was cut off may have changed the children, and not yet their row
            alike = counts[places[found]] == batch.counts(table)[found]
            if table in batch.incomplete:
                alike |= batch.incomplete[table][found]
            same[found] &= alike
        write = last & ~same & ~wait
        run.new += int(np.count_nonzero(write & ~found))
        run.changed += self._newly_changed(ids[write & found], again)
        tables = self._write(batch.select(write), ids[write], known[write])
        self._remember(ids[write & ~found])
        return Found(
            tables,
            {self._table.name: batch.main, **batch.children},
            batch.rejected,
            np.concatenate([ids[~write & ~wait], spared]),
            self._untold(batch),
            ids,
            ids[write],
        )

    def _newly_changed(self, ids: Ids, again: bool) -> int:
        """How many of these rows count as changed: each does once in a read."""
        if again and self._changed:
            ids = np.setdiff1d(ids, np.concatenate(self._changed))
        self._changed.append(ids)
        return len(ids)

    def _untold(self, batch: Normalised) -> set[str]:
        if batch.rejected:
            return {self._table.name, *(table.name for table in self._children)}
        return set(batch.incomplete)

    def _below_cut_trees(self, batch: Normalised) -> Ids:
        """The key ids of the known rows of trees that are served in part: they may be there."""
        parents = self._plan.index.parents
        if batch.cut_trees is None or parents is None or not batch.cut_trees.any():
            return np.zeros(0, np.int64)
        rows = batch.main.filter(pa.array(batch.cut_trees))
        cut = key_ids([rows.column(name) for name in self._plan.endpoint.parent_columns])
        return self._plan.index.keys[np.isin(parents, cut)]

    def additions(self) -> dict[str, pa.Table]:
        """Child rows that join those which the destination holds of their owners, since the last
        call: of owners whose part did not tell all."""
        found = {name: pa.concat_tables(parts) for name, parts in self._additions.items()}
        self._additions = {}
        return found

    def _let_go(self, ids: Ids) -> None:
        """Rows that turn up again count as they are now: drop the versions that are held back."""
        self.absent.let_go(ids)
        for late in self._postponed:
            keep = ~np.isin(late.ids, ids)
            if not keep.all():
                late.ids, late.places = late.ids[keep], late.places[keep]
                late.rows = late.rows.select(keep)
                late.losing = {name: flags[keep] for name, flags in late.losing.items()}

    def _remember(self, ids: Ids) -> None:
        ids = np.sort(ids)
        in_order = not len(self._new) or not len(ids) or self._new[-1] < ids[0]
        self._new = np.concatenate([self._new, ids])
        if not in_order:
            self._new.sort(kind="stable")

    def _met_before(self, ids: Ids) -> Flags:
        if not len(self._new):
            return np.zeros(len(ids), np.bool_)
        places = np.minimum(np.searchsorted(self._new, ids), len(self._new) - 1)
        return np.asarray(self._new[places] == ids)

    @property
    def new(self) -> Ids:
        """The key ids of the rows met that the destination did not hold."""
        return self._new

    def release(self) -> dict[str, pa.Table]:
        """The rows that were held back: with their losses, unless those are suspicious."""
        undecided = []
        for late in self.absent.undecided():
            changed = self._plan.index.hashes[late.places] != late.rows.hashes
            changed[late.places < 0] = True
            self._run.changed += int(np.count_nonzero(changed))
            undecided.append(
                self._write(late.rows.select(changed), late.ids[changed], late.places[changed])
            )
        self._run.frozen += self.absent.kept()
        braked = self._suspicious()
        for name in sorted(braked):
            lost, total = self._lost[name], self._totals[name]
            self.braked.append(
                f"{name}: {lost} of {total} rows ({lost / total:.0%}) would be removed, as their "
                f"{self._plan.endpoint.table} no longer have them; nothing was removed there. If "
                f"that is right: eduframe sync {self._plan.endpoint.table} --reconcile "
                f"{self._plan.endpoint.table} --allow-mass-delete {self._plan.endpoint.table}"
            )
        parts = [
            self._tables(late.rows, late.places, late.losing, braked) for late in self._postponed
        ]
        self._postponed = []
        return concat([*undecided, *parts])

    def _write(self, rows: Normalised, ids: Ids, places: Ids) -> dict[str, pa.Table]:
        losing = self._losses(rows, places)
        braked = self._suspicious()
        hold = np.zeros(len(ids), np.bool_)
        for name, flags in losing.items():
            if name not in braked:
                hold |= flags
        if hold.any():
            lost = {name: flags[hold] for name, flags in losing.items()}
            waiting = rows.select(hold)
            self._postponed.append(Postponed(ids[hold], waiting, places[hold], lost))
            self._plan.index.hashes[places[hold]] = UNKNOWN
            waiting = replace(waiting, hashes=np.full(len(waiting.hashes), UNKNOWN))
            meanwhile = {self._table.name: self._main(waiting)}
        else:
            meanwhile = {}
        now = ~hold
        self._plan.index.write(
            ids[now],
            rows.hashes[now],
            {name: self._counts_after(name, rows, places)[now] for name in rows.children},
        )
        losing = {n: f[now] for n, f in losing.items()}
        return concat([self._tables(rows.select(now), places[now], losing, braked), meanwhile])

    def _counts_before(self, table: str, places: Ids) -> npt.NDArray[np.int64]:
        """How many children the destination holds of rows at these places; -1 is no place."""
        stored = self._plan.index.children.get(table)
        if stored is None or not len(stored):
            return np.zeros(len(places), np.int64)
        return np.where(places >= 0, stored[places], 0)

    def _counts_after(
        self, table: str, rows: Normalised, places: Ids
    ) -> npt.NDArray[np.int64]:
        """How many children rows have once they are written."""
        counts = rows.counts(table)
        if table not in rows.incomplete:
            return counts
        before = self._counts_before(table, places)
        return np.where(rows.incomplete[table] & (before > 0), before, counts)

    def _losses(self, rows: Normalised, places: Ids) -> dict[str, Flags]:
        """For each child table, which rows would have fewer children than the destination has."""
        losing: dict[str, Flags] = {}
        for name in self._plan.index.children:
            before = self._counts_before(name, places)
            lost = np.maximum(before - self._counts_after(name, rows, places), 0)
            if lost.any():
                losing[name] = lost > 0
                self._lost[name] += int(lost.sum())
        return losing

    def _suspicious(self) -> set[str]:
        policy = self._plan.policy
        if policy.allow_mass_delete:
            return set()
        return {
            name
            for name, lost in self._lost.items()
            if lost >= FEW and lost > policy.max_delete_share * self._totals[name]
        }

    def _tables(
        self, rows: Normalised, places: Ids, losing: Mapping[str, Flags], braked: set[str]
    ) -> dict[str, pa.Table]:
        """The tables to load. Braked child tables keep what they have, and the row's hash is
        left unknown, so that it is looked at again in the next run. So do those of which a row
        does not tell all; there the hash is of what it tells."""
        kept = np.zeros(len(rows.hashes), np.bool_)
        tables: dict[str, pa.Table] = {}
        for table in self._children:
            skip = np.zeros(len(kept), np.bool_)
            if table.name in braked and table.name in losing:
                skip = losing[table.name]
                kept |= skip
            if table.name in rows.incomplete:
                skip = skip | self._join(table, rows, places)
            made = self._child(table, rows, places, skip)
            if made.num_rows:
                tables[table.name] = made
        if len(rows.hashes):
            hashes = np.where(kept, UNKNOWN, rows.hashes)
            tables[self._table.name] = self._main(replace(rows, hashes=hashes))
        return tables

    def _main(self, rows: Normalised) -> pa.Table:
        count = len(rows.hashes)
        bookkeeping = {
            "_deleted_at": None,
            "_synced_at": pa.repeat(
                pa.scalar(self._plan.synced_at, pa.timestamp("us", tz="UTC")), count
            ),
            "_row_hash": pa.array(rows.hashes),
            "_removed": None,
        }
        return complete(self._table, rows.main, bookkeeping)

    def _child(self, table: Table, rows: Normalised, places: Ids, skip: Flags) -> pa.Table:
        """The children of the rows, and a removal for each row that had some and has none."""
        assert table.child is not None
        children = rows.children[table.name]
        if skip.any():
            children = children.filter(pa.array(~skip[rows.owners[table.name]]))
        living = complete(table, children, {"_removed": None})
        ids = table_key_ids(self._table, rows.main, rows.hashes)
        had = self._stored_children(table, ids, places) | self._met_before(ids)
        emptied = had & (rows.counts(table.name) == 0) & ~skip
        if not emptied.any():
            return living
        owners = rows.main.filter(pa.array(emptied))
        return pa.concat_tables([living, removals(table, owners)])

    def _stored_children(self, table: Table, ids: Ids, places: Ids) -> Flags:
        """Of which rows the destination holds children."""
        strays = self._plan.index.strays.get(table.name, ())
        return np.isin(ids, strays) | (self._counts_before(table.name, places) > 0)

    def _join(self, table: Table, rows: Normalised, places: Ids) -> Flags:
        """Flags the rows that do not tell all children, and of which the destination holds some.

        What they do tell can join those where each child is known by its id.
        """
        ids = table_key_ids(self._table, rows.main, rows.hashes)
        join = rows.incomplete[table.name] & self._stored_children(table, ids, places)
        told = rows.children[table.name].filter(pa.array(join[rows.owners[table.name]]))
        assert table.child is not None
        if told.num_rows and table.key and table.child.shape in ("objects", "links"):
            self._additions.setdefault(table.name, []).append(complete(table, told, {}))
        return join

    def _candidates(self, rows: list[Any]) -> list[Any]:
        """The rows that a cursor read looks at: moved since, unknown, set aside before, or to
        be written anyway."""
        since = to_the_millisecond(self._plan.since) if self._plan.since else ""
        nested, name = nested_updates(self._plan.endpoint), self._table.key[0]
        rest: list[tuple[int, int]] = []
        keep = [True] * len(rows)
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                continue
            newest = newest_text(row, nested)
            if newest is None or newest >= since:
                continue
            key = row.get(name)
            if isinstance(key, str):
                rest.append((number, key_id((key,))))
            elif isinstance(key, int) and abs(key) < 2**63:
                rest.append((number, key))
        ids = np.array([key for _, key in rest], np.int64)
        places, found = self._plan.index.find(ids)
        sound = found.copy()
        sound[found] = self._plan.index.hashes[places[found]] != UNKNOWN
        sound &= ~np.isin(ids, self._plan.set_aside.ids)
        for (number, _), skip in zip(rest, sound, strict=True):
            keep[number] = not skip
        return [row for row, flag in zip(rows, keep, strict=True) if flag]
