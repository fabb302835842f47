from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import hits_fold
import polls_fold
import pytest
import reminders_fold
from bench import NOW, Bench
from hits import HUGE, POISON, HitCounted
from polls import PollOpened, PollVoted, Tally
from reminders import Reminder, ReminderFired, ReminderSet

from schemas.fields import Subject
from schemas.privacy import SubjectErased
from streams.decode import Decoded, decode
from streams.effects import Due
from streams.errors import Erased, FoldError, LogUnavailable, Tampered, VaultUnavailable
from streams.fold import Fold
from streams.rehearsal import OpenVault, fold_events

ANN = Subject("ann")


def test_poison_is_found_among_good_records_wherever_it_is():
    for place in range(9):
        bench = Bench()
        hits = [HitCounted("a") for _ in range(9)]
        hits[place] = HitCounted("a", POISON)
        bench.append(*map(bench.entry, hits))
        bench.runner.process(bench.batch())
        bench.commit()
        assert bench.hits("a") == 8
        (letter,) = bench.letters()
        assert letter.position == f"hits/0/{place}"


def test_a_dead_letter_says_what_went_wrong_and_where_but_no_value():
    bench = Bench()
    bench.append(bench.entry(HitCounted("secret", POISON)))
    bench.runner.process(bench.batch())
    bench.commit()
    (letter,) = bench.letters()
    assert letter.reason.startswith("ValueError at hits_fold.py:")
    assert letter.reason.endswith(" in fold")
    assert "secret" not in letter.reason
    assert letter.fold == "hits_fold"


def test_what_cannot_be_stored_is_rejected_like_what_cannot_be_folded():
    bench = Bench()
    bench.append(*map(bench.entry, [HitCounted("a"), HitCounted("a", HUGE), HitCounted("a")]))
    bench.runner.process(bench.batch())
    bench.commit()
    assert bench.hits("a") == 2
    assert [letter.reason for letter in bench.letters()] == ["OverflowError"]


def test_what_is_no_event_is_rejected_and_the_rest_is_folded():
    bench = Bench()
    good = bench.entry(HitCounted("a"))
    values = [b"{", b'{"type":"nobody.knows","data":{}}', b"ann@example.org", b'{"type":"a b@c"}']
    bench.append(
        good, *(good._replace(value=value) for value in values), bench.entry(HitCounted("a"))
    )
    bench.runner.process(bench.batch())
    bench.commit()
    assert bench.hits("a") == 2
    assert [(letter.position, letter.reason) for letter in bench.letters()] == [
        ("hits/0/1", "MalformedEvent: Input data was truncated"),
        ("hits/0/2", "UnknownEventType: event type 'nobody.knows' is not one of this topic"),
        ("hits/0/3", "MalformedEvent: JSON is malformed: invalid character (byte 0)"),
        ("hits/0/4", "UnknownEventType: event type … is not one of this topic"),
    ]


def test_batches_may_come_again_and_overlap():
    bench = Bench()
    bench.append(*(bench.entry(HitCounted("a")) for _ in range(10)))
    for start, count in ((0, 4), (0, 4), (2, 4), (0, 10), (9, 1), (0, 10)):
        bench.runner.process(bench.batch(start, count))
    bench.commit()
    assert bench.hits("a") == 10


def test_a_gap_is_an_error():
    bench = Bench()
    bench.append(*(bench.entry(HitCounted("a")) for _ in range(10)))
    bench.runner.process(bench.batch(0, 4))
    with pytest.raises(FoldError, match="was applied up to 4, but the next batch starts at 5"):
        bench.runner.process(bench.batch(5))


def test_another_runner_goes_on_from_what_is_durable():
    bench = Bench()
    bench.append(*(bench.entry(HitCounted("a")) for _ in range(6)))
    bench.runner.process(bench.batch(0, 4))
    bench.commit()
    bench.runner.process(bench.batch(4, 1))
    bench.runner = bench.started()
    assert bench.runner.offsets == {"hits": 4}
    bench.runner.process(bench.batch(4))
    bench.commit()
    assert bench.hits("a") == 6


def test_tenants_with_the_same_keys_do_not_mix():
    bench = Bench()
    tenants = ["acme", "globex", "acme", "acme", "globex", "initech"]
    bench.append(*(bench.entry(HitCounted("a"), tenant) for tenant in tenants))
    bench.runner.process(bench.batch())
    bench.commit()
    assert [bench.hits("a", tenant) for tenant in ("acme", "globex", "initech")] == [3, 2, 1]


