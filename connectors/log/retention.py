"""Retention: what is older than its topic keeps it, and not needed any more, is dropped."""

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial

from connectors.log.segment import MAX_BYTES, last_offset, segment_id
from connectors.log.steps import Partition, Read, Steps, partitions

DAY_MS = 86_400_000

# One transaction drops about this much: what is dropped is overwritten.
_STEP_BYTES = 2 * MAX_BYTES
_STEP_ROWS = 500

# The offset below which records of a partition are not needed any more: they are in the lake, if
# the topic has a table there, and every fold has applied them.
Droppable = Callable[[str, int], int]


def retention_steps(
    read: Read, retention_days: Mapping[str, int], droppable: Droppable, now_ms: int
) -> Steps:
    """Drop whole segments that are old.

    Args:
        retention_days: by topic; what is not there is kept.
    """
    for partition in partitions(read()):
        days = retention_days.get(partition.topic)
        if days is None:
            continue
        end = droppable(partition.topic, partition.number)
        while ids := _expired(read(), partition, end, now_ms - days * DAY_MS):
            yield partial(_drop, partition.id, ids[-1])


def _expired(
    connection: sqlite3.Connection, partition: Partition, end: int, before_ms: int
) -> list[int]:
    """The first segments of a partition, as far as they may go."""
    rows = connection.execute(
        "SELECT id, time_ms, length(body) FROM segment WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        (segment_id(partition.id, 0), segment_id(partition.id, end), _STEP_ROWS),
    )
    ids: list[int] = []
    size_bytes = 0
    for id, time_ms, body_bytes in rows:
        size_bytes += body_bytes
        if time_ms >= before_ms or (ids and size_bytes > _STEP_BYTES):
            break
        ids.append(id)
    return ids


def _drop(partition_id: int, last_id: int, connection: sqlite3.Connection) -> None:
    connection.execute(
        "DELETE FROM segment WHERE id BETWEEN ? AND ?", (segment_id(partition_id, 0), last_id)
    )
    connection.execute(
        "UPDATE partition SET first = max(first, ?) WHERE id = ?",
        (last_offset(last_id) + 1, partition_id),
    )
