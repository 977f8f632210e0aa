"""The vocabulary of the row models: how a JSON value of the API becomes a typed column.

A model's field says four things: its type, whether it may be null (``| None``), whether
its key may be absent (a default of ``None``), and, as metadata, what it refers to. Columns,
dlt hints, the data dictionary and the simulator all read the same metadata.

Strings that mean something more exact:

- ``Money``, ``Number``: ``DECIMAL(38, 9)``. The API sends money as a string, so nothing is
  lost on the way. More than nine decimals are rounded; the text as served stays in ``_extra``.
- ``Timestamp``: UTC. The API's format is ``yyyy-MM-ddTHH:mm:ss.SSSZ``; any offset is understood,
  a time without one is not.
- ``Date``: ``yyyy-MM-dd``.
- ``LooseTimestamp``, ``LooseDate``: the API declares these as plain strings, without a format.
  What does not parse becomes null, and stays as served in ``_extra``.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

DECIMAL_PRECISION = 38
DECIMAL_SCALE = 9
"""BigQuery's NUMERIC; every decimal column has this precision and scale, so that no
destination needs another type."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})", re.ASCII
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_QUANTUM = Decimal(1).scaleb(-DECIMAL_SCALE)


class Row(BaseModel):
    """A row of a list, or a nested object of one. Unknown fields are kept (``model_extra``)."""

    model_config = ConfigDict(
        extra="allow", coerce_numbers_to_str=True, protected_namespaces=(), allow_inf_nan=False
    )


@dataclass(frozen=True)
class OneOf:
    """The values the API knows for a string. Another value is kept, and reported."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class References:
    """A foreign key: the column holds the ``column`` of a row of ``table``."""

    table: str
    column: str = "id"


@dataclass(frozen=True)
class Loose:
    """The API declares a plain string: a value that does not parse becomes null, and is kept."""


def parse_timestamp(value: Any) -> datetime:
    """An ISO 8601 timestamp with an offset, as UTC. Raises ``ValueError`` for anything else."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a timestamp needs an offset from UTC")
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        raise ValueError("not a timestamp with an offset, such as 2026-01-31T09:30:00.000Z")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except OverflowError:
        raise ValueError("not within the years 1 to 9999") from None


def parse_date(value: Any) -> date:
    """A date written ``yyyy-MM-dd``. Raises ``ValueError`` for anything else."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("not a date such as 2026-01-31")
    return date.fromisoformat(value)


def parse_decimal(value: Any) -> Decimal:
    """A number, or a string that holds one, rounded to nine decimals.

    Raises ``ValueError`` for what is no number, or too large for ``DECIMAL(38, 9)``.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError("not a number")
    text = str(value)
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    try:
        with localcontext(prec=DECIMAL_PRECISION):
            number = Decimal(text).quantize(_QUANTUM, rounding=ROUND_HALF_EVEN)
    except InvalidOperation:
        raise ValueError(
            f"not a number that fits DECIMAL({DECIMAL_PRECISION}, {DECIMAL_SCALE})"
        ) from None
    return number


def _loosely(parse: Any) -> BeforeValidator:
    def validate(value: Any) -> Any:
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError:
            if isinstance(value, str):
                return None
            raise

    return BeforeValidator(validate)


Money = Annotated[Decimal, BeforeValidator(parse_decimal)]
Number = Annotated[Decimal, BeforeValidator(parse_decimal)]
Timestamp = Annotated[datetime, BeforeValidator(parse_timestamp)]
Date = Annotated[date, BeforeValidator(parse_date)]
LooseTimestamp = Annotated[datetime | None, Loose(), _loosely(parse_timestamp)]
LooseDate = Annotated[date | None, Loose(), _loosely(parse_date)]

CustomFields = dict[str, Any]
"""The user-defined fields of a row: slug to string, number, boolean, date, list or null."""
