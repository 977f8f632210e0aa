"""What an earlier run left behind: nothing of it may need a person.

Pending load packages are loaded first; one that cannot be loaded is tried once more, then
aborted, and its read goes on from the last position that was loaded. Then local state is thrown
away and restored from the destination, which alone knows what was completed: dlt by itself lets
newer local state win, and after a restored backup rows would be missing for good.
"""

import logging
from typing import Any

from dlt.common.exceptions import DltException
from dlt.pipeline.exceptions import PipelineStepFailed

log = logging.getLogger("eduframe.recovery")


def recover(pipeline: Any, after: Exception | None = None) -> list[str]:
    """Settle what is pending, and take the state from the destination. Returns what was done."""
    notes: list[str] = []
    if pipeline.has_pending_data:
        notes += _settle(pipeline)
    if after is not None:
        return notes
    pipeline.drop()
    pipeline.activate()
    pipeline.sync_destination()
    return notes


def _settle(pipeline: Any) -> list[str]:
    for attempt in (1, 2):
        try:
            _load_pending(pipeline)
        except PipelineStepFailed as error:
            log.warning("a pending load package failed (attempt %s): %s", attempt, error)
            continue
        return ["loaded what an earlier run had left pending"]
    try:
        pipeline.abort_packages()
    except DltException as error:
        log.warning("the pending packages could not be aborted, and are deleted: %s", error)
    return ["a load package of an earlier run could not be loaded and was given up; "
            "what it held is read again"]


def _load_pending(pipeline: Any) -> None:
    if pipeline.list_extracted_load_packages():
        pipeline.normalize()
    if pipeline.list_normalized_load_packages():
        pipeline.load()
