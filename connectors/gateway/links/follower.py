"""What a gateway learns about keys by following the log: which exist, and which links changed."""

import asyncio

import structlog

from connectors.gateway.links.cache import LinkCache
from connectors.gateway.links.lookup import find
from schemas.catalog import Catalog
from schemas.fields import Subject
from schemas.links import BLOCKS, LINKS, LinkChanged, LinkDeleted, LinkRequested, LinkUsedUp
from schemas.partition import partition_of
from schemas.privacy import SubjectErased
from streams.decode import decode
from streams.errors import NotYetApplied
from streams.links.blocks import Blocks
from streams.links.bloom import BloomFilter
from streams.links.keys import KeySpace
from streams.links.views import ALL, Alias, Link
from streams.log import Log, Position
from streams.views import Page, ViewStore

_EXPECTED_ALIASES = 100_000
_FALSE_POSITIVES = 0.01
_ALIASES_A_PAGE = 1_000

# Following is no hurry, since who asks for a key reads what is missing itself; and being woken by
# every commit while clicks pour in would cost more than it is worth.
_PAUSE_S = 0.02
_APPLIED_TIMEOUT_S = 0.1
_RETRY_S = 1.0

_READ_RECORDS = 1_000
# So many unread records are read while a request waits, 5 ms or so.
_MAX_BEHIND = 2_000

logger = structlog.get_logger(__name__)


class KnownKeys:
    """Which keys may have a link, as far as blocks and aliases tell."""

    def __init__(self, key_space: KeySpace, blocks: Blocks) -> None:
        self._key_space = key_space
        self._blocks = blocks
        self._aliases = BloomFilter(_EXPECTED_ALIASES, _FALSE_POSITIVES)

    def add_alias(self, alias: str) -> None:
        """Remember that an alias was claimed, be it in vain."""
        self._aliases.add(alias.encode())

    def may_exist(self, key: str, blocks_end: int) -> bool:
        """Whether a key is an alias or of a block granted before an offset; seldom wrongly yes."""
        counter = self._key_space.counter(key)
        if counter is not None and self._blocks.granted(counter, blocks_end):
            return True
        return key.encode() in self._aliases


class Follower:
    """Follows the log's topic `links` for one gateway."""

    def __init__(
        self, log: Log, store: ViewStore, catalog: Catalog, known: KnownKeys, cache: LinkCache
    ) -> None:
        """Follow a log.

        Args:
            cache: links that have changed are dropped from it.
        """
        self._log = log
        self._store = store
        self._catalog = catalog
        self._known = known
        self._cache = cache
        self._next: dict[int, int] = {}  # unread offset by partition; empty: aliases are not known
        self._changed: dict[int, set[str]] = {p: set() for p in range(LINKS.partitions)}
        self._erased: dict[int, set[Subject]] = {p: set() for p in range(LINKS.partitions)}
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                if not self._next:
                    await self._catch_up()
                await self._follow()
            except NotYetApplied:
                continue  # the fold is still at work on what was there before us
            except Exception:
                logger.exception("links cannot be followed", retry_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)

    async def find(self, key: str, timeout_s: float) -> Link | None:
        """The link of a key; None only if no link of that key was made before this was called.

        Raises:
            NotYetApplied: that cannot be said within the time.
        """
        if self._is_absent(key):
            return None
        return await find(self._log, self._store, key, timeout_s)

    def _is_absent(self, key: str) -> bool:
        """Whether the log says, as it is now, that a key has no link."""
        if not self._is_at_end(_partition(key)):
            return False
        return not self._known.may_exist(key, self._log.bounds(BLOCKS.name, 0)[1])

    def _is_at_end(self, partition: int) -> bool:
        """Whether everything in a partition was read, after reading what little may be missing."""
        end = self._log.bounds(LINKS.name, partition)[1]
        if not self._next or end - self._next[partition] > _MAX_BEHIND:
            return False
        while self._next[partition] < end and self._read(partition):
            pass
        return self._next[partition] >= end

    async def _catch_up(self) -> None:
        """Learn the aliases from the view, and begin to follow where the view stands."""
        ends = {p: self._log.bounds(LINKS.name, p)[1] for p in range(LINKS.partitions)}
        for partition, end in ends.items():
            await self._applied(partition, end)
        page = Page(limit=_ALIASES_A_PAGE)
        while rows := await self._store.slice(Alias, "", (ALL,), page):
            for row in rows:
                self._known.add_alias(row.link)
            page = Page(after=(rows[-1].link,), limit=_ALIASES_A_PAGE)
            await asyncio.sleep(0)
        self._cache.clear()  # of what was loaded before the view had all that we do not read
        self._next = ends
        self.caught_up.set()

    async def _follow(self) -> None:
        while True:
            has_read = [self._read(partition) for partition in self._next]
            await self._drop_changed()
            await asyncio.sleep(0 if any(has_read) else _PAUSE_S)

    def _read(self, partition: int) -> bool:
        """Read some records; False if there are none."""
        if self._log.bounds(LINKS.name, partition)[1] <= self._next[partition]:
            return False
        records = self._log.read(LINKS.name, partition, self._next[partition], _READ_RECORDS)
        if records is None:
            return False
        for event in decode(self._catalog, records).events:
            match event.data:
                case LinkRequested() as claim:
                    if claim.is_alias:
                        self._known.add_alias(claim.link)
                case LinkChanged() | LinkUsedUp() | LinkDeleted() as change:
                    self._changed[partition].add(change.link)
                case SubjectErased() as erasure:
                    self._erased[partition].add(erasure.subject)
        self._next[partition] = records.next_offset
        return True

    async def _drop_changed(self) -> None:
        """Drop links whose change the view shows: sooner, they would be loaded as they were."""
        for partition, changed in self._changed.items():
            erased = self._erased[partition]
            if not (changed or erased):
                continue
            self._changed[partition], self._erased[partition] = set(), set()
            try:
                await self._applied(partition, self._next[partition])
            except NotYetApplied:
                self._changed[partition] |= changed
                self._erased[partition] |= erased
            else:
                self._cache.drop(changed)
                if erased:
                    self._cache.drop_of(erased)

    async def _applied(self, partition: int, end: int) -> None:
        if end > 0:
            position = Position(LINKS.name, partition, end - 1)
            await self._store.wait(Link, position, _APPLIED_TIMEOUT_S)


def _partition(key: str) -> int:
    return partition_of(LINKS.record_key("", key), LINKS.partitions)
