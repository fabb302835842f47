"""Which record is being folded: what state and effects need to know without being told each time."""

from collections.abc import Sequence
from typing import Any

from schemas.envelope import Event
from streams.errors import FoldError

# The tenant of what belongs to no tenant: the runtime's own tables, and rows of global views.
NO_TENANT = ""


class Cursor:
    """The current record of a fold.

    Attributes:
        tenant: of the current record; state and views are scoped by it.
        index: into `events` and `offsets`.
        topic, partition: where the current batch came from.
    """

    __slots__ = ("events", "index", "offsets", "partition", "tenant", "topic")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.tenant = NO_TENANT
        self.index = 0
        self.topic = ""
        self.events: Sequence[Event[Any]] = ()
        self.offsets: Sequence[int] = ()

    def point(self, topic: str, events: Sequence[Event[Any]], offsets: Sequence[int]) -> None:
        """Point before the first record of a batch."""
        self.topic = topic
        self.events = events
        self.offsets = offsets
        self.index = -1

    def at(self, index: int) -> None:
        """Point at one record of the batch."""
        self.index = index
        self.tenant = self.events[index].tenant

    @property
    def event(self) -> Event[Any]:
        """The current record's event."""
        if not 0 <= self.index < len(self.events):
            raise FoldError("there is no current record: iterate over the batch first")
        return self.events[self.index]

    @property
    def offset(self) -> int:
        """The current record's offset."""
        return self.offsets[self.index]
