"""A member of a fold's consumer group: gets partitions, has them recovered, and reads them.

The group is about the fold's first topic; of its other topics the partitions of the same numbers are
read beside it, so that each number is in one hand. A partition that comes is not read before what is
durable of it is known, and then from where that says.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.log.gather import Where
from connectors.log.kafka.failures import made
from connectors.log.kafka.settings import KafkaSettings
from connectors.transport.kafka.changelog import Rebuilt
from connectors.transport.kafka.ownership import Ownership, Stamp
from streams.errors import LogUnavailable
from streams.log import Records

log = structlog.get_logger()

_LOOK_S = 0.005
_BATCH_RECORDS = 10_000
_RETRY_S = 0.2


@dataclass(frozen=True, slots=True)
class Arrival:
    """A partition that may be folded from now on, with what was durable of it."""

    partition: int
    epoch: int
    rebuilt: Rebuilt


@dataclass(frozen=True, slots=True)
class Read:
    """Some records of it."""

    records: Records
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Group:
    """What a fold reads.

    Attributes:
        name: of the consumer group.
        topics: that the fold reads; all have equally many partitions.
        session_timeout_s: a member that is silent for so long loses its partitions.
    """

    name: str
    topics: Sequence[str]
    session_timeout_s: float = 6.0


class Member:
    """One worker's part of the group.

    Attributes:
        ownership: which partitions it has.
        committing: held while something is committed; a partition is not given away meanwhile.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        group: Group,
        recover: Callable[[int], Rebuilt],
        deliver: Callable[[Arrival | Read], None],
    ) -> None:
        """Join the group.

        Args:
            recover: reads what is durable of a partition; called on threads of its own, until it
                does not raise LogUnavailable.
            deliver: called on the thread that reads, which may be held up by it.

        Raises:
            BadLogSettings: no consumer can be made of the settings.
        """
        self.ownership = Ownership()
        self.committing = threading.Lock()
        self._group = group
        self._prefix = settings.prefix
        self._recover = recover
        self._deliver = deliver
        self._positions: dict[Where, int] = {}
        self._arrived: SimpleQueue[Arrival] = SimpleQueue()
        self._member_id = ""
        self._metadata: Any = None
        self._closed = False
        self._consumer = made(Consumer, _configuration(settings, group))
        self._consumer.subscribe(
            [settings.prefix + group.topics[0]],
            on_assign=self._gain,
            on_revoke=self._lose,
            on_lost=self._lose,
        )
        self._thread = threading.Thread(target=self._run, name="sixfold-member", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the group; what has not been committed yet is folded again by others."""
        self._closed = True
        self._thread.join()
        self._consumer.close()

    def recover_again(self, partition: int) -> None:
        """Have a partition recovered anew, if it is still here: something of it was lost."""
        epoch, still = self.ownership.recover_again([partition])
        self._start_recovery(still, epoch)

    def metadata(self) -> Any:
        """What tells Kafka whose offsets are committed, so that it can refuse them.

        Raises:
            LogUnavailable: the membership that the partitions came with is gone; others come.
        """
        metadata = self._metadata
        if metadata is None:
            raise LogUnavailable("this worker is no member of its consumer group any more")
        return metadata

    # What follows happens on the thread that reads, but for the recovery.

    def _gain(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        consumer.incremental_assign(given)
        if not given:
            return
        consumer.pause(given)  # until it is known where to read
        member_id = consumer.memberid() or ""
        if member_id != self._member_id:  # whatever is left came with another membership
            self._drop(self.ownership.partitions)
            self._member_id = member_id
        partitions = frozenset(place.partition for place in given)
        log.info("partitions gained", group=self._group.name, partitions=sorted(partitions))
        self._start_recovery(partitions, self.ownership.gain(partitions))

    def _lose(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        partitions = frozenset(place.partition for place in taken)
        log.info("partitions lost", group=self._group.name, partitions=sorted(partitions))
        self._drop(partitions)
        assigned = {(place.topic, place.partition) for place in consumer.assignment()}
        names = [self._prefix + topic for topic in self._group.topics]
        places = [(name, number) for name in names for number in partitions]
        consumer.incremental_unassign([TopicPartition(*p) for p in places if p in assigned])

    def _drop(self, partitions: Iterable[int]) -> None:
        with self.committing:
            self.ownership.lose(partitions)

    def _start_recovery(self, partitions: Iterable[int], epoch: int) -> None:
        for partition in partitions:
            work = threading.Thread(
                target=self._recovery, args=(partition, epoch), name="recovery", daemon=True
            )
            work.start()

    def _recovery(self, partition: int, epoch: int) -> None:
        while not self._closed and self.ownership.holds(partition, epoch):
            try:
                self._arrived.put(Arrival(partition, epoch, self._recover(partition)))
            except LogUnavailable as error:
                log.warning("recovery failed, trying again", error=str(error))
                time.sleep(_RETRY_S)
            else:
                return

    def _run(self) -> None:
        while not self._closed:
            try:
                self._begin_arrived()
                self._read()
                self._look_at_membership()
            except KafkaException as error:
                log.warning("reading failed, trying again", error=error.args[0].str())

    def _look_at_membership(self) -> None:
        """Note who we are to the group; asked on another thread, the client may wait for ever.

        Somebody who has been away for too long gets another id: under that one nothing may be
        committed that was folded before.
        """
        is_same = bool(self._member_id) and self._consumer.memberid() == self._member_id
        self._metadata = self._consumer.consumer_group_metadata() if is_same else None

    def _begin_arrived(self) -> None:
        try:
            while True:
                arrival = self._arrived.get_nowait()
                if self.ownership.recovered(arrival.partition, arrival.epoch):
                    self._begin(arrival)
        except Empty:
            return

    def _begin(self, arrival: Arrival) -> None:
        """Read a partition of all topics from where it was applied up to."""
        self._deliver(arrival)
        places = []
        for topic in self._group.topics:
            offset = arrival.rebuilt.offsets.get(topic, 0)
            self._positions[topic, arrival.partition] = offset
            places.append(TopicPartition(self._prefix + topic, arrival.partition, offset))
        assigned = {(place.topic, place.partition) for place in self._consumer.assignment()}
        here = [place for place in places if (place.topic, place.partition) in assigned]
        self._consumer.incremental_unassign(here)
        self._consumer.incremental_assign(places)
        self._consumer.resume(places)  # a pause outlives the assignment

    def _read(self) -> None:
        first = self._consumer.poll(_LOOK_S)
        if first is None:
            return
        batches: defaultdict[Where, list[Message]] = defaultdict(list)
        for message in (first, *self._consumer.consume(_BATCH_RECORDS, 0)):
            error = message.error()
            if error is None:
                batches[self._where(message)].append(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                log.warning("reading failed", error=error.name(), reason=error.str())
        for where, messages in batches.items():
            stamp = self.ownership.stamp(where[1])
            if stamp is not None:
                self._deliver(Read(self._records(where, messages), stamp))

    def _where(self, message: Message) -> Where:
        topic: Any = message.topic()
        partition: Any = message.partition()
        return topic.removeprefix(self._prefix), partition

    def _records(self, where: Where, messages: Sequence[Message]) -> Records:
        records = Records(
            *where,
            self._positions[where],
            [message.offset() or 0 for message in messages],
            [message.timestamp()[1] for message in messages],
            [message.key() for message in messages],
            [message.value() or b"" for message in messages],
        )
        self._positions[where] = records.next_offset
        return records


def _configuration(settings: KafkaSettings, group: Group) -> dict[str, Any]:
    return settings.client(
        group_id=settings.prefix + group.name,
        partition_assignment_strategy="cooperative-sticky",
        session_timeout_ms=int(group.session_timeout_s * 1000),
        heartbeat_interval_ms=int(group.session_timeout_s * 100),
        enable_auto_commit=False,
        enable_auto_offset_store=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_wait_max_ms=50,
        fetch_queue_backoff_ms=5,
        queued_min_messages=400_000,
        queued_max_messages_kbytes=256 << 10,
    )
