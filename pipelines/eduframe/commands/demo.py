"""``eduframe demo``: the simulator, synced into a file of its own, and what can be asked of it.

Its provider is as of today. What it has deleted was there when the file is new: it is synced once
with that, and once more without, so that the file has deleted rows as a real one has.

Whatever is configured on this machine stays out of it: the demo has its own pipeline, file and
dataset, sees no dlt configuration, and talks to nothing but the simulator in this process. All that
it leaves is its database, and the report on it.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
from dlt import Pipeline
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from rich.columns import Columns
from rich.console import Console
from rich.syntax import Syntax

from pipelines.eduframe.commands.output import (
    Column,
    Row,
    console,
    print_line,
    print_summary,
    print_table,
)
from pipelines.eduframe.commands.report.command import INSTALL, can_report, write_report
from pipelines.eduframe.failures import cause_of
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.place.local_lock import lock_file
from pipelines.eduframe.place.target import target_of
from pipelines.eduframe.run.report import Report
from pipelines.eduframe.run.sync import sync
from sources.eduframe.errors import FileUnusableError, SettingsError
from sources.eduframe.settings import SECTIONS, Settings
from sources.eduframe.state_folder import STATE_VARIABLE
from sources.eduframe_simulator import Simulator, this_day

PIPELINE_NAME = "eduframe_demo"
DATASET_NAME = "demo"
DUCKDB_FILE = "eduframe_demo.duckdb"
REPORT_FILE = "eduframe_demo.html"
OWN_VARIABLES = "__".join([*SECTIONS, ""]).upper()
NO_LIMIT = 1_000_000
"""Requests in a window: the simulator is our own, nobody needs to wait for it."""
SHOWN_QUERIES = ("revenue_by_month", "attendance_rate", "occupancy_of_planned_courses")
SHOWN_ROWS = 6

GONE = """\
Then two orders were deleted, and two users merged into others, and that was synced, too: their rows
are still there, and marked (_deleted_at). The views leave them out."""
NEXT = """\
What next?
- Ask it something yourself: the file is {file}, the dataset {dataset}, the views that
  answer are in {dataset}_views (SELECT * FROM {dataset}_views._views).
