"""The log's port: append, read from a position, follow."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol, overload

from schemas.topic import Topic
from streams.errors import BadPosition


class Position(NamedTuple):
    """Where a record is: written `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read what `str` writes.

        Raises:
            BadPosition: the text is no position.
        """
        topic, _, rest = text.partition("/")
        partition, _, offset = rest.partition("/")
        if not (topic and partition.isdecimal() and offset.isdecimal()):
            raise BadPosition(f"{text!r} is no position: write it as topic/partition/offset")
        return cls(topic, int(partition), int(offset))


class Entry(NamedTuple):
    """A record that is not in the log yet."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes


class Positions(Sequence[Position]):
    """The positions of entries that were appended together, made as they are asked for.

    Most callers want one or none of them, and a thousand tuples cost more than their append.
    """

    __slots__ = ("_entries", "_offsets")

    def __init__(self, entries: Sequence[Entry], offsets: Sequence[int]) -> None:
        self._entries = entries
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> Position: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Position]: ...
    def __getitem__(self, index: int | slice) -> Position | Sequence[Position]:
        if isinstance(index, slice):
            return Positions(self._entries[index], self._offsets[index])
        topic, partition, _, _ = self._entries[index]
        return Position(topic, partition, self._offsets[index])


@dataclass(slots=True)
class Records:
    """Some records of one partition, in columns.

    Attributes:
        start: the offset that was asked for; nothing between it and `offsets[0]` exists any more.
        offsets: ascending; compaction and erasure may have left gaps.
        times_ms: when each record was appended.
    """

    topic: str
    partition: int
    start: int
    offsets: Sequence[int]
    times_ms: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def next_offset(self) -> int:
        """Where to read on."""
        return self.offsets[-1] + 1

    def since(self, offset: int) -> "Records":
        """Without the records before an offset."""
        skip = bisect_left(self.offsets, offset)
        return Records(
            self.topic,
            self.partition,
            max(self.start, offset),
            self.offsets[skip:],
            self.times_ms[skip:],
            self.keys[skip:],
            self.values[skip:],
        )

    def until(self, offset: int) -> "Records":
        """Without the records from an offset on; perhaps there are none left."""
        count = bisect_left(self.offsets, offset)
        return Records(
            self.topic,
            self.partition,
            self.start,
            self.offsets[:count],
            self.times_ms[:count],
            self.keys[:count],
            self.values[:count],
        )


class Log(Protocol):
    """An append-only log of topics in partitions.

    Reading may happen on any thread; `append` returns at once and never blocks on the disk.
    """

    @property
    def incarnation(self) -> str:
        """A random id of this log: positions of another incarnation mean nothing here."""

    def create(self, topics: Iterable[Topic]) -> None:
        """Create those of these topics that do not exist; partitions of existing ones stay."""

    def topics(self) -> dict[str, int]:
        """The number of partitions of every topic."""

    def append(self, entries: Sequence[Entry]) -> "Future[Sequence[Position]]":
        """Append all of the entries or none, durably; the future has their positions, in order.

        It has none if the log is down and the entries, whose topics all may spill, wait on a local
        disk instead: they have no position before they are appended.

        Raises (from the future):
            LogUnavailable: nothing was appended; the same entries may be appended again.
            UnknownTopic: an entry's topic or partition does not exist.
        """

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Records | None:
        """Up to about `max_records` records from an offset on, or None if there are none yet.

        A log that keeps batches returns whole ones: a few more, or fewer if they are large.

        Raises:
            LogUnavailable: the log cannot be read now.
            UnknownTopic: there is no such partition.
        """

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the one that the next record will have.

        Raises:
            UnknownTopic: there is no such partition.
        """

    def version(self) -> int:
        """A number that has grown whenever there may be something new to read."""

    async def changed(self, version: int, timeout_s: float) -> bool:
        """Wait until `version()` is another than the one given; False if it is not in time."""
