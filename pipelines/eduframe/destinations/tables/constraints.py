"""Keys and comments in the destination itself, for the people and tools that look there.

dlt makes neither. Our own DDL runs after a load, and only what the catalog lacks is executed. That
a table has its comment says that it has all of this, and the comment of ``_sync_runs`` bears a
fingerprint of what this release wants: so one query of the catalog tells that nothing is to do.

All of it is information: a sync never fails for it, and no load depends on it. What each
destination gets, and why not more:

- **Postgres**: comments, primary keys of main tables, and from version 18 on foreign keys that are
  not enforced: rows come in any order, and a list that the token may not read leaves references
  to nothing.
- **DuckDB**: comments. Rows are replaced by delete and insert in one transaction, and DuckDB warns
  that its primary keys are checked too eagerly for that; foreign keys it always enforces.
- **BigQuery**: descriptions, primary keys, and the foreign keys that always hold, those of nested
  rows to their owner. Its optimizer believes in keys: one that does not hold gives wrong results.
- **Snowflake, Redshift, Databricks**: comments. (Redshift believes in keys as well.)
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import orjson

from pipelines.eduframe.failures import cause_of
from pipelines.eduframe.place.target import kind_of
from pipelines.eduframe.store.run_log import LOG_TABLES, SYNC_RUNS
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.digest import hash_text
from sources.eduframe.rows.tables import ALL_TABLES, MAIN_TABLES, ForeignKey

log = logging.getLogger("eduframe.keys")

LONGEST_NAME = 63
"""Of a constraint, in Postgres."""


@dataclass(frozen=True)
class Dialect:
    """How one destination is told, and where its catalog says what it knows.

    ``tables`` and ``columns`` are queries with the dataset as their only parameter; they give
    rows of table, column (not in ``tables``) and comment.
    """

    tables: str
    columns: str
    table_comment: str = "COMMENT ON TABLE {table} IS {text}"
    column_comment: str = "COMMENT ON COLUMN {table}.{column} IS {text}"
    together: str = ""
    """What goes before all column comments of a table, where they are one statement."""
    constraints: str = ""
    """The names of the tables' constraints; '' stands for a primary key of any name."""
    primary_key: str = ""
    foreign_key: str = ""
    owners_only: bool = False
    """Whether only the foreign keys of nested rows to their owner are told."""
    first: tuple[str, ...] = ()
    """Statements at the start of each transaction."""
    oldest: str = ""
    """A query for whether the server is new enough for foreign keys."""


_POSTGRES_TABLES = (
    "SELECT c.relname, d.description FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = 0 "
    "WHERE n.nspname = %s AND c.relkind = 'r'"
)
_POSTGRES_COLUMNS = (
    "SELECT c.relname, a.attname, d.description FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
    "LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum "
    "WHERE n.nspname = %s AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
)
_DUCKDB = Dialect(
    tables="SELECT table_name, comment FROM duckdb_tables() "
    "WHERE database_name = current_database() AND schema_name = %s",
    columns="SELECT table_name, column_name, comment FROM duckdb_columns() "
    "WHERE database_name = current_database() AND schema_name = %s",
)
_COMMENTS = Dialect(
    tables="SELECT table_name, comment FROM information_schema.tables WHERE table_schema = %s",
    columns="SELECT table_name, column_name, comment FROM information_schema.columns "
    "WHERE table_schema = %s",
)

