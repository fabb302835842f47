"""What a fold appends to the log: events it emits, events its tick finds due, dead letters."""

from collections.abc import Sequence
from datetime import datetime

from schemas.dead import RecordRejected
from schemas.envelope import PLATFORM_TENANT
from schemas.event import Data, event_type_of
from schemas.ids import derived_id
from streams.decode import Rejected
from streams.effects import DueEvent, Emitted
from streams.errors import Erased, FoldError
from streams.log import Entry
from streams.sealing import Origin, Sealer, without_personal


class Outbox:
    """Turns what one fold brings about into entries, whose ids are the same if it does so again."""

    def __init__(self, fold: str, sealer: Sealer) -> None:
        self._fold = fold
        self._sealer = sealer

    def emitted(self, events: Sequence[Emitted]) -> list[Entry]:
        """Events that records brought about.

        Raises:
            VaultError: personal fields cannot be sealed.
        """
        return [self._entry_of(emitted) for emitted in events]

    def due(self, events: Sequence[DueEvent]) -> dict[str, Entry]:
        """Events that a tick found due, by their ids.

        Raises:
            FoldError: one is of a topic that would not know a repeat for what it is.
            VaultError: personal fields cannot be sealed.
        """
        return dict(map(self._entry_of_due, events))

    def letters(self, position: str, rejected: Rejected) -> list[Entry]:
        """The dead letter of a record."""
        origin = Origin(
            source=f"reject/{self._fold}",
            tenant=PLATFORM_TENANT,
            time=rejected.time,
            cause=position,
        )
        id = derived_id(_ms(rejected.time), "reject", self._fold, position)
        letter = RecordRejected(position, self._fold, rejected.reason)
        return [self._sealer.entry(letter, origin, id)]

    def _entry_of(self, emitted: Emitted) -> Entry:
        origin = Origin(
            source=f"fold/{self._fold}",
            tenant=emitted.tenant,
            time=emitted.time,
            cause=emitted.cause,
            traceparent=emitted.traceparent,
        )
        id = derived_id(_ms(emitted.time), self._fold, emitted.cause, emitted.ordinal)
        return self._sealed(emitted.data, origin, id, emitted.ordinal)

    def _entry_of_due(self, due: DueEvent) -> tuple[str, Entry]:
        type_ = event_type_of(type(due.data))
        if not type_.topic.deduplicated:
            raise FoldError(
                f"fold {self._fold}: its tick may emit {type_.name} again before it is folded, so "
                f"declare topic {type_.topic.name} as deduplicated"
            )
        source = f"tick/{self._fold}"
        id = derived_id(_ms(due.at), source, type_.name, due.tenant, type_.key_of(due.data))
        return id, self._sealed(due.data, Origin(source=source, tenant=due.tenant, time=due.at), id)

    def _sealed(self, data: Data, origin: Origin, id: str, ordinal: int = 0) -> Entry:
        """An event as an entry; without its personal fields if its subject was erased."""
        try:
            return self._sealer.entry(data, origin, id, ordinal)
        except Erased:
            bare = without_personal(event_type_of(type(data)), data)
            return self._sealer.entry(bare, origin, id, ordinal)


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)
