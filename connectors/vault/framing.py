"""Several values as bytes from which they can be told apart again, and keyed hashes."""

from hashlib import blake2b

import msgspec


def framed(*parts: object) -> bytes:
    """An unambiguous encoding (MessagePack), to hash or authenticate: ("a", "bc") ≠ ("ab", "c")."""
    return _encode(parts)


_encode = msgspec.msgpack.Encoder().encode


def keyed_hash(key: bytes, purpose: str, data: bytes) -> bytes:
    """32 bytes of BLAKE2b (RFC 7693); the same data for another purpose has an unrelated hash."""
    return blake2b(framed(purpose, data), key=key, digest_size=32).digest()
