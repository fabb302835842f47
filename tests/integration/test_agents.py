"""Agents on Faust and the embedded pair, as a host runs them."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hits_fold
import pytest
import reminders_fold
import thirds_fold
from bench import NOW
from hits import HitCounted, Hits, ThirdReached, Thirds
from hosting import until, with_control
from reminders import ReminderSet

from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import SqliteCommitter, SqliteViews
from connectors.transport import sqlite as transport
from schemas.control import RebuildRequested
from schemas.event import Data
from schemas.fields import Subject
from streams import agent as agents
from streams import application
from streams.agent import Agent
from streams.application import Application
from streams.decode import Decoded, decode
from streams.errors import LogUnavailable
from streams.fold import Fold
from streams.log import Position
from streams.rehearsal import OpenVault
from streams.sealing import Origin, Sealer
from streams.state import Tables

HITS, THIRDS, REMINDERS = (Fold.of(m) for m in (hits_fold, thirds_fold, reminders_fold))
CATALOG = with_control(HITS, THIRDS, REMINDERS)
SEALER = Sealer(CATALOG, OpenVault())


def named(name: str, module: ModuleType = hits_fold, **names: Any) -> Fold:
    made = ModuleType(name)
    vars(made).update(vars(module) | names | {"__name__": name})
    return Fold.of(made)


class DataDirectory:
    """A data directory."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.log = SqliteLog(directory / "log.db", "NORMAL", watermark_bytes=0)
        self.log.create(CATALOG.topics.values())
        self.committer = SqliteCommitter(self.log)
        self._ids = 0

    def append(self, *data: Data) -> None:
        origin = Origin(source="client/test", tenant="acme", time=NOW)
        entries = []
        for one in data:
            self._ids += 1
            entries.append(SEALER.entry(one, origin, f"id-{self._ids}"))
        self.log.append(entries).result()

    def hit(self, count: int, lots: int = 1) -> None:
        for _ in range(lots):
            self.append(*[HitCounted("a")] * count)

    def applied(self, agent: Agent, topic: str = "hits") -> int:
        return self.committer.applied(agent.active).get((topic, 0), 0)

    def events(self, topic: str) -> list[Any]:
        events: list[Any] = []
        while (records := self.log.read(topic, 0, len(events), 1 << 20)) is not None:
            events += decode(CATALOG, records).events
        return events


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDirectory]:
    made = DataDirectory(tmp_path)
    yield made
    made.log.close()


class Running:
    """An application at work."""

    def __init__(self, data: DataDirectory, *folds: Fold):
        self.agents = [Agent(fold, data.committer, SEALER, 1) for fold in folds]
        self.application = Application(data.log, CATALOG, self.agents, data.directory / "faust")
        self.views = SqliteViews(data.log, [fold for fold in folds if fold in (HITS, THIRDS)])

    async def __aenter__(self) -> "Running":
        await self.application.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(10):
            await self.application.stop()


def test_events_are_folded_committed_and_seen(data: DataDirectory):
    async def main() -> None:
        async with Running(data, HITS, THIRDS) as running:
            data.hit(30)
            await running.views.wait(Hits, Position("hits", 0, 29), 5)
            assert await running.views.get(Hits, "acme", ("a",)) == Hits("a", 30, 30)
            await running.views.wait(Thirds, Position("thirds", 0, 19), 5)
            assert await running.views.get(Thirds, "acme", ("a",)) == Thirds("a", 10)

    asyncio.run(main())


def test_an_application_with_nothing_to_do_stops_at_once(data: DataDirectory):
    async def main() -> None:
        async with Running(data, HITS, THIRDS):
            pass

    asyncio.run(main())
    assert data.events("thirds") == []


def test_what_was_folded_is_durable_when_it_has_stopped_and_the_next_one_goes_on(
    data: DataDirectory,
):
    async def main() -> int:
        async with Running(data, HITS) as running:
            data.hit(500)
            await until(lambda: running.agents[0].position("hits", 0) > 0)
            position = running.agents[0].position("hits", 0)
        assert data.applied(running.agents[0]) >= position
        return data.applied(running.agents[0])

    asyncio.run(main())

    async def again() -> None:
        async with Running(data, HITS) as running:
            data.hit(100)
            await running.views.wait(Hits, Position("hits", 0, 599), 5)
            assert await running.views.get(Hits, "acme", ("a",)) == Hits("a", 600, 600)

    asyncio.run(again())
    assert len({event.id for event in data.events("thirds")}) == len(data.events("thirds")) == 400


def test_folds_of_one_topic_keep_positions_of_their_own(data: DataDirectory):
    async def main(*folds: Fold) -> None:
        async with Running(data, *folds) as running:
            await until(
                lambda: all(
                    data.applied(agent) == data.log.bounds("hits", 0)[1] for agent in running.agents
                )
            )

    seen: list[str] = []

    def fold(batch: Any, state: Tables, out: Any) -> None:
        seen.extend(event.id for event in batch)

    fold.__annotations__ = hits_fold.fold.__annotations__
    first, second = named("first_fold"), named("second_fold", fold=fold)
    data.hit(50)
    asyncio.run(main(first))
    data.hit(50)
    asyncio.run(main(first, second))
    assert [data.applied(Agent(f, data.committer, SEALER, 1)) for f in (first, second)] == [
        100,
        100,
    ]
    assert seen == [f"id-{n}" for n in range(1, 101)]
    assert len(data.events("thirds")) == 66


