"""A runner, and a log and store in memory to lay records before it."""

from datetime import UTC, datetime
from typing import Any

import hits_fold
from hits import Hits

from schemas.dead import RecordRejected
from streams.decode import Decoded, decode
from streams.fold import Fold
from streams.log import Entry
from streams.memory import MemoryLog, MemoryStore
from streams.rehearsal import OpenVault, catalog_of
from streams.runner import Runner
from streams.sealing import Origin, Sealer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOLD = Fold.of(hits_fold)


class Bench:
    """A runner with records laid before it."""

    def __init__(self, fold: Fold = FOLD, vault: Any = None):
        self.fold = fold
        self.catalog = catalog_of(fold)
        self.log = MemoryLog(self.catalog.topics.values())
        self.store = MemoryStore(self.log)
        self.sealer = Sealer(self.catalog, vault or OpenVault())
        self.generation = self.store.prepare(fold).active
        self.runner = self.started()
        self._n = 0

    def started(self) -> Runner:
        return Runner(self.fold, self.generation, 0, self.sealer, self.store)

    def entry(self, data: Any, tenant: str = "acme") -> Entry:
        self._n += 1
        origin = Origin(source="client/test", tenant=tenant, time=NOW)
        return self.sealer.entry(data, origin, f"id-{self._n}")._replace(partition=0)

    def append(self, *entries: Entry) -> None:
        self.log.append(entries).result()

    def batch(self, start: int = 0, count: int = 1_000) -> Decoded:
        records = self.log.read(self.fold.topics[0], 0, start, count)
        assert records is not None
        return decode(self.catalog, records)

    def commit(self) -> None:
        commit = self.runner.take()
        assert commit is not None
        self.store.commit([commit]).result()
        self.runner.settle()

    def letters(self) -> list[RecordRejected]:
        records = self.log.read("dead", 0, 0, 100)
        return [] if records is None else [e.data for e in decode(self.catalog, records).events]

    def hits(self, key: str, tenant: str = "acme") -> int:
        row = self.store.row(Hits, tenant, (key,))
        return 0 if row is None else row.hits
