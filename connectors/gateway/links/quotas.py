"""How many links may be made: in all by a tenant, and in a minute by a caller and from an address.

Rates are kept in the memory of each gateway. The links of a tenant are counted by the fold, so what
is under way at once may exceed the quota.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import Future

import structlog

from connectors.gateway.links.client import Client
from connectors.gateway.links.settings import LinkSettings
from connectors.gateway.problems import Problem
from schemas.ids import uuid7
from schemas.links import LINKS, LinkCreationUnusual
from streams.addresses import client_block
from streams.links.views import LinkCount
from streams.log import Log, Position
from streams.sealing import Origin, Sealer
from streams.views import ViewStore

_WINDOW_S = 60.0
_ROUNDING_S = 1e-6
_MAX_KNOWN = 100_000
_ALERT_PAUSE_S = 600.0

logger = structlog.get_logger(__name__)


class Rate:
    """How often each of many may do something: so many times a minute, at once or spread.

    The generic cell rate algorithm (ITU-T I.371, annex A): of each there is only the time at which
    what it has done would be over if it were spread evenly.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._interval_s = _WINDOW_S / per_minute
        self._over: OrderedDict[Hashable, float] = OrderedDict()

    def wait_s(self, who: Hashable, times: int, now_s: float) -> float:
        """After how many seconds it may be done so many times; 0: now."""
        wait_s = self._after(who, times, now_s) - now_s - _WINDOW_S
        return wait_s if wait_s > _ROUNDING_S else 0.0

    def take(self, who: Hashable, times: int, now_s: float) -> None:
        """Count that it was done."""
        self._over[who] = self._after(who, times, now_s)
        self._over.move_to_end(who)
        if len(self._over) > _MAX_KNOWN:
            self._over.popitem(last=False)

    def _after(self, who: Hashable, times: int, now_s: float) -> float:
        return max(self._over.get(who, 0.0), now_s) + times * self._interval_s


class Quotas:
    """Lets links be made, or says why not; and tells the operator of what is unusual."""

    def __init__(
        self,
        settings: LinkSettings,
        log: Log,
        sealer: Sealer,
        store: ViewStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_links = settings.max_links
        self._log = log
        self._sealer = sealer
        self._store = store
        self._clock = clock
        self._callers = Rate(settings.creations_per_minute)
        self._addresses = Rate(settings.creations_per_minute_from_address)
        self._usual = {
            "links": Rate(settings.usual_creations_per_minute),
            "refusals": Rate(settings.usual_refusals_per_minute),
        }
        self._alerted: OrderedDict[Hashable, float] = OrderedDict()

    async def admit(
        self, client: Client, links: int, origin: Origin, count_new: Callable[[], Awaitable[int]]
    ) -> None:
        """Let somebody ask for so many links.

        Args:
            count_new: how many of them are not there yet; only asked if it matters.

        Raises:
            Problem: 429: too many a minute, or more than the tenant may have.
        """
        self.pace(client, links)
        room = await self._room(origin.tenant)
        if links > room and (new := await count_new()) and new > room:
            raise Problem(
                429,
                f"an account may have {self._max_links:,} links: delete some, or have the quota "
                "raised (links.max_links)",
                members={"quota": self._max_links},
            )
        self._watch("links", client, links, origin)

    def pace(self, client: Client, links: int) -> None:
        """Let somebody have so many targets looked at.

        Raises:
            Problem: 429: too many a minute.
        """
        now_s, address = self._clock(), client_block(client.address)
        waits = (
            (self._callers, self._callers.wait_s(_name(client), links, now_s)),
            (self._addresses, self._addresses.wait_s(address, links, now_s)),
        )
        for rate, wait_s in waits:
            if wait_s > 0:
                raise _too_many(rate, links, wait_s)
        self._callers.take(_name(client), links, now_s)
        self._addresses.take(address, links, now_s)

    def refused(self, client: Client, origin: Origin) -> None:
        """Count a target that somebody was refused."""
        self._watch("refusals", client, 1, origin)

    async def _room(self, tenant: str) -> int:
        """How many more links a tenant may have; less than none if the quota was lowered."""
        counts = [
            await self._store.get(LinkCount, tenant, (partition,))
            for partition in range(LINKS.partitions)
        ]
        return self._max_links - sum(count.links for count in counts if count)

    def _watch(self, reason: str, client: Client, times: int, origin: Origin) -> None:
        """Count something that is usual up to a rate, and tell of it beyond that."""
        rate, now_s = self._usual[reason], self._clock()
        if rate.wait_s(_name(client), times, now_s) == 0:
            rate.take(_name(client), times, now_s)
        elif now_s >= self._alerted.get((reason, _name(client)), 0.0):
            self._alerted[reason, _name(client)] = now_s + _ALERT_PAUSE_S
            if len(self._alerted) > _MAX_KNOWN:
                self._alerted.popitem(last=False)
            self._tell(
                LinkCreationUnusual(
                    client.caller.key, reason, rate.per_minute, user=client.caller.subject
                ),
                origin,
            )

    def _tell(self, unusual: LinkCreationUnusual, origin: Origin) -> None:
        """Append what is unusual; nobody waits for it."""
        logger.warning("unusual creation of links", caller=unusual.caller, reason=unusual.reason)
        id = uuid7(int(origin.time.timestamp() * 1000))
        self._log.append([self._sealer.entry(unusual, origin, id)]).add_done_callback(
            _look_at_error
        )


def _name(client: Client) -> Hashable:
    """What tells callers apart; the ids of keys are unique across tenants."""
    return client.caller.key, client.caller.subject


def _too_many(rate: Rate, links: int, wait_s: float) -> Problem:
    if links > rate.per_minute:
        return Problem(429, f"ask for {rate.per_minute:,} links a minute at most")
    return Problem(
        429,
        f"{rate.per_minute:,} links may be made in a minute: wait",
        headers={"Retry-After": str(math.ceil(wait_s))},
    )


def _look_at_error(done: "Future[Sequence[Position]]") -> None:
    error = done.exception()
    if error is not None:
        logger.warning("what is unusual could not be appended", error=str(error))
