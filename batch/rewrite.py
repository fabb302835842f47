"""Rows written anew, each where it belongs: into its month and the bucket of its subject, by time."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import duckdb

from batch.duck import quoted
from batch.errors import LakeError
from batch.files import BUCKET_SQL, MONTH_SQL, File, Span, relation_of
from batch.lake import Table

# In one step: as a table of DuckDB about a gigabyte, most of which is on disk.
STEP_ROWS = 2_000_000

_PLACES = """
SELECT month, bucket, count(*), min(time_ms), max(time_ms), min(appended_ms), max(appended_ms)
FROM rewritten GROUP BY month, bucket ORDER BY month, bucket
"""


def in_steps(groups: Iterable[list[File]]) -> Iterator[list[File]]:
    """Join groups of files, each of which stays together, to steps that are one commit each."""
    step: list[File] = []
    for group in groups:
        if step and sum(file.rows for file in [*step, *group]) > STEP_ROWS:
            yield step
            step = []
        step += group
    if step:
        yield step


def rewrite(
    connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[File], where: str = "true"
) -> list[File]:
    """Write the rows of some of a table's files anew; the new files are not part of it yet.

    Args:
        connection: one that is used for nothing else meanwhile.
        where: SQL; other rows are left out.

    Raises:
        LakeError: a file cannot be read or written.
    """
    relation = relation_of([str(table.path / file.path) for file in files], where)
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE rewritten AS SELECT *, {MONTH_SQL} AS month, "  # noqa: S608
            f"{BUCKET_SQL} AS bucket FROM {relation} "
            'ORDER BY month, bucket, time_ms, partition, "offset"'
        )
        places = connection.execute(_PLACES).fetchall()
        written = [_write(connection, table.path, *place) for place in places]
        connection.execute("DROP TABLE rewritten")
    except (duckdb.Error, OSError) as error:
        raise LakeError(f"files of the table {table.path} cannot be rewritten: {error}") from error
    return written


def _write(
    connection: duckdb.DuckDBPyConnection,
    directory: Path,
    month: str,
    bucket: int,
    rows: int,
    *times_ms: int,
) -> File:
    path = f"month={month}/bucket={bucket}/{uuid4().hex}.parquet"
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    connection.execute(
        "COPY (SELECT * EXCLUDE (month, bucket) FROM rewritten "  # noqa: S608
        f"WHERE month = {quoted(month)} AND bucket = {bucket}) "
        f"TO {quoted(str(file))} (FORMAT parquet, COMPRESSION zstd)"
    )
    _make_durable(file)
    return File(
        path, month, bucket, file.stat().st_size, rows, Span(*times_ms[:2]), Span(*times_ms[2:])
    )


def _make_durable(file: Path) -> None:
    """Get a file and its name onto the disk, before what it replaces is given up."""
    for path in (file, file.parent, file.parent.parent):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
