"""From records to events: batch by batch, record by record only to find what is malformed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from schemas.catalog import Catalog, TopicDecoder
from schemas.envelope import Event
from schemas.errors import SchemaError, UnknownEventType
from streams.log import Records


class Rejected(NamedTuple):
    """A record that cannot be applied.

    Attributes:
        time: of the event, or when the record was appended if it is no event.
        reason: without any value of the record.
    """

    offset: int
    time: datetime
    reason: str


@dataclass(slots=True)
class Decoded:
    """A batch of records as events.

    Attributes:
        offsets: of the events; ascending.
        malformed: the records that are no events.
        start, next_offset: the stretch of the partition that this covers.
        last_ms: when the last record was appended.
    """

    topic: str
    partition: int
    start: int
    next_offset: int
    offsets: Sequence[int]
    events: Sequence[Event[Any]]
    malformed: Sequence[Rejected]
    last_ms: int


def decode(catalog: Catalog, records: Records) -> Decoded:
    """Decode a batch; malformed records are set apart."""
    decoder = catalog.decoder(records.topic)
    offsets: Sequence[int] = records.offsets
    malformed: list[Rejected] = []
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
) -> tuple[list[int], list[Event[Any]], list[Rejected]]:
    offsets: list[int] = []
    events: list[Event[Any]] = []
    malformed: list[Rejected] = []
    for i, value in enumerate(records.values):
        try:
            events.append(decoder.one(value))
            offsets.append(records.offsets[i])
        except SchemaError as error:
            time = datetime.fromtimestamp(records.times_ms[i] / 1000, UTC)
            malformed.append(Rejected(records.offsets[i], time, _reason(error)))
    return offsets, events, malformed


def _reason(error: SchemaError) -> str:
    """An error without values of the record, which it quotes; the name of a type is none."""
    quoted = "'[a-z0-9_.]{1,100}'" if isinstance(error, UnknownEventType) else None
    said = re.sub(
        "'.*'", lambda m: m[0] if quoted and re.fullmatch(quoted, m[0]) else "…", str(error)
    )
    return f"{type(error).__name__}: {said}"
