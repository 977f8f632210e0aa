"""``eduframe docs``: one HTML file that says all, links all, and loads nothing."""

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from pipelines.eduframe.commands.docs.diagram import area_diagram, whole_diagram
from pipelines.eduframe.commands.docs.dictionary import Area, Dictionary, Entry, Views, dictionary
from pipelines.eduframe.commands.docs.layout import layered
from pipelines.eduframe.commands.docs.page import page
from pipelines.eduframe.commands.docs.tables import PERSONAL, WHAT_TYPES_ARE
from pipelines.eduframe.commands.docs.views import views
from pipelines.eduframe.commands.pages.document import asset
from pipelines.eduframe.commands.pages.html import VOID, joined, tag
from pipelines.eduframe.exit_codes import DONE, WRONG_USE
from pipelines.eduframe.store.relations import declared_relations
from pipelines.eduframe.store.run_log import LOG_TABLES
from pipelines.eduframe.views.files import written_views
from schemas.eduframe.models.column_types import OneOf, PersonalKind
from sources.eduframe.endpoints import ENDPOINTS
from sources.eduframe.rows.table_columns import Column, DataType
from sources.eduframe.rows.tables import ALL_TABLES
from sources.eduframe_simulator import Simulator
from tests.conftest import Eduframe, settings

TABLES = {**ALL_TABLES, **{table.name: table for table in LOG_TABLES}}
WITHIN = ("article", "tr", "section", "nav", "figure", "svg", "header", "main")
"""Elements in which the parser remembers what stands there."""


