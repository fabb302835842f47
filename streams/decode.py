"""From records to events: batch by batch, record by record only to find what is malformed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.catalog import Catalog, TopicDecoder
from schemas.envelope import Event
from schemas.errors import SchemaError
from streams.log import Records


class Malformed(NamedTuple):
    """A record that is no event of its topic."""

    offset: int
    reason: str


@dataclass(slots=True)
class Decoded:
    """A batch of records as events.

    Attributes:
        offsets: of the events; ascending.
        malformed: the records that are no events.
        start, next_offset: the stretch of the partition that this covers.
    """

    topic: str
    partition: int
    start: int
    next_offset: int
    offsets: Sequence[int]
    events: Sequence[Event[Any]]
    malformed: Sequence[Malformed]
    last_ms: int


def decode(catalog: Catalog, records: Records) -> Decoded:
    """Decode a batch; malformed records are set apart."""
    decoder = catalog.decoder(records.topic)
    offsets: Sequence[int] = records.offsets
    malformed: list[Malformed] = []
    try:
        events = decoder.many(records.values)
    except SchemaError:
        offsets, events, malformed = _one_by_one(decoder, records)
    return Decoded(
        topic=records.topic,
        partition=records.partition,
        start=records.start,
        next_offset=records.next_offset,
        offsets=offsets,
        events=events,
        malformed=malformed,
        last_ms=records.times_ms[-1],
    )


def _one_by_one(
    decoder: TopicDecoder, records: Records
) -> tuple[list[int], list[Event[Any]], list[Malformed]]:
    offsets: list[int] = []
    events: list[Event[Any]] = []
    malformed: list[Malformed] = []
    for offset, value in zip(records.offsets, records.values, strict=True):
        try:
            events.append(decoder.one(value))
            offsets.append(offset)
        except SchemaError as error:
            malformed.append(Malformed(offset, f"{type(error).__name__}: {error}"))
    return offsets, events, malformed
