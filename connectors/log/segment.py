"""Segments: a batch of records of one partition as one row of the database.

A row costs SQLite a few microseconds whatever it holds, so records are stored many to a row, in
columns (msgpack). The row's id is `partition id << 40 | last offset`: the first id at or above
`partition id << 40 | offset` is the segment that holds an offset.
"""

from collections.abc import Sequence

import msgspec

OFFSET_BITS = 40
_OFFSET_MASK = (1 << OFFSET_BITS) - 1

# Larger ones cost more to read from the middle than they save.
MAX_RECORDS = 5_000
MAX_BYTES = 4 << 20


class Segment(msgspec.Struct, array_like=True, gc=False):
    """Columns of some records; `offsets` is None while they are dense."""

    times_ms: list[int]
    keys: list[bytes | None]
    values: list[bytes]
    offsets: list[int] | None = None


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Segment).decode


def segment_id(partition_id: int, last_offset: int) -> int:
    """The row id of the segment that ends with an offset; also where to look for an offset."""
    return partition_id << OFFSET_BITS | last_offset


def last_offset(id: int) -> int:
    """The offset of a segment's last record."""
    return id & _OFFSET_MASK


def offsets_of(id: int, segment: Segment) -> Sequence[int]:
    """The offsets of a segment's records."""
    if segment.offsets is not None:
        return segment.offsets
    end = last_offset(id) + 1
    return range(end - len(segment.values), end)
