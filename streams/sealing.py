"""From what happened to a record of the log: the one door through which events go in.

Here an event gets its envelope, its key and partition, and its personal fields are sealed; and so
are those of the rows that folds make of events.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from schemas.catalog import Catalog
from schemas.envelope import SPECVERSION, Envelope, Event, encode
from schemas.event import Data, EventType, event_type_of
from schemas.partition import partition_of
from streams.cursor import NO_TENANT
from streams.errors import Erased, FoldError, VaultError, VaultUnavailable
from streams.log import Entry
from streams.personal import PersonalShape, personal_shape
from streams.vault import Vault
from streams.views import Key, V, View, shape_of

R = TypeVar("R", bound=msgspec.Struct)


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
        self._views: dict[type[View], ViewSealer | None] = {}

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
        if event.sealed is None:
            return event
        unopened: Data = event.data
        type_ = event_type_of(type(unopened))
        subject = type_.subject_of(unopened)
        if subject is None:
            return event
        with _asking():
            plain = self._vault.unseal(
                event.tenant, subject, seal_context(type_, event.id), event.sealed
            )
        personal = msgspec.json.decode(plain)
        data = msgspec.convert(msgspec.structs.asdict(unopened) | personal, type_.data)
        return cast(Event[Any], msgspec.structs.replace(cast(Envelope, event), data=data))

    def of_values(self, values: Any, place: str) -> "RowSealer | None":
        """What seals values of a type in some place; None if nothing of them is personal.

        Raises:
            FoldError: personal fields that cannot be sealed.
        """
        is_struct = isinstance(values, type) and issubclass(values, msgspec.Struct)
        shape = personal_shape(values) if is_struct else None
        return RowSealer(self._vault, shape, place) if shape else None

    def of_view(self, view: type[View]) -> "ViewSealer | None":
        """What seals the rows of a view; None if nothing of them is personal.

        Raises:
            FoldError: personal fields that cannot be sealed.
        """
        if view not in self._views:
            rows = self.of_values(view, f"view/{shape_of(view).name}")
            self._views[view] = ViewSealer(rows, shape_of(view).key) if rows else None
        return self._views[view]

    def opened_rows(self, rows: Sequence[V], tenant: str) -> Sequence[V]:
        """View rows with their personal fields; those of erased subjects stay absent.

        Raises:
            Tampered: a sealed blob is not of this row.
            VaultUnavailable: they cannot be opened now.
        """
        if not rows:
            return rows
        view = type(rows[0])
        sealer, scope = self.of_view(view), NO_TENANT if view.GLOBAL else tenant
        return [sealer.opened(row, scope) for row in rows] if sealer else rows

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


class RowSealer:
    """Seals and opens rows that are kept in one place: a view, or a table of state."""

    def __init__(self, vault: Vault, shape: PersonalShape, place: str) -> None:
        self._vault = vault
        self._shape = shape
        self._place = place

    def check(self, rows: Iterable[Any]) -> None:
        """See that rows can be sealed, while they can still be undone.

        Raises:
            FoldError: one has personal fields, and names nobody.
        """
        for row in rows:
            if row is not None:
                self._shape.values_of(row)

    def sealed(self, row: R, tenant: str, key: Any) -> R:
        """A row as it is stored, without its personal fields if its subject was erased.

        Args:
            tenant: whose row it is; a row of all tenants says by itself whose its subject is.

        Raises:
            VaultUnavailable: it cannot be sealed now.
        """
        values = self._shape.values_of(row)
        if not values:
            return self._shape.with_blob(row, None)
        with _asking():
            try:
                blob = self._vault.seal(*self._owner(row, tenant, key), _pack(values))
            except Erased:
                return self._shape.with_blob(row, None)
        return self._shape.with_blob(row, blob)

    def opened(self, row: R, tenant: str, key: Any) -> R:
        """A stored row with its personal fields; of an erased subject, the row as it is.

        Raises:
            Tampered: the sealed blob is not of this row.
            VaultUnavailable: it cannot be opened now.
        """
        shape = self._shape
        blob: str | None = getattr(row, shape.sealed)
        if blob is None:
            return row
        with _asking():
            try:
                plain = self._vault.unseal(*self._owner(row, tenant, key), blob)
            except Erased:
                return row
        values = msgspec.structs.asdict(_unpack(plain, shape.values))
        return msgspec.structs.replace(row, **values | {shape.sealed: None})

    def _owner(self, row: Any, tenant: str, key: Any) -> tuple[str, Any, str]:
        context = f"{self._place}/{_pack(_same(key)).hex()}"
        return tenant or row.tenant, getattr(row, self._shape.subject), context


class ViewSealer:
    """Seals and opens the rows of one view."""

    def __init__(self, rows: RowSealer, key: Sequence[str]) -> None:
        """Names of the key's fields, in order."""
        self._rows = rows
        self._key = key
        self.check = rows.check

    def sealed(self, row: V, tenant: str) -> V:
        """See `RowSealer.sealed`."""
        return self._rows.sealed(row, tenant, self._key_of(row))

    def opened(self, row: V, tenant: str) -> V:
        """See `RowSealer.opened`."""
        return self._rows.opened(row, tenant, self._key_of(row))

    def _key_of(self, row: View) -> Key:
        return tuple(getattr(row, name) for name in self._key)


_pack = msgspec.msgpack.Encoder().encode


@cache
def _decoder(type_: type[msgspec.Struct]) -> "msgspec.msgpack.Decoder[Any]":
    return msgspec.msgpack.Decoder(type_)


def _unpack(plain: bytes, type_: type[msgspec.Struct]) -> msgspec.Struct:
    return cast(msgspec.Struct, _decoder(type_).decode(plain))


def _same(key: Any) -> Any:
    """A key as it is whatever a store makes of it: 1 and 1.0 are equal, and so are times."""
    if isinstance(key, tuple):
        return tuple(map(_same, key))
    if isinstance(key, datetime):
        return key.astimezone(UTC)
    return int(key) if isinstance(key, float) and key.is_integer() else key


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
