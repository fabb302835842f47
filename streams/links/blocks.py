"""Which counter values become keys where: blocks, granted by the log without any other agreement.

A gateway gets a block by appending a record to its region's one-partition topic: the record's offset
plus the base is the block's number, and no two records have the same offset. Regions divide the
counters of all keys among themselves:

    16 regions of 220,100,912,888 counters, or 220 million blocks of 1,000, each;
    at 1,000 new links a second, seven years for every region.

A restored backup or a migration starts a log whose offsets were used before: the base must then be
raised above every block that may ever have been granted.
"""

from collections import deque
from dataclasses import dataclass

from streams.errors import KeysExhausted, RuleBroken
from streams.links.keys import KEYS

REGIONS = 16
REGION_CAPACITY = KEYS // REGIONS
MIN_BLOCK_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of one region.

    Attributes:
        region: in `range(REGIONS)`; no two regions have the same one.
        base: the number of the block that offset 0 stands for.
        size: counters in a block. Never lowered without raising the base in proportion, since a
            block's counters start at its number times this size.

    Raises:
        RuleBroken: an attribute is out of its range.
    """

    region: int
    base: int = 0
    size: int = MIN_BLOCK_SIZE

    def __post_init__(self) -> None:
        if self.region not in range(REGIONS):
            raise RuleBroken("region", f"choose a number from 0 to {REGIONS - 1}")
        if self.base < 0:
            raise RuleBroken("base", "a block's number is never negative: choose 0 or more")
        if self.size < MIN_BLOCK_SIZE:
            raise RuleBroken("size", f"choose at least {MIN_BLOCK_SIZE}")

    def counters(self, offset: int) -> range:
        """The counters that the record at an offset grants.

        Raises:
            KeysExhausted: the region has granted all that it has.
        """
        first = (self.base + offset) * self.size
        if first + self.size > REGION_CAPACITY:
            raise KeysExhausted(
                f"region {self.region} has used up its {REGION_CAPACITY:,} keys: "
                "give new gateways another region"
            )
        start = self.region * REGION_CAPACITY + first
        return range(start, start + self.size)

    def granted(self, counter: int, end_offset: int) -> bool:
        """Whether a counter lies in a block granted before an offset, or below the base.

        What this denies has no link. Where several regions' topics can be read, ask each.
        """
        region, within = divmod(counter, REGION_CAPACITY)
        return region == self.region and within < (self.base + end_offset) * self.size


class Allocator:
    """Hands out the counters of granted blocks, each once."""

    def __init__(self, low_water: int = MIN_BLOCK_SIZE // 2) -> None:
        self._low_water = low_water
        self._counters: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._counters)

    @property
    def low(self) -> bool:
        """Whether it is time to fetch another block."""
        return len(self._counters) < self._low_water

    def grant(self, counters: range) -> None:
        """Take a block that was granted to this gateway."""
        self._counters.extend(counters)

    def take(self) -> int | None:
        """The next counter; None if a block has to be granted first."""
        return self._counters.popleft() if self._counters else None
