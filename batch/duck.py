"""DuckDB as this room uses it: in memory, in UTC, within limits, and with no door to the world."""

from pathlib import Path

import duckdb

DEFAULT_MEMORY_LIMIT = "1GB"


def connect(directory: Path, memory_limit: str = DEFAULT_MEMORY_LIMIT) -> duckdb.DuckDBPyConnection:
    """A connection that reads files under a directory, and nothing else.

    Args:
        memory_limit: of DuckDB's own memory, such as "1GB"; Arrow data comes on top. What exceeds
            it goes to `.tmp` in the directory, in files that are named after the process.
    """
    directory.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "temp_directory": str(directory / ".tmp"),
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
        }
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # Queries are an analyst's: no other file, no network, no extension, no way to undo this.
    connection.execute("SET allowed_directories = [?]", [str(directory)])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def quoted(text: str) -> str:
    """A string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
