"""A cache of what was used last, safe against entries that are dropped while they are loaded."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Keeps the `capacity` entries that were used last. Its lock is never held during I/O.

    Loading an entry takes time, in which it may be dropped; so a loader reads `epoch` first and
    hands it to `put`, which refuses the entry if anything was dropped since.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()
        self.epoch = 0

    def get(self, key: K) -> V | None:
        """The entry, which now counts as just used."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: K, value: V, epoch: int) -> None:
        """Keep an entry that was loaded since `epoch` was read."""
        with self._lock:
            if epoch != self.epoch:
                return
            self._entries[key] = value
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def drop(self, keys: Iterable[K]) -> None:
        """Drop entries by key."""
        with self._lock:
            self.epoch += 1
            for key in keys:
                self._entries.pop(key, None)

    def drop_where(self, doomed: Callable[[V], bool]) -> None:
        """Drop entries by value; looks at all of them (50,000 take 4 ms)."""
        with self._lock:
            self.epoch += 1
            for key in [key for key, value in self._entries.items() if doomed(value)]:
                del self._entries[key]
