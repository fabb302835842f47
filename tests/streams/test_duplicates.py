from types import SimpleNamespace

import pytest
import thirds_fold
from bench import NOW, Bench
from hits import ThirdReached, Thirds
from hypothesis import given
from hypothesis import strategies as st

from streams.duplicates import KEPT_MS, Duplicates
from streams.errors import LogUnavailable
from streams.fold import Fold
from streams.sealing import Origin

TOPIC = "hits"


def event(cause=None, ordinal=0, source="fold/up", id="id", tenant="acme"):
    return SimpleNamespace(cause=cause, ordinal=ordinal, source=source, id=id, tenant=tenant)


def derived(*offsets, source="fold/up", partition=0):
    return [event(f"up/{partition}/{offset}", source=source) for offset in offsets]


def duplicates(known=(), deduplicated=()):
    return Duplicates("down", lambda topic, ids, since: set(known), frozenset(deduplicated))


def reopened(of):
    """Another run of the same fold, with what the first has made durable."""
    changes, _ = of.take()
    fresh = duplicates()
    for table, key, value in changes:
        if value is not None:
            fresh.tables[table].load([(key, value)])
    return fresh


def test_a_cause_that_was_reached_is_not_new_again():
    seen = duplicates()
    assert seen.unseen(TOPIC, derived(5, 6, 8), 0) == [True] * 3
    assert seen.unseen(TOPIC, derived(6, 7, 8, 9), 0) == [False, False, False, True]


def test_of_one_cause_each_ordinal_counts_once():
    seen = duplicates()
    batch = [event("up/0/5", 0), event("up/0/5", 1), event("up/0/5", 1)]
    assert seen.unseen(TOPIC, batch, 0) == [True, True, False]
    assert seen.unseen(TOPIC, [event("up/0/5", 1), event("up/0/5", 2)], 0) == [False, True]


def test_derivers_and_upstream_partitions_are_told_apart():
    seen = duplicates()
    seen.unseen(TOPIC, derived(10, 20), 0)
    assert seen.unseen(TOPIC, derived(10, 20, source="fold/other"), 0) == [True, True]
    assert seen.unseen(TOPIC, derived(10, 20, partition=1), 0) == [True, True]
    assert seen.unseen(TOPIC, derived(10, 20, partition=1), 0) == [False, False]


def test_causes_are_compared_as_numbers():
    seen = duplicates()
    assert seen.unseen(TOPIC, derived(9, 10), 0) == [True, True]
    assert seen.unseen(TOPIC, derived(10, 11, 100, 99), 0) == [False, True, True, False]


def test_what_was_reached_is_known_after_a_restart():
    seen = duplicates()
    seen.unseen(TOPIC, derived(5, 6), 0)
    assert reopened(seen).unseen(TOPIC, derived(6, 7), 0) == [False, True]


@pytest.mark.parametrize("cause", ["", "nothing", "up/0/x", "up/0/-1", "up/0/" + "9" * 5000])
def test_a_cause_that_is_no_position_says_nothing(cause):
    seen = duplicates()
    assert seen.unseen(TOPIC, [event(cause), event(cause)], 0) == [True, True]
    assert seen.take() == ([], [])


@pytest.mark.parametrize("ordinal", [-1, 1 << 70])
def test_nor_does_one_with_an_ordinal_that_is_none(ordinal):
    seen = duplicates()
    assert seen.unseen(TOPIC, [event("up/0/1", ordinal)] * 2, 0) == [True, True]
    assert seen.take() == ([], [])


CAUSES = st.builds(
    event,
    cause=st.one_of(
        st.none(),
        st.just("odd"),
        st.builds("up/{}/{}".format, st.integers(0, 1), st.integers(8, 12)),
    ),
    ordinal=st.integers(0, 1),
    source=st.sampled_from(["fold/a", "fold/b"]),
)


@given(st.lists(st.lists(CAUSES, max_size=6), max_size=6))
def test_an_event_is_new_if_it_is_beyond_all_of_its_deriver_however_they_are_batched(batches):
    seen = duplicates()
    reached = {}
    for batch in batches:
        expected = []
        for e in batch:
            if e.cause is None or e.cause == "odd":
                expected.append(True)
                continue
            prefix, _, offset = e.cause.rpartition("/")
            place = (int(offset), e.ordinal)
            expected.append(place > reached.get((e.source, prefix), (-1, -1)))
            if expected[-1]:
                reached[e.source, prefix] = place
        assert seen.unseen(TOPIC, batch, 0) == expected


def clients(*ids, source="client/key", tenant="acme"):
    return [event(source=source, id=id, tenant=tenant) for id in ids]


def test_ids_of_clients_events_count_once_where_the_topic_says_so():
    seen = duplicates(deduplicated=[TOPIC])
    assert seen.unseen(TOPIC, clients("a", "b", "a"), 0) == [True, True, False]
    assert seen.unseen(TOPIC, clients("b", "c"), 0) == [False, True]
    assert seen.unseen("other", clients("a", "a"), 0) == [True, True]


