"""The command itself: the dictionary is put together and written."""

from pathlib import Path

from pipelines.eduframe.commands.docs.dictionary import dictionary
from pipelines.eduframe.commands.docs.freshness import freshness
from pipelines.eduframe.commands.docs.page import page
from pipelines.eduframe.commands.docs.views import views
from pipelines.eduframe.commands.output import print_line
from pipelines.eduframe.commands.pages.document import write_page
from pipelines.eduframe.exit_codes import DONE
from sources.eduframe.version import version


def run_docs(file: Path, destination: str | None, dataset: str | None) -> int:
    """Write the page; with how fresh the tables are, where a destination or dataset is named.

    Raises:
        SettingsError: the file cannot be written, or the destination cannot be used.
    """
    named = destination or dataset
    fresh = freshness(destination or "duckdb", dataset or "eduframe") if named else None
    found = dictionary(views(fresh.custom if fresh else ()))
    text = page(found, version(), fresh)
    write_page(file, text)
    kinds = [entry.kind == "table" for entry in found.entries.values()]
    size = len(text.encode()) / 1e6
    print_line(f"{file}: {kinds.count(True)} tables, {kinds.count(False)} views, {size:.1f} MB")
    return DONE
