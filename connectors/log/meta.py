"""What is kept of a log beside its records: a few values by name, bound to it for good."""

import sqlite3
from collections.abc import Mapping

from connectors.log.failures import explaining
from connectors.log.sqlite import SqliteLog


def read_meta(log: SqliteLog) -> dict[str, str]:
    """All values.

    Raises:
        LogUnavailable: the log cannot be read.
    """
    with explaining():
        return dict(log.reader().execute("SELECT name, value FROM meta"))


def write_meta(log: SqliteLog, values: Mapping[str, str]) -> None:
    """Put values in the place of those of the same names, durably.

    Raises:
        LogUnavailable: the log cannot be written; it is as it was.
    """

    def work(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    log.write((), work).result()
