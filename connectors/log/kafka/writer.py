"""The one thread of a process that appends to Kafka: many appends to a transaction."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from connectors.errors import RecordTooLarge
from connectors.log.gather import Gathered, Placed, Where, sort
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.kafka.topics import MAX_RECORD_BYTES, Topics
from connectors.log.kafka.transactions import Transactions
from streams.errors import LogUnavailable, UnknownTopic
from streams.log import Entry, Position, Positions

# One transaction takes no more than this, so that the first in it does not wait for all the rest.
_GROUP_RECORDS = 20_000

Ends = Mapping[Where, int]
"""By partition, the offset behind the last record that was appended."""


@dataclass(slots=True)
class _Append:
    entries: Sequence[Entry]
    done: "Future[Sequence[Position]]" = field(default_factory=Future)


class Writer:
    """Appends in the order of submission."""

    def __init__(
        self, settings: KafkaSettings, name: str, topics: Topics, on_append: Callable[[Ends], None]
    ) -> None:
        """Start the thread.

        Args:
            name: under which it appends; no two processes at a time may have the same.
            on_append: called on the thread before whoever appended is told.
        """
        self._timeout_s = settings.timeout_s
        self._topics = topics
        self._on_append = on_append
        self._transactions = Transactions(settings, name, topics.name, self._in_doubt)
        self._queue: SimpleQueue[_Append | None] = SimpleQueue()
        self._submitting = threading.Lock()
        self._closed_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="sixfold-log-writer", daemon=True)
        self._thread.start()

    def submit(self, entries: Sequence[Entry]) -> "Future[Sequence[Position]]":
        """Queue an append; the future has the positions of its entries once they are durable."""
        append = _Append(entries)
        with self._submitting:  # so that nothing gets behind the end of the queue
            if self._closed_at_s is None:
                self._queue.put(append)
            else:
                append.done.set_exception(LogUnavailable("the log is closed"))
        return append.done

    def close(self) -> None:
        """Append what was submitted, or fail to, then stop."""
        with self._submitting:
            if self._closed_at_s is None:
                self._closed_at_s = time.monotonic()
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            group, last = self._collect()
            if group:
                self._write(group)
        self._transactions.close()

    def _collect(self) -> tuple[list[_Append], bool]:
        """Wait for the appends of the next transaction; and whether they are the last ones."""
        group: list[_Append] = []
        records = 0
        with suppress(Empty):
            while records < _GROUP_RECORDS:
                append = self._queue.get(block=not group)
                if append is None:
                    return group, True
                if append.done.set_running_or_notify_cancel():  # a caller may have given up
                    group.append(append)
                    records += len(append.entries)
        return group, False

    def _write(self, group: Sequence[_Append]) -> None:
        gathered = Gathered()
        placed = [(append, self._place(append, gathered)) for append in group]
        sound = [(append, places) for append, places in placed if places is not None]
        try:
            delivered = self._transactions.append(gathered.columns) if gathered.columns else {}
        except Exception as error:  # a thread that dies would leave all others waiting for ever
            for append, _ in sound:
                append.done.set_exception(error)
            return
        self._on_append({where: offsets[-1] + 1 for where, offsets in delivered.items()})
        for append, places in sound:
            append.done.set_result(Positions(append.entries, _offsets(places, delivered)))

    def _place(self, append: _Append, gathered: Gathered) -> list[Placed] | None:
        """Gather an append's records; if they cannot be appended, they take no others with them."""
        try:
            by_partition = sort(append.entries)
            for where in by_partition:
                self._check(where)
            if any(len(entry.value) > MAX_RECORD_BYTES for entry in append.entries):
                raise RecordTooLarge(f"a record is larger than {MAX_RECORD_BYTES:,} bytes")
        except Exception as error:
            append.done.set_exception(error)
            return None
        return gathered.add(append.entries, by_partition)

    def _check(self, where: Where) -> None:
        topic, partition = where
        if not 0 <= partition < self._topics.partitions(topic):
            raise UnknownTopic(f"the log has no partition {topic}/{partition}")

    def _in_doubt(self) -> bool:
        """Refuse whatever waits, while the log does not answer; ask on, unless it is closed."""
        with suppress(Empty):
            while True:
                append = self._queue.get_nowait()
                if append is None:
                    self._queue.put(None)
                    break
                if append.done.set_running_or_notify_cancel():
                    append.done.set_exception(LogUnavailable("the log does not answer"))
        closed_at_s = self._closed_at_s
        return closed_at_s is None or time.monotonic() < closed_at_s + self._timeout_s


def _offsets(placed: Sequence[Placed], delivered: Mapping[Where, Sequence[int]]) -> list[int]:
    """The offsets of an append's entries, in their order."""
    found = [0] * sum(len(indices) for _, indices, _ in placed)
    for where, indices, start in placed:
        for i, offset in zip(indices, delivered[where][start : start + len(indices)], strict=True):
            found[i] = offset
    return found
