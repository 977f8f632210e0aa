"""The words in which `endpoints.py` declares what is synced.

An :class:`Endpoint` is one list of the API and the table it fills. A :class:`Child` is one
nested part of its rows and the table *that* fills. Everything here is data; what is done with
it stands in the modules that read and normalise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote

from schemas.eduframe.models.column_types import Row
from sources.eduframe.digest import key_id

JsonRow = dict[str, Any]

DISPLACED = "_displaced"
"""The key of a raw row under which stands what it had in place of values of the request's path."""

Shape = Literal[
    "object", "objects", "links", "inner links", "values", "custom", "associations"
]
"""How a nested part becomes rows:

- ``object``: one nested object, one row.
- ``objects``: a list of objects, a row each.
- ``links``: a list of ids of another table, a row each.
- ``inner links``: a list of objects with a list of ids each, a row for each of these. (The objects
  have a table of their own as well, which tells what is odd about them.)
- ``values``: a list of plain values, a row each with its ``position`` (from 0).
- ``custom``: a map from slug to value, a row per value, typed into ``value_…`` columns.
- ``associations``: a map from association slug to linked custom records, a row per record.
"""


@dataclass(frozen=True)
class Child:
    """A nested part of a row that has a table of its own.

    ``owner`` maps the child table's columns to the parent row's (``{"order_id": "id"}``); the
    children of one parent are replaced as a whole. A *shared* child table has several kinds of
    owner, told apart by the column ``owner_table``, which holds the owner's table name.
    """

    field: str
    table: str
    shape: Shape
    owner: Mapping[str, str]
    shared: bool = False
    row: type[Row] | None = None
    """The model of a nested object; None for links, values and maps."""
    key: tuple[str, ...] = ()
    """What is unique among the children of one parent; () where nothing is."""
    inner: str | None = None
    """``inner links``: the objects' field with the ids. The first column of ``key`` has the id of
    the object itself."""
    column: str = "value"
    """``links`` and ``values``: the column that holds the linked id, or the value."""
    references: str | None = None
    """``links``: the table that ``column`` refers to."""


@dataclass(frozen=True)
class Parent:
    """Where a list under a parent finds the parents to ask for.

    ``params`` maps the path's parameters to columns of the parent's table; ``columns`` maps
    columns of this list's own rows to columns of the parent's (left out: the same as
    ``params``). ``where`` keeps only the parents with one of these values; ``rename`` translates
    a parent's value into the one that the path takes.

    There is hardly ever anything under a parent with one of the values in ``bare``, or whose two
    columns in ``bare_if_equal`` are equal: it is asked last where not all can be.
    """

    table: str
    params: Mapping[str, str]
    columns: Mapping[str, str] | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rename: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bare: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bare_if_equal: tuple[str, str] | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """The parent's columns that are needed: those of ``params``, then those of ``columns``."""
        return (*self.params.values(), *(self.columns or {}).values())

    def ref(self, values: Sequence[Any]) -> "ParentRef":
        """One parent, from its values of :attr:`wanted`."""
        count = len(self.params)
        params = tuple(
            self.rename.get(name, {}).get(value, value)
            for name, value in zip(self.params, values, strict=False)
        )
        return ParentRef(params, tuple(values[count:]) if self.columns else params)

    def ref_of(self, row: Mapping[str, Any]) -> "ParentRef | None":
        """The parent in a raw row of its table.

        None where ``where`` does not keep it, or it lacks what its list is asked by.
        """
        values = [row.get(name) for name in self.wanted]
        chosen = all(row.get(name) in allowed for name, allowed in self.where.items())
        asked = all(isinstance(value, int | str) for value in values)
        return self.ref(values) if chosen and asked else None


@dataclass(frozen=True, order=True)
class ParentRef:
    """One parent: the values of the path's parameters, and of the columns its rows get."""

    params: tuple[Any, ...]
    columns: tuple[Any, ...]

    @property
    def key_id(self) -> int:
        """The number that stands for the parent, as a key does for a row."""
        return key_id(self.columns)


