"""What every store does alike, in memory, in SQLite, in Cassandra.

Rows come as they were written, in clustering order, tenant by tenant, from the active generation.
"""

import asyncio
import secrets
from datetime import date, timedelta
from itertools import pairwise

import pytest
from cassandra_stores import cassandra_pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple, replace
from stores import (
    BIRDS,
    NOON,
    Crowd,
    Everyone,
    Keys,
    Pair,
    Sighting,
    Total,
    fold_of,
    memory_pair,
    sqlite_pair,
)

from connectors.log.sqlite import SqliteLog
from schemas.catalog import Catalog
from schemas.fields import Subject
from streams.errors import BadPosition, FoldError, NotYetApplied
from streams.log import Position
from streams.rehearsal import OpenVault
from streams.sealing import Sealer
from streams.views import View, Views, shape_of

SEALER = Sealer(Catalog([]), OpenVault())
DAY = date(2026, 5, 1)


@pytest.fixture
def log(tmp_path):
    made = SqliteLog(tmp_path / "log.db", "NORMAL", watermark_bytes=0)
    yield made
    made.close()


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
def pair(request):
    """With the fold of birds."""
    if request.param == "memory":
        return memory_pair(BIRDS)
    if request.param == "sqlite":
        return sqlite_pair(request.getfixturevalue("log"), BIRDS)
    return own_tenants(request.getfixturevalue("shared_pair"))


def own_tenants(pair):
    """A pair that may have been used before, with tenants that nobody has written for."""
    return Pair(pair.log, pair.committer, pair.views, secrets.token_hex(4))


def put(pair, *rows, tenant=None):
    generation = pair.prepare().active
    for row in rows:
        scope = "" if row.GLOBAL else tenant or pair.tenant
        pair.write(generation, {type(row): {(scope, key_of(row)): row}})


def key_of(row):
    return tuple(getattr(row, name) for name in shape_of(type(row)).key)


SIGHTING = Sighting(
    bird="owl",
    day=DAY,
    at=NOON,
    number=1,
    is_ringed=True,
    by=Subject("ann"),
    kind="alone",
    weight=1.5,
    tag=b"\x00\xff",
    note="höher",
    others=("a", "b"),
)


def sighting(**changed):
    return replace(SIGHTING, **changed)


def test_a_row_comes_back_as_it_was_written_whatever_its_key_is_made_of(pair):
    put(pair, sighting())
    row = pair.get(Sighting, *key_of(sighting()))
    assert row == sighting()
    assert [type(value) for value in key_of(row)] == [type(value) for value in key_of(sighting())]


def test_there_is_no_row_where_none_was_written(pair):
    put(pair, Total("owl", 5, 1, 7))
    assert pair.get(Total, "owl", 5, 2) is None
    assert pair.get(Total, "owl", 5, 1, tenant=pair.other) is None
    assert pair.slice(Total, "wren") == []


def test_a_later_row_takes_the_earlier_one_s_place_and_a_deleted_one_is_gone(pair):
    put(pair, Total("owl", 5, 1, 7), Total("owl", 5, 1, 8), Total("owl", 5, 2, 1))
    generation = pair.prepare().active
    pair.write(
        generation, {Total: {(pair.tenant, ("owl", 5, 2)): None, (pair.tenant, ("x", 1, 1)): None}}
    )
    assert pair.slice(Total, "owl") == [Total("owl", 5, 1, 8)]


def test_a_row_may_be_nothing_but_a_key(pair):
    put(pair, Keys("a"))
    assert pair.get(Keys, "a") == Keys("a")


def test_rows_come_in_clustering_order(pair):
    rows = [Total("owl", month, day, 1) for month in (2, 10, 1) for day in (9, 10, -3)]
    put(pair, *rows)
    assert pair.slice(Total, "owl") == sorted(rows, key=key_of)
    assert pair.slice(Total, "owl", reverse=True) == sorted(rows, key=key_of, reverse=True)
    assert [row.day for row in pair.slice(Total, "owl", 10)] == [-3, 9, 10]


