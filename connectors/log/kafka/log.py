"""The log on a Kafka cluster; see docs/design.md."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

from connectors.log.gather import Where
from connectors.log.kafka.reader import Reader
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.kafka.topics import Topics
from connectors.log.kafka.writer import Writer
from schemas.topic import Topic
from streams.errors import LogUnavailable
from streams.log import Entry, Position, Records


class KafkaLog:
    """`streams.log.Log` on Kafka.

    Offsets have gaps: transactions end in markers. So the end of a partition, as `bounds` says it,
    is where somebody stands who has read everything; the next record may come somewhat beyond.
    """

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        """Connect to the cluster, and begin the log in it if need be.

        Args:
            name: of this writer, the same at every start; no two processes at a time may have the
                same. What a process of this name left open when it died is ended.

        Raises:
            BadLogSettings: the settings are wrong.
            LogUnavailable: Kafka does not answer.
        """
        self._topics = Topics(settings)
        self.incarnation = self._topics.incarnation
        self._version = 0
        self._growing = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()
        self._promised: dict[Where, int] = {}  # ends that were told to somebody
        self._closed = False
        self._reader = Reader(settings, self._topics.name, self._grown)
        self._writer = Writer(settings, name, self._topics, self._note_append)

    def close(self) -> None:
        """Finish the appends that were submitted, and disconnect.

        What is read from now on raises LogUnavailable, what is appended fails with it.
        """
        self._writer.close()
        if not self._closed:
            self._closed = True
            self._reader.close()

    def create(self, topics: Iterable[Topic]) -> None:
        """Create those of these topics that do not exist.

        Raises:
            TopicMismatch: one exists with another number of partitions.
            LogUnavailable: Kafka does not answer.
        """
        self._topics.create(topics)

    def topics(self) -> dict[str, int]:
        """The number of partitions of every topic."""
        return self._topics.topics()

    def append(self, entries: Sequence[Entry]) -> "Future[Sequence[Position]]":
        """Append all of the entries or none; see the port."""
        return self._writer.submit(entries)

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Records | None:
        """Up to `max_records` records from an offset on, or None; see the port.

        What this process has appended is there, and what `bounds` has promised; what others append
        comes as soon as it has been fetched. Only then, and at the beginning, does it wait.
        """
        where = (topic, partition)
        return self._reader.read(where, offset, max_records, self._promised.get(where, 0))

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the one behind the last record; see the class.

        It asks Kafka, so it takes some milliseconds; longer while somebody's transaction is open.
        """
        first, end = self._reader.bounds((topic, partition))
        self._promise({(topic, partition): end})
        return first, end

    def version(self) -> int:
        """A number that has grown whenever something was fetched or appended."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        return self._version

    async def changed(self, version: int, timeout_s: float) -> bool:
        """Wait until `version()` is another than the one given; False if it is not in time."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(event.set)

        self._wakers.add(wake)
        try:
            async with asyncio.timeout(timeout_s):
                while self.version() == version:
                    await event.wait()
                    event.clear()
        except TimeoutError:
            return False
        finally:
            self._wakers.discard(wake)
        return True

    def _note_append(self, ends: Mapping[Where, int]) -> None:
        self._promise(ends)
        self._grown()

    def _promise(self, ends: Mapping[Where, int]) -> None:
        with self._growing:
            for where, end in ends.items():
                self._promised[where] = max(end, self._promised.get(where, 0))

    def _grown(self) -> None:
        """Called on several threads."""
        with self._growing:
            self._version += 1
        for wake in tuple(self._wakers):
            wake()
