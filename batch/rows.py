"""From records to rows: exactly those that a fold can read."""

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

_PLACES = pa.schema(
    [("partition", pa.int32()), ("offset", pa.int64()), ("appended_ms", pa.int64())]
)
_RECORDS = _PLACES.append(pa.field("value", pa.binary()))

NO_RECORDS = _RECORDS.empty_table()


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
