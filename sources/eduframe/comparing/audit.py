"""Rows as the API serves them beside rows as the destination holds them: which fields differ.

The stored columns themselves are compared, nested rows included, typed by the model's Arrow
schema; the row hash is not believed, it only tells whether a sync would see the difference.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.eduframe.comparing.row_versions import last_of_each
from sources.eduframe.rows.json_text import dump_deep_json
from sources.eduframe.rows.keys import Flags, Ids, key_ids, key_text, table_key_ids
from sources.eduframe.rows.normalise import Normalised
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import CHILD_TABLES, MAIN_TABLES, Table

Kind = Literal["differs", "marked deleted here", "doubled here", "missing here", "missing there"]
Excuse = Literal["changed since", "written meanwhile"]


@dataclass(frozen=True)
class Field:
    """A field that differs, and both its values, typed. For a nested row that only one side has,
    the table's name, and the row."""

    name: str
    here: Any = None
    there: Any = None


@dataclass(frozen=True)
class Difference:
    """A row that is not here as it is there."""

    key_id: int
    key: str
    """As the run log writes it."""
    kind: Kind
    fields: tuple[Field, ...] = ()
    excuse: Excuse | None = None
    """Why the destination is not wrong: the next sync has yet to come, or one just came."""
    hash_agrees: bool = False
    """Whether the stored row hash is that of the row as served, and no nested row is missing or
    surplus: then no sync sees the difference, only a refresh writes the row again."""


@dataclass(frozen=True)
class Held:
    """What the destination holds of some rows of a list: of all that are asked about."""

    main: pa.Table
    """In the table's Arrow schema, rows that are marked as deleted included."""
    children: Mapping[str, pa.Table]


@dataclass(frozen=True)
class Since:
    """What tells rows apart that changed after the destination could know of it."""

    moment: datetime | None = None
    """When the list was read last, by the server's clock."""
    above: int | None = None
    """Of lists whose rows tell no time: rows with a higher id are new."""


def compare(
    resource: str, served: Normalised, held: Held, since: Since, *, whole_rows: bool = True
) -> tuple[Ids, list[Difference]]:
    """The key ids of the rows served, each once, and those of them that differ.

    Without ``whole_rows`` they come from the rows' own paths, which may give fields that the list
    lacks: ``_extra`` is left out then. Of a nested part that a row comes without nothing is said.
    """
    table = MAIN_TABLES[resource]
    served = served.select(last_of_each(table_key_ids(table, served.main, served.hashes)))
    ids = table_key_ids(table, served.main, served.hashes)
    stored = table_key_ids(table, held.main, _hashes(held.main))
    counts = Counter(stored.tolist())
    order = np.argsort(stored, kind="stable")
    places = np.searchsorted(stored[order], ids)
    places = np.minimum(places, max(len(stored) - 1, 0))
    here = np.isin(ids, stored)
    found = order[places[here]] if len(stored) else np.zeros(0, np.int64)
    numbers = np.flatnonzero(here)
    columns = [c for c in table.all_columns if c.name in served.main.column_names]
    if not whole_rows:
        columns = [column for column in columns if column.name != "_extra"]
    fields = _main_fields(columns, served.main.take(numbers), held.main.take(found), numbers)
    nested, uneven = _nested_fields(table, served, ids, held.children, whole_rows=whole_rows)
    gone = dict(zip(numbers.tolist(), held.main.column("_deleted_at").take(found), strict=True))
    hashes = dict(zip(numbers.tolist(), _hashes(held.main)[found].tolist(), strict=True))
    ages = _Ages(table, served, held, ids, stored, since)
    differences = []
    for number, one in enumerate(ids.tolist()):
        kind: Kind = "differs"
        own = (*fields.get(number, ()), *nested.get(number, ()))
        if not here[number]:
            kind, own = "missing here", ()
        elif gone[number].is_valid:
            kind = "marked deleted here"
        elif counts[one] > 1:
            kind = "doubled here"
        elif not own:
            continue
        later = kind != "doubled here" and ages.later(number, missing=not here[number])
        unseen = kind == "differs" and number not in uneven
        differences.append(
            Difference(
                one,
                _key(table, served, number),
                kind,
                own,
                "changed since" if later else None,
                unseen and hashes[number] == int(served.hashes[number]),
            )
        )
    return ids, differences


