"""Rehearsals: a fold run over events in memory, without log, store or vault.

    views = fold_events(polls, PollOpened("lunch", ["soup"]), PollVoted("lunch", ANN, 0)).views
    assert views.slice(Tally, "lunch") == [Tally("lunch", 0, 1)]

Tests use it; it runs the same runner as an agent does.
"""

import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from itertools import groupby
from types import ModuleType
from typing import Any, cast

import schemas.dead
import schemas.privacy
from schemas.catalog import Catalog
from schemas.dead import RecordRejected
from schemas.envelope import SPECVERSION, Event
from schemas.event import Data, event_type_of
from schemas.fields import Subject
from schemas.ids import derived_id
from schemas.privacy import SubjectErased
from streams.commit import Commit, Generation, Recovered
from streams.cursor import NO_TENANT
from streams.decode import Decoded
from streams.fold import Fold
from streams.runner import Runner
from streams.sealing import Sealer
from streams.vault import Vault
from streams.views import FIRST_PAGE, Key, Page, V, View, shape_of

TENANT = "acme"
START = datetime(2026, 1, 1, tzinfo=UTC)


def fold_events(fold: ModuleType | Fold, *events: Data, tenant: str = TENANT) -> "Rehearsal":
    """Fold events of one tenant, a second apart; what has come of them."""
    rehearsal = Rehearsal(fold)
    rehearsal.fold(*events, tenant=tenant)
    return rehearsal


class Rehearsal:
    """One partition of a fold, in memory."""

    def __init__(self, fold: ModuleType | Fold) -> None:
        self._fold = fold if isinstance(fold, Fold) else Fold.of(fold)
        self.store = MemoryStore()
        self._catalog = _catalog_of(self._fold)
        sealer = Sealer(self._catalog, cast(Vault, _OpenVault()))
        self._runner = Runner(self._fold, Generation(self._fold.name, 1), 0, sealer, self.store)
        self._ends: dict[str, int] = {}
        self._time = START

    @property
    def views(self) -> "MemoryViews":
        """The views, as the tenant of the tests sees them."""
        return self.store.views(TENANT)

    @property
    def emitted(self) -> list[Data]:
        """The events that the fold has emitted, in their order."""
        return [data for data in self._appended() if not isinstance(data, RecordRejected)]

    @property
    def rejected(self) -> list[RecordRejected]:
        """The dead letters."""
        return [data for data in self._appended() if isinstance(data, RecordRejected)]

    def fold(self, *events: Data, tenant: str = TENANT) -> None:
        """Fold more events, a second apart, each run of one topic as one batch, and commit."""
        for topic, run in groupby(events, key=self._topic_of):
            self._runner.process(self._decoded(topic, [self.event(e, tenant) for e in run]))
        commit = self._runner.take()
        if commit is not None:
            self.store.commit([commit]).result()
            self._runner.settle()

    def _topic_of(self, data: Data) -> str:
        """An erasure comes through every topic; here through the fold's first."""
        if isinstance(data, SubjectErased):
            return self._fold.topics[0]
        return event_type_of(type(data)).topic.name

    def event(self, data: Data, tenant: str = TENANT) -> Event[Any]:
        """An event, a second after the one before it."""
        self._time += timedelta(seconds=1)
        time_ms = int(self._time.timestamp() * 1000)
        envelope: Any = self._catalog.envelope(type(data))
        event: Event[Any] = envelope(
            specversion=SPECVERSION,
            id=derived_id(time_ms, "rehearsal"),
            source="client/rehearsal",
            time=self._time,
            tenant=tenant,
            subject=event_type_of(type(data)).subject_of(data),
            data=data,
        )
        return event

    def _decoded(self, topic: str, events: Sequence[Event[Any]]) -> Decoded:
        start = self._ends.get(topic, 0)
        end = self._ends[topic] = start + len(events)
        return Decoded(
            topic=topic,
            partition=0,
            start=start,
            next_offset=end,
            offsets=range(start, end),
            events=events,
            malformed=(),
            last_ms=int(self._time.timestamp() * 1000),
        )

    def _appended(self) -> list[Data]:
        return [
            self._catalog.decoder(entry.topic).one(entry.value).data
            for commit in self.store.commits
            for entry in commit.entries
        ]


