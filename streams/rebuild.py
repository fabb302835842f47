"""Rebuilding: a fold's state and views built anew from the log, beside those that are served.

A new generation is folded, silently, up to what the active one has made durable; then the two are
switched in one transaction, and the agent goes on with the new one. What the active generation had
emitted until then the new one does not emit again, and what it had not the new one will.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set

import structlog

from schemas.catalog import Catalog
from streams.agent import Agent
from streams.commit import Generation
from streams.dead import dead_letters
from streams.decode import Rejected, decode
from streams.effects import DueEvent, Emitted
from streams.errors import LogUnavailable, RebuildRefused
from streams.fold import Fold
from streams.log import Entry, Log, Records
from streams.outbox import Outbox
from streams.runner import Runner
from streams.sealing import Sealer

log = structlog.get_logger()

_READ_RECORDS = 2_000
# The event loop is let go after so many: one or two milliseconds.
_FOLD_RECORDS = 500
_COMMIT_RECORDS = 50_000

# The active generation stands still while so many records are folded: some milliseconds.
_NEAR_RECORDS = 2_000

# Records of several topics are folded in the order in which they were appended, give or take this.
_SLICE_MS = 1_000


class Rebuild:
    """Builds one generation of a fold.

    Attributes:
        folded_records: how far it is, of `total_records`; both grow.
    """

    def __init__(self, agent: Agent, log: Log, catalog: Catalog) -> None:
        """Build what `agent.building` says, from where an earlier attempt was left.

        Raises:
            RebuildRefused: the log no longer has all that it would need.
        """
        assert agent.building is not None
        self._agent = agent
        self._log = log
        self._catalog = catalog
        self._generation: Generation = agent.building
        refuse_if_incomplete(agent.fold, log)
        self._runners = agent.recovered(self._generation)
        fold = agent.fold.name
        letters = [letter for letter in dead_letters(log, catalog) if letter.fold == fold]
        rejected = {str(letter.record) for letter in letters}
        for runner in self._runners:
            runner.outbox = _Silence(fold, agent.sealer, rejected)

    @property
    def total_records(self) -> int:
        """How many records the active generation has applied."""
        return sum(self._target().values())

    @property
    def folded_records(self) -> int:
        """How many of them have been folded."""
        return sum(sum(runner.offsets.values()) for runner in self._runners)

    async def run(self) -> None:
        """Build, and let the agent go on with what was built.

        The agent has then to catch up with what it has not made durable.

        Raises:
            LogUnavailable: what is durable so far stays so; another `Rebuild` goes on from there.
            VaultError: personal fields could not be opened.
        """
        name, number = self._generation
        log.info("rebuilding", fold=name, generation=number, records=self.total_records)
        while self.total_records - self.folded_records > _NEAR_RECORDS:
            await self._fold_up_to(self._target())
        async with self._agent.nothing_committed():
            await self._fold_up_to(self._target())
            await self._switch()
        log.info("rebuilt", fold=name, generation=number)

    async def _switch(self) -> None:
        """Let the agent go on with what was built.

        Whatever the active generation has folded beyond what is durable is dropped before it is
        no longer the active one: nothing may be made durable for it any more.
        """
        agent = self._agent
        before, agent.runners = agent.runners, []
        try:
            await asyncio.wrap_future(agent.committer.activate(self._generation))
        except LogUnavailable:
            agent.runners = before  # nothing has happened
            raise
        for runner in self._runners:
            runner.outbox = Outbox(agent.fold.name, agent.sealer)
        agent.go_on_with(self._generation, self._runners)

    def _target(self) -> dict[tuple[str, int], int]:
        """What the active generation has applied of the topics that the fold has now."""
        applied = self._agent.committer.applied(self._agent.active)
        topics = self._agent.fold.topics
        return {where: end for where, end in applied.items() if where[0] in topics}

    async def _fold_up_to(self, target: Mapping[tuple[str, int], int]) -> None:
        for runner in self._runners:
            ends = {
                t: end for (t, partition), end in target.items() if partition == runner.partition
            }
            await self._fold_partition(runner, ends)

    async def _fold_partition(self, runner: Runner, ends: Mapping[str, int]) -> None:
        for records in _in_order(self._log, runner, ends):
            for some in _in_pieces(records):
                runner.process(decode(self._catalog, some))
                await asyncio.sleep(0)
            if runner.pending_records >= _COMMIT_RECORDS:
                await self._commit(runner)
        for topic, end in ends.items():
            if runner.offsets.get(topic, 0) < end:
                runner.skip_to(topic, end)
        await self._commit(runner)

    async def _commit(self, runner: Runner) -> None:
        commit = runner.take()
        if commit is not None:
            await asyncio.wrap_future(self._agent.committer.commit([commit]))
            runner.settle()


def refuse_if_incomplete(fold: Fold, log: Log) -> None:
    """See that the log has everything that a fold was ever fed with.

    Raises:
        RebuildRefused: it does not.
    """
    partitions = log.topics()
    for topic in fold.topics:
        for partition in range(partitions[topic]):
            first, _ = log.bounds(topic, partition)
            if first > 0:
                raise RebuildRefused(
                    f"fold {fold.name} cannot be rebuilt: {topic}/{partition} only has what "
                    f"comes from {first} on"
                )


class _Silence(Outbox):
    """What was said when records were first folded is not said again.

    A new version may reject a record that the old one took: that is new, and said.
    """

    def __init__(self, fold: str, sealer: Sealer, rejected: Set[str]) -> None:
        super().__init__(fold, sealer)
        self._rejected = rejected

    def emitted(self, events: Sequence[Emitted]) -> list[Entry]:
        """Nothing."""
        return []

    def due(self, events: Sequence[DueEvent]) -> dict[str, Entry]:
        """Nothing."""
        return {}

    def letters(self, position: str, rejected: Rejected) -> list[Entry]:
        """The dead letter of a record that had none."""
        return [] if position in self._rejected else super().letters(position, rejected)


def _in_order(log: Log, runner: Runner, ends: Mapping[str, int]) -> Iterator[Records]:
    """A partition's records of several topics before some offsets, in the order of their time."""
    unread = dict(ends)
    read: dict[str, Records] = {}
    while True:
        for topic in [topic for topic in unread if topic not in read]:
            offset = runner.offsets.get(topic, 0)
            records = log.read(topic, runner.partition, offset, _READ_RECORDS)
            records = records and records.until(ends[topic])
            if records:
                read[topic] = records
            else:
                del unread[topic]
        if not read:
            return
        if len(unread) == 1:
            yield read.popitem()[1]
            continue
        until_ms = min(records.times_ms[0] for records in read.values()) + _SLICE_MS
        for topic, records in tuple(read.items()):
            count = bisect_right(records.times_ms, until_ms)
            if count == len(records):
                yield read.pop(topic)
            elif count:
                offset = records.offsets[count - 1] + 1
                yield records.until(offset)
                read[topic] = records.since(offset)


def _in_pieces(records: Records) -> Iterator[Records]:
    while len(records) > _FOLD_RECORDS:
        offset = records.offsets[_FOLD_RECORDS - 1] + 1
        yield records.until(offset)
        records = records.since(offset)
    yield records
