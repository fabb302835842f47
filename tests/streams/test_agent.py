import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

import hits_fold
import pytest
import reminders_fold
from bench import NOW
from hits import HitCounted, Hits
from hosting import until
from reminders import ReminderFired, ReminderSet

from schemas.fields import Subject
from streams import agent as module
from streams.agent import Agent
from streams.decode import decode
from streams.errors import FoldError, LogUnavailable
from streams.fold import Fold
from streams.memory import MemoryLog, MemoryStore
from streams.rehearsal import OpenVault, catalog_of
from streams.sealing import Origin, Sealer

HITS = Fold.of(hits_fold)
REMINDERS = Fold.of(reminders_fold)


class Store(MemoryStore):
    """Takes commits, or fails, or says nothing, as it is told."""

    def __init__(self, log: MemoryLog):
        super().__init__(log)
        self.failures = 0
        self.held: list[tuple[Any, Future[Any]]] | None = None
        self.tries = 0

    def commit(self, commits: Any) -> Any:
        self.tries += 1
        future: Future[Any] = Future()
        if self.held is not None:
            self.held.append((commits, future))
            return future
        if self.failures:
            self.failures -= 1
            future.set_exception(LogUnavailable("the disk is full"))
            return future
        return super().commit(commits)

    def let_go(self) -> None:
        held, self.held = self.held or [], None
        for commits, future in held:
            super().commit(commits)
            future.set_result(None)


class World:
    def __init__(self, fold: Fold = HITS):
        self.catalog = catalog_of(fold)
        self.log = MemoryLog(self.catalog.topics.values())
        self.store = Store(self.log)
        self.sealer = Sealer(self.catalog, OpenVault())
        self.fold = fold
        self.n = 0
        self.start()

    def start(self) -> None:
        self.agent = Agent(self.fold, self.store, self.sealer, 1)

    def append(self, *data: Any, tenant: str = "acme") -> None:
        origin = Origin(source="client/test", tenant=tenant, time=NOW)
        for one in data:
            self.n += 1
            self.log.append([self.sealer.entry(one, origin, f"id-{self.n}")]).result()

    def hit(self, count: int) -> None:
        self.append(*[HitCounted("a")] * count)

    @property
    def hits(self) -> int:
        row = self.store.row(Hits, "acme", ("a",))
        return row.hits if row else 0

    async def fold_new(self) -> None:
        await self.agent.catch_up(self.log, self.catalog, self.fold.topics[0], 0)


def run(world: World, work: Callable[[], Awaitable[None]]) -> None:
    """Do something while the agent commits, then stop the agent."""

    async def main() -> None:
        committing = asyncio.create_task(world.agent.commit_forever())
        await work()
        world.agent.stop()
        async with asyncio.timeout(5):
            await committing

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_RETRY_S", 0.001)


def test_what_is_pending_when_it_stops_is_committed():
    world = World()
    world.hit(5)
    run(world, world.fold_new)
    assert world.hits == 5


def test_with_no_events_there_is_nothing_to_commit():
    world = World()
    run(world, world.fold_new)
    assert world.store.tries == 0


def test_commits_that_fail_are_tried_again_and_nothing_is_lost_or_folded_twice():
    world = World()
    world.store.failures = 6

    async def work() -> None:
        for _ in range(10):
            world.hit(3)
            await world.fold_new()
            await asyncio.sleep(0.005)
        await until(lambda: world.store.failures == 0 and world.hits == 30)

    run(world, work)
    assert world.hits == 30
    assert world.log.bounds("thirds", 0)[1] == 20


def test_retries_get_rarer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_FIRST_RETRY_S", 0.05)
    world = World()
    world.store.failures = 1_000
    world.hit(1)

    async def work() -> None:
        await world.fold_new()
        await asyncio.sleep(0.4)

    run(world, work)
    assert 2 <= world.store.tries <= 5  # after 0, 50, 150, 350 ms, and when it stops


def test_it_stops_without_a_store_and_what_was_not_durable_is_folded_again():
    world = World()
    world.store.failures = 1_000
    world.hit(4)
    run(world, world.fold_new)
    assert world.hits == 0
    world.store.failures = 0
    world.start()
    run(world, world.fold_new)
    assert world.hits == 4
    assert world.log.bounds("thirds", 0)[1] == 2


def test_folding_goes_on_during_a_commit_and_waits_when_too_much_is_pending(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "_MAX_PENDING_RECORDS", 10)
    world = World()
    world.store.held = []

    async def work() -> None:
        world.hit(5)
        await world.fold_new()
        await until(lambda: world.store.held)
        world.hit(8)
        await world.fold_new()
        assert world.agent.position("hits", 0) == 13
        world.hit(5)
        folding = asyncio.create_task(world.fold_new())
        await asyncio.sleep(0.02)
        assert not folding.done()
        world.store.let_go()
        await folding
        await until(lambda: world.hits == 18)

    run(world, work)
    assert world.store.tries == 2


def test_while_ids_cannot_be_looked_up_a_batch_waits():
    world = World()
    world.hit(3)
    known, failures = world.store.known, [LogUnavailable("away")] * 3

    def unreliable(*question: Any) -> Any:
        if failures:
            raise failures.pop()
        return known(*question)

    world.store.known = unreliable  # type: ignore[method-assign]
    run(world, world.fold_new)
    assert world.hits == 3


def test_records_that_the_log_has_dropped_before_they_were_applied_are_missed():
    world = World()
    world.hit(4)
    run(world, world.fold_new)
    world.start()
    world.log.bounds = lambda *_: (6, 9)  # type: ignore[method-assign]
    with pytest.raises(FoldError, match="has applied hits/0 up to 4, but the log only has"):
        asyncio.run(world.fold_new())


# Ticks

DUE = NOW + timedelta(hours=1)


def fired(world: World) -> list[tuple[str, datetime]]:
    records = world.log.read("reminders", 0, 0, 100)
    assert records is not None
    return [
        (event.data.reminder, event.time)
        for event in decode(world.catalog, records).events
        if isinstance(event.data, ReminderFired)
    ]


def test_a_tick_emits_what_is_due():
    world = World(REMINDERS)
    world.append(ReminderSet("tea", Subject("ann"), DUE))

    async def work() -> None:
        await world.fold_new()
        world.agent.tick(DUE - timedelta(seconds=1), world.log)
        world.agent.tick(DUE + timedelta(seconds=5), world.log)

    run(world, work)
    assert fired(world) == [("tea", DUE)]


def test_while_it_catches_up_it_lives_in_the_time_of_what_it_has_folded():
    world = World(REMINDERS)
    world.log.now_ms = int(NOW.timestamp() * 1000)
    world.append(ReminderSet("tea", Subject("ann"), DUE))

    async def work() -> None:
        world.agent.tick(DUE, world.log)  # which has not even begun
        await world.fold_new()
        world.append(ReminderSet("cake", Subject("ann"), DUE))  # not folded yet
        world.agent.tick(DUE, world.log)

    run(world, work)
    assert fired(world) == []

    async def caught_up() -> None:
        await world.fold_new()
        world.agent.tick(DUE, world.log)

    world.start()
    run(world, caught_up)
    assert sorted(fired(world)) == [("cake", DUE), ("tea", DUE)]
