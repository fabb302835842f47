"""Which events a fold has seen before.

An event that another fold derived carries its cause: per emitting fold and upstream partition
causes only grow, so the highest one seen says it all. A client's event has only its id, which is
remembered for 7 days on topics that declare `deduplicated`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from schemas.envelope import Event
from streams.commit import Seen
from streams.cursor import NO_TENANT, Cursor
from streams.state import Table

# Where something derived an event from: who derived it, and from which partition.
Upstream = tuple[str, str]

# (offset, ordinal) of the newest event that was derived there.
Reached = tuple[int, int]

# A requeued record is for the fold that rejected it alone; others have applied it.
REQUEUED_FOR = "requeue/"

Known = Callable[[str, Sequence[str]], set[str]]


class Duplicates:
    """Tells what one partition of a fold has applied before."""

    def __init__(self, fold: str, known: Known, deduplicated: frozenset[str]) -> None:
        """Begin with nothing seen.

        Args:
            fold: its name.
            known: which of some ids of a topic have been applied and are durable.
            deduplicated: the topics whose ids are remembered.
        """
        cursor = Cursor(partition=0)
        cursor.tenant = NO_TENANT
        self.reached: Table[Upstream, Reached] = Table(
            "upstream", tuple[str, str], tuple[int, int], cursor
        )
        self._fold = fold
        self._known = known
        self._deduplicated = deduplicated
        self._new: dict[tuple[str, str], int] = {}
        self._in_flight: dict[tuple[str, str], int] = {}

    def unseen(self, topic: str, events: Sequence[Event[Any]], now_ms: int) -> list[bool]:
        """For each event whether it is new. It is not from now on.

        Raises:
            LogUnavailable: the ids could not be looked up; nothing has changed.
        """
        known = self._known_ids(topic, events)
        fresh = self._advanced(events)
        if topic in self._deduplicated:
            self._remember(topic, events, fresh, known, now_ms)
        return fresh

    def take(self) -> list[Seen]:
        """The ids to remember that came since the last call."""
        taken, self._new = self._new, {}
        self._in_flight |= taken
        return [Seen(topic, id, time_ms) for (topic, id), time_ms in taken.items()]

    def settle(self) -> None:
        """What was taken is durable: from now on `known` knows it."""
        self._in_flight = {}

    def _advanced(self, events: Sequence[Event[Any]]) -> list[bool]:
        """Whether each event's cause is beyond what its deriver had reached.

        Neighbours mostly have the same source and upstream partition, so those are not looked up
        anew for each.
        """
        fresh = []
        source, prefix, (offset, ordinal), is_ours = "", "", _NOTHING, True
        for event in events:
            cause = event.cause
            if cause is None:
                fresh.append(True)
                continue
            if event.source != source or not cause.startswith(prefix):
                self._reach(source, prefix, (offset, ordinal))
                source, prefix = event.source, cause[: cause.rfind("/") + 1]
                offset, ordinal = self.reached.get((source, prefix)) or _NOTHING
                is_ours = self._is_addressed(source)
            at = int(cause[len(prefix) :])
            is_new = at > offset or (at == offset and event.ordinal > ordinal)
            if is_new:
                offset, ordinal = at, event.ordinal
            fresh.append(is_new and is_ours)
        self._reach(source, prefix, (offset, ordinal))
        self.reached.accept()
        return fresh

    def _reach(self, source: str, prefix: str, reached: Reached) -> None:
        if source:
            self.reached[source, prefix] = reached

    def _is_addressed(self, source: str) -> bool:
        return not source.startswith(REQUEUED_FOR) or source == REQUEUED_FOR + self._fold

    def _known_ids(self, topic: str, events: Sequence[Event[Any]]) -> set[str]:
        ids = [event.id for event in events if event.cause is None]
        return self._known(topic, ids) if ids and topic in self._deduplicated else set()

    def _remember(
        self,
        topic: str,
        events: Sequence[Event[Any]],
        fresh: list[bool],
        known: set[str],
        now_ms: int,
    ) -> None:
        """Mark clients' events with an id that was seen, and remember the ids of the others."""
        for i, event in enumerate(events):
            if event.cause is not None:
                continue
            place = (topic, event.id)
            if event.id in known or place in self._new or place in self._in_flight:
                fresh[i] = False
            else:
                self._new[place] = now_ms


_NOTHING: Reached = (-1, -1)
