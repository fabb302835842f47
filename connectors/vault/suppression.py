"""The suppression list: who was erased, as keyed hashes, for good.

It is a file of its own, outside the vault's backups, so that neither a restored backup nor a late
producer brings anybody back. It is append-only: vaults follow it as they would a log.
"""

import sqlite3
from pathlib import Path
from secrets import token_bytes
from typing import NamedTuple

from connectors.formats import Format
from connectors.vault.database import Database, Row

FORMAT = Format()

_SCHEMA = (
    "CREATE TABLE list (id BLOB NOT NULL)",  # of the vault it belongs to
    """CREATE TABLE erasure (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        subject BLOB NOT NULL UNIQUE,
        person BLOB NOT NULL UNIQUE
    )""",
)


class Erasure(NamedTuple):
    """An entry of the list.

    Attributes:
        seq: counts up from 1.
        subject: keyed hash of tenant and pseudonym.
        person: keyed hash of tenant and the person's name.
    """

    seq: int
    subject: bytes
    person: bytes


class SuppressionList:
    """The list, in a SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open the list, beginning a new one if there is none.

        Raises:
            NewerFormat: a later version of Sixfold wrote it.
            OlderFormat: an earlier one did.
            VaultError: it cannot be opened.
        """
        self._database = Database(path, FORMAT, _prepare)

    @property
    def id(self) -> bytes:
        """Random; the vault that the list belongs to knows it."""
        row = self._database.row("SELECT id FROM list")
        assert row is not None
        found: bytes = row[0]
        return found

    def last(self) -> int:
        """The newest entry's `seq`; 0 if there is none."""
        row = self._database.row("SELECT coalesce(max(seq), 0) FROM erasure")
        assert row is not None
        found: int = row[0]
        return found

    def between(self, after: int, last: int) -> list[Erasure]:
        """The entries behind one, up to and including another, by their `seq`."""
        rows = self._database.rows(
            "SELECT seq, subject, person FROM erasure WHERE seq > ? AND seq <= ? ORDER BY seq",
            after,
            last,
        )
        return [Erasure(*row) for row in rows]

    def has_subject(self, subject: bytes) -> bool:
        """Whether a hashed pseudonym was destroyed."""
        return self._database.row("SELECT 1 FROM erasure WHERE subject = ?", subject) is not None

    def has_person(self, person: bytes) -> bool:
        """Whether a person, as a hash of their name, was erased."""
        return self._database.row("SELECT 1 FROM erasure WHERE person = ?", person) is not None

    def add(self, subject: bytes, person: bytes) -> None:
        """Add an entry, durably; adding it again changes nothing."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO erasure (subject, person) VALUES (?, ?)", (subject, person)
            )

    def replace(self, id: bytes, erasures: list[Row]) -> None:
        """Begin anew, with these entries (subject, person), as the list of another vault."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE list SET id = ?", (id,))
            connection.execute("DELETE FROM erasure")
            connection.execute("DELETE FROM sqlite_sequence")
            connection.executemany("INSERT INTO erasure (subject, person) VALUES (?, ?)", erasures)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _prepare(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO list VALUES (?)", (token_bytes(16),))
