"""A small cache whose entries are good for a moment only."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The newest `max_entries` values, each for `max_age_s`; absent values are not kept."""

    def __init__(self, max_entries: int, max_age_s: float, now: Callable[[], float]) -> None:
        """Begin empty.

        Args:
            now: a monotonic clock, in seconds.
        """
        self._max_entries = max_entries
        self._max_age_s = max_age_s
        self._now = now
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    async def get(self, key: K, load: Callable[[], Awaitable[V | None]]) -> V | None:
        """The value of a key, loaded if it is not known well enough."""
        entry = self._entries.get(key)
        now_s = self._now()
        if entry is not None and now_s - entry[0] < self._max_age_s:
            return entry[1]
        value = await load()
        if value is None:
            self._entries.pop(key, None)
        else:
            # As old as the question: what has changed since then may not be in the answer.
            self._entries[key] = (now_s, value)
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
        return value

    def forget(self, key: K) -> None:
        """Load it at the next call."""
        self._entries.pop(key, None)
