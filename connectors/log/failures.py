"""What failures of SQLite mean to those who use the log."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from streams.errors import LogUnavailable

log = structlog.get_logger()

# Primary result codes (https://www.sqlite.org/rescode.html) that say something of the world, not of
# our statements: who sees them should try again once the world has been mended.
_OF_THE_WORLD = {
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_NOMEM: "memory is short",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a backup",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_NOTADB: "its file is no database: restore a backup",
}


def explained(error: Exception) -> Exception:
    """An error as the log's port promises it; one that is nobody's but ours stays what it is."""
    code = getattr(error, "sqlite_errorcode", None)
    meaning = None if code is None else _OF_THE_WORLD.get(code & 0xFF)
    if meaning is None:
        return error
    log.error("log unavailable", error=str(error), code=code)
    return LogUnavailable(f"the log cannot be used now ({error}): {meaning}")


@contextmanager
def explaining() -> Iterator[None]:
    """Raise errors of SQLite as the log's port promises them."""
    try:
        yield
    except sqlite3.Error as error:
        meant = explained(error)
        if meant is error:
            raise
        raise meant from error