def test_ids_of_ticks_count_once_too():
    seen = duplicates(deduplicated=[TOPIC])
    assert seen.unseen(TOPIC, clients("a", "b", "a", source="tick/up"), 0) == [True, True, False]


def test_an_id_is_its_tenants_own():
    seen = duplicates(known={("acme", "b")}, deduplicated=[TOPIC])
    assert seen.unseen(TOPIC, clients("a", "b"), 0) == [True, False]
    assert seen.unseen(TOPIC, clients("a", "b", tenant="globex"), 0) == [True, True]
    assert seen.unseen(TOPIC, clients("a", "b", tenant="globex"), 0) == [False, False]


@pytest.mark.parametrize("source", ["gateway/gateway-1", "import/apache-log", "erasure", "clients"])
def test_for_events_of_the_platform_itself_no_id_is_looked_up_or_remembered(source):
    asked = []
    seen = Duplicates("down", lambda *question: asked.append(question) or set(), {TOPIC})
    assert seen.unseen(TOPIC, clients("a", "a", source=source), 0) == [True, True]
    assert seen.take() == ([], [])
    assert asked == []


def test_among_others_only_clients_events_are_remembered():
    seen = duplicates(deduplicated=[TOPIC])
    batch = [*clients("a", source="gateway/1"), *clients("a", "a"), *derived(1)]
    assert seen.unseen(TOPIC, batch, 0) == [True, True, False, True]
    assert [taken.id for taken in seen.take()[1]] == ["a"]


def test_ids_are_known_while_they_are_on_their_way_and_when_they_are_durable():
    durable = set()
    seen = Duplicates("down", lambda topic, ids, since: durable & set(ids), frozenset([TOPIC]))
    seen.unseen(TOPIC, clients("a"), 7)
    _, taken = seen.take()
    assert [tuple(s) for s in taken] == [(TOPIC, "acme", "a", 7)]
    assert seen.unseen(TOPIC, clients("a"), 8) == [False]
    durable.add(("acme", "a"))
    seen.settle()
    assert seen.unseen(TOPIC, clients("a"), 9) == [False]
    durable.clear()
    assert seen.unseen(TOPIC, clients("a"), 9) == [True]


def test_ids_are_looked_for_in_the_7_days_before():
    asked = []
    seen = Duplicates("down", lambda *question: asked.append(question) or set(), {TOPIC})
    seen.unseen(TOPIC, clients("a", "b"), KEPT_MS + 5)
    assert asked == [(TOPIC, [("acme", "a"), ("acme", "b")], 5)]


def test_if_ids_cannot_be_looked_up_nothing_has_happened():
    def down(*_):
        raise LogUnavailable("away")

    seen = Duplicates("down", down, {TOPIC})
    batch = [*derived(1), *clients("a")]
    with pytest.raises(LogUnavailable):
        seen.unseen(TOPIC, batch, 0)
    seen._known = lambda *_: set()
    assert seen.unseen(TOPIC, batch, 0) == [True, True]


def requeued(offset, fold="down"):
    return event(f"hits/0/{offset}", source=f"requeue/{fold}")


def test_a_requeued_record_is_for_the_fold_that_rejected_it_and_once():
    seen = duplicates()
    for offset in (3, 7):
        seen.reject(f"hits/0/{offset}")
    batch = [requeued(7), requeued(7), requeued(3, fold="other"), requeued(4), requeued(3)]
    assert seen.unseen(TOPIC, batch, 0) == [True, False, False, False, True]
    assert seen.unseen(TOPIC, batch, 0) == [False] * 5


def test_who_awaits_a_record_does_so_after_a_restart():
    seen = duplicates()
    seen.reject("hits/0/3")
    again = reopened(seen)
    assert again.unseen(TOPIC, [requeued(3)], 0) == [True]
    assert reopened(again).unseen(TOPIC, [requeued(3)], 0) == [False]


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(1, 5), st.integers(1, 6)),
        max_size=12,
    )
)
def test_what_a_follower_repeats_because_it_does_not_know_how_far_it_was_counts_once(lots):
    """Lots of two upstream partitions, each beginning some events before the last one's end."""
    bench = Bench(Fold.of(thirds_fold))
    sent = [0, 0]
    for partition, back, count, _ in lots:
        start = max(0, sent[partition] - back)
        for offset in range(start, start + count):
            cause = f"hits/{partition}/{offset}"
            origin = Origin(source="follow/thirds", tenant="acme", time=NOW, cause=cause)
            bench.append(bench.sealer.entry(ThirdReached("a", 3), origin, f"{partition}-{offset}"))
        sent[partition] = max(sent[partition], start + count)
    end = bench.log.bounds("thirds", 0)[1]
    cuts = [cut for _, _, _, cut in lots] + [end]
    while (position := bench.runner.offsets.get("thirds", 0)) < end:
        bench.runner.process(bench.batch(position, cuts.pop(0)))
        bench.commit()
        bench.runner = bench.started()
    row = bench.store.row(Thirds, "acme", ("a",))
    assert (row.thirds if row else 0) == sum(sent)
