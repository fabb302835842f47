"""The commit port: state, view rows, emitted events and consumed offsets, durable together.

A commit is the only way in which a fold has any effect. If it fails, nothing of it has happened
and the same commit may be tried again.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streams.effects import Rows
from streams.fold import Fold
from streams.log import Entry
from streams.state import Change
from streams.views import View


class Generation(NamedTuple):
    """One build of a fold's state and views; a rebuild makes the next, readers see the active one."""

    fold: str
    number: int


class Prepared(NamedTuple):
    """What there is of a fold.

    Attributes:
        active: the generation that readers see.
        is_current: whether this version of the fold has made it, and so may go on with it.
        building: a generation that is to take its place once it has been built.
        requested: the offset behind the newest request on the control topic that was obeyed.
    """

    active: Generation
    is_current: bool
    building: Generation | None
    requested: int


# A tenant and the id of an event of its: ids are what clients say, and another tenant may say the
# same.
EventId = tuple[str, str]


class Seen(NamedTuple):
    """The id of a client's event that has been applied, to be remembered for 7 days."""

    topic: str
    tenant: str
    id: str
    time_ms: int


@dataclass(slots=True)
class Commit:
    """What the batches that one partition of a fold has folded since its last commit come to.

    Attributes:
        offsets: per topic, the offset of the first record that is not applied yet; of all topics
            that the fold has read, also of those of which nothing is new.
        state: changed rows of state.
        rows: changed view rows, by view, as they are once `offsets` is applied.
        entries: events to append: emitted ones and dead letters.
        seen: ids to remember.
    """

    generation: Generation
    partition: int
    offsets: dict[str, int] = field(default_factory=dict)
    state: list[Change] = field(default_factory=list)
    rows: dict[type[View], Rows] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)


class Recovered(NamedTuple):
    """What was durable of one partition of a fold when its host last stopped.

    Attributes:
        offsets: per topic; a topic that is missing was never read.
        state: (table, key, value) of every row of state.
    """

    offsets: dict[str, int]
    state: Iterable[tuple[str, bytes, bytes]]


class Committer(Protocol):
    """Makes commits durable. The two implementations are pairs: SQLite, Kafka with Cassandra."""

    def prepare(self, fold: Fold) -> Prepared:
        """Make a place for a fold's views and state.

        If the active generation was made by an older version of the fold, there is one to build.

        Raises:
            FoldError: a newer version of the fold has run on this data, or the fold has other views
                than the same version of it had.
        """

    def begin(self, fold: Fold, requested: int) -> Generation:
        """A new generation to build beside the active one; see `Prepared` for the arguments."""

    def applied(self, generation: Generation) -> Mapping[tuple[str, int], int]:
        """Per topic and partition, the offset of the first record that is not applied yet."""

    def recover(self, generation: Generation, partition: int) -> Recovered:
        """What to begin with."""

    def known(
        self, generation: Generation, topic: str, ids: Sequence[EventId], since_ms: int
    ) -> set[EventId]:
        """Which of these events have been applied already, after a time."""

    def commit(self, commits: Sequence[Commit]) -> "Future[object]":
        """Make all of these durable, or none.

        Raises (from the future):
            LogUnavailable: nothing has happened; try again.
        """

    def activate(self, generation: Generation) -> "Future[object]":
        """Let readers see this generation from now on, and drop all others of its fold."""
