"""The embedded database: one SQLite file that holds log, state, views and applied offsets.

They share a file so that a commit of an agent is one transaction.
"""

import secrets
import sqlite3
import time
from pathlib import Path
from typing import Literal

from connectors.errors import UpgradeRefused
from connectors.formats import Format, Migration
from connectors.log.failures import explaining

Synchronous = Literal["FULL", "NORMAL"]

PAGE_SIZE_BYTES = 8192

BUSY_TIMEOUT_S = 10.0
_NAP_S = 0.0005

# A checkpoint copies this many pages (32 MB) at a time: rarely enough not to show in latencies.
_CHECKPOINT_PAGES = 4000
# What the write-ahead log is cut back to when it has grown longer.
_WAL_BYTES = 64 << 20

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE partition (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0,  -- records before it are gone
    next INTEGER NOT NULL DEFAULT 0,   -- the offset of the next record
    compacted INTEGER NOT NULL DEFAULT 0,  -- before it, no key is there twice
    UNIQUE (topic, partition)
);
CREATE TABLE segment (
    id INTEGER PRIMARY KEY,            -- partition.id << 40 | last offset
    records INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,          -- when its newest record was appended
    body BLOB NOT NULL                 -- connectors/log/segment.py
);
CREATE TABLE generation (               -- connectors/store/generations.py
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    fold TEXT NOT NULL,
    version INTEGER NOT NULL,
    active INTEGER NOT NULL,           -- 1: the one that readers see
    requested INTEGER NOT NULL         -- requests on the control topic before it were obeyed
);
CREATE INDEX generation_fold ON generation (fold);
CREATE TABLE view (                    -- each has a table of its own; so has each state
    generation INTEGER NOT NULL,
    name TEXT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (generation, name)
) WITHOUT ROWID;
CREATE TABLE applied (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next INTEGER NOT NULL,             -- the offset of the first record that is not applied
    PRIMARY KEY (generation, topic, partition)
) WITHOUT ROWID;
"""

_SEEN = """
CREATE TABLE seen (
    topic TEXT NOT NULL,
    generation INTEGER NOT NULL,
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, generation, id, tenant)
) WITHOUT ROWID;
"""


def _name_tenants_of_seen(connection: sqlite3.Connection) -> None:
    """Format 1 did not say whose the ids were that it remembered: they are forgotten."""
    if not connection.execute("SELECT 1 FROM pragma_table_info('view')").fetchone():
        raise UpgradeRefused(
            "it is of the days before the first release, when state and views were laid out "
            "otherwise: begin a new data directory (`data` in sixfold.toml)"
        )
    connection.execute("DROP TABLE seen")
    connection.execute(_SEEN)


FORMAT = Format(
    Migration("ids of events are remembered by tenant, from now on", _name_tenants_of_seen)
)


def connect(path: Path, synchronous: Synchronous = "FULL") -> sqlite3.Connection:
    """Open the database, creating it if need be.

    The connection is in autocommit mode (transactions are explicit) and may be used by any thread,
    by one at a time.

    Raises:
        NewerFormat: a later version of Sixfold wrote the file.
        OlderFormat: an earlier one did.
        LogUnavailable: the file cannot be opened, or is no database.
    """
    with explaining():
        connection = sqlite3.connect(
            path, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False
        )
        connection.execute(f"PRAGMA page_size={PAGE_SIZE_BYTES}")
        execute_in_turn(connection, "PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        # What is erased, merged or dropped must not stay readable in free pages.
        connection.execute("PRAGMA secure_delete=ON")
        _prepare(connection, path)
    return connection


def execute_in_turn(connection: sqlite3.Connection, statement: str) -> None:
    """Run a statement that needs the database for itself as soon as no other process has it.

    SQLite's own waiting takes naps of up to 100 ms, so that a process that writes without a pause
    comes first again and again; and to turn a new file into WAL it does not wait at all.

    Raises:
        sqlite3.OperationalError: others did not let go of it in time, or anything else is wrong.
    """
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline_s:
                raise
        time.sleep(_NAP_S)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if FORMAT.is_missing(connection):
        execute_in_turn(connection, "BEGIN IMMEDIATE")
        if FORMAT.is_missing(connection):  # another process may have been first
            for statement in (_SCHEMA + _SEEN).split(";\n"):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO meta VALUES ('incarnation', ?)", (secrets.token_hex(8),)
            )
            FORMAT.mark(connection)
        connection.execute("COMMIT")
    try:
        FORMAT.check(connection, path)
    except BaseException:
        connection.close()
        raise
