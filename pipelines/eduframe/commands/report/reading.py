"""Asks the questions of the destination: read-only, and added up there."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipelines.eduframe.commands.freshness import look
from pipelines.eduframe.commands.report.questions import QUESTIONS
from pipelines.eduframe.commands.report.section import Answer, Column, Section, Shown
from pipelines.eduframe.commands.report.syncing import SYNCING, how_fresh
from pipelines.eduframe.destinations.duckdb_file import reading_file
from pipelines.eduframe.failures import error_lines
from pipelines.eduframe.place.target import kind_of, target_of
from pipelines.eduframe.store.run_log import LOG_TABLES
from pipelines.eduframe.views import catalog
from pipelines.eduframe.views.files import UTC
from pipelines.eduframe.views.keeping import HAVE_VIEWS, views_dataset
from pipelines.eduframe.views.making import translated
from pipelines.eduframe.views.view import View
from sources.eduframe.clock import now_utc
from sources.eduframe.dataset.sql import Dataset
from sources.eduframe.errors import SettingsError
from sources.eduframe.region import iana_zone
from sources.eduframe.settings import Settings, select

log = logging.getLogger("eduframe.report")

_ALL = "of_all_rows"
"""The column that counts them."""


@dataclass(frozen=True)
class Found:
    """All that the report shows."""

    destination: str
    dataset: str
    views: str
    """The dataset of the views."""
    looked_at: datetime
    today: date
    """Where the customer is."""
    time_zone: str
    answers: tuple[Answer, ...]
    syncing: tuple[Answer, ...]


def read(pipeline: Any, settings: Settings) -> Found:
    """Answer all questions from a dataset and the views beside it. Nothing is written.

    Raises:
        SettingsError: there are no views, or nothing has been synced; says what makes them.
        FileBusyError: another program holds the DuckDB file.
    """
    target = target_of(pipeline)
    views = views_dataset(target.dataset, settings.views)
    if views is None:
        raise SettingsError(
            "The report asks the views, and the setting views is off. Set it to on and run "
            "eduframe sync, which makes them."
        )
    if kind_of(pipeline) not in HAVE_VIEWS:
        raise SettingsError(
            f"The report asks the views, and there are none in {kind_of(pipeline)}. Sync or copy "
            f"the dataset to one of {', '.join(HAVE_VIEWS)}."
        )
    with reading_file(pipeline):
        with Dataset(pipeline) as stored:
            there = catalog.look(stored, views, names_only=True)
            if not there.views:
                raise SettingsError(_no_views(stored, target.dataset, views))
            zone = settings.time_zone or iana_zone(there.time_zone) or UTC
            today = now_utc().astimezone(ZoneInfo(zone)).date()
            words = _words(today) | {"most_requests": f"{_most_requests(settings)}"}
            beside = _Asking(stored, views, words, frozenset(there.views))
            answers = tuple(map(beside.answer, QUESTIONS))
            logs = frozenset(stored.existing(table.name for table in LOG_TABLES))
            raw = _Asking(stored, str(stored.client.dataset_name), words, logs)
            syncing = tuple(map(raw.answer, SYNCING))
        lists, _ = look(pipeline, [endpoint.table for endpoint in select(settings).on])
    return Found(
        kind_of(pipeline), target.dataset, views, now_utc(), today, zone,
        answers, (how_fresh(lists), *syncing),
    )


def _no_views(stored: Dataset, dataset: str, views: str) -> str:
    if not stored.existing(("_sync_runs",)):
        return (
            f"Nothing has been synced into dataset {dataset} yet. Run eduframe sync, or name the "
            "dataset (--dataset) and the destination (--destination) that hold the tables."
        )
    return (
        f"The report asks the views, and there are none in dataset {views}. Run eduframe sync, "
        "which makes them, and says why where it cannot; the setting views names their dataset."
    )


def _most_requests(settings: Settings) -> int:
    """What the limit allows in an hour."""
    return round(settings.requests_per_window * 3600 / settings.window_seconds)


def _words(today: date) -> dict[str, str]:
    """What the queries call days, as SQL."""
    def month(away: int) -> date:
        months = today.year * 12 + today.month - 1 + away
        return date(months // 12, months % 12 + 1, 1)

    days = {
        "today": today,
        "month": month(0),
        "next_month": month(1),
        "month_after": month(2),
        "half_year_ago": month(-6),
        "half_year_ahead": month(7),
        "year_ago": month(-12),
        "year_ahead": month(13),
        "two_years_ago": month(-24),
        "week_ago": today - timedelta(days=7),
        "month_back": today - timedelta(days=30),
    }
    return {name: f"DATE '{day}'" for name, day in days.items()}


@dataclass(frozen=True)
class _Asking:
    """Asks of one dataset."""

    stored: Dataset
    dataset: str
    words: Mapping[str, str]
    there: frozenset[str]
    """The views or tables that it holds."""

    def answer(self, section: Section) -> Answer:
        sql = section.sql.format_map(self.words)
        if missing := tuple(name for name in section.of if name not in self.there):
            return Answer(section, sql=sql, missing=missing)
        try:
            return self._answered(section, sql)
        except Exception as error:  # each driver has exceptions of its own
            log.debug("report: %s", section.name, exc_info=True)
            return Answer(section, sql=sql, failed=error_lines(error))

    def _answered(self, section: Section, sql: str) -> Answer:
        columns, rows = self._all(first_rows(section, sql))
        of_all = int(rows[0][-1]) if rows else 0
        kept = [n for n, c in enumerate(columns) if not c.name.endswith("_id") and c.name != _ALL]
        return Answer(
            section,
            tuple(columns[n] for n in kept),
            tuple(tuple(row[n] for n in kept) for row in rows),
            of_all,
            self._totals(section, sql, columns, rows if of_all == len(rows) else None),
            f"{sql}\nORDER BY {section.order}",
        )

    def _totals(
        self,
        section: Section,
        sql: str,
        columns: list[Column],
        rows: list[tuple[Any, ...]] | None,
    ) -> tuple[dict[str, Any], ...]:
        """The sums over all ``rows``; asked for where not all of them are known here."""
        names = [column.name for column in columns]
        by = ["currency"] if "currency" in names else []
        wanted = [*by, *section.totals]
        if not section.totals or not names:
            return ()
        if rows is None:
            sums = [*by, *(f"SUM({name}) AS {name}" for name in section.totals)]
            groups = " GROUP BY currency ORDER BY currency" if by else ""
            _, found = self._all(f"SELECT {', '.join(sums)} FROM ({sql}) AS answer{groups}")
            return tuple(dict(zip(wanted, row, strict=True)) for row in found)
        added: dict[str, list[Any]] = {}
        for row in rows:
            values = [row[names.index(name)] or 0 for name in section.totals]
            group = row[names.index("currency")] if by else ""
            before = added.get(group, [0] * len(values))
            added[group] = [a + b for a, b in zip(before, values, strict=True)]
        return tuple(
            dict(zip(wanted, [*([group] if by else []), *added[group]], strict=True))
            for group in sorted(added, key=str)
        )

    def _all(self, sql: str) -> tuple[list[Column], list[tuple[Any, ...]]]:
        """The columns and rows of a query; neither where there are none."""
        dialect = str(self.stored.client.capabilities.sqlglot_dialect)
        found = [*self.stored.query(placed(sql, self.dataset, dialect))]
        if not any(table.num_rows for table in found):
            return [], []
        names = [name.lower() for name in found[0].schema.names]
        kinds = [next((t for t in types if not pa.types.is_null(t)), pa.null())
                 for types in zip(*(table.schema.types for table in found), strict=True)]
        columns = [Column(n, _shown(n, kind)) for n, kind in zip(names, kinds, strict=True)]
        return columns, [*_rows(found)]


def first_rows(section: Section, sql: str) -> str:
    """The query of a section's rows, each with how many there are."""
    return (
        f"SELECT answer.*, COUNT(*) OVER () AS {_ALL} FROM ({sql}) AS answer "
        f"ORDER BY {section.order} LIMIT {section.rows}"
    )


def placed(sql: str, dataset: str, dialect: str) -> str:
    """A query over names without a dataset as one over what a dataset holds, in a dialect."""
    named = View("", "measure", "", {}, sql).placed(f'"{dataset}"')
    return named if dialect == "duckdb" else translated(named, dialect)


def _rows(tables: list[pa.Table]) -> Iterator[tuple[Any, ...]]:
    for table in tables:
        yield from zip(*(map(_plain, c.to_pylist()) for c in table.columns), strict=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value) if value.as_tuple().exponent == 0 else value
    return value


def _shown(name: str, kind: pa.DataType) -> Shown:
    """How a column is written, by its name and its type."""
    if name.endswith("_percent"):
        return "percent"
    if name in ("month", "year"):
        return "month" if name == "month" else "year"
    if pa.types.is_timestamp(kind):
        return "moment"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return "count"
    return "number" if pa.types.is_decimal(kind) or pa.types.is_floating(kind) else "text"
