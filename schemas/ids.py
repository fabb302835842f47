"""Event ids: UUIDs whose first 48 bits are a time (RFC 9562, section 5.7).

A client's id is random, or derived from its idempotency key, so that a retry has the same id.
A derived event's id is computed from what it was derived from, so that it is the same when it is
derived again.
"""

import os
import random
from hashlib import blake2b

import msgspec

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_A = (1 << 12) - 1
_RANDOM_B = (1 << 62) - 1

# Ids are no secrets, so they are worth no system call each: a generator seeded by the system, one of
# our own since anybody may seed the shared one, and seeded again where a process forks.
_random = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=_random.seed)


def uuid7(time_ms: int) -> str:
    """A fresh UUIDv7 for a time in milliseconds since 1970."""
    return _layout(time_ms, _random.getrandbits(74))


def derived_id(time_ms: int, *parts: str | int | bytes) -> str:
    """A UUID with version 7's layout that is the same whenever time and parts are."""
    # msgpack writes lengths, so ("ab", "c") and ("a", "bc") are told apart whatever is in them.
    hashed = blake2b(msgspec.msgpack.encode(parts), digest_size=10).digest()
    return _layout(time_ms, int.from_bytes(hashed) >> 6)


def _layout(time_ms: int, bits: int) -> str:
    """Time and 74 other bits in UUIDv7's layout, written the usual way."""
    value = (
        (time_ms & (1 << 48) - 1) << 80
        | _VERSION_7
        | (bits >> 62 & _RANDOM_A) << 64
        | _VARIANT
        | bits & _RANDOM_B
    )
    h = f"{value:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
