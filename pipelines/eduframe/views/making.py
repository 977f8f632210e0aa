"""Making views: those whose definition changed, in one transaction; where that fails, each by
itself, so that one that cannot be made is in no other's way.

Postgres lets a view be replaced only by one that has its columns, and more of them after these. So
there new columns come last; a view that cannot be had that way is dropped with ours that rest on
it, and all are made anew, with the grants that they had. If something else rests on them, they stay
as they are.
"""

import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel

from pipelines.eduframe.destinations.postgres.views import grants_on
from pipelines.eduframe.failures import error_lines
from pipelines.eduframe.views.view import CATALOG, GENERATED, View, in_order, resting_on
from sources.eduframe.dataset.sql import Dataset

log = logging.getLogger("eduframe.views")

AS_IT_IS = ("duckdb", "postgres")
"""Dialects in which generated views need no translation, and several statements go at once."""

COMMENTED = (*AS_IT_IS, "snowflake", "redshift")
"""Dialects that have ``COMMENT ON VIEW``."""

MEMORY = {
    "name": "The view.",
    "kind": "living (a table's rows), wide (custom fields), dimension, fact or measure.",
    "description": "What it holds.",
    "fingerprint": "What it was made from: the sync makes it anew when that changes.",
    "dataset": "The dataset whose tables it asks.",
}
ABOUT_MEMORY = "All views of this dataset, which the sync makes and keeps up to date."

