"""Where the boxes of a diagram stand: in layers from left to right, so that references lead left.

Boxes are put into layers (Sugiyama's way): first those that refer to nothing, then each right of
all that it refers to. References across layers pass through places of their own between the boxes,
and within a layer all are ordered so that lines cross little.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

GAP = 14.0
"""Pixels between two boxes of a layer."""
BETWEEN = 84.0
"""Pixels between two layers, for the lines."""
LANE = 10.0
"""Pixels that a line takes in a layer that it passes."""
SWEEPS = 24


@dataclass
class Place:
    """Where a box stands, or a line passes, in pixels; ``y`` is its top."""

    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = LANE

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass
class Layout:
    """The places of boxes, and for each pair of boxes with a line those that the line passes."""

    boxes: dict[str, Place]
    lines: dict[tuple[str, str], list[Place]] = field(default_factory=dict)
    """(from, to) to the places between the two, from ``from`` on."""
    width: float = 0.0
    height: float = 0.0


Node = str | tuple[str, str, int]
"""A box by its name, or where a line from one to another passes a layer."""


def layered(
    sizes: Mapping[str, tuple[float, float]], edges: Iterable[tuple[str, str]], tallest: float
) -> Layout:
    """Lay out boxes of these sizes (width, height) with lines from the first to the second of each
    edge. Layers of boxes without lines are no taller than ``tallest``, if they need not be."""
    pairs = sorted({(a, b) for a, b in edges if a != b})
    tied = {name for pair in pairs for name in pair}
    layer = _layers([name for name in sizes if name in tied], _without_circles(pairs))
    layers: list[list[Node]] = [[] for _ in range(1 + max(layer.values(), default=-1))]
    for name, number in layer.items():
        layers[number].append(name)
    chains = {pair: _chain(pair, layer, layers) for pair in pairs}
    _order(layers, chains.values())
    places: dict[Node, Place] = {
        node: Place(0, 0, *sizes[node]) if isinstance(node, str) else Place()
        for nodes in layers
        for node in nodes
    }
    _stack(layers, places, chains.values())
    right = _set_apart(layers, places)
    for name in sizes:
        if name not in tied:
            places[name] = Place(0, 0, *sizes[name])
    right = _fill([places[n] for n in sizes if n not in tied], right, tallest)
    top = min((place.y for place in places.values()), default=0.0)
    for place in places.values():
        place.y -= top
    return Layout(
        {name: places[name] for name in sizes},
        {pair: [places[node] for node in chain[1:-1]] for pair, chain in chains.items()},
        right,
        max((place.y + place.height for place in places.values()), default=0.0),
    )


def _without_circles(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edges, those that lead back to where one came from turned round."""
    to: dict[str, list[str]] = defaultdict(list)
    for a, b in pairs:
        to[a].append(b)
    found: list[tuple[str, str]] = []
    open_: set[str] = set()
    done: set[str] = set()

    def visit(name: str) -> None:
        open_.add(name)
        for other in to[name]:
            found.append((other, name) if other in open_ else (name, other))
            if other not in open_ and other not in done:
                visit(other)
        open_.discard(name)
        done.add(name)

    for name, _ in pairs:
        if name not in done:
            visit(name)
    return found


