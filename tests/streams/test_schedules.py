"""Any schedule of crashes, failed commits and redeliveries ends as the undisturbed run does."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

import schemas.dead
import schemas.links
import schemas.privacy
from schemas.catalog import Catalog
from schemas.event import Data, event_type_of
from schemas.links import LinkClicked, LinkRequested, LinkSubmitted
from streams.commit import Commit, Generation
from streams.decode import Decoded
from streams.fold import Fold
from streams.links import fold as links
from streams.links import stats, submissions
from streams.rehearsal import MemoryStore, Rehearsal
from streams.runner import Runner
from streams.sealing import Sealer
from streams.vault import Vault

CATALOG = Catalog.of(schemas.links, schemas.dead, schemas.privacy)

KEYS = st.sampled_from(["aaaa111", "bbbb222", "cccc333"])
CLICKS = st.builds(
    LinkClicked,
    link=KEYS,
    visitor=st.sampled_from(["v1", "v2", "v3"]),
    kind=st.sampled_from(["human", "bot"]),
    country=st.sampled_from(["DE", "FR", None]),
)
CLAIMS = st.builds(
    LinkRequested,
    link=KEYS,
    long_url=st.just("https://example.com/"),
    max_clicks=st.sampled_from([None, 2]),
    reference=st.sampled_from([None, "external/1"]),
)
SUBMISSIONS = st.builds(
    LinkSubmitted,
    reference=st.sampled_from(["external/1", "external/2"]),
    link=KEYS,
    long_url=st.just("https://example.com/"),
    replaces=st.booleans(),
)

# A batch of so many records, delivered from so many records before what was applied.
DELIVERIES = st.tuples(st.just("deliver"), st.integers(0, 4), st.integers(1, 6))
STEPS = st.lists(
    st.one_of(DELIVERIES, st.sampled_from([("commit",), ("fail",), ("crash",)])), max_size=25
)


class World:
    """One topic's partition with its events, a store, and a runner that may crash."""

    def __init__(self, fold: Fold, events: list[Any]) -> None:
        self.fold = fold
        self.events = events
        self.topic = event_type_of(type(events[0].data)).topic.name if events else ""
        self.store = MemoryStore()
        self.failed: Commit | None = None
        self.runner = self.started()

    def started(self) -> Runner:
        sealer = Sealer(CATALOG, cast(Vault, None))
        return Runner(self.fold, Generation(self.fold.name, 1), 0, sealer, self.store)

    def deliver(self, back: int, count: int) -> None:
        applied = self.runner.offsets.get(self.topic, 0)
        start = max(0, applied - back)
        end = min(len(self.events), start + count)
        if start < end:
            self.runner.process(
                Decoded(
                    topic=self.topic,
                    partition=0,
                    start=start,
                    next_offset=end,
                    offsets=range(start, end),
                    events=self.events[start:end],
                    malformed=(),
                    last_ms=1_767_225_600_000,
                )
            )

    def commit(self) -> None:
        commit = self.failed or self.runner.take()
        self.failed = None
        if commit is not None:
            self.store.commit([commit]).result()
            self.runner.settle()

    def fail(self) -> None:
        """A commit that does not get through; the agent keeps it, and tries it again."""
        if self.failed is None:
            self.failed = self.runner.take()

    def crash(self) -> None:
        self.failed = None
        self.runner = self.started()

    def finish(self) -> None:
        self.commit()
        while self.runner.offsets.get(self.topic, 0) < len(self.events):
            self.deliver(0, 3)
        self.commit()

    def outcome(self) -> Any:
        recovered = self.store.recover(Generation(self.fold.name, 1), 0)
        emitted = [entry for commit in self.store.commits for entry in commit.entries]
        return self.store.rows, sorted(recovered.state), recovered.offsets, emitted


def run(fold: Fold, data: list[Data], steps: list[Any]) -> World:
    # Built by one rehearsal, so that both runs have the same events, ids and times.
    rehearsal = Rehearsal(fold)
    world = World(fold, [rehearsal.event(d) for d in data])
    for step, *arguments in steps:
        getattr(world, step)(*arguments)
    world.finish()
    return world


@given(st.lists(CLICKS, max_size=20), STEPS)
def test_clicks_are_counted_once(data: list[Data], steps: list[Any]) -> None:
    fold = Fold.of(stats)
    assert run(fold, data, steps).outcome() == run(fold, data, []).outcome()


@given(st.lists(CLAIMS, max_size=12), STEPS)
def test_the_first_claim_wins(data: list[Data], steps: list[Any]) -> None:
    fold = Fold.of(links)
    assert run(fold, data, steps).outcome() == run(fold, data, []).outcome()


@given(st.lists(SUBMISSIONS, max_size=12), STEPS)
def test_submissions_claim_once(data: list[Data], steps: list[Any]) -> None:
    fold = Fold.of(submissions)
    assert run(fold, data, steps).outcome() == run(fold, data, []).outcome()
