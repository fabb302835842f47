import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from itertools import pairwise
from types import ModuleType
from typing import Any

import hits_fold
import msgspec
import pytest
import thirds_fold
from bench import NOW
from hits import POISON, HitCounted, Hits, ThirdReached, Thirds
from hosting import Host, until, with_control
from pairs import MemoryPair, SqlitePair

from schemas.control import CONTROL, RebuildRequested
from schemas.event import Data, event
from schemas.topic import Topic
from streams import rebuild as module
from streams.batch import Batch
from streams.dead import dead_letters, requeue
from streams.decode import decode
from streams.effects import Effects
from streams.errors import LogUnavailable, RebuildRefused
from streams.fold import Fold
from streams.log import Entry
from streams.rebuild import Rebuild
from streams.rehearsal import OpenVault
from streams.sealing import Origin, Sealer
from streams.state import Tables

HITS, THIRDS = Fold.of(hits_fold), Fold.of(thirds_fold)
CATALOG = with_control(HITS, THIRDS)
SEALER = Sealer(CATALOG, OpenVault())


@pytest.fixture(params=[MemoryPair, SqlitePair])
def pair(request: Any) -> Iterator[Any]:
    with closing(request.param(CATALOG)) as made:
        yield made


def entry(data: Data, id: str, tenant: str = "acme") -> Entry:
    origin = Origin(source="client/test", tenant=tenant, time=NOW)
    return SEALER.entry(data, origin, id)


def append(pair: Any, *data: Data, start: int = 0) -> None:
    pair.log.append([entry(d, f"id-{start + n}") for n, d in enumerate(data)]).result()


def append_a_thousand(pair: Any) -> None:
    for start in range(0, 1_000, 50):
        append(pair, *[HitCounted("a")] * 50, start=start)


def request(pair: Any, fold: str) -> None:
    append(pair, RebuildRequested(fold), start=pair.log.bounds(CONTROL.name, 0)[1])


def hits(pair: Any, key: str = "a") -> int:
    (row,) = [r for r in rows(pair, HITS, Hits) if r[1] == key] or [(0, 0, 0)]
    return row[2]


def thirds(pair: Any) -> dict[str, int]:
    return {row[1]: row[2] for row in rows(pair, THIRDS, Thirds)}


def rows(pair: Any, fold: Fold, view: Any) -> list[tuple[Any, ...]]:
    """(tenant, key, count) of each row, whichever pair it is."""
    found = pair.rows(fold)[view.__name__]
    if isinstance(found, dict):
        return [
            (tenant, *key, msgspec.structs.astuple(row)[1]) for (tenant, key), row in found.items()
        ]
    return [(*row[:2], msgspec.msgpack.decode(row[2])[0]) for row in found]


def ids(pair: Any, topic: str) -> list[str]:
    records = pair.log.read(topic, 0, 0, 1 << 20)
    return [] if records is None else [e.id for e in decode(CATALOG, records).events]


def version(n: int, **names: Any) -> Fold:
    changed = ModuleType("hits_fold")
    vars(changed).update(vars(hits_fold) | {"VERSION": n} | names)
    return Fold.of(changed)


