"""Receiving an answer: its body, decompressed and counted while it comes."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

MOST_OF_AN_ERROR = 65_536
"""Bytes that are read of the body of an answer other than 200."""


BYTES_A_VALUE = 8
"""At least so many bytes of a large body must go to each of its values on average. What is parsed
takes 50 bytes and more a value, however short that is."""
SMALL = 4_000_000
"""A body of fewer bytes may be full of values."""


class TooLargeError(Exception):
    """A body is larger than it may be, or holds more values."""


class CompressionError(Exception):
    """A body's compression is broken, or one that was not asked for."""


@dataclass(frozen=True)
class Reply:
    """An answer that was received."""

    url: str
    status: int
    headers: httpx.Headers
    content: bytes
    whole: bool = True
    """Whether the body was read to its end."""

    def first(self, header: str) -> str | None:
        """A header that is to be there once; where it is there more often, the first one."""
        found = self.headers.get_list(header)
        return found[0].strip() if found else None


def receive(response: httpx.Response, url: str, most: int) -> Reply:
    """Read an answer to its end, and give its connection back.

    Raises:
        TooLargeError: the body of a 200 has more than ``most`` bytes, or a value for every eight.
        CompressionError: its compression is broken, or one that was not asked for.
        httpx.HTTPError: the connection broke, or took too long.
    """
    good = response.status_code == 200
    try:
        content, whole = _body(response, most if good else MOST_OF_AN_ERROR), True
    except (TooLargeError, CompressionError):
        if good:
            raise
        content, whole = b"", False
    finally:
        response.close()
    return Reply(url, response.status_code, response.headers, content, whole)


def _body(response: httpx.Response, most: int) -> bytes:
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and len(length) < 20 and int(length) > most:
        raise TooLargeError
    decode = _decoder(response.headers.get("Content-Encoding", ""))
    assert isinstance(response.stream, httpx.SyncByteStream)
    parts: list[bytes] = []
    size = came = 0
    for chunk in response.stream:
        came += len(chunk)
        part = decode(chunk, most - size + 1) if decode else chunk
        size += len(part)
        if size > most or came > most:
            raise TooLargeError
        parts.append(part)
    if isinstance(decode, _Inflate) and came and not decode.ended:
        raise CompressionError("the body's compression is broken")
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if size > SMALL and body.count(b",") > most // BYTES_A_VALUE:
        raise TooLargeError
    return body


Decoder = Callable[[bytes, int], bytes]
"""Decompresses the next bytes, to so many at most."""


def _decoder(encoding: str) -> Decoder | None:
    names = [n for n in encoding.lower().replace(" ", "").split(",") if n not in ("", "identity")]
    if not names:
        return None
    if names in (["gzip"], ["x-gzip"], ["deflate"]):
        return _Inflate(names[0])
    # several, one within the other, would multiply what a few bytes can become
    raise CompressionError("the body has a compression that was not asked for")


class _Inflate:
    """gzip, of one member or several; or deflate, with or without a header of zlib's."""

    def __init__(self, name: str) -> None:
        self._deflate = name == "deflate"
        self._decompressor: Any = None

    def __call__(self, data: bytes, most: int) -> bytes:
        try:
            return self._decompress(data, most)
        except zlib.error:
            raise CompressionError("the body's compression is broken") from None

    @property
    def ended(self) -> bool:
        """Whether what came is whole."""
        return bool(self._decompressor and self._decompressor.eof)

    def _decompress(self, data: bytes, most: int) -> bytes:
        found: list[bytes] = []
        size = 0
        while data and size < most:
            if self.ended and (self._deflate or not data.startswith(b"\x1f\x8b")):
                break  # zeros, or rubbish, after the end
            if self._decompressor is None or self.ended:
                self._decompressor = zlib.decompressobj(self._bits(data[0]))
            part = self._decompressor.decompress(data, most - size)
            found.append(part)
            size += len(part)
            data = self._decompressor.unused_data
        return b"".join(found)

    def _bits(self, first: int) -> int:
        if not self._deflate:
            return 16 + zlib.MAX_WBITS
        with_header = first & 0x0F == 8 and first >> 4 <= 7
        return zlib.MAX_WBITS if with_header else -zlib.MAX_WBITS
