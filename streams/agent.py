"""Agents: a fold at work on all of its partitions.

Folding and committing overlap: while a commit is on its way to the disk, the next batches are
folded, and merged into the commit that follows it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog

from schemas.catalog import Catalog
from streams.commit import Commit, Committer, Generation
from streams.decode import Decoded, decode
from streams.errors import FoldError, LogUnavailable
from streams.fold import Fold
from streams.log import Log
from streams.runner import Runner
from streams.sealing import Sealer

log = structlog.get_logger()

# Folding stops when this much waits for the disk: memory is bounded, and so is what is lost when
# the process dies and has to be folded again.
_MAX_PENDING_RECORDS = 100_000

# While an agent catches up, nobody waits for a single record, and keys repeat: commits are put off
# a little, and get fewer and larger.
_BULK_RECORDS = 1_000
_BULK_WAIT_S = 0.1

_READ_RECORDS = 4_000

_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 5.0


class Agent:
    """Runs one fold.

    Attributes:
        active: the generation that readers see.
        building: one that is to take its place, and has yet to be built (streams/rebuild.py).
        requested: requests on the control topic before this offset were obeyed.
        runners: one per partition; none while the fold has no generation that it may go on with.
    """

    def __init__(self, fold: Fold, committer: Committer, sealer: Sealer, partitions: int) -> None:
        """Recover all partitions.

        Raises:
            FoldError: see `Committer.prepare`.
            LogUnavailable: the state cannot be read now.
        """
        self.fold = fold
        self.committer = committer
        self.sealer = sealer
        self._partitions = partitions
        prepared = committer.prepare(fold)
        self.active = prepared.active
        self.building = prepared.building
        self.requested = prepared.requested
        self.runners = self.recovered(prepared.active) if prepared.is_current else []
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = asyncio.Event()
        self._committing = asyncio.Lock()

    async def process(self, decoded: Decoded) -> None:
        """Fold a batch; returns before it is durable, but not before there is room for more.

        Raises:
            FoldError: records between the applied offset and this batch were lost on the way.
            VaultError: personal fields could not be opened or sealed; stop and start again.
        """
        if not await self._retried("fold", lambda: self._fold(decoded)):
            return
        self._work.set()
        if self.pending_records > _MAX_PENDING_RECORDS:
            self._room.clear()
            await self._room.wait()

    def begin(self, requested: int) -> None:
        """Have a generation to build beside the active one, as a request says that was before."""
        self.building = self.committer.begin(self.fold, requested)
        self.requested = requested

    async def catch_up(self, log: Log, catalog: Catalog, topic: str, partition: int) -> None:
        """Fold what a partition has beyond the agent's position.

        Raises:
            FoldError: the log no longer has what comes next.
        """
        while self.runners:
            position = self.position(topic, partition)
            first, end = log.bounds(topic, partition)
            if 0 < position < first:
                raise FoldError(
                    f"fold {self.fold.name} has applied {topic}/{partition} up to {position}, but "
                    f"the log only has what comes from {first} on: restore a backup"
                )
            records = log.read(topic, partition, position, _READ_RECORDS)
            if records is None or position >= end:
                return
            await self.process(decode(catalog, records))

    @property
    def pending_records(self) -> int:
        """Records that have been folded and not been taken for a commit."""
        return sum(runner.pending_records for runner in self.runners)

    def position(self, topic: str, partition: int) -> int:
        """The offset of the first record that has not been folded."""
        return self.runners[partition].offsets.get(topic, 0)

    async def commit_forever(self) -> None:
        """Commit whatever is pending, until `stop`; then what is left.

        If that fails then, it is left: what is not durable is folded again after the next start.
        """
        while not self._stopping.is_set():
            await self._work.wait()
            self._work.clear()
            if self.pending_records > _BULK_RECORDS:
                await asyncio.sleep(_BULK_WAIT_S)
            await self._commit_pending()
        await self._commit_pending()

    def stop(self) -> None:
        """Let `commit_forever` return, once what is pending is durable."""
        self._stopping.set()
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

    def recovered(self, generation: Generation) -> list[Runner]:
        """A runner for each partition of a generation.

        Raises:
            LogUnavailable: the state cannot be read now.
        """
        return [
            Runner(self.fold, generation, partition, self.sealer, self.committer)
            for partition in range(self._partitions)
        ]

    @asynccontextmanager
    async def nothing_committed(self) -> AsyncIterator[None]:
        """Meanwhile the agent makes nothing durable; it may go on folding."""
        async with self._committing:
            yield

    def go_on_with(self, generation: Generation, runners: Sequence[Runner]) -> None:
        """Fold into a generation that has taken the active one's place.

        It has to catch up: what was folded into the other and was not durable is dropped.
        """
        self.active, self.building, self.runners = generation, None, list(runners)
        self._room.set()

    async def _fold(self, decoded: Decoded) -> None:
        if self.runners:  # else it has to catch up with this later
            self.runners[decoded.partition].process(decoded)

    async def _commit_pending(self) -> None:
        async with self._committing:
            commits = [taken for runner in self.runners if (taken := runner.take()) is not None]
            self._room.set()
            if commits and await self._retried("commit", lambda: self._commit(commits)):
                for runner in self.runners:
                    runner.settle()

    async def _commit(self, commits: Sequence[Commit]) -> None:
        await asyncio.wrap_future(self.committer.commit(commits))

    async def _retried(self, what: str, attempt: Callable[[], Awaitable[None]]) -> bool:
        """Try until the store is there again; False if the agent is stopped before."""
        delay_s = _FIRST_RETRY_S
        while True:
            try:
                await attempt()
            except LogUnavailable as error:
                stopped = self._stopping.is_set()
                log.warning(
                    f"{what} failed" if stopped else f"{what} failed, trying again",
                    fold=self.fold.name,
                    error=str(error),
                )
                if stopped:
                    return False
            else:
                return True
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stopping.wait()
            delay_s = min(delay_s * 2, _LAST_RETRY_S)
