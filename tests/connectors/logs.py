"""Reading a whole log, record by record."""

from streams.log import Log


def all_records(log: Log, topic: str, partition: int, offset: int = 0, at_once: int = 1_000):
    """(offset, key, value) of every record from an offset on."""
    while (records := log.read(topic, partition, offset, at_once)) is not None:
        assert records.start == offset
        yield from zip(records.offsets, records.keys, records.values, strict=True)
        offset = records.next_offset


def values(log: Log, topic: str, partition: int, offset: int = 0) -> list[bytes]:
    return [value for _, _, value in all_records(log, topic, partition, offset)]


def done(log, steps) -> int:
    """Run the steps of a job of upkeep; how many of them wrote."""
    wrote = 0
    for step in steps:
        if step is not None:
            log.write((), step).result(timeout=10)
            wrote += 1
    return wrote


def segments(log) -> list[tuple[int, int]]:
    """(partition id, records) of every segment."""
    return log.reader().execute("SELECT id >> 40, records FROM segment ORDER BY id").fetchall()
