"""What went wrong in dlt or a database, in a line for people; and whether a disk is full."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sources.eduframe.display import printable

MOST_OF_AN_ERROR = 1000
"""Characters that are shown of a line of an error."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_SPACE = re.compile(
    r"No space left|File too large|quota exceeded|not enough space|os error (28|112)\b", re.I
)
_STATEMENT = re.compile(r"LINE \d+:|\^+$|HINT:")
_PATH = re.compile(r"""["']((?:/|[A-Za-z]:\\)[^"']+)["']""")
"""A file that an error names."""


def first_line(error: BaseException) -> str:
    """The line of an error that tells what happened, fit to be shown."""
    lines = _lines(error)
    return lines[0] if lines else type(error).__name__


def _lines(error: BaseException) -> list[str]:
    """What an error says, which may be a server's or a file's words, each line fit to be shown."""
    lines = (line.strip() for line in re.split(r"\r?\n", str(error)))
    return [printable(line, MOST_OF_AN_ERROR) for line in lines if line]


def error_lines(error: BaseException) -> str:
    """All that the error at the bottom says, in one line: Postgres names views in the second. What
    is shown of the statement, and hints to the one who wrote it, are left out."""
    while error.__cause__ is not None:
        error = error.__cause__
    return "; ".join(line for line in _lines(error) if not _STATEMENT.match(line))


def cause_of(error: BaseException, folder: Path | None = None) -> str:
    """What lies at the bottom of dlt's error, in a line.

    ``folder`` is where was written, for errors that do not tell.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    said = f"{type(error).__name__}: {first_line(error)}"
    if not has_no_space(error):
        return said
    named = getattr(error, "filename", None) or next(iter(_PATH.findall(str(error))), None)
    where = Path(named) if named else folder
    where = where if where is None or where.is_dir() else where.parent
    return f"there is no space left{f' in {printable(str(where))}' if where else ''} ({said})"


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Let errors of a full disk that do not tell which file they are of tell the folder."""
    try:
        yield
    except Exception as error:
        bottom: BaseException = error
        while bottom.__cause__ is not None:
            bottom = bottom.__cause__
        if isinstance(bottom, OSError) and has_no_space(bottom) and not bottom.filename:
            bottom.filename = str(folder)
        raise


def has_no_space(error: BaseException) -> bool:
    """Whether an error, of the system or of a database, says that a disk or quota is full."""
    return getattr(error, "errno", None) in NO_SPACE or bool(_NO_SPACE.search(str(error)))
