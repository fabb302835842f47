"""Merging: many small segments become few large ones.

Who appends a record at a time gets a row for each; reading them again costs a row each, too. As in
a log-structured merge tree, neighbours are merged when that makes them several times larger than
the largest of them, so that no record is rewritten often.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from connectors.log.rewrite import rewrite
from connectors.log.segment import MAX_BYTES, MAX_RECORDS, segment_id
from connectors.log.steps import Partition, Read, Steps, partitions

# A merged segment has this many times the records of the largest that went into it, unless it is
# full: so a record is rewritten about log(MAX_RECORDS) / log(GROWTH) = 4 times in all.
GROWTH = 8

_WINDOW_ROWS = 500

# One step merges about this much, over all partitions.
_STEP_BYTES = MAX_BYTES
_STEP_ROWS = 500


class Size(NamedTuple):
    """What the plan needs to know of a segment."""

    id: int
    records: int
    size_bytes: int
    time_ms: int


Run = Sequence[Size]


class Plan(NamedTuple):
    """What to merge.

    Attributes:
        runs: neighbours to become one segment each.
        settled: so many of the first segments need not be looked at again, as they are full, or
            will be after the merge.
    """

    runs: list[Run]
    settled: int


def plan(sizes: Run, max_span_ms: int | None) -> Plan:
    """Find the runs of neighbouring segments that are worth merging.

    Args:
        sizes: the segments of one partition in the order of offsets, or some of the first of them.
        max_span_ms: the newest record of a merged segment is at most this much newer than the
            oldest segment's, so that retention, which drops whole segments, does not wait long.
    """
    runs: list[Run] = []
    start, settled = 0, len(sizes)
    while start < len(sizes):
        run = _longest(sizes, start, max_span_ms)
        may_grow = start + len(run) == len(sizes)
        if may_grow:
            settled = min(settled, start)
        if len(run) > 1 and (not may_grow or _is_worthwhile(run)):
            runs.append(run)
            start += len(run)
        else:
            start += 1
    return Plan(runs, settled)


def _longest(sizes: Run, start: int, max_span_ms: int | None) -> Run:
    """The segments from one on that fit into one segment together."""
    records = size_bytes = 0
    oldest_ms = sizes[start].time_ms
    for stop in range(start, len(sizes)):
        records += sizes[stop].records
        size_bytes += sizes[stop].size_bytes
        too_long = max_span_ms is not None and sizes[stop].time_ms - oldest_ms > max_span_ms
        if stop > start and (records > MAX_RECORDS or size_bytes > MAX_BYTES or too_long):
            return sizes[start:stop]
    return sizes[start:]


def _is_worthwhile(run: Run) -> bool:
    records = [size.records for size in run]
    return sum(records) >= GROWTH * max(records)


class Merging:
    """Merges what has come to a log since it looked last."""

    def __init__(self, read: Read, max_spans_ms: Mapping[str, int]) -> None:
        """Begin with nothing looked at.

        Args:
            read: the calling thread's connection for reading.
            max_spans_ms: of topics that have a retention; see `plan`.
        """
        self._read = read
        self._max_spans_ms = max_spans_ms
        self._looked_at: dict[int, _LookedAt] = {}

    def revisit(self, topics: frozenset[str]) -> None:
        """Look at all of these topics again, as their segments have shrunk."""
        self._looked_at = {
            id: looked for id, looked in self._looked_at.items() if looked.topic not in topics
        }

    def steps(self) -> Steps:
        """Merge what can be merged."""
        grown = [p for p in partitions(self._read()) if self._looked(p).next != p.next]
        while grown:
            sizes = {partition: self._sizes(partition) for partition in grown}
            plans = {p: plan(some, self._max_spans_ms.get(p.topic)) for p, some in sizes.items()}
            for batch in _batches(run for found in plans.values() for run in found.runs):
                yield partial(_merge, batch)
            yield None
            for partition, found in plans.items():
                self._note(partition, sizes[partition], found.settled)
            grown = [partition for partition in grown if len(sizes[partition]) == _WINDOW_ROWS]

    def _looked(self, partition: Partition) -> "_LookedAt":
        start = _LookedAt(partition.topic, next=-1, settled=segment_id(partition.id, 0))
        return self._looked_at.get(partition.id, start)

    def _sizes(self, partition: Partition) -> list[Size]:
        rows = self._read().execute(
            "SELECT id, records, length(body), time_ms FROM segment WHERE id >= ? AND id < ? "
            "ORDER BY id LIMIT ?",
            (self._looked(partition).settled, segment_id(partition.id + 1, 0), _WINDOW_ROWS),
        )
        return [Size(*row) for row in rows]

    def _note(self, partition: Partition, sizes: Run, settled: int) -> None:
        here = self._looked(partition).settled
        if sizes:
            here = sizes[settled].id if settled < len(sizes) else sizes[-1].id + 1
        self._looked_at[partition.id] = _LookedAt(partition.topic, partition.next, here)


class _LookedAt(NamedTuple):
    """How a partition was when it was looked at: the segments before `settled` stay as they are."""

    topic: str
    next: int
    settled: int


def _batches(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """Runs, several to a transaction."""
    batch: list[Run] = []
    rows = size_bytes = 0
    for run in runs:
        rows += len(run)
        size_bytes += sum(size.size_bytes for size in run)
        if batch and (rows > _STEP_ROWS or size_bytes > _STEP_BYTES):
            yield batch
            batch, rows, size_bytes = [], len(run), sum(size.size_bytes for size in run)
        batch.append(run)
    if batch:
        yield batch


def _merge(batch: Sequence[Run], connection: sqlite3.Connection) -> None:
    for run in batch:
        rewrite(connection, [size.id for size in run], lambda columns: columns)
