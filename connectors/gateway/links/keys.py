"""Keys of new links: blocks of counters are granted by the log, ahead of their use."""

import asyncio
from datetime import UTC, datetime

import structlog

from schemas.envelope import PLATFORM_TENANT
from schemas.ids import uuid7
from schemas.links import BlockGranted
from streams.errors import KeysExhausted, LogUnavailable
from streams.links.blocks import Allocator, Blocks
from streams.links.keys import KeySpace
from streams.links.rules import is_reserved
from streams.log import Log
from streams.sealing import Origin, Sealer

logger = structlog.get_logger(__name__)


class LinkKeys:
    """Hands out keys that nobody else has got or will get; lives on one event loop.

    What is left of a block when the process ends is lost: a block costs nothing, and there are
    220 million in a region.
    """

    def __init__(
        self, log: Log, sealer: Sealer, blocks: Blocks, key_space: KeySpace, gateway: str
    ) -> None:
        """Get blocks from a log, which must not be one that spills: a block is its offset."""
        self._log = log
        self._sealer = sealer
        self._blocks = blocks
        self._key_space = key_space
        self._gateway = gateway
        self._allocator = Allocator()
        self._granting: asyncio.Task[None] | None = None

    async def take(self) -> str:
        """A key.

        Raises:
            LogUnavailable: no block is left, and none can be granted now.
            KeysExhausted: the region has no more keys.
        """
        while True:
            granting = self.prepare()
            counter = self._allocator.take()
            if counter is None:
                await asyncio.shield(granting)
            elif not is_reserved(key := self._key_space.key(counter)):
                return key

    def prepare(self) -> "asyncio.Task[None]":
        """Have a block granted if few counters are left; the grant that is under way, or the last."""
        if self._granting is None or (self._allocator.low and self._granting.done()):
            self._granting = asyncio.create_task(self._grant(), name="grant block")
            self._granting.add_done_callback(_look_at_error)
        return self._granting

    async def stop(self) -> None:
        """Let a grant that is under way end."""
        if self._granting is not None:
            await asyncio.gather(self._granting, return_exceptions=True)

    async def _grant(self) -> None:
        now = datetime.now(UTC)
        origin = Origin(source=f"gateway/{self._gateway}", tenant=PLATFORM_TENANT, time=now)
        id = uuid7(int(now.timestamp() * 1000))
        entry = self._sealer.entry(BlockGranted(self._gateway), origin, id)
        try:
            (position,) = await asyncio.wrap_future(self._log.append([entry]))
            self._allocator.grant(self._blocks.counters(position.offset))
        except (LogUnavailable, KeysExhausted) as error:
            logger.warning("no block of keys for now", left=len(self._allocator), error=str(error))
            raise


def _look_at_error(done: "asyncio.Task[None]") -> None:
    """The error of a grant ahead of time is nobody's yet: it was logged, and the next may succeed."""
    if not done.cancelled():
        done.exception()