- {report}
- Run eduframe demo again today: nothing has changed, so nothing is written.
- Sync your own data: set SOURCES__EDUFRAME__API_TOKEN, then eduframe check, then eduframe sync."""

SEE = f"Open {REPORT_FILE} in a browser: it has the answers as charts and tables."
DRAW = f"See the answers as charts: {INSTALL}, then eduframe demo once more."


def run_demo() -> int:
    """Sync the simulator and show what arrived. Returns the exit code."""
    out = console()
    file = Path.cwd() / DUCKDB_FILE
    _check_writable(file)
    with (
        tempfile.TemporaryDirectory() as folder,
        _no_configuration(folder),
        Simulator(requests_per_window=NO_LIMIT, as_of=this_day()) as sim,
    ):
        new = not file.exists()
        _say(f"a simulated training provider answers at {sim.base_url}; syncing it …")
        pipeline = make_pipeline(
            "duckdb",
            DATASET_NAME,
            name=PIPELINE_NAME,
            credentials=str(file),
            pipelines_dir=folder,
        )
        try:
            report = _sync(pipeline, sim, with_gone=new)
            if can_report() and not report.exit_code:
                usual = Settings(api_token=sim.token, base_url=sim.base_url)  # a limit worth a line
                write_report(file.with_name(REPORT_FILE), pipeline, usual)
        except FileUnusableError as error:
            raise FileUnusableError(
                f"The demo's database {file} cannot be used: {cause_of(error)}. Move it away, or "
                "run eduframe demo in another folder."
            ) from error
        finally:
            lock_file(target_of(pipeline)).unlink(missing_ok=True)
    if report.exit_code:
        print_summary(report)
        return report.exit_code
    with duckdb.connect(file, read_only=True) as database:
        database.execute(f"SET search_path TO {DATASET_NAME}")
        _show_tables(out, database, report)
        if new:
            out.print(f"{GONE}\n")
        database.execute(f"SET search_path TO {DATASET_NAME}_views")
        for name in SHOWN_QUERIES:
            _show_query(out, database, name)
    seen = SEE if can_report() else DRAW
    next_ = NEXT.format(file=DUCKDB_FILE, dataset=DATASET_NAME, report=seen)
    out.print(next_, markup=False)
    return report.exit_code


def _sync(pipeline: Pipeline, sim: Simulator, *, with_gone: bool) -> Report:
    """Sync; first with what is gone by now, if told so, and then what became of that."""
    if not with_gone:
        return sync(pipeline, settings=_settings(sim))
    for table, row in sim.gone:
        sim.restore(table, row)
    report = sync(pipeline, settings=_settings(sim))
    if report.exit_code:
        return report
    for table, row in sim.gone:
        sim.delete(table, row["id"])
    tables = [*dict.fromkeys(table for table, _ in sim.gone)]
    later = sync(pipeline, tables, settings=_settings(sim), reconcile=True)
    return later if later.exit_code else report


def _check_writable(file: Path) -> None:
    """Before anything is begun: whether the demo can have its file in this folder.

    Raises:
        SettingsError: it cannot; says where to go.
    """
    try:
        if file.exists():
            file.open("r+b").close()
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{DUCKDB_FILE}-"):
            pass  # what DuckDB keeps beside the file comes and goes like this one
    except OSError as error:
        raise SettingsError(
            f"The demo keeps its database in the folder that it is run in, and cannot write {file}"
            f": {error.strerror}. Run eduframe demo in a folder that you may write, for example: "
            "cd \"$(mktemp -d)\" && eduframe demo"
        ) from error


def query(name: str) -> str:
    """The text of one of the queries in ``schemas/eduframe/queries``."""
    return (files("schemas.eduframe") / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def _settings(sim: Simulator) -> Settings:
    return Settings(
        api_token=sim.token, base_url=sim.base_url, requests_per_window=NO_LIMIT
    )


@contextmanager
def _no_configuration(folder: str) -> Iterator[None]:
    """Hide what is configured on this machine, in the environment and in ``.dlt`` files.

    What runs of this machine tell each other is written into ``folder`` meanwhile.
    """
    context = Container()[PluggableRunContext]
    providers, environment = context.providers, dict(os.environ)
    level = logging.root.level
    context.providers = ConfigProvidersContainer([])
    for name in environment:
        if name.upper().startswith(OWN_VARIABLES):
            del os.environ[name]
    os.environ[STATE_VARIABLE] = folder
    logging.root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logging.root.setLevel(level)
        os.environ.pop(STATE_VARIABLE)
        os.environ.update(environment)
        context.providers = providers


def _show_tables(out: Console, database: Any, report: Report) -> None:
    written = report.total("new") + report.total("changed")
    news = f"{written:,} of them written" if written else "nothing new, nothing written"
    out.print(
        f"{report.total('read'):,} rows of {len(report.runs)} lists read with "
        f"{report.requests:,} requests in {report.seconds:.1f} s: {news}."
    )
    names = database.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ? "
        r"AND table_name NOT LIKE '\_%' ESCAPE '\' ORDER BY table_name",
        [DATASET_NAME],
    ).fetchall()
    counts = " UNION ALL ".join(f"SELECT '{name}', COUNT(*) FROM {name}" for (name,) in names)
    filled = [(name, rows) for name, rows in database.execute(counts).fetchall() if rows]
    out.print(f"{len(names)} tables in {DUCKDB_FILE}, dataset {DATASET_NAME}; rows in each:\n")
    cells = [f"{rows:>6,} {name}" for name, rows in sorted(filled)]
    out.print(Columns(cells, column_first=True, padding=(0, 2)), markup=False)
    empty = len(names) - len(filled)
    out.print(f"{empty} more are empty (off by default: see eduframe resources).\n")


def _show_query(out: Console, database: Any, name: str) -> None:
    text = query(name)
    out.print(Syntax(text.rstrip(), "sql", background_color="default", word_wrap=True))
    result = database.execute(text)
    rows = result.fetchall()
    columns = [
        Column(name, right=not isinstance(value, str))
        for (name, *_), value in zip(result.description, rows[0], strict=True)
    ]
    shown = [["" if value is None else str(value) for value in row] for row in rows[:SHOWN_ROWS]]
    print_table(columns, [Row(cells) for cells in shown])
    if len(rows) > SHOWN_ROWS:
        print_line(f"({len(rows) - SHOWN_ROWS} more rows)")
        print_line("")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
