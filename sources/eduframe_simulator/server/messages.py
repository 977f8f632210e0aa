"""What comes in and what goes out, apart from the socket."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

import orjson

Delivery = Literal["whole", "reset", "reset_body", "short_body", "stall_body"]
"""How an answer reaches the client; everything but ``whole`` breaks it on the way."""


@dataclass(slots=True)
class Request:
    """A request as it was logged. ``status`` is 0 until it is answered."""

    method: str
    path: str
    """Without the base URL's path, such as ``/orders``."""
    query: Mapping[str, list[str]]
    at: float
    """When it arrived, on the monotonic clock."""
    status: int = 0
    fault: str | None = None
    """The kind of the injected fault that it met."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """With names in lower case."""


@dataclass(slots=True)
class Answer:
    """An answer, and how to deliver it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = "whole"
    delay: float = 0.0
    """Seconds to wait before it is sent, or, where it stalls in the body, half-way."""


def json_answer(body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """A good answer."""
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(200, body, kind | (headers or {}))


def error(status: int, message: str | None = None) -> Answer:
    """An answer with the API's error body."""
    text = message or HTTPStatus(status).phrase
    body = {"errors": {}, "code": status, "message": text}
    return Answer(status, orjson.dumps(body), {"Content-Type": "application/json; charset=utf-8"})
