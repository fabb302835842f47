"""Following a partition: what is there, and then what comes."""

from collections.abc import AsyncIterator

from streams.log import Log, Records

_READ_RECORDS = 1_000
_LOOK_S = 60.0


async def follow(log: Log, topic: str, partition: int, offset: int) -> AsyncIterator[Records]:
    """Records from an offset on, for ever.

    Raises:
        LogUnavailable: the log cannot be read now.
        UnknownTopic: there is no such partition.
    """
    while True:
        version = log.version()
        records = log.read(topic, partition, offset, _READ_RECORDS)
        if records is None:
            await log.changed(version, _LOOK_S)
        else:
            yield records
            offset = records.next_offset
