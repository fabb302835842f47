"""The log as one request sees it: appends are its tenant's, in its trace, with its event ids."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from connectors.gateway.idempotency import EventIds
from schemas.event import Data, event_type_of
from streams import log as port
from streams.log import Entry, Position
from streams.sealing import Origin, Sealer

# version, trace id, parent id, flags (W3C Trace Context, section 3.2)
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Accepted(msgspec.Struct):
    """A write is durable; a read that sends the position as `Sixfold-After` sees what it did."""

    position: str


class Log:
    """Where the handlers of a request append."""

    def __init__(
        self,
        log: port.Log,
        sealer: Sealer,
        origin: Origin,
        ids: EventIds,
        appended: Callable[[Sequence[Position]], None],
    ) -> None:
        """Append to a log.

        Args:
            appended: called with the positions of every append.
        """
        self._log = log
        self._sealer = sealer
        self._appended = appended
        self.origin = origin
        self.ids = ids

    def of_tenant(self, tenant: str) -> "Log":
        """The log as another tenant's; for callers who may act in every tenant."""
        origin = replace(self.origin, tenant=tenant)
        return Log(self._log, self._sealer, origin, self.ids, self._appended)

    async def append(self, *events: Data) -> Accepted:
        """Append all of these events or none, durably; the position is the last one's.

        Raises:
            LogUnavailable: not now; nothing was appended.
            Erased: an event has personal fields of somebody who was erased.
        """
        if any(event_type_of(type(event)).personal for event in events):
            entries = await asyncio.to_thread(self._entries, events)  # the vault may use the disk
        else:
            entries = self._entries(events)
        positions = await self.append_entries(entries)
        return Accepted(str(positions[-1]))

    async def append_entries(self, entries: Sequence[Entry]) -> Sequence[Position]:
        """Append what is sealed already.

        Raises:
            LogUnavailable: not now; nothing was appended.
        """
        positions = await asyncio.wrap_future(self._log.append(entries))
        self._appended(positions)
        return positions

    def _entries(self, events: Sequence[Data]) -> list[Entry]:
        return [self._sealer.entry(event, self.origin, self.ids.next()) for event in events]


def position_header(positions: Sequence[Position]) -> str | None:
    """`Sixfold-Position`: the last position, if all are of one partition.

    A view can be asked to have applied one position, not several.
    """
    partitions = {position[:2] for position in positions}
    return str(max(positions)) if len(partitions) == 1 else None


def trace_of(traceparent: str | None) -> str | None:
    """The request's `traceparent`, if it is one; a malformed one is ignored, as the RFC wants."""
    return traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
