"""The parents that a list under a parent is asked for: those held, those met, those of the API."""

from collections.abc import Iterator, Sequence
from typing import Any

from sources.eduframe.declare import Endpoint, JsonRow, Parent
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.http.client import Client
from sources.eduframe.reading.fetching import read_rows
from sources.eduframe.reading.parents import ParentBook, ParentRef, make_ref, owner_table
from sources.eduframe.rows.nested import explode


def gather_parents(
    client: Client,
    endpoint: Endpoint,
    book: ParentBook,
    held: Sequence[Sequence[tuple[Any, ...]] | None],
    object_types: Sequence[str],
) -> list[ParentRef]:
    """The parents to ask for: those held to be asked, and those written in this run.

    ``held`` has, for each of the declared parents, what the destination says (None where it
    holds no parent at all: then they are read from the API, without loading them).
    """
    if endpoint.parent_setting:
        return [ParentRef((value,), (value,)) for value in object_types]
    refs: set[ParentRef] = set()
    for number, (parent, values) in enumerate(zip(endpoint.parents, held, strict=True)):
        page = book.page(endpoint, number)
        refs.update(make_ref(parent, value) for value in values or ())
        refs.update(page.written)
        if values is None and not page.started:
            refs.update(parents_from_api(client, parent))
    return list(refs)


def parents_from_api(client: Client, parent: Parent) -> Iterator[ParentRef]:
    """The parents, straight from the API."""
    owner = next(e for e in ENDPOINTS if e.table == owner_table(parent.table))
    for row in read_rows(client, owner):
        for values in _parent_values(owner, parent, row):
            if all(values.get(name) in allowed for name, allowed in parent.where.items()):
                wanted = [*parent.params.values(), *(parent.columns or {}).values()]
                yield make_ref(parent, [values.get(name) for name in wanted])


def _parent_values(owner: Endpoint, parent: Parent, row: JsonRow) -> list[JsonRow]:
    if owner.table == parent.table:
        return [row]
    child = next(c for c in owner.children if c.table == parent.table)
    from_owner = {mine: row.get(theirs) for mine, theirs in child.owner.items()}
    return [{**item, **from_owner} for item in explode(child, row.get(child.field))]
