"""Segments: a batch of records of one partition as one row of the database.

A row costs SQLite a few microseconds whatever it holds, so records are stored many to a row, in
columns (msgpack). The row's id is `partition id << 40 | last offset`: the first id at or above
`partition id << 40 | offset` is the segment that holds an offset.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import msgspec

T = TypeVar("T")

OFFSET_BITS = 40
_OFFSET_MASK = (1 << OFFSET_BITS) - 1

# Larger ones cost more to read from the middle than they save.
MAX_RECORDS = 5_000
MAX_BYTES = 1 << 20


class Row(NamedTuple):
    """A row of the table `segment`."""

    id: int
    records: int
    time_ms: int
    body: bytes


class Columns(NamedTuple):
    """Some records of one partition; `offsets` is a range if they are dense."""

    offsets: Sequence[int]
    times_ms: list[int]
    keys: list[bytes | None]
    values: list[bytes]


class _Body(msgspec.Struct, array_like=True, gc=False):
    """What a row holds: `times_ms` is one number if it is everyone's, `offsets` None if dense."""

    times_ms: int | list[int]
    keys: list[bytes | None]
    values: list[bytes]
    offsets: list[int] | None = None


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(_Body).decode


def segment_id(partition_id: int, last_offset: int) -> int:
    """The row id of the segment that ends with an offset; also where to look for an offset."""
    return partition_id << OFFSET_BITS | last_offset


def last_offset(id: int) -> int:
    """The offset of a segment's last record."""
    return id & _OFFSET_MASK


def pack(partition_id: int, columns: Columns) -> Row:
    """Records as a row; there must be at least one."""
    offsets, times_ms, keys, values = columns
    newest_ms = max(times_ms)
    body = _Body(
        newest_ms if times_ms.count(newest_ms) == len(times_ms) else times_ms,
        keys,
        values,
        None if _is_dense(offsets) else list(offsets),
    )
    return Row(segment_id(partition_id, offsets[-1]), len(values), newest_ms, _encode(body))


def unpack(id: int, body: bytes) -> Columns:
    """The records of a row."""
    times_ms, keys, values, offsets = msgspec.structs.astuple(decode(body))
    if isinstance(times_ms, int):
        times_ms = [times_ms] * len(values)
    if offsets is None:
        end = last_offset(id) + 1
        offsets = range(end - len(values), end)
    return Columns(offsets, times_ms, keys, values)


def join(parts: Sequence[Columns]) -> Columns:
    """Neighbours as one; there must be at least one."""
    if len(parts) == 1:
        return parts[0]
    return Columns(
        _joined_offsets([part.offsets for part in parts]),
        _joined([part.times_ms for part in parts]),
        _joined([part.keys for part in parts]),
        _joined([part.values for part in parts]),
    )


def cuts(values: Sequence[bytes]) -> Iterable[tuple[int, int]]:
    """Where to cut records into segments, as (start, stop)."""
    if len(values) <= MAX_RECORDS and sum(map(len, values)) <= MAX_BYTES:
        return [(0, len(values))]
    edges = [0]
    size_bytes = 0
    for i, value in enumerate(values):
        if i > edges[-1] and (i - edges[-1] == MAX_RECORDS or size_bytes + len(value) > MAX_BYTES):
            edges.append(i)
            size_bytes = 0
        size_bytes += len(value)
    return pairwise([*edges, len(values)])


def _is_dense(offsets: Sequence[int]) -> bool:
    return offsets[-1] - offsets[0] == len(offsets) - 1


def _joined_offsets(parts: Sequence[Sequence[int]]) -> Sequence[int]:
    """A range if it can be one: it costs nothing, however many records there are."""
    records = sum(map(len, parts))
    first, last = parts[0][0], parts[-1][-1]
    if last - first == records - 1:
        return range(first, last + 1)
    return _joined(parts)


def _joined(parts: Iterable[Iterable[T]]) -> list[T]:
    joined: list[T] = []
    for part in parts:
        joined += part
    return joined
