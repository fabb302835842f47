"""Files of a table: where they lie, and what Delta's log says of them."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deltalake.transaction import AddAction, RemoveAction

from batch.duck import quoted

# Where rows are appended, in place of a month.
RECENT = "recent"

# Rows of nobody in particular lie apart, in a bucket that the erasure of a subject does not touch.
BUCKETS = 64
NOBODYS_BUCKET = BUCKETS

# The place of a row. MD5 is the hash that both engines have; it keeps nothing secret here.
MONTH_SQL = "strftime(date, '%Y-%m')"
BUCKET_SQL = (
    f"CASE WHEN subject IS NULL THEN {NOBODYS_BUCKET} "
    f"ELSE CAST(md5_number_lower(subject) % {BUCKETS} AS INTEGER) END"
)


class Span(NamedTuple):
    """The least and the greatest value of a column of times."""

    first_ms: int
    last_ms: int


class File(NamedTuple):
    """A file of a table.

    Attributes:
        path: within the table.
        time_ms, appended_ms: of its rows; None if its writer did not say.
    """

    path: str
    month: str
    bucket: int
    size_bytes: int
    rows: int
    time_ms: Span | None
    appended_ms: Span | None

    @property
    def place(self) -> tuple[str, int]:
        """Month and bucket."""
        return self.month, self.bucket

    @property
    def is_recent(self) -> bool:
        """Whether its rows are where they were appended."""
        return self.month == RECENT

    def added(self, is_change: bool) -> AddAction:
        """Delta's action that makes it part of a table.

        Args:
            is_change: whether there are other rows afterwards, and not just elsewhere.
        """
        spans = {"time_ms": self.time_ms, "appended_ms": self.appended_ms}
        known = {name: span for name, span in spans.items() if span is not None}
        stats = {
            "numRecords": self.rows,
            "minValues": {name: span.first_ms for name, span in known.items()},
            "maxValues": {name: span.last_ms for name, span in known.items()},
            "nullCount": dict.fromkeys(known, 0),
        }
        return AddAction(
            path=self.path,
            size=self.size_bytes,
            partition_values=self._partition,
            modification_time=_now_ms(),
            data_change=is_change,
            stats=json.dumps(stats),
        )

    def removed(self, is_change: bool) -> RemoveAction:
        """Delta's action that takes it out of a table; readers of older versions still have it."""
        return RemoveAction(
            path=self.path,
            data_change=is_change,
            deletion_timestamp=_now_ms(),
            size=self.size_bytes,
            partition_values=self._partition,
        )

    @property
    def _partition(self) -> dict[str, str | None]:
        return {"month": self.month, "bucket": str(self.bucket)}


def file_of(action: Mapping[str, Any]) -> File:
    """A file as Delta's log describes it."""
    return File(
        path=action["path"],
        month=action["partition.month"],
        bucket=action["partition.bucket"],
        size_bytes=action["size_bytes"],
        rows=action["num_records"] or 0,
        time_ms=_span(action, "time_ms"),
        appended_ms=_span(action, "appended_ms"),
    )


def relation_of(files: Sequence[str], where: str = "true") -> str:
    """The rows of Parquet files as a relation of DuckDB's SQL."""
    listed = ", ".join(map(quoted, files))
    # By name, because older files lack the columns that were added since.
    return (
        f"(FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false) "
        f"WHERE {where})"
    )


def _span(action: Mapping[str, Any], column: str) -> Span | None:
    first, last = action.get(f"min.{column}"), action.get(f"max.{column}")
    return None if first is None or last is None else Span(first, last)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
