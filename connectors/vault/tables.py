"""The tables of `vault.db`.

Rows of subjects are only ever appended, and on erasure overwritten in place: were they deleted,
SQLite would move their neighbours between pages and could leave stale copies of them behind, which
`secure_delete` does not know of. What stays of an erased subject is two keyed hashes.
"""

import sqlite3
from secrets import token_bytes

from connectors.formats import Format
from connectors.vault.database import Database
from connectors.vault.framing import framed
from connectors.vault.master import MasterKeys, Wrapped
from connectors.vault.suppression import SuppressionList

FORMAT = Format()

HASH_KEY = framed("key", "hash")

# Where wrapped values are, and the column each is authenticated with, its context.
CONTEXTS = {"subject": "fingerprint", "secret": "name", "salt": "name"}

# The first 4 bytes of a wrapped value are its version of the master key (`Wrapped.pack`).
VERSION = "substr(wrapped, 1, 4)"
DESTROYED = bytes(4)

_SCHEMA = (
    """CREATE TABLE vault (
        id BLOB NOT NULL,           -- the same as the suppression list's
        applied INTEGER NOT NULL    -- the last entry of the suppression list that took effect here
    )""",
    """CREATE TABLE subject (
        id INTEGER PRIMARY KEY,
        fingerprint BLOB NOT NULL UNIQUE,   -- keyed hash of tenant and pseudonym
        person BLOB NOT NULL UNIQUE,        -- keyed hash of tenant and the person's name
        wrapped BLOB NOT NULL               -- pseudonym and data key; zeros once destroyed
    )""",
    """CREATE TABLE secret (
        id INTEGER PRIMARY KEY,
        name BLOB NOT NULL UNIQUE,
        wrapped BLOB NOT NULL
    )""",
    """CREATE TABLE salt (
        id INTEGER PRIMARY KEY,     -- the day's ordinal
        name BLOB NOT NULL,
        wrapped BLOB NOT NULL
    )""",
)


def prepare(connection: sqlite3.Connection, id: bytes, master: MasterKeys) -> None:
    """Make the tables of a new vault."""
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO vault VALUES (?, 0)", (id,))
    connection.execute(
        "INSERT INTO secret (name, wrapped) VALUES (?, ?)",
        (HASH_KEY, master.wrap(token_bytes(32), HASH_KEY).pack()),
    )


def hash_key(database: Database, master: MasterKeys) -> bytes:
    """The key of all keyed hashes: made once, never changed.

    Raises:
        MasterKeyError: the master key is not this vault's.
    """
    rows = database.rows("SELECT wrapped FROM secret WHERE name = ?", HASH_KEY)
    return master.unwrap(Wrapped.unpack(rows[0][0]), HASH_KEY)


def list_id(database: Database) -> bytes:
    """The id of the suppression list that belongs to the vault."""
    found: bytes = database.rows("SELECT id FROM vault")[0][0]
    return found


def applied(database: Database) -> int:
    """The last entry of the suppression list that took effect here."""
    found: int = database.rows("SELECT applied FROM vault")[0][0]
    return found


def is_destroyed(wrapped: bytes) -> bool:
    """Whether a row's wrapped value has been overwritten."""
    return wrapped.startswith(DESTROYED)


def apply(connection: sqlite3.Connection, listed: SuppressionList) -> None:
    """Destroy the subjects which the list has named since this was last done.

    Pseudonym and data key are overwritten in place, as their length stays the same.
    """
    done = connection.execute("SELECT applied FROM vault").fetchone()[0]
    for erasure in listed.between(done, listed.last()):
        connection.execute(
            "UPDATE subject SET wrapped = zeroblob(length(wrapped)) WHERE fingerprint = ?",
            (erasure.subject,),
        )
        connection.execute("UPDATE vault SET applied = ?", (erasure.seq,))


def rebuild(database: Database, listed: SuppressionList) -> int:
    """Fill the list with all destroyed subjects that are known here; how many there are."""
    rows = database.rows(
        f"SELECT fingerprint, person FROM subject WHERE {VERSION} = ? ORDER BY id",  # noqa: S608
        DESTROYED,
    )
    listed.replace(list_id(database), rows)
    with database.transaction() as connection:
        connection.execute("UPDATE vault SET applied = ?", (len(rows),))
    return len(rows)
