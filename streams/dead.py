"""Dead letters: which records folds could not apply, and how to give a fold one again."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from schemas.catalog import Catalog
from schemas.dead import DEAD, RecordRejected, RecordRequeued
from schemas.envelope import PLATFORM_TENANT, Event
from schemas.ids import derived_id
from streams.decode import decode
from streams.duplicates import REQUEUED_FOR
from streams.errors import RequeueRefused
from streams.log import Entry, Log, Position, Records
from streams.sealing import Origin, Sealer

_READ_RECORDS = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that a fold could not apply.

    Attributes:
        at: where the letter is.
        record: where the record is.
        time_ms: when it was rejected.
    """

    at: Position
    record: Position
    fold: str
    reason: str
    time_ms: int
    is_requeued: bool = False


def dead_letters(log: Log, catalog: Catalog) -> list[DeadLetter]:
    """All dead letters that are kept, in their order; of each record and fold one, the newest.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    letters: dict[tuple[str, str], DeadLetter] = {}
    for at, time_ms, event in _read(log, catalog):
        if isinstance(event.data, RecordRejected):
            position, fold, reason = event.data.position, event.data.fold, event.data.reason
            record = Position.parse(position)
            letters[fold, position] = DeadLetter(at, record, fold, reason, time_ms)
        elif isinstance(event.data, RecordRequeued):
            place = (event.data.fold, event.data.position)
            if place in letters:
                letters[place] = replace(letters[place], is_requeued=True)
    return list(letters.values())


def rejected_value(log: Log, letter: DeadLetter) -> bytes:
    """The record itself; it may hold anything.

    Raises:
        LogUnavailable: the log cannot be read now.
        RequeueRefused: it is not there any more.
    """
    return _rejected_record(log, letter).values[0]


def requeue(log: Log, sealer: Sealer, letter: DeadLetter, now: datetime) -> "Future[Any]":
    """Append a copy of a record at the end of its partition, for the fold that rejected it.

    The copy keeps its id, since it is the same event, and others than that fold have applied it.
    The fold takes one copy for each time that it has rejected the record.

    Raises:
        LogUnavailable: the log cannot be read now, or, from the future, not appended to.
        RequeueRefused: it was requeued before, is not there any more, or is no JSON object.
    """
    if letter.is_requeued:
        raise RequeueRefused(f"{letter.at}: fold {letter.fold} was given {letter.record} again")
    record = _rejected_record(log, letter)
    position, fold = str(letter.record), letter.fold
    value = _copy(record.values[0], source=REQUEUED_FOR + fold, cause=position)
    entry = Entry(letter.record.topic, letter.record.partition, record.keys[0], value)
    origin = Origin(source="requeue", tenant=PLATFORM_TENANT, time=now, cause=str(letter.at))
    id = derived_id(int(now.timestamp() * 1000), "requeue", fold, position)
    return log.append([entry, sealer.entry(RecordRequeued(position, fold), origin, id)])


def _rejected_record(log: Log, letter: DeadLetter) -> Records:
    topic, partition, offset = letter.record
    records = log.read(topic, partition, offset, 1)
    if records is None or records.offsets[0] != offset:
        raise RequeueRefused(f"{letter.at}: {letter.record} is not in the log any more")
    return records


def _copy(value: bytes, *, source: str, cause: str) -> bytes:
    try:
        event = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise RequeueRefused(f"{cause} is no JSON object: no fold can ever apply it") from error
    event.pop("ordinal", None)
    event["source"] = msgspec.Raw(msgspec.json.encode(source))
    event["cause"] = msgspec.Raw(msgspec.json.encode(cause))
    return msgspec.json.encode(event)


def _read(log: Log, catalog: Catalog) -> Iterator[tuple[Position, int, Event[Any]]]:
    """Position, time and event of every record of the topic."""
    offset, _ = log.bounds(DEAD.name, 0)
    while (records := log.read(DEAD.name, 0, offset, _READ_RECORDS)) is not None:
        times_ms = dict(zip(records.offsets, records.times_ms, strict=True))
        decoded = decode(catalog, records)
        for offset_, event in zip(decoded.offsets, decoded.events, strict=True):
            yield Position(DEAD.name, 0, offset_), times_ms[offset_], event
        offset = records.next_offset
