"""Clicks: counted off the path of the redirects that they are, which never wait for the log.

hit → entry, a millisecond later → log, many at once.

What the log refuses is tried again, as far as there is room for it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import structlog
from prometheus_client import Counter

from connectors.gateway.links.encoding import ClickedLink, Hit
from streams.errors import LogUnavailable
from streams.log import Entry, Log, Position

RECORDED = Counter("sixfold_clicks_recorded", "Clicks that the log has taken, or its spill")
LOST = Counter("sixfold_clicks_lost", "Clicks that neither had room for")

# Encoding one by one costs twice as much per click; after more than a few milliseconds the hits have
# left the processor's caches, which costs as much.
_ENCODE_AFTER_S = 0.001
# Requests wait while clicks are encoded, and a browser that was not seen before takes 0.3 ms.
_SLICE_S = 0.001
# Clicks of so long are appended together, since an append has its price whatever is in it.
_GATHER_S = 0.01
_RETRY_S = 1.0
_STOP_TIMEOUT_S = 5.0

Encode = Callable[[ClickedLink, Hit], Entry]

logger = structlog.get_logger(__name__)


class Clicks:
    """Appends hits as clicks; lives on one event loop."""

    def __init__(self, log: Log, encode: Encode, max_waiting: int) -> None:
        """Append to a log.

        Args:
            max_waiting: how many clicks may be on their way; what comes then is lost.
        """
        self._log = log
        self._encode = encode
        self._max_waiting = max_waiting
        self._waiting = 0
        self._hits: deque[tuple[ClickedLink, Hit]] = deque()
        self._entries: list[Entry] = []
        self._is_encoding_due = False
        self._append_timer: asyncio.TimerHandle | None = None
        self._appends = 0  # that are not settled
        self._settled = asyncio.Event()

    def record(self, link: ClickedLink, hit: Hit) -> None:
        """Take a click; returns at once."""
        if self._waiting >= self._max_waiting:
            LOST.inc()
            return
        self._waiting += 1
        self._hits.append((link, hit))
        if not self._is_encoding_due:
            self._is_encoding_due = True
            asyncio.get_running_loop().call_later(_ENCODE_AFTER_S, self._work)

    async def stop(self) -> None:
        """Append what is waiting; what the log does not take now is lost."""
        while self._hits:
            self._encode_some()
        self._append()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                while self._appends:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            logger.error("the log does not answer; clicks may be lost", clicks=self._waiting)
        self._cancel_timer()
        self._lose(len(self._entries))

    def _work(self) -> None:
        self._encode_some()
        self._append_after(_GATHER_S)
        self._is_encoding_due = bool(self._hits)
        if self._hits:
            asyncio.get_running_loop().call_soon(self._work)

    def _encode_some(self) -> None:
        """Encode as many hits as can be in one slice of time."""
        hits, entries, clock = self._hits, self._entries, time.perf_counter
        until = clock() + _SLICE_S
        while hits and clock() < until:
            link, hit = hits.popleft()
            try:
                entries.append(self._encode(link, hit))
            except Exception as error:
                # The message may hold what the visitor sent, which is not for logs.
                logger.error("a click could not be encoded", error=type(error).__name__)
                self._lose(1)

    def _append_after(self, delay_s: float) -> None:
        if self._append_timer is None:
            loop = asyncio.get_running_loop()
            self._append_timer = loop.call_later(delay_s, self._append)

    def _append(self) -> None:
        self._cancel_timer()
        entries, self._entries = self._entries, []
        if entries:
            loop = asyncio.get_running_loop()
            self._appends += 1
            self._log.append(entries).add_done_callback(
                lambda done: loop.call_soon_threadsafe(self._settle, entries, done)
            )

    def _settle(self, entries: Sequence[Entry], done: "Future[Sequence[Position]]") -> None:
        self._appends -= 1
        self._settled.set()
        error = done.exception()
        if error is None:
            self._waiting -= len(entries)
            RECORDED.inc(len(entries))
        elif isinstance(error, LogUnavailable):
            self._entries += entries
            self._cancel_timer()
            self._append_after(_RETRY_S)
        else:
            logger.error("clicks were lost", clicks=len(entries), exc_info=error)
            self._lose(len(entries))

    def _cancel_timer(self) -> None:
        if self._append_timer is not None:
            self._append_timer.cancel()
            self._append_timer = None

    def _lose(self, clicks: int) -> None:
        self._waiting -= clicks
        LOST.inc(clicks)
