"""A fetcher: a consumer with a thread of its own, which fills windows."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.log.gather import Where
from connectors.log.kafka.failures import explained, made
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.kafka.window import Window
from streams.errors import LogUnavailable

log = structlog.get_logger()

# How long the thread waits for records before it looks whether it has to read elsewhere.
_LOOK_S = 0.005
_IDLE_S = 0.05
_BATCH_RECORDS = 2_000

_Columns = tuple[list[int], list[int], list[bytes | None], list[bytes]]


def consumer(settings: KafkaSettings, isolation: str, **own: Any) -> Consumer:
    """A consumer that is no member of a group: Kafka wants a name for one all the same.

    Raises:
        BadLogSettings: no consumer can be made of these settings.
    """
    configuration = settings.client(
        group_id=f"{settings.prefix}sixfold",
        isolation_level=isolation,
        enable_auto_commit=False,
        enable_auto_offset_store=False,
        enable_partition_eof=True,
        # Retention may overtake a reader, who then goes on with what there is.
        auto_offset_reset="earliest",
        # The end of a partition is known when a fetch has found nothing there, after this time; and
        # a partition that is added has to wait for the fetch that is under way.
        fetch_wait_max_ms=10,
        # Full queues are looked at again after a second otherwise, which costs most of the speed.
        fetch_queue_backoff_ms=5,
        queued_max_messages_kbytes=32 << 10,
        **own,
    )
    return made(Consumer, configuration)


class Fetcher:
    """Fetches the records of some partitions into windows, read committed.

    Attributes:
        changed: held while windows are read, notified when something has come into one.
        windows: by partition; one that is here no more is filled no more.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic_name: Callable[[str], str],
        on_records: Callable[[], None],
    ) -> None:
        self.changed = threading.Condition()
        self.windows: dict[Where, Window] = {}
        self._topic_name = topic_name
        self._prefix = topic_name("")
        self._on_records = on_records
        self._consumer = consumer(settings, "read_committed")
        self._moved: SimpleQueue[Where] = SimpleQueue()
        self._assigned: dict[Where, Window] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sixfold-log-reader", daemon=True)
        self._thread.start()

    def follow(self, where: Where, window: Window) -> None:
        """Fill this window, instead of another of the same partition."""
        with self.changed:
            self.windows[where] = window
            self._moved.put(where)
            self.changed.notify_all()

    def forget(self, wheres: Iterable[Where]) -> None:
        """Fill the windows of these partitions no more."""
        with self.changed:
            for where in tuple(wheres):
                if self.windows.pop(where, None) is not None:
                    self._moved.put(where)
            self.changed.notify_all()

    def close(self) -> None:
        """Stop; whoever waits for records gets none."""
        self._closed = True
        self._thread.join()
        self._consumer.close()

    # What follows happens on the thread.

    def _run(self) -> None:
        while not self._closed:
            try:
                self._move()
                if self._has_room():
                    self._fetch()
            except Exception as error:
                log.exception("reading the log failed")
                self._fail(error)
        self._fail(LogUnavailable("the log is closed"))

    def _move(self) -> None:
        """Read where windows say."""
        try:
            while True:
                where = self._moved.get_nowait()
                if self._assigned.pop(where, None) is not None:
                    self._consumer.incremental_unassign([self._place(where)])
                window = self.windows.get(where)
                if window is not None:
                    self._consumer.incremental_assign([self._place(where, window.next_offset)])
                    self._assigned[where] = window
        except Empty:
            return

    def _place(self, where: Where, offset: int = 0) -> TopicPartition:
        topic, partition = where
        return TopicPartition(self._topic_name(topic), partition, offset)

    def _has_room(self) -> bool:
        """Whether to fetch; waits for somebody who reads what there is, or something else.

        A window that is full is forgotten if there are others, which would have to wait for it.
        """
        with self.changed:
            full = [where for where, window in self.windows.items() if window.is_full]
            if len(self.windows) == len(full) < 2:
                self.changed.wait(_IDLE_S)
                return False
        self.forget(full)
        return True

    def _fetch(self) -> None:
        first = self._consumer.poll(_LOOK_S)
        if first is None:
            return
        messages = [first, *self._consumer.consume(_BATCH_RECORDS, 0)]
        columns: defaultdict[Where, _Columns] = defaultdict(lambda: ([], [], [], []))
        ends: dict[Where, int] = {}
        for message in messages:
            self._sort(message, columns, ends)
        with self.changed:
            self._take(columns, ends)
            self.changed.notify_all()
        if columns:
            self._on_records()

    def _sort(
        self, message: Message, columns: defaultdict[Where, _Columns], ends: dict[Where, int]
    ) -> None:
        error = message.error()
        if error is None:
            offsets, times_ms, keys, values = columns[self._where(message)]
            offsets.append(message.offset())  # type: ignore[arg-type]
            times_ms.append(message.timestamp()[1])
            keys.append(message.key())
            values.append(message.value() or b"")
        elif error.code() == KafkaError._PARTITION_EOF:
            ends[self._where(message)] = message.offset()  # type: ignore[assignment]
        elif message.topic() is not None:
            raise KafkaException(error)

    def _where(self, message: Message) -> Where:
        topic: Any = message.topic()
        partition: Any = message.partition()
        return topic.removeprefix(self._prefix), partition

    def _take(self, columns: Mapping[Where, _Columns], ends: Mapping[Where, int]) -> None:
        """Fill the windows; not those that have been put in the place of others since."""
        for where, (offsets, times_ms, keys, values) in columns.items():
            window = self._assigned.get(where)
            if window is not None and window is self.windows.get(where):
                window.add(offsets, times_ms, keys, values)
        for where, end in ends.items():
            window = self._assigned.get(where)
            if window is not None and window is self.windows.get(where):
                window.reach(end)

    def _fail(self, error: Exception) -> None:
        """Tell all who wait, and begin anew with whoever asks again."""
        if isinstance(error, KafkaException):
            error = explained(error.args[0])
        with self.changed:
            for window in self.windows.values():
                window.failure = error
        self.forget(self.windows)
