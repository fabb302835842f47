"""The Faust transport of the embedded log.

Faust gives workers, agents and timers; reading and acknowledging are ours. A message is a whole
batch of records, agents keep their own positions, and a commit of theirs moves them (see
streams/agent.py), so everything that Faust knows of offsets, acknowledgements and generations is
answered here with as little as keeps it content.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from math import inf
from typing import Any, cast

from faust.transport import base
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.producer import Producer as FaustProducer
from faust.types import TP, ConsumerMessage, Message

from streams.errors import FoldError
from streams.log import Log

# Large enough that the work per batch does not show, small enough that the event loop, which may
# serve requests as well, is not held up for more than some milliseconds.
BATCH_RECORDS = 4_000

# How long an idle consumer sleeps before it looks whether it should stop.
_IDLE_S = 0.5


class _NothingRead(dict[TP, int | None]):
    """Faust drops messages at or below the offset that it last read, silently; agents know better."""

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        return


class Consumer(FaustConsumer):
    """Reads every partition of the topics that agents subscribe to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NothingRead()
        self._agents: Any = cast(Any, self.app)  # streams.application.Application
        self._log: Log = self._agents.event_log
        self._positions: dict[TP, int] = {}
        self._full: set[TP] = set()
        self._intervals_s: dict[str, float] = {}
        self._read_s: dict[
            str, float
        ] = {}  # when the records of a topic were last read to their end
        self._drained = asyncio.Event()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take all partitions, once: an embedded log has one host.

        Raises:
            FoldError: a topic does not exist.
        """
        if self._positions:
            return
        partitions = self._log.topics()
        missing = set(topics) - partitions.keys()
        if missing:
            raise FoldError(f"agents read topics that do not exist: {', '.join(sorted(missing))}")
        self._positions = {
            TP(topic, partition): self._agents.position(topic, partition)
            for topic in topics
            for partition in range(partitions[topic])
        }
        self._intervals_s = {topic: self._agents.batch_interval_s(topic) for topic in topics}
        assigned = self.assignment()
        assignor: Any = self.app.assignor
        assignor.assigned_actives = lambda: assigned
        assignor.assigned_standbys = set
        self.app.on_rebalance_start()
        self.app.consumer_generation_id += 1
        self.add_future(self.on_partitions_assigned(assigned, self.app.consumer_generation_id))

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """A batch of each partition that has something new, in turn; waits if none has."""
        if not (self.flow_active and self.app.flow_control.is_active()):
            await asyncio.sleep(0.005)  # starting: what is delivered now would be dropped
            return
        version, now_s = self._log.version(), time.monotonic()
        wait_s = min(timeout, _IDLE_S)
        found = False
        for tp, position in tuple(self._positions.items()):
            if tp in self._full or self._log.bounds(tp.topic, tp.partition)[1] <= position:
                continue
            early_s = self._rest(tp.topic, now_s)
            if early_s > 0:
                wait_s = min(wait_s, early_s)
                continue
            records = self._log.read(tp.topic, tp.partition, position, BATCH_RECORDS)
            if records is not None:
                found = True
                self._positions[tp] = records.next_offset
                self._read_s[tp.topic] = now_s if len(records.offsets) < BATCH_RECORDS else -inf
                yield tp, self._to_message(tp, records)
        if not found:
            await self._something_to_do(version, wait_s)

    def _rest(self, topic: str, now_s: float) -> float:
        """Seconds until the next batches of a topic may be read; its partitions take one turn."""
        read_s = self._read_s.get(topic, -inf)
        return 0.0 if read_s == now_s else read_s + self._intervals_s[topic] - now_s

    async def _something_to_do(self, version: int, timeout_s: float) -> None:
        """Wait until the log has grown, or an agent has room again."""
        self._drained.clear()
        waiting = [
            asyncio.ensure_future(self._log.changed(version, timeout_s)),
            asyncio.ensure_future(self._drained.wait()),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()

    def on_buffer_full(self, tp: TP) -> None:
        """Do not read on in a partition: an agent does not keep up."""
        self._full.add(tp)

    def on_buffer_drop(self, tp: TP) -> None:
        """Read on."""
        self._full.discard(tp)
        self._drained.set()

    def _to_message(self, tp: TP, records: Any) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            records.offsets[-1],
            records.times_ms[-1] / 1000,
            1,  # the kind of timestamp: create time
            None,
            None,
            records,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def assignment(self) -> set[TP]:
        """All partitions of all topics that agents read."""
        return set(self._positions)

    def ack(self, message: Message) -> bool:
        """Nothing: a commit acknowledges."""
        return True

    def track_message(self, message: Message) -> None:
        """Nothing: agents know what they have folded."""

    async def commit(self, *args: Any, **kwargs: Any) -> bool:
        """Nothing: agents commit."""
        return False

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        return

    async def perform_seek(self) -> None:
        """Nothing: positions are set when partitions are taken."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Where agents go on."""
        return dict(self._positions)

    async def _seek(self, tp: TP, offset: int) -> None:
        self._positions[tp] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Nothing: Faust's tables, which would seek, are not used."""

    async def position(self, tp: TP) -> int | None:
        """The offset that is read next."""
        return self._positions.get(tp)

    def highwater(self, tp: TP) -> int:
        """The offset of the next record to be appended."""
        return self._log.bounds(tp.topic, tp.partition)[1]

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """The first offsets that are kept."""
        return {tp: self._log.bounds(tp.topic, tp.partition)[0] for tp in partitions}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The offsets of the next records."""
        return {tp: self.highwater(tp) for tp in partitions}

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has."""
        return self._log.topics().get(topic)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the catalog creates topics."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        raise FoldError("getmany reads the log itself")

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> None:
        """Nothing: the catalog partitions."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: lag is a metric of ours."""


class Producer(FaustProducer):
    """Faust's own producer is not used: agents emit through their commits."""

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the catalog creates topics."""

    async def flush(self) -> None:
        """Nothing is buffered."""


class Transport(base.Transport):
    """Registered as the entry point `sixfold`, for broker addresses `sixfold://`."""

    Consumer = Consumer
    Producer = Producer
    default_port = 0
    driver_version = "sixfold"
