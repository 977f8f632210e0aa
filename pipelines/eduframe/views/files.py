"""The views that are written by hand: files of ``schemas/eduframe/views``, a query in each.

A file begins with comments: first what a row of the view is and how it counts, then a line
``-- unique:`` with the columns that no two rows share, then, after a line ``-- columns``, a line
for each column, as ``-- name: what it holds``. ``'{time_zone}'`` and ``'{currency}'`` stand for
the customer's.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from pipelines.eduframe.views.view import Kind, View

KINDS: dict[str, Kind] = {"dim": "dimension", "fact": "fact"}
"""By what a file's name begins with; all others are measures."""

UTC = "UTC"


def written_views(time_zone: str = UTC, currency: str | None = None) -> Iterator[View]:
    """The views of all files, for a customer's time zone (IANA's name) and currency (ISO 4217)."""
    known = bool(re.fullmatch("[A-Z]{3}", currency or ""))
    return views_with(time_zone, f"'{currency}'" if known else "CAST(NULL AS VARCHAR)")


def views_with(time_zone: str, currency: str) -> Iterator[View]:
    """The views of all files; ``time_zone`` is what stands between quotes, ``currency`` is SQL."""
    for name, text in _texts().items():
        head, sql = _parted(text)
        head, _, columns = head.partition("\ncolumns\n")
        about, _, unique = head.partition("\nunique: ")
        filled = sql.replace("{time_zone}", time_zone).replace("'{currency}'", currency)
        described = dict(re.findall(r"^(\w+): (.+(?:\n  .+)*)", columns, re.MULTILINE))
        yield View(
            name,
            KINDS.get(name.partition("_")[0], "measure"),
            _one_line(about),
            {column: _one_line(said) for column, said in described.items()},
            filled,
            key=tuple(unique.replace(",", " ").split()),
        )


@cache
def _texts() -> dict[str, str]:
    folder = files("schemas.eduframe") / "views"
    found = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return {name[:-4]: (folder / name).read_text(encoding="utf-8") for name in found}


def _parted(text: str) -> tuple[str, str]:
    """A file's comment at its head, without the dashes, and its query."""
    head = re.match(r"(?:--.*\n)*", text)
    assert head is not None
    said = re.sub(r"^-- ?", "", head[0], flags=re.MULTILINE)
    return said, text[head.end() :].strip().rstrip(";")


def _one_line(text: str) -> str:
    return " ".join(text.split())