class MemoryStore:
    """`streams.commit.Committer` in memory; it keeps all commits, and the view rows they made."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.rows: dict[type[View], dict[tuple[str, Key], View]] = {}

    def prepare(self, fold: Fold) -> Generation:
        """The only generation."""
        return Generation(fold.name, 1)

    def recover(self, generation: Generation, partition: int) -> Recovered:
        """What the commits so far come to."""
        offsets: dict[str, int] = {}
        state: dict[tuple[str, bytes], bytes | None] = {}
        for commit in self.commits:
            offsets |= commit.offsets
            state |= {(change.table, change.key): change.value for change in commit.state}
        rows = [(table, key, value) for (table, key), value in state.items() if value is not None]
        return Recovered(offsets, rows)

    def known(self, generation: Generation, topic: str, ids: Sequence[str]) -> set[str]:
        """Which ids have been applied."""
        seen = {s.id for commit in self.commits for s in commit.seen if s.topic == topic}
        return seen & set(ids)

    def commit(self, commits: Sequence[Commit]) -> "Future[object]":
        """Keep commits."""
        for commit in commits:
            self.commits.append(commit)
            for view, rows in commit.rows.items():
                table = self.rows.setdefault(view, {})
                for place, (row, _) in rows.items():
                    if row is None:
                        table.pop(place, None)
                    else:
                        table[place] = row
        done: Future[object] = Future()
        done.set_result(None)
        return done

    def activate(self, generation: Generation) -> "Future[object]":
        """Nothing: there is only one generation."""
        done: Future[object] = Future()
        done.set_result(None)
        return done

    def views(self, tenant: str) -> "MemoryViews":
        """The views as a tenant sees them."""
        return MemoryViews(self.rows, tenant)


class MemoryViews:
    """View rows in memory, with the two verbs of `streams.views`."""

    def __init__(self, rows: dict[type[View], dict[tuple[str, Key], View]], tenant: str) -> None:
        self._rows = rows
        self._tenant = tenant

    def get(self, view: type[V], *key: Any) -> V | None:
        """The row with this whole key."""
        row = self._rows.get(view, {}).get((self._scope(view), key))
        return cast(V | None, row)

    def slice(self, view: type[V], *prefix: Any, page: Page = FIRST_PAGE) -> list[V]:
        """Rows of one partition in clustering order."""
        fixed = len(prefix)
        rows = {
            key[fixed:]: row
            for (tenant, key), row in self._rows.get(view, {}).items()
            if tenant == self._scope(view) and key[:fixed] == prefix
        }
        keys = sorted(rows, reverse=page.reverse)
        if page.after is not None:
            after = page.after
            keys = [k for k in keys if (k < after if page.reverse else k[: len(after)] > after)]
        return [cast(V, rows[key]) for key in keys[: page.limit]]

    def _scope(self, view: type[View]) -> str:
        shape_of(view)  # raises if it is no view
        return NO_TENANT if view.GLOBAL else self._tenant


class _OpenVault:
    """Seals nothing: a rehearsal has no secrets to keep."""

    def seal(self, tenant: str, subject: Subject, context: str, plain: bytes) -> str:
        return b64encode(plain).decode()

    def unseal(self, tenant: str, subject: Subject, context: str, sealed: str) -> bytes:
        return b64decode(sealed)


def _catalog_of(fold: Fold) -> Catalog:
    """The event types of the modules that a fold's events are declared in."""
    names = {type_.__module__ for type_ in fold.types}
    modules = {sys.modules[name] for name in names} | {schemas.dead, schemas.privacy}
    return Catalog.of(*sorted(modules, key=lambda module: module.__name__))
