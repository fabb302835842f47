"""The changelog: what a fold knows of a partition, as records of a compacted topic.

A row of state, an id that was applied and an offset are a record each, whose key says which; the
newest record of a key counts, and one without a value says that there is none any more. The offsets
are here as well as with the consumer group, whose offsets Kafka forgets when nobody has been in the
group for a week: a fold that began again at the beginning would count everything twice.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from operator import itemgetter
from typing import NamedTuple

import msgspec

from streams.commit import Commit, EventId, Recovered

_encode = msgspec.msgpack.Encoder().encode
_decode_key = msgspec.msgpack.Decoder(tuple[int, str, bytes]).decode
_decode_int = msgspec.msgpack.Decoder(int).decode
_decode_id = msgspec.msgpack.Decoder(tuple[str, str]).decode


class _Kind(IntEnum):
    STATE = 0
    SEEN = 1
    OFFSET = 2


class Record(NamedTuple):
    """A record of the changelog; without a value it takes its key's back."""

    key: bytes
    value: bytes | None


def records(commit: Commit) -> Iterator[Record]:
    """What a commit changes."""
    for table, key, value in commit.state:
        yield Record(_key(_Kind.STATE, table, key), value)
    for topic, tenant, id, time_ms in commit.seen:
        yield Record(_key(_Kind.SEEN, topic, _encode((tenant, id))), _encode(time_ms))
    for topic, offset in commit.offsets.items():
        yield Record(_key(_Kind.OFFSET, topic, b""), _encode(offset))


class Rebuilt:
    """What one partition's records come to, read from the beginning.

    Attributes:
        offsets: by topic, the offset of the first record that is not applied yet.
    """

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self._state: dict[tuple[str, bytes], bytes] = {}
        self._seen: dict[tuple[str, EventId], int] = {}

    def apply(self, changes: Iterable[Record]) -> None:
        """Take the records that come next; an empty value, which msgpack has not, is none."""
        for key, value in changes:
            kind, name, rest = _decode_key(key)
            if kind == _Kind.STATE:
                if value:
                    self._state[name, rest] = value
                else:
                    self._state.pop((name, rest), None)
            elif kind == _Kind.SEEN:
                place = name, _decode_id(rest)
                if value:
                    self._seen[place] = _decode_int(value)
                else:
                    self._seen.pop(place, None)
            elif value:
                self.offsets[name] = _decode_int(value)

    def recovered(self) -> Recovered:
        """What a fold begins with; the rows in the order of their tables and keys."""
        rows = ((table, key, value) for (table, key), value in self._state.items())
        return Recovered(dict(self.offsets), sorted(rows, key=itemgetter(0, 1)))

    def known(self, topic: str, ids: Iterable[EventId], since_ms: int) -> set[EventId]:
        """Which of these event ids have been applied already, after a time."""
        return {id for id in ids if self._seen.get((topic, id), since_ms) > since_ms}

    def forget(self, before_ms: int) -> Iterator[Record]:
        """Forget ids that were applied before a time; the records that make it durable."""
        for (topic, id), time_ms in tuple(self._seen.items()):
            if time_ms < before_ms:
                del self._seen[topic, id]
                yield Record(_key(_Kind.SEEN, topic, _encode(id)), None)


def _key(kind: _Kind, name: str, rest: bytes) -> bytes:
    return _encode((int(kind), name, rest))
