"""Upkeep: what keeps an embedded log small and quick, done by the host beside everything else.

Every job is a sequence of small transactions between other people's, with a pause after each, so
that no append waits for long.
"""

import asyncio
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import structlog

from connectors.database import connect
from connectors.log.compaction import compaction_steps
from connectors.log.forgetting import forgetting_steps
from connectors.log.merging import Merging
from connectors.log.retention import DAY_MS, Droppable, retention_steps
from connectors.log.sqlite import SqliteLog
from connectors.log.steps import Steps
from schemas.topic import Topic
from streams.errors import LogUnavailable

log = structlog.get_logger()

# Segments of a topic with a retention span no more than this share of it: so much longer than
# that may a record stay.
_SPANS = 30


@dataclass(frozen=True, slots=True)
class UpkeepSettings:
    """How often what is done.

    Attributes:
        merge_s: small segments are merged; the write-ahead log of an idle log is emptied.
        clean_s: retention and compaction.
        forget_s: ids older than 7 days are forgotten.
        pause_s: after each step.
    """

    merge_s: float = 1.0
    clean_s: float = 300.0
    forget_s: float = 6 * 3600.0
    pause_s: float = 0.02


class Upkeep:
    """Looks after the log of a host; `run` in a task."""

    def __init__(
        self,
        log: SqliteLog,
        topics: Iterable[Topic],
        droppable: Droppable,
        settings: UpkeepSettings | None = None,
    ) -> None:
        """Look after a log.

        Args:
            topics: what is in it; says what is kept for how long, and what is compacted.
            droppable: the offset of (topic, partition) below which records are not needed any
                more: they are in the lake, if the topic has a table there, and every fold has
                applied them. Called on any thread.
        """
        self._log = log
        self._settings = settings or UpkeepSettings()
        self._droppable = droppable
        topics = list(topics)
        self._days = {t.name: t.retention_days for t in topics if t.retention_days is not None}
        self._compacted = frozenset(t.name for t in topics if t.compacted)
        spans_ms = {name: days * DAY_MS // _SPANS for name, days in self._days.items()}
        self._merging = Merging(log.reader, spans_ms)
        self._version = -1

    async def run(self) -> None:
        """Do everything in its time, until cancelled."""
        every_s = {
            self.clean: self._settings.clean_s,
            self.forget: self._settings.forget_s,
            self.merge: self._settings.merge_s,
        }
        due_s = dict.fromkeys(every_s, 0.0)
        while True:
            for job, at_s in due_s.items():
                if time.monotonic() >= at_s:
                    try:
                        await job()
                    except LogUnavailable as error:
                        log.warning("upkeep put off", job=job.__name__, error=str(error))
                    due_s[job] = time.monotonic() + every_s[job]
            await asyncio.sleep(max(0.0, min(due_s.values()) - time.monotonic()))

    async def merge(self) -> None:
        """Merge small segments; if nothing happens, empty the write-ahead log."""
        await self._do(self._merging.steps())
        version = self._log.version()
        if version == self._version:
            await asyncio.to_thread(_empty_wal, self._log.path)
        self._version = version

    async def clean(self) -> None:
        """Drop what is older than its topic keeps it, and what newer records have replaced."""
        read = self._log.reader
        await self._do(retention_steps(read, self._days, self._droppable, _now_ms()))
        if await self._do(compaction_steps(read, self._compacted, self._droppable)):
            self._merging.revisit(self._compacted)

    async def forget(self) -> None:
        """Forget ids of events that nobody will send again."""
        await self._do(forgetting_steps(self._log.reader, _now_ms()))

    async def _do(self, steps: Steps) -> bool:
        """Take steps; whether any of them wrote."""
        wrote = False
        while (step := await asyncio.to_thread(next, steps, _last)) is not _last:
            if step is not None:
                await asyncio.wrap_future(self._log.write((), step))
                wrote = True
            await asyncio.sleep(self._settings.pause_s)
        return wrote


def _empty_wal(path: Path) -> None:
    """Move what the write-ahead log holds into the database, and cut it off.

    It keeps what was erased until it is overwritten, and after a crash it is read first.
    """
    wal = path.with_name(f"{path.name}-wal")
    if not wal.exists() or wal.stat().st_size == 0:
        return
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA busy_timeout=0")  # if somebody writes now, the log is not idle
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, holding up nobody
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _last(connection: sqlite3.Connection) -> None:
    """Stands behind the last step; never run."""
