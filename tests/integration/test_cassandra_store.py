"""What the store on Cassandra promises when writes come late, again or never, and when it is away."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import ClassVar

import pytest
from cassandra import ConsistencyLevel
from cassandra.query import BoundStatement
from cassandra_stores import cassandra_pair, opened, settings_for
from stores import BIRDS, Total, fold_of

from connectors.store.cassandra.generations import CassandraGenerations
from connectors.store.cassandra.rows import CassandraRows
from connectors.store.cassandra.schema import connect
from connectors.store.cassandra.views import CassandraViews
from streams.commit import Commit
from streams.errors import FoldError, LogUnavailable, StoreUnavailable
from streams.views import MAX_KEY_CHARS, Clustering, Page, Partition, View

TOTALS = fold_of("totals", Total)
TIMEOUT_S = 60
KEY = ("owl", 5, 1)
SPECULATE_S = 0.1


@pytest.fixture
def generation(session):
    return CassandraGenerations(session, "log").prepare(TOTALS).active


@pytest.fixture
def rows(session):
    return CassandraRows(session)


def eventually(condition, timeout_s=TIMEOUT_S):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def total(seen):
    return Total(*KEY, seen)


def commit(generation, offset, *rows, deleted=()):
    changed = {("acme", (row.bird, row.month, row.day)): row for row in rows}
    changed |= {("acme", key): None for key in deleted}
    return Commit(generation, 0, {"sightings": offset}, rows={Total: changed})


def read(session, *key):
    return asyncio.run(CassandraViews(session, [TOTALS]).get(Total, "acme", key or KEY))


# Write times


def test_a_stale_writer_loses_against_newer_offsets_though_it_writes_later(
    session, generation, rows
):
    rows.put([commit(generation, 8, total(8))])
    rows.put([commit(generation, 7, total(7))])
    assert read(session) == total(8)
    rows.put([commit(generation, 7, deleted=[KEY])])
    assert read(session) == total(8)


def test_what_was_deleted_at_a_newer_offset_stays_deleted(session, generation, rows):
    rows.put([commit(generation, 5, total(5))])
    rows.put([commit(generation, 8, deleted=[KEY])])
    rows.put([commit(generation, 7, total(7))])
    assert read(session) is None
    rows.put([commit(generation, 9, total(9))])
    assert read(session) == total(9)


def test_repeats_change_nothing(session, generation, rows):
    def stored():
        query = f'SELECT bird, day, "_value", WRITETIME("_value") FROM keyspace.view_total_{generation.number}'
        return sorted(session.execute(query))

    commits = [
        commit(generation, 3, *(Total("owl", 5, day, day) for day in range(20))),
        commit(generation, 4, Total("owl", 5, 1, 100), deleted=[("owl", 5, 2)]),
    ]
    for one in commits:
        rows.put([one])
    before = stored()
    assert {time for *_, time in before} == {3, 4}
    for one in (*commits, *commits[::-1]):
        rows.put([one])
    assert stored() == before


def test_what_is_published_only_grows(session, generation, rows):
    rows.publish(generation, 0, {"sightings": 8})
    rows.publish(generation, 0, {"sightings": 7})
    query = "SELECT next FROM keyspace.applied WHERE fold = ? AND number = ?"
    assert session.execute(query, *generation) == [(8,)]


def test_a_quorum_is_asked_at_a_node_that_has_the_row(session, generation, rows):
    asked = []
    session._session.add_request_init_listener(asked.append)
    rows.put([commit(generation, 1, total(1))])
    assert read(session) == total(1)
    bound = [one for one in asked if isinstance(one.query, BoundStatement)]
    put, get = [one for one in bound if "view_total" in one.query.prepared_statement.query_string]
    for one in (put, get):
        assert one.message.consistency_level == ConsistencyLevel.LOCAL_QUORUM
        assert one.query.routing_key == b"\0\4acme\0\0\3owl\0"
    assert get.query.is_idempotent  # so that another node may be asked as well if it takes long
    assert get._spec_execution_plan.next_execution(None) == SPECULATE_S


def test_rows_that_are_not_kept_vanish(session):
    class Passing(View):
        KEPT_S: ClassVar[int] = 1

        key: Partition[str]

    pair = cassandra_pair(session, passing := fold_of("passing", Passing))
    generation = pair.prepare(passing).active

    def is_there(writes):
        if writes:
            pair.write(generation, {Passing: {("acme", ("a",)): Passing("a")}})
        return pair.get(Passing, "a") == Passing("a")

    # On a busy machine a row may be gone before it is read: then it is written again.
    eventually(lambda: is_there(writes=True))
    eventually(lambda: not is_there(writes=False))


def test_the_longest_keys_that_folds_may_write_are_stored(session):
    class Long(View):
        a: Partition[str]
        b: Partition[str]
        c: Clustering[str]

    pair = cassandra_pair(session, long := fold_of("long", Long))
    row = Long(*("💧" * MAX_KEY_CHARS for _ in range(3)))
    pair.write(pair.prepare(long).active, {Long: {("acme", (row.a, row.b, row.c)): row}})
    assert pair.slice(Long, row.a, row.b) == [row]


def test_a_partition_that_is_cut_into_buckets_is_several_partitions(session):
    class Many(View):
        BUCKETS: ClassVar[int] = 8

        scope: Partition[str]
        number: Clustering[int]

    many = fold_of("many", Many)
    pair = cassandra_pair(session, many)
    number = pair.prepare(many).active.number
    found = [Many("all", n) for n in range(2_000)]
    pair.write(
        pair.prepare(many).active, {Many: {("acme", ("all", row.number)): row for row in found}}
    )
    assert (
        len(
            session.execute(
                f'SELECT DISTINCT "_tenant", scope, "_bucket" FROM keyspace.view_many_{number}'
            )
        )
        == 8
    )
    assert pair.slice(Many, "all", limit=3_000) == found
    assert pair.slice(Many, "all", after=(1_000,), limit=100) == found[1_001:1_101]
    assert pair.get(Many, "all", 1_321) == Many("all", 1_321)


def test_a_slice_is_whole_though_it_comes_in_several_pages(session, generation, rows):
    found = [Total("owl", 5, day, day) for day in range(5_200)]
    rows.put([commit(generation, 1, *found)])
    views = CassandraViews(session, [TOTALS])
    assert asyncio.run(views.slice(Total, "acme", ("owl",), Page(limit=9_000))) == found


# Generations


def test_workers_that_start_together_find_one_generation(cassandra):
    settings = settings_for(cassandra)

    def start(_):
        with closing(connect(settings)) as session:
            return CassandraGenerations(session, "log").prepare(BIRDS)

    with opened(settings) as session, ThreadPoolExecutor(4) as starting:
        prepared = set(starting.map(start, range(4)))
        assert len(prepared) == 1
        assert session.execute("SELECT count(*) FROM keyspace.generation") == [(1,)]
        pair = cassandra_pair(session, BIRDS)
        pair.write(prepared.pop().active, {Total: {("acme", KEY): total(3)}})
        assert pair.get(Total, *KEY) == total(3)


def test_workers_that_obey_one_request_build_one_generation(session, generation):
    others = [CassandraGenerations(session, "log") for _ in range(3)]
    with ThreadPoolExecutor(3) as workers:
        assert len(set(workers.map(lambda g: g.begin(TOTALS, 5), others))) == 1
    assert others[0].begin(TOTALS, 6) != others[0].begin(TOTALS, 7)


def test_another_log_has_generations_of_its_own(session, generation, rows):
    rows.put([commit(generation, 1_000, total(1))])
    other = CassandraGenerations(session, "another log")
    prepared = other.prepare(TOTALS)
    assert (prepared.active, prepared.is_current, prepared.requested) == (generation, False, 0)
    assert prepared.building is not None
    rows.put([commit(prepared.building, 1, total(2))])
    assert read(session) == total(1)
    other.activate(prepared.building)
    assert read(session) == total(2)


def test_rows_of_a_generation_whose_place_was_taken_are_refused(session, generation, rows):
    generations = CassandraGenerations(session, "log")
    rows.put([commit(generation, 1, total(1))])
    generations.activate(generations.begin(TOTALS, 1))
    with pytest.raises(FoldError, match=r"rows of totals 1 cannot be written.*taken"):
        rows.put([commit(generation, 2, total(2))])
    with pytest.raises(FoldError, match="was dropped"):
        generations.activate(generation)


def test_readers_go_on_when_another_generation_takes_the_place_of_theirs(session, generation, rows):
    generations = CassandraGenerations(session, "log")
    rows.put([commit(generation, 1, total(1))])

    async def main():
        views = CassandraViews(session, [TOTALS])
        assert await views.get(Total, "acme", KEY) == total(1)
        new = generations.begin(TOTALS, 1)
        rows.put([commit(new, 1, total(2))])
        generations.activate(new)
        assert await views.get(Total, "acme", KEY) == total(2)
        assert await views.slice(Total, "acme", ("owl",), Page()) == [total(2)]

    asyncio.run(main())


# Cassandra is away


class Writing(threading.Thread):
    """Writes rows until it is told to stop, again and again if it fails."""

    def __init__(self, rows, generation):
        super().__init__()
        self.acknowledged = 0
        self.failures = 0
        self.stopping = threading.Event()
        self._rows = rows
        self._generation = generation

    def run(self):
        while not self.stopping.is_set():
            n = self.acknowledged
            written = [Total(str(n), 0, day, n) for day in range(50)]
            try:
                self._rows.put([commit(self._generation, n + 1, *written)])
            except LogUnavailable:
                self.failures += 1
                time.sleep(0.05)
            else:
                self.acknowledged += 1


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.soak)])
def test_what_was_acknowledged_is_there_after_kills(cassandra, session, generation, rows, kills):
    writing = Writing(rows, generation)
    writing.start()
    try:
        for _ in range(kills):
            so_far = writing.acknowledged
            eventually(lambda so_far=so_far: writing.acknowledged >= so_far + 30)
            cassandra.kill()
            cassandra.start()
        so_far = writing.acknowledged
        eventually(lambda: writing.acknowledged >= so_far + 10)
    finally:
        writing.stopping.set()
        writing.join()
    assert writing.failures > 0

    async def check():
        views = CassandraViews(session, [TOTALS])
        for n in range(writing.acknowledged):
            found = await views.slice(Total, "acme", (str(n),), Page())
            assert found == [Total(str(n), 0, day, n) for day in range(50)]

    asyncio.run(check())


def test_a_store_that_is_away_says_so_until_it_is_back(cassandra, session, generation, rows):
    rows.put([commit(generation, 1, total(1))])
    cassandra.kill()
    try:
        for ask in (
            lambda: rows.put([commit(generation, 2, total(2))]),
            lambda: rows.publish(generation, 0, {"sightings": 2}),
            lambda: read(session),
            lambda: connect(settings_for(cassandra)),
        ):
            with pytest.raises(
                StoreUnavailable, match="is Cassandra up, and is it at this address"
            ):
                ask()
    finally:
        cassandra.start()

    def is_back():
        try:
            return read(session) == total(1)
        except StoreUnavailable:
            return False

    eventually(is_back)
    rows.put([commit(generation, 2, total(2))])
    assert read(session) == total(2)


def test_an_event_loop_is_not_held_up_by_a_node_that_hangs(cassandra):
    async def main(session):
        views = CassandraViews(session, [TOTALS])
        await views.get(Total, "acme", KEY)
        cassandra.pause()
        reading = asyncio.create_task(views.get(Total, "acme", KEY))
        longest_s = 0.0
        while not reading.done():
            start_s = time.monotonic()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.monotonic() - start_s)
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await reading
        assert longest_s < 0.5

    with opened(settings_for(cassandra, timeout_s=1.5)) as session:
        CassandraGenerations(session, "log").prepare(TOTALS)
        try:
            asyncio.run(main(session))
        finally:
            cassandra.resume()
        eventually(lambda: session.execute("SELECT count(*) FROM keyspace.generation") == [(1,)])
