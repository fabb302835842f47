"""The embedded log beside bare SQLite that writes and reads the same segments."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from benchmarks.figures import compared
from connectors.database import connect
from connectors.log.segment import decode
from connectors.log.sqlite import SqliteLog
from schemas.topic import Topic
from streams.log import Entry, Position

ROUNDS = 7
RECORDS = 100_000
BATCH = 1_000
VALUE_BYTES = 200

# Producers do not wait for one batch before they send the next.
_IN_FLIGHT = 8


def run(directory: Path) -> dict[str, float]:
    """Append batches of 1,000 records of 200 bytes, and read them, at synchronous=FULL."""
    log = SqliteLog(directory / "log.db", "FULL")
    log.create([Topic("bench", partitions=1)])
    batch = [Entry("bench", 0, b"key-%d" % (n % 1_000), bytes(VALUE_BYTES)) for n in range(BATCH)]
    log.append(batch).result()
    body = log.reader().execute("SELECT body FROM segment").fetchone()[0]
    bare = connect(directory / "bare.db", "FULL")

    def insert(n: int) -> None:
        for i in range(RECORDS // BATCH):
            bare.execute("BEGIN IMMEDIATE")
            bare.execute("INSERT INTO segment VALUES (?, ?, 0, ?)", (n * RECORDS + i, BATCH, body))
            bare.execute("COMMIT")

    def select(n: int) -> None:
        rows = bare.execute(
            "SELECT body FROM segment WHERE id >= ? AND id < ?", (n * RECORDS, (n + 1) * RECORDS)
        )
        for (found,) in rows:
            decode(found)

    append_s, insert_s, append_ratio = compared(lambda _: _append(log, batch), insert, ROUNDS)
    read_s, select_s, read_ratio = compared(lambda n: _read(log, n), select, ROUNDS)
    log.close()
    bare.close()
    return {
        "append_vs_sqlite": append_ratio,
        "append_per_s": RECORDS / append_s,
        "sqlite_insert_per_s": RECORDS / insert_s,
        "read_vs_sqlite": read_ratio,
        "read_per_s": RECORDS / read_s,
        "sqlite_read_per_s": RECORDS / select_s,
    }


def _append(log: SqliteLog, batch: Sequence[Entry]) -> None:
    waiting: deque[Future[Sequence[Position]]] = deque()
    for _ in range(RECORDS // BATCH):
        waiting.append(log.append(batch))
        if len(waiting) == _IN_FLIGHT:
            waiting.popleft().result()
    for future in waiting:
        future.result()


def _read(log: SqliteLog, n: int) -> None:
    offset, end = n * RECORDS, (n + 1) * RECORDS
    while offset < end:
        records = log.read("bench", 0, offset, BATCH)
        assert records is not None
        offset = records.next_offset
