"""One short digest for texts: it stands for text keys, tokens and names, and tells nothing."""

import hashlib


def hash_text(text: str) -> int:
    """A positive 56-bit hash of a text; also the number that stands for a text key."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest, "big")
