"""The embedded log: topics and partitions in one SQLite file. No server; see docs/design.md.

Any process may append to it and read it; agents run in one (`connectors/host.py`).
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

from connectors.database import PAGE_SIZE_BYTES, Synchronous, connect
from connectors.errors import TopicMismatch
from connectors.log.failures import explaining
from connectors.log.readers import Readers
from connectors.log.room import Room
from connectors.log.segment import join, segment_id, unpack
from connectors.log.writer import Work, Write, Writer
from schemas.topic import Topic
from streams.errors import LogUnavailable, UnknownTopic
from streams.log import Entry, Position, Records

# How often another process's appends are looked for. A look costs some microseconds.
_POLL_S = 0.005

# A read takes no more than about this, however few records it is.
_READ_BYTES = 16 << 20

DEFAULT_WATERMARK_BYTES = 256 << 20
DEFAULT_MAX_QUEUE_BYTES = 64 << 20


class SqliteLog:
    """`streams.log.Log` in one SQLite file."""

    def __init__(
        self,
        path: Path,
        synchronous: Synchronous = "FULL",
        watermark_bytes: int = DEFAULT_WATERMARK_BYTES,
        max_queue_bytes: int = DEFAULT_MAX_QUEUE_BYTES,
    ) -> None:
        """Open the log, creating its file if need be.

        Args:
            synchronous: FULL means that what is acknowledged is on disk; NORMAL may lose the last
                commits when the power fails, not when the process dies.
            watermark_bytes: appends are refused while less than this is free on the disk.
            max_queue_bytes: appends are refused while more than this waits to be committed.

        Raises:
            NewerFormat: a later version of Sixfold wrote the file.
        """
        self.path = path
        self._readers = Readers(lambda: _reading(connect(path, synchronous)))
        self._poll_connection = connect(path, synchronous)
        self.incarnation: str = self._poll_connection.execute(
            "SELECT value FROM meta WHERE name = 'incarnation'"
        ).fetchone()[0]
        self._data_version = 0
        self._version = 0
        self._bounds: dict[tuple[str, int], tuple[int, int]] = {}
        self._ids: dict[tuple[str, int], int] = {}
        self._poll_lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()
        self._room = Room(path.parent, watermark_bytes, self._reusable_bytes)
        self._max_queue_bytes = max_queue_bytes
        self._closed = False
        self._writer = Writer(connect(path, synchronous), _partition_ids, self._committed)
        self.version()

    def close(self) -> None:
        """Finish the appends that were submitted, and close the file.

        What is read from now on raises LogUnavailable, what is appended fails with it.
        """
        self._writer.close()
        self._readers.close()
        with self._poll_lock:
            self._closed = True
            self._poll_connection.close()  # the last one: moves the write-ahead log into the file

    def create(self, topics: Iterable[Topic]) -> None:
        """Create those of these topics that do not exist.

        Raises:
            TopicMismatch: one exists with another number of partitions.
        """
        wanted = list(topics)
        if self._missing(wanted, self.topics()):
            self.write((), lambda c: self._create(c, wanted)).result()
            self.version()

    def topics(self) -> dict[str, int]:
        """The number of partitions of every topic."""
        self.version()
        counts: dict[str, int] = {}
        for topic, _ in self._ids:
            counts[topic] = counts.get(topic, 0) + 1
        return counts

    def append(self, entries: Sequence[Entry]) -> "Future[Sequence[Position]]":
        """Append all of the entries or none; see the port."""
        refusal = self._room.refusal() or self._queue_refusal()
        if refusal is None:
            return self.write(entries)
        refused: Future[Sequence[Position]] = Future()
        refused.set_exception(LogUnavailable(refusal))
        return refused

    def write(
        self, entries: Sequence[Entry], work: Work | None = None
    ) -> "Future[Sequence[Position]]":
        """Append entries and run statements in one transaction, whatever the bounds of `append`.

        For what frees space or must not wait for it; everybody else uses `append`.
        """
        return self._writer.submit(Write(entries, work))

    @property
    def has_room(self) -> bool:
        """Whether the disk is not so full that appends are refused."""
        return self._room.refusal() is None

    @property
    def free_bytes(self) -> int:
        """How much is free on the disk, about a second ago at most."""
        return self._room.free_bytes

    @property
    def queued_bytes(self) -> int:
        """How much waits to be committed."""
        return self._writer.queued_bytes

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Records | None:
        """Up to about `max_records` records from an offset on, or None; see the port.

        Whole segments are read, so it may be a few more.
        """
        id = self._ids.get((topic, partition))
        if id is None:
            self.bounds(topic, partition)  # raises, unless the partition has just been made
            id = self._ids[topic, partition]
        with explaining():
            rows = self.reader().execute(
                "SELECT id, records, body FROM segment WHERE id >= ? AND id < ? ORDER BY id",
                (segment_id(id, offset), segment_id(id + 1, 0)),
            )
            enough = _enough(rows, max_records)
        return _joined(topic, partition, offset, enough)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the one that the next record will have."""
        self.version()
        try:
            return self._bounds[topic, partition]
        except KeyError:
            raise UnknownTopic(f"the log has no partition {topic}/{partition}") from None

    def version(self) -> int:
        """A number that has grown whenever somebody, in whichever process, has committed."""
        with self._polling() as connection:
            (found,) = connection.execute("PRAGMA data_version").fetchone()
            if found != self._data_version:
                self._data_version = found
                self._refresh()
                self._version += 1
            return self._version

    async def changed(self, version: int, timeout_s: float) -> bool:
        """Wait until `version()` is another than the one given; False if it is not in time."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(event.set)

        deadline = loop.time() + timeout_s
        self._wakers.add(wake)
        try:
            while self.version() == version:
                left = deadline - loop.time()
                if left <= 0:
                    return False
                # A commit of this process wakes at once; another's is noticed by looking.
                await _wait(event, min(_POLL_S, left))
                event.clear()
            return True
        finally:
            self._wakers.discard(wake)

    def reader(self) -> sqlite3.Connection:
        """A connection for reading that belongs to the calling thread.

        Raises:
            LogUnavailable: the log is closed.
        """
        return self._readers.mine()

    def _queue_refusal(self) -> str | None:
        """Why nothing may be appended before something is committed; None if it may."""
        queued_bytes = self.queued_bytes
        if queued_bytes < self._max_queue_bytes:
            return None
        return (
            f"{queued_bytes >> 20} MB wait to be committed to {self.path}; appends stop at "
            f"{self._max_queue_bytes >> 20} MB: try again later"
        )

    def _missing(self, wanted: Iterable[Topic], existing: Mapping[str, int]) -> list[Topic]:
        missing = []
        for topic in wanted:
            partitions = existing.get(topic.name)
            if partitions is None:
                missing.append(topic)
            elif partitions != topic.partitions:
                raise TopicMismatch(
                    f"topic {topic.name} has {partitions} partitions in {self.path}, but "
                    f"{topic.partitions} are declared: partitions are fixed when a topic is created"
                )
        return missing

    def _create(self, connection: sqlite3.Connection, wanted: Iterable[Topic]) -> None:
        existing = connection.execute("SELECT topic, count(*) FROM partition GROUP BY topic")
        connection.executemany(
            "INSERT INTO partition (topic, partition) VALUES (?, ?)",
            [
                (topic.name, partition)
                for topic in self._missing(wanted, dict(existing.fetchall()))
                for partition in range(topic.partitions)
            ],
        )

    def _committed(self) -> None:
        """Called by the writer after each transaction, on its thread."""
        for wake in tuple(self._wakers):
            wake()

    @contextmanager
    def _polling(self) -> Iterator[sqlite3.Connection]:
        """The connection that sees whether anybody has committed; for one thread at a time."""
        with self._poll_lock, explaining():
            if self._closed:
                raise LogUnavailable("the log is closed")
            yield self._poll_connection

    def _refresh(self) -> None:
        rows = self._poll_connection.execute(
            "SELECT id, topic, partition, first, next FROM partition"
        )
        for id, topic, partition, first, next_ in rows:
            self._ids[topic, partition] = id
            self._bounds[topic, partition] = (first, next_)

    def _reusable_bytes(self) -> int:
        """Space within the file that retention has freed."""
        try:
            with self._polling() as connection:
                (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        except LogUnavailable:  # the append will say so
            return 0
        return int(pages) * PAGE_SIZE_BYTES


def _reading(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA query_only=ON")
    return connection


def _partition_ids(connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    rows = connection.execute("SELECT topic, partition, id FROM partition")
    return {(topic, partition): id for topic, partition, id in rows}


def _enough(rows: sqlite3.Cursor, max_records: int) -> list[tuple[int, bytes]]:
    """Segments with at least `max_records` records in all, if there are as many."""
    found: list[tuple[int, bytes]] = []
    records = size_bytes = 0
    for id, count, body in rows:
        found.append((id, body))
        records += count
        size_bytes += len(body)
        if records >= max_records or size_bytes >= _READ_BYTES:
            break
    return found


def _joined(
    topic: str, partition: int, offset: int, rows: list[tuple[int, bytes]]
) -> Records | None:
    """Segments as one batch, without the records before an offset."""
    if not rows:
        return None
    joined = Records(topic, partition, offset, *join([unpack(id, body) for id, body in rows]))
    return joined.since(offset) if joined.offsets[0] < offset else joined


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
