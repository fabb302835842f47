"""Schedules: what may happen to folds between an event and its view, and what must come of it.

@given(schedules(polls))
def test_any_schedule_ends_in_the_same_views(schedule):
    assert schedule.outcome() == schedule.undisturbed()
"""

from contextlib import closing
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple

import msgspec.inspect as types
from hypothesis import strategies as st
from msgspec import json
from pairs import MemoryPair

from schemas.catalog import Catalog
from schemas.event import Data, event_type_of
from schemas.fields import field_types
from schemas.privacy import SubjectErased
from streams.commit import Commit
from streams.decode import decode
from streams.fold import Fold
from streams.log import Entry
from streams.rehearsal import START, OpenVault, catalog_of
from streams.runner import Runner
from streams.sealing import Origin, Sealer

TENANTS = ("acme", "globex")

# Records that are no events of their topic.
NO_EVENTS = (b"{", b'{"type":"nobody.knows"}', b'{"specversion":"1.0","type":"hit.counted"}')

_ALL = 1 << 20


class Outcome(NamedTuple):
    """What came of a schedule: per fold; and every record of every topic that folds append to."""

    rows: list[dict[str, Any]]
    state: list[list[Any]]
    offsets: list[dict[str, int]]
    appended: list[dict[str, Any]]


class Stage:
    """A fold at work on its one partition."""

    def __init__(self, fold: Fold, sealer: Sealer, pair: Any):
        self.fold = fold
        self._pair = pair
        self._sealer = sealer
        self._taken: Commit | None = None
        self.start()

    def start(self):
        self._taken = None
        generation = self._pair.store.prepare(self.fold).active
        self.runner = Runner(self.fold, generation, 0, self._sealer, self._pair.store)

    def deliver(self, back: int, count: int) -> bool:
        """A batch of each topic, perhaps from before what was applied."""
        found = False
        for topic in self.fold.topics:
            position = self.runner.offsets.get(topic, 0)
            start = max(0, position - back)
            records = self._pair.log.read(topic, 0, start, _ALL)
            if records is not None:
                cut = records.until(start + count)
                self.runner.process(decode(self._sealer.catalog, cut))
                found |= self.runner.offsets[topic] > position
        return found

    @property
    def is_behind(self) -> bool:
        """Whether something is left to commit."""
        self._take()
        return self._taken is not None

    def commit(self):
        if self.is_behind:
            self._pair.store.commit([self._taken]).result()
            self.runner.settle()
            self._taken = None

    def fail(self):
        """A commit that does not get through: the same is tried again later."""
        self._take()

    def _take(self):
        if self._taken is None:
            self._taken = self.runner.take()


@dataclass(frozen=True)
class Schedule:
    """Records that producers append, and what happens meanwhile."""

    folds: tuple[Fold, ...]
    given: tuple[Entry, ...]
    steps: tuple[tuple[Any, ...], ...]
    catalog: Catalog

    def undisturbed(self, make_pair: Any = MemoryPair) -> Outcome:
        """What comes of it if nothing goes wrong."""
        return replace(self, steps=()).outcome(make_pair)

    def outcome(self, make_pair: Any = MemoryPair) -> Outcome:
        """What comes of it."""
        with closing(make_pair(self.catalog)) as pair:
            return _Run(self, pair).outcome()


class _Run:
    def __init__(self, schedule: Schedule, pair: Any):
        self._pair = pair
        self._given = list(schedule.given)
        sealer = Sealer(schedule.catalog, OpenVault())
        self._stages = [Stage(fold, sealer, pair) for fold in schedule.folds]
        for step, *arguments in schedule.steps:
            getattr(self, step)(*arguments)
        self._finish()

    def outcome(self) -> Outcome:
        stages, store = self._stages, self._pair.store
        recovered = [store.recover(stage.runner.generation, 0) for stage in stages]
        fed = {event_type_of(t).topic.name for t in stages[0].fold.types}
        topics = [topic for topic in self._pair.log.topics() if topic not in fed]
        return Outcome(
            rows=[self._pair.rows(stage.fold) for stage in stages],
            state=[sorted(r.state) for r in recovered],
            offsets=[r.offsets for r in recovered],
            appended=sorted((v for topic in topics for v in self._values(topic)), key=str),
        )

    def append(self, count: int):
        some, self._given = self._given[:count], self._given[count:]
        self._pair.log.append(some).result()

    def deliver(self, stage: int, back: int, count: int):
        self._stages[stage].deliver(back, count)

    def commit(self, stage: int):
        self._stages[stage].commit()

    def fail(self, stage: int):
        self._stages[stage].fail()

    def crash(self):
        self._pair.crash()
        for stage in self._stages:
            stage.start()

    def crash_in_commit(self, stage: int):
        """The commit is durable, but who made it never learns of it."""
        self._stages[stage].commit()
        self.crash()

    def _finish(self):
        self.append(len(self._given))
        for stage in self._stages:
            while stage.deliver(0, _ALL) or stage.is_behind:
                stage.commit()

    def _values(self, topic: str) -> list[Any]:
        records = self._pair.log.read(topic, 0, 0, _ALL)
        return [] if records is None else list(map(_comparable, records.values))


