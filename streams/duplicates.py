"""Which events a fold has seen before.

An event that another fold derived carries its cause: per deriving fold and upstream partition
causes only grow, so the highest one seen says it all. What a client or a tick says has only its id,
which is remembered for 7 days on topics that declare `deduplicated`. All else is appended once by
those who append it, and costs nothing here. A record that was rejected is awaited: its copy that is
requeued is new once, whatever else was requeued before it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from schemas.envelope import Event
from streams.commit import EventId, Seen
from streams.cursor import Cursor
from streams.state import Change, Table

# Where something derived an event from: who derived it, and from which partition.
Upstream = tuple[str, str]

# (offset, ordinal) of the newest event that was derived there.
Reached = tuple[int, int]

# The source of a requeued record: it is for the fold that rejected it alone, others have applied it.
REQUEUED_FOR = "requeue/"

# The causes that a spill gives what it drains; a crash may repeat that.
SPILLED = "spill-"

# The sources of those who may say the same again, under the same id.
REPEATING = ("client/", "tick/")

KEPT_MS = 7 * 86_400_000

Known = Callable[[str, Sequence[EventId], int], set[EventId]]

_NOTHING: Reached = (-1, -1)


class Duplicates:
    """Tells what one partition of a fold has applied before."""

    def __init__(self, fold: str, known: Known, deduplicated: frozenset[str]) -> None:
        """Begin with nothing seen.

        Args:
            fold: its name.
            known: which of some ids of a topic were applied after a time, and are durable.
            deduplicated: the topics whose ids are remembered.
        """
        cursor = Cursor(partition=0)
        self._reached: Table[Upstream, Reached] = Table(
            "~reached", tuple[str, str], tuple[int, int], cursor
        )
        self._awaited: Table[str, bool] = Table("~awaited", str, bool, cursor)
        # By name; no fold can have a table of such a name.
        self.tables: dict[str, Table[Any, Any]] = {
            table.name: table for table in (self._reached, self._awaited)
        }
        self._requeued = REQUEUED_FOR + fold
        self._known = known
        self._deduplicated = deduplicated
        self._new: dict[tuple[str, EventId], int] = {}
        self._in_flight: dict[tuple[str, EventId], int] = {}

    def unseen(self, topic: str, events: Sequence[Event[Any]], now_ms: int) -> list[bool]:
        """For each event whether it is new. It is not from now on.

        Raises:
            LogUnavailable: the ids could not be looked up; nothing has changed.
        """
        ids = self._ids(events) if topic in self._deduplicated else {}
        known = self._known(topic, list(ids.values()), now_ms - KEPT_MS) if ids else set()
        if self._follows_on(events):
            return [True] * len(events)
        fresh = self._advanced(events)
        for i, id in ids.items():
            place = (topic, id)
            fresh[i] = not (id in known or place in self._new or place in self._in_flight)
            if fresh[i]:
                self._new[place] = now_ms
        return fresh

    def reject(self, position: str) -> None:
        """A record could not be applied: a copy of it may be requeued, once."""
        self._awaited[position] = True

    def take(self) -> tuple[list[Change], list[Seen]]:
        """What has changed since the last call: rows of state, and ids to remember."""
        changes = []
        for table in self.tables.values():
            table.accept()
            changes += table.take()
        taken, self._new = self._new, {}
        self._in_flight |= taken
        seen = [Seen(topic, *id, time_ms) for (topic, id), time_ms in taken.items()]
        return changes, seen

    def settle(self) -> None:
        """What was taken is durable: from now on `known` knows it."""
        self._in_flight = {}

    def _follows_on(self, events: Sequence[Event[Any]]) -> bool:
        """Whether all events were derived at one place, one cause after the other; if so, all count.

        Texts of one length that ascend between two of one partition are all of that partition, and
        ascend as numbers. Most batches are like this, and it is quick to see.
        """
        first = events[0].cause if events else None
        if first is None or events[0].source.startswith(REQUEUED_FOR):
            return False
        source, length, last = events[0].source, len(first), ""
        for event in events:
            cause = event.cause
            if cause is None or len(cause) != length or cause <= last or event.source != source:
                return False
            last = cause
        prefix, _, offset = last.rpartition("/")
        begins = _place(first.removeprefix(f"{prefix}/"), events[0].ordinal)
        ends = _place(offset, events[-1].ordinal)
        reached = self._reached.get((source, prefix)) or _NOTHING
        if begins is None or ends is None or begins <= reached:
            return False
        self._reached[source, prefix] = ends
        return True

    def _advanced(self, events: Sequence[Event[Any]]) -> list[bool]:
        """Whether each event is beyond what its deriver had reached."""
        reached: dict[Upstream, Reached] = {}
        fresh = []
        for event in events:
            if event.cause is None:
                fresh.append(True)
                continue
            if event.source.startswith(REQUEUED_FOR):
                awaited = event.source == self._requeued and self._awaited.pop(event.cause, False)
                fresh.append(awaited)
                continue
            prefix, _, offset = event.cause.rpartition("/")
            place = _place(offset, event.ordinal)
            upstream = (event.source, prefix)
            if place is None:  # a cause that is no position says nothing
                fresh.append(True)
                continue
            last = reached.get(upstream) or self._reached.get(upstream) or _NOTHING
            is_new = place > last
            if is_new:
                reached[upstream] = place
            fresh.append(is_new)
        for upstream, place in reached.items():
            self._reached[upstream] = place
        return fresh

    def _ids(self, events: Sequence[Event[Any]]) -> dict[int, EventId]:
        """The ids of the events that are known by their ids, by the index of the event."""
        return {
            i: (event.tenant, event.id) for i, event in enumerate(events) if is_known_by_id(event)
        }


def is_known_by_id(event: Event[Any]) -> bool:
    """Whether a repeat of an event has the same id and nothing else that tells."""
    return event.cause is None and event.source.startswith(REPEATING)


def _place(offset: str, ordinal: int) -> Reached | None:
    """An offset and an ordinal; None if they are none: they have 40 and 32 bits at most."""
    if not offset.isdecimal() or len(offset) > 13 or not 0 <= ordinal < 1 << 32:
        return None
    return int(offset), ordinal
