"""Retention: rows that were appended longer ago than their topic keeps them are dropped.

Log and lake count from the same moment, the append, so that a late event is kept as long as any.
"""

from datetime import datetime, timedelta

import duckdb

from batch.duck import connect
from batch.files import File
from batch.lake import Lake
from batch.lease import maintenance
from batch.progress import OnProgress, Progress, unseen
from batch.rewrite import in_steps, rewrite


def retain(lake: Lake, now: datetime, on_progress: OnProgress = unseen) -> dict[str, int]:
    """Drop the rows that are older than their topics keep them.

    Returns:
        How many were dropped, of each topic that does not keep all.

    Raises:
        LakeBusy: another job maintains the lake.
        LakeError: a table cannot be read or written; what was done before stays.
    """
    with maintenance(lake.directory, "retention"), connect(lake.directory) as connection:
        return {
            topic.name: _retain(
                lake,
                connection,
                topic.name,
                int((now - timedelta(days=topic.retention_days)).timestamp() * 1000),
                on_progress,
            )
            for topic in lake.catalog.topics.values()
            if topic.archived and topic.retention_days is not None
        }


def _retain(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    topic: str,
    since_ms: int,
    on_progress: OnProgress,
) -> int:
    steps = list(in_steps([file] for file in lake.table(topic).files() if _has_old(file, since_ms)))
    total, done, dropped = sum(file.rows for step in steps for file in step), 0, 0
    for step in steps:
        mixed = [file for file in step if not _is_old(file, since_ms)]
        where = f"appended_ms >= {since_ms}"
        kept = rewrite(connection, lake.table(topic), mixed, where) if mixed else []
        lake.replace(topic, step, kept)
        rows = sum(file.rows for file in step)
        dropped += rows - sum(file.rows for file in kept)
        done += rows
        on_progress(Progress(topic, done, total))
    return dropped


def _has_old(file: File, since_ms: int) -> bool:
    """Whether some rows may be too old; a file that does not say is looked at, once."""
    return file.appended_ms is None or file.appended_ms.first_ms < since_ms


def _is_old(file: File, since_ms: int) -> bool:
    return file.appended_ms is not None and file.appended_ms.last_ms < since_ms
