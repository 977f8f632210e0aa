"""JSON: what is odd costs one value, and numbers keep their digits."""

from decimal import Decimal
from typing import Any

import pytest

from sources.eduframe.http.body import DEEPEST, read_json
from sources.eduframe.rows.json_text import dump_json


def read(value: str) -> Any:
    """A value, served in a row beside others."""
    (row,), _ = read_json(f'[{{"id": 1, "v": {value}, "w": "ok"}}]'.encode())
    assert (row["id"], row["w"]) == (1, "ok")
    return row["v"]


@pytest.mark.parametrize(
    "digits",
    [
        *("12345678901234567890123", "-9223372036854775809", "18446744073709551616", "9" * 300),
        *("1234567890123456.789", "-1234567890123456.789", "9007199254740993.5"),
        *("0.12345678901234567891", "[1,12345678901234567890123]", '{"a":1234567890123456.789}'),
    ],
)
def test_numbers_keep_their_digits(digits: str) -> None:
    value = read(digits)
    assert dump_json(value) == digits
    assert not read_json(f"[{digits}]".encode())[1]


@pytest.mark.parametrize(
    ("served", "value"),
    [
        *(("1", 1), ("-1.5", -1.5), ("1e3", 1000.0), ("0.1", 0.1), ("9007199254740993", 2**53 + 1)),
        *(("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63))),
        *(("0.1234567890123456", 0.1234567890123456), ("1234567890123.45", 1234567890123.45)),
        ('"12345678901234567890123"', "12345678901234567890123"),
        ('"a: 12345678901234567890123"', "a: 12345678901234567890123"),
    ],
)
def test_what_is_exact_already_is_an_ordinary_number(served: str, value: Any) -> None:
    assert (read(served), type(read(served))) == (value, type(value))


def test_numbers_of_more_digits_than_fit_are_decimals() -> None:
    assert read("1234567890123456.789") == Decimal("1234567890123456.789")
    assert read("1234567890123.4567e3") == Decimal("1234567890123456.7")
    assert read("12345678901234567e-3") == Decimal("12345678901234.567")


@pytest.mark.parametrize("served", ["9" * 400, "-" + "9" * 5000, "1e999", "0." + "1" * 5000, "NaN"])
def test_a_number_beyond_any_column_is_its_own_text(served: str) -> None:
    assert read(served) == served
    assert read_json(served.encode()) == (served, True)


@pytest.mark.parametrize("levels", [1_100, 50_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}"), ('["[\\"",', "]")])
def test_what_nests_too_deeply_is_text_where_it_does(left: str, right: str, levels: int) -> None:
    served = left * levels + "1" + right * levels
    value, depth = read(served), 3
    while not isinstance(value, str):
        value = value["a"] if isinstance(value, dict) else value[-1]
        depth += 1
    assert depth == DEEPEST + 1
    assert served.replace(value, "").count(left) == DEEPEST - 2


def test_deep_values_with_long_numbers_are_read_too() -> None:
    served = "[" * 990 + "12345678901234567890123" + "]" * 990
    assert "12345678901234567890123" in str(read(served))


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf[{"a": "\xc3\xa9"}]',
        '[{"a": "é"}]'.encode("utf-16"),
        '[{"a": "é"}]'.encode("utf-16-le"),
        '[{"a": "é"}]'.encode("utf-32"),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_text(body: bytes) -> None:
    assert read_json(body) == ([{"a": "é"}], False)


def test_a_body_that_is_no_utf_8_is_read_as_its_header_says_if_that_is_likely() -> None:
    assert read_json(b'["\xe9"]', "ISO-8859-1")[0] == ["é"]
    assert read_json(b'["\xc3\xa9"]', "ISO-8859-1")[0] == ["é"]
    for charset in (None, "utf-8", "base64", "idna", "rot13", "utf-7"):
        with pytest.raises(ValueError, match="UTF-8"):
            read_json(b'["\xe9"]', charset)


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[" * 2000, b"[" * 200_000, b'["\x01"]', b"[1}", b"\0"]
)
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="char"):
        read_json(body)


@pytest.mark.parametrize(
    ("served", "value"),
    [
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\\ud800", r"\ud800"),
        (r"a\ud83db\udfff", "a\ufffdb\ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\u00e9\n\"\ud800", 'é\n"\ufffd'),
    ],
)
def test_half_of_a_character_is_replaced_alone(served: str, value: str) -> None:
    assert read(f'"{served}"') == value