def test_while_a_fold_is_rebuilt_it_goes_on_and_nothing_is_lost_or_said_twice(pair, monkeypatch):
    monkeypatch.setattr(module, "_NEAR_RECORDS", 20)
    monkeypatch.setattr(module, "_READ_RECORDS", 50)
    monkeypatch.setattr(module, "_COMMIT_RECORDS", 200)
    seen: list[int] = []

    async def produce() -> None:
        for n in range(100):
            append(pair, *[HitCounted("a")] * 10, start=1_000 + n * 10)
            seen.append(hits(pair))
            await asyncio.sleep(0.002)

    async def main() -> None:
        append_a_thousand(pair)
        async with Host(CATALOG, pair, HITS, THIRDS).running() as host:
            await host.caught_up()
            before = host.agents[0].active
            producing = asyncio.create_task(produce())
            request(pair, "hits_fold")
            await until(lambda: host.agents[0].active != before)
            await producing
            await host.caught_up()

    asyncio.run(main())
    assert hits(pair) == 2_000
    assert all(one <= other for one, other in pairwise(seen))
    assert len(ids(pair, "thirds")) == len(set(ids(pair, "thirds"))) == 2 * (2_000 // 3)
    assert thirds(pair) == {"a": 666, "a/again": 666}


def test_a_request_is_obeyed_once_also_by_the_next_host(pair):
    append(pair, HitCounted("a"))

    async def generation() -> Any:
        async with Host(CATALOG, pair, HITS, THIRDS).running() as host:
            await host.caught_up()
            return host.agents[0].active

    first = asyncio.run(generation())
    request(pair, "hits_fold")
    second = asyncio.run(generation())
    third = asyncio.run(generation())
    assert first != second == third
    assert hits(pair) == 1


def test_requests_for_folds_that_are_none_are_passed_over(pair):
    async def main() -> None:
        async with Host(CATALOG, pair, HITS).running() as host:
            request(pair, "nobody")
            request(pair, "hits_fold")
            await host.caught_up()
            assert host.agents[0].requested == 2

    asyncio.run(main())


def test_a_rebuild_that_was_interrupted_goes_on_where_it_was(pair, monkeypatch):
    monkeypatch.setattr(module, "_NEAR_RECORDS", 10)
    monkeypatch.setattr(module, "_READ_RECORDS", 100)
    monkeypatch.setattr(module, "_COMMIT_RECORDS", 100)
    append_a_thousand(pair)

    async def interrupted() -> None:
        host = Host(CATALOG, pair, HITS, THIRDS)
        async with host.running():
            await host.caught_up()
        (agent, _) = host.agents
        agent.begin(requested=0)
        rebuild = Rebuild(agent, pair.log, CATALOG)
        task = asyncio.create_task(rebuild.run())
        await until(lambda: pair.store.applied(agent.building))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert 0 < rebuild.folded_records < rebuild.total_records == 1_000

    async def finished() -> None:
        host = Host(CATALOG, pair, HITS, THIRDS)
        assert host.agents[0].building is not None
        assert Rebuild(host.agents[0], pair.log, CATALOG).folded_records > 0
        async with host.running():
            await host.caught_up()

    asyncio.run(interrupted())
    pair.crash()
    asyncio.run(finished())
    assert hits(pair) == 1_000
    assert len(ids(pair, "thirds")) == len(set(ids(pair, "thirds"))) == 666


def test_a_rebuild_outlasts_a_store_that_fails(pair):
    append(pair, *[HitCounted("a")] * 10)
    activate, failing = pair.store.activate, [LogUnavailable("away")]

    def unreliable(generation: Any) -> Any:
        if not failing:
            return activate(generation)
        failed: Future[Any] = Future()
        failed.set_exception(failing.pop())
        return failed

    async def main() -> None:
        async with Host(CATALOG, pair, HITS).running() as host:
            await host.caught_up()
            pair.store.activate = unreliable
            before = host.agents[0].active
            request(pair, "hits_fold")
            await until(lambda: host.agents[0].active != before)

    asyncio.run(main())
    assert hits(pair) == 10


def test_who_is_stopped_in_the_middle_of_the_switch_makes_nothing_durable_for_the_old_one(pair):
    append(pair, *[HitCounted("a")] * 10)
    activate, activated = pair.store.activate, []

    def slowly(generation: Any) -> Any:
        activate(generation).result()
        activated.append(generation)
        return Future()  # it is done, but nobody hears of it

    async def main() -> None:
        async with Host(CATALOG, pair, HITS).running() as host:
            await host.caught_up()
            pair.store.activate = slowly
            request(pair, "hits_fold")
            await until(lambda: activated)
            append(pair, *[HitCounted("a")] * 5, start=10)
            await asyncio.sleep(0.01)

    asyncio.run(main())
    pair.store.activate = activate
    run(pair, HITS)
    assert hits(pair) == 15
    assert len(ids(pair, "thirds")) == len(set(ids(pair, "thirds"))) == 10


def run(pair: Any, *folds: Fold) -> None:
    async def main() -> None:
        async with Host(CATALOG, pair, *folds).running() as host:
            await host.caught_up()

    asyncio.run(main())


def doubled(batch: Batch[HitCounted], state: hits_fold.State, out: Effects) -> None:
    """Counts every hit for two."""
    for hit in batch:
        key = hit.data.key
        hits, total = state.hits.get(key, (0, 0))
        state.hits[key] = hits + 2, total + hit.data.n
        out.put(Hits(key, hits + 2, total + hit.data.n))
        out.emit(hits_fold.ThirdReached("new", hits))
        if key == "bad":
            raise ValueError(key)


def test_a_new_version_is_built_in_silence_and_speaks_from_where_the_old_one_was(pair):
    append(pair, *[HitCounted("a")] * 4)
    run(pair, version(1))
    said = ids(pair, "thirds")
    append(pair, HitCounted("a"), start=4)  # which the old version has not applied
    run(pair, version(2, fold=doubled))
    assert hits(pair) == 10
    assert ids(pair, "thirds")[: len(said)] == said
    assert len(ids(pair, "thirds")) == len(said) + 1
    append(pair, HitCounted("a"), start=5)
    run(pair, version(2, fold=doubled))
    assert hits(pair) == 12
    assert len(ids(pair, "thirds")) == len(said) + 2


def test_a_record_that_only_the_new_version_rejects_gets_a_letter_and_others_get_none_again(pair):
    append(pair, HitCounted("a", POISON), HitCounted("bad"), HitCounted("a", 1 << 70))
    run(pair, version(1))
    assert [str(letter.record) for letter in dead_letters(pair.log, CATALOG)] == [
        "hits/0/0",
        "hits/0/2",
    ]
    run(pair, version(2, fold=doubled))
    letters = dead_letters(pair.log, CATALOG)
    assert sorted(str(letter.record) for letter in letters) == ["hits/0/0", "hits/0/1", "hits/0/2"]
    assert len(ids(pair, "dead")) == 3
    assert hits(pair) == 2


def test_a_requeued_record_counts_once_when_the_mended_fold_is_built_anew(pair):
    append(pair, HitCounted("a"), HitCounted("a", POISON))
    run(pair, version(1))
    (letter,) = dead_letters(pair.log, CATALOG)
    mended = version(1, fold=doubled)
    requeue(pair.log, SEALER, letter, NOW).result()
    run(pair, mended)
    assert hits(pair) == 1 + 2
    request(pair, "hits_fold")
    run(pair, mended)
    assert hits(pair) == 2 + 2


def test_topics_that_a_new_version_no_longer_reads_are_left_alone(pair):
    def fold(batch: Batch[HitCounted | ThirdReached], state: Tables, out: Effects) -> None:
        """Has read more."""

    append(pair, HitCounted("a"), ThirdReached("a", 3))
    run(pair, version(1, fold=fold))
    run(pair, version(2))
    assert hits(pair) == 1


def test_what_the_log_no_longer_has_cannot_be_rebuilt(pair):
    append(pair, *[HitCounted("a")] * 10)

    async def main() -> None:
        host = Host(CATALOG, pair, HITS)
        async with host.running():
            await host.caught_up()
            before = host.agents[0].active
            bounds = pair.log.bounds
            pair.log.bounds = lambda topic, partition: (3, bounds(topic, partition)[1])
            request(pair, "hits_fold")
            await host.caught_up()
            assert host.agents[0].active == before
            host.agents[0].begin(requested=0)
            with pytest.raises(RebuildRefused, match="hits/0 only has what comes from 3 on"):
                Rebuild(host.agents[0], pair.log, CATALOG)
            host.agents[0].building = None
            pair.log.bounds = bounds

    asyncio.run(main())
    assert hits(pair) == 10


def test_a_partition_whose_last_records_are_gone_counts_as_applied_to_its_end(pair):
    append(pair, *[HitCounted("a")] * 5)
    append(pair, *[HitCounted("a")] * 5, start=5)
    read = pair.log.read

    def without_the_last(topic: str, partition: int, offset: int, count: int) -> Any:
        records = read(topic, partition, offset, count)
        if topic == "hits" and records is not None:
            records = records.until(7)
        return records if records else None

    async def main() -> None:
        host = Host(CATALOG, pair, HITS)
        async with host.running():
            await host.caught_up()
        pair.log.read = without_the_last
        host.agents[0].begin(requested=0)
        await Rebuild(host.agents[0], pair.log, CATALOG).run()
        assert pair.store.applied(host.agents[0].active) == {("hits", 0): 10}

    asyncio.run(main())
    assert hits(pair) == 7


# Several topics


@event("door.opened", topic=Topic("doors", partitions=1), key="door")
class DoorOpened(Data):
    """A door was opened."""

    door: str


@event("light.lit", topic=Topic("lights", partitions=1), key="light")
class LightLit(Data):
    """A light was lit."""

    light: str


def test_records_of_several_topics_are_folded_in_the_order_of_their_time():
    order: list[str] = []

    def fold(batch: Batch[DoorOpened | LightLit], state: Tables, out: Effects) -> None:
        order.extend(vars_of(event.data) for event in batch)

    def vars_of(data: Any) -> str:
        return getattr(data, "door", "") or data.light

    made = ModuleType("house_fold")
    made.fold = fold  # type: ignore[attr-defined]
    house = Fold.of(made)
    catalog = with_control(house)
    sealer = Sealer(catalog, OpenVault())
    with closing(MemoryPair(catalog)) as pair:
        for n, (time_ms, data) in enumerate(
            [
                (0, DoorOpened("d0")),
                (100, LightLit("l100")),
                (5_000, LightLit("l5000")),
                (9_000, DoorOpened("d9000")),
                (20_000, LightLit("l20000")),
                (20_001, LightLit("l20001")),
                (30_000, DoorOpened("d30000")),
            ]
        ):
            pair.log.now_ms = time_ms
            origin = Origin(source="client/test", tenant="acme", time=NOW)
            pair.log.append([sealer.entry(data, origin, f"id-{n}")]).result()

        async def main() -> None:
            host = Host(catalog, pair, house)
            async with host.running():
                await host.caught_up()
            order.clear()
            host.agents[0].begin(requested=0)
            await Rebuild(host.agents[0], pair.log, catalog).run()

        asyncio.run(main())
    assert order == ["d0", "l100", "l5000", "d9000", "l20000", "l20001", "d30000"]
