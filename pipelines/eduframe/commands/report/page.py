"""The report as one HTML file: tables that can be read without a script; with it they can be sorted
and filtered, and are drawn."""

import json
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pipelines.eduframe.commands.pages.document import asset, document
from pipelines.eduframe.commands.pages.html import Html, joined, tag
from pipelines.eduframe.commands.report.charts import CONFIG, specification
from pipelines.eduframe.commands.report.reading import Found
from pipelines.eduframe.commands.report.section import Answer, Column, Shown
from pipelines.eduframe.store.run_log import LOG_TABLES
from pipelines.eduframe.views.files import written_views

TITLE = "Eduframe report"
LANGUAGES = {"en": "1,234.56 (English)", "nl": "1.234,56 (Nederlands)"}
"""How numbers and days may be written."""
LONG = 30
"""So many characters of a text, and it may go over several lines."""


def page(found: Found, version: str, vega: str, language: str = "en") -> str:
    """The document. ``vega`` is the script that draws; ``language`` says how numbers are written
    at first."""
    charts = {
        answer.section.name: {
            "kind": chart.kind, "by": chart.by, "values": chart.values, "most": chart.most,
            "spec": drawn,
        }
        for answer in (*found.answers, *found.syncing)
        if (chart := answer.section.chart) and (drawn := specification(answer))
    }
    data = json.dumps({"config": CONFIG, "charts": charts}, ensure_ascii=False)
    about = _about()
    return document(
        TITLE,
        tag("a", "Skip to the content", href="#content", class_="skip"),
        _top(version, language),
        tag(
            "div",
            _contents(found),
            tag(
                "main",
                _page("answers", "Answers", _said(found), found.answers, about),
                _page("sync", "The sync", _said_of_sync(found), found.syncing, about),
                id="content",
                tabindex="-1",
            ),
            class_="sides",
        ),
        tag("script", Html(data.replace("<", "\\u003c")), type="application/json", id="charts"),
        style=asset(__package__, "report.css"),
        scripts=(vega.replace("</script", "<\\/script"), asset(__package__, "report.js")),
        data_language=language,
    )


def _about() -> dict[str, tuple[str, dict[str, str]]]:
    """What views and tables of the log hold, and what their columns mean."""
    found = {view.name: (view.description, dict(view.columns)) for view in written_views()}
    for table in LOG_TABLES:
        columns = {column.name: column.description or "" for column in table.columns}
        found[table.name] = (table.description, columns)
    return found


def _top(version: str, language: str) -> Html:
    options = (
        tag("option", said, value=name, selected=name == language)
        for name, said in LANGUAGES.items()
    )
    search = tag(
        "search",
        tag("input", id="search", type="search", placeholder="Search all tables ( / )",
            autocomplete="off", spellcheck="false", aria_label="Search the rows of all tables",
            aria_describedby="told"),
        tag("p", id="told", role="status"),
        hidden=True,
    )
    return tag(
        "header",
        tag("h1", TITLE),
        tag(
            "nav",
            tag("a", "Answers", href="#answers"),
            tag("a", "The sync", href="#sync"),
            aria_label="Pages",
            class_="pages",
        ),
        search,
        tag("label", tag("span", "Numbers"),
            tag("select", *options, id="language", aria_label="Numbers"),
            class_="language", hidden=True),
        tag("span", f"eduframe-sync {version}", class_="version"),
    )


def _contents(found: Found) -> Html:
    def listed(page: str, answers: Iterable[Answer]) -> Html:
        links = (
            tag("li", tag("a", a.section.question, href=f"#{a.section.name}")) for a in answers
        )
        return tag("ul", *links, data_page=page)

    return tag(
        "nav",
        tag("details", tag("summary", "Questions"), listed("answers", found.answers),
            listed("sync", found.syncing), open=True, id="contents"),
        aria_label="Questions",
    )


def _said(found: Found) -> Html:
    return tag(
        "p",
        f"From {found.destination}, the views in ", tag("code", found.views), ", looked at ",
        _value(found.looked_at, "moment"), " UTC. Today is ", _value(found.today, "date"),
        f" in {found.time_zone}. Currencies are never added up. Search or filter a table, or sort "
        "it by a column: its chart shows what the table shows.",
        class_="fresh",
    )


def _said_of_sync(found: Found) -> Html:
    return tag(
        "p",
        f"What eduframe-sync wrote down about itself in {found.destination}, dataset ",
        tag("code", found.dataset), ", looked at ", _value(found.looked_at, "moment"),
        " UTC. All times here are UTC.",
        class_="fresh",
    )


