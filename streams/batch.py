"""Batches: what a fold is given."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, cast

from schemas.envelope import Event
from schemas.event import Data
from streams.cursor import Cursor

D = TypeVar("D", bound=Data)


class Batch(Generic[D]):
    """Some events of one partition, in the log's order.

    Iterating sets the current record, which `state` and `out` take the tenant and the cause from;
    outside the loop there is none. Where the log is cut into batches is chance, and a batch may be
    folded again after a failure, whole or in parts: what comes of an event must not depend on it.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def __len__(self) -> int:
        return len(self._cursor.events)

    def __iter__(self) -> Iterator[Event[D]]:
        cursor, tenant = self._cursor, None
        events = cast(Sequence[Event[D]], cursor.events)
        for cursor.index, event in enumerate(events):
            if event.tenant != tenant:
                tenant = event.tenant
                cursor.enter(tenant)
            yield event
        cursor.enter(None)
