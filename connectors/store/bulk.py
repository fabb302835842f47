"""Many rows with few statements.

At each statement SQLite lets go of the interpreter's lock and waits to have it back. While agents
compute, that takes as long as a switch of threads, some milliseconds: a commit of a thousand rows,
one by one, would take seconds.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

# In powers of two, so that statements are few and stay prepared; SQLite takes 32,766 parameters.
_MOST_ROWS = 512


def insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write whole rows, instead of those with their keys."""
    for some, marks in _in_lots(rows):
        connection.execute(f"INSERT OR REPLACE INTO {table} VALUES {marks}", some)  # noqa: S608


def delete(
    connection: sqlite3.Connection, table: str, columns: str, keys: Sequence[tuple[Any, ...]]
) -> None:
    """Delete the rows with these keys."""
    for some, marks in _in_lots(keys):
        connection.execute(
            f"DELETE FROM {table} WHERE ({columns}) IN (VALUES {marks})",  # noqa: S608
            some,
        )


def _in_lots(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[list[Any], str]]:
    """Rows in lots, flat, with the marks for them."""
    start = 0
    while start < len(rows):
        count = min(_MOST_ROWS, 1 << (len(rows) - start).bit_length() - 1)
        some = rows[start : start + count]
        mark = f"({', '.join('?' * len(some[0]))})"
        yield list(chain.from_iterable(some)), ", ".join([mark] * count)
        start += count
