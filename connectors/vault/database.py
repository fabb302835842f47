"""One of the vault's SQLite files: written so that what is overwritten or deleted is gone."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from connectors.formats import Format
from streams.errors import VaultError

Row = tuple[Any, ...]

_BUSY_TIMEOUT_S = 10.0
_CHECKPOINT_RETRY_S = 0.01


class Database:
    """A SQLite file with one connection to write and another to read.

    So a reader waits for other readers, never for a writer's fsync. Several processes may have the
    file open.
    """

    def __init__(
        self, path: Path, format: Format, prepare: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Open the file; `prepare` makes its tables if it is new.

        Raises:
            NewerFormat: a later version of Sixfold wrote it.
            OlderFormat: an earlier one did.
            VaultError: it cannot be opened.
        """
        self._path = path
        if not path.exists():
            path.touch(mode=0o600)
        self._writing = Lock()
        self._reading = Lock()
        with self._errors(), ExitStack() as opened:
            self._writer = opened.enter_context(closing(_connect(path)))
            self._prepare(format, prepare)
            self._reader = opened.enter_context(closing(_connect(path)))
            opened.pop_all()

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        """What a query finds. All rows are fetched, as an open cursor would pin the WAL."""
        with self._errors(), self._reading:
            return self._reader.execute(sql, parameters).fetchall()

    def row(self, sql: str, *parameters: object) -> Row | None:
        """The first row that a query finds."""
        return next(iter(self.rows(sql, *parameters)), None)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything in the block, or nothing; durable at its end; one at a time in all processes.

        Raises:
            VaultError: another process keeps the file locked, or the disk fails.
        """
        with self._errors(), self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def scrub(self) -> None:
        """Remove from disk what was overwritten or deleted: the WAL still has the old pages.

        Raises:
            VaultError: another process kept reading or writing all the time.
        """
        deadline = time.monotonic() + _BUSY_TIMEOUT_S
        while not self._truncated():
            if time.monotonic() > deadline:
                raise VaultError(
                    f"{self._path}: deleted data cannot be removed from the -wal file because "
                    f"another process has been using it for {_BUSY_TIMEOUT_S:.0f} s: try again"
                )
            # While another process is at a checkpoint, SQLite reports busy without waiting.
            time.sleep(_CHECKPOINT_RETRY_S)

    def close(self) -> None:
        """Close both connections."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def _truncated(self) -> bool:
        with self._errors(), self._writing:
            busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

    def _prepare(self, format: Format, prepare: Callable[[sqlite3.Connection], None]) -> None:
        if format.is_missing(self._writer):
            self._writer.execute("BEGIN IMMEDIATE")
            prepare(self._writer)
            format.mark(self._writer)
            self._writer.execute("COMMIT")
        format.check(self._writer, self._path)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise VaultError(f"{self._path}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    return connection
