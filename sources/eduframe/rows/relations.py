"""Where columns lead: every reference of the models as a row that people and tools can join by."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.eduframe.models.column_types import References
from sources.eduframe.rows.table_columns import Column

Kind = Literal["owner", "id", "id by type", "text"]
"""What kind of reference it is:

- ``owner``: from a nested row to the row that it is a part of;
- ``id``: to the row with this id;
- ``id by type``: the same, where another column says in which table;
- ``text``: to the row with this slug or code, which is no key: it may be there twice, or no more.
"""


@dataclass(frozen=True, order=True)
class Relation:
    """A reference: a column that holds what a column of another table, or of the same, holds.

    ``condition`` is SQL that must hold as well; '' where nothing must. A column without its table
    is one of ``from_table``.
    """

    from_table: str
    from_column: str
    to_table: str
    to_column: str
    condition: str
    kind: Kind


def relations_of(
    table: str, columns: Iterable[Column], owner_columns: Collection[str] = ()
) -> Iterator[Relation]:
    """Where the columns of a table lead."""
    for column in columns:
        is_owner = column.name in owner_columns
        if column.references:
            kind: Kind = "owner" if is_owner else _kind(column.references)
            yield _relation(table, column.name, column.references, "", kind)
        by = column.references_by
        for value, reference in by.cases if by else ():
            if reference:
                of_type = f"{by.type_column} = '{value}'" if by and value else ""
                kind = "owner" if is_owner else _kind(reference, by_type=True)
                yield _relation(table, column.name, reference, of_type, kind)


def _kind(reference: References, *, by_type: bool = False) -> Kind:
    if reference.column in ("slug", "discount_code"):
        return "text"
    return "id by type" if by_type else "id"


def _relation(table: str, column: str, to: References, of_type: str, kind: Kind) -> Relation:
    also = (f"{table}.{own} = {to.table}.{other}" for own, other in to.also)
    where = (f"{to.table}.{name} = '{value}'" for name, value in to.where)
    condition = " AND ".join(filter(None, (of_type, *also, *where)))
    return Relation(table, column, to.table, to.column, condition, kind)
