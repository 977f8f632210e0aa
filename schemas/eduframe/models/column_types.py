"""The vocabulary of the row models: how a JSON value of the API becomes a typed column.

A model's field says its type, whether it may be null (``| None``), whether its key may be absent
(a default of ``None``), what it means (``Field(description=…)``), and, as metadata, what else is
to be known of it:

- ``OneOf``: the values that the API knows, each with its meaning;
- ``References``, ``ReferencesBy``, ``Unfollowed``: where an id leads, or why it cannot be followed;
- ``Personal``: what kind of personal data it is;
- ``Derived``: that Eduframe computes it.

Columns, dlt hints, the data dictionary and the simulator all read the same metadata. The API's
description has types, and hardly a word on meaning: where a text is our reading of it, it says so.

A value that does not fit costs its field, never its row: the column is null, and the value stays,
as served, in the row's ``_extra``. The functions ``parse_…`` say what fits:

- whole numbers: also a string or a number with decimals that plainly is one, of 64 bits;
- texts: also numbers;
- ``Money``, ``Number``: ``DECIMAL(38, 9)``. The API sends money as a string, so nothing is
  lost on the way. More than nine decimals are rounded; the text as served stays in ``_extra``.
- ``Timestamp``: UTC. The API's format is ``yyyy-MM-ddTHH:mm:ss.SSSZ``; any offset is understood,
  a time without one is not.
- ``Date``: ``yyyy-MM-dd``.
- ``LooseTimestamp``, ``LooseDate``: the API declares these as plain strings, without a format, so
  they may be null.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

DECIMAL_PRECISION = 38
DECIMAL_SCALE = 9
"""BigQuery's NUMERIC; every decimal column has this precision and scale, so that no
destination needs another type."""

BIGINT = range(-(2**63), 2**63)

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):\d{2})(:\d{2})?(\.\d+)?"
    r" ?(Z|UTC|[+-]\d{2}:?\d{2})",
    re.ASCII | re.IGNORECASE,
)
_INTEGER = re.compile(r"[+-]?\d{1,40}(\.0+)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_QUANTUM = Decimal(1).scaleb(-DECIMAL_SCALE)
_DECIMALS = Context(prec=DECIMAL_PRECISION, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])
_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


class OutOfRangeError(ValueError):
    """A value of the right type that is too large, or too small, for its column."""


class Row(BaseModel):
    """A row of a list, or a nested object of one. Unknown fields are kept (``model_extra``)."""

    model_config = ConfigDict(
        extra="allow", coerce_numbers_to_str=True, protected_namespaces=(), allow_inf_nan=False
    )


@dataclass(frozen=True)
class OneOf:
    """The values the API knows for a string, with their meanings. Another is kept, and reported.

    The API only names them, so meanings are our reading. Where ``standard`` says what all of them
    are (country codes), single ones have none.
    """

    values: tuple[str, ...]
    meanings: tuple[str, ...] = ()
    standard: str | None = None

    def __init__(self, meanings: Mapping[str, str]) -> None:
        object.__setattr__(self, "values", tuple(meanings))
        object.__setattr__(self, "meanings", tuple(meanings.values()))

    @classmethod
    def codes(cls, standard: str, values: Iterable[str]) -> "OneOf":
        """Values whose meaning stands elsewhere."""
        made = cls(dict.fromkeys(values, ""))
        object.__setattr__(made, "meanings", ())
        object.__setattr__(made, "standard", standard)
        return made


@dataclass(frozen=True)
class References:
    """A foreign key: the column holds the ``column`` of a row of ``table``.

    ``also`` has further columns that must agree, as pairs of own and other; ``where`` columns of
    the other row with the value that they must have.
    """

    table: str
    column: str = "id"
    also: tuple[tuple[str, str], ...] = ()
    where: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ReferencesBy:
    """One of a pair: where the column leads is told by the value in ``type_column``.

    ``cases`` has the reference by that value, or None for rows that no list of the API has. A
    table's name stands for its ``id``.
    """

    type_column: str
    cases: tuple[tuple[str, References | None], ...]

    def __init__(
        self, type_column: str, cases: Mapping[str, "References | str | None"]
    ) -> None:
        object.__setattr__(self, "type_column", type_column)
        found = {v: References(to) if isinstance(to, str) else to for v, to in cases.items()}
        object.__setattr__(self, "cases", tuple(found.items()))


@dataclass(frozen=True)
class Unfollowed:
    """The column holds an id of something that is in no table, for this reason."""

    why: str


PersonalKind = Literal[
    "name", "contact", "address", "birth", "identifier", "free text", "money", "judgement"
]


@dataclass(frozen=True)
class Personal:
    """The column holds personal data of this kind.

    ``identifier`` is what others know a person by (a student number, a login), not Eduframe's ids;
    ``free text`` may hold anything somebody typed about a person; ``money`` is what somebody pays
    or owes, not what a course costs; ``judgement`` is what others make of a person.
    """

    kind: PersonalKind


@dataclass(frozen=True)
class Derived:
    """Eduframe computes the value from other rows, or from the time: it may change without the
    row's ``updated_at``, and so be behind here until its list is next compared by content."""


