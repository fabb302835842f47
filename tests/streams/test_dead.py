from datetime import timedelta
from types import ModuleType
from typing import Any

import hits_fold
import msgspec
import pytest
from bench import NOW, Bench
from hits import POISON, HitCounted

from streams.batch import Batch
from streams.dead import DeadLetter, dead_letters, rejected_value, requeue
from streams.effects import Effects
from streams.errors import RequeueRefused
from streams.fold import Fold
from streams.log import Position


def mended_fold(batch: Batch[HitCounted], state: hits_fold.State, out: Effects) -> None:
    """Takes poison for a hit."""
    for event in batch:
        hit = event.data
        hits, total = state.hits.get(hit.key, (0, 0))
        state.hits[hit.key] = hits + 1, total
        out.put(hits_fold.Hits(hit.key, hits + 1, total))


def mended() -> Fold:
    module = ModuleType("hits_fold")
    vars(module).update(vars(hits_fold) | {"fold": mended_fold})
    return Fold.of(module)


@pytest.fixture
def bench() -> Bench:
    """With two poisonous records among good ones, and one that is no JSON."""
    bench = Bench()
    hits = [HitCounted("a"), HitCounted("a", POISON), HitCounted("b", POISON), HitCounted("b")]
    entries = [bench.entry(hit, "globex") for hit in hits]
    bench.append(*entries, entries[0]._replace(value=b"{"))
    bench.log.now_ms = 7
    fold_all(bench)
    return bench


def fold_all(bench: Bench) -> None:
    while (position := bench.runner.offsets.get("hits", 0)) < bench.log.bounds("hits", 0)[1]:
        bench.runner.process(bench.batch(position))
    bench.commit()


def letters(bench: Bench) -> list[DeadLetter]:
    return dead_letters(bench.log, bench.catalog)


def again(bench: Bench, letter: DeadLetter) -> Any:
    return requeue(bench.log, bench.sealer, letter, NOW + timedelta(days=1)).result()


def mend(bench: Bench) -> None:
    """The fold is mended, and the host started again."""
    bench.fold = mended()
    bench.runner = bench.started()


def test_letters_say_which_record_which_fold_and_when(bench: Bench):
    assert [(x.at, x.record, x.fold, x.time_ms, x.is_requeued) for x in letters(bench)] == [
        (Position("dead", 0, 0), Position("hits", 0, 4), "hits_fold", 7, False),
        (Position("dead", 0, 1), Position("hits", 0, 1), "hits_fold", 7, False),
        (Position("dead", 0, 2), Position("hits", 0, 2), "hits_fold", 7, False),
    ]


def test_the_record_itself_can_be_seen(bench: Bench):
    no_json, poison, _ = letters(bench)
    assert rejected_value(bench.log, no_json) == b"{"
    assert msgspec.json.decode(rejected_value(bench.log, poison))["data"] == {"key": "a", "n": 13}


def test_a_requeued_record_is_the_same_event_at_the_end_of_its_partition(bench: Bench):
    before = bench.batch(1, 1).events[0]
    again(bench, letters(bench)[1])
    after = bench.batch(5).events[0]
    assert (after.id, after.time, after.tenant, after.data) == (
        before.id,
        before.time,
        before.tenant,
        before.data,
    )
    assert (after.source, after.cause) == ("requeue/hits_fold", "hits/0/1")


def test_requeueing_works_after_a_fix_in_whatever_order_and_once(bench: Bench):
    mend(bench)
    _, first, second = letters(bench)
    again(bench, second)
    again(bench, first)
    fold_all(bench)
    assert (bench.hits("a", "globex"), bench.hits("b", "globex")) == (2, 2)
    assert [letter.is_requeued for letter in letters(bench)] == [False, True, True]
    with pytest.raises(RequeueRefused, match="hits/0/1"):
        again(bench, letters(bench)[1])


def test_two_who_requeue_at_once_do_not_count_it_twice(bench: Bench):
    mend(bench)
    letter = letters(bench)[1]
    again(bench, letter)
    again(bench, letter)
    fold_all(bench)
    assert bench.hits("a", "globex") == 2


def test_others_than_the_fold_that_rejected_it_do_not_take_a_requeued_record(bench: Bench):
    again(bench, letters(bench)[1])
    other = ModuleType("other_fold")
    vars(other).update(vars(mended_fold.__globals__["hits_fold"]) | {"fold": mended_fold})
    elsewhere = Bench(Fold.of(other))
    elsewhere.log, elsewhere.catalog = bench.log, bench.catalog
    fold_all(elsewhere)
    assert elsewhere.hits("a", "globex") == 2


def test_without_a_fix_there_is_another_letter_that_can_be_requeued_again(bench: Bench):
    again(bench, letters(bench)[1])
    fold_all(bench)
    assert bench.hits("a", "globex") == 1
    newest = letters(bench)[-1]
    assert (newest.record, newest.is_requeued) == (Position("hits", 0, 5), False)
    mend(bench)
    again(bench, newest)
    fold_all(bench)
    assert bench.hits("a", "globex") == 2


def test_what_is_no_json_cannot_be_requeued(bench: Bench):
    with pytest.raises(RequeueRefused, match="no JSON object"):
        again(bench, letters(bench)[0])
    assert letters(bench)[0].is_requeued is False


def test_what_is_gone_cannot_be_requeued(bench: Bench):
    gone = DeadLetter(Position("dead", 0, 9), Position("hits", 0, 99), "hits_fold", "", 0)
    with pytest.raises(RequeueRefused, match="hits/0/99 is not in the log any more"):
        again(bench, gone)