BEFORE_AS = {
    "bigquery": "OPTIONS (description = {text}) ",
    "databricks": "COMMENT {text} ",
    "snowflake": "COPY GRANTS ",
}
"""What goes before a view's query: its description, where there is no statement for that, and that
grants stay, where they do not by themselves."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass
class Maker:
    """Makes views in one dataset."""

    stored: Dataset
    dataset: str
    there: Mapping[str, Sequence[str]]
    """What the dataset holds, and the columns of each."""
    wanted: Sequence[View]
    """All views there are to be."""
    fingerprints: Mapping[str, str]
    """What they are made from now."""
    made_from: Mapping[str, str]
    """What those that are there were made from."""
    failed: dict[str, str] = field(default_factory=dict)
    """The views that could not be made, or not be dropped, with the reason."""

    def __post_init__(self) -> None:
        self.sql = self.stored.client
        self.dialect = str(self.sql.capabilities.sqlglot_dialect)
        self.escape = self.sql.capabilities.escape_literal or _literal
        self.done: set[str] = set()

    def make(self, changed: Iterable[View], gone: Collection[str]) -> None:
        """Make the views that changed, drop those that are gone, and write down what there is;
        :attr:`failed` tells afterwards what could not be done."""
        views = in_order(changed)
        drops = {name: [f"DROP VIEW IF EXISTS {self.name(name)}"] for name in sorted(gone)}
        try:
            made = [self.statements(view) for view in views]
            self.execute([*chain(*made, *drops.values()), *self.memory()])
        except Exception:  # each driver has exceptions of its own
            log.debug("views, all at once", exc_info=True)
            self.execute(self.memory(begun=True))  # or a crash would leave views that are nobody's
            for name, drop in drops.items():
                self.attempt(name, drop)
            for view in views:
                if view.name not in self.done:
                    self.make_one(view)
            self.execute(self.memory())

    def make_one(self, view: View) -> None:
        if view.name not in self.there or self.dialect != "postgres":
            self.attempt(view.name, self.statements(view))
        elif not self.attempt(view.name, self.statements(view)):
            del self.failed[view.name]
            above = resting_on(view.name, self.wanted)
            names = [self.name(one.name) for one in above]
            grants = grants_on(self.sql, names)
            anew = [s for one in above for s in self.statements(one, from_nothing=True)]
            drop = f"DROP VIEW IF EXISTS {', '.join(names)}"
            if self.attempt(view.name, [drop, *anew, *grants]):
                self.done |= {one.name for one in above}

    def attempt(self, name: str, statements: Iterable[str]) -> bool:
        """Execute what concerns one view. Whether that could be done."""
        try:
            self.execute([*statements])
        except Exception as error:  # each driver has exceptions of its own
            self.failed[name] = error_lines(error)
            return False
        self.done.add(name)
        return True

    def execute(self, statements: Sequence[str]) -> None:
        whole = self.sql.capabilities.supports_ddl_transactions
        if self.dialect == "postgres":  # who reads a view keeps it from being changed
            statements = ["SET LOCAL lock_timeout = '3s'", *statements]
        if self.dialect in AS_IT_IS:
            statements = [";\n".join(statements)]
        with self.sql.begin_transaction() if whole else nullcontext():
            for statement in statements:
                self.sql.execute_sql(statement)

    def statements(self, view: View, *, from_nothing: bool = False) -> list[str]:
        """What makes a view, with its comments."""
        name, text = self.name(view.name), self.escape(view.description)
        told = BEFORE_AS.get(self.dialect, "").format(text=text)
        found = [f"CREATE OR REPLACE VIEW {name} {told}AS {self.query(view, from_nothing)}"]
        if self.dialect in COMMENTED:
            found.append(f"COMMENT ON VIEW {name} IS {text}")
        if self.dialect in AS_IT_IS:
            found += [
                f"COMMENT ON COLUMN {name}.{_quoted(column)} IS {self.escape(said)}"
                for column, said in view.columns.items()
                if said
            ]
        return found

    def query(self, view: View, from_nothing: bool = False) -> str:
        """A view's query, in the destination's words."""
        sql = view.placed(_quoted(self.dataset)).replace('raw."', f'"{self.sql.dataset_name}"."')
        there = [] if from_nothing else [*self.there.get(view.name, ())]
        named = [*view.columns]
        if self.dialect == "postgres" and there != named[: len(there)] and {*there} <= {*named}:
            columns = [*there, *(name for name in named if name not in there)]
            sql = f"SELECT {', '.join(map(_quoted, columns))} FROM ({sql}) AS v"
        if self.dialect == "duckdb" or (self.dialect in AS_IT_IS and view.kind in GENERATED):
            return sql
        return translated(sql, self.dialect)

    def memory(self, *, begun: bool = False) -> list[str]:
        """What makes the list of all views that are there, or, when they are ``begun``, will be."""
        rows: list[tuple[str, ...]] = []
        raw = str(self.sql.dataset_name)
        for view in self.wanted:
            mark: str | None = self.fingerprints[view.name]
            if begun:
                mark = self.made_from.get(view.name, "")
            elif view.name in self.failed:  # to be tried again, if it is there
                mark = "" if view.name in self.made_from else None
            if mark is not None:
                rows.append((view.name, view.kind, view.description, mark, raw))
        left = self.forgotten if begun else self.forgotten & {*self.failed}
        rows += [(name, "", "", self.made_from[name], raw) for name in sorted(left)]
        values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
        names = ", ".join(MEMORY)
        sql = f"SELECT {names} FROM (VALUES {values}) AS v ({names})"
        return self.statements(View(CATALOG, "memory", ABOUT_MEMORY, MEMORY, sql))

    @property
    def forgotten(self) -> set[str]:
        """Views of ours that are wanted no more."""
        return {*self.made_from} - {view.name for view in self.wanted}

    def name(self, view: str) -> str:
        """The qualified, quoted name of a view."""
        with self.sql.with_alternative_dataset_name(self.dataset):
            if self.dialect in AS_IT_IS:  # without the database, which may get another name
                return f"{_quoted(self.dataset)}.{_quoted(view)}"
            return str(self.sql.make_qualified_table_name(view))


def translated(sql: str, dialect: str, *, pretty: bool = False) -> str:
    """A query of DuckDB's dialect in another one. Names that need no quotes get none, as some
    destinations hold them in capitals."""
    tree = sqlglot.parse_one(sql, read="duckdb")
    if dialect not in AS_IT_IS:
        for name in tree.find_all(exp.Identifier):
            if name.quoted and _PLAIN.fullmatch(name.name):
                name.set("quoted", False)
    # BigQuery has no NULLS LAST in aggregates: what ours are ordered by is never null
    return tree.sql(dialect=dialect, pretty=pretty, unsupported_level=ErrorLevel.IGNORE)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
