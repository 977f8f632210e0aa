"""Answers that are trees, turned into rows."""

from collections.abc import Iterable
from typing import Any


def flatten(rows: Iterable[Any], field: str, above: str | None = None) -> list[Any]:
    """A tree as one row per node, each before those below it, which stand in its ``field``.

    A row gets its ``path`` (the positions from the top down, such as ``2.1``), ``parent_path``
    (None at the top) and ``position`` (from 0), and loses ``field``; only what stands there and is
    no node stays there. What is no object at the top stays as it is.
    """
    flat: list[Any] = []
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            flat.append(row)
            continue
        path = str(position) if above is None else f"{above}.{position}"
        node = {**row, "path": path, "parent_path": above, "position": position}
        flat.append(node)
        below = node.pop(field, None)
        if isinstance(below, list):
            nodes = flatten(below, field, path)
            flat += [item for item in nodes if isinstance(item, dict)]
            below = [item for item in nodes if not isinstance(item, dict)]
        if below is not None and below != []:
            node[field] = below
    return flat
