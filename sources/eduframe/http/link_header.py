"""``Link`` headers, by RFC 8288 (Web Linking), appendix B.2 and B.3.

Names of parameters and relation types have no case, a value may hold several types, values may
go without quotes, and commas, semicolons and ``=`` may stand within ``<…>`` and quotes. On PyPI
there is no parser that is still kept: httplink's last release is of 2020, linkheader-parser's of
2019, LinkHeader's of 2015; httpx's ``response.links`` splits at every comma and semicolon.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin

_ADDRESS = re.compile(r"<([^>]*)>")
_PARAMETER = re.compile(
    r"""\s* ; \s* ([^\s=;,]*)                                  # ; name
        (?: \s* = \s* (?: "((?:[^"\\]|\\.)*)"? | ([^;,]*) ) )?   # = "quoted" or token
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_TO_PARSE = re.compile(r"[#\[\]\s]|/\.")
"""What a whole address may hold that has to be looked at: a fragment, dots, an odd host."""
_BETWEEN = re.compile(r"[\s,]+")
"""White space between relation types; some write commas, or single quotes around them."""
_NEXT = re.compile(r"(?<![\w/.:#%-])next(?![\w/.:#%-])", re.IGNORECASE)
"""The word by itself: no part of an address, or of another relation type."""


@dataclass(frozen=True)
class Link:
    """A link of a header: where to, and as what."""

    target: str
    """An address, which may be relative."""
    relations: frozenset[str]
    """Its relation types, in lower case."""
    anchor: str | None = None
    """What it is a link of, if that is not the answer's own address."""


def parse_links(header: str) -> tuple[list[Link], list[str]]:
    """The links of one header, and the parts of it that say nothing of the kind of a link.

    What cannot be read does not keep the links after it from being read.
    """
    links, unread = [], []
    position = 0
    while position < len(header):
        start = header.find("<", position)
        address = _ADDRESS.match(header, start) if start >= 0 else None
        if address is None:
            unread.append(header[position:])
            break
        unread.append(header[position:start])
        position = address.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            name, quoted, token = parameter.groups()
            value = _QUOTED_PAIR.sub(r"\1", quoted) if quoted is not None else token or ""
            if value and name.lower() not in parameters:
                parameters[name.lower()] = value
            else:
                unread.append(f"{name} {value}")  # only the first of a name counts
        links.append(
            Link(
                address[1].strip(),
                frozenset(_BETWEEN.split(parameters.get("rel", "").lower().strip("', \t"))),
                parameters.get("anchor"),
            )
        )
    return links, [part for part in unread if part.strip(" \t,")]


def next_address(headers: Iterable[str], url: str) -> str | None:
    """The address of the page after the one at ``url``, or None if nothing speaks of one.

    Raises:
        ValueError: the headers speak of a next page, and yield no address of it.
    """
    doubtful = False
    for header in headers:
        links, unread = parse_links(header)
        for link in links:
            if "next" not in link.relations:
                doubtful |= any(map(_NEXT.search, link.relations))
            elif link.target and (link.anchor is None or _same(url, link.anchor)):
                return _resolved(url, link.target)
            else:
                doubtful = True
        doubtful |= any(map(_NEXT.search, unread))
    if doubtful:
        raise ValueError("a Link header speaks of a next page, and yields no address of it")
    return None


def _same(url: str, anchor: str) -> bool:
    return _resolved(url, anchor) == url


def _resolved(url: str, target: str) -> str:
    """Where a target leads from an address. Most are whole already, and need no parsing."""
    if target.startswith(("https://", "http://")) and not _TO_PARSE.search(target):
        return target
    return urldefrag(urljoin(url, target)).url