@dataclass(frozen=True)
class Loose:
    """The API declares a plain string, without a format: it may hold anything, so nothing too."""


def parse_int(value: Any) -> int:
    """A whole number, or a string or a number with decimals that plainly is one.

    Raises:
        OutOfRangeError: it needs more than 64 bits.
        ValueError: it is no whole number.
    """
    whole = (
        type(value) is int
        or (isinstance(value, str) and _INTEGER.fullmatch(value.strip()))
        or (isinstance(value, float | Decimal) and _is_whole(Decimal(value)))
    )
    if not whole:
        raise ValueError("not a whole number")
    number = value if type(value) is int else Decimal(value)
    if not BIGINT[0] <= number <= BIGINT[-1]:
        raise OutOfRangeError("too large for a 64-bit integer")
    return int(number)


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def parse_bool(value: Any) -> bool:
    """Yes or no, as JSON has it or in one of the usual words. Raises ``ValueError`` otherwise."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise ValueError("neither yes nor no")


def parse_text(value: Any) -> str:
    """A text; a number as it is written. Raises ``ValueError`` for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    raise ValueError("not a text")


def parse_timestamp(value: Any) -> datetime:
    """An ISO 8601 timestamp with an offset (or ``UTC``), as UTC; second 60 is the next minute's 0.

    Raises:
        OutOfRangeError: in UTC it is not within the years 1 to 9999.
        ValueError: it is anything else.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a timestamp needs an offset from UTC")
        return value.astimezone(UTC)
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a timestamp with an offset, such as 2026-01-31T09:30:00.000Z")
    minute, _, second, fraction, offset = found.groups(default="")
    if fraction and not second:
        raise ValueError("not a timestamp: a fraction of a minute")
    leap = second == ":60"
    offset = "Z" if offset.upper() in ("Z", "UTC") else offset
    moment = datetime.fromisoformat(f"{minute}{':59' if leap else second}{fraction}{offset}")
    try:
        return moment.astimezone(UTC) + timedelta(seconds=leap)
    except OverflowError:
        raise OutOfRangeError("not within the years 1 to 9999") from None


def parse_date(value: Any) -> date:
    """A date written ``yyyy-MM-dd``. Raises ``ValueError`` for anything else."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("not a date such as 2026-01-31")
    return date.fromisoformat(value)


def parse_decimal(value: Any) -> Decimal:
    """A number, or a string that holds one, rounded to nine decimals.

    Raises:
        OutOfRangeError: it is too large for ``DECIMAL(38, 9)``.
        ValueError: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError("not a number")
    text = str(value)
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    try:
        return _DECIMALS.quantize(Decimal(text), _QUANTUM)
    except InvalidOperation:
        raise OutOfRangeError(
            f"not a number that fits DECIMAL({DECIMAL_PRECISION}, {DECIMAL_SCALE})"
        ) from None


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

CustomFields = Annotated[dict[str, Any], Personal("free text")]
"""The user-defined fields of a row: slug to string, number, boolean, date, list or null."""

# Texts and amounts that say something about a person.

Name = Annotated[str, Personal("name")]
Contact = Annotated[str, Personal("contact")]
Identifier = Annotated[str, Personal("identifier")]
FreeText = Annotated[str, Personal("free text")]
Judgement = Annotated[str, Personal("judgement")]
Amount = Annotated[Money, Personal("money")]
