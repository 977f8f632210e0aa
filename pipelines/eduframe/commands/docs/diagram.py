"""Entity diagrams as SVG: boxes of tables, with lines to the tables that they refer to."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.eduframe.commands.docs.dictionary import Area, Dictionary
from pipelines.eduframe.commands.docs.layout import Layout, Place, layered
from pipelines.eduframe.commands.pages.html import Html, joined, tag
from sources.eduframe.rows.relations import Relation

HEAD = 26.0
"""Pixels of a box's first line, the name of the table."""
LINE = 17.0
"""Pixels of each column below it."""
LETTER, SMALL = 7.4, 6.4
"""Pixels of a letter at most, in the name and in the columns."""
MARGIN = 12.0
TALLEST = 620.0


@dataclass(frozen=True)
class Box:
    """A table in a diagram, with the columns that refer."""

    name: str
    area: str
    columns: tuple[str, ...] = ()
    outside: bool = False
    """Whether it is of another area."""

    @property
    def size(self) -> tuple[float, float]:
        width = max(len(self.name) * LETTER, *(len(c) * SMALL for c in self.columns), 40.0) + 20
        return width, HEAD + LINE * len(self.columns) + (4 if self.columns else 0)


def area_diagram(found: Dictionary, area: Area) -> Html | None:
    """The tables of an area with the columns that refer, and what they refer to elsewhere.

    None where nothing refers to anything.
    """
    own = {entry.name for entry in area.entries}
    relations = [r for r in (*found.relations, *found.of_views) if r.from_table in own]
    if not relations:
        return None
    columns: dict[str, dict[str, None]] = defaultdict(dict)
    for relation in relations:
        columns[relation.from_table][relation.from_column] = None
    area_of = areas_of(found)
    outside = dict.fromkeys(r.to_table for r in relations if r.to_table not in own)
    boxes = [
        *(Box(entry.name, area.name, (*columns[entry.name],)) for entry in area.entries),
        *(Box(name, area_of[name], outside=True) for name in outside),
    ]
    return _drawn(boxes, relations, f"How the tables of “{area.title}” refer")


def whole_diagram(found: Dictionary) -> Html:
    """All tables, by their names. Views say themselves what they are made of."""
    boxes = [
        Box(entry.name, area.name)
        for area in found.areas
        for entry in area.entries
        if entry.kind == "table"
    ]
    return _drawn(boxes, found.relations, "How all tables refer")


def areas_of(found: Dictionary) -> dict[str, str]:
    """Table to the name of its area."""
    return {entry.name: area.name for area in found.areas for entry in area.entries}


def _drawn(boxes: list[Box], relations: Iterable[Relation], title: str) -> Html:
    sizes = {box.name: box.size for box in boxes}
    by_pair: dict[tuple[str, str], list[Relation]] = defaultdict(list)
    for relation in relations:
        by_pair[relation.from_table, relation.to_table].append(relation)
    layout = layered(sizes, by_pair, TALLEST)
    by_name = {box.name: box for box in boxes}
    lines = [_line(by_name, layout, pair, found) for pair, found in sorted(by_pair.items())]
    width, height = layout.width + 2 * MARGIN + 24, layout.height + 2 * MARGIN
    return tag(
        "svg",
        tag("title", title),
        tag("g", *lines, class_="lines"),
        *(_box(box, layout.boxes[box.name]) for box in boxes),
        viewBox=f"{-MARGIN:.0f} {-MARGIN:.0f} {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="group",
        aria_label=title,
    )


def _box(box: Box, place: Place) -> Html:
    """A table as a link to what is said of it."""
    columns = (
        tag("text", name, x=f"{place.x + 10:.0f}", y=f"{place.y + HEAD + LINE * i + 12:.0f}")
        for i, name in enumerate(box.columns)
    )
    return tag(
        "a",
        tag(
            "rect",
            x=f"{place.x:.0f}",
            y=f"{place.y:.0f}",
            width=f"{place.width:.0f}",
            height=f"{place.height:.0f}",
            rx=4,
        ),
        tag("text", box.name, class_="n", x=f"{place.x + 10:.0f}", y=f"{place.y + 17:.0f}"),
        *columns,
        href=f"#{box.name}",
        data_t=box.name,
        class_=f"box a-{box.area}{' outside' if box.outside else ''}",
    )


def _line(
    boxes: dict[str, Box], layout: Layout, pair: tuple[str, str], relations: list[Relation]
) -> Html:
    """The line of a pair of tables, as wide as it has references by one name."""
    here, there = layout.boxes[pair[0]], layout.boxes[pair[1]]
    own = boxes[pair[0]].columns
    said = joined(*(f"{r.from_table}.{r.from_column} → {r.to_table}.{r.to_column}"
                    for r in relations), by="\n")
    starts = (
        [here.y + HEAD + LINE * own.index(c) + 8 for c in dict.fromkeys(
            r.from_column for r in relations)]
        if own
        else [here.middle]
    )
    points = layout.lines.get(pair, [])
    drawn = joined(*(_path(here, start, points, there) for start in starts), by=" ")
    return tag("path", tag("title", said), d=drawn, data_a=pair[0], data_b=pair[1])


def _path(here: Place, start: float, points: list[Place], there: Place) -> str:
    """A curve from a box's line through the places that it passes to the head of another box."""
    end = there.y + HEAD / 2
    leftwards = there.x < here.x
    if there.x == here.x:  # to itself, or within a layer: round the right side
        right = here.x + here.width
        return f"M{right:.0f} {start:.0f}h12V{end:.0f}h{there.x + there.width - right - 12:.0f}"

    def edge(place: Place, left: bool) -> float:
        return place.x + (0 if left else place.width)

    x, y = edge(here, leftwards), start
    drawn = [f"M{x:.0f} {y:.0f}"]
    for place in points:
        drawn.append(_curve(x, y, edge(place, not leftwards), place.middle))
        x, y = edge(place, leftwards), place.middle
        drawn.append(f"H{x:.0f}")
    drawn.append(_curve(x, y, edge(there, not leftwards), end))
    return "".join(drawn)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    half = (x + to_x) / 2
    return f"C{half:.0f} {y:.0f} {half:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