def test_a_batch_is_decoded_once_for_all_folds_of_its_topic(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
):
    decoded: list[int] = []

    def counting(catalog: Any, records: Any) -> Decoded:
        decoded.extend(records.offsets)
        return decode(catalog, records)

    monkeypatch.setattr(application, "decode", counting)

    async def main() -> None:
        async with Running(data, named("one_fold"), named("another_fold")) as running:
            data.hit(100, lots=3)
            await until(lambda: all(data.applied(agent) == 300 for agent in running.agents))

    asyncio.run(main())
    assert sorted(decoded) == list(range(300))


def test_a_fold_may_have_its_batches_apart_unless_another_fold_of_the_topic_is_in_a_hurry(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
):
    batches: list[int] = []

    def noting(catalog: Any, records: Any) -> Decoded:
        batches.append(len(records.offsets))
        return decode(catalog, records)

    monkeypatch.setattr(application, "decode", noting)

    async def fold(*folds: Fold) -> list[int]:
        batches.clear()
        async with Running(data, *folds) as running:
            begin = data.log.bounds("hits", 0)[1]
            data.hit(1)
            await until(lambda: bool(batches))
            for _ in range(5):  # while the next batch is not due yet
                data.hit(1)
                await asyncio.sleep(0.01)
            await until(lambda: all(data.applied(a) == begin + 6 for a in running.agents))
            return list(batches)

    patient = named("patient_fold", BATCH_INTERVAL_S=0.5)
    assert asyncio.run(fold(patient)) == [1, 5]
    assert len(asyncio.run(fold(patient, named("hurried_fold")))) > 2


def test_a_slow_fold_does_not_lose_records_of_a_fast_one_beside_it(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transport, "BATCH_RECORDS", 10)
    process = Agent.process

    async def slowly(agent: Agent, decoded: Decoded) -> None:
        if agent.fold.name == "slow_fold":
            await asyncio.sleep(0.003)
        await process(agent, decoded)

    monkeypatch.setattr(Agent, "process", slowly)

    async def main() -> None:
        async with Running(data, named("fast_fold"), named("slow_fold")) as running:
            data.hit(10, lots=100)
            last = data.log.bounds("hits", 0)[1]
            await until(lambda: all(data.applied(agent) == last for agent in running.agents))
            for agent in running.agents:
                (row,) = data.committer.recover(agent.active, 0).state
                assert row[0] == "hits"

    asyncio.run(main())
    assert len(data.events("thirds")) == 2 * 2 * 333


def test_a_fold_that_is_stuck_does_not_keep_others_from_their_topics(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transport, "BATCH_RECORDS", 1)
    process = Agent.process
    released = asyncio.Event()

    async def stuck(agent: Agent, decoded: Decoded) -> None:
        if agent.fold is HITS:
            await released.wait()
        await process(agent, decoded)

    monkeypatch.setattr(Agent, "process", stuck)

    async def main() -> None:
        async with Running(data, HITS, REMINDERS) as running:
            data.hit(1, lots=30)
            await asyncio.sleep(0.1)
            data.append(*[ReminderSet(str(n), Subject("ann"), NOW) for n in range(30)])
            await until(lambda: data.applied(running.agents[1], "reminders") >= 30)
            assert data.applied(running.agents[0]) == 0
            released.set()
            await until(lambda: data.applied(running.agents[0]) == 30)

    asyncio.run(main())


def test_a_fold_may_have_several_topics(data: DataDirectory):
    found: list[str] = []

    def fold(batch: Any, state: Tables, out: Any) -> None:
        found.extend(type(event.data).__name__ for event in batch)

    fold.__annotations__["batch"] = __import__("streams.batch").batch.Batch[
        HitCounted | ThirdReached
    ]

    async def main() -> None:
        both = named("both_fold", ModuleType("both"), fold=fold)
        async with Running(data, both, HITS) as running:
            data.hit(30)
            await until(lambda: data.applied(running.agents[0], "thirds") == 20)
            await until(lambda: data.applied(running.agents[0], "hits") == 30)

    asyncio.run(main())
    assert sorted(found) == ["HitCounted"] * 30 + ["ThirdReached"] * 20


