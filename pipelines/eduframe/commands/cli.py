"""The command line: ``eduframe sync`` and its companions.

Results go to stdout, progress and logs to stderr. Exit codes: 0 done, 1 failed, 2 wrong use or
configuration, 3 partly done, 4 another run holds the lock. Heavy imports stand in the commands,
so that ``--help`` is quick.
"""

import gc
import logging
import os
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from pipelines.eduframe.commands.streams import LineFormatter, escaped_lines, steady_streams
from pipelines.eduframe.commands.umask import let_readers_in, private_files
from pipelines.eduframe.exit_codes import FAILED, LOCKED, WRONG_USE

GARBAGE_EVERY = 100_000
"""Python looks for garbage each time so many objects are new. A page of rows has thousands, none
of them in circles: by default, a third of the reading would go into that."""

app = typer.Typer(
    name="eduframe",
    help="Mirror the Eduframe API into a database that people analyse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Resources = Annotated[
    list[str] | None, typer.Argument(help="Only these resources (see: eduframe resources).")
]
Destination = Annotated[
    str, typer.Option(help="Where to: duckdb, postgres, bigquery or another dlt destination.")
]
Dataset = Annotated[str, typer.Option(help="The dataset (schema) in the destination.")]
AllowMassDelete = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RESOURCE",
        help="Let this resource lose any number of rows, this once (may be repeated).",
    ),
]
MaxMinutes = Annotated[
    float | None, typer.Option(min=0, help="Stop after so many minutes; the next run goes on.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for a machine.")]
Wide = Annotated[
    bool, typer.Option("--wide", help="Show all columns, however narrow the terminal is.")
]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log more, and show tracebacks of errors.")
    ] = False,
) -> None:
    """Mirror the Eduframe API into a database that people analyse."""
    from sources.eduframe.version import version as installed

    if version:
        print(f"eduframe-sync {installed()}")
        raise typer.Exit
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[_log_handler()])
    if not debug:  # what goes wrong is told in our own words; dlt adds tracebacks
        os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@app.command()
def sync(
    resources: Resources = None,
    destination: Destination = "duckdb",
    dataset: Dataset = "eduframe",
    reconcile: Annotated[
        bool,
        typer.Option(
            "--reconcile",
            help="Compare by content and find deletions, whenever that was last done; lists "
            "under parents, such as payments, only where they are named.",
        ),
    ] = False,
    allow_mass_delete: AllowMassDelete = None,
    max_minutes: MaxMinutes = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="What this run may spend: a share of the request limit (50%), a number of "
            "requests, or all. Otherwise the setting; with --reconcile or named resources: all.",
        ),
    ] = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Bring the dataset up to date with the API."""
    _run(
        destination, dataset, resources, allow_mass_delete,
        reconcile=reconcile, max_minutes=max_minutes, budget=budget, as_json=as_json, wide=wide,
    )


@app.command()
def refresh(
    resources: Resources = None,
    destination: Destination = "duckdb",
    dataset: Dataset = "eduframe",
    allow_mass_delete: AllowMassDelete = None,
    max_minutes: MaxMinutes = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Read completely and write every row again, in place: no table is empty in between."""
    _run(
        destination, dataset, resources, allow_mass_delete,
        refresh=True, max_minutes=max_minutes, as_json=as_json, wide=wide,
    )


def _run(
    destination: str,
    dataset: str,
    resources: list[str] | None,
    allow_mass_delete: list[str] | None,
    *,
    as_json: bool,
    wide: bool,
    **how: Any,
) -> None:
    from pipelines.eduframe.process_memory import keep_in_one_pool

    keep_in_one_pool()
    from pipelines.eduframe.commands.output import print_json, print_summary
    from pipelines.eduframe.commands.progress import watching
    from pipelines.eduframe.pipeline import make_pipeline
    from pipelines.eduframe.run.sync import sync as run_sync
    from sources.eduframe.settings import check_resources, resolve

    gc.freeze()  # the modules stay: there is no use in looking for garbage in them
    check_resources([*(resources or ()), *(allow_mass_delete or ())])
    settings = resolve()
    pipeline = make_pipeline(destination, dataset)
    let_readers_in(pipeline, settings.permissions)
    with watching() as watch:
        report = run_sync(
            pipeline,
            resources or (),
            settings=settings,
            allow_mass_delete=allow_mass_delete or (),
            watch=watch,
            **how,
        )
    if as_json:
        print_json(report.as_json())
    else:
        print_summary(report, wide=wide)
    raise typer.Exit(report.exit_code)


