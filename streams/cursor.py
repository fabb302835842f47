"""Which record is being folded: what state and effects need to know without being told each time."""

from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from schemas.envelope import Event
from streams.errors import FoldError

# The tenant of what belongs to no tenant: the runtime's own tables, and rows of global views.
NO_TENANT = ""


class Scoped(Protocol):
    """What belongs to tenants: tables of state, and rows of views."""

    def enter(self, tenant: str | None) -> None:
        """Mean this tenant's from now on; nobody's if it is None."""


class Cursor:
    """The current record of a fold.

    Attributes:
        tenant: of the current record; None while there is none.
        index: into `events` and `offsets`.
        topic, partition: where the current batch came from.
    """

    __slots__ = ("_scoped", "events", "index", "offsets", "partition", "tenant", "topic")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.tenant: str | None = NO_TENANT
        self.index = 0
        self.topic = ""
        self.events: Sequence[Event[Any]] = ()
        self.offsets: Sequence[int] = ()
        self._scoped: list[Scoped] = []

    def attach(self, scoped: Scoped) -> None:
        """Let something mean the current record's tenant's, from now on."""
        scoped.enter(self.tenant)
        self._scoped.append(scoped)

    def enter(self, tenant: str | None) -> None:
        """The current record is one of this tenant; with None, there is no current record."""
        self.tenant = tenant
        for scoped in self._scoped:
            scoped.enter(tenant)

    def point(self, topic: str, events: Sequence[Event[Any]], offsets: Sequence[int]) -> None:
        """Point before the first record of a batch."""
        self.topic = topic
        self.events = events
        self.offsets = offsets
        self.index = -1
        self.enter(None)

    def at(self, index: int) -> None:
        """Point at one record of the batch."""
        self.index = index
        self.enter(self.events[index].tenant)

    @property
    def event(self) -> Event[Any]:
        """The current record's event.

        Raises:
            FoldError: there is none.
        """
        if self.tenant is None:
            raise no_record()
        return self.events[self.index]

    @property
    def offset(self) -> int:
        """The current record's offset."""
        return self.offsets[self.index]


def no_record() -> FoldError:
    """The error of a fold that uses state or effects outside its loop."""
    return FoldError("there is no current record: use state and effects while iterating the batch")


class Nowhere(dict[Any, Any]):
    """Stands in for a tenant's rows while there is no current record, and so no tenant."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise no_record()

    __getitem__ = __setitem__ = __contains__ = get = pop = setdefault = keys = _refuse


NOWHERE: Any = Nowhere()
