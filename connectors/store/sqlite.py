"""Views and commits in the embedded database: log, state and views change in one transaction."""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import cast

from connectors.log.sqlite import SqliteLog
from connectors.store.tables import view_table
from streams.commit import Commit, Generation, Recovered
from streams.errors import BadPosition, FoldError, NotYetApplied
from streams.fold import Fold
from streams.log import Position
from streams.views import Key, Page, V, View

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
        self._folds: dict[type[View], Fold] = {}
        for fold in folds:
            for view in fold.views:
                other = self._folds.setdefault(view, fold)
                if other is not fold:
                    raise FoldError(
                        f"view {view.__name__} is named by the folds {other.name} and {fold.name}, "
                        "but a view is written by one fold"
                    )

    async def get(self, view: type[V], tenant: str, key: Key) -> V | None:
        """The row with this whole key."""
        with self._snapshot() as connection:
            table = view_table(view, self._generation(connection, view))
            return cast(V | None, table.get(connection, _scope(view, tenant), key))

    async def slice(self, view: type[V], tenant: str, prefix: Key, page: Page) -> Sequence[V]:
        """Rows of one partition in clustering order."""
        with self._snapshot() as connection:
            table = view_table(view, self._generation(connection, view))
            rows = table.slice(connection, _scope(view, tenant), prefix, page)
            return cast(Sequence[V], rows)

    async def wait(self, view: type[View], position: Position, timeout_s: float) -> None:
        """Return as soon as the view has applied a position; see the port."""
        if position.topic not in self._fold(view).topics:
            fed_by = ", ".join(self._fold(view).topics)
            raise BadPosition(f"{position}: this reads what is fed by {fed_by}")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            version = self._log.version()
            if self.applied(view, position.topic, position.partition) > position.offset:
                return
            left_s = deadline - loop.time()
            if left_s <= 0:
                raise NotYetApplied(f"{position} was not applied within {timeout_s:g} s")
            await self._log.changed(version, left_s)

    def applied(self, view: type[View], topic: str, partition: int) -> int:
        """The offset of the first record of a partition that the view has not applied."""
        with self._snapshot() as connection:
            row = connection.execute(
                "SELECT next FROM applied WHERE fold = ? AND generation = ? AND topic = ? "
                "AND partition = ?",
                (self._fold(view).name, self._generation(connection, view), topic, partition),
            ).fetchone()
            return row[0] if row else 0

    def _fold(self, view: type[View]) -> Fold:
        try:
            return self._folds[view]
        except KeyError:
            raise FoldError(f"no fold writes the view {view.__name__}") from None

    def _generation(self, connection: sqlite3.Connection, view: type[View]) -> int:
        return active_generation(connection, self._fold(view).name)

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Reads that see one state of the database."""
        connection = self._log.reader()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")


class SqliteCommitter:
    """`streams.commit.Committer` on the embedded database."""

    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    def prepare(self, fold: Fold) -> Generation:
        """Make a place for a fold's views and state; see the port.

        Raises:
            FoldError: a newer version of the fold has run on this data.
        """
        prepared: list[Generation] = []
        self._log.write((), lambda c: prepared.append(_prepare(c, fold))).result()
        return prepared[0]

    def recover(self, generation: Generation, partition: int) -> Recovered:
        """What was durable of one partition of a fold."""
        connection = self._log.reader()
        offsets = connection.execute(
            "SELECT topic, next FROM applied WHERE fold = ? AND generation = ? AND partition = ?",
            (*generation, partition),
        ).fetchall()
        state = connection.execute(
            "SELECT name, key, value FROM state WHERE fold = ? AND generation = ? AND partition = ?",
            (*generation, partition),
        )
        return Recovered(dict(offsets), state)

    def known(self, generation: Generation, topic: str, ids: Sequence[str]) -> set[str]:
        """Which of these event ids have been applied."""
        connection = self._log.reader()
        found: set[str] = set()
        for start in range(0, len(ids), _IDS_A_QUERY):
            some = ids[start : start + _IDS_A_QUERY]
            marks = ", ".join("?" * len(some))
            rows = connection.execute(
                f"SELECT id FROM seen WHERE topic = ? AND fold = ? AND id IN ({marks})",  # noqa: S608
                (topic, generation.fold, *some),
            )
            found.update(id for (id,) in rows)
        return found

    def commit(self, commits: Sequence[Commit]) -> "Future[object]":
        """Make all of these durable, or none."""
        entries = [entry for commit in commits for entry in commit.entries]

        def work(connection: sqlite3.Connection) -> None:
            for commit in commits:
                _write(connection, commit)

        return cast("Future[object]", self._log.write(entries, work))

    def activate(self, generation: Generation) -> "Future[object]":
        """Let readers see this generation from now on, and drop older ones."""
        return cast("Future[object]", self._log.write((), lambda c: _activate(c, generation)))


def applied_offset(log: SqliteLog, fold: str, topic: str, partition: int) -> int:
    """The offset of the first record of a partition that a fold's active generation has not applied."""
    row = (
        log.reader()
        .execute(
            "SELECT a.next FROM applied a JOIN generation g USING (fold, generation) "
            "WHERE g.active = 1 AND a.fold = ? AND a.topic = ? AND a.partition = ?",
            (fold, topic, partition),
        )
        .fetchone()
    )
    return row[0] if row else 0