@app.command()
def resources(
    as_json: Json = False,
    wide: Wide = False,
    as_mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Print how the core tables refer, as a diagram.")
    ] = False,
) -> None:
    """Show what is synced: path, table, key, how changes are found, what a token needs."""
    from pipelines.eduframe.commands.resources import mermaid, print_resources

    if as_mermaid:
        print(mermaid(), flush=True)
    else:
        print_resources(as_json=as_json, wide=wide)


@app.command()
def check(
    destination: Destination = "duckdb",
    dataset: Dataset = "eduframe",
    as_json: Json = False,
    wide: Wide = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            writable=True,
            help="Write as Markdown how the API fits the models, without any value of a row.",
        ),
    ] = None,
) -> None:
    """Try the token, the address and the destination, and each resource."""
    from pipelines.eduframe.commands.check.command import run_check

    raise typer.Exit(
        run_check(destination, dataset, as_json=as_json, wide=wide, report=report)
    )


@app.command()
def verify(
    resources: Resources = None,
    destination: Destination = "duckdb",
    dataset: Dataset = "eduframe",
    requests: Annotated[
        int, typer.Option(min=2, help="The most requests to make, retries included.")
    ] = 50,
    tolerate: Annotated[
        str,
        typer.Option(metavar="SHARE", help="Exit with 3 if a greater share of the rows is wrong."),
    ] = "1%",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw the same sample again as with this number.")
    ] = None,
    show_values: Annotated[
        bool,
        typer.Option(
            "--show-values", help="Show the values that differ, too, which may be personal data."
        ),
    ] = False,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Compare random rows of the API, field by field, with the dataset; nothing is written."""
    from pipelines.eduframe.commands.verify.command import run_verify
    from sources.eduframe.settings import check_resources

    check_resources(resources or ())
    raise typer.Exit(
        run_verify(
            destination, dataset, resources or (), requests=requests, tolerate=tolerate, seed=seed,
            show_values=show_values, as_json=as_json, wide=wide,
        )
    )


class _StatusCommand(typer.core.TyperCommand):
    """Takes ``--max-unproven`` with and without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = [*args]
        for place, word in enumerate(args):
            following = args[place + 1] if place + 1 < len(args) else "-"
            if word == "--max-unproven" and following.startswith("-"):
                given[place] = "--max-unproven=own"
        return super().parse_args(ctx, given)


