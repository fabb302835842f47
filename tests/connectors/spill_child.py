"""A process that appends to a log which is often down, until it is killed; see test_spill.py.

Every acknowledged event's number is a line on the standard output.
"""

import os
import random
import sys
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import structlog

from connectors.log.spill import SpillingLog
from connectors.log.spiller import SpillSettings
from connectors.log.sqlite import SqliteLog
from schemas.catalog import Catalog
from schemas.envelope import SPECVERSION, encode
from schemas.event import Data, event
from schemas.ids import uuid7
from schemas.topic import Topic
from streams.errors import LogUnavailable
from streams.log import Entry

SEEN = Topic("seen", partitions=2, spills=True)


@event("page.seen", topic=SEEN, key="page")
class PageSeen(Data):
    """Somebody looked at a page."""

    page: str


CATALOG = Catalog([PageSeen.__event_type__])


def entry(page: str, partition: int = 0, **envelope) -> Entry:
    fields = {"source": "test", "tenant": "t", "time": datetime.now(UTC)} | envelope
    seen = CATALOG.envelope(PageSeen)(
        specversion=SPECVERSION, id=uuid7(0), data=PageSeen(page), **fields
    )
    return Entry("seen", partition, page.encode(), encode(seen))


class OftenDown:
    """A log whose appends fail half of the time, in stretches."""

    def __init__(self, log: SqliteLog) -> None:
        self._log = log
        self._left = 0
        self.topics = log.topics

    def append(self, entries):
        self._left -= 1
        if self._left < -3:
            self._left = random.randrange(1, 40)
        if self._left < 0:
            return self._log.append(entries)
        failed = Future()
        failed.set_exception(LogUnavailable("down"))
        return failed


def main(directory: Path, run: str, events: int) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    random.seed(run)
    log = SqliteLog(directory / "log.db", watermark_bytes=0)
    log.create([SEEN])
    settings = SpillSettings(batch_records=7, records_per_s=100_000, retry_s=0.001)
    spilling = SpillingLog(OftenDown(log), CATALOG, directory / "spill", settings)
    appended = None
    for n in range(events):
        page = f"{run}/{n}"
        appended = spilling.append([entry(page, n % 2)])
        appended.add_done_callback(
            lambda done, page=page: done.exception() or os.write(1, page.encode() + b"\n")
        )
        if n % 10 == 0:
            appended.result(timeout=30)
    spilling.close()
    log.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
