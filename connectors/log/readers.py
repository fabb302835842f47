"""Readers: a connection for reading for every thread that reads."""

import sqlite3
import threading
from collections.abc import Callable

from streams.errors import LogUnavailable


class Readers:
    """Opens a connection for each thread, and closes those of threads that have ended."""

    def __init__(self, open: Callable[[], sqlite3.Connection]) -> None:
        self._open = open
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._all: dict[threading.Thread, sqlite3.Connection] = {}
        self._closed = False

    def mine(self) -> sqlite3.Connection:
        """The calling thread's connection.

        Raises:
            LogUnavailable: the log is closed, or its file cannot be opened.
        """
        if self._closed:
            raise LogUnavailable("the log is closed")
        found: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if found is None:
            found = self._mine.connection = self._add()
        return found

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            self._closed = True
            for connection in self._all.values():
                connection.close()
            self._all.clear()

    def _add(self) -> sqlite3.Connection:
        connection = self._open()
        with self._lock:
            for thread in [thread for thread in self._all if not thread.is_alive()]:
                self._all.pop(thread).close()
            self._all[threading.current_thread()] = connection
        return connection
