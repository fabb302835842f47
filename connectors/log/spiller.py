"""The thread that spills appends, and drains them into the log when that is back."""

import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue

import structlog
from prometheus_client import Counter, Gauge

from connectors.log.breaker import Breaker
from connectors.log.recognise import recognisable
from connectors.log.spillfile import Frame, SpillFile, Stretch
from connectors.log.spillmemory import Memory, Spilled
from schemas.catalog import Catalog
from streams.errors import LogUnavailable
from streams.log import Entry, Log, Position

log = structlog.get_logger()

PENDING = Gauge("sixfold_spill_pending_events", "Events that wait for the log to come back")
REFUSED = Counter(
    "sixfold_spill_refused_events", "Events that neither log, spill file nor memory took for now"
)

# One write to the file holds no more than this.
_FRAME_RECORDS = 5_000

# How long closing waits for a batch that is on its way into the log.
_LAST_APPEND_S = 15.0
_NAP_S = 0.001


@dataclass(frozen=True, slots=True)
class SpillSettings:
    """Bounds of a spill.

    Attributes:
        max_file_bytes: how large the file may get.
        max_memory_bytes: what the file cannot take waits in memory, up to so much; what finds no
            room there either is refused.
        batch_records: about how many records are drained by one append.
        records_per_s: how many are drained per second, so that new appends do not wait for them.
        retry_s: how long to leave the log, or the file, alone after it has failed.
    """

    max_file_bytes: int = 1 << 30
    max_memory_bytes: int = 16 << 20
    batch_records: int = 1_000
    records_per_s: int = 20_000
    retry_s: float = 1.0


@dataclass(slots=True)
class _Batch:
    """What is on its way into the log: frames of the file, or the first appends in memory."""

    source: Stretch | list[Spilled]
    appended: "Future[Sequence[Position]]"

    @property
    def appends(self) -> int:
        """How many of the oldest appends in memory it is."""
        return 0 if isinstance(self.source, Stretch) else len(self.source)


