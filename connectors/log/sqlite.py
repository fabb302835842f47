"""The embedded log: topics and partitions in one SQLite file. No server; see docs/design.md.

Any process may append to it and read it; agents run in one (`connectors/host.py`).
"""

import asyncio
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from connectors.database import Synchronous, connect
from connectors.errors import TopicMismatch
from connectors.log.segment import OFFSET_BITS, decode, offsets_of, segment_id
from connectors.log.writer import Work, Write, Writer
from schemas.topic import Topic
from streams.errors import LogUnavailable, UnknownTopic
from streams.log import Entry, Position, Records

# How often another process's appends are looked for. A look costs some microseconds.
_POLL_S = 0.005
_DISK_CHECK_S = 1.0

DEFAULT_WATERMARK_BYTES = 256 << 20


class SqliteLog:
    """`streams.log.Log` in one SQLite file."""

    def __init__(
        self,
        path: Path,
        synchronous: Synchronous = "FULL",
        watermark_bytes: int = DEFAULT_WATERMARK_BYTES,
    ) -> None:
        """Open the log, creating its file if need be.

        Args:
            synchronous: FULL means that what is acknowledged is on disk; NORMAL may lose the last
                commits when the power fails, not when the process dies.
            watermark_bytes: appends are refused while less than this is free on the disk.

        Raises:
            NewerFormat: a later version of Sixfold wrote the file.
        """
        self.path = path
        self._threads = threading.local()
        self._synchronous: Synchronous = synchronous
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
        self._room = _Room(path.parent, watermark_bytes)
        self._writer = Writer(connect(path, synchronous), _partition_ids, self._committed)
        self.version()

    def close(self) -> None:
        """Finish the appends that were submitted, and close the file."""
        self._writer.close()
        self._poll_connection.close()

    def create(self, topics: Iterable[Topic]) -> None:
        """Create those of these topics that do not exist.

        Raises:
            TopicMismatch: one exists with another number of partitions.
        """
        existing = self.topics()
        rows = []
        for topic in topics:
            if topic.name not in existing:
                rows += [(topic.name, partition) for partition in range(topic.partitions)]
            elif existing[topic.name] != topic.partitions:
                raise TopicMismatch(
                    f"topic {topic.name} has {existing[topic.name]} partitions in {self.path}, but "
                    f"{topic.partitions} are declared: partitions are fixed when a topic is created"
                )
        if rows:
            self.write((), lambda c: _create(c, rows)).result()
            self.version()

    def topics(self) -> dict[str, int]:
        """The number of partitions of every topic."""
        self.version()
        counts: dict[str, int] = {}
        for topic, _ in self._ids:
            counts[topic] = counts.get(topic, 0) + 1
        return counts

    def append(self, entries: Sequence[Entry]) -> "Future[list[Position]]":
        """Append all of the entries or none; see the port."""
        if not self._room.enough():
            refused: Future[list[Position]] = Future()
            refused.set_exception(LogUnavailable(self._room.refusal))
            return refused
        return self.write(entries)

    def write(self, entries: Sequence[Entry], work: Work | None = None) -> "Future[list[Position]]":
        """Append entries and run statements in one transaction, whatever the disk's watermark.

        For what frees space or must not wait for it; everybody else uses `append`.
        """
        return self._writer.submit(Write(entries, work))

    @property
    def queued(self) -> int:
        """How many writes are waiting for the disk."""
        return self._writer.depth

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Records | None:
        """Up to about `max_records` records from an offset on, or None; see the port.

        Whole segments are read, so it may be a few more.
        """
        if offset >= self.bounds(topic, partition)[1]:
            return None
        id = self._ids[topic, partition]
        rows = self.reader().execute(
            "SELECT id, records, body FROM segment WHERE id >= ? AND id < ? ORDER BY id",
            (segment_id(id, offset), (id + 1) << OFFSET_BITS),
        )
        return _joined(topic, partition, offset, _enough(rows, max_records))

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the one that the next record will have."""
        self.version()
        try:
            return self._bounds[topic, partition]
        except KeyError:
            raise UnknownTopic(f"the log has no partition {topic}/{partition}") from None

    def version(self) -> int:
        """A number that has grown whenever somebody, in whichever process, has committed."""
        with self._poll_lock:
            (found,) = self._poll_connection.execute("PRAGMA data_version").fetchone()
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
        """A connection for reading that belongs to the calling thread."""
        found: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if found is None:
            found = self._threads.connection = connect(self.path, self._synchronous)
            found.execute("PRAGMA query_only=ON")
        return found

    def _committed(self) -> None:
        """Called by the writer after each transaction, on its thread."""
        for wake in tuple(self._wakers):
            wake()

    def _refresh(self) -> None:
        rows = self._poll_connection.execute(
            "SELECT id, topic, partition, first, next FROM partition"
        )
        for id, topic, partition, first, next_ in rows:
            self._ids[topic, partition] = id
            self._bounds[topic, partition] = (first, next_)


class _Room:
    """Whether the disk has room left, looked up once a second."""

    def __init__(self, directory: Path, watermark_bytes: int) -> None:
        self._directory = directory
        self._watermark_bytes = watermark_bytes
        self._checked_s = -_DISK_CHECK_S
        self._free_bytes = 0

    def enough(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._checked_s >= _DISK_CHECK_S:
            self._checked_s = now_s
            self._free_bytes = shutil.disk_usage(self._directory).free
        return self._free_bytes >= self._watermark_bytes

    @property
    def refusal(self) -> str:
        return (
            f"{self._free_bytes >> 20} MB are free at {self._directory}, and appends stop below "
            f"{self._watermark_bytes >> 20} MB: free some space"
        )


def _partition_ids(connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    rows = connection.execute("SELECT topic, partition, id FROM partition")
    return {(topic, partition): id for topic, partition, id in rows}


def _create(connection: sqlite3.Connection, rows: list[tuple[str, int]]) -> None:
    connection.executemany("INSERT OR IGNORE INTO partition (topic, partition) VALUES (?, ?)", rows)


def _enough(rows: sqlite3.Cursor, max_records: int) -> list[tuple[int, bytes]]:
    """Segments with at least `max_records` records in all, if there are as many."""
    found: list[tuple[int, bytes]] = []
    records = 0
    for id, count, body in rows:
        found.append((id, body))
        records += count
        if records >= max_records:
            break
    return found


def _joined(
    topic: str, partition: int, offset: int, rows: list[tuple[int, bytes]]
) -> Records | None:
    """Segments as one batch, without the records before an offset."""
    if not rows:
        return None
    id, body = rows[0]
    first = decode(body)
    offsets = offsets_of(id, first)
    joined = Records(topic, partition, offset, offsets, first.times_ms, first.keys, first.values)
    if offsets[0] < offset:
        joined = joined.since(offset)
    if len(rows) == 1:
        return joined
    all_offsets = list(joined.offsets)
    times_ms, keys, values = list(joined.times_ms), list(joined.keys), list(joined.values)
    for id, body in rows[1:]:
        segment = decode(body)
        all_offsets += offsets_of(id, segment)
        times_ms += segment.times_ms
        keys += segment.keys
        values += segment.values
    return Records(topic, partition, offset, all_offsets, times_ms, keys, values)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
