"""The links that are followed most, in memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable

import msgspec

from connectors.gateway.links.encoding import ClickedLink
from schemas.fields import Subject
from streams.links.views import Link


class CachedLink(msgspec.Struct, frozen=True, gc=False):
    """A link, and what following it takes.

    Attributes:
        until_ms: when it has to be looked at again, in milliseconds since 1970.
        head: of the redirect, up to where the `Date` header belongs; None if it takes more than
            a redirect to answer.
    """

    link: Link
    until_ms: int
    clicked: ClickedLink
    head: bytes | None = None


# Asks the store for the link of a key; the answer is no older than the question.
Load = Callable[[str], Awaitable[CachedLink | None]]


class LinkCache:
    """The most recently used links. Absent ones are not kept."""

    def __init__(self, max_links: int, load: Load) -> None:
        self._max_links = max_links
        self._load = load
        self._links: OrderedDict[bytes, CachedLink] = OrderedDict()
        self._loading: dict[bytes, asyncio.Task[CachedLink | None]] = {}

    def __len__(self) -> int:
        return len(self._links)

    def peek(self, path: bytes, now_ms: int) -> CachedLink | None:
        """The link of a path, a slash and its key, if it is known and still good."""
        found = self._links.get(path)
        if found is None or now_ms >= found.until_ms:
            return None
        self._links.move_to_end(path)
        return found

    async def get(self, key: str, now_ms: int) -> CachedLink | None:
        """The link of a key; however many ask for it at once, the store is asked once."""
        path = _path(key)
        found = self.peek(path, now_ms)
        if found is not None:
            return found
        running = self._loading.get(path)
        if running is not None:
            found = await asyncio.shield(running)
        # A question that was asked before ours may have missed a link that was made in between.
        return found or await asyncio.shield(self._loading.get(path) or self._start(key, path))

    def drop(self, keys: Iterable[str]) -> None:
        """Forget links that have changed, also those that are just being loaded."""
        for path in map(_path, keys):
            self._links.pop(path, None)
            self._loading.pop(path, None)

    def drop_of(self, subjects: Collection[Subject]) -> None:
        """Forget links of persons who were erased; looks at all of them (100,000 take 10 ms)."""
        doomed = [p for p, cached in self._links.items() if cached.link.created_by in subjects]
        for path in doomed:
            del self._links[path]
        self._loading.clear()  # some of which may be theirs

    def clear(self) -> None:
        """Forget all links."""
        self._links.clear()
        self._loading.clear()

    def _start(self, key: str, path: bytes) -> "asyncio.Task[CachedLink | None]":
        task = self._loading[path] = asyncio.create_task(self._keep(key, path))
        # Whoever waits for it may have hung up, and its error would be nobody's.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _keep(self, key: str, path: bytes) -> CachedLink | None:
        try:
            loaded = await self._load(key)
            if loaded is not None and self._is_wanted(path):
                self._links[path] = loaded
                self._links.move_to_end(path)
                if len(self._links) > self._max_links:
                    self._links.popitem(last=False)
            return loaded
        finally:
            if self._is_wanted(path):
                del self._loading[path]

    def _is_wanted(self, path: bytes) -> bool:
        """Whether the running task's answer was not made obsolete by `drop` meanwhile."""
        return self._loading.get(path) is asyncio.current_task()


def _path(key: str) -> bytes:
    return b"/" + key.encode()
