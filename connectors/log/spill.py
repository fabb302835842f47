"""Spill: appends to topics that may wait go to a local file while the log is down.

    append → the log ─────────────────────────────────────────→ positions
               └ LogUnavailable → file (or, its disk full, memory) → [] → drained into the log

A log that fails again and again is not asked any more but by what is drained: appends spill at once.
What was spilled is drained in order, in batches, a bounded number of records per second, while new
appends go to the log directly. A crash between the append of a batch and the note of it repeats the
batch, so what is drained carries its number as its cause: nothing is lost, nothing counts twice.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from pathlib import Path

from connectors.errors import SpillInUse
from connectors.log.spiller import Spiller, SpillSettings
from connectors.log.spillfile import is_empty
from schemas.catalog import Catalog
from schemas.topic import Topic
from streams.log import Entry, Log, Position, Records

_NAME = "gateway-"


class SpillingLog:
    """`streams.log.Log` over another, whose appends to topics that spill do not fail with it."""

    def __init__(
        self, log: Log, catalog: Catalog, path: Path, settings: SpillSettings | None = None
    ) -> None:
        """Spill what a log does not take into a file of this process alone.

        Raises:
            SpillInUse: another process has the file.
            OSError: it cannot be opened or written.
        """
        self._log = log
        self._spilling = frozenset(t.name for t in catalog.topics.values() if t.spills)
        self._spiller = Spiller(log, catalog, path, settings or SpillSettings())

    def close(self) -> None:
        """Wait for the appends that were submitted; what waits in the file stays in it.

        Close it before the log that it wraps.
        """
        self._spiller.close()

    def append(self, entries: Sequence[Entry]) -> "Future[Sequence[Position]]":
        """Append all of the entries or none; see the port."""
        if not {entry.topic for entry in entries} <= self._spilling:
            return self._log.append(entries)
        return self._spiller.append(entries)

    @property
    def incarnation(self) -> str:
        """The log's own."""
        return self._log.incarnation

    def create(self, topics: Iterable[Topic]) -> None:
        """Create topics in the log."""
        self._log.create(topics)

    def topics(self) -> dict[str, int]:
        """The log's topics."""
        return self._log.topics()

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Records | None:
        """Read the log; what is spilled is not there yet."""
        return self._log.read(topic, partition, offset, max_records)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Bounds of the log's partition."""
        return self._log.bounds(topic, partition)

    def version(self) -> int:
        """The log's version."""
        return self._log.version()

    async def changed(self, version: int, timeout_s: float) -> bool:
        """Wait for the log to change."""
        return await self._log.changed(version, timeout_s)


def open_spills(log: Log, catalog: Catalog, directory: Path) -> tuple[str, list[SpillingLog]]:
    """The first spill of a directory that no other process has, and those that dead ones have left.

    What waits in the latter is drained; nothing is appended to them. The name is the first one's.

    Raises:
        OSError: one cannot be opened or written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    name, own = _first_free(log, catalog, directory)
    spills = [own]
    for path in sorted(directory.glob(f"{_NAME}*")):
        if path.name != name and not is_empty(path):
            with suppress(SpillInUse):
                spills.append(SpillingLog(log, catalog, path))
    return name, spills


def _first_free(log: Log, catalog: Catalog, directory: Path) -> tuple[str, SpillingLog]:
    for number in count(1):
        name = f"{_NAME}{number}"
        with suppress(SpillInUse):
            return name, SpillingLog(log, catalog, directory / name)
    raise AssertionError("count never ends")
