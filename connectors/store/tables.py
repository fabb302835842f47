"""View declarations as SQLite tables: typed key columns, and the other fields as msgpack."""

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

from connectors.store import bulk
from connectors.store.keys import KeyColumns
from connectors.store.values import Values
from streams.effects import Rows
from streams.views import Key, Page, View, ViewShape, shape_of


class ViewTable:
    """The table of one view in one generation."""

    def __init__(self, shape: ViewShape, generation: int) -> None:
        self.name = table_name(shape.name, generation)
        self._shape = shape
        self._keys = KeyColumns(shape)
        self._columns = ("tenant", *(f'"{name}"' for name in shape.key))
        self._key = ", ".join(self._columns)
        self._values = Values(shape.view)
        self.create = (
            f"CREATE TABLE {self.name} "
            f"({self._key}, value BLOB NOT NULL, PRIMARY KEY ({self._key})) WITHOUT ROWID"
        )
        self._select = f"SELECT {self._key}, value FROM {self.name} WHERE "  # noqa: S608 — ours
        self._get = self._select + " AND ".join(f"{column} = ?" for column in self._columns)

    def write(self, connection: sqlite3.Connection, rows: Rows) -> None:
        """Write and delete rows."""
        encode, stored = self._values.encode, self._keys.stored
        puts = [
            (tenant, *stored(key), encode(row))
            for (tenant, key), row in rows.items()
            if row is not None
        ]
        deletes = [(tenant, *stored(key)) for (tenant, key), row in rows.items() if row is None]
        bulk.insert(connection, self.name, puts)
        bulk.delete(connection, self.name, self._key, deletes)

    def get(self, connection: sqlite3.Connection, tenant: str, key: Key) -> View | None:
        """The row with this whole key."""
        row = connection.execute(self._get, (tenant, *self._keys.stored(key))).fetchone()
        return None if row is None else self._row(row)

    def slice(
        self, connection: sqlite3.Connection, tenant: str, prefix: Key, page: Page
    ) -> Sequence[View]:
        """Rows of one partition, in clustering order."""
        fixed = self._columns[: len(prefix) + 1]
        conditions = [f"{column} = ?" for column in fixed]
        key = (*prefix, *(page.after or ()))
        if page.after:
            behind = self._columns[len(fixed) : len(fixed) + len(page.after)]
            sign = "<" if page.reverse else ">"
            marks = ", ".join("?" * len(behind))
            conditions.append(f"({', '.join(behind)}) {sign} ({marks})")
        order = "DESC" if page.reverse else "ASC"
        ordered = ", ".join(f"{column} {order}" for column in self._columns)
        query = f"{self._select}{' AND '.join(conditions)} ORDER BY {ordered} LIMIT ?"
        rows = connection.execute(query, (tenant, *self._keys.stored(key), page.limit))
        return [self._row(row) for row in rows]

    def _row(self, row: tuple[Any, ...]) -> View:
        return self._shape.view(*self._keys.read(row[1:-1]), *self._values.decode(row[-1]))


@cache
def view_table(view: type[View], generation: int) -> ViewTable:
    """The table of a view in a generation.

    Raises:
        FoldError: the view cannot be a table.
    """
    return ViewTable(shape_of(view), generation)


def table_name(view: str, generation: int) -> str:
    """The name of the table of a view, by its own name in snake case."""
    return f"view_{view}_{generation}"