def test_a_store_that_fails_for_a_while_is_waited_for(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(agents, "_FIRST_RETRY_S", 0.01)
    commit, failing = data.committer.commit, [True]

    def unreliable(commits: Any) -> Any:
        future = commit([] if failing[0] else commits)
        if failing[0]:
            future = type(future)()
            future.set_exception(LogUnavailable("the disk is full"))
        return future

    data.committer.commit = unreliable  # type: ignore[method-assign]

    async def main() -> None:
        async with Running(data, HITS) as running:
            data.hit(100, lots=5)
            await asyncio.sleep(0.3)
            assert data.applied(running.agents[0]) == 0
            data.hit(100)
            failing[0] = False
            await running.views.wait(Hits, Position("hits", 0, 599), 5)
            assert await running.views.get(Hits, "acme", ("a",)) == Hits("a", 600, 600)

    asyncio.run(main())
    assert len({event.id for event in data.events("thirds")}) == len(data.events("thirds")) == 400


def failing_at(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something of the runtime be broken."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"{what} is broken")

    owner: Any = agents.Runner if what in ("process", "tick") else SqliteLog
    monkeypatch.setattr(owner, what, broken)


@pytest.mark.parametrize("what", ["process", "tick", "read"])
def test_what_cannot_go_on_says_so_and_the_next_host_goes_on_from_what_is_durable(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, what: str
):
    async def main() -> None:
        async with Running(data, HITS, named("reminders_fold", reminders_fold, TICK_S=0.05)) as on:
            data.hit(50)
            await on.views.wait(Hits, Position("hits", 0, 49), 5)
            with monkeypatch.context() as context:
                failing_at(what, context)
                data.hit(50)
                async with asyncio.timeout(5):
                    failure = await on.application.failure()
                assert str(failure) == f"{what} is broken"

    asyncio.run(main())

    async def again() -> None:
        async with Running(data, HITS) as running:
            await running.views.wait(Hits, Position("hits", 0, 99), 5)
            assert await running.views.get(Hits, "acme", ("a",)) == Hits("a", 100, 100)

    asyncio.run(again())


def test_views_are_rebuilt_on_request_while_they_are_served(data: DataDirectory):
    async def main() -> None:
        async with Running(data, HITS, THIRDS) as running:
            data.hit(1_000, lots=5)
            await running.views.wait(Hits, Position("hits", 0, 4_999), 5)
            before = running.agents[0].active
            data.append(RebuildRequested("hits_fold"))
            n = 0
            while running.agents[0].active == before:
                data.hit(10)
                n += 10
                row = await running.views.get(Hits, "acme", ("a",))
                assert row is not None
                assert row.hits >= 5_000
                await asyncio.sleep(0.001)
            data.hit(10)
            await running.views.wait(Hits, Position("hits", 0, 5_000 + n + 9), 5)
            assert await running.views.get(Hits, "acme", ("a",)) == Hits("a", n + 5_010, n + 5_010)

    asyncio.run(main())
    assert len({event.id for event in data.events("thirds")}) == len(data.events("thirds"))


# Killed


def host(directory: Path) -> subprocess.Popen[bytes]:
    child = Path(__file__).parent / "agents_child.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, child, directory], stdout=subprocess.PIPE, env=environment
    )


def kill_again_and_again(data: DataDirectory, kills: int) -> None:
    """Let hosts fold what comes in, kill each at a random moment, and see that it adds up."""
    chance = random.Random(kills)
    appended = 0
    for n in range(kills + 1):
        process = host(data.directory)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"up\n"
            stop_s = time.monotonic() + (chance.uniform(0, 0.3) if n < kills else 0)
            while appended == 0 or time.monotonic() < stop_s:
                count = chance.randint(1, 400)
                data.hit(count)
                appended += count
                time.sleep(0.005)  # so that a host gets along
            if n == kills:
                wait_until_applied(data, appended)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    hits, thirds = Agent(HITS, data.committer, SEALER, 1), Agent(THIRDS, data.committer, SEALER, 1)
    expected = 2 * (appended // 3)
    emitted = data.events("thirds")
    assert len({event.id for event in emitted}) == len(emitted) == expected
    assert data.applied(hits) == appended
    assert data.applied(thirds, "thirds") == expected
    views = SqliteViews(data.log, [HITS, THIRDS])
    assert asyncio.run(views.get(Hits, "acme", ("a",))) == Hits("a", appended, appended)
    assert asyncio.run(views.get(Thirds, "acme", ("a",))) == Thirds("a", appended // 3)
    assert state(hits, "hits") == {("acme", "a"): (appended, appended)}
    assert state(thirds, "thirds")["acme", "a"] == appended // 3
    assert data.events("dead") == []


def wait_until_applied(data: DataDirectory, appended: int) -> None:
    views = SqliteViews(data.log, [HITS, THIRDS])

    async def wait() -> None:
        await views.wait(Hits, Position("hits", 0, appended - 1), 60)
        await views.wait(Thirds, Position("thirds", 0, 2 * (appended // 3) - 1), 60)

    asyncio.run(wait())


def state(agent: Agent, table: str) -> dict[tuple[str, Any], Any]:
    rows = agent.runners[0]._state._tables[table].items()
    return {(tenant, key): value for tenant, key, value in rows}


def test_hosts_that_are_killed_lose_nothing_and_count_nothing_twice(data: DataDirectory):
    kill_again_and_again(data, 4)


@pytest.mark.soak
def test_very_many_hosts_that_are_killed_lose_nothing_and_count_nothing_twice(data: DataDirectory):
    kill_again_and_again(data, 60)
