"""The embedded database: one SQLite file that holds log, state, views and applied offsets.

They share a file so that a commit of an agent is one transaction.
"""

import secrets
import sqlite3
from pathlib import Path
from typing import Literal

from connectors.errors import NewerFormat

FORMAT = 1

Synchronous = Literal["FULL", "NORMAL"]

_PAGE_SIZE_BYTES = 8192
_BUSY_TIMEOUT_S = 10.0
# A checkpoint copies this many pages (32 MB) at a time: rarely enough not to show in latencies.
_CHECKPOINT_PAGES = 4000

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE partition (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0,  -- records before it are gone
    next INTEGER NOT NULL DEFAULT 0,   -- the offset of the next record
    UNIQUE (topic, partition)
);
CREATE TABLE segment (
    id INTEGER PRIMARY KEY,            -- partition.id << 40 | last offset
    records INTEGER NOT NULL,
    body BLOB NOT NULL                 -- connectors/log/segment.py
);
CREATE TABLE generation (
    fold TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    active INTEGER NOT NULL,           -- 1: the one that readers see
    PRIMARY KEY (fold, generation)
) WITHOUT ROWID;
CREATE TABLE applied (
    fold TEXT NOT NULL,
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next INTEGER NOT NULL,             -- the offset of the first record that is not applied
    PRIMARY KEY (fold, generation, topic, partition)
) WITHOUT ROWID;
CREATE TABLE state (
    fold TEXT NOT NULL,
    generation INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    name TEXT NOT NULL,                -- the table's name within the fold's State
    key BLOB NOT NULL,                 -- msgpack of (tenant, key)
    value BLOB NOT NULL,
    PRIMARY KEY (fold, generation, partition, name, key)
) WITHOUT ROWID;
CREATE TABLE seen (
    topic TEXT NOT NULL,
    fold TEXT NOT NULL,
    id TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, fold, id)
) WITHOUT ROWID;
"""


def connect(path: Path, synchronous: Synchronous = "FULL") -> sqlite3.Connection:
    """Open the database, creating it if need be.

    The connection is in autocommit mode (transactions are explicit) and may be used by any thread,
    by one at a time.

    Raises:
        NewerFormat: a later version of Sixfold wrote the file.
    """
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False
    )
    connection.execute(f"PRAGMA page_size={_PAGE_SIZE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    _prepare(connection, path)
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    found = _format(connection)
    if found == 0:
        connection.execute("BEGIN IMMEDIATE")
        if _format(connection) == 0:  # another process may have been first
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO meta VALUES ('incarnation', ?)", (secrets.token_hex(8),)
            )
            connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("COMMIT")
    elif found > FORMAT:
        connection.close()
        raise NewerFormat(
            f"{path} has format {found}, and this Sixfold reads up to {FORMAT}: "
            "upgrade Sixfold, or restore a backup made by this version"
        )


def _format(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found
