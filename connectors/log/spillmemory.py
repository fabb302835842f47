"""Appends that the log did not take, on their way to the spill file or back to the log."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from streams.log import Entry, Position

# One write to the file, or one append to the log, takes about so much.
_MOVED_BYTES = 4 << 20


@dataclass(slots=True)
class Spilled:
    """An append; `first` is the number of its first entry."""

    entries: Sequence[Entry]
    done: "Future[Sequence[Position]]"
    first: int = 0

    @property
    def size_bytes(self) -> int:
        """What it takes, about."""
        return sum(len(entry.value) for entry in self.entries)


class Memory:
    """A queue of appends, which it numbers."""

    def __init__(self) -> None:
        self._appends: deque[Spilled] = deque()
        self._number = 0
        self.records = 0
        self.size_bytes = 0

    def put(self, append: Spilled) -> None:
        """Add an append, and number its entries."""
        append.first = self._number
        self._number += len(append.entries)
        self._count(append, 1)
        self._appends.append(append)

    def oldest(self, max_records: int) -> list[Spilled]:
        """The first appends with about so many records."""
        chosen: list[Spilled] = []
        records = size_bytes = 0
        for append in self._appends:
            chosen.append(append)
            records += len(append.entries)
            size_bytes += append.size_bytes
            if records >= max_records or size_bytes >= _MOVED_BYTES:
                break
        return chosen

    def drop(self, appends: Sequence[Spilled]) -> None:
        """The oldest appends are durable: forget them, and tell those who wait."""
        for append in appends:
            self._count(self._appends.popleft(), -1)
            append.done.set_result([])

    def pop(self) -> Spilled:
        """Take the newest append back; its numbers are given to the next one."""
        append = self._appends.pop()
        self._number = append.first
        self._count(append, -1)
        return append

    def __len__(self) -> int:
        return len(self._appends)

    def _count(self, append: Spilled, sign: int) -> None:
        self.records += sign * len(append.entries)
        self.size_bytes += sign * append.size_bytes
