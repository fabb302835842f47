"""Agents: a fold at work on all of its partitions.

Folding and committing overlap: while a commit is on its way to the disk, the next batches are
folded, and merged into the commit that follows it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from streams.commit import Commit, Committer, Generation
from streams.decode import Decoded
from streams.errors import LogUnavailable
from streams.fold import Fold
from streams.log import Log
from streams.runner import Runner
from streams.sealing import Sealer

log = structlog.get_logger()

# Folding stops when this much waits for the disk: memory is bounded, and so is what is lost when
# the process dies and has to be folded again.
_MAX_PENDING_RECORDS = 50_000

# While an agent catches up, nobody waits for a single record, and keys repeat: commits are put off
# a little, and get fewer and larger.
_BULK_RECORDS = 1_000
_BULK_WAIT_S = 0.05

_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 5.0

T = TypeVar("T")


class Agent:
    """Runs one fold."""

    def __init__(self, fold: Fold, committer: Committer, sealer: Sealer, partitions: int) -> None:
        """Recover all partitions.

        Raises:
            LogUnavailable: the state cannot be read now.
        """
        self.fold = fold
        self.generation: Generation = committer.prepare(fold)
        self._committer = committer
        self.runners = [
            Runner(fold, self.generation, partition, sealer, committer)
            for partition in range(partitions)
        ]
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = False

    async def process(self, decoded: Decoded) -> None:
        """Fold a batch; returns before it is durable, but not before there is room for more."""
        runner = self.runners[decoded.partition]

        async def fold() -> None:
            runner.process(decoded)

        await self._retried("fold", fold)
        self._work.set()
        if self.pending_records > _MAX_PENDING_RECORDS:
            self._room.clear()
            await self._room.wait()

    @property
    def pending_records(self) -> int:
        """Records that have been folded and not been taken for a commit."""
        return sum(runner.pending_records for runner in self.runners)

    def position(self, topic: str, partition: int) -> int:
        """The offset of the first record that has not been folded."""
        return self.runners[partition].offsets.get(topic, 0)

    async def commit_forever(self) -> None:
        """Commit whatever is pending, until `stop`; then what is left."""
        while not self._stopping:
            await self._work.wait()
            self._work.clear()
            if self.pending_records > _BULK_RECORDS:
                await asyncio.sleep(_BULK_WAIT_S)
            await self._commit_pending()
        await self._commit_pending()

    def stop(self) -> None:
        """Let `commit_forever` return, once what is pending is durable."""
        self._stopping = True
        self._work.set()

    def tick(self, now: datetime, log: Log) -> None:
        """Let the fold emit what is due, as of `now`.

        A partition that is catching up lives in the past: its time is that of its last record.
        """
        for runner in self.runners:
            behind = any(
                self.position(topic, runner.partition) < log.bounds(topic, runner.partition)[1]
                for topic in self.fold.topics
            )
            runner.tick(datetime.fromtimestamp(runner.last_ms / 1000, UTC) if behind else now)
        self._work.set()

    async def _commit_pending(self) -> None:
        commits = [taken for runner in self.runners if (taken := runner.take()) is not None]
        self._room.set()
        if not commits:
            return
        await self._retried("commit", lambda: self._commit(commits))
        for runner in self.runners:
            runner.settle()

    async def _commit(self, commits: Sequence[Commit]) -> None:
        await asyncio.wrap_future(self._committer.commit(commits))

    async def _retried(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until the store is there again."""
        delay_s = _FIRST_RETRY_S
        while True:
            try:
                return await attempt()
            except LogUnavailable as error:
                log.warning(
                    f"{what} failed, trying again",
                    fold=self.fold.name,
                    error=str(error),
                    retry_s=delay_s,
                )
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _LAST_RETRY_S)
