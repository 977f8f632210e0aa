"""The folder in which the programs of one user on one machine tell each other what they do.

It does not depend on ``DLT_DATA_DIR``, as programs with folders of their own share a token and its
request window: ``eduframe-sync`` in ``$XDG_STATE_HOME`` (``~/.local/state``), on Windows in
``%LOCALAPPDATA%``. Where that cannot be written it is beside dlt's pipelines.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from dlt.common.pipeline import get_dlt_pipelines_dir

from sources.eduframe.errors import SettingsError

NAME = "eduframe-sync"
STATE_VARIABLE = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME"


def state_folder() -> Path:
    """The folder; it is made where it is not there yet.

    Raises:
        SettingsError: no place for it can be written.
    """
    tried = []
    for folder in _candidates():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            tried.append(f"{folder} ({error.strerror})")
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        tried.append(f"{folder} (no right to write)")
    raise SettingsError(
        "The runs of this machine share the request limit by a folder, and none can be written: "
        f"{', '.join(tried)}. Set XDG_STATE_HOME or DLT_DATA_DIR to a folder that can."
    )


def _candidates() -> Iterator[Path]:
    usual = ("AppData", "Local") if sys.platform == "win32" else (".local", "state")
    chosen = Path(os.environ.get(STATE_VARIABLE, ""))
    home = Path(os.path.expanduser("~"))
    if chosen.is_absolute():
        yield chosen / NAME
    elif home.is_absolute():
        yield home.joinpath(*usual, NAME)
    yield Path(get_dlt_pipelines_dir()).absolute().parent / NAME
