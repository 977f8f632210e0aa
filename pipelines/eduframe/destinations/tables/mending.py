"""Tables that do not fit any more are mended in place, and never empty to those who read them.

Columns that were dropped are added to any table, at any time. All else that somebody made of a
table stays, unless a refresh is asked for: that makes it as it must be.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from dlt.common.schema.utils import dlt_load_id_column

from pipelines.eduframe.destinations.postgres.rights import Foreign
from pipelines.eduframe.destinations.postgres.views import views_aside
from pipelines.eduframe.destinations.tables.fit import (
    LOAD_ID,
    Fit,
    Misfit,
    StoredTable,
    compare,
    key_of,
)
from pipelines.eduframe.destinations.tables.schema_upgrade import (
    drop_references,
    forget_hashes,
    hint_for,
    lists_of,
    prepared,
)
from pipelines.eduframe.failures import error_lines
from pipelines.eduframe.place.target import is_a
from pipelines.eduframe.store.run_log import SYNC_RUNS
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import EduframeError, UnfitTableError
from sources.eduframe.rows.table_columns import Column
from sources.eduframe.rows.tables import Table

log = logging.getLogger("eduframe.tables")


@dataclass
class Mended:
    """What came of the tables that did not fit."""

    notes: list[str] = field(default_factory=list)
    anew: set[str] = field(default_factory=set)
    """The lists of which every row is to be written again."""
    blocked: dict[str, str] = field(default_factory=dict)
    """The lists that cannot be loaded, with the reason and what helps."""
    unreliable: set[str] = field(default_factory=set)
    """Tables whose key is not what it should be: what is under their rows cannot be told."""


def mend_tables(
    pipeline: Any, dataset: Dataset, tables: Mapping[str, StoredTable], whole: Collection[str]
) -> Mended:
    """Add what the tables lack, and make those of the lists in ``whole`` as they must be.

    Raises:
        UnfitTableError: a table of the run log cannot be written.
    """
    mended = Mended()
    fits = [*compare(pipeline, dataset, tables, whole)]
    for fit in fits:
        ours = not isinstance(fit.table, Table)
        asked_for = ours or {*lists_of(fit.table)} & {*whole}
        if fit.stored.is_view:
            _block(mended, fit, _told(fit.misfits).strip())
        elif fit.misfits and not asked_for and not fit.stored.foreign:
            _block(mended, fit, _told(fit.misfits), or_refresh=True)
        else:
            _mend_one(pipeline, dataset, fit, tables, mended)
    runs = tables.get(SYNC_RUNS.name)
    if mended.notes and is_a(pipeline, "duckdb", "postgres") and runs and not runs.foreign:
        # keys and comments are looked at again at the end of the run
        dataset.execute(f"COMMENT ON TABLE {dataset.name(SYNC_RUNS.name)} IS NULL")
    return mended


def _mend_one(
    pipeline: Any, dataset: Dataset, fit: Fit, tables: Mapping[str, StoredTable], mended: Mended
) -> None:
    table = fit.table
    lists = lists_of(table)
    try:
        if fit.missing or any(misfit.retyped for misfit in fit.misfits):
            hashed = [n for n in lists if n in tables and "_row_hash" in tables[n].columns]
            forget_hashes(dataset, hashed)
            mended.anew |= {*lists}
        if fit.stored.foreign:
            _block(mended, fit, _for_the_owner(pipeline, dataset, fit, fit.stored.foreign))
            return
        _way_of(pipeline, fit)(pipeline, dataset, fit)
    except UnfitTableError:
        raise
    except Exception as error:  # each driver has exceptions of its own
        why = str(error) if isinstance(error, EduframeError) else error_lines(error)
        _block(mended, fit, f"{_told(fit.misfits)}It cannot be mended: {why}")
        return
    if fit.missing:
        names = ", ".join(column.name for column in fit.missing)
        rows = "its rows, which nothing tells apart any more, are" if fit.lost_key else "it is"
        mended.notes.append(f"{table.name} lacked {names}: added again, and {rows} filled anew")
    mended.notes += [f"{misfit.what}: mended" for misfit in fit.misfits]


def _for_the_owner(pipeline: Any, dataset: Dataset, fit: Fit, foreign: Foreign) -> str:
    """What is wrong with a table that is another role's, and what that role is to run."""
    wrong = [misfit.what for misfit in fit.misfits]
    if fit.missing:
        wrong.insert(0, f"{fit.table.name} lacks {', '.join(c.name for c in fit.missing)}")
    statements = _statements(pipeline, dataset, fit)
    if not fit.missing and len(fit.misfits) == len(foreign.wrong):
        foreign = replace(foreign, owner=None)  # to own it is more than is needed
    return f"{'; '.join(wrong)}: {foreign.mended_by(statements)}"


def _block(mended: Mended, fit: Fit, why: str, *, or_refresh: bool = False) -> None:
    lists = lists_of(fit.table)
    if not lists:
        last = "" if fit.stored.foreign else (
            f". Drop the table {fit.table.name}, if nothing else helps: the next run makes it anew"
        )
        raise UnfitTableError(f"The run log cannot be written: {why}{last}.")
    for name in lists:
        text = f"{why}eduframe refresh {name} makes it as it must be" if or_refresh else why
        mended.blocked[name] = f"{mended.blocked[name]}; {text}" if name in mended.blocked else text
    lost = {c.name for c in fit.missing} | {m.column for m in fit.misfits if m.retyped}
    unread = fit.stored.foreign is not None and "SELECT" in fit.stored.foreign.lacking
    if fit.stored.is_view or unread or lost & {*key_of(fit.table)}:
        mended.unreliable.add(fit.table.name)


