"""A set that forgets what its members are: the filter in front of the aliases.

It says of no member that it is missing, and of few others that they are present.
"""

from collections.abc import Iterator
from hashlib import blake2b
from math import ceil, log

# Each slice has four times the room of the one before and half its rate of false positives, so all
# slices together stay below twice the first one's.
_GROWTH = 4
_TIGHTENING = 0.5


class BloomFilter:
    """A Bloom filter that grows with its contents.

    Slices of growing size: Almeida, Baquero, Preguiça and Hutchison, "Scalable Bloom Filters"
    (Information Processing Letters, 2007). All bit positions come from two hashes: Kirsch and
    Mitzenmacher, "Less Hashing, Same Performance" (ESA 2006), section 5.2.

    Args:
        expected_items: room of the first slice.
        false_positive_rate: never exceeded on average, however many items are added.
    """

    def __init__(self, expected_items: int, false_positive_rate: float) -> None:
        self._slices = [_Slice(expected_items, false_positive_rate * (1 - _TIGHTENING))]

    def add(self, item: bytes) -> None:
        """Add an item; adding it again changes nothing."""
        first, second = _hashes(item)
        if any(part.has(first, second) for part in self._slices):
            return
        newest = self._slices[-1]
        if newest.items == newest.capacity:
            newest = _Slice(newest.capacity * _GROWTH, newest.rate * _TIGHTENING)
            self._slices.append(newest)
        newest.add(first, second)

    def __contains__(self, item: bytes) -> bool:
        first, second = _hashes(item)
        for part in self._slices:  # noqa: SIM110 - `any` takes half as long again
            if part.has(first, second):
                return True
        return False

    def __len__(self) -> int:
        """How many items were added that did not seem to be present already."""
        return sum(part.items for part in self._slices)

    @property
    def size_bytes(self) -> int:
        """The memory that the bits take."""
        return sum(part.size_bytes for part in self._slices)


class _Slice:
    """A Bloom filter of fixed size."""

    def __init__(self, capacity: int, rate: float) -> None:
        self.capacity = capacity
        self.rate = rate
        self.items = 0
        self._probes = ceil(-log(rate, 2))
        self._bits = ceil(-capacity * log(rate) / log(2) ** 2)
        self._bytes = bytearray(self._bits // 8 + 1)

    @property
    def size_bytes(self) -> int:
        return len(self._bytes)

    def add(self, first: int, second: int) -> None:
        for bit in self._positions(first, second):
            self._bytes[bit >> 3] |= 1 << (bit & 7)
        self.items += 1

    def has(self, first: int, second: int) -> bool:
        bits, array = self._bits, self._bytes
        for _ in range(self._probes):  # `_positions` written out: this runs for every redirect
            bit = first % bits
            if not array[bit >> 3] >> (bit & 7) & 1:
                return False
            first += second
        return True

    def _positions(self, first: int, second: int) -> Iterator[int]:
        return ((first + i * second) % self._bits for i in range(self._probes))


def _hashes(item: bytes) -> tuple[int, int]:
    return divmod(int.from_bytes(blake2b(item, digest_size=16).digest()), 1 << 64)
