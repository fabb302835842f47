from hypothesis import given
from hypothesis import strategies as st

from connectors.transport.kafka.changelog import Rebuilt, Record, records
from streams.commit import Commit, Generation, Seen
from streams.state import Change

GENERATION = Generation("birds", 1)


def commit(**of) -> Commit:
    return Commit(GENERATION, 0, **of)


def rebuilt(*commits: Commit) -> Rebuilt:
    found = Rebuilt()
    for one in commits:
        found.apply(records(one))
    return found


def test_state_comes_back_in_the_order_of_its_keys():
    first = commit(
        state=[Change("b", b"2", b"x"), Change("b", b"1", b"y"), Change("a", b"3", b"z")]
    )
    found = rebuilt(first).recovered()
    assert list(found.state) == [("a", b"3", b"z"), ("b", b"1", b"y"), ("b", b"2", b"x")]
    assert found.offsets == {}


def test_what_was_deleted_is_gone_and_what_was_changed_is_new():
    found = rebuilt(
        commit(state=[Change("a", b"1", b"old"), Change("a", b"2", b"gone")]),
        commit(state=[Change("a", b"1", b"new"), Change("a", b"2", None)]),
        commit(state=[Change("a", b"3", None)]),
    )
    assert list(found.recovered().state) == [("a", b"1", b"new")]


def test_offsets_are_those_of_the_last_commit_of_each_topic():
    found = rebuilt(commit(offsets={"t": 3, "u": 5}), commit(offsets={"t": 9}))
    assert found.recovered().offsets == {"t": 9, "u": 5}


def test_ids_are_known_until_they_are_forgotten():
    found = rebuilt(
        commit(seen=[Seen("t", "acme", "a", 10), Seen("t", "acme", "b", 20)]),
        commit(seen=[Seen("u", "acme", "a", 30)]),
    )
    ids = [("acme", "a"), ("acme", "b"), ("acme", "c"), ("other", "a")]
    assert found.known("t", ids, since_ms=0) == {("acme", "a"), ("acme", "b")}
    assert found.known("t", ids, since_ms=10) == {("acme", "b")}
    assert found.known("u", ids, since_ms=0) == {("acme", "a")}
    forgotten = list(found.forget(before_ms=20))
    assert found.known("t", ids, since_ms=0) == {("acme", "b")}
    assert [record.value for record in forgotten] == [None]
    assert list(found.forget(before_ms=20)) == []


def test_what_was_forgotten_stays_so_when_it_is_read_again():
    written = list(records(commit(seen=[Seen("t", "acme", "a", 10)])))
    first = Rebuilt()
    first.apply(written)
    again = Rebuilt()
    again.apply([*written, *first.forget(before_ms=11)])
    assert again.known("t", [("acme", "a")], since_ms=0) == set()


def compacted(written: list[Record], keep: list[bool]) -> list[Record]:
    """Without some of the records that newer ones of the same key replace."""
    newest = {record.key: i for i, record in enumerate(written)}
    return [
        record
        for i, (record, kept) in enumerate(zip(written, keep, strict=True))
        if kept or newest[record.key] == i
    ]


KEYS = st.binary(max_size=2)
COMMITS = st.lists(
    st.builds(
        commit,
        state=st.lists(
            st.builds(
                Change, st.sampled_from("ab"), KEYS, st.none() | st.binary(min_size=1, max_size=2)
            )
        ),
        seen=st.lists(
            st.builds(
                Seen,
                st.sampled_from("tu"),
                st.sampled_from(["acme", "other"]),
                st.sampled_from("xyz"),
                st.integers(0, 1_000),
            )
        ),
        offsets=st.dictionaries(st.sampled_from("tu"), st.integers(0, 2**40)),
    ),
    max_size=6,
)


@given(COMMITS, st.data())
def test_compaction_changes_nothing_of_what_is_rebuilt(commits, data):
    written = [record for one in commits for record in records(one)]
    keep = data.draw(st.lists(st.booleans(), min_size=len(written), max_size=len(written)))
    whole, thinned = Rebuilt(), Rebuilt()
    whole.apply(written)
    thinned.apply(compacted(written, keep))
    assert thinned.recovered() == whole.recovered()
    ids = [(tenant, id) for tenant in ("acme", "other") for id in "xyz"]
    for topic in "tu":
        for since_ms in (0, 500):
            assert thinned.known(topic, ids, since_ms) == whole.known(topic, ids, since_ms)
