"""Any schedule of crashes, failed commits and redeliveries ends as the undisturbed run does."""

import hits_fold
import polls_fold
import pytest
import thirds_fold
from hits import HUGE, POISON, HitCounted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pairs import SqlitePair
from schedules import Schedule, schedules

from schemas.links import LinkClicked, LinkRequested, LinkSubmitted
from streams.links import fold as links
from streams.links import stats, submissions

HITS = st.builds(
    HitCounted,
    key=st.sampled_from(["a", "b"]),
    n=st.sampled_from([1, 1, 1, 2, POISON, HUGE]),
)
LINKS = st.sampled_from(["aaaa111", "bbbb222", "cccc333"])
URL = st.just("https://example.com/")
CLICKS = st.builds(
    LinkClicked,
    link=LINKS,
    visitor=st.sampled_from(["v1", "v2", "v3"]),
    kind=st.sampled_from(["human", "bot"]),
    country=st.sampled_from(["DE", "FR", None]),
)
CLAIMS = st.builds(
    LinkRequested,
    link=LINKS,
    long_url=URL,
    max_clicks=st.sampled_from([None, 2]),
    reference=st.sampled_from([None, "external/1"]),
)
SUBMISSIONS = st.builds(
    LinkSubmitted,
    reference=st.sampled_from(["external/1", "external/2"]),
    link=LINKS,
    long_url=URL,
    replaces=st.booleans(),
)

few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(schedules(hits_fold, thirds_fold, events=HITS))
def test_two_folds_in_a_row(schedule: Schedule):
    assert schedule.outcome() == schedule.undisturbed()


@given(schedules(polls_fold))
def test_any_schedule_ends_in_the_same_views(schedule: Schedule):
    assert schedule.outcome() == schedule.undisturbed()


@given(schedules(stats, events=CLICKS))
def test_clicks_are_counted_once(schedule: Schedule):
    assert schedule.outcome() == schedule.undisturbed()


@given(schedules(links, events=CLAIMS))
def test_the_first_claim_wins(schedule: Schedule):
    assert schedule.outcome() == schedule.undisturbed()


@given(schedules(submissions, events=SUBMISSIONS))
def test_submissions_claim_once(schedule: Schedule):
    assert schedule.outcome() == schedule.undisturbed()


@few
@given(schedules(hits_fold, thirds_fold, events=HITS))
def test_two_folds_in_a_row_on_the_real_pair(schedule: Schedule):
    assert schedule.outcome(SqlitePair) == schedule.undisturbed(SqlitePair)


@few
@given(schedules(polls_fold))
def test_any_schedule_ends_in_the_same_views_on_the_real_pair(schedule: Schedule):
    assert schedule.outcome(SqlitePair) == schedule.undisturbed(SqlitePair)


@pytest.mark.soak
@settings(max_examples=5_000, deadline=None)
@given(schedules(hits_fold, thirds_fold, events=HITS))
def test_very_many_schedules(schedule: Schedule):
    assert schedule.outcome() == schedule.undisturbed()
