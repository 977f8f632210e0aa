"""What an earlier run left behind: nothing of it may need a person.

Pending load packages are loaded first; one that cannot be loaded is tried once more, then
given up, and its read goes on from the last position that was loaded. Then local state is thrown
away and restored from the destination, which alone knows what was completed: dlt by itself lets
newer local state win, and after a restored backup rows would be missing for good.
"""

import logging
from typing import Any

from dlt.common.exceptions import DltException

from pipelines.pipeline import first_line

log = logging.getLogger("eduframe.recovery")


def recover(pipeline: Any) -> list[str]:
    """Settle what is pending, and take the state from the destination. Returns what was done."""
    notes = _settle(pipeline)
    pipeline.drop()
    pipeline.activate()
    pipeline.sync_destination()
    return notes


def _settle(pipeline: Any) -> list[str]:
    for attempt in (1, 2):
        try:
            if not pipeline.has_pending_data:
                return []
            load_pending(pipeline)
        except (DltException, OSError, ValueError, KeyError) as error:
            log.warning(
                "what an earlier run left pending cannot be loaded (attempt %s): %s",
                attempt,
                first_line(error),
            )
            continue
        return ["loaded what an earlier run had left pending"]
    return [
        "what an earlier run had left pending could not be loaded and was given up; "
        "it is read again"
    ]


def load_pending(pipeline: Any) -> None:
    """Load the packages that are extracted or normalized, but not loaded.

    Raises:
        PipelineStepFailed: one of them cannot be loaded.
    """
    if pipeline.list_extracted_load_packages():
        pipeline.normalize()
    if pipeline.list_normalized_load_packages():
        pipeline.load()
