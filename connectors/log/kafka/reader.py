"""Reading Kafka at any offset: which fetcher has what is asked for, or gets it."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from connectors.log.gather import Where
from connectors.log.kafka.failures import PASSING, explained
from connectors.log.kafka.fetcher import Fetcher, consumer
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.kafka.window import Window
from streams.errors import LogUnavailable
from streams.log import Records

# Who reads so near to the end of a partition follows it, beside others who follow other partitions.
# Who is farther away reads alone, as fast as it can.
_NEAR_RECORDS = 10_000
_SCANS = 3

_RETRY_S = 0.02

# The last record is looked for so far before a partition's end, and farther if it is not there:
# transactions end in markers, which take offsets too.
_LOOK_BACK = 32


class Reader:
    """Reads partitions; for any thread."""

    def __init__(
        self,
        settings: KafkaSettings,
        topic_name: Callable[[str], str],
        on_records: Callable[[], None],
    ) -> None:
        """Connect.

        Args:
            on_records: called, on some thread, when there is something new to read.

        Raises:
            BadLogSettings: no consumer can be made of the settings.
        """
        self._timeout_s = settings.timeout_s
        self._topic_name = topic_name
        # Read uncommitted: what is acknowledged can lie beyond what is stable for a moment.
        self._ends: Any = consumer(settings, "read_uncommitted")
        self._new_fetcher = partial(Fetcher, settings, topic_name, on_records)
        self._tail = self._new_fetcher()
        self._scans: list[Fetcher] = []
        self._choosing = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Stop; who waits for records gets LogUnavailable."""
        self._closed = True
        with self._choosing:
            for fetcher in (self._tail, *self._scans):
                fetcher.close()
            self._ends.close()

    def read(self, where: Where, offset: int, max_records: int, end: int) -> Records | None:
        """Records from an offset on; None if there are none, which before `end` cannot be known.

        Raises:
            LogUnavailable: Kafka does not answer.
            UnknownTopic: there is no such partition.
        """
        deadline_s = time.monotonic() + self._timeout_s
        while (found := self._find(where, offset)) is not None:
            fetcher, window = found
            with fetcher.changed:
                while fetcher.windows.get(where) is window:
                    records = window.read(offset, max_records)
                    if records is not None or window.next_offset >= max(end, window.due):
                        fetcher.changed.notify_all()  # there may be room again
                        return records
                    _wait(fetcher, deadline_s)
            if window.failure is not None:
                raise window.failure
        return None

    def bounds(self, where: Where) -> tuple[int, int]:
        """The first offset that is kept, and the one behind the last record.

        Raises:
            LogUnavailable: Kafka does not answer.
            UnknownTopic: there is no such partition.
        """
        deadline_s = time.monotonic() + self._timeout_s
        first, end = self._watermarks(where)
        back = _LOOK_BACK
        while end > first:
            window = self._followed(where, max(first, end - back), end)
            self._await(where, window, end, deadline_s)
            if window.last is not None:
                return first, window.last
            if window.start <= first:
                break
            back *= 8
        return first, end

    def _find(self, where: Where, offset: int) -> tuple[Fetcher, Window] | None:
        """Where an offset comes in; None if it lies beyond the partition's end."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        for fetcher in (self._tail, *self._scans):
            window = fetcher.windows.get(where)
            if window is not None and window.covers(offset):
                return fetcher, window
        first, end = self._watermarks(where)
        if offset > end:
            return None
        window = Window(*where, offset, end)
        window.reach(first)
        with self._choosing:
            fetcher = self._tail if end - offset <= _NEAR_RECORDS else self._free_scan()
            fetcher.follow(where, window)
        return fetcher, window

    def _free_scan(self) -> Fetcher:
        """One that nobody has needed for the longest time."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        if len(self._scans) < _SCANS:
            self._scans.append(self._new_fetcher())
        else:
            self._scans.append(self._scans.pop(0))
            self._scans[-1].forget(self._scans[-1].windows)
        return self._scans[-1]

    def _followed(self, where: Where, start: int, due: int) -> Window:
        """The window at a partition's end, which has had a record or begins early enough."""
        window = self._tail.windows.get(where)
        if window is None or (window.last is None and window.start > start):
            window = Window(*where, start, due)
            self._tail.follow(where, window)
        return window

    def _await(self, where: Where, window: Window, end: int, deadline_s: float) -> None:
        with self._tail.changed:
            while window.next_offset < end:
                if window.failure is not None:
                    raise window.failure
                if self._tail.windows.get(where) is not window:
                    return  # it was full, and so has a record
                _wait(self._tail, deadline_s)

    def _watermarks(self, where: Where) -> tuple[int, int]:
        topic, partition = where
        place = TopicPartition(self._topic_name(topic), partition)
        deadline_s = time.monotonic() + self._timeout_s
        while not self._closed:
            try:
                self._ends.poll(0)  # takes what it has to say besides, which piles up otherwise
                bounds: tuple[int, int] = self._ends.get_watermark_offsets(place, self._timeout_s)
            except KafkaException as error:
                if error.args[0].code() not in PASSING or time.monotonic() > deadline_s:
                    raise explained(error.args[0]) from error
                time.sleep(_RETRY_S)
            else:
                return bounds
        raise LogUnavailable("the log is closed")


def _wait(fetcher: Fetcher, deadline_s: float) -> None:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0 or not fetcher.changed.wait(left_s):
        raise LogUnavailable(
            "the log did not answer in time: Kafka is away, or a transaction is left open"
        )
