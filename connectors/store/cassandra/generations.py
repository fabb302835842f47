"""Generations of folds in Cassandra: what each has made, and which one readers see.

Several workers prepare a fold at once, and all must find the same: a fold's generations are the rows
of one partition, which is changed by compare-and-set alone (Paxos). Their tables are made afterwards,
by whoever needs them first. A generation belongs to one incarnation of the log, whose offsets are the
write times of its rows: another log has a generation of its own built.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from connectors.store.cassandra.schema import make_table
from connectors.store.cassandra.session import Row, Session
from connectors.store.cassandra.tables import layout_of, table_name, view_table
from connectors.store.versions import refuse_older, refuse_other_views
from streams.commit import Generation, Prepared
from streams.errors import FoldError
from streams.fold import Fold
from streams.views import shape_of

READ = (
    "SELECT number, version, requested, incarnation, layouts, last, active FROM keyspace.generation "
    "WHERE fold = ?"
)
_CREATE = (
    "BEGIN BATCH "
    "UPDATE keyspace.generation SET last = ?, active = ? WHERE fold = ? IF last = ? AND active = ? "
    "INSERT INTO keyspace.generation (fold, number, version, requested, incarnation, layouts) "
    "VALUES (?, ?, ?, ?, ?, ?) "
    "APPLY BATCH"
)
_ACTIVATE = "UPDATE keyspace.generation SET active = ? WHERE fold = ? IF active = ?"
_FORGET = "DELETE FROM keyspace.generation WHERE fold = ? AND number = ? IF EXISTS"
_FORGET_APPLIED = "DELETE FROM keyspace.applied WHERE fold = ? AND number = ?"


class Stored(NamedTuple):
    """A generation, as it is noted."""

    number: int
    version: int
    requested: int
    incarnation: str
    layouts: Mapping[str, str]


class Known(NamedTuple):
    """What is noted of a fold.

    Attributes:
        last: the number of the generation that was made last; None if none was.
        active: the number of the one that readers see.
    """

    stored: list[Stored]
    last: int | None = None
    active: int | None = None

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Known":
        """Of what `READ` finds."""
        found = list(rows)
        stored = [Stored._make((*row[:4], dict(row[4]))) for row in found if row[0] is not None]
        last, active = found[0][5:] if found else (None, None)
        return cls(stored, last, active)

    def seen(self) -> Stored | None:
        """The one that readers see."""
        return next((s for s in self.stored if s.number == self.active), None)


class CassandraGenerations:
    """The generations of all folds, for the workers of one log."""

    def __init__(self, session: Session, incarnation: str) -> None:
        """Of a log with this incarnation."""
        self._session = session
        self._incarnation = incarnation

    def prepare(self, fold: Fold) -> Prepared:
        """Make a place for a fold's views; see `streams.commit.Committer.prepare`.

        Raises:
            FoldError: see there.
            StoreUnavailable: try again.
        """
        known = self._known(fold)
        refuse_older(fold, max((s.version for s in known.stored), default=fold.version))
        active = known.seen()
        if active is None:
            self._create(fold, known, 0, is_active=True)
            return self.prepare(fold)
        is_current = self._is_current(fold, active)
        building = self._building(fold, known)
        if is_current:
            refuse_other_views(fold, active.layouts, _layouts(fold))
        elif building is None:
            self._create(fold, known, self._requested(known))
            return self.prepare(fold)
        for other in known.stored:
            if other not in (active, building):
                self._drop(fold.name, other)
        for ours in (active if is_current else None, building):
            if ours is not None:
                self._make_tables(fold, ours)
        return Prepared(
            active=Generation(fold.name, active.number),
            is_current=is_current,
            building=None if building is None else Generation(fold.name, building.number),
            requested=self._requested(known),
        )

    def begin(self, fold: Fold, requested: int) -> Generation:
        """A generation to build beside the active one, the same for all who obey one request.

        Raises:
            StoreUnavailable: try again.
        """
        known = self._known(fold)
        building = self._building(fold, known)
        if building is None or building.requested != requested:
            self._create(fold, known, requested)
            return self.begin(fold, requested)
        for other in known.stored:
            if other.number not in (known.active, building.number):
                self._drop(fold.name, other)
        self._make_tables(fold, building)
        return Generation(fold.name, building.number)

    def activate(self, generation: Generation) -> None:
        """Let readers see a generation from now on, and drop all others of its fold.

        Raises:
            FoldError: it has been dropped itself.
            StoreUnavailable: try again.
        """
        fold, number = generation
        known = Known.of(self._session.execute(READ, fold))
        if number not in {s.number for s in known.stored}:
            raise FoldError(f"generation {number} of fold {fold} was dropped: another one is built")
        if known.active != number:
            self._session.execute(_ACTIVATE, number, fold, known.active)
            self.activate(generation)
            return
        for other in known.stored:
            if other.number != number:
                self._drop(fold, other)

    def _known(self, fold: Fold) -> Known:
        return Known.of(self._session.execute(READ, fold.name))

    def _is_current(self, fold: Fold, stored: Stored) -> bool:
        return (stored.version, stored.incarnation) == (fold.version, self._incarnation)

    def _building(self, fold: Fold, known: Known) -> Stored | None:
        """The newest one that this version of the fold builds for this log."""
        building = [
            s for s in known.stored if s.number != known.active and self._is_current(fold, s)
        ]
        return max(building, default=None, key=lambda s: s.number)

    def _requested(self, known: Known) -> int:
        ours = (s.requested for s in known.stored if s.incarnation == self._incarnation)
        return max(ours, default=0)

    def _create(self, fold: Fold, known: Known, requested: int, is_active: bool = False) -> None:
        """Note another generation, unless somebody else has done something meanwhile."""
        number = (known.last or 0) + 1
        active = number if is_active else known.active
        noted = (fold.version, requested, self._incarnation, _layouts(fold))
        self._session.execute(
            _CREATE,
            *(number, active, fold.name, known.last, known.active),
            *(fold.name, number, *noted),
        )

    def _make_tables(self, fold: Fold, stored: Stored) -> None:
        for view in fold.views:
            table = view_table(view, stored.number)
            make_table(self._session, table.name, table.create, table.options)

    def _drop(self, fold: str, stored: Stored) -> None:
        """Drop all that a generation has made, and then forget it, so that nothing is left over."""
        for view in stored.layouts:
            self._session.change(f"DROP TABLE IF EXISTS keyspace.{table_name(view, stored.number)}")
        self._session.execute(_FORGET_APPLIED, fold, stored.number)
        self._session.execute(_FORGET, fold, stored.number)


def _layouts(fold: Fold) -> dict[str, str]:
    return {shape_of(view).name: layout_of(view) for view in fold.views}
