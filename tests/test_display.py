"""Texts of others: on one line, without control characters, and without the token."""

import base64
import html
import json
from urllib.parse import quote

import pytest

from sources.eduframe.display import INSTEAD, MOST, WITHHELD, Secret, printable

TOKEN = "sEcReT-token+/0123456789"
SECRET = Secret(TOKEN)


def percent(text: str) -> str:
    return "".join(f"%{ord(char):02x}" for char in text)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SPELLINGS = {
    "plain": TOKEN,
    "upper": TOKEN.upper(),
    "lower": TOKEN.lower(),
    "percent": percent(TOKEN),
    "percent, upper": percent(TOKEN).upper(),
    "percent, in part": quote(TOKEN, safe=""),
    "percent, twice": quote(quote(TOKEN, safe=""), safe=""),
    "JSON": "".join(f"\\u{ord(char):04x}" for char in TOKEN),
    "HTML": "".join(f"&#{ord(char)};" for char in TOKEN),
    "HTML, named": html.escape(TOKEN).replace("+", "&plus;"),
    "hexadecimal": TOKEN.encode().hex(),
    "base64": in_base64(TOKEN),
    "base64 for URLs": base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    "base64 of more": in_base64(f"user:{TOKEN}"),
    "base64 of yet more": in_base64(f"Bearer {TOKEN}\n"),
    "base64, percent": quote(in_base64(TOKEN), safe=""),
    "user name": f"http://{TOKEN}@evil.example.com/x",
    "user name and password": f"http://{TOKEN[:9]}:{TOKEN[9:]}@evil.example.com/x",
    "host": f"http://{TOKEN[:12]}.{TOKEN[12:].lower()}.evil.example.com/",
    "path": f"/api/v1/{TOKEN}/loop",
    "over two lines": f"{TOKEN[:10]}\r\n {TOKEN[10:]}",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("around", ["{}", "no such token: {}, sorry", "{}" + "x" * 50_000])
def test_the_token_is_recognised_however_it_is_spelt(spelling: str, around: str) -> None:
    text = around.format(spelling)
    assert SECRET.is_in(text)
    shown = SECRET.shown(text)
    assert not SECRET.is_in(shown)
    assert shown == WITHHELD or INSTEAD in shown


@pytest.mark.parametrize("token", ["a", "1", "v1", "users"])
def test_a_short_token_is_the_whole_of_a_value(token: str) -> None:
    secret, address = Secret(token), "http://a1.example.com/api/v1/users?per_page=100&cursor="
    assert not secret.is_in(f"{address}b{token}b")
    for text in (f"{address}{token}", f"{address}{token}&page=2", f"Bearer {token}", token):
        assert secret.is_in(text)
        assert not secret.is_in(secret.shown(text))


def test_where_it_can_be_replaced_the_rest_is_shown() -> None:
    assert SECRET.shown(f"no token {TOKEN} here") == f"no token {INSTEAD} here"
    assert SECRET.shown(f"no {percent(TOKEN)}!") == f"no {INSTEAD}!"


def test_a_token_too_short_to_be_recognised_in_other_spellings_is_still_not_shown() -> None:
    assert Secret("abc").shown("say abc") == f"say {INSTEAD}"
    assert not Secret("abc").is_in("a book of recipes")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain — text, Zoë", "plain — text, Zoë"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x9b1mred\x07", "\\x1b[2J\\x9b1mred\\x07"),
        ("\u202egnp.exe\u200b\u2028", "\\u202egnp.exe\\u200b\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == SECRET.shown(text) == shown


def test_what_is_long_is_cut() -> None:
    assert printable("x" * MOST) == "x" * MOST
    assert printable("x" * 10**6) == "x" * (MOST - 1) + "…"
    assert len(printable("\x1b" * 10**6)) == MOST


def test_json_of_a_foreign_text_is_no_way_round() -> None:
    assert SECRET.shown(json.dumps({"message": TOKEN})) == f'{{"message": "{INSTEAD}"}}'
