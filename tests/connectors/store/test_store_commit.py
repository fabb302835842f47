"""What a commit makes durable, and what a host finds of it after a crash."""

import sqlite3

import pytest
from stores import BIRDS, Everyone, Total, fold_of, sqlite_pair

from connectors.store import bulk
from streams.commit import Commit, Seen
from streams.errors import FoldError, LogUnavailable
from streams.log import Entry
from streams.state import Change
from streams.views import Partition, View


def change(key, value, table="t"):
    return Change(table, key.encode(), None if value is None else value.encode())


def state_of(pair, generation, partition=0):
    return sorted(pair.committer.recover(generation, partition).state)


def test_state_comes_back_partition_by_partition_without_what_was_deleted(pair):
    generation = pair.prepare().active
    pair.commit(
        Commit(generation, 0, state=[change("a", "1"), change("b", "2"), change("c", "3", "u")]),
        Commit(generation, 1, state=[change("a", "9")]),
    )
    pair.commit(Commit(generation, 0, state=[change("a", "4"), change("b", None)]))
    assert state_of(pair, generation) == [("t", b"a", b"4"), ("u", b"c", b"3")]
    assert state_of(pair, generation, 1) == [("t", b"a", b"9")]


def test_offsets_come_back(pair):
    generation = pair.prepare().active
    assert pair.committer.recover(generation, 0).offsets == {}
    pair.commit(
        Commit(generation, 0, offsets={"sightings": 3, "others": 5}),
        Commit(generation, 1, offsets={"sightings": 7}),
    )
    pair.commit(Commit(generation, 0, offsets={"sightings": 4}))
    assert pair.committer.recover(generation, 0).offsets == {"sightings": 4, "others": 5}
    assert pair.committer.applied(generation) == {
        ("sightings", 0): 4,
        ("others", 0): 5,
        ("sightings", 1): 7,
    }


def test_entries_are_appended_in_their_order(pair):
    generation = pair.prepare().active
    entries = [Entry("others", n % 2, None, str(n).encode()) for n in range(6)]
    pair.commit(
        Commit(generation, 0, entries=entries[:3]), Commit(generation, 1, entries=entries[3:])
    )
    assert list(pair.log.read("others", 0, 0, 9).values) == [b"0", b"2", b"4"]
    assert list(pair.log.read("others", 1, 0, 9).values) == [b"1", b"3", b"5"]


def test_ids_are_known_for_as_long_as_is_asked_in_their_topic_and_generation(pair):
    generation = pair.prepare().active
    other = pair.prepare(fold_of("others")).active
    seen = [Seen("sightings", "acme", f"id-{n}", n) for n in range(1_200)]
    pair.commit(Commit(generation, 0, seen=seen))
    ids = [(s.tenant, s.id) for s in seen]
    known = pair.committer.known
    assert known(generation, "sightings", [*ids, ("acme", "new")], -1) == set(ids)
    assert known(generation, "sightings", ids, 1_100) == set(ids[1_101:])
    assert known(generation, "others", ids, -1) == set()
    assert known(other, "sightings", ids, -1) == set()
    assert known(generation, "sightings", [], -1) == set()


def test_an_id_of_one_tenant_is_not_that_of_another(pair):
    generation = pair.prepare().active
    both = [Seen("sightings", tenant, "one", 1) for tenant in ("acme", "globex")]
    pair.commit(Commit(generation, 0, seen=[*both, Seen("sightings", "acme", "two", 1)]))
    known = pair.committer.known
    asked = [("globex", "one"), ("globex", "two")]
    assert known(generation, "sightings", asked, -1) == {("globex", "one")}


def test_a_commit_that_fails_has_no_effect_at_all(pair):
    generation = pair.prepare().active
    bad = Commit(
        generation,
        0,
        offsets={"sightings": 3},
        state=[change("a", "1")],
        rows={Everyone: {("", ("owl",)): Everyone("owl", 1)}},
        entries=[Entry("nowhere", 0, None, b"x")],
        seen=[Seen("sightings", "acme", "id", 1)],
    )
    with pytest.raises(Exception, match="nowhere/0"):
        pair.commit(Commit(generation, 1, offsets={"sightings": 1}), bad)
    assert pair.committer.applied(generation) == {}
    assert state_of(pair, generation) == []
    assert pair.get(Everyone, "owl") is None
    assert pair.committer.known(generation, "sightings", [("acme", "id")], -1) == set()


def test_two_commits_of_which_one_cannot_be_stored_fail_alone(log):
    pair = sqlite_pair(log, BIRDS)
    generation = pair.prepare().active
    good = pair.committer.commit([Commit(generation, 0, offsets={"sightings": 1})])
    wrong = {Everyone: {("", (1 << 70,)): Everyone("owl", 1)}}
    bad = pair.committer.commit([Commit(generation, 1, offsets={"sightings": 1}, rows=wrong)])
    good.result()
    with pytest.raises(OverflowError):
        bad.result()
    assert pair.committer.applied(generation) == {("sightings", 0): 1}


def test_a_closed_store_says_so(log):
    pair = sqlite_pair(log, BIRDS)
    generation = pair.prepare().active
    log.close()
    with pytest.raises(LogUnavailable):
        pair.commit(Commit(generation, 0, offsets={"sightings": 1}))
    with pytest.raises(LogUnavailable):
        pair.committer.known(generation, "sightings", [("acme", "id")], 0)
    with pytest.raises(LogUnavailable):
        pair.get(Total, "owl", 1, 1)


def test_two_folds_cannot_write_one_view(log):
    with pytest.raises(FoldError, match="Total is named by the folds birds and others"):
        sqlite_pair(log, BIRDS, fold_of("others", Total))


def test_what_has_no_order_cannot_be_a_key(log):
    class Odd(View):
        key: Partition[tuple[str, str]]

    with pytest.raises(FoldError, match="Odd: key cannot be a key"):
        sqlite_pair(log).prepare(fold_of("odd", Odd))


# Many rows at once


@pytest.fixture
def table():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (a INTEGER, b TEXT, c TEXT, PRIMARY KEY (a, b))")
    yield connection
    connection.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 511, 512, 513, 2_000])
def test_any_number_of_rows_is_written_and_deleted(table, count):
    rows = [(n, f"b{n}", "c") for n in range(count)]
    bulk.insert(table, "t", rows)
    bulk.insert(table, "t", [(a, b, "again") for a, b, _ in rows[:3]])
    assert table.execute("SELECT count(*), sum(c = 'again') FROM t").fetchone() == (
        count,
        min(count, 3) if count else None,
    )
    bulk.delete(table, "t", "a, b", [(n, f"b{n}") for n in range(1, count)])
    assert table.execute("SELECT a FROM t").fetchall() == [(0,)][:count]


def test_a_thousand_rows_take_few_statements(table):
    statements = []
    table.set_trace_callback(statements.append)
    bulk.insert(table, "t", [(n, "b", "c") for n in range(1_000)])
    bulk.delete(table, "t", "a, b", [(n, "b") for n in range(1_000)])
    assert len(statements) < 20