def test_an_emitted_event_has_the_tenant_of_its_cause_and_the_same_id_when_derived_again():
    ids = []
    for cut in (1, 3):
        bench = Bench()
        bench.append(*(bench.entry(HitCounted("a"), "globex") for _ in range(3)))
        for start in range(0, 3, cut):
            bench.runner.process(bench.batch(start, cut))
        bench.commit()
        records = bench.log.read("thirds", 0, 0, 10)
        events = decode(bench.catalog, records).events
        assert [(e.tenant, e.cause, e.ordinal) for e in events] == [
            ("globex", "hits/0/2", 0),
            ("globex", "hits/0/2", 1),
        ]
        ids.append([e.id for e in events])
    assert ids[0] == ids[1]


def test_a_fold_has_no_record_outside_its_loop():
    def fold(batch: Any, state: Any, out: Any) -> None:
        for event in batch:
            key = event.data.key
        state.hits[key] = (1, 1)  # whose tenant's?

    fold.__annotations__ = hits_fold.fold.__annotations__
    rehearsal = fold_events(variant(hits_fold, fold=fold), HitCounted("a"))
    (letter,) = rehearsal.rejected
    assert letter.reason.startswith("FoldError")


def variant(module: ModuleType, **names: Any) -> Fold:
    made = ModuleType(module.__name__)
    vars(made).update(vars(module) | names)
    return Fold.of(made)


# Erasure


def test_erasure_happens_in_the_order_of_the_records():
    opened = PollOpened("lunch", ["soup", "salad"])
    vote = PollVoted("lunch", ANN, 1)
    for events, votes in (
        ([opened, vote, SubjectErased(ANN)], 0),
        ([opened, SubjectErased(ANN), vote], 1),
        ([SubjectErased(ANN), opened, vote, SubjectErased(ANN), vote, vote], 1),
    ):
        views = fold_events(polls_fold, *events).views
        assert views.slice(Tally, "lunch")[1] == Tally("lunch", 1, votes)


def test_erasure_is_the_tenant_s_own():
    rehearsal = fold_events(polls_fold, PollOpened("lunch", ["soup"]), PollVoted("lunch", ANN, 0))
    rehearsal.fold(SubjectErased(ANN), tenant="globex")
    assert rehearsal.views.get(Tally, "lunch", 0) == Tally("lunch", 0, 1)


def test_who_cannot_forget_need_not():
    bench = Bench()
    erasure = bench.entry(SubjectErased(ANN))
    bench.append(bench.entry(HitCounted("a")), erasure._replace(topic="hits"))
    bench.runner.process(
        Decoded("hits", 0, 0, 1, [0], [bench.catalog.decoder("privacy").one(erasure.value)], [], 0)
    )
    bench.commit()
    assert bench.letters() == []


# Ticks


DUE = NOW + timedelta(hours=1)


def set_reminder(reminder: str = "tea", at: datetime = DUE) -> ReminderSet:
    return ReminderSet(reminder, ANN, at)


def test_a_tick_emits_what_is_due_and_the_event_changes_the_state():
    rehearsal = fold_events(reminders_fold, set_reminder())
    rehearsal.tick(DUE - timedelta(seconds=1))
    assert rehearsal.emitted == []
    rehearsal.tick(DUE)
    rehearsal.tick(DUE + timedelta(seconds=1))
    assert rehearsal.emitted == [ReminderFired("tea")]
    assert rehearsal.views.get(Reminder, "tea") == Reminder("tea", 1)


def test_what_was_due_before_a_crash_is_emitted_again_with_the_same_id_and_folded_once():
    bench = Bench(Fold.of(reminders_fold))
    bench.append(bench.entry(set_reminder()), bench.entry(set_reminder("cake")))
    bench.runner.process(bench.batch())
    bench.commit()
    for _ in range(2):  # the events of the first are durable, but not folded
        bench.runner = bench.started()
        bench.runner.tick(DUE)
        bench.runner.tick(DUE + timedelta(seconds=1))
        bench.commit()
    fired = bench.batch(2).events
    assert len(fired) == 4
    assert len({event.id for event in fired}) == 2
    bench.runner.process(bench.batch(2))
    bench.commit()
    assert bench.store.row(Reminder, "acme", ("tea",)) == Reminder("tea", 1)
    assert bench.letters() == []


def test_ids_of_due_events_differ_by_time_key_tenant_and_type():
    outbox = Bench(Fold.of(reminders_fold)).runner.outbox
    due = Due()
    due.emit(ReminderFired("tea"), "acme", DUE)
    due.emit(ReminderFired("tea"), "globex", DUE)
    due.emit(ReminderFired("cake"), "acme", DUE)
    due.emit(ReminderFired("tea"), "acme", DUE + timedelta(seconds=1))
    due.emit(set_reminder("tea"), "acme", DUE)
    assert len(outbox.due(due.events)) == 5


def test_a_tick_may_not_write_state():
    def tick(now: datetime, state: reminders_fold.State, out: Due) -> None:
        for _, reminder, _ in list(state.pending.items()):
            state._tables["pending"].enter("acme")
            state.pending.pop(reminder)

    bench = Bench(variant(reminders_fold, tick=tick))
    bench.append(bench.entry(set_reminder()))
    bench.runner.process(bench.batch())
    with pytest.raises(FoldError, match="may only emit"):
        bench.runner.tick(NOW)
    assert len(bench.runner._state.pending) == 1


