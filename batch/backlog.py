"""What the log has beyond a table, in stretches of a size that fits into memory."""

from collections.abc import Iterator, Mapping, Sequence

from batch.errors import LogRestored
from batch.lake import Lake, Table
from streams.log import Log, Records

# Together about 0.5 GB of memory as rows, and 10 MB as a file of the lake.
STRETCH_RECORDS = 250_000
STRETCH_BYTES = 128 << 20

# Little, because a record may be large.
READ_RECORDS = 1_000

Offsets = Mapping[int, int]
"""An offset per partition."""

Stretch = Sequence[Records]
"""Some records, of one or several partitions."""


def ends(log: Log, topic: str) -> dict[int, int]:
    """The offset that each partition's next record will have; nothing if there is no such topic."""
    partitions = range(log.topics().get(topic, 0))
    return {partition: log.bounds(topic, partition)[1] for partition in partitions}


def archived(table: Table, log: Log) -> dict[int, int]:
    """The offset of each partition's first record that is not in a table.

    Raises:
        LogRestored: the table has more than the log has ever had.
    """
    offsets = {p: table.archived(log.incarnation, p) for p in range(log.topics()[table.topic])}
    for partition, offset in offsets.items():
        _, end = log.bounds(table.topic, partition)  # as it is now, after the table was looked at
        if offset > end:
            raise LogRestored(
                f"the lake has {table.topic}/{partition} up to {offset}, but the log ends at {end}: "
                "an older copy of the log was put in its place. Stop everything, run `sixfold "
                "restored` once, and start again (docs/operations.md)"
            )
    return offsets


def refuse_older_copy(lake: Lake, log: Log) -> None:
    """See that the log has all that the lake has of it.

    Raises:
        LogRestored: it has not: it is an older copy.
        LakeError: a table cannot be read.
    """
    for topic in log.topics().keys() & set(lake.topics):
        archived(lake.table(topic), log)


def stretches(log: Log, topic: str, since: Offsets, until: Offsets) -> Iterator[Stretch]:
    """The records from `since` on to `until`, or somewhat beyond, partition by partition."""
    stretch: list[Records] = []
    count = size_bytes = 0
    for records in _reads(log, topic, since, until):
        stretch.append(records)
        count += len(records)
        size_bytes += sum(map(len, records.values))
        if count >= STRETCH_RECORDS or size_bytes >= STRETCH_BYTES:
            yield stretch
            stretch, count, size_bytes = [], 0, 0
    if stretch:
        yield stretch


def _reads(log: Log, topic: str, since: Offsets, until: Offsets) -> Iterator[Records]:
    for partition, end in until.items():
        offset = since[partition]
        while offset < end and (records := log.read(topic, partition, offset, READ_RECORDS)):
            yield records
            offset = records.next_offset


def covered(stretch: Stretch) -> dict[int, range]:
    """The offsets that a stretch covers, gaps included, in each of its partitions."""
    spans: dict[int, range] = {}
    for records in stretch:
        start = spans[records.partition].start if records.partition in spans else records.start
        spans[records.partition] = range(start, records.next_offset)
    return spans
