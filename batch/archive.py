"""The archive: moves the log into the lake, each event exactly once.

Rows and the offsets that they reach are one commit of the table, so a crash at any moment repeats
and loses nothing. Of several archivers one wins each commit; the others notice, and go on from
there.
"""

import time
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from batch.backlog import Offsets, Stretch, archived, covered, ends, stretches
from batch.duck import connect
from batch.errors import LakeError, Overtaken
from batch.lake import Lake, Table
from batch.progress import OnProgress, Progress, unseen
from batch.repeats import Repeats
from batch.rows import RowMaker, Tally
from streams.log import Log

# How often in a row a commit may lose although no other archiver has advanced.
_MAX_CONFLICTS = 20


@dataclass(frozen=True, slots=True)
class Archived:
    """What an archiver has moved.

    Attributes:
        topics: by name; those that had nothing new are there too.
    """

    topics: dict[str, Tally]
    duration_s: float

    @property
    def total(self) -> Tally:
        """All topics together."""
        total = Tally()
        for tally in self.topics.values():
            total += tally
        return total


def archive(lake: Lake, log: Log, on_progress: OnProgress = unseen) -> Archived:
    """Move what the log has now, beyond the lake, into the lake.

    Raises:
        LakeError: a table cannot be read or written; what was moved before stays.
        LogRestored: the lake has more than the log.
        ColumnConflict: a topic's event types cannot be one table.
    """
    started_s = time.perf_counter()
    with connect(lake.directory) as connection:
        archiver = _Archiver(lake, log, connection, on_progress)
        topics = {topic: archiver.move(topic) for topic in lake.topics}
    return Archived(topics, time.perf_counter() - started_s)


class _Archiver:
    """Moves what the log had when it was made."""

    def __init__(
        self,
        lake: Lake,
        log: Log,
        connection: duckdb.DuckDBPyConnection,
        on_progress: OnProgress,
    ) -> None:
        self._lake = lake
        self._log = log
        self._on_progress = on_progress
        self._connection = connection
        self._until = {topic: ends(log, topic) for topic in lake.topics}
        self._done = 0
        self._total = sum(map(self._left, lake.topics))

    def move(self, topic: str) -> Tally:
        """Move a topic's records; what became of them."""
        until = self._until[topic]
        maker = RowMaker(self._connection, self._lake.catalog, topic)
        tally = Tally()
        conflicts, before = 0, None
        while conflicts < _MAX_CONFLICTS:
            table = self._lake.table(topic)
            since = self._since(table, until)
            conflicts, before = (conflicts + 1 if since == before else 0), since
            try:
                with self._repeats(table) as repeats:
                    for stretch in stretches(self._log, topic, since, until):
                        rows, made = _made(maker, repeats, stretch)
                        table.append(rows, self._log.incarnation, covered(stretch))
                        tally += made
                        self._show(topic, stretch)
            except Overtaken:
                continue
            return tally
        raise LakeError(
            f"the table of {topic} changes faster than rows can be appended: "
            "let other jobs finish, then archive again"
        )

    def _repeats(self, table: Table) -> Repeats:
        topic = self._lake.catalog.topics[table.topic]
        return Repeats(self._connection, topic, table, self._log.incarnation)

    def _show(self, topic: str, stretch: Stretch) -> None:
        self._done += sum(map(len, stretch))
        self._on_progress(Progress(topic, min(self._done, self._total), self._total))

    def _left(self, topic: str) -> int:
        """About how many records of a topic there are to move."""
        until = self._until[topic]
        since = self._since(self._lake.table(topic), until)
        return sum(max(0, end - since[partition]) for partition, end in until.items())

    def _since(self, table: Table, until: Offsets) -> Offsets:
        """Where to go on in each partition; another archiver may be beyond `until`."""
        return archived(table, self._log) if until else {}


def _made(maker: RowMaker, repeats: Repeats, stretch: Stretch) -> tuple[pa.Table, Tally]:
    """The rows of a stretch, each event once, and what became of its records."""
    rows, tally = maker.make(stretch)
    kept = repeats.drop(rows)
    tally.rows, tally.duplicates = len(kept), len(rows) - len(kept)
    return kept, tally