def test_times_are_ordered_as_times(pair):
    times = [NOON + timedelta(microseconds=n) for n in (0, -1, 10**12, -(10**15))]
    put(pair, *(sighting(at=at) for at in times))
    assert [row.at for row in pair.slice(Sighting, "owl", DAY)] == sorted(times)
    after = pair.slice(Sighting, "owl", DAY, after=(NOON,))
    assert [row.at for row in after] == [NOON + timedelta(microseconds=10**12)]


def test_texts_are_ordered_by_their_code_points(pair):
    texts = ["b", "B", "ä", "z", "", "a b", "💧", "\uffff"]
    put(pair, *(sighting(by=Subject(text)) for text in texts))
    found = [row.by for row in pair.slice(Sighting, "owl", DAY, NOON, 1, True)]
    assert found == sorted(texts)


def test_a_page_begins_behind_a_key_and_has_a_limit(pair):
    put(pair, *(Total("owl", month, day, 1) for month in (1, 2) for day in (1, 2, 3)))
    page = pair.slice(Total, "owl", after=(1, 2), limit=2)
    assert [(row.month, row.day) for row in page] == [(1, 3), (2, 1)]
    page = pair.slice(Total, "owl", after=(2, 1), reverse=True)
    assert [(row.month, row.day) for row in page] == [(1, 3), (1, 2), (1, 1)]
    assert [row.day for row in pair.slice(Total, "owl", 2, after=(1,))] == [2, 3]
    assert [row.month for row in pair.slice(Total, "owl", after=(1,))] == [2, 2, 2]
    assert pair.slice(Total, "owl", limit=0) == []


def test_tenants_with_the_same_keys_do_not_mix(pair):
    put(pair, Total("owl", 5, 1, 1))
    put(pair, Total("owl", 5, 1, 2), tenant=pair.other)
    assert pair.slice(Total, "owl") == [Total("owl", 5, 1, 1)]
    assert pair.get(Total, "owl", 5, 1, tenant=pair.other) == Total("owl", 5, 1, 2)


def test_global_views_are_everybody_s(pair):
    put(pair, Everyone("owl", 3))
    for tenant in (pair.tenant, pair.other):
        assert pair.get(Everyone, "owl", tenant=tenant) == Everyone("owl", 3)


def test_a_view_that_no_fold_writes_cannot_be_read(pair):
    class Unknown(View):
        pass

    pair.prepare()
    with pytest.raises(FoldError, match="no fold writes the view Unknown"):
        pair.get(Unknown, "a")


def test_a_reader_waits_until_a_position_is_applied(pair):
    generation = pair.prepare().active

    async def main():
        waiting = asyncio.create_task(pair.views.wait(Total, Position("sightings", 0, 4), 5.0))
        await asyncio.sleep(0.01)
        pair.write(generation, {}, sightings=4)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        pair.write(
            generation, {Total: {(pair.tenant, ("owl", 5, 1)): Total("owl", 5, 1, 1)}}, sightings=5
        )
        await waiting
        views = Views(pair.views, SEALER, pair.tenant, after=Position("sightings", 0, 4))
        assert await views.get(Total, "owl", 5, 1) == Total("owl", 5, 1, 1)
        assert await views.slice(Total, "owl") == [Total("owl", 5, 1, 1)]

    asyncio.run(main())


def test_a_reader_does_not_wait_for_ever(pair):
    pair.prepare()
    with pytest.raises(NotYetApplied, match="sightings/1/0 was not applied"):
        asyncio.run(pair.views.wait(Total, Position("sightings", 1, 0), 0.01))


def test_a_position_of_a_topic_that_does_not_feed_a_view_means_nothing(pair):
    pair.prepare()
    with pytest.raises(BadPosition, match="others/0/0: this reads what is fed by sightings"):
        asyncio.run(pair.views.wait(Total, Position("others", 0, 0), 1))