DIALECTS: dict[str, Dialect] = {
    "duckdb": _DUCKDB,
    "motherduck": _DUCKDB,
    "postgres": Dialect(
        tables=_POSTGRES_TABLES,
        columns=_POSTGRES_COLUMNS,
        constraints="SELECT c.relname, CASE k.contype WHEN 'p' THEN '' ELSE k.conname END "
        "FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s",
        primary_key="ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY ({columns})",
        foreign_key="ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({columns}) "
        "REFERENCES {target} ({target_columns}) NOT ENFORCED",
        # a key waits for everyone who reads the table, and makes others wait meanwhile
        first=("SET LOCAL lock_timeout = '3s'",),
        oldest="SELECT current_setting('server_version_num')::int >= 180000",
    ),
    "redshift": Dialect(tables=_POSTGRES_TABLES, columns=_POSTGRES_COLUMNS),
    "snowflake": _COMMENTS,
    "databricks": replace(
        _COMMENTS, column_comment="ALTER TABLE {table} ALTER COLUMN {column} COMMENT {text}"
    ),
    "bigquery": Dialect(
        tables="SELECT t.table_name, o.option_value FROM {dataset}.INFORMATION_SCHEMA.TABLES t "
        "LEFT JOIN {dataset}.INFORMATION_SCHEMA.TABLE_OPTIONS o "
        "ON o.table_name = t.table_name AND o.option_name = 'description' "
        "WHERE t.table_schema = %s",
        columns="SELECT table_name, column_name, description "
        "FROM {dataset}.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS WHERE table_schema = %s",
        table_comment="ALTER TABLE {table} SET OPTIONS (description = {text})",
        column_comment="ALTER COLUMN {column} SET OPTIONS (description = {text})",
        together="ALTER TABLE {table} ",
        constraints="SELECT table_name, CASE constraint_type WHEN 'PRIMARY KEY' THEN '' "
        "ELSE constraint_name END FROM {dataset}.INFORMATION_SCHEMA.TABLE_CONSTRAINTS "
        "WHERE table_schema = %s",
        primary_key="ALTER TABLE {table} ADD PRIMARY KEY ({columns}) NOT ENFORCED",
        foreign_key="ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({columns}) "
        "REFERENCES {target} ({target_columns}) NOT ENFORCED",
        owners_only=True,
    ),
}


@dataclass
class Wanted:
    """What a table is to have."""

    comment: str
    columns: dict[str, str]
    primary_key: tuple[str, ...] = ()
    foreign_keys: dict[str, ForeignKey] = field(default_factory=dict)


@dataclass
class CatalogTable:
    """What the catalog says that a table has."""

    comment: str | None
    columns: dict[str, str | None] = field(default_factory=dict)
    constraints: set[str] = field(default_factory=set)


def wanted(owners_only: bool = False) -> dict[str, Wanted]:
    """What all tables are to have, by name."""
    found = {
        t.name: Wanted(t.description, {c.name: c.comment for c in t.columns if c.comment})
        for t in LOG_TABLES
    }
    for name, table in ALL_TABLES.items():
        columns = {c.name: c.comment for c in table.all_columns if c.comment}
        found[name] = Wanted(table.description, columns)
        if name in MAIN_TABLES:
            found[name].primary_key = table.key
        for key in table.foreign_keys:
            is_owners = table.child is not None and key.table == table.endpoint.table
            if _points_at_a_key(key) and (is_owners or not owners_only):
                found[name].foreign_keys[constraint_name(name, key)] = key
    text = orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()
    found[SYNC_RUNS.name].comment += f" (comments and keys: {hash_text(text) & 0xFFFFFFFF:08x})"
    return found


def _points_at_a_key(key: ForeignKey) -> bool:
    return key.table in MAIN_TABLES and set(key.target) == set(MAIN_TABLES[key.table].key)


def constraint_name(table: str, key: ForeignKey) -> str:
    """The name of a foreign key's constraint, the same in every run."""
    name = f"fk_{table}_{'_'.join(key.columns)}_{key.table}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}_{hash_text(name) & 0xFFFFFFFF:08x}"


def declare_constraints(dataset: Dataset) -> list[str]:
    """Make the comments and keys that are missing. Returns what is to be told about it."""
    dialect = DIALECTS.get(kind_of(dataset.pipeline))
    if dialect is None:
        return []
    try:
        with dataset:
            Declaring(dataset, dialect, dataset.pipeline.dataset_name).run()
    except Exception as error:  # whatever it is, the data is loaded
        log.debug("comments and keys", exc_info=True)
        return [f"comments and keys could not all be made: {cause_of(error)}"]
    return []


