"""Names of pipelines and datasets: those that are none are refused before anything is touched."""

import re
from typing import Any

from sources.eduframe.errors import SettingsError

_PIPELINE = re.compile(r"\w(?:[\w.-]{0,98}\w)?")
LONGEST = 100
_RESERVED = re.compile(r"pg_.*|information_schema", re.I)


def check_pipeline_name(name: Any) -> None:
    """Refuse what is no plain name: it becomes the name of a folder.

    Raises:
        SettingsError: says what a name is.
    """
    if not isinstance(name, str) or not _PIPELINE.fullmatch(name):
        raise SettingsError(
            f"The pipeline cannot be called {name!r}, as its working folder bears that name. Use "
            "letters, digits, _ and -, 100 at most."
        )


def check_dataset_name(dataset: Any) -> None:
    """Refuse what no destination takes, and what dlt would take for something else.

    Raises:
        SettingsError: says what a name is.
    """
    if not isinstance(dataset, str) or not dataset.strip():
        raise SettingsError(f"The dataset cannot be called {dataset!r}: name it (--dataset).")
    if len(dataset) > LONGEST:
        raise SettingsError(
            f"The dataset's name has {len(dataset)} characters, and must have {LONGEST} at most "
            "(--dataset)."
        )
    if _RESERVED.fullmatch(dataset):
        raise SettingsError(
            f"The dataset cannot be called {dataset}, as databases keep that name for themselves. "
            "Choose another (--dataset)."
        )


def check_spelling(dataset: str, spelled: str) -> None:
    """Refuse a dataset name that the destination gets as another; capitals and hyphens may change.

    Names that differ in what is left out would be one dataset.

    Raises:
        SettingsError: names the spelling that is taken as it is.
    """
    if spelled != dataset and spelled.lower() != dataset.lower().replace("-", "_"):
        raise SettingsError(
            f"The dataset {dataset!r} would be called {spelled} in the destination, as other names "
            "would. Use small letters, digits and single underscores (--dataset)."
        )
