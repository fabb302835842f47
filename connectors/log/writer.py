"""The one thread of a process that writes to the embedded database.

Group commit: everything that was submitted while the last transaction was on its way to the disk
becomes the next one, and records of one partition in it become one segment. So a thousand callers
who append a record each wait for the disk once, not a thousand times.
"""

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue

import structlog

from connectors.log.segment import MAX_BYTES, MAX_RECORDS, Segment, encode, segment_id
from streams.errors import LogUnavailable, UnknownTopic
from streams.log import Entry, Position

log = structlog.get_logger()

# One transaction takes no more than this, so that the first in it does not wait for all the rest.
_GROUP_RECORDS = 20_000

Work = Callable[[sqlite3.Connection], None]


@dataclass(slots=True)
class Write:
    """Something to be made durable as a whole: statements to run, records to append, or both."""

    entries: Sequence[Entry]
    work: Work | None = None
    done: "Future[list[Position]]" = field(default_factory=Future)


class Writer:
    """Runs writes in the order of their submission, many to a transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        partition_ids: Callable[[sqlite3.Connection], dict[tuple[str, int], int]],
        on_commit: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._load_partition_ids = partition_ids
        self._partition_ids = partition_ids(connection)
        self._on_commit = on_commit
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._refusal: str | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sixfold-log-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> "Future[list[Position]]":
        """Queue a write; the future has the positions of its entries once they are durable."""
        if self._closed:
            write.done.set_exception(LogUnavailable("the log is closed"))
        else:
            self._queue.put(write)
        return write.done

    @property
    def depth(self) -> int:
        """How many writes are waiting."""
        return self._queue.qsize()

    def close(self) -> None:
        """Finish what was submitted, then stop."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        last = False
        while not last:
            group, last = self._collect()
            if group:
                self._write(group)

    def _collect(self) -> tuple[list[Write], bool]:
        """Wait for the writes of the next transaction; and whether they are the last ones."""
        group: list[Write] = []
        records = 0
        while not group or (records < _GROUP_RECORDS and not self._queue.empty()):
            write = self._queue.get()
            if write is None:
                return group, True
            if write.done.set_running_or_notify_cancel():  # a caller may have given up
                group.append(write)
                records += len(write.entries)
        return group, False

    def _write(self, group: list[Write]) -> None:
        try:
            positions = self._transact(group)
        except Exception as error:
            if len(group) == 1:
                group[0].done.set_exception(_explained(error))
                return
            for write in group:  # so that one that fails takes no other with it
                self._write([write])
            return
        self._on_commit()
        for write, found in zip(group, positions, strict=True):
            write.done.set_result(found)

    def _transact(self, group: list[Write]) -> list[list[Position]]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for write in group:
                if write.work is not None:
                    write.work(self._connection)
            positions = self._append(group)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return positions

    def _append(self, group: list[Write]) -> list[list[Position]]:
        """Append the entries of a group, a segment per partition; their positions, per write."""
        columns: defaultdict[tuple[str, int], _Columns] = defaultdict(_Columns)
        places = [
            [
                (entry.topic, entry.partition, columns[entry[:2]].add(entry))
                for entry in write.entries
            ]
            for write in group
        ]
        now_ms = time.time_ns() // 1_000_000
        base = {where: self._insert(where, taken, now_ms) for where, taken in columns.items()}
        return [
            [
                Position(topic, partition, base[topic, partition] + i)
                for topic, partition, i in placed
            ]
            for placed in places
        ]

    def _insert(self, where: tuple[str, int], columns: "_Columns", now_ms: int) -> int:
        """Append records to one partition; the offset of the first."""
        id = self._partition_id(where)
        count = len(columns.values)
        (end,) = self._connection.execute(
            "UPDATE partition SET next = next + ? WHERE id = ? RETURNING next", (count, id)
        ).fetchone()
        offset: int = end - count
        for start, stop in columns.cuts():
            body = encode(
                Segment(
                    [now_ms] * (stop - start), columns.keys[start:stop], columns.values[start:stop]
                )
            )
            self._connection.execute(
                "INSERT INTO segment VALUES (?, ?, ?)",
                (segment_id(id, offset + stop - 1), stop - start, body),
            )
        return offset

    def _partition_id(self, where: tuple[str, int]) -> int:
        if where not in self._partition_ids:  # another process may have created it
            self._partition_ids = self._load_partition_ids(self._connection)
        try:
            return self._partition_ids[where]
        except KeyError:
            raise UnknownTopic(f"the log has no partition {where[0]}/{where[1]}") from None


class _Columns:
    """Records of one partition on their way into segments."""

    __slots__ = ("keys", "values")

    def __init__(self) -> None:
        self.keys: list[bytes | None] = []
        self.values: list[bytes] = []

    def add(self, entry: Entry) -> int:
        """Add a record; its index."""
        self.keys.append(entry.key)
        self.values.append(entry.value)
        return len(self.values) - 1

    def cuts(self) -> list[tuple[int, int]]:
        """Where to cut them into segments, as (start, stop)."""
        cuts: list[tuple[int, int]] = []
        start = size = 0
        for i, value in enumerate(self.values):
            if i > start and (i - start == MAX_RECORDS or size + len(value) > MAX_BYTES):
                cuts.append((start, i))
                start, size = i, 0
            size += len(value)
        cuts.append((start, len(self.values)))
        return cuts


def _explained(error: Exception) -> Exception:
    """What a caller should know: the database's own failures mean that the log is unavailable."""
    if isinstance(error, sqlite3.Error):
        log.error("log write failed", error=str(error))
        return LogUnavailable(f"the log could not be written: {error}")
    return error
