"""Formats: how SQLite files are laid out, by a number in each, and what leads from one to the next.

A new file gets the newest format. An older one is left alone until the operator says so (`sixfold
upgrade`), since there is no way back but a backup; a newer one is refused.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from connectors.errors import NewerFormat, OlderFormat, UpgradeRefused

# Long enough for a command that just looks at the file, too short for a gateway.
_BUSY_TIMEOUT_S = 2.0


class Migration(NamedTuple):
    """Leads from one format to the next.

    Attributes:
        what: it does, as the operator reads it.
        run: does it, within a transaction; raises `UpgradeRefused` if it cannot be done.
    """

    what: str
    run: Callable[[sqlite3.Connection], None]


class Format:
    """The newest format of one kind of file.

    Attributes:
        number: counts from 1; 0 is a file that has nothing yet.
    """

    def __init__(self, *migrations: Migration) -> None:
        """Made by these migrations, the first of which leads from 1 to 2."""
        self._migrations = migrations
        self.number = 1 + len(migrations)

    def is_missing(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is new, so that its tables must be made."""
        return _number(connection) == 0

    def mark(self, connection: sqlite3.Connection) -> None:
        """Say that a file has this format, in the transaction that has made its tables."""
        connection.execute(f"PRAGMA user_version={self.number}")

    def check(self, connection: sqlite3.Connection, path: Path) -> None:
        """See that a file has this format.

        Raises:
            NewerFormat: a later version of Sixfold wrote it.
            OlderFormat: an earlier one did.
        """
        found = _number(connection)
        self._refuse_newer(found, path)
        if found < self.number:
            raise OlderFormat(
                f"{path} has format {found}, and this Sixfold needs {self.number}: stop every "
                "process, make a backup, and run `sixfold upgrade`"
            )

    def upgrade(self, path: Path) -> Iterator[str]:
        """Move a file on, each migration in a transaction of its own; yields what was done.

        Raises:
            NewerFormat: a later version of Sixfold wrote it.
            UpgradeRefused: another process has it open, or a migration cannot be done.
        """
        with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)) as alone:
            try:
                found = _alone(alone)
                self._refuse_newer(found, path)
                for number in range(found or self.number, self.number):
                    migration = self._migrations[number - 1]
                    _run(alone, migration, number + 1)
                    yield f"{path}: format {number} → {number + 1}: {migration.what}"
            except UpgradeRefused as refused:
                raise UpgradeRefused(f"{path} cannot be upgraded: {refused}") from refused
            except sqlite3.Error as error:
                raise UpgradeRefused(f"{path} cannot be upgraded now: {error}") from error

    def _refuse_newer(self, found: int, path: Path) -> None:
        if found > self.number:
            raise NewerFormat(
                f"{path} has format {found}, and this Sixfold reads up to {self.number}: "
                "upgrade Sixfold, or restore a backup made by this version"
            )


def _number(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def _alone(connection: sqlite3.Connection) -> int:
    """The format of a file that nobody else can open from now on.

    In WAL mode whoever has a file open holds a shared lock on it.
    """
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise UpgradeRefused(
            "another process has it open: stop the host, gateways and all commands first"
        ) from error
    return _number(connection)


def _run(connection: sqlite3.Connection, migration: Migration, number: int) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        migration.run(connection)
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
