"""Overload: writes are refused while everything still works, not when something has broken.

Asked before a write is taken. What may not be refused goes on: reads, redirects and their clicks,
and what agents commit.
"""

import time
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import structlog
from litestar.connection import ASGIConnection
from prometheus_client import Gauge

from connectors.gateway.problems import Problem
from streams.errors import LogUnavailable

FREE = Gauge("sixfold_log_free_bytes", "Free on the log's disk")
QUEUE = Gauge("sixfold_log_queue_bytes", "Appended, and not committed yet")
LAG = Gauge("sixfold_fold_lag_records", "Records that a fold has not applied", ("fold", "topic"))

# So old may an answer be: to look costs some 100 µs, and nothing breaks within this.
_FRESH_S = 0.1

# What was too much is so until there is clearly less: else every other write would be taken, and
# load balancers would be told another thing every moment.
_CLEARLY = 0.8

# Retries that come sooner only add to what is too much.
_RETRY_AFTER_S = 5

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Load:
    """What a platform has to bear; by default nothing.

    Attributes:
        free_bytes: on the log's disk.
        has_room: whether the log takes that for enough.
        queue_bytes: appended, and not committed yet.
        lags: records that are not applied, by fold and topic.
    """

    free_bytes: int = 0
    has_room: bool = True
    queue_bytes: int = 0
    lags: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of it may be before writes are refused.

    Attributes:
        max_lag_records: of one fold.
    """

    max_queue_bytes: int = 64 << 20
    max_lag_records: int = 1_000_000


class Overload:
    """Refuses writes while there is too much of something; it ends by itself."""

    def __init__(
        self,
        look: Callable[[], Load] = Load,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch a platform.

        Args:
            look: says what it has to bear; may raise LogUnavailable.
        """
        self._look = look
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._looked_s = -inf
        self._reasons: dict[str, str] = {}

    def reasons(self) -> Mapping[str, str]:
        """What there is too much of, and how much; looks ten times a second at most."""
        now_s = self._clock()
        if now_s - self._looked_s >= _FRESH_S:
            self._looked_s = now_s
            self._change(self._weigh())
        return self._reasons

    async def admit(self, request: ASGIConnection[Any, Any, Any, Any], _: Any) -> None:
        """A guard of all routes: those whose scope is to write need room for it.

        Keys can be revoked, links deleted and persons erased as long as the log takes it.

        Raises:
            Problem: 503.
        """
        scope: str = request.route_handler.opt.get("scope", "")
        if not scope.endswith(":write"):
            return
        reasons = self.reasons()
        if reasons:
            raise Problem(
                503,
                f"nothing can be written for now: {'; '.join(reasons.values())}",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
                members={"reasons": reasons},
            )

    def _weigh(self) -> dict[str, str]:
        try:
            load = self._look()
        except LogUnavailable:
            logger.exception("the load of the log cannot be seen")
            return {"log": "the log cannot be read"}
        FREE.set(load.free_bytes)
        QUEUE.set(load.queue_bytes)
        for names, records in load.lags.items():
            LAG.labels(*names).set(records)
        return excesses(load, self._bounds, self._reasons)

    def _change(self, reasons: dict[str, str]) -> None:
        if reasons.keys() != self._reasons.keys():
            if reasons:
                logger.warning("writes are refused", **reasons)
            else:
                logger.info("writes are taken again")
        self._reasons = reasons


def excesses(load: Load, bounds: Bounds, before: Container[str]) -> dict[str, str]:
    """What there is too much of, and how much; for clients, who learn no paths.

    Args:
        before: what there was too much of a moment ago.
    """
    found: dict[str, str] = {}
    if not load.has_room:
        found["disk"] = f"the log's disk is nearly full, {load.free_bytes >> 20} MB are free"
    if load.queue_bytes >= _bound("queue", bounds.max_queue_bytes, before):
        found["queue"] = (
            f"{load.queue_bytes >> 20} MB wait to be committed, "
            f"and {bounds.max_queue_bytes >> 20} MB may"
        )
    by_fold = Counter[str]()
    for (fold, _), records in load.lags.items():
        by_fold[fold] += records
    for fold, records in by_fold.most_common(1):
        if records >= _bound("lag", bounds.max_lag_records, before):
            found["lag"] = (
                f"the fold {fold} is {records:,} records behind, "
                f"and {bounds.max_lag_records:,} may wait"
            )
    return found


def _bound(name: str, most: int, before: Container[str]) -> float:
    return most * _CLEARLY if name in before else most
