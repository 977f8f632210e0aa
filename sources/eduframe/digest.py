"""Numbers that stand for texts and keys, and tell nothing of them."""

import hashlib
from typing import Any


def hash_text(text: str) -> int:
    """A positive 56-bit hash of a text; also the number that stands for a text key."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def key_id(key: tuple[Any, ...]) -> int:
    """The number of one key, the same that ``rows.keys.key_ids`` gives it."""
    if len(key) == 1 and isinstance(key[0], int):
        return key[0]
    return hash_text("\x1f".join(str(part) for part in key))