def excused(
    differences: Sequence[Difference], ids: Ids, excuse: Excuse
) -> list[Difference]:
    """The same, with an excuse for these rows."""
    known = set(ids.tolist())
    return [
        replace(found, excuse=found.excuse or excuse) if found.key_id in known else found
        for found in differences
    ]


def _hashes(main: pa.Table) -> Ids:
    filled = main.column("_row_hash").combine_chunks().fill_null(0)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.int64)


def _key(table: Table, served: Normalised, number: int) -> str:
    if table.key == ("_row_hash",):
        return str(int(served.hashes[number]))
    return key_text(tuple(served.main.column(name)[number].as_py() for name in table.key))


# ---- main rows


def _main_fields(
    columns: Sequence[Column], there: pa.Table, here: pa.Table, numbers: Ids
) -> dict[int, list[Field]]:
    """By number of the row, the fields that differ."""
    found: dict[int, list[Field]] = {}
    for column in columns:
        mine, theirs = here.column(column.name), there.column(column.name)
        for place in np.flatnonzero(_differ(column, mine, theirs)).tolist():
            field = Field(column.name, mine[place].as_py(), theirs[place].as_py())
            found.setdefault(int(numbers[place]), []).append(field)
    return found


def _differ(column: Column, one: pa.ChunkedArray, other: pa.ChunkedArray) -> Flags:
    alike = pc.fill_null(pc.equal(one, other), False)
    alike = pc.or_(alike, pc.and_(pc.is_null(one), pc.is_null(other)))
    differ = ~np.asarray(alike.combine_chunks().to_numpy(zero_copy_only=False), np.bool_)
    if column.type == "json":
        for place in np.flatnonzero(differ).tolist():
            differ[place] = _plain(one[place].as_py()) != _plain(other[place].as_py())
    return differ


def _plain(text: str | None) -> str | None:
    """What a JSON text means, in one form: databases write it in another order, and other digits.

    A text that is no JSON stands for itself: some drivers give a JSON string as its value.
    """
    if text is None or text == "null":
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return dump_deep_json(_as_floats(value))


