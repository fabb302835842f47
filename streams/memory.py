"""A log and a store in memory: what tests, and folds that are tried out, run on."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar, cast

from schemas.topic import Topic
from streams.commit import Commit, EventId, Generation, Prepared, Recovered
from streams.cursor import NO_TENANT
from streams.errors import BadPosition, FoldError, NotYetApplied, UnknownTopic
from streams.fold import Fold
from streams.log import Entry, Log, Position, Records
from streams.views import Key, Page, V, View

T = TypeVar("T")

_Where = tuple[str, int]
_Rows = dict[tuple[str, Key], View]


class MemoryLog:
    """`streams.log.Log` in memory, for one thread.

    Attributes:
        now_ms: when records that are appended next were appended.
    """

    incarnation = "memory"

    def __init__(self, topics: Iterable[Topic] = ()) -> None:
        self.now_ms = 0
        self._records: dict[_Where, list[tuple[int, Entry]]] = {}
        self._version = 0
        self._waiting: set[asyncio.Event] = set()
        self.create(topics)

    def create(self, topics: Iterable[Topic]) -> None:
        """Create those of these topics that do not exist."""
        for topic in topics:
            for partition in range(topic.partitions):
                self._records.setdefault((topic.name, partition), [])

    def topics(self) -> dict[str, int]:
        """The number of partitions of every topic."""
        counts: dict[str, int] = {}
        for topic, _ in self._records:
            counts[topic] = counts.get(topic, 0) + 1
        return counts

    def append(self, entries: Sequence[Entry]) -> "Future[Sequence[Position]]":
        """Append all of the entries or none; see the port."""
        try:
            partitions = [self._partition(entry.topic, entry.partition) for entry in entries]
        except UnknownTopic as error:
            return _failed(error)
        positions = []
        for entry, records in zip(entries, partitions, strict=True):
            positions.append(Position(entry.topic, entry.partition, len(records)))
            records.append((self.now_ms, entry))
        self._version += 1
        for waiting in self._waiting:
            waiting.set()
        return _done(positions)

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Records | None:
        """Up to `max_records` records from an offset on, or None if there are none yet."""
        records = self._partition(topic, partition)[offset : offset + max_records]
        if not records:
            return None
        return Records(
            topic=topic,
            partition=partition,
            start=offset,
            offsets=range(offset, offset + len(records)),
            times_ms=[time_ms for time_ms, _ in records],
            keys=[entry.key for _, entry in records],
            values=[entry.value for _, entry in records],
        )

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the one that the next record will have."""
        return 0, len(self._partition(topic, partition))

    def version(self) -> int:
        """A number that has grown whenever there may be something new to read."""
        return self._version

    async def changed(self, version: int, timeout_s: float) -> bool:
        """Wait until `version()` is another than the one given; False if it is not in time."""
        if self._version != version:
            return True
        grown = asyncio.Event()
        self._waiting.add(grown)
        try:
            async with asyncio.timeout(timeout_s):
                await grown.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(grown)
        return True

    def _partition(self, topic: str, partition: int) -> list[tuple[int, Entry]]:
        try:
            return self._records[topic, partition]
        except KeyError:
            raise UnknownTopic(f"the log has no partition {topic}/{partition}") from None


@dataclass
class _Built:
    """What one generation has made."""

    version: int
    requested: int
    offsets: dict[_Where, int] = field(default_factory=dict)
    state: dict[tuple[int, str, bytes], bytes] = field(default_factory=dict)
    seen: dict[tuple[str, EventId], int] = field(default_factory=dict)
    rows: dict[type[View], _Rows] = field(default_factory=dict)