def test_a_tick_may_only_emit_to_topics_that_know_repeats():
    def tick(now: datetime, state: polls_fold.State, out: Due) -> None:
        out.emit(PollOpened("lunch", []), "acme", now)

    bench = Bench(variant(polls_fold, tick=tick))
    with pytest.raises(FoldError, match="declare topic polls as deduplicated"):
        bench.runner.tick(NOW)


# Personal fields


class Vault(OpenVault):
    """Fails as it is told."""

    def __init__(self, *errors: Exception):
        super().__init__()
        self.errors = list(errors)

    def unseal(self, tenant, subject, context, sealed):
        if self.errors:
            raise self.errors.pop(0)
        return super().unseal(tenant, subject, context, sealed)


def read(texts: list[Any], *, opens: bool, vault: Any = None, batch: int = 10) -> Bench:
    def fold(batch: Any, state: Any, out: Any) -> None:
        for event in batch:
            texts.append(event.data.text)

    fold.__annotations__ = reminders_fold.fold.__annotations__
    bench = Bench(variant(reminders_fold, fold=fold, OPENS=opens), vault)
    for n in range(3):
        bench.append(bench.entry(ReminderSet("tea", ANN, DUE, text=f"text {n}")))
    bench.runner.process(bench.batch())
    return bench


def test_personal_fields_are_absent_unless_the_fold_opens_them():
    for opens, expected in ((False, [None] * 3), (True, ["text 0", "text 1", "text 2"])):
        texts: list[Any] = []
        read(texts, opens=opens)
        assert texts == expected


def test_those_of_erased_subjects_are_absent_and_what_was_tampered_with_is_rejected():
    texts: list[Any] = []
    bench = read(texts, opens=True, vault=Vault(Erased("gone"), Tampered("moved")))
    assert texts == [None, "text 2"]
    bench.commit()
    (letter,) = bench.letters()
    assert letter.position == "reminders/0/1"
    assert letter.reason.startswith("Tampered")


def test_a_vault_that_fails_rejects_nothing_and_nothing_of_the_batch_is_committed():
    texts: list[Any] = []
    with pytest.raises(VaultUnavailable, match="OSError"):
        read(texts, opens=True, vault=Vault(OSError("disk")))


def test_if_a_batch_was_folded_in_part_nothing_is_taken_from_the_runner_any_more():
    bench = Bench()
    bench.append(*(bench.entry(HitCounted("a")) for _ in range(5)))
    bench.runner.process(bench.batch(0, 1))
    answers: list[Any] = [ValueError("bisect"), [], VaultUnavailable("away")]

    def emitted(_: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    bench.runner.outbox.emitted = emitted  # type: ignore[method-assign]
    with pytest.raises(VaultUnavailable):
        bench.runner.process(bench.batch(1))
    assert answers == []
    assert bench.runner.take() is None


class Forgetful(OpenVault):
    """Has erased everybody."""

    def seal(self, *_: Any) -> str:
        raise Erased("gone")


def test_what_is_emitted_about_an_erased_subject_goes_without_personal_fields():
    def fold(batch: Any, state: Any, out: Any) -> None:
        for event in batch:
            if event.data.reminder == "tea":
                out.emit(ReminderSet("about tea", ANN, DUE, text="secret"))

    fold.__annotations__ = reminders_fold.fold.__annotations__
    bench = Bench(variant(reminders_fold, fold=fold), Forgetful())
    bench.append(bench.entry(set_reminder()))
    bench.runner.process(bench.batch())
    bench.commit()
    assert bench.batch(1).events[0].data == ReminderSet("about tea", ANN, DUE)


def test_if_the_log_cannot_be_asked_for_ids_the_batch_can_be_tried_again():
    bench = Bench()
    bench.append(*(bench.entry(HitCounted("a")) for _ in range(3)))
    known = bench.store.known
    bench.store.known = lambda *_: (_ for _ in ()).throw(LogUnavailable("away"))
    with pytest.raises(LogUnavailable):
        bench.runner.process(bench.batch())
    bench.store.known = known
    bench.runner.process(bench.batch())
    bench.commit()
    assert bench.hits("a") == 3


def test_a_client_s_event_that_comes_twice_counts_once_even_if_it_was_rejected():
    bench = Bench()
    one, poison = bench.entry(HitCounted("a")), bench.entry(HitCounted("a", POISON))
    bench.append(one, poison, one, poison)
    bench.runner.process(bench.batch(0, 2))
    bench.commit()
    bench.runner = bench.started()
    bench.runner.process(bench.batch(2))
    bench.commit()
    assert bench.hits("a") == 1
    assert len(bench.letters()) == 1
