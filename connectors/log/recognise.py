"""What is drained from a spill twice, as after a crash, must be recognised as the same.

Folds know an event again by its cause or, a client's on topics that declare `deduplicated`, by its
id. So an event that has neither gets a cause: `spill-SERIES-TOPIC/PARTITION/NUMBER`. Numbers grow
with the order in which they are drained, and a fold compares those of one topic and partition only.
"""

from collections.abc import Iterator

from connectors.log.spillfile import Frame
from schemas.catalog import Catalog
from schemas.envelope import encode
from schemas.errors import SchemaError
from streams.duplicates import SPILLED, is_known_by_id
from streams.log import Entry


def recognisable(catalog: Catalog, frame: Frame) -> Iterator[Entry]:
    """The entries of a frame, with causes where they need one."""
    for number, entry in enumerate(frame.entries, frame.first):
        if entry.topic in catalog.topics:
            cause = f"{SPILLED}{frame.series}-{entry.topic}/{entry.partition}/{number}"
            yield entry._replace(value=_caused(catalog, entry, cause))
        else:
            yield entry


def _caused(catalog: Catalog, entry: Entry, cause: str) -> bytes:
    try:
        event = catalog.decoder(entry.topic).one(entry.value)
    except SchemaError:
        return entry.value  # the folds put it among the dead letters
    is_deduplicated = catalog.topics[entry.topic].deduplicated
    if event.cause is not None or (is_deduplicated and is_known_by_id(event)):
        return entry.value
    event.cause = cause
    return encode(event)
