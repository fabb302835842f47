"""From what happened to a record of the log: the one door through which events go in.

Here an event gets its envelope, its key and partition, and its personal fields are sealed.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import msgspec

from schemas.catalog import Catalog
from schemas.envelope import SPECVERSION, Envelope, Event, encode
from schemas.event import Data, EventType, event_type_of
from schemas.partition import partition_of
from streams.errors import FoldError, VaultError, VaultUnavailable
from streams.log import Entry
from streams.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where events come from: the part of their envelopes that they share."""

    source: str
    tenant: str
    time: datetime
    traceparent: str | None = None
    cause: str | None = None


class Sealer:
    """Turns events into entries of the log."""

    def __init__(self, catalog: Catalog, vault: Vault) -> None:
        self.catalog = catalog
        self._vault = vault

    def entry(self, data: Data, origin: Origin, id: str, ordinal: int = 0) -> Entry:
        """One event as an entry.

        Raises:
            Erased: it has personal fields, but its subject was erased.
            VaultUnavailable: its personal fields cannot be sealed now.
        """
        type_ = event_type_of(type(data))
        sealed = self._seal(type_, data, origin.tenant, id) if type_.personal else None
        envelope: Any = self.catalog.envelope(type(data))
        event = envelope(
            specversion=SPECVERSION,
            id=id,
            source=origin.source,
            time=origin.time,
            tenant=origin.tenant,
            subject=type_.subject_of(data),
            cause=origin.cause,
            ordinal=ordinal,
            traceparent=origin.traceparent,
            sealed=sealed,
            data=without_personal(type_, data) if sealed else data,
        )
        key = type_.topic.record_key(origin.tenant, type_.key_of(data))
        topic = type_.topic
        return Entry(topic.name, partition_of(key, topic.partitions), key, encode(event))

    def deduplicated(self, topics: Iterable[str]) -> frozenset[str]:
        """Those of these topics whose clients' events are known by their ids."""
        return frozenset(t for t in topics if self.catalog.topics[t].deduplicated)

    def opened(self, event: Event[Any]) -> Event[Any]:
        """An event whose personal fields, if it has any, are in its data.

        Raises:
            Erased: the subject was erased: the fields stay absent for ever.
            Tampered: the sealed blob is not this event's.
            VaultUnavailable: it cannot be opened now.
        """
        unopened: Data = event.data
        type_ = event_type_of(type(unopened))
        subject = type_.subject_of(unopened)
        if event.sealed is None or subject is None:
            return event
        with _asking():
            plain = self._vault.unseal(
                event.tenant, subject, seal_context(type_, event.id), event.sealed
            )
        personal = msgspec.json.decode(plain)
        data = msgspec.convert(msgspec.structs.asdict(unopened) | personal, type_.data)
        return cast(Event[Any], msgspec.structs.replace(cast(Envelope, event), data=data))

    def _seal(self, type_: EventType, data: Data, tenant: str, id: str) -> str | None:
        personal = {f: v for f in type_.personal if (v := getattr(data, f)) is not None}
        subject = type_.subject_of(data)
        if not personal:
            return None
        if subject is None:
            raise FoldError(f"{type_.name}: personal fields, but no subject to seal them for")
        plain = msgspec.json.encode(personal)
        with _asking():
            return self._vault.seal(tenant, subject, seal_context(type_, id), plain)


@contextmanager
def _asking() -> Iterator[None]:
    """Whatever else goes wrong in the vault is not the event's fault."""
    try:
        yield
    except VaultError:
        raise
    except Exception as error:
        raise VaultUnavailable(f"the vault failed: {type(error).__name__}") from error


def seal_context(type_: EventType, id: str) -> str:
    """What the sealed blob of an event is bound to."""
    return f"{type_.name}/{id}"


def without_personal(type_: EventType, data: Data) -> Data:
    """The data with its personal fields absent."""
    return msgspec.structs.replace(data, **dict.fromkeys(type_.personal))