def _comparable(value: bytes) -> dict[str, Any]:
    """A record, without what depends on when another was appended: on a real log, each time anew."""
    event = json.decode(value)
    if event["type"] == "record.rejected":
        del event["id"], event["time"]
    return event


def schedules(*folds: Fold | ModuleType, events: Any = None) -> st.SearchStrategy[Schedule]:
    """Any schedule for folds, the later ones fed by the earlier ones.

    Args:
        events: a strategy for the events that the first fold is fed with; any of its types unless
            said.
    """
    made = tuple(fold if isinstance(fold, Fold) else Fold.of(fold) for fold in folds)
    catalog = catalog_of(*made)
    types_ = sorted(made[0].types, key=lambda data: data.__name__)
    if made[0].erase is not None:
        types_.append(SubjectErased)
    if events is None:
        events = st.one_of([_events(data) for data in types_])
    given = st.lists(st.tuples(events, st.sampled_from(TENANTS), st.integers(0, 9)), max_size=25)
    return st.builds(
        Schedule,
        folds=st.just(made),
        given=given.map(lambda g: _entries(made[0], catalog, g)),
        steps=st.lists(_steps(len(made)), max_size=25).map(tuple),
        catalog=st.just(catalog),
    )


def _steps(stages: int) -> st.SearchStrategy[tuple[Any, ...]]:
    stage = st.integers(0, stages - 1)
    return st.one_of(
        st.tuples(st.just("append"), st.integers(1, 10)),
        st.tuples(st.just("deliver"), stage, st.integers(0, 5), st.integers(1, 8)),
        st.tuples(st.sampled_from(["commit", "fail", "crash_in_commit"]), stage),
        st.tuples(st.just("crash")),
    )


def _events(data: type[Data]) -> st.SearchStrategy[Data]:
    return st.builds(data, **{name: _values(type_) for name, type_ in field_types(data).items()})


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    return _of_type(types.type_info(annotation))


def _of_type(type_: types.Type) -> st.SearchStrategy[Any]:
    """Few different values, so that events meet."""
    match type_:
        case types.Metadata(type=inner):
            return _of_type(inner)
        case types.UnionType(types=parts):
            return st.one_of(map(_of_type, parts))
        case types.ListType(item_type=item):
            return st.lists(_of_type(item), max_size=3)
        case types.LiteralType(values=values):
            return st.sampled_from(values)
        case types.IntType():
            return st.integers(0, 3)
        case types.BoolType():
            return st.booleans()
        case types.NoneType():
            return st.none()
        case _:
            return st.sampled_from(["a", "b", "c"])


def _entries(fold: Fold, catalog: Catalog, given: Any) -> tuple[Entry, ...]:
    """Events as records; some have an id that was there before, some are no events."""
    sealer = Sealer(catalog, OpenVault())
    entries: list[Entry] = []
    for n, (data, tenant, chance) in enumerate(given):
        origin = Origin(source="client/test", tenant=tenant, time=START)
        id = f"id-{n if chance else n // 2}"
        entry = sealer.entry(data, origin, id)._replace(partition=0)
        if isinstance(data, SubjectErased):
            entry = entry._replace(topic=fold.topics[0])
        if chance == 9:
            entry = entry._replace(value=NO_EVENTS[n % len(NO_EVENTS)])
        entries.append(entry)
    return tuple(entries)