def _told(misfits: Iterable[Misfit]) -> str:
    """What is in the way, a sentence each, with the SQL that helps."""
    said = ""
    for misfit in misfits:
        said += f"{misfit.what}"
        said += f" (in SQL: {'; '.join(misfit.remedy)}). " if misfit.remedy else ". "
    return said


def _way_of(pipeline: Any, fit: Fit) -> Callable[[Any, Dataset, Fit], None]:
    if is_a(pipeline, "duckdb", "motherduck") and (fit.misfits or fit.lost_key):
        return _rebuild
    return _alter


def _alter(pipeline: Any, dataset: Dataset, fit: Fit) -> None:
    """Change the table where it is, all at once where DDL knows transactions."""
    sql, name = dataset.client, dataset.name(fit.table.name)
    is_postgres = is_a(pipeline, "postgres")
    retyped = [m.column for m in fit.misfits if m.retyped and m.column]
    whole = sql.capabilities.supports_ddl_transactions
    with sql.begin_transaction() if whole else nullcontext():
        if is_postgres:
            unique = [column for misfit in fit.misfits for column in misfit.unique]
            drop_references(dataset, sql, fit.table.name, [*retyped, *unique])
        aside = views_aside(sql, name, retyped) if is_postgres and retyped else nullcontext()
        with aside:
            for statement in _statements(pipeline, dataset, fit):
                sql.execute_sql(statement)


def _statements(pipeline: Any, dataset: Dataset, fit: Fit) -> list[str]:
    """The SQL that makes a table as it must be, where it is."""
    statements = [*_additions(pipeline, dataset, fit)]
    name = dataset.name(fit.table.name)
    # what must be unique first: it would be checked against each new value
    ordered = sorted(fit.misfits, key=lambda misfit: misfit.column is not None)
    for misfit in ordered:
        if misfit.retyped and misfit.column and fit.stored.columns[misfit.column].default:
            column, kind = dataset.column(misfit.column), fit.stored.columns[misfit.column].default
            dropped = "DEFAULT"
            if is_a(pipeline, "postgres") and kind:
                dropped = kind.upper()
            statements.append(f"ALTER TABLE {name} ALTER COLUMN {column} DROP {dropped}")
        statements += misfit.remedy
    return statements


def _additions(pipeline: Any, dataset: Dataset, fit: Fit) -> Iterator[str]:
    name = dataset.name(fit.table.name)
    if fit.lost_key:
        yield f"DELETE FROM {name} WHERE 1 = 1"
    for column in fit.missing:
        quoted = dataset.column(column.name)
        yield f"ALTER TABLE {name} ADD COLUMN {quoted} {_type_of(pipeline, fit, column)}"
        if column.name in key_of(fit.table) and is_a(pipeline, "postgres"):
            yield f"ALTER TABLE {name} ALTER COLUMN {quoted} SET NOT NULL"


def _type_of(pipeline: Any, fit: Fit, column: Column) -> str:
    hint: Any = dlt_load_id_column() if column == LOAD_ID else hint_for(fit.table, column)
    client = pipeline.destination_client()  # which need not be connected for that
    return str(client.type_mapper.to_destination_type(hint, prepared(client, fit.table)))


def _rebuild(pipeline: Any, dataset: Dataset, fit: Fit) -> None:
    """Put a table as it must be in the place of one that DuckDB would not alter: it does not for
    keys, nor for what has an index. Views know their tables by name, and stay."""
    sql, key = dataset.client, key_of(fit.table)
    name = dataset.name(fit.table.name)
    made = dataset.column(f"{fit.table.name}__mended")
    qualified = f"{sql.fully_qualified_dataset_name()}.{made}"
    types = {misfit.column: misfit.retyped for misfit in fit.misfits if misfit.retyped}
    definitions, taken, values = [], [], []
    for column, stored in fit.stored.columns.items():
        quoted = dataset.column(column)
        retyped = types.get(column)
        kind = _type_of(pipeline, fit, retyped) if retyped else str(stored.type)
        default = f" DEFAULT ({stored.default})" if stored.default and not retyped else ""
        definitions.append(f"{quoted} {kind}{default}{' NOT NULL' if column in key else ''}")
        taken.append(quoted)
        values.append(f"TRY_CAST({quoted} AS {kind})" if retyped else quoted)
    definitions += [
        f"{dataset.column(c.name)} {_type_of(pipeline, fit, c)}"
        f"{' NOT NULL' if c.name in key else ''}"
        for c in fit.missing
    ]
    there = " AND ".join(
        f"{value} IS NOT NULL"
        for quoted, value in zip(taken, values, strict=True)
        if quoted in {dataset.column(k) for k in key}
    )
    statements = [f"CREATE TABLE {qualified} ({', '.join(definitions)})"]
    if not fit.lost_key:
        statements.append(
            f"INSERT INTO {qualified} ({', '.join(taken)}) SELECT {', '.join(values)} FROM {name} "
            f"WHERE {there}"
        )
    statements += [
        f"DROP TABLE {name}",
        f"ALTER TABLE {qualified} RENAME TO {dataset.column(fit.table.name)}",
        *_indexes(dataset, fit),
    ]
    with sql.begin_transaction():
        for statement in statements:
            sql.execute_sql(statement)


def _indexes(dataset: Dataset, fit: Fit) -> list[str]:
    """The table's other indexes, to be made again."""
    found = dataset.client.execute_sql(
        "SELECT sql FROM duckdb_indexes() WHERE database_name = current_database() "
        "AND schema_name = %s AND table_name = %s AND NOT is_unique",
        dataset.client.dataset_name,
        fit.table.name,
    )
    return [row[0] for row in found or ()]
