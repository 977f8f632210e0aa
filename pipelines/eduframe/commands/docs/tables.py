"""A table of the dictionary as HTML: what it is, where it comes from, and each of its columns."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from pipelines.eduframe.commands.docs.dictionary import Dictionary, Entry
from pipelines.eduframe.commands.docs.freshness import Freshness
from pipelines.eduframe.commands.pages.html import Html, joined, tag
from schemas.eduframe.models.column_types import OneOf
from sources.eduframe.declare import Endpoint
from sources.eduframe.rows.relations import Relation
from sources.eduframe.rows.table_columns import Column, sentences

WHAT_TYPES_ARE = {
    "bigint": "a whole number of up to 64 bits",
    "text": "text of any length",
    "bool": "yes or no",
    "decimal": "an exact number with nine decimals",
    "timestamp": "a moment, in UTC",
    "date": "a day",
    "json": "JSON: of a type of its own in DuckDB and Postgres, text elsewhere",
}
PERSONAL = {
    "name": "what somebody is called",
    "contact": "how to reach somebody",
    "address": "where somebody lives",
    "birth": "when somebody was born",
    "identifier": "what others know somebody by, such as a student number",
    "free text": "whatever somebody typed, about anybody",
    "money": "what somebody pays or owes",
    "judgement": "what others make of somebody",
}
MANY = 12
"""From so many allowed values on they are folded up."""
_NAMES = re.compile(r"\b_?[a-z]+(?:_[a-z0-9]+)*(?:\.[a-z_0-9]+)?")


class Linking:
    """Links to what is on the page."""

    def __init__(self, found: Dictionary) -> None:
        self.found = found
        self.anchors = {
            *found.entries,
            *(f"{entry.name}.{c.name}" for entry in found.entries.values() for c in entry.columns),
        }

    def link(self, name: str) -> Html:
        """A name of a table or column, as a link where the page has it."""
        code = tag("code", name)
        return tag("a", code, href=f"#{name}") if name in self.anchors else code

    def text(self, text: str, own: str = "") -> Html:
        """A text whose names of tables and columns are links. Words that are also names, such as
        users, are left alone, and so is the table's ``own``; its columns need no table."""
        pieces: list[Html | str] = []
        end = 0
        for match in _NAMES.finditer(text):
            name = match[0]
            column = f"{own}.{name}"
            if ("_" in name or "." in name) and name != own and {name, column} & self.anchors:
                to = column if column in self.anchors else name
                link = tag("a", tag("code", name), href=f"#{to}")
                pieces += [text[end : match.start()], link]
                end = match.end()
        return joined(*pieces, text[end:])


def entry_html(entry: Entry, links: Linking, fresh: Freshness | None) -> Html:
    """A table with all that there is to say of it."""
    return tag(
        "article",
        tag("h3", tag("a", entry.name, href=f"#{entry.name}")),
        tag("p", links.text(entry.description, entry.name), class_="what"),
        _facts(entry, links, fresh),
        tag(
            "table",
            tag("caption", f"Columns of {entry.name}", class_="quiet"),
            tag("thead", tag("tr", *(tag("th", n, scope="col") for n in HEADERS))),
            tag("tbody", *(_column_html(entry, column, links) for column in entry.columns)),
            class_="columns",
        ),
        id=entry.name,
        data_k="table" if entry.kind == "table" else "view",
    )


HEADERS = ("Column", "Type", "Meaning")


def _facts(entry: Entry, links: Linking, fresh: Freshness | None) -> Html:
    facts: dict[str, Html] = {}
    if fresh:
        facts |= _fresh(entry, fresh)
    if entry.key:
        within = " within one owner" if entry.nested else ""
        key = joined(*(tag("code", name) for name in entry.key), by=", ")
        facts["Unique"] = joined(key, within) if entry.key != ("_row_hash",) else Html("the row")
    if entry.lists and entry.nested:
        owners = (links.link(endpoint.table) for endpoint in entry.lists)
        facts["Nested in"] = joined(*owners, by=", ")
    if entry.made_of:
        facts["Made of"] = joined(*map(links.link, entry.made_of), by=", ")
    if entry.living:
        facts["As a view"] = _living(entry, entry.living)
    if asked_by := links.found.asked_by.get(entry.name):
        facts["Views on it"] = joined(*map(links.link, asked_by), by=", ")
    if entry.sql:
        facts["SQL"] = _sql(entry)
    if entry.parts:
        facts["Nested parts"] = joined(*map(links.link, entry.parts), by=", ")
    if entry.lists:
        facts["From the API"] = tag("ul", *(tag("li", _origin(one)) for one in entry.lists))
    if led_to := links.found.led_to.get(entry.name):
        facts["Referred to by"] = _led_to(led_to, links)
    pairs = (tag("div", tag("dt", name), tag("dd", said)) for name, said in facts.items())
    return tag("dl", *pairs, class_="facts")


def _living(entry: Entry, living: Entry) -> Html:
    """In what the view of a table's rows differs from the table."""
    gone = "rows of deleted owners" if entry.nested else "deleted rows"
    said = [joined(tag("code", living.name), f" without {gone} and columns that begin with _")]
    types = {column.name: column.type for column in entry.columns}
    as_text = [c.name for c in living.columns if c.type != types.get(c.name, c.type)]
    money = [c for c, note in living.types.items() if "with 2 " in note]
    more = [c.name for c in living.columns if c.name not in types]
    for names, what in ((money, "with two decimals"), (as_text, "as text"), (more, "added")):
        if names:
            said.append(joined(joined(*(tag("code", name) for name in names), by=", "), f" {what}"))
    return joined(joined(*said, by="; "), _sql(living))


