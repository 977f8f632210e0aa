"""The whole page: one HTML file that loads nothing."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from pipelines.eduframe.commands.docs.counting import TRAPS
from pipelines.eduframe.commands.docs.diagram import area_diagram, whole_diagram
from pipelines.eduframe.commands.docs.dictionary import Area, Dictionary, Entry
from pipelines.eduframe.commands.docs.freshness import Freshness
from pipelines.eduframe.commands.docs.tables import (
    PERSONAL,
    WHAT_TYPES_ARE,
    Linking,
    entry_html,
)
from pipelines.eduframe.commands.pages.document import asset, document
from pipelines.eduframe.commands.pages.html import Html, tag

TITLE = "Eduframe in your database"
ANSWERING = ("measure", "fact", "dimension")
"""Kinds of views that are named at the start."""
WHAT_LINES_ARE = (
    "Each line leads from a column, on its left, to the table that it refers to; dashed are tables "
    "of other areas. Point at a table to see its own lines, choose it to read about it."
)


def page(found: Dictionary, version: str, fresh: Freshness | None = None) -> str:
    """The dictionary as an HTML document: tables and columns without a script, search with one."""
    links = Linking(found)
    return document(
        TITLE,
        tag("a", "Skip to the content", href="#content", class_="skip"),
        _top(version),
        tag("div", _contents(found), _main(found, links, fresh), class_="sides"),
        style=asset(__package__, "docs.css"),
        scripts=(asset(__package__, "docs.js"),),
    )


def _top(version: str) -> Html:
    field = tag(
        "input",
        id="search",
        type="search",
        placeholder="Search ( / )",
        autocomplete="off",
        spellcheck="false",
        aria_label="Search tables, columns and their meanings",
        aria_controls="hits",
        aria_describedby="told",
    )
    search = tag(
        "search",
        field,
        tag("p", id="told", role="status"),
        tag("ol", id="hits", hidden=True, aria_label="What was found"),
        hidden=True,
        id="searching",
    )
    title = tag("h1", _to("start", TITLE))
    return tag("header", title, search, tag("span", f"eduframe-sync {version}", class_="version"))


def _contents(found: Dictionary) -> Html:
    areas = (
        tag(
            "details",
            tag("summary", area.title),
            tag("ul", *(tag("li", _to(entry.name, entry.name)) for entry in area.entries)),
        )
        for area in found.areas
    )
    pages = (("start", "How to read this"), ("counting", "Counting correctly"),
             ("diagram", "How all tables refer"), ("words", "Words"))
    listed = tag("ul", *(tag("li", _to(name, title)) for name, title in pages))
    return tag(
        "nav",
        tag("details", tag("summary", "Contents"), listed, *areas, open=True, id="contents"),
        aria_label="Contents",
    )


def _to(name: str, text: str) -> Html:
    return tag("a", text, href=f"#{name}")


def _main(found: Dictionary, links: Linking, fresh: Freshness | None) -> Html:
    return tag(
        "main",
        _start(found, fresh),
        _counting(links),
        _section(
            "diagram",
            "How all tables refer",
            _zoomed(whole_diagram(found), "How all tables refer"),
        ),
        *(_area(found, area, links, fresh) for area in found.areas),
        _words(),
        id="content",
        tabindex="-1",
    )


def _section(name: str, title: str, *children: Html | None) -> Html:
    return tag("section", tag("h2", title, id=f"{name}-title"), *children, id=name,
               aria_labelledby=f"{name}-title")


def _start(found: Dictionary, fresh: Freshness | None) -> Html:
    entries = found.entries.values()
    tables = [entry for entry in entries if entry.kind == "table"]
    views = [entry for entry in entries if entry.kind in ANSWERING]
    areas = (
        tag(
            "li",
            _to(f"area-{area.name}", area.title),
            f" ({len(area.entries)}): {area.description}",
        )
        for area in found.areas
    )
    return _section(
        "start",
        "How to read this",
        tag(
            "p",
            f"What the mirror of Eduframe holds: {len(tables)} tables with "
            f"{sum(len(entry.columns) for entry in tables):,} columns, and the views on them, what "
            "they mean, which values they have, and where they lead. The API names fields and "
            "types, and hardly says what they mean: where a text is our reading of it, it says so.",
        ),
        *(_asking(views, fresh) if views else ()),
        tag(
            "p",
            "There is a table for each list of Eduframe, under its name there, and one for each "
            "nested part (the items of an order, the labels of a user). Before you ask them "
            "yourself, read ",
            _to("counting", "Counting correctly"),
            ".",
        ),
        tag("ul", *areas),
        _freshness(fresh) if fresh else None,
    )


def _asking(views: Iterable[Entry], fresh: Freshness | None) -> Iterator[Html]:
    """How to begin: which view answers what, and how it is asked."""
    dataset = (fresh.views if fresh else None) or "eduframe_views"
    yield tag(
        "p",
        "Ask the views first. They are in a dataset of their own, ",
        tag("code", dataset),
        " (the setting ",
        tag("code", "views"),
        " may name another). There is one for each table, under the same name, without deleted "
        "rows; and there are these, which answer:",
    )
    yield tag(
        "dl",
        *(
            tag("div", tag("dt", _to(view.name, view.name)),
                tag("dd", re.split(r"[:.] ", view.description, maxsplit=1)[0].rstrip(".") + "."))
            for view in views
        ),
        class_="values answers",
    )
    yield tag("p", "In DuckDB and Postgres, say once where they are:")
    sql = (
        f"SET search_path TO {dataset};\n\n"
        "SELECT course, start_date, places, taken, free\n"
        "FROM occupancy\nWHERE status = 'planned'\nORDER BY start_date, course;"
    )
    yield tag("pre", tag("code", sql), tabindex="0", role="region", aria_label="SQL: a first query")


def _freshness(fresh: Freshness) -> Html:
    known = [one for one in fresh.tables.values() if one.rows is not None]
    synced = [one.last_sync for one in known if one.last_sync]
    proven = [one.proven_as_of for one in known if one.proven_as_of]
    rows = sum(one.rows or 0 for one in known)
    said = [
        f"In {fresh.destination}, dataset {fresh.dataset}, looked at "
        f"{fresh.looked_at:%Y-%m-%d %H:%M} UTC: {rows:,} rows in {len(known)} tables of lists."
    ]
    if synced:
        said.append(f"The oldest last sync of a table is of {min(synced):%Y-%m-%d %H:%M} UTC.")
    if proven:
        said.append(f"All of them that were ever compared whole are proven as of "
                    f"{min(proven):%Y-%m-%d %H:%M} UTC.")
    states = Counter(one.status or "never read" for one in fresh.tables.values())
    said.append(f"Last read: {', '.join(f'{n} {state}' for state, n in states.most_common())}.")
    return tag("p", " ".join(said), class_="fresh", id="fresh")


def _counting(links: Linking) -> Html:
    traps = (
        tag(
            "article",
            tag("h3", _to(f"counting-{trap.name}", trap.title)),
            tag("p", links.text(trap.wrong)),
            tag("p", tag("strong", "Instead: "), links.text(trap.cure)),
            tag("pre", tag("code", trap.sql), tabindex="0", role="region",
                aria_label=f"SQL: {trap.title}"),
            id=f"counting-{trap.name}",
            data_k="advice",
        )
        for trap in TRAPS
    )
    return _section(
        "counting",
        "Counting correctly",
        tag("p", "What returns a wrong number without an error when tables are asked, and what to "
            "write instead. Ask the views where you can: all of this is done there. The SQL here "
            "runs on DuckDB and Postgres after SET search_path TO the dataset of the tables."),
        *traps,
    )


def _area(found: Dictionary, area: Area, links: Linking, fresh: Freshness | None) -> Html:
    drawn = area_diagram(found, area)
    return _section(
        f"area-{area.name}",
        area.title,
        tag("p", area.description),
        _zoomed(drawn, f"How the tables of “{area.title}” refer") if drawn else None,
        *(entry_html(entry, links, fresh) for entry in area.entries),
    )


def _zoomed(drawn: Html, title: str) -> Html:
    """A diagram in a frame; the buttons are shown where there is a script."""
    buttons = (
        tag("button", sign, type="button", data_zoom=by, aria_label=said)
        for sign, by, said in (("−", "0.8", "Smaller"), ("+", "1.25", "Larger"),
                               ("Fit", "fit", "Fit to the page"))
    )
    return tag(
        "figure",
        tag("figcaption", WHAT_LINES_ARE),
        tag("div", *buttons, class_="zoom", hidden=True),
        tag("div", drawn, class_="drawn", tabindex="0", role="region",
            aria_label=f"Diagram: {title}"),
        class_="diagram",
    )


def _words() -> Html:
    def listed(words: dict[str, str]) -> Html:
        return tag("dl", *(tag("div", tag("dt", k), tag("dd", v)) for k, v in words.items()),
                   class_="values")

    marks = {
        "key": "unique in its table, and never null",
        "computed": "Eduframe computes it: it may change without updated_at, and be behind here",
        "deprecated": "the API advises against it",
        "→": "the column of another table that holds the same value, and what must hold as well",
    }
    return _section(
        "words",
        "Words",
        tag("h3", "Types"), listed(dict(WHAT_TYPES_ARE)),
        tag("h3", "Personal data"), listed(dict(PERSONAL)),
        tag("h3", "Marks"), listed(marks),
    )