def active_generation(connection: sqlite3.Connection, fold: str) -> int:
    """The generation of a fold that readers see.

    Raises:
        FoldError: the fold has never run on this data.
    """
    row = connection.execute(
        "SELECT generation FROM generation WHERE fold = ? AND active = 1", (fold,)
    ).fetchone()
    if row is None:
        raise FoldError(f"fold {fold} has never run on this data: start `sixfold up`")
    number: int = row[0]
    return number


def _scope(view: type[View], tenant: str) -> str:
    return "" if view.GLOBAL else tenant


def _prepare(connection: sqlite3.Connection, fold: Fold) -> Generation:
    rows = connection.execute(
        "SELECT generation, version FROM generation WHERE fold = ? ORDER BY generation",
        (fold.name,),
    ).fetchall()
    if rows and rows[-1][1] == fold.version:
        number = rows[-1][0]
    elif rows and rows[-1][1] > fold.version:
        raise FoldError(
            f"fold {fold.name} has version {fold.version}, but version {rows[-1][1]} has run on "
            "this data: upgrade Sixfold"
        )
    else:
        number = rows[-1][0] + 1 if rows else 1
        connection.execute(
            "INSERT INTO generation VALUES (?, ?, ?, ?)",
            (fold.name, number, fold.version, int(not rows)),
        )
    for view in fold.views:
        connection.execute(view_table(view, number).create)
    return Generation(fold.name, number)


def _write(connection: sqlite3.Connection, commit: Commit) -> None:
    fold, number = commit.generation
    where = (fold, number, commit.partition)
    connection.executemany(
        "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)",
        [(*where, c.table, c.key, c.value) for c in commit.state if c.value is not None],
    )
    connection.executemany(
        "DELETE FROM state WHERE fold = ? AND generation = ? AND partition = ? AND name = ? "
        "AND key = ?",
        [(*where, c.table, c.key) for c in commit.state if c.value is None],
    )
    for view, rows in commit.rows.items():
        view_table(view, number).write(connection, rows)
    connection.executemany(
        "INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)",
        [(topic, fold, id, time_ms) for topic, id, time_ms in commit.seen],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO applied VALUES (?, ?, ?, ?, ?)",
        [(fold, number, topic, commit.partition, next_) for topic, next_ in commit.offsets.items()],
    )


def _activate(connection: sqlite3.Connection, generation: Generation) -> None:
    fold, number = generation
    connection.execute(
        "UPDATE generation SET active = (generation = ?) WHERE fold = ?", (number, fold)
    )
    connection.execute("DELETE FROM generation WHERE fold = ? AND generation < ?", (fold, number))
    connection.execute("DELETE FROM state WHERE fold = ? AND generation < ?", (fold, number))
    connection.execute("DELETE FROM applied WHERE fold = ? AND generation < ?", (fold, number))
