"""Recovery: what is durable of one partition of a fold, read from its changelog."""

from confluent_kafka import Consumer, TopicPartition

from connectors.log.kafka.failures import explaining, made
from connectors.log.kafka.settings import KafkaSettings
from connectors.transport.kafka.changelog import Rebuilt, Record
from connectors.transport.kafka.member import Group
from streams.commit import Generation
from streams.log import Log

_READ_RECORDS = 10_000


def changelog(generation: Generation) -> str:
    """The topic of a generation's changelog; topics of the catalog begin with a letter."""
    return f"_changelog.{generation.fold}.{generation.number}"


class Recovery:
    """Reads changelogs; for any thread.

    First it asks for the group's offsets, which Kafka answers when no transaction of a former owner
    can bring new ones any more. Then the changelog's end is where all of them ended, the last one of
    which may not be readable yet: that is waited for.
    """

    def __init__(self, settings: KafkaSettings, group: Group, log: Log, topic: str) -> None:
        """Of one fold.

        Raises:
            BadLogSettings: no consumer can be made of the settings.
        """
        self._log = log
        self._topic = topic
        self._timeout_s = settings.timeout_s
        self._source = settings.prefix + group.topics[0]
        self._group = made(
            Consumer,
            settings.client(
                group_id=settings.prefix + group.name,
                isolation_level="read_committed",
                enable_auto_commit=False,
            ),
        )

    def close(self) -> None:
        """Disconnect."""
        self._group.close()

    def __call__(self, partition: int) -> Rebuilt:
        """What is durable of a partition.

        Raises:
            LogUnavailable: it cannot be read now.
        """
        with explaining():
            self._group.committed([TopicPartition(self._source, partition)], self._timeout_s)
        rebuilt = Rebuilt()
        offset, end = self._log.bounds(self._topic, partition)
        while offset < end:
            records = self._log.read(self._topic, partition, offset, _READ_RECORDS)
            if records is None:
                break
            rebuilt.apply(map(Record, map(_key, records.keys), records.values))
            offset = records.next_offset
        return rebuilt


def _key(key: bytes | None) -> bytes:
    assert key is not None  # every record of a changelog has one
    return key
