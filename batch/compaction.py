"""Compaction: rows move from where they were appended into months and buckets of their subjects.

Each step is one commit, so a run that was killed is gone on with by the next one, and readers see a
row before or after its move, never twice or not at all. Files that are not part of the table any
more stay for those who still read them; vacuum removes them.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

import duckdb

from batch.duck import connect
from batch.files import File
from batch.lake import Lake
from batch.lease import maintenance
from batch.progress import OnProgress, Progress, unseen
from batch.rewrite import in_steps, rewrite

# So many small files may lie in one place before they become one.
SMALL_ROWS = 500_000
MAX_SMALL_FILES = 16


def compact(lake: Lake, on_progress: OnProgress = unseen) -> dict[str, int]:
    """Move what was appended so far to where it belongs, then make one file of many small ones.

    Returns:
        The rows that were written anew, by topic.

    Raises:
        LakeBusy: another job maintains the lake.
        LakeError: a table cannot be read or written; what was done before stays.
    """
    with maintenance(lake.directory, "compaction"), connect(lake.directory) as connection:
        return _Compactor(lake, connection, on_progress).run()


def moves(files: Iterable[File]) -> list[list[File]]:
    """The steps that move what was appended."""
    return list(in_steps([file] for file in files if file.is_recent))


def merges(files: Iterable[File]) -> list[list[File]]:
    """The steps that merge small files where there are too many."""
    small = sorted(
        (file for file in files if not file.is_recent and file.rows < SMALL_ROWS),
        key=attrgetter("place"),
    )
    places = (list(found) for _, found in groupby(small, attrgetter("place")))
    return list(in_steps(place for place in places if len(place) > MAX_SMALL_FILES))


class _Compactor:
    def __init__(
        self, lake: Lake, connection: duckdb.DuckDBPyConnection, on_progress: OnProgress
    ) -> None:
        self._lake = lake
        self._connection = connection
        self._on_progress = on_progress
        self._moves = {topic: moves(lake.table(topic).files()) for topic in lake.topics}
        self._total = sum(_rows(step) for steps in self._moves.values() for step in steps)
        self._done = 0

    def run(self) -> dict[str, int]:
        """Do all that there was to do, topic by topic; how many rows of each were written."""
        return {topic: self._compact(topic) for topic in self._lake.topics}

    def _compact(self, topic: str) -> int:
        before = self._done
        for step in self._moves[topic]:
            self._take(topic, step)
        steps = merges(self._lake.table(topic).files())
        self._total += sum(map(_rows, steps))
        for step in steps:
            self._take(topic, step)
        return self._done - before

    def _take(self, topic: str, step: Sequence[File]) -> None:
        added = rewrite(self._connection, self._lake.table(topic), step)
        self._lake.replace(topic, step, added)
        self._done += _rows(step)
        self._on_progress(Progress(topic, self._done, self._total))


def _rows(step: Iterable[File]) -> int:
    return sum(file.rows for file in step)
