"""What is odd about the rows of a list: counted, for the run log and for whoever runs the sync."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

NO_KEY = "no key"
"""The kind of a nested row that lacks what tells it from others."""
OUT_OF_RANGE = "out of range"
UNREADABLE = "unreadable"

MOST_NAMES = 100
"""So many names of others are kept for a list: the rest is counted."""
OTHERS = "(others)"

MANY, FEW = 20, 3
"""Of so many rows half have to be unfit, or all, for a field to be called mostly unfit."""

_JSON_TYPES: dict[type, str] = {
    dict: "object",
    list: "list",
    str: "string",
    int: "number",
    float: "number",
    Decimal: "number",
    bool: "boolean",
    type(None): "null",
}


@dataclass(kw_only=True)
class Findings:
    """Fields by name (``table.field``, or ``table.object.field``), and how often they are odd."""

    rows_checked: Counter[str] = field(default_factory=Counter)
    """Table to the number of its rows that were looked at."""
    unknown_fields: Counter[str] = field(default_factory=Counter)
    unknown_values: Counter[str] = field(default_factory=Counter)
    """``table.field = 'value'``, where the API declares other values."""
    unfit_fields: dict[str, Counter[str]] = field(default_factory=dict)
    """Field to the kinds of what does not fit it: ``absent`` or ``null`` where the API says it is
    never so, the JSON type that stands where another belongs, ``unreadable``, ``out of range``,
    ``no key`` for nested rows that have none."""

    def unknown_field(self, name: str) -> None:
        """Count a field that the models do not know."""
        _count(self.unknown_fields, name, 1)

    def unknown_value(self, name: str) -> None:
        """Count a value that the API does not declare."""
        _count(self.unknown_values, name, 1)

    def unfit(self, name: str, kind: str, count: int = 1) -> None:
        """Count a value, or several, that do not fit a field."""
        if count:
            self.unfit_fields.setdefault(name, Counter())[kind] += count

    def mostly_unfit(self, before: Mapping[str, int]) -> list[str]:
        """The fields that are unfit in half or more of 20 rows or more, or in all of 3 or more.

        ``before`` says how many rows have a field unfit that are no news: those are left out. A
        read by cursor meets rows with odd moments each time, and hardly any others.
        """
        return sorted(
            name for name in self.unfit_fields if self._is_mostly_unfit(name, before.get(name, 0))
        )

    def _is_mostly_unfit(self, name: str, before: int) -> bool:
        rows = self.rows_checked[name.split(".")[0]] - before
        unfit = self.unfit_fields[name].total() - before
        return (rows >= MANY and unfit * 2 >= rows) or (rows >= FEW and unfit >= rows)

    def add(self, other: "Findings", shown: Callable[[str], str]) -> None:
        """Count what was found in other rows too. ``shown`` makes others' words fit for that."""
        self.rows_checked.update(other.rows_checked)
        for mine, found in (
            (self.unknown_fields, other.unknown_fields),
            (self.unknown_values, other.unknown_values),
        ):
            for name, count in sorted(found.items()):
                _count(mine, name if name == OTHERS else shown(name), count)
        for name, kinds in other.unfit_fields.items():
            self.unfit_fields.setdefault(name, Counter()).update(kinds)


def _count(names: Counter[str], name: str, count: int) -> None:
    room = len(names) - (OTHERS in names) < MOST_NAMES
    names[name if name in names or room else OTHERS] += count


def json_type(value: Any) -> str:
    """What JSON calls a value."""
    return _JSON_TYPES[type(value)]
