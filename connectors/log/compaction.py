"""Compaction: of the records of a key only the newest is kept, at its offset.

As in Kafka's log cleaner: the part that came since the last compaction is read once, to know the
newest record of each of its keys; then all older records of those keys are dropped. That reads the
whole partition, so it waits until the new part is as large as the old one.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from connectors.log.retention import Droppable
from connectors.log.rewrite import chosen, rewrite
from connectors.log.segment import Columns, last_offset, segment_id, unpack
from connectors.log.steps import Partition, Read, Steps, partitions

# How many keys one pass remembers, in some 100 MB; a larger new part takes several passes.
_MAX_KEYS = 1_000_000


def compaction_steps(read: Read, topics: frozenset[str], droppable: Droppable) -> Steps:
    """Compact these topics, as far as their records are droppable."""
    for partition in partitions(read()):
        if partition.topic in topics:
            end = min(partition.next, droppable(partition.topic, partition.number))
            if _is_worthwhile(read(), partition, end):
                yield from _compaction(read, partition, end)


def survivors(columns: Columns, newest: Mapping[bytes, int]) -> Sequence[int]:
    """The indices of the records that are not replaced by a newer one of their key.

    Args:
        newest: the offset of the newest record of a key; a record without a key is never replaced.
    """
    return [
        i
        for i, (offset, key) in enumerate(zip(columns.offsets, columns.keys, strict=True))
        if key is None or newest.get(key, offset) <= offset
    ]


def _is_worthwhile(connection: sqlite3.Connection, partition: Partition, end: int) -> bool:
    if end <= partition.compacted:
        return False
    start, middle, stop = (segment_id(partition.id, o) for o in (0, partition.compacted, end))
    old, new = connection.execute(
        "SELECT sum(records) FILTER (WHERE id < ?2), sum(records) FILTER (WHERE id >= ?2) "
        "FROM segment WHERE id >= ?1 AND id < ?3",
        (start, middle, stop),
    ).fetchone()
    return (new or 0) >= (old or 0)


def _compaction(read: Read, partition: Partition, end: int) -> Steps:
    newest: dict[bytes, int] = {}
    for _, columns in _segments(read, partition, partition.compacted, end):
        newest |= {
            key: offset
            for offset, key in zip(columns.offsets, columns.keys, strict=True)
            if key is not None and offset < end
        }
        yield None
        if len(newest) >= _MAX_KEYS:
            end = min(end, columns.offsets[-1] + 1)
            break

    def thin_out(columns: Columns) -> Columns:
        return chosen(columns, survivors(columns, newest))

    for id, columns in _segments(read, partition, 0, end):
        if len(survivors(columns, newest)) < len(columns.values):
            yield partial(rewrite, ids=[id], change=thin_out)
        else:
            yield None
    yield partial(_note, partition.id, end)


def _segments(
    read: Read, partition: Partition, offset: int, end: int
) -> Iterator[tuple[int, Columns]]:
    """The segments that hold the offsets from `offset` up to before `end`."""
    while offset < end:
        found = read().execute(
            "SELECT id, body FROM segment WHERE id >= ? AND id < ? ORDER BY id LIMIT 1",
            (segment_id(partition.id, offset), segment_id(partition.id + 1, 0)),
        )
        row = found.fetchone()
        if row is None:
            return
        yield row[0], unpack(*row)
        offset = last_offset(row[0]) + 1


def _note(partition_id: int, end: int, connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE partition SET compacted = ? WHERE id = ?", (end, partition_id))