class Spiller:
    """Appends to a log; spills what it does not take."""

    def __init__(self, log: Log, catalog: Catalog, path: Path, settings: SpillSettings) -> None:
        self._log = log
        self._catalog = catalog
        self._settings = settings
        self._file = SpillFile(path, settings.max_file_bytes)
        self._series = secrets.token_hex(8)
        self._memory = Memory()
        self._breaker = Breaker()
        self._batch: _Batch | None = None
        self._drain_at_s = self._file_at_s = 0.0
        self._shown = 0
        self._queue: SimpleQueue[Spilled | None] = SimpleQueue()  # None: look what has changed
        self._unanswered: set[Future[Sequence[Position]]] = set()
        self._closed = False
        self._show()
        self._thread = threading.Thread(target=self._run, name="sixfold-spill", daemon=True)
        self._thread.start()

    def append(self, entries: Sequence[Entry]) -> "Future[Sequence[Position]]":
        """Append entries to the log; the future has no positions if they were spilled."""
        append = Spilled(entries, Future())
        append.done.set_running_or_notify_cancel()  # it can be spilled, but not be cancelled
        # First added, then asked: so `close` either sees it, or has been seen. No lock, as this and
        # the log's thread would be at it all the time.
        self._unanswered.add(append.done)
        if self._closed:
            self._unanswered.discard(append.done)
            append.done.set_exception(LogUnavailable("the log is closed"))
            return append.done
        if self._breaker.is_open and self._pending:  # while something waits, the log is tried
            self._spill(append)
        else:
            self._log.append(entries).add_done_callback(partial(self._settle, append))
        return append.done

    def close(self) -> None:
        """Wait for what was submitted; what waits in the file stays there."""
        self._closed = True
        while self._unanswered:
            time.sleep(_NAP_S)
        self._queue.put(None)
        self._thread.join()

    def _settle(self, append: Spilled, appended: "Future[Sequence[Position]]") -> None:
        """Called on any thread when the log has taken an append, or not."""
        error = appended.exception()
        if isinstance(error, LogUnavailable):
            self._breaker.fail()
            self._spill(append)
            return
        self._breaker.succeed()
        if error is None:
            append.done.set_result(appended.result())
        else:
            append.done.set_exception(error)
        self._unanswered.discard(append.done)

    def _spill(self, append: Spilled) -> None:
        self._queue.put(append)
        self._unanswered.discard(append.done)

    # What follows happens on the thread of the spill.

    def _run(self) -> None:
        while self._receive():
            try:
                self._move_to_file()
                self._drain()
            except Exception:
                log.exception("spill failed, trying again", file=str(self._file.path))
                self._drain_at_s = time.monotonic() + self._settings.retry_s
            self._show()
        self._finish()

    def _receive(self) -> bool:
        """Wait until there is something to do; False if nothing will come any more."""
        timeout_s = None
        if self._pending and self._batch is None:
            timeout_s = max(0.0, self._drain_at_s - time.monotonic())
        with suppress(Empty):
            self._take_in(self._queue.get(timeout=timeout_s))
        is_last = self._closed and not self._unanswered
        with suppress(Empty):
            while True:
                self._take_in(self._queue.get_nowait())
        return not is_last

    def _take_in(self, append: Spilled | None) -> None:
        if append is not None:
            self._memory.put(append)

    def _move_to_file(self) -> None:
        """Make durable what is in memory, as far as the file takes it."""
        # What is on its way from memory into the log must not get into the file as well.
        draining = 0 if self._batch is None else self._batch.appends
        try:
            while self._memory and not draining and time.monotonic() >= self._file_at_s:
                appends = self._memory.oldest(_FRAME_RECORDS)
                self._file.put(self._frame(appends))
                self._memory.drop(appends)
        except OSError as error:
            log.error("spill file cannot be written", file=str(self._file.path), error=str(error))
            self._file_at_s = time.monotonic() + self._settings.retry_s
        too_much = self._settings.max_memory_bytes
        while self._memory.size_bytes > too_much and len(self._memory) > draining:
            self._refuse(self._memory.pop())

    def _drain(self) -> None:
        """Go on moving what was spilled into the log."""
        if self._batch is not None and self._batch.appended.done():
            batch, self._batch = self._batch, None
            self._drained(batch)
        if self._batch is None and self._pending and time.monotonic() >= self._drain_at_s:
            self._batch = self._next_batch()
            self._batch.appended.add_done_callback(lambda _: self._queue.put(None))

    def _next_batch(self) -> _Batch:
        source: Stretch | list[Spilled]
        if self._file.pending:
            source = self._file.oldest(self._settings.batch_records)
            frames = source.frames
        else:
            source = self._memory.oldest(self._settings.batch_records)
            frames = [self._frame(source)]
        entries = [entry for frame in frames for entry in recognisable(self._catalog, frame)]
        return _Batch(source, self._log.append(entries))

    def _drained(self, batch: _Batch) -> None:
        error = batch.appended.exception()
        if error is not None:
            self._drain_at_s = time.monotonic() + self._settings.retry_s
            if not isinstance(error, LogUnavailable):  # which is why there is a spill
                log.error("spill cannot be drained", file=str(self._file.path), exc_info=error)
            return
        self._breaker.succeed()
        records = len(batch.appended.result())
        self._drain_at_s = time.monotonic() + records / self._settings.records_per_s
        if not isinstance(batch.source, Stretch):
            self._memory.drop(batch.source)
            return
        try:
            self._file.drop(batch.source)
        except OSError as error:  # after a restart it is drained again, and recognised
            log.error("spill file cannot be written", file=str(self._file.path), error=str(error))

    def _finish(self) -> None:
        """Note what has just been drained, and make durable what is left in memory."""
        if self._batch is not None:
            wait([self._batch.appended], timeout=_LAST_APPEND_S)
            self._drain_at_s = inf  # no further one
            self._drain()
        self._batch, self._file_at_s = None, 0.0
        self._move_to_file()
        while self._memory:
            self._refuse(self._memory.pop())
        PENDING.inc(-self._shown)
        self._file.close()

    def _frame(self, appends: Sequence[Spilled]) -> Frame:
        entries = [entry for append in appends for entry in append.entries]
        return Frame(self._series, appends[0].first, entries)

    def _refuse(self, append: Spilled) -> None:
        REFUSED.inc(len(append.entries))
        append.done.set_exception(
            LogUnavailable("the log is down, and there is no room left to wait for it")
        )

    @property
    def _pending(self) -> int:
        return self._file.pending + self._memory.records

    def _show(self) -> None:
        pending = self._pending
        if pending and not self._shown:
            log.warning("log unavailable: events wait in a file", file=str(self._file.path))
        elif self._shown and not pending:
            log.info("log available: no event waits any more", file=str(self._file.path))
        PENDING.inc(pending - self._shown)
        self._shown = pending
