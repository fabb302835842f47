"""Rehearsals: a fold run over events in memory, as an agent would run it.

views = fold_events(polls, PollOpened("lunch", ["soup"]), PollVoted("lunch", ANN, 0)).views
assert views.slice(Tally, "lunch") == [Tally("lunch", 0, 1)]
"""

import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from types import ModuleType
from typing import Any, cast

import schemas.dead
import schemas.privacy
from schemas.catalog import Catalog
from schemas.dead import RecordRejected
from schemas.event import Data, event_type_of
from schemas.fields import Subject
from schemas.ids import derived_id
from schemas.privacy import SubjectErased
from streams.decode import decode
from streams.errors import Erased, Tampered
from streams.fold import Fold
from streams.log import Entry
from streams.memory import MemoryLog, MemoryStore
from streams.runner import Runner
from streams.sealing import Origin, Sealer
from streams.vault import Vault
from streams.views import FIRST_PAGE, Page, V

TENANT = "acme"
START = datetime(2026, 1, 1, tzinfo=UTC)

_ALL = 1 << 20


def fold_events(fold: ModuleType | Fold, *events: Data, tenant: str = TENANT) -> "Rehearsal":
    """Fold events of one tenant, a second apart; what has come of them."""
    rehearsal = Rehearsal(fold)
    rehearsal.fold(*events, tenant=tenant)
    return rehearsal


class Rehearsal:
    """One partition of a fold, in memory."""

    def __init__(self, fold: ModuleType | Fold) -> None:
        self._fold = fold if isinstance(fold, Fold) else Fold.of(fold)
        self.catalog = catalog_of(self._fold)
        self._vault = OpenVault()
        self._sealer = Sealer(self.catalog, cast(Vault, self._vault))
        self._log = MemoryLog(self.catalog.topics.values())
        self._store = MemoryStore(self._log)
        generation = self._store.prepare(self._fold).active
        self._runner = Runner(self._fold, generation, 0, self._sealer, self._store)
        self._brought_about: list[Entry] = []
        self._time = START
        self._events = 0

    @property
    def views(self) -> "RehearsedViews":
        """The views, as the tenant of the tests sees them."""
        return self.views_of(TENANT)

    def views_of(self, tenant: str) -> "RehearsedViews":
        """The views as a tenant sees them."""
        return RehearsedViews(self._store, self._sealer, tenant)

    @property
    def emitted(self) -> list[Data]:
        """The events that the fold and its tick have emitted, in their order."""
        return [data for data in self._appended() if not isinstance(data, RecordRejected)]

    @property
    def rejected(self) -> list[RecordRejected]:
        """The dead letters."""
        return [data for data in self._appended() if isinstance(data, RecordRejected)]

    def fold(self, *events: Data, tenant: str = TENANT, at: datetime | None = None) -> None:
        """Fold more events, and what the fold emits to itself.

        Each run of one topic is one batch, and an erasure is one of its own: what was personal
        before it has been folded by then.

        Args:
            at: when the first of them happened, a second after the last one unless said; the
                others follow a second apart.
        """
        self._time = (at or self._time + timedelta(seconds=1)) - timedelta(seconds=1)
        for _, run in groupby(events, key=self._batch_of):
            self._log.append([self.entry(data, tenant) for data in run]).result()
            self._fold_new()
        while self._commit():
            self._fold_new()

    def tick(self, now: datetime) -> None:
        """Run the fold's tick, and fold what it emits to itself."""
        self._runner.tick(now)
        while self._commit():
            self._fold_new()

    def entry(self, data: Data, tenant: str) -> Entry:
        """An event as a record, a second after the one before it.

        An erasure has happened in the vault when its record is written.
        """
        if isinstance(data, SubjectErased):
            self._vault.destroy(tenant, data.subject)
        self._time += timedelta(seconds=1)
        self._log.now_ms = int(self._time.timestamp() * 1000)
        origin = Origin(source="client/rehearsal", tenant=tenant, time=self._time)
        self._events += 1
        entry = self._sealer.entry(data, origin, derived_id(self._log.now_ms, self._events))
        return entry._replace(topic=self._topic_of(data), partition=0)

    def _batch_of(self, data: Data) -> tuple[str, bool]:
        return self._topic_of(data), isinstance(data, SubjectErased)

    def _topic_of(self, data: Data) -> str:
        """An erasure comes through every topic; here through the fold's first."""
        if isinstance(data, SubjectErased):
            return self._fold.topics[0]
        return event_type_of(type(data)).topic.name

    def _fold_new(self) -> None:
        for topic in self._fold.topics:
            records = self._log.read(topic, 0, self._runner.offsets.get(topic, 0), _ALL)
            if records is not None:
                self._runner.process(decode(self.catalog, records))

    def _commit(self) -> bool:
        """Commit what is pending; whether there was anything."""
        commit = self._runner.take()
        if commit is None:
            return False
        commit.entries = [entry._replace(partition=0) for entry in commit.entries]
        self._store.commit([commit]).result()
        self._runner.settle()
        self._brought_about += commit.entries
        return True

    def _appended(self) -> list[Data]:
        events = [self.catalog.decoder(e.topic).one(e.value) for e in self._brought_about]
        return [self._sealer.opened(event).data for event in events]