def _layers(names: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """The layer of each box: right of all that it refers to, and else as far right as it can."""
    to: dict[str, set[str]] = defaultdict(set)
    back: dict[str, set[str]] = defaultdict(set)
    for a, b in edges:
        to[a].add(b)
        back[b].add(a)
    layer: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in layer:
            layer[name] = 1 + max((depth(other) for other in to[name]), default=-1)
        return layer[name]

    for name in names:
        depth(name)
    for name in sorted(names, key=lambda name: -layer[name]):
        if back[name]:  # shorter lines: next to the nearest that refers to it
            layer[name] = min(layer[other] for other in back[name]) - 1
    return {name: layer[name] for name in names}


def _chain(pair: tuple[str, str], layer: dict[str, int], layers: list[list[Node]]) -> list[Node]:
    a, b = pair
    step = 1 if layer[a] < layer[b] else -1
    between = range(layer[a] + step, layer[b], step) if layer[a] != layer[b] else ()
    passed: list[Node] = [(a, b, number) for number in between]
    for number, node in zip(between, passed, strict=True):
        layers[number].append(node)
    return [a, *passed, b]


def _neighbours(chains: Iterable[list[Node]]) -> dict[Node, list[Node]]:
    found: dict[Node, list[Node]] = defaultdict(list)
    for chain in chains:
        for one, next_ in pairwise(chain):
            found[one].append(next_)
            found[next_].append(one)
    return found


def _order(layers: list[list[Node]], chains: Iterable[list[Node]]) -> None:
    """Sort each layer by where the neighbours of its nodes stand, to and fro."""
    near = _neighbours(chains)
    for sweep in range(SWEEPS):
        numbers = range(len(layers)) if sweep % 2 == 0 else reversed(range(len(layers)))
        rank = {node: i / len(nodes) for nodes in layers for i, node in enumerate(nodes)}
        for number in numbers:
            nodes = layers[number]
            wanted = {node: fmean([rank[o] for o in near[node]] or [rank[node]]) for node in nodes}
            nodes.sort(key=lambda node: (wanted[node], str(node)))
            rank |= {node: i / len(nodes) for i, node in enumerate(nodes)}


def _stack(
    layers: list[list[Node]], places: dict[Node, Place], chains: Iterable[list[Node]]
) -> None:
    """Give each node its height: near to its neighbours, in the order of its layer."""
    near = _neighbours(chains)
    for nodes in layers:
        _apart(nodes, places, dict.fromkeys(nodes, 0.0))
    for sweep in range(SWEEPS):
        for nodes in layers if sweep % 2 else reversed(layers):
            wanted = {
                node: fmean(places[other].middle for other in near[node] or [node])
                for node in nodes
            }
            _apart(nodes, places, wanted)


def _apart(nodes: list[Node], places: dict[Node, Place], wanted: dict[Node, float]) -> None:
    """Put nodes as near to the wanted middles as their order and sizes let (least squares)."""
    groups: list[list[float]] = []  # sum of wanted tops of the group's first, count, height
    offsets: list[list[float]] = []
    for node in nodes:
        place = places[node]
        height = place.height + (GAP if isinstance(node, str) else 2.0)
        groups.append([wanted[node] - place.height / 2, 1.0, height])
        offsets.append([0.0])
        while len(groups) > 1 and _mean(groups[-2]) + groups[-2][2] > _mean(groups[-1]):
            total, count, size = groups.pop()
            moved = offsets.pop()
            before = groups[-1]
            offsets[-1] += [before[2] + offset for offset in moved]
            before[0] += total - count * before[2]
            before[1] += count
            before[2] += size
    tops = [_mean(group) + o for group, own in zip(groups, offsets, strict=True) for o in own]
    for node, top in zip(nodes, tops, strict=True):
        places[node].y = top


def _mean(group: list[float]) -> float:
    return group[0] / group[1]


def _set_apart(layers: list[list[Node]], places: dict[Node, Place]) -> float:
    """Give each layer its place from left to right. Returns where the last one ends."""
    x = 0.0
    for nodes in layers:
        width = max((places[node].width for node in nodes), default=0.0)
        for node in nodes:
            places[node].x = x
            if not isinstance(node, str):
                places[node].width = width
        x += width + BETWEEN
    return max(0.0, x - BETWEEN)


def _fill(alone: list[Place], right: float, tallest: float) -> float:
    """Put boxes without lines into layers of their own, on the right."""
    x, y = (right + BETWEEN / 2 if right else 0.0), 0.0
    width = 0.0
    for place in alone:
        if y and y + place.height > tallest:
            x, y, width = x + width + GAP, 0.0, 0.0
        place.x, place.y = x, y
        y += place.height + GAP
        width = max(width, place.width)
    return x + width if alone else right
