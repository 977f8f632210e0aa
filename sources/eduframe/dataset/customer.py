"""Whose data it is: a token of another customer is refused before a row is read."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sources.eduframe.dataset.stored_rows import StoredRows
from sources.eduframe.endpoints import IDENTITY
from sources.eduframe.errors import (
    EduframeError,
    NoAnswerError,
    OtherCustomerError,
    ProxyError,
    ReadFailedError,
    ResourceOffError,
    StoppedError,
    UnreachableError,
)
from sources.eduframe.http.answers import Answer
from sources.eduframe.http.client import Client
from sources.eduframe.limits.traffic import Traffic


def identify(
    client: Client,
    dataset: str,
    stored: dict[str, Any] | None,
    traffic: Traffic,
    note: Callable[[str], object],
) -> tuple[dict[str, Any] | None, Answer | None]:
    """Whose data the token reads, and that the dataset is theirs, before a row is read.

    Returns what to store with the dataset, and the answer, which is also the ``educators`` row.
    ``stored`` is whose data it holds, by its state or its rows. ``note`` gets what cannot be told.

    Raises:
        OtherCustomerError: the dataset holds the data of another educator or host.
        UnreachableError: there is no connection to the API.
        AuthenticationError: the token is not accepted.
    """
    host = urlsplit(client.base_url).hostname
    answer: Answer | None = None
    try:
        answer = client.get(IDENTITY, expect="object", traffic=traffic)
    except (ReadFailedError, ResourceOffError) as error:
        _give_up_if_unreachable(client, error)
        note(f"whose data this is cannot be told: {IDENTITY}: {error}")
    except StoppedError:
        return stored, None
    educator = answer.data.get("id") if answer else (stored or {}).get("educator_id")
    if stored and (stored.get("educator_id"), stored.get("host")) != (educator, host):
        raise OtherCustomerError(
            f"The dataset {dataset} holds the data of educator "
            f"{stored.get('educator_id')} at {stored.get('host')}, but the token reads "
            f"educator {client.shown(str(educator))} at {host}. Nothing was read. Use another "
            "dataset (--dataset, or dataset_name of a pipeline of your own), or the token of that "
            "educator."
        )
    if educator is None:
        return stored, answer
    return {"educator_id": educator, "host": host}, answer


def customer_by_rows(stored: StoredRows, client: Client) -> dict[str, Any] | None:
    """Whose data the dataset holds, by its rows, where no state tells; None: nobody's."""
    sql = f"SELECT {stored.column('id')} FROM {stored.name('educators')} LIMIT 1"
    for rows in stored.query(sql):
        for educator in rows.column(0).to_pylist():
            return {"educator_id": educator, "host": urlsplit(client.base_url).hostname}
    return None


def _give_up_if_unreachable(client: Client, error: EduframeError) -> None:
    if isinstance(error.__cause__, NoAnswerError):
        raise UnreachableError(
            f"Cannot reach {urlsplit(client.base_url).netloc}: {error.__cause__}. {advice(error)}."
        ) from error


def advice(error: EduframeError) -> str:
    """What to look at where nothing can be read."""
    if isinstance(error.__cause__, ProxyError):
        return "Check the proxy (HTTPS_PROXY or ALL_PROXY); NO_PROXY names hosts that need none"
    return "Check the network, and base_url (SOURCES__EDUFRAME__BASE_URL)"
