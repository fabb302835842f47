"""The one thread of a process that writes to the embedded database.

Group commit: everything that was submitted while the last transaction was on its way to the disk
becomes the next one, and records of one partition in it become one segment. So a thousand callers
who append a record each wait for the disk once, not a thousand times.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from queue import Empty, SimpleQueue

from connectors.database import execute_in_turn
from connectors.log.failures import explained
from connectors.log.gather import Gathered, Placed, Where, offsets, sort
from connectors.log.segment import Columns, cuts, pack
from streams.errors import LogUnavailable, UnknownTopic
from streams.log import Entry, Position, Positions

# One transaction takes no more than this, so that the first in it does not wait for all the rest.
_GROUP_RECORDS = 20_000

_value = itemgetter(Entry._fields.index("value"))

Work = Callable[[sqlite3.Connection], None]


@dataclass(slots=True)
class Write:
    """Something to be made durable as a whole: statements to run, records to append, or both."""

    entries: Sequence[Entry]
    work: Work | None = None
    done: "Future[Sequence[Position]]" = field(default_factory=Future)
    size_bytes: int = 0


class Writer:
    """Runs writes in the order of their submission, many to a transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        partition_ids: Callable[[sqlite3.Connection], dict[Where, int]],
        on_commit: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._connection.execute("PRAGMA busy_timeout=0")  # execute_in_turn waits instead
        self._load_partition_ids = partition_ids
        self._partition_ids = partition_ids(connection)
        self._on_commit = on_commit
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._submitting = threading.Lock()
        # Each is counted by one thread at a time, so that their difference needs no other lock.
        self._submitted_bytes = self._settled_bytes = 0
        self._closed = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="sixfold-log-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> "Future[Sequence[Position]]":
        """Queue a write; the future has the positions of its entries once they are durable."""
        write.size_bytes = sum(map(len, map(_value, write.entries)))
        with self._submitting:  # so that nothing gets behind the end of the queue
            if self._closed:
                write.done.set_exception(LogUnavailable("the log is closed"))
            elif os.getpid() != self._process:  # threads do not survive a fork
                write.done.set_exception(
                    LogUnavailable(
                        "the log was opened before this process was forked: open it anew"
                    )
                )
            else:
                self._submitted_bytes += write.size_bytes
                self._queue.put(write)
        return write.done

    @property
    def queued_bytes(self) -> int:
        """How much was submitted, and is neither durable yet nor refused."""
        return self._submitted_bytes - self._settled_bytes

    def close(self) -> None:
        """Finish what was submitted, then stop."""
        with self._submitting:
            if not self._closed:
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
                self._settled_bytes += sum(write.size_bytes for write in group)

    def _collect(self) -> tuple[list[Write], bool]:
        """Wait for the writes of the next transaction; and whether they are the last ones."""
        group: list[Write] = []
        records = 0
        with suppress(Empty):
            while records < _GROUP_RECORDS:
                write = self._queue.get(block=not group)
                if write is None:
                    return group, True
                if write.done.set_running_or_notify_cancel():
                    group.append(write)
                    records += len(write.entries)
                else:  # a caller has given up
                    self._settled_bytes += write.size_bytes
        return group, False

    def _write(self, group: list[Write]) -> None:
        try:
            done = self._transact(group)
        except Exception as error:
            # What fails a whole transaction (a full disk, another process that holds the database)
            # would fail each of its writes too, so none is tried alone.
            for write in group:
                if not write.done.done():
                    write.done.set_exception(explained(error))
            return
        self._on_commit()
        for write, positions in done:
            write.done.set_result(positions)

    def _transact(self, group: list[Write]) -> list[tuple[Write, Sequence[Position]]]:
        execute_in_turn(self._connection, "BEGIN IMMEDIATE")
        try:
            gathered = Gathered()
            sound = [
                (write, placed)
                for write in group
                if (placed := self._prepare(write, gathered)) is not None
            ]
            first = {
                where: self._insert(where, *columns) for where, columns in gathered.columns.items()
            }
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return [
            (write, Positions(write.entries, offsets(placed, first))) for write, placed in sound
        ]

    def _prepare(self, write: Write, gathered: Gathered) -> list[Placed] | None:
        """Do a write's own work and gather its records; if it fails, it takes no other with it."""
        try:
            by_partition = sort(write.entries)
            for where in by_partition:
                self._partition_id(where)
            if write.work is not None:
                self._do(write.work)
        except Exception as error:
            if not self._connection.in_transaction:  # SQLite has given up the whole transaction
                raise
            write.done.set_exception(explained(error))
            return None
        return gathered.add(write.entries, by_partition)

    def _do(self, work: Work) -> None:
        self._connection.execute("SAVEPOINT work")
        try:
            work(self._connection)
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO work")
            raise
        finally:
            if self._connection.in_transaction:
                self._connection.execute("RELEASE work")

    def _insert(self, where: Where, keys: list[bytes | None], values: list[bytes]) -> int:
        """Append records to one partition; the offset of the first."""
        id = self._partition_id(where)
        (end,) = self._connection.execute(
            "UPDATE partition SET next = next + ? WHERE id = ? RETURNING next", (len(values), id)
        ).fetchone()
        first: int = end - len(values)
        now_ms = time.time_ns() // 1_000_000
        for start, stop in cuts(values):
            some = Columns(
                range(first + start, first + stop),
                [now_ms] * (stop - start),
                keys[start:stop],
                values[start:stop],
            )
            self._connection.execute("INSERT INTO segment VALUES (?, ?, ?, ?)", pack(id, some))
        return first

    def _partition_id(self, where: Where) -> int:
        if where not in self._partition_ids:  # another process may have created it
            self._partition_ids = self._load_partition_ids(self._connection)
        try:
            return self._partition_ids[where]
        except KeyError:
            raise UnknownTopic(f"the log has no partition {where[0]}/{where[1]}") from None
