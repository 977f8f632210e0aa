"""Answers that are trees, turned into rows."""

from collections.abc import Iterable
from typing import Any


def flatten_elements(rows: Iterable[Any], above: str | None = None) -> list[Any]:
    """A program edition's tree of elements as one row per node, each before those below it.

    A row gets its ``path`` (the positions from the top down, such as ``2.1``), ``parent_path``
    (None at the top) and ``position`` (from 0), and loses the list ``elements``. What is no
    object stays as it is, for the models to reject.
    """
    flat: list[Any] = []
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            flat.append(row)
            continue
        path = str(position) if above is None else f"{above}.{position}"
        node = {**row, "path": path, "parent_path": above, "position": position}
        flat.append(node)
        if isinstance(row.get("elements", []), list | type(None)):
            flat += flatten_elements(node.pop("elements", None) or [], path)
    return flat
