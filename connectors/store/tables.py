"""View declarations as SQLite tables: typed key columns, and the other fields as msgpack."""

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from schemas.fields import field_types
from streams.effects import Rows
from streams.views import Key, Page, View, ViewShape, shape_of


class ViewTable:
    """The table of one view in one generation."""

    def __init__(self, shape: ViewShape, generation: int) -> None:
        self.name = f"view_{shape.name}_{generation}"
        self._shape = shape
        self._columns = ("tenant", *(f'"{name}"' for name in shape.key))
        self._values = _values_struct(shape.view)
        self._decode = msgspec.msgpack.Decoder(self._values).decode
        key = ", ".join(self._columns)
        marks = ", ".join("?" * (len(self._columns) + 1))
        where = " AND ".join(f"{column} = ?" for column in self._columns)
        self.create = (
            f"CREATE TABLE IF NOT EXISTS {self.name} "
            f"({key}, value BLOB NOT NULL, PRIMARY KEY ({key})) WITHOUT ROWID"
        )
        self.drop = f"DROP TABLE IF EXISTS {self.name}"
        self._upsert = f"INSERT OR REPLACE INTO {self.name} VALUES ({marks})"  # noqa: S608 — names are ours
        self._delete = f"DELETE FROM {self.name} WHERE {where}"  # noqa: S608
        self._get = f"SELECT {key}, value FROM {self.name} WHERE {where}"  # noqa: S608
        self._select = f"SELECT {key}, value FROM {self.name} WHERE "  # noqa: S608

    def write(self, connection: sqlite3.Connection, rows: Rows) -> None:
        """Write and delete rows."""
        values = self._shape.values
        puts, deletes = [], []
        for (tenant, key), (row, _) in rows.items():
            if row is None:
                deletes.append((tenant, *key))
            else:
                puts.append((tenant, *key, _encode([getattr(row, name) for name in values])))
        connection.executemany(self._upsert, puts)
        if deletes:
            connection.executemany(self._delete, deletes)

    def get(self, connection: sqlite3.Connection, tenant: str, key: Key) -> View | None:
        """The row with this whole key."""
        row = connection.execute(self._get, (tenant, *key)).fetchone()
        return None if row is None else self._row(row)

    def slice(
        self, connection: sqlite3.Connection, tenant: str, prefix: Key, page: Page
    ) -> Sequence[View]:
        """Rows of one partition, in clustering order."""
        fixed = self._columns[: len(prefix) + 1]
        conditions = [f"{column} = ?" for column in fixed]
        arguments = [tenant, *prefix]
        order = "DESC" if page.reverse else "ASC"
        if page.after is not None:
            behind = self._columns[len(fixed) : len(fixed) + len(page.after)]
            sign = "<" if page.reverse else ">"
            marks = ", ".join("?" * len(behind))
            conditions.append(f"({', '.join(behind)}) {sign} ({marks})")
            arguments += page.after
        ordered = ", ".join(f"{column} {order}" for column in self._columns)
        query = f"{self._select}{' AND '.join(conditions)} ORDER BY {ordered} LIMIT ?"
        rows = connection.execute(query, (*arguments, page.limit))
        return [self._row(row) for row in rows]

    def _row(self, row: tuple[Any, ...]) -> View:
        values = self._decode(row[-1])
        others = (getattr(values, name) for name in self._shape.values)
        return self._shape.view(*row[1:-1], *others)


@cache
def view_table(view: type[View], generation: int) -> ViewTable:
    """The table of a view in a generation."""
    return ViewTable(shape_of(view), generation)


def _values_struct(view: type[View]) -> type[msgspec.Struct]:
    """The fields of a view that are not its key, as an array-like struct.

    An array, because rows are many and names would be repeated in each. Fields that were added to
    the view at its end have their defaults in rows that were written before.
    """
    types = field_types(view)
    defaults = {field.name: field for field in msgspec.structs.fields(view)}
    fields: list[Any] = []
    for name in shape_of(view).values:
        default = defaults[name].default
        fields.append(
            (name, types[name]) if default is msgspec.NODEFAULT else (name, types[name], default)
        )
    return msgspec.defstruct(f"{view.__name__}Values", fields, array_like=True, gc=False)


_encode = msgspec.msgpack.Encoder().encode