class RehearsedViews:
    """The views as one tenant sees them, with the verbs of `streams.views`."""

    def __init__(self, store: MemoryStore, sealer: Sealer, tenant: str) -> None:
        self._store = store
        self._sealer = sealer
        self._tenant = tenant

    def get(self, view: type[V], *key: Any) -> V | None:
        """The row with this whole key."""
        return self._store.row(view, self._tenant, key)

    def slice(self, view: type[V], *prefix: Any, page: Page = FIRST_PAGE) -> Sequence[V]:
        """Rows of one partition in clustering order."""
        return self._store.rows(view, self._tenant, prefix, page)

    def opened(self, rows: Sequence[V]) -> Sequence[V]:
        """Rows that were read, with their personal fields."""
        return self._sealer.opened_rows(rows, self._tenant)


class OpenVault:
    """A vault without keys: a rehearsal has no secrets to keep."""

    def __init__(self) -> None:
        self._erased: set[tuple[str, Subject]] = set()

    def seal(self, tenant: str, subject: Subject, context: str, plain: bytes) -> str:
        """The bytes in base64, beside what they are bound to."""
        return self._bound(tenant, subject, context) + b64encode(plain).decode()

    def unseal(self, tenant: str, subject: Subject, context: str, sealed: str) -> bytes:
        """What `seal` was given."""
        bound = self._bound(tenant, subject, context)
        if not sealed.startswith(bound):
            raise Tampered("a sealed value belongs to another event, subject or tenant")
        return b64decode(sealed[len(bound) :])

    def destroy(self, tenant: str, subject: Subject) -> bool:
        """Seal and unseal nothing for a subject any more."""
        self._erased.add((tenant, subject))
        return True

    def _bound(self, tenant: str, subject: Subject, context: str) -> str:
        if (tenant, subject) in self._erased:
            raise Erased(f"{subject} was erased")
        return f"{tenant} {subject} {context}: "


def catalog_of(*folds: Fold) -> Catalog:
    """The event types that folds name, and all others of the modules that declare those."""
    named = [
        member
        for fold in folds
        for member in (*fold.types, *fold.run.__globals__.values())
        if _is_event_type(member)
    ]
    modules = {sys.modules[type_.__module__] for type_ in named}
    modules |= {schemas.dead, schemas.privacy}
    return Catalog.of(*sorted(modules, key=lambda module: module.__name__))


def _is_event_type(member: object) -> bool:
    return (
        isinstance(member, type) and issubclass(member, Data) and "__event_type__" in vars(member)
    )
