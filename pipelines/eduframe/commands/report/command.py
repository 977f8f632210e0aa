"""The command itself: the questions are asked, and the page is written."""

import importlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipelines.eduframe.commands.output import print_line
from pipelines.eduframe.commands.pages.document import write_page
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.pipeline import make_pipeline
from sources.eduframe.errors import SettingsError
from sources.eduframe.settings import Settings, resolve
from sources.eduframe.version import version

NEEDED = ("altair", "vl_convert")
"""What draws the charts."""
INSTALL = "pip install 'eduframe-sync[report]'"


def can_report() -> bool:
    """Whether the extra ``report`` is installed."""
    return all(find_spec(name) for name in NEEDED)


def run_report(file: Path, destination: str, dataset: str, language: str) -> int:
    """Write the report on a dataset. Makes no request, and changes nothing.

    Raises:
        SettingsError: the extra is not installed, there are no views, or no such file can be
            written.
        FileBusyError: another program holds the DuckDB file.
    """
    with tempfile.TemporaryDirectory() as folder:  # the working folder is left alone
        pipeline = make_pipeline(destination, dataset, pipelines_dir=folder)
        print_line(write_report(file, pipeline, resolve(token_needed=False), language))
    return DONE


def write_report(file: Path, pipeline: Any, settings: Settings, language: str = "en") -> str:
    """Write the report on a pipeline's dataset. Returns where it is, and what is in it, in words.

    Raises like :func:`run_report`.
    """
    if not can_report():
        raise SettingsError(f"The report's charts need more packages: {INSTALL}")
    from pipelines.eduframe.commands.report.reading import read

    with ThreadPoolExecutor(1) as beside:  # it takes two seconds, in a thread of its own
        vega = beside.submit(_vega)
        found = read(pipeline, settings)
        from pipelines.eduframe.commands.report.page import page

        text = page(found, version(), vega.result(), language)
    write_page(file, text)
    answered = sum(bool(answer.rows) for answer in (*found.answers, *found.syncing))
    asked = len(found.answers) + len(found.syncing)
    size = len(text.encode()) / 1e6
    return f"{file}: {answered} of {asked} questions have rows, {size:.1f} MB"


def _vega() -> str:
    """Vega, Vega-Lite and what puts them into a page, as a script that loads nothing."""
    bundle = importlib.import_module("vl_convert").javascript_bundle
    return f"(() => {{{bundle('window.vegaEmbed = vegaEmbed;')}}})();"
