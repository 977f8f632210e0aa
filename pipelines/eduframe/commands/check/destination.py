"""What is asked of the destination: whether it can be used, and whose data the dataset holds."""

from dataclasses import dataclass
from typing import Any

from pipelines.eduframe.destinations.duckdb_file import holding_file
from pipelines.eduframe.destinations.lock import database_lock
from pipelines.eduframe.destinations.tables.scratch_table import try_out
from pipelines.eduframe.failures import cause_of
from pipelines.eduframe.pipeline import duckdb_path
from pipelines.eduframe.store.state import customer_of
from sources.eduframe.errors import EduframeError, LockedError, SettingsError


@dataclass
class Destination:
    """Where the rows go."""

    name: str
    place: str
    dataset: str
    usable: bool = False
    holds: dict[str, Any] | None = None
    """The customer whose data the dataset holds; None while it is empty."""
    message: str | None = None


def try_destination(pipeline: Any, destination: str, seconds: float) -> Destination:
    """Whether the destination can be reached and written, and whose data the dataset holds."""
    target = Destination(destination, "", pipeline.dataset_name)
    try:
        client = pipeline.destination_client()
        target.place = str(duckdb_path(pipeline) or client.config)
        with (
            database_lock(pipeline),  # so that what is removed is nobody else's
            holding_file(duckdb_path(pipeline), seconds),
        ):
            target.message = try_out(pipeline)
            target.holds = customer_of(pipeline)
        target.usable = True
    except SettingsError:
        raise
    except LockedError as error:
        target.usable = True
        target.message = f"not tried, as it is in use: {error}"
    except EduframeError as error:
        target.message = str(error)
    except Exception as error:  # each driver has exceptions of its own
        target.message = (
            f"it cannot be reached: {cause_of(error)}. Check the host, the user and the password "
            f"(DESTINATION__{destination.upper()}__CREDENTIALS), and that the user may connect"
        )
    return target