class MemoryStore:
    """`streams.commit.Committer` and `streams.views.ViewStore` in memory, beside a log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._built: dict[Generation, _Built] = {}
        self._active: dict[str, Generation] = {}
        self._folds: dict[type[View], Fold] = {}
        self._last = 0

    def prepare(self, fold: Fold) -> Prepared:
        """Make a place for a fold's views and state; see the port."""
        self._folds |= dict.fromkeys(fold.views, fold)
        if fold.name not in self._active:
            self._active[fold.name] = self._create(fold, 0)
        active = self._active[fold.name]
        is_current = self._built[active].version == fold.version
        if self._built[active].version > fold.version:
            raise FoldError(f"fold {fold.name}: a newer version has run")
        building = [
            generation
            for generation, built in self._built.items()
            if generation.fold == fold.name
            and generation != active
            and built.version == fold.version
        ]
        if not building and not is_current:
            building = [self._create(fold, self._built[active].requested)]
        requested = max(self._built[g].requested for g in (active, *building))
        return Prepared(active, is_current, building[-1] if building else None, requested)

    def begin(self, fold: Fold, requested: int) -> Generation:
        """A new generation to build beside the active one."""
        return self._create(fold, requested)

    def applied(self, generation: Generation) -> Mapping[_Where, int]:
        """Per topic and partition, the offset of the first record that is not applied yet."""
        return dict(self._built[generation].offsets)

    def recover(self, generation: Generation, partition: int) -> Recovered:
        """What was durable of one partition of a fold, in the order of its keys."""
        built = self._built[generation]
        offsets = {topic: next_ for (topic, of), next_ in built.offsets.items() if of == partition}
        state = sorted(
            (*row[1:], value) for row, value in built.state.items() if row[0] == partition
        )
        return Recovered(offsets, state)

    def known(
        self, generation: Generation, topic: str, ids: Sequence[EventId], since_ms: int
    ) -> set[EventId]:
        """Which of these events have been applied already, after a time."""
        seen = self._built[generation].seen
        return {id for id in ids if seen.get((topic, id), since_ms) > since_ms}

    def commit(self, commits: Sequence[Commit]) -> "Future[object]":
        """Make all of these durable, or none."""
        appended = self._log.append([entry for commit in commits for entry in commit.entries])
        if appended.exception() is None:
            for commit in commits:
                self._write(commit)
        return cast("Future[object]", appended)

    def activate(self, generation: Generation) -> "Future[object]":
        """Let readers see this generation from now on, and drop all others of its fold."""
        self._active[generation.fold] = generation
        for other in [g for g in self._built if g.fold == generation.fold and g != generation]:
            del self._built[other]
        return _done(None)

    def rows(self, view: type[V], tenant: str, prefix: Key, page: Page) -> list[V]:
        """Rows of one partition in clustering order."""
        scope, fixed, after = _scope(view, tenant), len(prefix), page.after
        rows = {
            key[fixed:]: row
            for (of, key), row in self._table(view).items()
            if of == scope and key[:fixed] == prefix
        }
        keys = sorted(rows, reverse=page.reverse)
        if after is not None:
            n = len(after)
            keys = [k for k in keys if (k[:n] < after if page.reverse else k[:n] > after)]
        return [cast(V, rows[key]) for key in keys[: page.limit]]

    def row(self, view: type[V], tenant: str, key: Key) -> V | None:
        """The row with this whole key."""
        return cast(V | None, self._table(view).get((_scope(view, tenant), key)))

    async def get(self, view: type[V], tenant: str, key: Key) -> V | None:
        """The row with this whole key; see the port."""
        return self.row(view, tenant, key)

    async def slice(self, view: type[V], tenant: str, prefix: Key, page: Page) -> Sequence[V]:
        """Rows of one partition in clustering order; see the port."""
        return self.rows(view, tenant, prefix, page)

    async def wait(self, view: type[View], position: Position, timeout_s: float) -> None:
        """Return as soon as the view has applied a position; see the port."""
        fold = self._fold(view)
        if position.topic not in fold.topics:
            raise BadPosition(f"{position}: this reads what is fed by {', '.join(fold.topics)}")
        try:
            async with asyncio.timeout(timeout_s):
                while not self._has_applied(fold, position):
                    await self._log.changed(self._log.version(), timeout_s)
        except TimeoutError:
            raise NotYetApplied(f"{position} was not applied within {timeout_s:g} s") from None

    def _has_applied(self, fold: Fold, position: Position) -> bool:
        offsets = self.applied(self._active[fold.name])
        return offsets.get((position.topic, position.partition), 0) > position.offset

    def _create(self, fold: Fold, requested: int) -> Generation:
        self._last += 1
        generation = Generation(fold.name, self._last)
        self._built[generation] = _Built(fold.version, requested)
        return generation

    def _write(self, commit: Commit) -> None:
        built = self._built[commit.generation]
        for table, key, value in commit.state:
            _put(built.state, (commit.partition, table, key), value)
        for view, changed in commit.rows.items():
            rows = built.rows.setdefault(view, {})
            for place, row in changed.items():
                _put(rows, place, row)
        built.seen |= {(topic, (tenant, id)): time_ms for topic, tenant, id, time_ms in commit.seen}
        for topic, next_ in commit.offsets.items():
            built.offsets[topic, commit.partition] = next_

    def _fold(self, view: type[View]) -> Fold:
        try:
            return self._folds[view]
        except KeyError:
            raise FoldError(f"no fold writes the view {view.__name__}") from None

    def _table(self, view: type[View]) -> _Rows:
        return self._built[self._active[self._fold(view).name]].rows.get(view, {})


K = TypeVar("K")


def _put(into: dict[K, T], key: K, value: T | None) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value


def _scope(view: type[View], tenant: str) -> str:
    return NO_TENANT if view.GLOBAL else tenant


def _done(result: T) -> "Future[T]":
    future: Future[T] = Future()
    future.set_result(result)
    return future


def _failed(error: Exception) -> "Future[Sequence[Position]]":
    future: Future[Sequence[Position]] = Future()
    future.set_exception(error)
    return future
