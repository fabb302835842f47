from datetime import timedelta

import hits_fold
import polls_fold
from hits import POISON, HitCounted, Hits, ThirdReached
from polls import PollOpened, PollVoted, Tally

from schemas.fields import Subject
from streams.rehearsal import START, Rehearsal, fold_events
from streams.views import Page

OPENED = PollOpened("lunch", ["soup", "salad", "fish"])


def test_views_are_as_readers_would_see_them():
    votes = [PollVoted("lunch", Subject(name), 1) for name in ("ann", "bob")]
    views = fold_events(polls_fold, OPENED, *votes).views
    assert views.get(Tally, "lunch", 1) == Tally("lunch", 1, 2)
    assert views.get(Tally, "lunch", 9) is None
    assert [row.votes for row in views.slice(Tally, "lunch")] == [0, 2, 0]
    assert views.slice(Tally, "lunch", page=Page(after=(0,), limit=1)) == [Tally("lunch", 1, 2)]


def test_emitted_events_and_dead_letters_are_told_apart():
    rehearsal = fold_events(hits_fold, *[HitCounted("a")] * 3, HitCounted("a", POISON))
    assert rehearsal.emitted == [ThirdReached("a", 3), ThirdReached("a/again", 3)]
    assert [letter.position for letter in rehearsal.rejected] == ["hits/0/3"]


def test_more_can_be_folded_for_other_tenants_and_at_other_times():
    rehearsal = Rehearsal(hits_fold)
    rehearsal.fold(HitCounted("a"), at=START + timedelta(days=400))
    rehearsal.fold(HitCounted("a"), tenant="globex")
    rehearsal.fold(HitCounted("a"))
    assert rehearsal.views.get(Hits, "a") == Hits("a", 2, 2)
    assert rehearsal.views_of("globex").get(Hits, "a") == Hits("a", 1, 1)


def test_nothing_comes_of_nothing():
    rehearsal = fold_events(hits_fold)
    assert (rehearsal.emitted, rehearsal.rejected) == ([], [])
    assert rehearsal.views.get(Hits, "a") is None
