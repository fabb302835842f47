"""From records to rows: exactly those that a fold can read, each event once."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from batch.backlog import Stretch
from batch.columns import rows_sql
from schemas.catalog import Catalog
from schemas.errors import SchemaError, UnknownEventType
from streams.log import Records

# An event may come twice: appended again after a lost answer or by a spill, or restored from a
# backup. Its id is the same then, and its time at most so far away.
_REPEAT_WINDOW_MS = 24 * 60 * 60 * 1000

_PLACES = pa.schema(
    [("partition", pa.int32()), ("offset", pa.int64()), ("appended_ms", pa.int64())]
)
_RECORDS = _PLACES.append(pa.field("value", pa.binary()))


@dataclass(slots=True)
class Tally:
    """What became of some records.

    Attributes:
        rows: in the table now.
        duplicates: events that were there before.
        malformed: no events of their type; folds have them as dead letters.
        unknown: of a type that the catalog does not have; requeued after an upgrade, they come.
        size_bytes: of the records' values.
    """

    rows: int = 0
    duplicates: int = 0
    malformed: int = 0
    unknown: int = 0
    size_bytes: int = 0

    def __iadd__(self, other: "Tally") -> "Tally":
        self.rows += other.rows
        self.duplicates += other.duplicates
        self.malformed += other.malformed
        self.unknown += other.unknown
        self.size_bytes += other.size_bytes
        return self


class RowMaker:
    """Makes rows of the records of one topic."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, catalog: Catalog, topic: str) -> None:
        """Prepare.

        Raises:
            ColumnConflict: the topic's event types cannot be one table.
        """
        self._connection = connection
        self._decoder = catalog.decoder(topic)
        self._sql = rows_sql(catalog, topic)

    def make(self, stretch: Stretch) -> tuple[pa.Table, Tally]:
        """The rows of a stretch, repeats among them, and what became of its records."""
        tally = Tally(size_bytes=sum(sum(map(len, records.values)) for records in stretch))
        readable = [self._readable(records, tally) for records in stretch]
        rows = self._rows(pa.Table.from_batches(readable, _RECORDS))
        if lost := rows["time"].null_count:  # it decodes, but is no JSON by the letter
            tally.malformed += lost
            rows = rows.filter(pc.is_valid(rows["time"]))
        tally.rows = len(rows)
        return rows, tally

    def _rows(self, records: pa.Table) -> pa.Table:
        self._connection.register("records", records)
        rows = self._connection.sql(self._sql).to_arrow_table()
        self._connection.unregister("records")
        return rows

    def _readable(self, records: Records, tally: Tally) -> pa.RecordBatch:
        columns: list[Sequence[object]] = [records.offsets, records.times_ms, records.values]
        try:
            self._decoder.many(records.values)
        except SchemaError:
            good = [self._is_readable(value, tally) for value in records.values]
            columns = [
                [cell for cell, is_good in zip(column, good, strict=True) if is_good]
                for column in columns
            ]
        partition = pa.repeat(pa.scalar(records.partition, pa.int32()), len(columns[0]))
        return pa.record_batch([partition, *columns], _RECORDS)

    def _is_readable(self, value: bytes, tally: Tally) -> bool:
        try:
            self._decoder.one(value)
        except UnknownEventType:
            tally.unknown += 1
            return False
        except SchemaError:
            tally.malformed += 1
            return False
        return True


def repeat_window(rows: pa.Table) -> str:
    """SQL for where an earlier copy of one of these rows (not none of them) would be."""
    bounds = pc.min_max(rows["time_ms"]).as_py()
    since_ms, until_ms = bounds["min"] - _REPEAT_WINDOW_MS, bounds["max"] + _REPEAT_WINDOW_MS
    return f"time_ms BETWEEN {since_ms} AND {until_ms}"


def without_repeats(
    connection: duckdb.DuckDBPyConnection, rows: pa.Table, before: Sequence[str]
) -> pa.Table:
    """The first row of each event, unless it is there before.

    An event's repeats have its key, hence its partition. An id is one within a tenant.

    Args:
        before: relations of SQL with the rows that came before.
    """
    connection.register("rows", rows)
    repeats = connection.sql(_repeats_sql(before)).to_arrow_table()
    if len(repeats):
        connection.register("repeats", repeats)
        rows = connection.sql(
            'FROM rows ANTI JOIN repeats USING (partition, "offset")'
        ).to_arrow_table()
        connection.unregister("repeats")
    connection.unregister("rows")
    return rows


def _repeats_sql(before: Sequence[str]) -> str:
    among_themselves = (
        'SELECT partition, "offset" FROM rows QUALIFY '
        'row_number() OVER (PARTITION BY partition, tenant, id ORDER BY "offset") > 1'
    )
    of_earlier = (
        f'SELECT partition, "offset" FROM rows SEMI JOIN {relation} USING (partition, tenant, id)'  # noqa: S608
        for relation in before
    )
    return " UNION ".join([among_themselves, *of_earlier])
