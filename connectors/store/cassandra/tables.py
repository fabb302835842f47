"""View declarations as tables of Cassandra: key columns with types, and the other fields as msgpack.

One value for all fields, so that of two writes to a row one wins as a whole. Rows lie in partitions
by tenant and the view's partition key, and by `_bucket` if the view has several: a hash of the
clustering keys. Names of our own columns begin with `_`, as no field's does.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from zlib import crc32

import msgspec

from connectors.store.cassandra.session import Row
from connectors.store.keys import KeyColumns
from connectors.store.values import Values
from connectors.store.versions import fields_of
from streams.effects import Rows
from streams.views import Key, Page, View, shape_of

_TYPES = {str: "text", int: "bigint", float: "double", bytes: "blob", bool: "boolean"}

_encode = msgspec.msgpack.Encoder().encode


class ViewTable:
    """The table of one view in one generation."""

    def __init__(self, view: type[View], generation: int) -> None:
        shape = shape_of(view)
        self.name = table_name(shape.name, generation)
        self.buckets = view.BUCKETS
        self._view = view
        self._parts = len(shape.partition)
        self._keys = KeyColumns(shape)
        self._values = Values(view)
        types = [f'"{n}" {_TYPES[t]}' for n, t in zip(shape.key, self._keys.types, strict=True)]
        columns = [f'"{name}"' for name in shape.key]
        self._clustering = columns[self._parts :]
        bucket = ['"_bucket"'] if self.buckets > 1 else []
        self._partition = ['"_tenant"', *columns[: self._parts], *bucket]
        key = ", ".join([f"({', '.join(self._partition)})", *self._clustering])
        typed = ", ".join(
            ['"_tenant" text', *types, *(f"{b} int" for b in bucket), '"_value" blob']
        )
        self.create = f"keyspace.{self.name} ({typed}, PRIMARY KEY ({key}))"
        # Readers do without a row that was not written for so long; see `View.KEPT_S`.
        self.options = f"default_time_to_live = {view.KEPT_S or 0}"
        place = [*self._partition, *self._clustering]
        marks = ", ".join("?" * (len(place) + 1))
        where = _all_equal(place)
        into = f'keyspace.{self.name} ({", ".join(place)}, "_value")'
        self._put = f"INSERT INTO {into} VALUES ({marks}) USING TIMESTAMP ?"  # noqa: S608 — ours
        self._delete = f"DELETE FROM keyspace.{self.name} USING TIMESTAMP ? WHERE {where}"  # noqa: S608
        self._select = f'SELECT {", ".join(columns)}, "_value" FROM keyspace.{self.name} WHERE '  # noqa: S608
        self.get = self._select + where

    def writes(self, rows: Rows, time: int) -> Iterator[tuple[str, Row]]:
        """What writes and deletes rows, unless something was written to them at a later time."""
        encode = self._values.encode
        for (tenant, key), row in rows.items():
            place = self.place(tenant, key)
            if row is None:
                yield self._delete, (time, *place)
            else:
                yield self._put, (*place, encode(row), time)

    def place(self, tenant: str, key: Key) -> Row:
        """Where the row with a whole key is."""
        stored = self._keys.stored(key)
        if self.buckets == 1:
            return tenant, *stored
        clustering = stored[self._parts :]
        bucket = crc32(_encode(clustering)) % self.buckets
        return tenant, *stored[: self._parts], bucket, *clustering

    def slices(self, tenant: str, prefix: Key, page: Page) -> tuple[str, Sequence[Row]]:
        """The query for rows of one partition, and its parameters for each bucket.

        Clustering keys are compared as tuples only, or singly only: ScyllaDB allows no mixture.
        """
        after = page.after or ()
        stored = self._keys.stored((*prefix, *after))
        partition, clustering = (tenant, *stored[: self._parts]), stored[self._parts :]
        fixed = clustering[: len(prefix) - self._parts]
        conditions = [_all_equal(self._partition)]
        behind, within = ("<", ">=") if page.reverse else (">", "<=")
        parameters = clustering
        if after:
            conditions.append(self._compared(behind, len(clustering)))
            if fixed:
                conditions.append(self._compared(within, len(fixed)))
                parameters = clustering + fixed
        elif fixed:
            conditions.append(_all_equal(self._clustering[: len(fixed)]))
        query = self._select + " AND ".join(conditions)
        if page.reverse and self._clustering:
            query += f" ORDER BY {self._clustering[0]} DESC"
        buckets = [()] if self.buckets == 1 else [(bucket,) for bucket in range(self.buckets)]
        return f"{query} LIMIT ?", [
            (*partition, *bucket, *parameters, page.limit) for bucket in buckets
        ]

    def clustering_of(self, row: Row) -> Row:
        """What rows are ordered by, of a row as it was read."""
        return row[self._parts : -1]

    def row(self, row: Row) -> View:
        """A row of the view, of one as it was read."""
        return self._view(*self._keys.read(row[:-1]), *self._values.decode(row[-1]))

    def _compared(self, sign: str, count: int) -> str:
        columns = ", ".join(self._clustering[:count])
        return f"({columns}) {sign} ({', '.join('?' * count)})"


@cache
def view_table(view: type[View], generation: int) -> ViewTable:
    """The table of a view in a generation.

    Raises:
        FoldError: the view cannot be a table.
    """
    return ViewTable(view, generation)


def table_name(view: str, generation: int) -> str:
    """The name of the table of a view, by its own name in snake case."""
    return f"view_{view}_{generation}"


def layout_of(view: type[View]) -> str:
    """How a view is laid out, as one text that tells whether another layout can read its rows."""
    return f"{view.BUCKETS} {fields_of(view)}"


def _all_equal(columns: Sequence[Any]) -> str:
    return " AND ".join(f"{column} = ?" for column in columns)