TOTALS = st.builds(
    Total,
    st.sampled_from(["owl", "wren"]),
    st.integers(-2, 2),
    st.integers(-2, 2),
    st.integers(0, 9),
)
PAGES = st.fixed_dictionaries(
    {
        "limit": st.integers(0, 6),
        "reverse": st.booleans(),
        "after": st.one_of(
            st.none(),
            st.tuples(st.integers(-2, 2)),
            st.tuples(st.integers(-2, 2), st.integers(-2, 2)),
        ),
    }
)


def pages_of(pair, rows, page):
    put(pair, *rows)
    crowd = [Crowd(*astuple(row)) for row in rows]
    put(pair, *crowd)
    whole = pair.slice(Total, "owl", **page)
    assert [astuple(row) for row in pair.slice(Crowd, "owl", **page)] == list(map(astuple, whole))
    return whole


# Without a deadline: an example is a score of commits, and each waits for a disk that others use.
EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FEWER_EXAMPLES = settings(EXAMPLES, max_examples=20)


@EXAMPLES
@given(st.lists(TOTALS, max_size=20), PAGES)
def test_pages_are_the_same_in_sqlite_as_in_memory(log, rows, page):
    check_pages(own_tenants(sqlite_pair(log, BIRDS)), rows, page)


@FEWER_EXAMPLES
@given(st.lists(TOTALS, max_size=20), PAGES)
def test_pages_are_the_same_in_cassandra_as_in_memory(shared_pair, rows, page):
    check_pages(own_tenants(shared_pair), rows, page)


def check_pages(pair, rows, page):
    found = pages_of(pair, rows, page)
    assert found == pages_of(memory_pair(BIRDS), rows, page)
    ordered = [key_of(row) for row in found]
    assert all((a > b) if page["reverse"] else (a < b) for a, b in pairwise(ordered))


# Generations

V1 = fold_of("birds", Total)
V2 = fold_of("birds", Total, version=2)


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
def fresh(request):
    """With a fold that nothing has been made of yet."""
    if request.param == "memory":
        return memory_pair(V1)
    if request.param == "sqlite":
        return sqlite_pair(request.getfixturevalue("log"), V1)
    return cassandra_pair(request.getfixturevalue("session"), V1)


def total(seen):
    return {Total: {("acme", ("owl", 5, 1)): Total("owl", 5, 1, seen)}}


def read(pair):
    return pair.get(Total, "owl", 5, 1)


def test_the_first_generation_is_active_at_once(fresh):
    prepared = fresh.prepare(V1)
    assert (prepared.is_current, prepared.building, prepared.requested) == (True, None, 0)
    assert fresh.prepare(V1) == prepared


def test_a_generation_that_is_built_is_read_when_it_is_active(fresh):
    old = fresh.prepare(V1).active
    fresh.write(old, total(1), sightings=3)
    new = fresh.committer.begin(V1, 7)
    assert new.number > old.number
    fresh.write(new, total(2), sightings=2)
    assert read(fresh).seen == 1
    assert fresh.prepare(V1) == (old, True, new, 7)
    fresh.committer.activate(new).result()
    assert read(fresh).seen == 2
    assert fresh.prepare(V1) == (new, True, None, 7)
    assert fresh.committer.applied(new) == {("sightings", 0): 2}


def test_a_newer_version_is_built_beside_the_older_one_that_is_still_read(fresh):
    old = fresh.prepare(V1).active
    fresh.write(old, total(1))
    prepared = fresh.prepare(V2)
    assert (prepared.active, prepared.is_current) == (old, False)
    assert prepared.building is not None
    assert read(fresh).seen == 1
    assert fresh.prepare(V2) == prepared
    fresh.committer.activate(prepared.building).result()
    assert fresh.prepare(V2) == (prepared.building, True, None, 0)
    assert read(fresh) is None


def test_an_older_version_does_not_run_on_newer_data(fresh):
    fresh.prepare(V1)
    fresh.committer.activate(fresh.prepare(V2).building).result()
    with pytest.raises(FoldError, match=r"newer version|upgrade Sixfold"):
        fresh.prepare(V1)
