"""Stores of both kinds, and folds whose views they serve."""

import asyncio
from datetime import UTC, date, datetime
from types import ModuleType
from typing import Any, ClassVar, Literal

from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import SqliteCommitter, SqliteViews
from schemas.event import Data, event
from schemas.fields import Subject
from schemas.topic import Topic
from streams.batch import Batch
from streams.commit import Commit, Generation, Prepared
from streams.effects import Effects, Rows
from streams.fold import Fold
from streams.log import Log
from streams.memory import MemoryLog, MemoryStore
from streams.state import Tables
from streams.views import Clustering, Page, Partition, View

SEEN = Topic("sightings", partitions=2)
OTHER = Topic("others", partitions=2)
NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


@event("bird.seen", topic=SEEN, key="bird")
class BirdSeen(Data):
    """Somebody saw a bird."""

    bird: str


@event("other.seen", topic=OTHER, key="other")
class OtherSeen(Data):
    """Something else was seen."""

    other: str


class Sighting(View):
    """With every type that a key may have."""

    bird: Partition[str]
    day: Partition[date]
    at: Clustering[datetime]
    number: Clustering[int]
    is_ringed: Clustering[bool]
    by: Clustering[Subject]
    kind: Clustering[Literal["alone", "flock"]]
    weight: Clustering[float]
    tag: Clustering[bytes]
    note: str = ""
    others: tuple[str, ...] = ()


class Total(View):
    bird: Partition[str]
    month: Clustering[int]
    day: Clustering[int]
    seen: int


class Crowd(View):
    """With partitions that are cut into pieces."""

    BUCKETS: ClassVar[int] = 4

    bird: Partition[str]
    month: Clustering[int]
    day: Clustering[int]
    seen: int


class Everyone(View):
    GLOBAL: ClassVar[bool] = True

    bird: Partition[str]
    seen: int


class Keys(View):
    """Nothing but a key."""

    key: Partition[str]


def fold_of(name: str, *views: type[View], version: int = 1, data: Any = BirdSeen) -> Fold:
    """A fold that writes some views."""

    def fold(batch: Any, state: Tables, out: Effects) -> None:
        """Is not called here."""

    def erase(subject: Subject, state: Tables, out: Effects) -> None:
        """Is not called here."""

    fold.__annotations__["batch"] = Batch[data]
    module = ModuleType(f"streams.{name}.fold")
    vars(module).update({view.__name__: view for view in views})
    vars(module).update(fold=fold, erase=erase, VERSION=version)
    return Fold.of(module)


BIRDS = fold_of("birds", Sighting, Total, Crowd, Everyone, Keys)


class Pair:
    """A log, a committer and views; and two tenants, whom nobody else writes for."""

    def __init__(self, log: Log, committer: Any, views: Any, tenant: str = "acme"):
        self.log = log
        self.committer = committer
        self.views = views
        self.tenant = tenant
        self.other = f"{tenant}-other"

    def prepare(self, fold: Fold = BIRDS) -> Prepared:
        return self.committer.prepare(fold)

    def commit(self, *commits: Commit) -> None:
        self.committer.commit(commits).result()

    def write(self, generation: Generation, rows: dict[type[View], Rows], **offsets: int) -> None:
        self.commit(Commit(generation, 0, offsets=offsets, rows=rows))

    def get(self, view: Any, *key: Any, tenant: str | None = None) -> Any:
        return asyncio.run(self.views.get(view, tenant or self.tenant, key))

    def slice(self, view: Any, *prefix: Any, tenant: str | None = None, **page: Any) -> Any:
        tenant = tenant or self.tenant
        return list(asyncio.run(self.views.slice(view, tenant, prefix, Page(**page))))


def memory_pair(*folds: Fold) -> Pair:
    log = MemoryLog([SEEN, OTHER])
    store = MemoryStore(log)
    return Pair(log, store, store)


def sqlite_pair(log: SqliteLog, *folds: Fold) -> Pair:
    log.create([SEEN, OTHER])
    return Pair(log, SqliteCommitter(log), SqliteViews(log, folds))
