"""Anonymous visitors: told apart within a day, by hashes whose salt does not outlive it.

A salt lives for one UTC day and, for what arrives late, a grace. One day of it is plenty, as clicks
are hashed before they are written anywhere, the spill included. What is still later, or far ahead
of the clock, gets a salt that only this process has and forgets at the end of the day: it counts,
but a visitor seen before counts again.
"""

from collections.abc import Callable
from datetime import date
from hashlib import blake2b
from os import urandom
from typing import Protocol

from connectors.vault.framing import framed

SALT_GRACE_DAYS = 1
SALT_BYTES = 32

# 64 bits: among 10 million visitors of a day, one in 370,000 days has two with the same hash.
_HASH_BYTES = 8
_DAYS_AHEAD = 1  # other clocks may be ahead of ours around midnight
_DAY_S = 86_400
_EPOCH = date(1970, 1, 1).toordinal()


class VisitorHasher(Protocol):
    """Hashes a visitor's traits."""

    def __call__(self, day: date, /, *traits: str) -> str:
        """The hash of a visitor on a UTC day: 16 hexadecimal digits."""


def visitor_hash(salt: bytes, traits: tuple[str, ...]) -> str:
    """Traits as 16 hexadecimal digits, by BLAKE2b keyed with a salt (RFC 7693)."""
    return blake2b(framed(*traits), key=salt, digest_size=_HASH_BYTES).hexdigest()


def visitor_hasher() -> VisitorHasher:
    """Hashes with random salts that exist only in this hasher: for imports."""
    salts: dict[date, bytes] = {}

    def visitor(day: date, /, *traits: str) -> str:
        return visitor_hash(salts.get(day) or salts.setdefault(day, urandom(SALT_BYTES)), traits)

    return visitor


class DailySalts:
    """The salts of the days around today, kept in memory as long as they may live."""

    def __init__(
        self, fetch: Callable[[date, date], bytes], clock: Callable[[], float], grace_days: int
    ) -> None:
        """Begin without any salt.

        Args:
            fetch: gives the stored salt of a day, or makes one and drops those of days before
                another; it may take its time.
            clock: seconds since 1970.
            grace_days: for how many days after its own a salt is kept.
        """
        self._fetch = fetch
        self._clock = clock
        self._grace_days = grace_days
        self._today = 0  # days since 1970
        self._salts: dict[date, bytes] = {}

    def visitor(self, day: date, traits: tuple[str, ...]) -> str:
        """The hash of a visitor on a UTC day."""
        today = int(self._clock()) // _DAY_S
        if today != self._today:
            self._salts = {}
            self._today = today
        return visitor_hash(self._salts.get(day) or self._salt(day), traits)

    def oldest(self) -> date:
        """The first day whose salt may still exist."""
        return date.fromordinal(_EPOCH + int(self._clock()) // _DAY_S - self._grace_days)

    def _salt(self, day: date) -> bytes:
        salts = self._salts  # another thread may turn the day while we fetch
        age_days = _EPOCH + self._today - day.toordinal()
        if -_DAYS_AHEAD <= age_days <= self._grace_days:
            return salts.setdefault(day, self._fetch(day, self.oldest()))
        return salts.setdefault(day, urandom(SALT_BYTES))