def _page(
    name: str, title: str, said: Html, answers: Iterable[Answer],
    about: dict[str, tuple[str, dict[str, str]]],
) -> Html:
    return tag(
        "section",
        tag("h2", title, id=f"{name}-title"),
        said,
        *(_article(answer, about) for answer in answers),
        id=name,
        class_="page",
        aria_labelledby=f"{name}-title",
    )


def _article(answer: Answer, about: dict[str, tuple[str, dict[str, str]]]) -> Html:
    section = answer.section
    name = section.name
    of = joined(*(tag("code", one) for one in section.of), by=", ")
    return tag(
        "article",
        tag("h3", tag("a", section.question, href=f"#{name}")),
        tag("p", "From ", of, ". " if section.note else ".", section.note, class_="what"),
        *(_filled(answer) if answer.rows else [tag("p", _why_nothing(answer), class_="nothing")]),
        _counted(answer, about),
        id=name,
    )


def _why_nothing(answer: Answer) -> str:
    if answer.missing:
        return (
            f"Not answered: {', '.join(answer.missing)} is not there. The next eduframe sync makes "
            "it, or says why it cannot."
        )
    if answer.failed:
        return (
            f"Not answered: {answer.failed}. The next eduframe sync brings the views up to date, "
            "or says why it cannot."
        )
    return answer.section.nothing


def _filled(answer: Answer) -> Iterable[Html | None]:
    name = answer.section.name
    yield _totals(answer)
    if answer.section.chart:
        yield tag("div", class_="chart", data_chart=name)
    yield tag(
        "div",
        tag("label", "Filter this table", for_=f"{name}-filter"),
        tag("input", type="search", id=f"{name}-filter", autocomplete="off", spellcheck="false",
            aria_label=f"Filter this table: {answer.section.question}"),
        tag("p", role="status", class_="quiet"),
        class_="filter",
        hidden=True,
    )
    yield tag("div", _table(answer), class_="box", tabindex="0", role="region",
              aria_label=f"Table: {answer.section.question}")
    if answer.of_all > len(answer.rows):
        yield tag(
            "p", "The first ", _value(len(answer.rows), "count"), " of ",
            _value(answer.of_all, "count"), " rows. The view has them all; sums are of all.",
            class_="more",
        )


def _totals(answer: Answer) -> Html | None:
    shown = {column.name: column for column in answer.columns}
    pairs = [
        tag("div",
            tag("dt", shown[name].title, f" ({total['currency']})" if "currency" in total else ""),
            tag("dd", _value(total[name], shown[name].shown)))
        for total in answer.totals
        for name in answer.section.totals
    ]
    return tag("dl", *pairs, class_="totals") if pairs else None


def _table(answer: Answer) -> Html:
    heads = (
        tag("th", column.title, scope="col", data_name=column.name, data_k=column.shown,
            class_=None if column.shown == "text" else "n")
        for column in answer.columns
    )
    rows = (
        tag("tr", *(_cell(value, column, place)
                    for place, (value, column) in enumerate(zip(row, answer.columns, strict=True))))
        for row in answer.rows
    )
    return tag(
        "table",
        tag("caption", f"{answer.section.question} From {answer.section.of[0]}."),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
    )


def _cell(value: Any, column: Column, place: int) -> Html:
    name = "td" if place else "th"
    scope = None if place else "row"
    if column.shown == "text":
        text = "" if value is None else str(value)
        return tag(name, text, scope=scope, class_="long" if len(text) > LONG else None)
    return tag(name, _plain(value, column.shown), scope=scope, data_v=_raw(value), class_="n")


def _value(value: Any, shown: Shown) -> Html:
    return tag("data", _plain(value, shown), value=_raw(value), data_k=shown)


def _raw(value: Any) -> str:
    """A value for the script: a number, a day or a moment; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _plain(value: Any, shown: Shown) -> str:
    """A value where there is no script."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return f"{value:%Y-%m}" if shown == "month" else f"{value}"
    digits = {"number": ",.2f", "percent": ",.1f", "count": ",.0f"}.get(shown)
    return format(value, digits) if digits else str(value)


def _counted(answer: Answer, about: dict[str, tuple[str, dict[str, str]]]) -> Html:
    """How the numbers come about: the view's words, its columns, the query."""
    described: dict[str, str] = {}
    for name in reversed(answer.section.of):
        described |= about[name][1]
    pairs = [
        tag("div", tag("dt", column.title), tag("dd", described[column.name]))
        for column in answer.columns
        if described.get(column.name)
    ]
    return tag(
        "details",
        tag("summary", "How it is counted"),
        *(tag("p", tag("code", name), ": ", about[name][0]) for name in answer.section.of),
        tag("dl", *pairs, class_="columns") if pairs else None,
        tag("pre", tag("code", answer.sql), tabindex="0", role="region",
            aria_label=f"SQL: {answer.section.question}") if answer.sql else None,
    )
