"""Looking links up: a link that was just made is found, whichever gateway is asked."""

from schemas.links import LINKS
from schemas.partition import partition_of
from streams.links.views import Link
from streams.log import Log, Position
from streams.views import ViewStore


async def find(log: Log, store: ViewStore, key: str, timeout_s: float) -> Link | None:
    """The link of a key; None only if no link of that key was made before this was called.

    Raises:
        NotYetApplied: that cannot be said within the time.
    """
    last = last_position(log, key)
    link = await store.get(Link, "", (key,))
    if link is None and last.offset >= 0:  # it may be made by what the fold has not got to yet
        await store.wait(Link, last, timeout_s)
        link = await store.get(Link, "", (key,))
    return link


def last_position(log: Log, key: str) -> Position:
    """Where the last record is that may be about a key; its offset is -1 if there is none."""
    partition = partition_of(LINKS.record_key("", key), LINKS.partitions)
    return Position(LINKS.name, partition, log.bounds(LINKS.name, partition)[1] - 1)
