"""``Link`` headers: the RFC's examples, and the spellings that servers find."""

import pytest

from sources.eduframe.http.link_header import Link, next_address, parse_links

PAGE = "https://api.example.com/api/v1/labels"
NEXT = f"{PAGE}?cursor=abc"


def link(target: str, *relations: str, anchor: str | None = None) -> Link:
    return Link(target, frozenset(relations), anchor)


@pytest.mark.parametrize(
    ("header", "links"),
    [  # RFC 8288, section 3.5; then sections 3 and 3.3
        (
            '<http://example.com/TheBook/chapter2>; rel="previous"; title="previous chapter"',
            [link("http://example.com/TheBook/chapter2", "previous")],
        ),
        ('</>; rel="http://example.net/foo"', [link("/", "http://example.net/foo")]),
        ('</terms>; rel="copyright"; anchor="#foo"', [link("/terms", "copyright", anchor="#foo")]),
        (
            "</TheBook/chapter2>; rel=\"previous\"; title*=UTF-8'de'letztes%20Kapitel, "
            "</TheBook/chapter4>; rel=\"next\"; title*=UTF-8'de'n%c3%a4chstes%20Kapitel",
            [link("/TheBook/chapter2", "previous"), link("/TheBook/chapter4", "next")],
        ),
        (
            '<http://example.org/>; rel="start http://example.net/relation/other"',
            [link("http://example.org/", "start", "http://example.net/relation/other")],
        ),
        (
            '<https://example.org/>; rel="start", <https://example.org/index>; rel="index"',
            [link("https://example.org/", "start"), link("https://example.org/index", "index")],
        ),
        ('<a>; REL=Next ; rel="last"', [link("a", "next")]),
        ("", []),
    ],
)
def test_links_are_read_as_the_rfc_has_them(header: str, links: list[Link]) -> None:
    assert parse_links(header)[0] == links


@pytest.mark.parametrize(
    "header",
    [
        *(f'<{NEXT}>; rel="next"', f"<{NEXT}>; rel=next", f'<{NEXT}>;REL="NEXT"'),
        *(f'<{NEXT}>; rel="Next"', f'<{NEXT}>; rel="next last"', f'<{NEXT}>; rel=" last  next "'),
        *(f'<{NEXT}>; rel="next",', f', <{NEXT}>; rel="next"', f'<{NEXT}> ; rel = "next" ;'),
        *(f"< {NEXT} >; rel='next'", "<?cursor=abc>; rel=next", f'<{NEXT}#top>; rel="next'),
        f'<{NEXT}>; title="a; rel=\\"prev\\", <b>"; rel="next"; crossorigin',
        f'<{PAGE}?a=1,2;b=rel="prev">; rel=prev,<{NEXT}>; x="=;,"; rel=next',
        f'<{NEXT}>; rel="next"; anchor=""',
        f"nonsense, <{NEXT}>; rel=next",
    ],
)
def test_the_next_page_is_found_however_it_is_spelt(header: str) -> None:
    assert next_address([header], PAGE) == NEXT


def test_several_headers_are_read_each_by_itself() -> None:
    assert next_address([f'<{PAGE}>; title="', f"<{NEXT}>; rel=next"], PAGE) == NEXT


def test_commas_semicolons_and_equals_signs_belong_to_an_address() -> None:
    target = f"{PAGE}?ids=1,2;3&cursor=YWJj=="
    assert next_address([f'<{target}>; rel="next"'], PAGE) == target


@pytest.mark.parametrize(
    "header",
    [
        *("", ",", f'<{PAGE}>; rel="prev"', f'<{PAGE}?to=next>; rel="first"', f"<{PAGE}>"),
        *(f'<{PAGE}>; rel="next-archive"', f'<{PAGE}>; rel="https://example.com/rel/next"'),
        f'<{PAGE}>; rel="last"; title="the next one"',
    ],
)
def test_what_does_not_speak_of_a_next_page_is_the_last(header: str) -> None:
    assert next_address([header], PAGE) is None


@pytest.mark.parametrize(
    "header",
    [
        *("rel=next", f"{NEXT}; rel=next", f"<{NEXT}; rel=next", '<>; rel="next"'),
        *(f"<{NEXT}>; next", f"<{NEXT}>; rel=last; rel=next", "<http://[::1>; rel=next"),
        *(f'<{NEXT}>; rel="next|last"', f'<{NEXT}>; rel="next"; anchor="/other"', "next"),
        f"<{PAGE}>; rel=prev <{NEXT}>; rel=next",
    ],
)
def test_what_speaks_of_a_next_page_without_an_address_is_an_error(header: str) -> None:
    with pytest.raises(ValueError, match=r"next page|Invalid"):
        next_address([header], PAGE)


def test_a_header_of_nothing_but_brackets_is_read_in_one_go() -> None:
    assert parse_links("<" * 100_000)[0] == []
