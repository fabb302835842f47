"""The client for asyncio."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from itertools import takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from schemas.ids import uuid7
from sixfold.client.errors import NotFlushed, Rejected, Undelivered
from sixfold.client.gateway import Backoff, Delivered, Gateway, Unreachable
from sixfold.client.spill import Spill

_logger = logging.getLogger("sixfold.client")

# Beside the events themselves: brackets and commas.
_MAX_BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a client sends.

    Attributes:
        linger_s: how long an event may wait for others to share its request.
        max_batch_events: of one request.
        max_pending_events: in memory; beyond it `send` waits, or spills.
        timeout_s: of one request.
        close_timeout_s: how long `close` tries to deliver what is left.
    """

    linger_s: float = 0.005
    max_batch_events: int = 1_000
    max_pending_events: int = 10_000
    timeout_s: float = 10.0
    close_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an event is: send `position` as `Sixfold-After` to read what it did."""

    id: str
    position: str


@dataclass(slots=True)
class _Pending:
    """An event on its way.

    Attributes:
        done: whom to tell; those of the spill have nobody.
        behind: the number of the first event of the spill that is younger; in the spill, its own.
    """

    id: str
    event: bytes
    done: "asyncio.Future[Receipt] | None" = None
    behind: int = 0
    is_spilled: bool = False


class AsyncClient:
    """Sends events to a gateway: in batches, with retries, and never twice.

    An event's id is fixed before it is first tried, so one that comes twice because an answer was
    lost is known by its id. With a spill, events that cannot be delivered wait on disk, also for
    the next process; without one, `send` waits while too many are pending.

    Events go to the gateway in the order in which the client has taken them, sent and appended
    ones alike; before all others go those that the process before has left in the spill.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        spill: Path | None = None,
        on_rejected: Callable[[Rejected], None] | None = None,
        options: Options | None = None,
    ) -> None:
        """Make a client; use it as an async context manager.

        Args:
            url: of the gateway; SIXFOLD_URL if it is not given.
            api_key: with the scope `events:write`; SIXFOLD_API_KEY if it is not given.
            spill: a file for this client alone.
            on_rejected: told of every event that was refused; without it, a warning is logged of
                those that were sent, and whoever appends one is told anyway.

        Raises:
            ValueError: the URL is not one of HTTP.
            DamagedSpill: the file is no spill.
            SpillInUse: another client has it, of this process or of another one.
        """
        self._options = options or Options()
        self._gateway = Gateway(
            url or os.environ.get("SIXFOLD_URL", "http://127.0.0.1:8080"),
            api_key or os.environ.get("SIXFOLD_API_KEY", ""),
            self._options.timeout_s,
        )
        self._spill = Spill(spill) if spill else None
        self._on_rejected = on_rejected
        self._pending: deque[_Pending] = deque()
        self._settled = 0  # events that were delivered or refused
        self._changed = asyncio.Condition()
        self._backoff = Backoff()
        self._sending: asyncio.Task[None] | None = None
        self._away = False
        self._closing = False

    async def __aenter__(self) -> "AsyncClient":
        self._sending = asyncio.create_task(self._send_forever(), name="sixfold client")
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def send(
        self,
        type: str,
        data: Mapping[str, Any],
        *,
        time: datetime | None = None,
        id: str | None = None,
    ) -> str:
        """Queue an event; its id. Returns before it is delivered; `flush` waits for that.

        Args:
            time: when it happened; now, if not given.
            id: a UUID, if the event has one already.

        Raises:
            OSError: the spill's disk is full.
            Undelivered: the client is closed.
        """
        pending = _pending(type, data, time, id)
        await self._queue(pending)
        return pending.id

    async def append(
        self,
        type: str,
        data: Mapping[str, Any],
        *,
        time: datetime | None = None,
        id: str | None = None,
    ) -> Receipt:
        """Send an event and wait until it is durable in the log.

        Raises:
            Rejected: it was refused.
            Undelivered: the client was closed before it could be delivered. The spill does not
                keep it: whoever appends it again would have it twice.
        """
        pending = _pending(type, data, time, id)
        pending.done = asyncio.get_running_loop().create_future()
        await self._queue(pending)
        return await pending.done

    async def flush(self, timeout_s: float | None = None) -> None:
        """Wait until everything that the client has taken before this call is delivered or refused.

        Raises:
            NotFlushed: it is not in time; what is left waits on.
            Undelivered: the client is closed.
        """
        if self._sending is None:
            raise Undelivered("the client is closed")
        end = self._settled + self._waiting
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self._settled >= end)
        except TimeoutError:
            raise NotFlushed(
                f"{end - self._settled} events were not delivered within {timeout_s} s; the client "
                "goes on trying"
            ) from None

    async def close(self) -> None:
        """Deliver what is left, or leave it to the spill.

        Raises:
            Undelivered: there is no spill, and some events could not be delivered.
        """
        if self._sending is None:
            return
        self._closing = True
        async with self._changed:  # those who wait for room need not any more
            self._changed.notify_all()
        with suppress(NotFlushed):
            await self.flush(self._options.close_timeout_s)
        sending, self._sending = self._sending, None
        sending.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await sending
        finally:
            await self._gateway.close()
            async with self._changed:  # a `send` may be pushing on a thread
                self._leave()
        if self._pending and self._spill is None:
            raise Undelivered(f"{len(self._pending)} events were not delivered; give a spill file")

    async def _queue(self, pending: _Pending) -> None:
        spill = self._spill if pending.done is None else None
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    self._closing
                    or self._has_room()
                    or (spill is not None and (self._away or bool(spill)))
                )
            )
            if self._closing:
                raise Undelivered(f"event {pending.id} was not sent: the client is closed")
            # To disk go events behind those that are there, and when memory is full.
            if spill is not None and (bool(spill) or not self._has_room()):
                pushing = asyncio.create_task(asyncio.to_thread(spill.push, [pending.event]))
                try:
                    await asyncio.shield(pushing)
                finally:  # a thread cannot be cancelled, and nobody else may write until it is done
                    await asyncio.wait([pushing])
            else:
                pending.behind = self._spill.next if self._spill is not None else 0
                self._pending.append(pending)
            self._changed.notify_all()

    @property
    def _waiting(self) -> int:
        """How many events are neither delivered nor refused."""
        return len(self._pending) + (len(self._spill) if self._spill is not None else 0)

    def _has_room(self) -> bool:
        return len(self._pending) < self._options.max_pending_events

    async def _send_forever(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting > 0)
            if self._waiting < self._options.max_batch_events and not self._closing:
                await asyncio.sleep(self._options.linger_s)
            await self._send_oldest()

    async def _send_oldest(self) -> None:
        batch = self._next_batch()
        delivered = await self._delivered([pending.event for pending in batch])
        for index, pending in enumerate(batch):
            self._settle(pending.id, pending.done, index, delivered)
        async with self._changed:  # a `send` may be pushing on a thread
            spilled = [pending.event for pending in batch if pending.is_spilled]
            if self._spill is not None and spilled:
                self._spill.pop(spilled)
            for _ in range(len(batch) - len(spilled)):
                self._pending.popleft()
            self._settled += len(batch)
            self._changed.notify_all()

    def _next_batch(self) -> list[_Pending]:
        batch: list[_Pending] = []
        size = 0
        for pending in self._oldest():
            size += len(pending.event)
            if batch and (len(batch) == self._options.max_batch_events or size > _MAX_BATCH_BYTES):
                break
            batch.append(pending)
        return batch

    def _oldest(self) -> Iterator[_Pending]:
        """At least a batch of the oldest events, in memory and in the spill."""
        if self._spill is None:
            return iter(self._pending)
        events = self._spill.peek(self._options.max_batch_events, _MAX_BATCH_BYTES)
        first = self._spill.first
        spilled = (
            _Pending(msgspec.json.decode(event)["id"], event, behind=number, is_spilled=True)
            for number, event in enumerate(events, first)
        )
        end = first + len(events)
        in_memory = takewhile(lambda pending: pending.behind <= end, self._pending)
        # Of equal ones those in memory come first, since the spill's of that number is younger.
        return merge(in_memory, spilled, key=attrgetter("behind"))

    async def _delivered(self, events: list[bytes]) -> Delivered:
        """Post a batch until the gateway has taken or refused it."""
        while True:
            try:
                delivered = await self._gateway.post(events)
            except Unreachable as error:
                self._away = True
                async with self._changed:
                    self._changed.notify_all()
                await self._backoff.pause(error.retry_after_s)
            else:
                self._away = False
                self._backoff.reset()
                return delivered

    def _settle(
        self, id: str, done: "asyncio.Future[Receipt] | None", index: int, delivered: Delivered
    ) -> None:
        reasons = delivered.refusals.get(index)
        if reasons is None:
            if done is not None and not done.done():
                done.set_result(Receipt(id, delivered.positions[index]))
            return
        rejected = Rejected(id, reasons)
        if self._on_rejected is not None:
            # Not from here: what it raises is the loop's to report, and must not stop the sending.
            asyncio.get_running_loop().call_soon(self._on_rejected, rejected)
        elif done is None:  # nobody else would hear of it
            _logger.warning("%s", rejected)
        if done is not None and not done.done():
            done.set_exception(rejected)

    def _leave(self) -> None:
        """Put what was not delivered where the next process finds it."""
        for pending in self._pending:
            if pending.done is not None and not pending.done.done():
                pending.done.set_exception(Undelivered(f"event {pending.id} was not delivered"))
        if self._spill is not None:
            kept = [pending.event for pending in self._pending if pending.done is None]
            if kept:  # older than what is in the spill
                self._spill.push_front(kept)
            self._spill.close()


def _pending(type: str, data: Mapping[str, Any], time: datetime | None, id: str | None) -> _Pending:
    at = time or datetime.now(UTC)
    id = id or uuid7(int(at.timestamp() * 1000))
    event = {"specversion": "1.0", "id": id, "type": type, "time": at, "data": data}
    return _Pending(id, msgspec.json.encode(event))