@dataclass(frozen=True)
class WindowOf:
    """A filter of a list by which the rows that belong to a row of another table can be read, and
    for how long after that row's moment such rows change more than others."""

    column: str
    """The filter, and the column with the other row's id."""
    table: str
    moment: str
    lasts: timedelta


@dataclass(frozen=True)
class Endpoint:
    """One list of the API (or one object that is read like a list of one), and its table."""

    path: str
    table: str
    row: type[Row]
    children: tuple[Child, ...] = ()
    key: tuple[str, ...] = ("id",)
    scopes: tuple[str, ...] = ()
    feature_flag: str | None = None
    paged: bool = True
    """Whether the list takes ``per_page``; without it the answer is the whole list."""
    single: bool = False
    """Whether the answer is one object instead of a list."""
    parents: tuple[Parent, ...] = ()
    parent_setting: str | None = None
    """The setting that lists the values of the path's only parameter."""
    item_path: str | None = None
    """The path that reads one row, where the API has one."""
    detail_path: str | None = None
    """A path, filled from a row, that is read for each row: for fields the list itself lacks."""
    moves: tuple[str, ...] = ()
    """Columns that name rows of other lists whose own counts and states change with a row, often
    without their ``updated_at``."""
    windows: tuple[WindowOf, ...] = ()
    """Filters with which life in the list is followed, where it cannot be read whole each time."""
    tree: str | None = None
    """The field that holds the rows below a row, where the answer is a tree and no flat list."""
    enabled: bool = True
    """Whether it is synced without being named in ``include``."""
    beta: bool = False
    deprecated: bool = False

    @property
    def cursor(self) -> str | None:
        """The column whose growth tells of a change; None where rows have none."""
        return "updated_at" if "updated_at" in self.row.model_fields else None

    @property
    def params(self) -> tuple[str, ...]:
        """The path's parameters, in order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


    @property
    def needs(self) -> str:
        """What a token and an educator need for it, for the messages."""
        needs = [f"the scope {scope}" for scope in self.scopes]
        if self.feature_flag:
            needs.append(f"the feature {self.feature_flag}")
        return " and ".join(needs) or "a right that the API does not name"

    @property
    def parent_columns(self) -> tuple[str, ...]:
        """The columns of a list's rows that come from its parent."""
        if self.parent_setting:
            return self.params
        return tuple(self.parents[0].columns or self.parents[0].params)

    def path_under(self, ref: ParentRef) -> str:
        """The path of the list under a parent."""
        names = tuple(self.parents[0].params) if self.parents else self.params
        values = zip(names, ref.params, strict=True)
        return self.path.format(**{name: quote(str(value), safe="") for name, value in values})


@dataclass(frozen=True)
class Covered:
    """A list that only repeats rows of another one, and so is never requested."""

    path: str
    by: str


def links(field: str, table: str, owner: str, column: str, to: str) -> Child:
    """A list of ids: a link table of (parent's id, linked id)."""
    return Child(field, table, "links", {owner: "id"}, key=(column,), column=column, references=to)


def inner_links(
    field: str, table: str, owner: str, inner: str, key: tuple[str, str], to: str
) -> Child:
    """Lists of ids in a list of objects: a table of (parent's id, object's id, linked id)."""
    return Child(
        field,
        table,
        "inner links",
        {owner: "id"},
        key=key,
        inner=inner,
        column=key[1],
        references=to,
    )


def values(field: str, table: str, owner: str) -> Child:
    """A list of plain values: a table of (parent's id, position, value)."""
    return Child(field, table, "values", {owner: "id"}, key=("position",))


def objects(
    field: str,
    table: str,
    row: type[Row],
    owner: str | Mapping[str, str],
    key: tuple[str, ...] = ("id",),
) -> Child:
    """A list of objects with a table of its own; ``owner`` is the column of the parent's id."""
    columns = {owner: "id"} if isinstance(owner, str) else owner
    return Child(field, table, "objects", columns, row=row, key=key)


def shared(field: str, table: str, row: type[Row], *, many: bool, key: tuple[str, ...]) -> Child:
    """A nested object (or a list of them) whose table has several kinds of owner."""
    shape: Shape = "objects" if many else "object"
    return Child(field, table, shape, {"owner_id": "id"}, shared=True, row=row, key=key)
