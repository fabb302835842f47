"""Topics: made as the catalog declares them, and what the cluster has."""

import re
import time
from collections.abc import Iterable, Set
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.errors import TopicMismatch
from connectors.log.kafka.failures import explained, explaining, made
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.retention import DAY_MS
from schemas.topic import Topic
from streams.errors import LogUnavailable

# The largest record; Kafka's own default is 1 MB, and SQLite has no bound that anybody meets.
MAX_RECORD_BYTES = 8 << 20
_MAX_BATCH_BYTES = MAX_RECORD_BYTES + (64 << 10)

# A topic without records: the id that Kafka gives it is that of the log. Topics of the catalog
# begin with a letter.
_IDENTITY = "_log"
_LOOK_S = 0.02
_OURS = re.compile(r"[a-z][a-z0-9_]*")


class Topics:
    """The topics of one log in a cluster."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Find the log in the cluster, or begin it.

        Raises:
            BadLogSettings: no client can be made of them.
            LogUnavailable: Kafka does not answer.
        """
        self._settings = settings
        self._admin = made(AdminClient, settings.client())
        self._partitions: dict[str, int] = {}
        self._load()
        self.incarnation = self._identity()

    def name(self, topic: str) -> str:
        """What a topic is called in the cluster."""
        return self._settings.prefix + topic

    def topics(self) -> dict[str, int]:
        """The number of partitions of every topic.

        Raises:
            LogUnavailable: Kafka does not answer.
        """
        self._load()
        return {topic: n for topic, n in self._partitions.items() if _OURS.fullmatch(topic)}

    def partitions(self, topic: str) -> int:
        """The number of partitions of a topic; none if there is no such topic.

        Raises:
            LogUnavailable: Kafka does not answer.
        """
        if topic not in self._partitions:
            self._load()
        return self._partitions.get(topic, 0)

    def create(self, topics: Iterable[Topic]) -> None:
        """Create those of these topics that do not exist.

        Raises:
            TopicMismatch: one exists with another number of partitions.
            LogUnavailable: Kafka does not answer.
        """
        wanted = list(topics)
        self._load()
        self._create(
            self._new(topic.name, topic.partitions, configuration(topic))
            for topic in wanted
            if topic.name not in self._partitions
        )
        for topic in wanted:
            partitions = self.partitions(topic.name)
            if partitions != topic.partitions:
                raise TopicMismatch(
                    f"topic {self.name(topic.name)} has {partitions} partitions, but "
                    f"{topic.partitions} are declared: partitions are fixed when a topic is created"
                )

    def create_changelog(self, name: str, partitions: int) -> None:
        """Create a compacted topic that the catalog does not know, if it does not exist.

        Raises:
            LogUnavailable: Kafka does not answer.
        """
        if not self.partitions(name):
            settings = {"cleanup.policy": "compact", "max.message.bytes": str(_MAX_BATCH_BYTES)}
            self._create([self._new(name, partitions, settings)])

    def _create(self, new: Iterable[NewTopic]) -> None:
        missing = list(new)
        if not missing:
            return
        for created in self._admin.create_topics(missing).values():
            error = _failure(created)
            if error is not None and error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise explained(error)
        self._await({topic.topic.removeprefix(self._settings.prefix) for topic in missing})

    def _await(self, topics: Set[str]) -> None:
        """Wait until brokers know topics that have been made."""
        deadline_s = time.monotonic() + self._settings.timeout_s
        self._load()
        while not topics <= self._partitions.keys():
            if time.monotonic() > deadline_s:
                raise LogUnavailable("Kafka has made topics that it does not know: try again")
            time.sleep(_LOOK_S)
            self._load()

    def _new(self, topic: str, partitions: int, configuration: dict[str, str]) -> NewTopic:
        copies = self._settings.replication
        if copies is None:
            return NewTopic(self.name(topic), partitions, config=configuration)
        safe = configuration | {"min.insync.replicas": str(max(1, copies - 1))}
        return NewTopic(self.name(topic), partitions, replication_factor=copies, config=safe)

    def _load(self) -> None:
        prefix = self._settings.prefix
        with explaining():
            found = self._admin.list_topics(timeout=self._settings.timeout_s).topics
        self._partitions = {
            name.removeprefix(prefix): len(topic.partitions)
            for name, topic in found.items()
            if name.startswith(prefix)
        }

    def _identity(self) -> str:
        name = self.name(_IDENTITY)
        if _IDENTITY not in self._partitions:
            self._create([self._new(_IDENTITY, 1, {})])
        described = self._admin.describe_topics(TopicCollection([name]))[name]
        error = _failure(described)
        if error is not None:
            raise explained(error)
        return str(described.result().topic_id)


def configuration(topic: Topic) -> dict[str, str]:
    """What Kafka has to know of a topic.

    It drops old records by itself only where the lake has no table: what is archived may go when it
    is in the lake, which Kafka cannot know. Records carry the time of their append, or old events
    that are added today would be dropped at once.
    """
    retains = topic.retention_days is not None and not topic.archived
    policies = ["compact"] if topic.compacted else []
    if retains or not policies:
        policies.append("delete")
    return {
        "cleanup.policy": ",".join(policies),
        "retention.ms": str((topic.retention_days or 0) * DAY_MS) if retains else "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(_MAX_BATCH_BYTES),
    }


def _failure(asked: "Future[Any]") -> KafkaError | None:
    """The error of an answer, if it is one.

    Raises:
        LogUnavailable: there is no answer.
    """
    try:
        asked.result()
    except KafkaException as error:
        failure: KafkaError = error.args[0]
        return failure
    return None
