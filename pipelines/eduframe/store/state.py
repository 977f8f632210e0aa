"""dlt's state and load log: whose data it is, how far each list was read, what was completed."""

from collections.abc import Iterable
from typing import Any

from dlt.common import time as dlt_time
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.pipeline.state_sync import load_pipeline_state_from_destination

from sources.eduframe.dataset.sql import Dataset


def source_state(pipeline: Any) -> dict[str, Any]:
    """The source's own part of the pipeline's state; positions are under ``resources``."""
    found: dict[str, Any] = pipeline.state.get("sources", {}).get("eduframe", {})
    return found


def stored_positions(pipeline: Any) -> dict[str, dict[str, Any]]:
    """The stored position of each list, by resource."""
    found: dict[str, dict[str, Any]] = source_state(pipeline).get("resources", {})
    return found


def customer_of(pipeline: Any) -> dict[str, Any] | None:
    """Whose data the dataset holds, from dlt's state in the destination; None: nobody's yet."""
    customer: dict[str, Any] | None = state_in_destination(pipeline).get("customer")
    return customer


def state_in_destination(pipeline: Any) -> dict[str, Any]:
    """The source's own part of the state, as the destination has it; empty where it has none."""
    try:
        with pipeline.destination_client() as client:
            state: Any = load_pipeline_state_from_destination(pipeline.pipeline_name, client)
    except DestinationUndefinedEntity:
        return {}
    found: dict[str, Any] = (state or {}).get("sources", {}).get("eduframe", {})
    return found


def come_after_stored_loads(dataset: Dataset) -> None:
    """Let dlt number its load packages above all that the dataset holds.

    It numbers them by the clock, and takes the state with the greatest number for the newest: once
    a clock that ran ahead is set right, each run would begin from the state of that time again, and
    forget what the one before has learned. (`dlt.common.storages.load_package.create_load_id`)
    """
    latest = completed_loads(dataset).rpartition(" ")[2]
    counter = dlt_time.increasing_precise_time
    with counter._lock:
        counter._last = max(counter._last, float(latest))


def completed_loads(dataset: Dataset, besides: Iterable[str] = ()) -> str:
    """How many load packages were completed, and the last of them; ``besides`` do not count.

    Two datasets of which it is the same hold the same.
    """
    load_id, others = dataset.column("load_id"), list(besides)
    sql = (
        f"SELECT COUNT(*) AS completed, MAX({load_id}) AS latest FROM "
        f"{dataset.name('_dlt_loads')} WHERE {dataset.column('status')} = 0"
    )
    if others:
        sql += f" AND {load_id} NOT IN ({', '.join(['%s'] * len(others))})"
    for rows in dataset.query(sql, *others):
        completed, latest = (column[0].as_py() for column in rows.columns)
        if completed:
            return f"{completed} {latest}"
    return "0"
