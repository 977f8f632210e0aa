"""Answers that are trees, turned into rows."""

from collections.abc import Iterable
from typing import Any


def flatten(rows: Iterable[Any], field: str, above: str | None = None) -> list[Any]:
    """A tree as one row per node, each before those below it, which stand in its ``field``.

    A row gets its ``path`` (the positions from the top down, such as ``2.1``), ``parent_path``
    (None at the top) and ``position`` (from 0), and loses ``field``. What is no
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
        if isinstance(row.get(field, []), list | type(None)):
            flat += flatten(node.pop(field, None) or [], field, path)
    return flat