@app.command(cls=_StatusCommand)
def status(
    destination: Destination = "duckdb",
    dataset: Dataset = "eduframe",
    max_age: Annotated[
        str | None,
        typer.Option(
            help="Exit with 3 if a table is older than this, for example 26h, or not there."
        ),
    ] = None,
    off_counts: Annotated[
        bool,
        typer.Option(
            "--off-counts", help="Let --max-age count lists, too, that the token may not read."
        ),
    ] = False,
    max_unproven: Annotated[
        str | None,
        typer.Option(
            metavar="[AGE]",
            help="Exit with 3 if a list was not compared whole for longer than this; without a "
            "value, for one and a half times its own reconcile_every.",
        ),
    ] = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Show how fresh each table is: rows, last sync, since when it is proven, deletions, age."""
    from pipelines.eduframe.commands.status import run_status

    raise typer.Exit(
        run_status(
            destination, dataset, max_age=max_age, as_json=as_json, wide=wide,
            off_counts=off_counts, max_unproven=max_unproven,
        )
    )


@app.command()
def plan(
    resources: Resources = None,
    destination: Destination = "duckdb",
    dataset: Dataset = "eduframe",
    budget: Annotated[
        str | None, typer.Option(help="As if the run were given this budget.")
    ] = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Show what the next sync would read, what that costs, and why. Makes no request."""
    from pipelines.eduframe.commands.plan import run_plan

    raise typer.Exit(
        run_plan(
            destination, dataset, resources or (), budget=budget, as_json=as_json, wide=wide
        )
    )


@app.command()
def copy(
    source: Annotated[str, typer.Option("--from", help="The destination that holds the dataset.")],
    to: Annotated[str, typer.Option("--to", help="The destination that gets it.")],
    dataset: Dataset = "eduframe",
    to_dataset: Annotated[
        str | None, typer.Option(help="Its name there, if another one.")
    ] = None,
) -> None:
    """Move a dataset to another destination, run log and positions included."""
    from pipelines.eduframe.commands.copy import run_copy

    raise typer.Exit(run_copy(source, to, dataset, to_dataset))


@app.command()
def doctor(destination: Destination = "duckdb", dataset: Dataset = "eduframe") -> None:
    """Find and mend what a crash can leave behind, without reading the API."""
    from pipelines.eduframe.commands.doctor import run_doctor

    raise typer.Exit(run_doctor(destination, dataset))


@app.command()
def docs(
    file: Annotated[
        Path, typer.Argument(dir_okay=False, help="The HTML file to write; it needs no network.")
    ],
    destination: Annotated[
        str | None, typer.Option(help="Say how fresh the tables of this destination are, too.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The dataset (schema) there; eduframe by default.")
    ] = None,
) -> None:
    """Write what all tables and columns mean as one HTML file, to read, search and publish."""
    from pipelines.eduframe.commands.docs.command import run_docs

    raise typer.Exit(run_docs(file, destination, dataset))


class Language(StrEnum):
    """How the report writes numbers and days at first; a reader may change it."""

    en = "en"
    nl = "nl"


@app.command()
def report(
    file: Annotated[
        Path, typer.Argument(dir_okay=False, help="The HTML file to write; it needs no network.")
    ],
    destination: Destination = "duckdb",
    dataset: Dataset = "eduframe",
    language: Annotated[
        Language, typer.Option(help="Whose numbers: 1,234.56 (en) or 1.234,56 (nl).")
    ] = Language.en,
) -> None:
    """Write answers as charts and tables into one HTML file, and how the sync is doing."""
    from pipelines.eduframe.commands.report.command import run_report

    raise typer.Exit(run_report(file, destination, dataset, language.value))


@app.command()
def dbt(
    folder: Annotated[
        Path, typer.Argument(file_okay=False, help="The folder of the package; made if need be.")
    ],
    destination: Annotated[
        str | None,
        typer.Option(help="Whose SQL it is in: duckdb, postgres, bigquery, snowflake, …"),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The dataset (schema) there; eduframe by default.")
    ] = None,
) -> None:
    """Write a dbt package: the tables as sources, the views as models, with tests."""
    from pipelines.eduframe.commands.dbt.command import run_dbt

    raise typer.Exit(run_dbt(folder, destination, dataset))


@app.command()
def demo() -> None:
    """Sync a simulated training provider, and show what arrived. Needs no token."""
    from pipelines.eduframe.commands.demo import run_demo

    raise typer.Exit(run_demo())


def _log_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    return handler


def main() -> None:
    """Run the command line, and turn what goes wrong into a line and an exit code."""
    gc.set_threshold(GARBAGE_EVERY)
    with steady_streams(), private_files():
        try:
            app()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            raise SystemExit(FAILED) from None
        except Exception as error:
            raise SystemExit(_tell(error)) from None
        finally:
            gc.freeze()  # all goes with the process: to look for garbage would take up to 0.2 s


def _tell(error: Exception) -> int:
    from sources.eduframe.display import escaped
    from sources.eduframe.errors import EduframeError, LockedError, SettingsError

    if "--debug" in sys.argv:
        print(escaped_lines("".join(traceback.format_exception(error))), file=sys.stderr)
    if isinstance(error, EduframeError):
        print(f"eduframe: {escaped(str(error))}", file=sys.stderr)
        if isinstance(error, SettingsError):
            return WRONG_USE
        return LOCKED if isinstance(error, LockedError) else FAILED
    from pipelines.eduframe.failures import cause_of

    print(f"eduframe: {cause_of(error)} (eduframe --debug … shows more)", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    main()