def _sql(entry: Entry) -> Html:
    zone = tag("p", "{time_zone} stands for the customer's.", class_="quiet")
    code = tag("pre", tag("code", entry.sql), tabindex="0", role="region",
               aria_label=f"SQL of the view {entry.name}")
    return tag("details", tag("summary", "Query"),
               zone if "{time_zone}" in entry.sql else None, code)


def _fresh(entry: Entry, fresh: Freshness) -> dict[str, Html]:
    if entry.nested or entry.name not in fresh.tables:
        return {}
    one = fresh.tables[entry.name]
    if one.rows is None:
        return {"Fresh": Html("not in the dataset")}
    rows = f"{one.rows:,} rows"
    if one.deleted:
        rows += f", {one.deleted:,} more are marked as deleted"
    synced = f"last synced {one.last_sync:%Y-%m-%d %H:%M} UTC" if one.last_sync else "never synced"
    proven = (
        f"proven as of {one.proven_as_of:%Y-%m-%d %H:%M} UTC"
        if one.proven_as_of
        else "not yet compared whole"
    )
    return {"Fresh": tag("span", f"{rows}; {synced}; {proven}")}


def _origin(endpoint: Endpoint) -> Html:
    """The list, and what it takes to read it."""
    said: list[str | Html] = [tag("code", f"GET {endpoint.path}")]
    needs = [joined("scope ", tag("code", scope)) for scope in endpoint.scopes]
    if endpoint.feature_flag:
        needs.append(joined("feature ", tag("code", endpoint.feature_flag)))
    said.append(joined("needs ", joined(*needs, by=" and ")) if needs else "needs no named scope")
    if not endpoint.enabled:
        said.append(joined("synced only where it is named in ", tag("code", "include")))
    if endpoint.beta:
        said.append("beta in the API")
    if endpoint.deprecated:
        said.append("the API advises against it")
    return joined(*said, by="; ")


def _led_to(relations: list[Relation], links: Linking) -> Html:
    columns: dict[str, list[Relation]] = defaultdict(list)
    for relation in relations:
        columns[f"{relation.from_table}.{relation.from_column}"].append(relation)
    listed = tag(
        "ul", *(tag("li", links.link(name)) for name in columns), class_="many"
    )
    if len(columns) <= MANY:
        return listed
    return tag("details", tag("summary", f"{len(columns)} columns"), listed)


def _column_html(entry: Entry, column: Column, links: Linking) -> Html:
    name = f"{entry.name}.{column.name}"
    marks = (tag("span", text, class_=f"mark {kind}") for kind, text in _marks(entry, column))
    return tag(
        "tr",
        tag("th", tag("a", tag("code", column.name), href=f"#{name}"), *marks, scope="row"),
        tag("td", tag("abbr", column.type,
                      title=entry.types.get(column.name, WHAT_TYPES_ARE[column.type]))),
        tag("td", *_meaning(entry, column, links)),
        id=name,
        class_="own" if column.name.startswith("_") and not entry.name.startswith("_") else None,
    )


def _marks(entry: Entry, column: Column) -> Iterator[tuple[str, str]]:
    if column.name in entry.key and not entry.nested:
        yield "key", "key"
    if column.personal:
        yield "personal", f"personal: {column.personal}"
    if column.derived:
        yield "computed", "computed"
    if column.deprecated:
        yield "deprecated", "deprecated"


def _meaning(entry: Entry, column: Column, links: Linking) -> Iterator[Html]:
    """What a column's comment says, what has a form of its own apart."""
    plain = replace(column, allowed=None, references=None, references_by=None, personal=None)
    yield tag("p", links.text(" ".join(sentences(plain)), entry.name))
    if allowed := column.allowed:
        yield from _values(allowed)
    for relation in links.found.leads.get((entry.name, column.name), ()):
        where = joined(" where ", tag("code", relation.condition)) if relation.condition else None
        to = links.link(f"{relation.to_table}.{relation.to_column}")
        yield tag("p", "→ ", to, where, class_="leads")
    by = column.references_by
    if by and (nowhere := [value for value, to in by.cases if not to]):
        which = joined(tag("code", by.type_column), f" is {', '.join(nowhere)}")
        yield tag("p", "→ no table where ", which, class_="leads")


def _values(allowed: OneOf) -> Iterator[Html]:
    """The values of a column with what they mean, folded up where there are many."""
    title = f"Values: {allowed.standard}" if allowed.standard else "Values, by our reading"
    if allowed.standard:
        listed = tag("p", joined(*(tag("code", value) for value in allowed.values), by=" "))
    else:
        pairs = (
            tag("div", tag("dt", tag("code", value)), tag("dd", meaning))
            for value, meaning in zip(allowed.values, allowed.meanings, strict=True)
        )
        listed = tag("dl", *pairs, class_="values")
    if len(allowed.values) > MANY:
        yield tag("details", tag("summary", f"{len(allowed.values)} values: "
                                 f"{allowed.standard or 'by our reading'}"), listed)
    else:
        yield tag("p", f"{title}:", class_="reading")
        yield listed
