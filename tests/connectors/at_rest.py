"""Everything that stands in the files of a directory, decoded: what a thief of the disk could read."""

import json
import sqlite3
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import duckdb
import msgspec

_SQLITE = b"SQLite format 3\0"
_PARQUET = b"PAR1"


def places_of(needle: str, directory: Path) -> set[str]:
    """Where a text stands: `file`, `file/table` or `file/table/column`, without numbers."""
    sought = needle.encode()
    return {place for place, found in _everything(directory) if sought in found}


def _everything(directory: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(directory.rglob("*")):
        if not file.is_file():
            continue
        raw = file.read_bytes()
        yield f"{file.name}: raw", raw
        if raw.startswith(_SQLITE):
            yield from _sqlite(file)
        elif raw.startswith(_PARQUET):
            yield from _parquet(file)
        else:
            for line in raw.splitlines():
                for leaf in _leaves(line):
                    yield f"{file.name}: {file.parent.name}", leaf


def _sqlite(file: Path) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(file)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    for leaf in _leaves(cell):
                        yield f"{file.name}: {table}", leaf


def _parquet(file: Path) -> Iterator[tuple[str, bytes]]:
    table = file.parts[file.parts.index("lake") + 1]
    with duckdb.connect() as connection:
        reading = connection.execute("FROM read_parquet(?)", [str(file)])
        columns = [column[0] for column in reading.description]
        for row in reading.fetchall():
            for column, cell in zip(columns, row, strict=True):
                for leaf in _leaves(cell):
                    yield f"lake: {table}.{column}", leaf


def _leaves(value: Any) -> Iterator[bytes]:
    """Every text and every number within a value, however it is wrapped up."""
    match value:
        case dict():
            for key, item in value.items():
                yield from _leaves(key)
                yield from _leaves(item)
        case list() | tuple() | set():
            for item in value:
                yield from _leaves(item)
        case bytes() | str():
            raw = value.encode() if isinstance(value, str) else value
            yield raw
            for inner in _unwrapped(raw):
                yield from _leaves(inner)
        case _:
            yield str(value).encode()


def _unwrapped(raw: bytes) -> Iterator[Any]:
    """What bytes are if they are JSON, msgpack or base64 of something."""
    if raw[:1] in b'{["' and raw:
        with suppress(ValueError):
            yield json.loads(raw)
    elif raw and raw[0] >= 0x80:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield msgspec.msgpack.decode(raw)
    elif len(raw) >= 16:
        with suppress(Base64Error):
            yield b64decode(raw, validate=True)
