"""One partition of a fold: batches in, one commit out.

    decoded batch → drop duplicates → fold (bisecting around poison) → pending → take() → commit

What has been folded is pending until `take`; batches that come meanwhile are merged into it, so the
slower the store, the larger the commits.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from itertools import compress, groupby, pairwise
from operator import itemgetter
from typing import Any

import structlog

from schemas.envelope import Event
from schemas.privacy import SubjectErased
from streams.batch import Batch
from streams.commit import Commit, Committer, Generation
from streams.cursor import Cursor
from streams.decode import Decoded, Rejected
from streams.duplicates import Duplicates
from streams.effects import Due, Effects
from streams.errors import Erased, FoldError, Tampered, VaultError
from streams.fold import Fold
from streams.outbox import Outbox
from streams.rejection import reason_of
from streams.sealing import Sealer

log = structlog.get_logger()

# Events, and their offsets.
Events = tuple[Sequence[Event[Any]], Sequence[int]]

# What is not the fault of the record that is being folded: nothing is rejected for it.
_OURS = (VaultError, MemoryError)


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
            VaultError: personal fields of its state cannot be opened.
        """
        self.fold = fold
        self.generation = generation
        self.partition = partition
        self.offsets: dict[str, int] = {}
        self.pending_records = 0
        self.last_ms = 0  # when the newest record that was folded had been appended
        self.outbox = Outbox(fold.name, sealer)
        self._sealer = sealer
        self._cursor = Cursor(partition)
        self._state = fold.state(
            self._cursor,
            lambda table, values: sealer.of_values(values, f"state/{fold.name}/{table}"),
        )
        self._out = Effects(self._cursor, sealer.of_view)
        self._batch: Batch[Any] = Batch(self._cursor)
        self._duplicates = Duplicates(
            fold.name,
            lambda topic, ids, since_ms: committer.known(generation, topic, ids, since_ms),
            sealer.deduplicated(fold.topics),
        )
        self._wanted_types = fold.types | {SubjectErased}
        # Topics all of whose events are for this fold, and none of which is an erasure.
        self._taken_whole = {
            topic
            for topic in fold.topics
            if {type_.data for type_ in sealer.catalog.types_of(topic)} <= fold.types
        }
        self._pending = Commit(generation, partition)
        self._is_torn = False  # whether part of a batch was folded, and not the rest
        self._due: set[str] = set()
        self._recover(committer)

    def process(self, decoded: Decoded) -> None:
        """Fold a batch; what lies before the applied offset is skipped.

        If this raises anything but LogUnavailable, the batch may be folded in part, which must not
        be committed: nothing can be taken any more, and another runner has to begin anew.

        Raises:
            FoldError: records between the applied offset and this batch were lost on the way.
            LogUnavailable: nothing was folded; try again.
            VaultError: personal fields could not be opened or sealed.
        """
        topic = decoded.topic
        applied = self.offsets.get(topic, 0)
        if decoded.next_offset <= applied:
            return
        if 0 < applied < decoded.start:
            raise FoldError(
                f"fold {self.fold.name}: {topic}/{self.partition} was applied up to "
                f"{applied}, but the next batch starts at {decoded.start}"
            )
        events, offsets = self._unseen(decoded, applied)
        self._is_torn = True
        if topic not in self._taken_whole:
            events, offsets = self._wanted(events, offsets)
        if self.fold.opens:
            events, offsets = self._opened(topic, events, offsets)
        for rejected in decoded.malformed:
            if rejected.offset >= applied:
                self._reject(topic, rejected)
        for start, stop in pairwise(self._cuts(topic, events)):
            self._fold_some(topic, events[start:stop], offsets[start:stop])
        self.offsets[topic] = self._pending.offsets[topic] = decoded.next_offset
        self.last_ms = decoded.last_ms
        self.pending_records += len(decoded.events) + len(decoded.malformed)
        self._is_torn = False

    def tick(self, now: datetime) -> None:
        """Run the fold's tick, which reads state and emits.

        Raises:
            FoldError: it wrote state, or emitted to a topic that would take a repeat for another.
        """
        if self.fold.tick is None:
            return
        out = Due()
        self.fold.tick(now, self._state, out)
        if self._state.written:
            self._state.rollback()
            raise FoldError(f"fold {self.fold.name}: a tick may only emit; fold what it emits")
        entries = self.outbox.due(out.events)
        # What was due at the last tick has been emitted, but perhaps not been folded yet.
        self._pending.entries += [e for id, e in entries.items() if id not in self._due]
        self._due = set(entries)

    def skip_to(self, topic: str, offset: int) -> None:
        """Take as applied what lies before an offset: there is nothing left."""
        self.offsets[topic] = self._pending.offsets[topic] = offset

    def take(self) -> Commit | None:
        """What is pending, to be committed; None if nothing is.

        Raises:
            VaultError: personal fields could not be sealed; nothing can be taken any more.
        """
        pending = self._pending
        if self._is_torn or not (pending.offsets or pending.entries):
            return None
        self._is_torn = True
        of_duplicates, pending.seen = self._duplicates.take()
        pending.state = self._state.take() + of_duplicates
        pending.rows = self._out.take()
        pending.offsets = dict(self.offsets)
        self._is_torn = False
        self._pending = Commit(self.generation, self.partition)
        self.pending_records = 0
        return pending

    def settle(self) -> None:
        """What was taken is durable."""
        self._duplicates.settle()

    def _recover(self, committer: Committer) -> None:
        recovered = committer.recover(self.generation, self.partition)
        self.offsets = dict(recovered.offsets)
        for name, rows in groupby(recovered.state, key=itemgetter(0)):
            stored = ((key, value) for _, key, value in rows)
            if name in self._duplicates.tables:
                self._duplicates.tables[name].load(stored)
            else:
                self._state.load(name, stored)

    def _unseen(self, decoded: Decoded, applied: int) -> Events:
        """The events of a batch that this fold has not applied."""
        events, offsets = decoded.events, decoded.offsets
        if offsets and offsets[0] < applied:
            skip = bisect_left(offsets, applied)
            events, offsets = events[skip:], offsets[skip:]
        fresh = self._duplicates.unseen(decoded.topic, events, decoded.last_ms)
        if all(fresh):
            return events, offsets
        return list(compress(events, fresh)), list(compress(offsets, fresh))

    def _wanted(self, events: Sequence[Event[Any]], offsets: Sequence[int]) -> Events:
        """The events that this fold is there for."""
        if {type(event.data) for event in events} <= self._wanted_types:
            return events, offsets
        wanted = [type(event.data) in self._wanted_types for event in events]
        return list(compress(events, wanted)), list(compress(offsets, wanted))

    def _fold_some(self, topic: str, events: Sequence[Event[Any]], offsets: Sequence[int]) -> None:
        """Fold events; if that raises, fold either half, down to the record that is to blame."""
        if not events:
            return
        self._cursor.point(topic, events, offsets)
        try:
            self._run()
            entries = self.outbox.emitted(self._out.emitted)
            self._out.check()
            self._state.accept()
        except _OURS:
            raise
        except Exception as error:
            self._state.rollback()
            self._out.rollback()
            if len(events) == 1:
                self._reject(topic, Rejected(offsets[0], events[0].time, self._reason(error)))
                return
            half = len(events) // 2
            self._fold_some(topic, events[:half], offsets[:half])
            self._fold_some(topic, events[half:], offsets[half:])
        else:
            self._out.accept()
            self._pending.entries += entries

    def _reason(self, error: Exception) -> str:
        return reason_of(error, self.fold.run.__code__.co_filename)

    def _run(self) -> None:
        first = self._cursor.events[0]
        if not isinstance(first.data, SubjectErased):
            self.fold.run(self._batch, self._state, self._out)
        elif self.fold.erase is not None:
            self._cursor.at(0)
            self.fold.erase(first.data.subject, self._state, self._out)

    def _cuts(self, topic: str, events: Sequence[Event[Any]]) -> list[int]:
        """Where to cut a batch so that every erasure stands alone."""
        whole = [0, len(events)]
        if topic in self._taken_whole:
            return whole
        erasures = [i for i, event in enumerate(events) if type(event.data) is SubjectErased]
        return sorted({*whole, *erasures, *(i + 1 for i in erasures)}) if erasures else whole

    def _opened(self, topic: str, events: Sequence[Event[Any]], offsets: Sequence[int]) -> Events:
        """Events with their personal fields; those of erased subjects stay absent."""
        opened: list[Event[Any]] = []
        kept: list[int] = []
        for event, offset in zip(events, offsets, strict=True):
            try:
                opened.append(self._sealer.opened(event))
            except Erased:
                opened.append(event)
            except Tampered as error:
                self._reject(topic, Rejected(offset, event.time, self._reason(error)))
                continue
            kept.append(offset)
        return opened, kept

    def _reject(self, topic: str, rejected: Rejected) -> None:
        """Go on without a record, and say so."""
        position = f"{topic}/{self.partition}/{rejected.offset}"
        log.warning(
            "record rejected", fold=self.fold.name, position=position, reason=rejected.reason
        )
        self._duplicates.reject(position)
        self._pending.entries += self.outbox.letters(position, rejected)
