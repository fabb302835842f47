"""Views and commits in the embedded database: log, state and views change in one transaction."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

from connectors.log.failures import explaining
from connectors.log.sqlite import SqliteLog
from connectors.store import bulk, generations
from connectors.store.generations import readable_generation, state_table
from connectors.store.tables import ViewTable, view_table
from connectors.store.writers import Writers, scope
from streams.commit import Commit, EventId, Generation, Prepared, Recovered
from streams.errors import NotYetApplied
from streams.fold import Fold
from streams.log import Position
from streams.views import Key, Page, V, View

T = TypeVar("T")

# SQLite's limit on the parameters of a statement is far above; this keeps statements few and alike.
_IDS_A_QUERY = 500


class SqliteViews:
    """`streams.views.ViewStore` on the embedded database."""

    def __init__(self, log: SqliteLog, folds: Iterable[Fold]) -> None:
        """Serve the views of these folds.

        Raises:
            FoldError: two folds write the same view.
        """
        self._log = log
        self._writers = Writers(folds)

    async def get(self, view: type[V], tenant: str, key: Key) -> V | None:
        """The row with this whole key."""
        with self._reading() as connection:
            found = self._table(connection, view).get(connection, scope(view, tenant), key)
            return cast(V | None, found)

    async def slice(self, view: type[V], tenant: str, prefix: Key, page: Page) -> Sequence[V]:
        """Rows of one partition in clustering order."""
        with self._reading() as connection:
            table = self._table(connection, view)
            found = table.slice(connection, scope(view, tenant), prefix, page)
            return cast(Sequence[V], found)

    async def wait(self, view: type[View], position: Position, timeout_s: float) -> None:
        """Return as soon as the view has applied a position; see the port."""
        fold = self._writers.fed_by(view, position)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            version = self._log.version()
            if applied_offset(self._log, fold.name, *position[:2]) > position.offset:
                return
            left_s = deadline - loop.time()
            if left_s <= 0:
                raise NotYetApplied(f"{position} was not applied within {timeout_s:g} s")
            await self._log.changed(version, left_s)

    def _table(self, connection: sqlite3.Connection, view: type[View]) -> ViewTable:
        return view_table(view, readable_generation(connection, self._writers.of(view), view))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Reads that see one state of the database."""
        connection = self._log.reader()
        with explaining():
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")


class SqliteCommitter:
    """`streams.commit.Committer` on the embedded database."""

    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    def prepare(self, fold: Fold) -> Prepared:
        """Make a place for a fold's views and state; see the port."""
        return self._done(lambda c: generations.prepare(c, fold))

    def begin(self, fold: Fold, requested: int) -> Generation:
        """A new generation to build beside the active one; see the port."""
        return self._done(lambda c: generations.begin(c, fold, requested))

    def applied(self, generation: Generation) -> Mapping[tuple[str, int], int]:
        """Per topic and partition, the offset of the first record that is not applied yet."""
        rows = self._rows(
            "SELECT topic, partition, next FROM applied WHERE generation = ?", generation.number
        )
        return {(topic, partition): next_ for topic, partition, next_ in rows}

    def recover(self, generation: Generation, partition: int) -> Recovered:
        """What was durable of one partition of a fold."""
        offsets = {
            topic: next_
            for (topic, of), next_ in self.applied(generation).items()
            if of == partition
        }
        table = state_table(generation.number)
        query = f"SELECT name, key, value FROM {table} WHERE partition = ?"  # noqa: S608
        return Recovered(offsets, self._rows(query, partition))

    def known(
        self, generation: Generation, topic: str, ids: Sequence[EventId], since_ms: int
    ) -> set[EventId]:
        """Which of these events have been applied already, after a time."""
        found: set[EventId] = set()
        for start in range(0, len(ids), _IDS_A_QUERY):
            some = [id for _, id in ids[start : start + _IDS_A_QUERY]]
            marks = ", ".join("?" * len(some))
            rows = self._rows(
                "SELECT tenant, id FROM seen WHERE topic = ? AND generation = ? AND time_ms > ? "  # noqa: S608
                f"AND id IN ({marks})",
                *(topic, generation.number, since_ms, *some),
            )
            found.update((tenant, id) for tenant, id in rows)
        return found.intersection(ids)

    def commit(self, commits: Sequence[Commit]) -> "Future[object]":
        """Make all of these durable, or none."""
        entries = [entry for commit in commits for entry in commit.entries]

        def work(connection: sqlite3.Connection) -> None:
            for commit in commits:
                _write(connection, commit)

        return cast("Future[object]", self._log.write(entries, work))

    def activate(self, generation: Generation) -> "Future[object]":
        """Let readers see this generation from now on; see the port."""
        work = partial(generations.activate, generation=generation)
        return cast("Future[object]", self._log.write((), work))

    def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in a transaction of its own, now; what it returns."""
        results: list[T] = []
        self._log.write((), lambda c: results.append(work(c))).result()
        return results[0]

    def _rows(self, query: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
        with explaining():
            yield from self._log.reader().execute(query, parameters)


def _write(connection: sqlite3.Connection, commit: Commit) -> None:
    number, partition = commit.generation.number, commit.partition
    state = state_table(number)
    puts = [(partition, *change) for change in commit.state if change.value is not None]
    deletes = [(partition, c.table, c.key) for c in commit.state if c.value is None]
    bulk.insert(connection, state, puts)
    bulk.delete(connection, state, "partition, name, key", deletes)
    for view, rows in commit.rows.items():
        view_table(view, number).write(connection, rows)
    seen = [(s.topic, number, s.id, s.tenant, s.time_ms) for s in commit.seen]
    bulk.insert(connection, "seen", seen)
    applied = [(number, topic, partition, next_) for topic, next_ in commit.offsets.items()]
    bulk.insert(connection, "applied", applied)


def applied_offset(log: SqliteLog, fold: str, topic: str, partition: int) -> int:
    """The offset of the first record of a partition that a fold's active generation has not applied."""
    row = (
        log.reader()
        .execute(
            "SELECT a.next FROM generation g JOIN applied a ON a.generation = g.number "
            "WHERE g.active = 1 AND g.fold = ? AND a.topic = ? AND a.partition = ?",
            (fold, topic, partition),
        )
        .fetchone()
    )
    return row[0] if row else 0


def rebuilt_up_to(log: SqliteLog, fold: str) -> int:
    """The offset on the control topic below which the fold's active generation obeys requests."""
    query = "SELECT requested FROM generation WHERE active = 1 AND fold = ?"
    row = log.reader().execute(query, (fold,)).fetchone()
    return row[0] if row else 0
