"""One partition of a fold: batches in, one commit out.

    decoded batch → drop duplicates → fold (bisecting around poison) → pending → take() → commit

What has been folded is pending until `take`; batches that come meanwhile are merged into it, so the
slower the store, the larger the commits.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import structlog

from schemas.dead import RecordRejected
from schemas.envelope import PLATFORM_TENANT, Event
from schemas.event import event_type_of
from schemas.ids import derived_id
from schemas.privacy import SubjectErased
from streams.batch import Batch
from streams.commit import Commit, Committer, Generation
from streams.cursor import Cursor
from streams.decode import Decoded, Malformed
from streams.duplicates import Duplicates
from streams.effects import Due, DueEvent, Effects, Emitted
from streams.errors import FoldError, VaultError
from streams.fold import Fold
from streams.log import Entry
from streams.rejection import reason_of
from streams.sealing import Origin, Sealer

log = structlog.get_logger()

# Table of the runtime's own among a fold's state; no fold can have one of that name.
_UPSTREAM = "~upstream"


class Runner:
    """Folds one partition."""

    def __init__(
        self,
        fold: Fold,
        generation: Generation,
        partition: int,
        sealer: Sealer,
        committer: Committer,
    ) -> None:
        """Recover what was durable of this partition.

        Raises:
            LogUnavailable: it cannot be read now.
        """
        self.fold = fold
        self.generation = generation
        self.partition = partition
        self._sealer = sealer
        self._cursor = Cursor(partition)
        self._state = fold.state(self._cursor)
        self._batch: Batch[Any] = Batch(self._cursor)
        self._duplicates = Duplicates(
            fold.name,
            lambda topic, ids: committer.known(generation, topic, ids),
            sealer.deduplicated(fold.topics),
        )
        self._wanted_types = fold.types | {SubjectErased}
        self._pending = Commit(generation, partition)
        self.pending_records = 0
        self.offsets: dict[str, int] = {}
        self._last_ms = 0
        self._recover(committer)

    def process(self, decoded: Decoded) -> None:
        """Fold a batch; what lies before the applied offset is skipped.

        Raises:
            FoldError: records between the applied offset and this batch were lost on the way.
            LogUnavailable: nothing was folded; try again.
        """
        applied = self.offsets.get(decoded.topic, 0)
        if decoded.next_offset <= applied:
            return
        if 0 < applied < decoded.start:
            raise FoldError(
                f"fold {self.fold.name}: {decoded.topic}/{self.partition} was applied up to "
                f"{applied}, but the next batch starts at {decoded.start}"
            )
        events, offsets = self._wanted(decoded, applied)
        malformed = [m for m in decoded.malformed if m.offset >= applied]
        rejected = malformed + self._fold_all(decoded.topic, events, offsets)
        self._reject(decoded.topic, sorted(rejected), decoded.last_ms)
        self.offsets[decoded.topic] = decoded.next_offset
        self._pending.offsets[decoded.topic] = decoded.next_offset
        self._last_ms = decoded.last_ms
        self.pending_records += len(decoded.events) + len(decoded.malformed)

    def tick(self, now: datetime) -> None:
        """Run the fold's tick, which reads state and emits.

        Raises:
            FoldError: it wrote state.
        """
        if self.fold.tick is None:
            return
        out = Due()
        self.fold.tick(now, self._state, out)
        if self._state.written:
            self._state.rollback()
            raise FoldError(f"fold {self.fold.name}: a tick may only emit; fold what it emits")
        self._pending.entries += [self._entry_of_tick(due) for due in out.events]

    def take(self) -> Commit | None:
        """What is pending, to be committed; None if nothing is."""
        pending = self._pending
        if not (pending.offsets or pending.entries):
            return None
        pending.state = self._state.take() + [
            change._replace(table=_UPSTREAM) for change in self._duplicates.reached.take()
        ]
        pending.seen = self._duplicates.take()
        self._pending = Commit(self.generation, self.partition)
        self.pending_records = 0
        return pending

    def settle(self) -> None:
        """What was taken is durable."""
        self._duplicates.settle()

    @property
    def last_ms(self) -> int:
        """When the newest record that was folded had been appended."""
        return self._last_ms

    def _recover(self, committer: Committer) -> None:
        recovered = committer.recover(self.generation, self.partition)
        self.offsets = dict(recovered.offsets)
        rows: dict[str, list[tuple[bytes, bytes]]] = {}
        for table, key, value in recovered.state:
            rows.setdefault(table, []).append((key, value))
        self._duplicates.reached.load(rows.pop(_UPSTREAM, ()))
        for table, stored in rows.items():
            self._state.load(table, stored)

    def _wanted(self, decoded: Decoded, applied: int) -> tuple[Sequence[Event[Any]], Sequence[int]]:
        """The events of a batch that this fold has not applied and is there for."""
        events, offsets = decoded.events, decoded.offsets
        if offsets and offsets[0] < applied:
            skip = sum(1 for offset in offsets if offset < applied)
            events, offsets = events[skip:], offsets[skip:]
        fresh = self._duplicates.unseen(decoded.topic, events, decoded.last_ms)
        if all(fresh) and {type(event.data) for event in events} <= self._wanted_types:
            return events, offsets
        keep = [
            i
            for i, event in enumerate(events)
            if fresh[i] and type(event.data) in self._wanted_types
        ]
        return [events[i] for i in keep], [offsets[i] for i in keep]

    def _fold_all(
        self, topic: str, events: Sequence[Event[Any]], offsets: Sequence[int]
    ) -> list[Malformed]:
        """Fold events, apart from those that make the fold raise, which are returned."""
        out = Effects(self._cursor)
        rejected: list[Malformed] = []
        if self.fold.opens:
            events = [self._opened(event) for event in events]
        for run, at in _between_erasures(events, offsets):
            out.merge(self._fold_some(topic, run, at, rejected))
        self._merge(out)
        return rejected

    def _fold_some(
        self,
        topic: str,
        events: Sequence[Event[Any]],
        offsets: Sequence[int],
        rejected: list[Malformed],
    ) -> Effects:
        """Fold events; if that raises, fold either half, down to the record that is to blame."""
        out = Effects(self._cursor)
        self._cursor.point(topic, events, offsets)
        try:
            self._run(out)
        except Exception as error:
            self._state.rollback()
            if len(events) == 1:
                rejected.append(self._rejected(topic, offsets[0], error))
                return Effects(self._cursor)
            half = len(events) // 2
            out = self._fold_some(topic, events[:half], offsets[:half], rejected)
            out.merge(self._fold_some(topic, events[half:], offsets[half:], rejected))
            return out
        self._state.accept()
        return out

    def _rejected(self, topic: str, offset: int, error: Exception) -> Malformed:
        reason = reason_of(error)
        log.warning(
            "record rejected",
            fold=self.fold.name,
            position=f"{topic}/{self.partition}/{offset}",
            reason=reason,
        )
        return Malformed(offset, reason)

    def _run(self, out: Effects) -> None:
        events = self._cursor.events
        if isinstance(events[0].data, SubjectErased):
            if self.fold.erase is not None:
                self._cursor.at(0)
                self.fold.erase(events[0].data.subject, self._state, out)
        else:
            self.fold.run(self._batch, self._state, out)

    def _opened(self, event: Event[Any]) -> Event[Any]:
        if event.sealed is None:
            return event
        try:
            return self._sealer.opened(event)
        except VaultError:
            return event  # erased: its personal fields stay absent

    def _merge(self, out: Effects) -> None:
        """Add what a batch brought about to what is pending."""
        for view, rows in out.rows.items():
            self._pending.rows.setdefault(view, {}).update(rows)
        self._pending.entries += [self._entry(emitted) for emitted in out.emitted]

    def _entry(self, emitted: Emitted) -> Entry:
        origin = Origin(
            source=f"fold/{self.fold.name}",
            tenant=emitted.tenant,
            time=emitted.time,
            cause=emitted.cause,
            traceparent=emitted.traceparent,
        )
        time_ms = int(emitted.time.timestamp() * 1000)
        id = derived_id(time_ms, self.fold.name, emitted.cause, emitted.ordinal)
        return self._sealer.entry(emitted.data, origin, id, emitted.ordinal)

    def _entry_of_tick(self, due: DueEvent) -> Entry:
        source = f"tick/{self.fold.name}"
        key = event_type_of(type(due.data)).key_of(due.data)
        id = derived_id(int(due.at.timestamp() * 1000), source, due.tenant, key)
        origin = Origin(source=source, tenant=due.tenant, time=due.at)
        return self._sealer.entry(due.data, origin, id)

    def _reject(self, topic: str, rejected: Sequence[Malformed], now_ms: int) -> None:
        time = datetime.fromtimestamp(now_ms / 1000, UTC)
        for offset, reason in rejected:
            position = f"{topic}/{self.partition}/{offset}"
            letter = RecordRejected(position, self.fold.name, reason)
            origin = Origin(
                source=f"reject/{self.fold.name}", tenant=PLATFORM_TENANT, time=time, cause=position
            )
            id = derived_id(now_ms, "reject", self.fold.name, position)
            self._pending.entries.append(self._sealer.entry(letter, origin, id))


def _between_erasures(
    events: Sequence[Event[Any]], offsets: Sequence[int]
) -> list[tuple[Sequence[Event[Any]], Sequence[int]]]:
    """A batch cut so that every erasure stands alone."""
    if not events:
        return []
    if SubjectErased not in {type(event.data) for event in events}:
        return [(events, offsets)]
    erasures = [i for i, event in enumerate(events) if type(event.data) is SubjectErased]
    cuts = sorted({0, len(events), *erasures, *(i + 1 for i in erasures)})
    return [(events[start:stop], offsets[start:stop]) for start, stop in pairwise(cuts)]
