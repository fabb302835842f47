"""Ownership: which partitions this worker may fold, and which batches of them count.

Kafka's group decides who owns a partition, and may take it away at any moment: while a batch of it
is being read, waits, is folded, or is being committed. So a partition that is owned has an *epoch*,
a new one whenever it comes, or has to be recovered anew. What was read under an older epoch is
stale, wherever it is by now. Within an epoch batches are numbered: where one is missing, it was lost
on its way to the fold, and the partition has to be recovered.

The unit is the number of a partition: a fold reads the partitions of this number of all its topics.
"""

import threading
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple


class Stamp(NamedTuple):
    """What a batch carries from where it is read to where it is folded."""

    epoch: int
    sequence: int


class Verdict(Enum):
    """What to do with a batch."""

    FOLD = auto()
    DROP = auto()
    """It was read before the partition was taken away, or came anew."""
    RECOVER = auto()
    """A batch before it is missing."""


class _Owned:
    """One partition; its epoch counts once it has been recovered."""

    __slots__ = ("epoch", "folded", "is_recovered", "read")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.is_recovered = False
        self.read = self.folded = 0


class Ownership:
    """The partitions of one fold that one worker owns; for several threads.

    Batches are stamped on the thread that reads, which also says from when on a recovered partition
    counts: so nothing that it read before can have the new epoch.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owned: dict[int, _Owned] = {}
        self._last_epoch = 0

    @property
    def partitions(self) -> frozenset[int]:
        """All that are owned, recovered or not."""
        return frozenset(self._owned)

    def gain(self, partitions: Iterable[int]) -> int:
        """Own partitions, which are to be recovered; the epoch that this takes place in."""
        with self._lock:
            self._last_epoch += 1
            for partition in partitions:
                self._owned[partition] = _Owned(self._last_epoch)
            return self._last_epoch

    def lose(self, partitions: Iterable[int]) -> None:
        """Own partitions no more."""
        with self._lock:
            for partition in partitions:
                self._owned.pop(partition, None)

    def recover_again(self, partitions: Iterable[int]) -> tuple[int, frozenset[int]]:
        """Have partitions recovered anew; the epoch, and those that are still owned."""
        with self._lock:
            still = frozenset(partitions) & self._owned.keys()
        return self.gain(still), still

    def recovered(self, partition: int, epoch: int) -> bool:
        """Let a partition count; False if it has been taken away or came anew meanwhile."""
        with self._lock:
            owned = self._owned.get(partition)
            if owned is None or owned.epoch != epoch:
                return False
            owned.is_recovered = True
            return True

    def stamp(self, partition: int) -> Stamp | None:
        """The stamp of a batch that has just been read; None if nobody may fold it."""
        with self._lock:
            owned = self._owned.get(partition)
            if owned is None or not owned.is_recovered:
                return None
            owned.read += 1
            return Stamp(owned.epoch, owned.read)

    def judge(self, partition: int, stamp: Stamp) -> Verdict:
        """What to do with a batch that has arrived at the fold."""
        with self._lock:
            owned = self._owned.get(partition)
            if owned is None or owned.epoch != stamp.epoch or stamp.sequence <= owned.folded:
                return Verdict.DROP
            if stamp.sequence != owned.folded + 1:
                return Verdict.RECOVER
            owned.folded = stamp.sequence
            return Verdict.FOLD

    def holds(self, partition: int, epoch: int) -> bool:
        """Whether what was folded under an epoch may still be committed."""
        with self._lock:
            owned = self._owned.get(partition)
            return owned is not None and owned.epoch == epoch