def _as_floats(value: Any) -> Any:
    """1.0 and 1 are one number to some databases, and two to others."""
    if isinstance(value, dict):
        return {name: _as_floats(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_floats(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# ---- nested rows


def _nested_fields(
    table: Table,
    served: Normalised,
    ids: Ids,
    held: Mapping[str, pa.Table],
    *,
    whole_rows: bool,
) -> tuple[dict[int, list[Field]], set[int]]:
    """By number of the row, what differs of its nested rows; and the rows that have others here
    than there in number."""
    found: dict[int, list[Field]] = {}
    uneven: set[int] = set()
    numbers = {one: number for number, one in enumerate(ids.tolist())}
    for child in CHILD_TABLES[table.name]:
        untold = _untold(served, child.name)
        columns = [c for c in child.all_columns if c.name not in ("_removed", *child.owner_columns)]
        if not whole_rows:
            columns = [column for column in columns if column.name != "_extra"]
        theirs = _by_owner(served.owners[child.name].tolist(), columns, served.children[child.name])
        rows = held[child.name]
        owners = key_ids([rows.column(name) for name in child.owner_key]).tolist()
        mine = _by_owner([numbers.get(one, -1) for one in owners], columns, rows)
        for number in sorted((mine.keys() | theirs.keys()) - {-1}):
            if untold is not None and untold[number]:
                continue
            here, there = mine.get(number, Counter()), theirs.get(number, Counter())
            if here == there:
                continue
            found.setdefault(number, []).extend(_between(child, columns, here, there))
            if here.total() != there.total():
                uneven.add(number)
    return found, uneven


def _untold(served: Normalised, name: str) -> Flags | None:
    """Flags the rows that do not tell, or not in whole, what they have of a nested part."""
    flags = [f for f in (served.absent.get(name), served.incomplete.get(name)) if f is not None]
    return np.logical_or.reduce(flags) if flags else None


Values = tuple[Any, ...]


def _by_owner(
    owners: Sequence[int], columns: Sequence[Column], rows: pa.Table
) -> dict[int, Counter[Values]]:
    lists = []
    for column in columns:
        values = rows.column(column.name).to_pylist()
        lists.append([_plain(v) for v in values] if column.type == "json" else values)
    found: dict[int, Counter[Values]] = {}
    for owner, *values in zip(owners, *lists, strict=True):
        found.setdefault(owner, Counter())[tuple(values)] += 1
    return found


def _between(
    child: Table, columns: Sequence[Column], here: Counter[Values], there: Counter[Values]
) -> Iterator[Field]:
    """What differs between the nested rows of one owner, here and there."""
    names = [column.name for column in columns]
    surplus, lacking = [*(here - there).elements()], [*(there - here).elements()]
    for mine in [*surplus]:
        theirs = next((row for row in lacking if _same_key(child, names, mine, row)), None)
        if theirs is None:
            continue
        surplus.remove(mine)
        lacking.remove(theirs)
        for name, one, other in zip(names, mine, theirs, strict=True):
            if one != other:
                yield Field(f"{child.name}.{name}", one, other)
    for row in surplus:
        yield Field(f"{child.name} (a row too many here)", dict(zip(names, row, strict=True)))
    for row in lacking:
        shown = dict(zip(names, row, strict=True))
        yield Field(f"{child.name} (a row missing here)", None, shown)


def _same_key(child: Table, names: Sequence[str], one: Values, other: Values) -> bool:
    """Whether two nested rows of one owner stand for the same: without a key, the only ones do."""
    places = [names.index(name) for name in child.key if name in names]
    assert child.child is not None
    if not places:
        return child.child.shape == "object"
    return all(one[place] == other[place] for place in places)


# ---- what changed since


class _Ages:
    """When rows changed, here and there, nested rows included."""

    def __init__(
        self, table: Table, served: Normalised, held: Held, ids: Ids, stored: Ids, since: Since
    ) -> None:
        self._since = since
        self._ids = ids
        self._there = _latest(served.main, range(len(ids)), "updated_at")
        self._created = _latest(served.main, range(len(ids)), "created_at")
        self._timeless = not {"updated_at", "created_at"} & {*served.main.column_names}
        numbers = {one: number for number, one in enumerate(ids.tolist())}
        self._here = _latest(held.main, [numbers.get(o, -1) for o in stored.tolist()], "updated_at")
        for child in CHILD_TABLES[table.name]:
            rows, mine = served.children[child.name], held.children[child.name]
            _raise(self._there, _latest(rows, served.owners[child.name].tolist(), "updated_at"))
            owners = key_ids([mine.column(name) for name in child.owner_key]).tolist()
            _raise(self._here, _latest(mine, [numbers.get(o, -1) for o in owners], "updated_at"))

    def later(self, number: int, *, missing: bool) -> bool:
        """Whether the row changed, or came, after the destination could know of it."""
        moment, above = self._since.moment, self._since.above
        there, here = self._there.get(number), self._here.get(number)
        if missing and self._timeless:
            return above is not None and int(self._ids[number]) > above
        if missing:
            there, here = max(filter(None, [there, self._created.get(number)]), default=None), None
        if moment is None or there is None or there <= moment:
            return False
        return here is None or there > here


def _latest(rows: pa.Table, owners: Sequence[int], column: str) -> dict[int, datetime]:
    """By owner, the greatest of a column; owners without one are left out."""
    if column not in rows.column_names:
        return {}
    found: dict[int, datetime] = {}
    for owner, moment in zip(owners, rows.column(column).to_pylist(), strict=True):
        if moment is not None and (owner not in found or moment > found[owner]):
            found[owner] = moment
    return found


def _raise(known: dict[int, datetime], others: Mapping[int, datetime]) -> None:
    for owner, moment in others.items():
        if owner not in known or moment > known[owner]:
            known[owner] = moment
