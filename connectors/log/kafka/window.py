"""A window: some consecutive records of a partition in memory, with the gaps between them known."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from streams.log import Records

# More than this is not fetched ahead of whoever reads.
_UNREAD_BYTES = 4 << 20

# So much of what was read stays, for others who read the same a little later.
_READ_BYTES = 1 << 20


@dataclass(slots=True)
class _Piece:
    records: Records
    size_bytes: int
    is_read: bool = False


class Window:
    """The records of one partition from `start` to before `next_offset`.

    Attributes:
        due: before it has come so far, it cannot say that there are no more records.
        last: the offset behind the last record that was ever in it; None if there was none.
        failure: why nothing comes any more.
    """

    def __init__(self, topic: str, partition: int, start: int, due: int) -> None:
        self.start = self.next_offset = start
        self.due = due
        self.last: int | None = None
        self.failure: Exception | None = None
        self._topic = topic
        self._partition = partition
        self._pieces: list[_Piece] = []
        self._ends: list[int] = []
        self._unread_bytes = self._read_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be fetched before something is read."""
        return self._unread_bytes >= _UNREAD_BYTES

    def covers(self, offset: int) -> bool:
        """Whether the next record from this offset on is in the window, or comes into it next."""
        return self.start <= offset <= self.next_offset

    def add(
        self,
        offsets: Sequence[int],
        times_ms: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes],
    ) -> None:
        """Add the records that come next."""
        start = self.next_offset
        records = Records(self._topic, self._partition, start, offsets, times_ms, keys, values)
        size_bytes = sum(map(len, values))
        self.last = self.next_offset = records.next_offset
        self._pieces.append(_Piece(records, size_bytes))
        self._ends.append(records.next_offset)
        self._unread_bytes += size_bytes

    def reach(self, offset: int) -> None:
        """Note that there is no record before this offset that is not in the window."""
        self.next_offset = max(self.next_offset, offset)

    def read(self, offset: int, max_records: int) -> Records | None:
        """Some records from an offset on, or None if there are none in the window."""
        index = bisect_right(self._ends, offset)
        if index == len(self._pieces):
            return None
        piece = self._pieces[index]
        found = piece.records.since(offset)
        if len(found) > max_records:
            found = found.until(found.offsets[max_records])
        elif not piece.is_read:
            piece.is_read = True
            self._unread_bytes -= piece.size_bytes
            self._read_bytes += piece.size_bytes
            self._trim()
        return replace(found, start=offset)

    def _trim(self) -> None:
        """Forget the oldest of what was read."""
        count = 0
        for piece in self._pieces:
            if not piece.is_read or self._read_bytes <= _READ_BYTES:
                break
            self._read_bytes -= piece.size_bytes
            count += 1
        if count:
            self.start = self._ends[count - 1]
            del self._pieces[:count], self._ends[:count]