class Parsed(HTMLParser):
    """A page: its ids, its links by what they stand in, its texts, and what is not well-formed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.links: set[tuple[str, str]] = set()
        """(id of an element around it, where it leads)"""
        self.texts: Counter[str] = Counter()
        self.words: dict[str, str] = {}
        """Id to the text in it."""
        self.wrong: list[str] = []
        self.loaded: list[str] = []
        self.tags: Counter[str] = Counter()
        self.nameless: list[str] = []
        self.feed(html)
        self.close()
        self.wrong += [f"<{name}> is left open" for name, _ in self.open]

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        own = found.get("id") or ""
        self.tags[name] += 1
        self.ids += [own] if own else []
        if len(found) < len(attributes):
            self.wrong.append(f"<{name}> has an attribute twice")
        if name == "a" and (href := found.get("href")):
            self.links |= {(outer, href) for _, outer in self.open}
        elif "href" in found:
            self.loaded.append(f"{name} {found['href']}")
        self.loaded += [f"{name} {key}" for key in ("src", "srcset", "data", "action", "style")
                        if key in found]
        named = {"aria-label", "aria-labelledby", "title"} & found.keys()
        if (name in ("nav", "input", "button", "svg") or found.get("role") == "region") \
                and not named:
            self.nameless.append(f"{name} {found}")
        if name not in VOID:
            self.open.append((name, own))

    def handle_endtag(self, name: str) -> None:
        if not self.open or self.open.pop()[0] != name:
            self.wrong.append(f"</{name}> closes what is not open")

    def handle_data(self, data: str) -> None:
        self.texts[data] += 1
        for _, own in self.open:
            if own:
                self.words[own] = self.words.get(own, "") + data


@pytest.fixture(scope="module")
def found() -> Dictionary:
    return dictionary(views())


@pytest.fixture(scope="module")
def html(found: Dictionary) -> str:
    return page(found, "1.2.3")


@pytest.fixture(scope="module")
def parsed(html: str) -> Parsed:
    return Parsed(html)


def test_it_is_well_formed(html: str, parsed: Parsed) -> None:
    assert html.startswith("<!doctype html>\n<html lang=\"en\">")
    assert parsed.wrong == []
    assert [name for name, count in Counter(parsed.ids).items() if count > 1] == []
    assert len(html.encode()) < 1_200_000


def test_it_has_its_landmarks_and_names(parsed: Parsed) -> None:
    for name in ("header", "nav", "main", "search"):
        assert parsed.tags[name] == 1, name
    assert parsed.nameless == []
    assert parsed.tags["h2"] == parsed.tags["section"]
    assert parsed.tags["h1"] == 1


def test_it_loads_nothing(html: str, parsed: Parsed) -> None:
    assert parsed.loaded == []
    assert {href[0] for _, href in parsed.links} == {"#"}
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(|https?://", html)


def test_every_table_and_column_has_its_anchor(parsed: Parsed) -> None:
    wanted = {*TABLES, *(f"{name}.{c.name}" for name, t in TABLES.items() for c in t.all_columns)}
    assert wanted - {*parsed.ids} == set()


def test_every_link_leads_to_something(parsed: Parsed) -> None:
    assert {href for _, href in parsed.links} - {f"#{name}" for name in parsed.ids} == set()


def test_every_reference_is_a_link_both_ways(parsed: Parsed) -> None:
    for one in declared_relations():
        here = f"{one.from_table}.{one.from_column}"
        assert (here, f"#{one.to_table}.{one.to_column}") in parsed.links, here
        assert (one.to_table, f"#{here}") in parsed.links, here
        assert one.condition in parsed.words[here]


def test_everything_that_is_known_of_a_column_is_said(parsed: Parsed) -> None:
    for name, table in TABLES.items():
        assert " ".join(table.description.split()) in " ".join(parsed.words[name].split())
        for column in table.all_columns:
            said = parsed.words[f"{name}.{column.name}"]
            wanted = [column.type, column.description or "", *column.one_of]
            wanted += column.allowed.meanings if column.allowed else ()
            wanted += [f"personal: {column.personal}"] if column.personal else []
            wanted += [column.unfollowed] if column.unfollowed else []
            assert [text for text in wanted if text not in said] == [], f"{name}.{column.name}"
            assert ("Computed by Eduframe" in said) == column.derived


def test_every_list_says_what_it_takes(parsed: Parsed) -> None:
    for endpoint in ENDPOINTS:
        said = parsed.words[endpoint.table]
        assert f"GET {endpoint.path}" in said
        assert all(scope in said for scope in (*endpoint.scopes, endpoint.feature_flag or ""))
        assert ("synced only where it is named" in said) != endpoint.enabled


def test_words_are_those_of_the_models() -> None:
    assert [*PERSONAL] == [*get_args(PersonalKind)]
    assert [*WHAT_TYPES_ARE] == [*get_args(DataType)]


NASTY = "<script>alert('1')</script> & \"2\" <b>"


def test_texts_are_escaped_and_views_are_shown() -> None:
    column = Column("total", "decimal", description=NASTY, allowed=OneOf({"a<b": NASTY}))
    view = Entry("revenue", NASTY, (column,), made_of=("invoices", "orders"), kind="measure",
                 sql=NASTY)
    html = page(dictionary(Views((Area("views", "Views", NASTY, (view,)),))), NASTY)
    assert "<script>alert" not in html
    parsed = Parsed(html)
    assert parsed.wrong == []
    assert {"revenue", "revenue.total", "area-views"} <= {*parsed.ids}
    assert parsed.words["revenue"].count(NASTY) == 4
    links = {("revenue", "#invoices"), ("revenue", "#orders"), ("orders", "#revenue")}
    assert links <= parsed.links


def test_every_view_is_there_with_all_that_is_said_of_it(parsed: Parsed) -> None:
    for view in written_views():
        said = " ".join(parsed.words[view.name].split())
        assert view.description in said
        assert f"#{view.name}" in {href for where, href in parsed.links if where == "start"}
        for name in view.over:
            assert (view.name, f"#{name}") in parsed.links, view.name
            assert (name, f"#{view.name}") in parsed.links, view.name
        for column, meaning in view.columns.items():
            assert meaning in parsed.words[f"{view.name}.{column}"]
        assert "SELECT" in said
    assert {"users_custom", "custom_your_object", "_views"} <= {*parsed.ids}
    for name, table in ALL_TABLES.items():
        gone = "without rows of deleted owners" if table.child else "without deleted rows"
        assert f"{name} {gone}" in parsed.words[name]
    for name, said in (("orders", "number as text"), ("tasks", "subject_table added"),
                       ("payments", "amount with two decimals")):
        assert said in parsed.words[name]
    assert ("users", "#fact_enrollments.student_id") in parsed.links
    assert "decimal" in parsed.words["occupancy.occupied_percent"]


def test_a_tag_escapes_what_is_no_html() -> None:
    inner = tag("b", "a < b", title='"x" & y')
    assert inner == '<b title="&quot;x&quot; &amp; y">a &lt; b</b>'
    assert tag("p", inner, None, " & ", hidden=True, id=None) == f"<p hidden>{inner} &amp; </p>"
    assert joined("<", inner, by="&") == f"&lt;&{inner}"


# ---- Diagrams


def test_every_area_has_a_diagram_with_its_references(found: Dictionary) -> None:
    for area in found.areas:
        drawn = area_diagram(found, area)
        own = {entry.name for entry in area.entries}
        every = (*found.relations, *found.of_views)
        pairs = {(r.from_table, r.to_table) for r in every if r.from_table in own}
        assert (drawn is None) == (not pairs)
        shown = {*re.findall(r'data-a="(\w+)" data-b="(\w+)"', drawn or "")}
        assert shown == pairs
    everything = whole_diagram(found)
    assert {*re.findall(r'data-t="(\w+)"', everything)} == {*TABLES}


def test_boxes_do_not_overlap_and_stand_right_of_what_they_refer_to() -> None:
    sizes = {name: (80.0 + 3 * i % 70, 20.0 + 7 * i % 60) for i, name in enumerate("abcdefghijkl")}
    edges = [("b", "a"), ("c", "a"), ("d", "b"), ("d", "a"), ("e", "c"), ("f", "a"), ("g", "f"),
             ("h", "d"), ("h", "a"), ("i", "i"), ("e", "b")]
    layout = layered(sizes, [*edges, ("a", "a")], 100.0)
    boxes = layout.boxes
    assert {name: (box.width, box.height) for name, box in boxes.items()} == sizes
    for a, b in edges:
        assert a == b or boxes[a].x >= boxes[b].x + boxes[b].width, (a, b)
    assert len(layout.lines["h", "a"]) == 2
    by_x = sorted(boxes.values(), key=lambda box: (box.x, box.y))
    for one, next_ in pairwise(by_x):
        assert one.x + one.width <= next_.x or one.y + one.height <= next_.y
    assert all(box.y >= 0 and box.y + box.height <= layout.height for box in by_x)


def test_tables_that_refer_to_each_other_are_laid_out_too() -> None:
    sizes = dict.fromkeys("abc", (50.0, 20.0))
    layout = layered(sizes, [("a", "b"), ("b", "c"), ("c", "a")], 100.0)
    assert len({box.x for box in layout.boxes.values()}) == 3
    assert layered({}, [], 100.0).width == 0.0


# ---- The command


def test_the_command_writes_the_same_each_time(eduframe: Eduframe, tmp_path: Path) -> None:
    one, other = tmp_path / "one.html", tmp_path / "other.html"
    printed = eduframe("docs", str(one))
    assert printed.code == DONE
    assert f"{len(TABLES)} tables" in printed.out
    eduframe("docs", str(other))
    assert one.read_bytes() == other.read_bytes()
    assert 'id="fresh"' not in one.read_text()


def test_a_file_that_cannot_be_written(eduframe: Eduframe, tmp_path: Path) -> None:
    printed = eduframe("docs", str(tmp_path / "nowhere" / "docs.html"))
    assert printed.code == WRONG_USE
    assert "cannot be written" in printed.err


def test_a_destination_without_tables(eduframe: Eduframe, tmp_path: Path) -> None:
    printed = eduframe("docs", str(tmp_path / "docs.html"), "--dataset", "nothing")
    assert printed.code == WRONG_USE
    assert "Nothing has been synced into dataset nothing of duckdb" in printed.err
    assert not (tmp_path / "docs.html").exists()


def test_words_of_people_lead_to_words_that_are_there() -> None:
    script = asset("pipelines.eduframe.commands.docs", "docs.js")
    listed = script.partition("const CALLED = {")[2].partition("}")[0]
    called = dict(re.findall(r'(\w+): "(\w+)"', listed))
    known = {*ALL_TABLES, *(v.name for v in written_views())}
    known |= {c.name for t in ALL_TABLES.values() for c in t.columns}
    known |= {c for v in written_views() for c in v.columns}
    names = " ".join(known) + " waiting_list"
    assert len(called) > 30
    assert [word for word, name in called.items() if name not in names] == []


@pytest.mark.usefixtures("tables")
def test_a_destination_tells_how_fresh_tables_are(
    eduframe: Eduframe, here: Simulator, tmp_path: Path
) -> None:
    here.add("custom_objects", slug="Rooms", name_plural="Rooms", fields=[
        {"id": 1, "slug": "floor", "title": "Floor", "field_type": "decimal"}
    ])
    assert eduframe("sync", "labels", "custom_objects", **settings(here)).code == DONE
    file = tmp_path / "docs.html"
    assert eduframe("docs", str(file), "--destination", "duckdb").code == DONE
    parsed = Parsed(file.read_text(encoding="utf-8"))
    assert parsed.wrong == []
    rows = len(here.rows("labels"))
    assert f"{rows:,} rows; last synced 2" in parsed.words["labels"]
    assert "proven as of 2" in parsed.words["labels"]
    assert "0 rows; never synced; not yet compared whole" in parsed.words["orders"]
    assert "In duckdb, dataset eduframe, looked at 2" in parsed.words["fresh"]
    assert f": {rows + len(here.rows('custom_objects')):,} rows in " in parsed.words["fresh"]
    assert parsed.words["custom_rooms.floor"].endswith("The custom field 'floor', Floor.")
    assert "custom_your_object" not in parsed.ids