class Declaring:
    """Compares the catalog of one dataset with what is wanted, and executes what it lacks."""

    def __init__(self, stored: Dataset, dialect: Dialect, dataset: str) -> None:
        self.stored = stored
        self.sql = stored.client
        self.dialect = dialect
        self.same = self.sql.capabilities.casefold_identifier
        self.dataset = self.same(self.sql.dataset_name)
        self.wanted = wanted(dialect.owners_only)
        self.escape = self.sql.capabilities.escape_literal or _quoted

    def run(self) -> None:
        catalog = self.look()
        if self.nothing_to_do(catalog):
            return
        self.look_closely(catalog)
        if self.dialect.primary_key:
            for statements in self.statements(catalog):
                self.execute(statements)
        else:  # nobody waits for comments, so one transaction does
            self.execute(list(chain.from_iterable(self.statements(catalog))))

    def look(self) -> dict[str, CatalogTable]:
        """The tables that are there, with their comments."""
        return {row[0]: CatalogTable(_plain(row[1])) for row in self.rows(self.dialect.tables)}

    def nothing_to_do(self, catalog: dict[str, CatalogTable]) -> bool:
        runs = catalog.get(self.same(SYNC_RUNS.name))
        if runs is None or runs.comment != self.wanted[SYNC_RUNS.name].comment:
            return runs is None
        ours = [catalog.get(self.same(name)) for name in self.wanted]
        return all(table is None or table.comment for table in ours)

    def look_closely(self, catalog: dict[str, CatalogTable]) -> None:
        """Complete what the catalog holds with columns and constraints."""
        for table, column, comment in self.rows(self.dialect.columns):
            if table in catalog:
                catalog[table].columns[column] = comment
        if self.dialect.constraints:
            for table, name in self.rows(self.dialect.constraints):
                if table in catalog:
                    catalog[table].constraints.add(name)

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        dataset = self.sql.fully_qualified_dataset_name()
        for found in self.stored.query(query.format(dataset=dataset), self.dataset):
            yield from _rows(found)

    def statements(self, catalog: dict[str, CatalogTable]) -> Iterator[list[str]]:
        """What is to be executed, by transaction: the comment of a table when the rest is done."""
        tables = {n: catalog[self.same(n)] for n in self.wanted if self.same(n) in catalog}
        for name, table in tables.items():
            yield [*self.column_comments(name, table), *self.primary_key(name, table)]
        references = self.references_allowed()
        last = SYNC_RUNS.name
        for name, table in sorted(tables.items(), key=lambda item: item[0] == last):
            found = [*self.foreign_keys(name, tables)] if references else []
            complete = all(self.has_all(n, tables) for n in self.wanted) if name == last else True
            if complete and table.comment != self.wanted[name].comment:
                found.append(self.fill(self.dialect.table_comment, name, self.wanted[name].comment))
            yield found

    def has_all(self, name: str, tables: dict[str, CatalogTable]) -> bool:
        """Whether a table is there with all its columns; if not, a later run looks again."""
        table = tables.get(name)
        return table is not None and {*map(self.same, self.wanted[name].columns)} <= {
            *table.columns
        }

    def references_allowed(self) -> bool:
        if not self.dialect.foreign_key or not self.dialect.oldest:
            return bool(self.dialect.foreign_key)
        return any(row[0] for rows in self.stored.query(self.dialect.oldest) for row in _rows(rows))

    def column_comments(self, name: str, table: CatalogTable) -> list[str]:
        template = self.dialect.column_comment
        found = [
            self.fill(template, name, text, column=self.stored.column(column))
            for column, text in self.wanted[name].columns.items()
            if self.same(column) in table.columns and table.columns[self.same(column)] != text
        ]
        if found and self.dialect.together:
            return [self.fill(self.dialect.together, name) + ", ".join(found)]
        return found

    def primary_key(self, name: str, table: CatalogTable) -> Iterator[str]:
        key = self.wanted[name].primary_key
        if self.dialect.primary_key and key and "" not in table.constraints:
            yield self.fill(
                self.dialect.primary_key,
                name,
                name=self.stored.column(f"pk_{name}"),
                columns=self.columns(key),
            )

    def foreign_keys(self, name: str, tables: dict[str, CatalogTable]) -> Iterator[str]:
        for constraint, key in self.wanted[name].foreign_keys.items():
            if constraint not in tables[name].constraints and key.table in tables:
                yield self.fill(
                    self.dialect.foreign_key,
                    name,
                    name=self.stored.column(constraint),
                    columns=self.columns(key.columns),
                    target=self.stored.name(key.table),
                    target_columns=self.columns(key.target),
                )

    def columns(self, names: Iterable[str]) -> str:
        return ", ".join(map(self.stored.column, names))

    def fill(self, template: str, table: str, text: str = "", **parts: str) -> str:
        return template.format(table=self.stored.name(table), text=self.escape(text), **parts)

    def execute(self, statements: list[str]) -> None:
        if not statements:
            return
        whole = self.sql.capabilities.supports_ddl_transactions
        with self.sql.begin_transaction() if whole else nullcontext():
            for statement in (*self.dialect.first, *statements):
                self.sql.execute_sql(statement)


def _rows(found: Any) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in found.columns), strict=True)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _plain(comment: str | None) -> str | None:
    """A comment; BigQuery's catalog gives it as a literal."""
    if comment and comment.startswith('"'):
        return str(orjson.loads(comment))
    return comment
