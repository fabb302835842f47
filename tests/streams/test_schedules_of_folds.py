"""The platform's own folds, fed with everything that they know: any schedule ends in the same views."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pairs import MemoryPair, SqlitePair
from schedules import Schedule, schedules

from schemas.access import (
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeyRotated,
    SigningKeyAdded,
    SigningKeyRemoved,
)
from schemas.fields import Subject
from schemas.links import (
    LinkChanged,
    LinkClicked,
    LinkDeleted,
    LinkRefused,
    LinkReleased,
    LinkRequested,
    LinkSubmitted,
    LinkUsedUp,
)
from schemas.privacy import SubjectErased
from streams.access import fold as access
from streams.links import fold as links
from streams.links import stats, submissions
from streams.rehearsal import START

KEYS = st.sampled_from(["aaaa111", "bbbb222"])
PEOPLE = st.sampled_from([Subject("ann"), Subject("bob")])
REFERENCES = st.sampled_from(["external/1", "external/2", "idempotent/1"])
URLS = st.sampled_from(["https://example.com/", "https://example.org/"])
CAPS = st.sampled_from([None, 1, 3])
IDS = st.sampled_from(["key1", "key2"])
SCOPES = st.sampled_from([["links:read"], ["links:read", "links:write"]])
ERASURES = st.builds(SubjectErased, PEOPLE)


def later(hours: int) -> datetime:
    return START + timedelta(hours=hours)


ACCESS = st.one_of(
    st.builds(
        ApiKeyCreated,
        key=IDS,
        secret_hash=st.sampled_from(["a", "b"]),
        name=st.just("n"),
        scopes=SCOPES,
        expires_at=st.sampled_from([None, later(1)]),
    ),
    st.builds(
        ApiKeyRotated,
        key=IDS,
        secret_hash=st.sampled_from(["c", "d"]),
        previous_until=st.sampled_from([later(1), later(2)]),
    ),
    st.builds(ApiKeyRevoked, key=IDS),
    st.builds(
        SigningKeyAdded,
        key=IDS,
        algorithm=st.just("HS256"),
        audience=st.just("app"),
        scopes=SCOPES,
        secret=st.just("s"),
    ),
    st.builds(SigningKeyRemoved, key=IDS),
)

LINKS = st.one_of(
    st.builds(
        LinkRequested,
        link=KEYS,
        long_url=URLS,
        is_alias=st.booleans(),
        max_clicks=CAPS,
        tags=st.sampled_from([[], ["news"], ["news", "sport"]]),
        created_by=st.none() | PEOPLE,
        reference=st.none() | REFERENCES,
    ),
    st.builds(
        LinkChanged,
        link=KEYS,
        long_url=URLS,
        max_clicks=CAPS,
        disabled=st.sampled_from([None, True, False]),
        tags=st.sampled_from([[], ["sport"]]),
        revision=st.sampled_from([None, "id-0", "id-1"]),
    ),
    st.builds(LinkUsedUp, link=KEYS, max_clicks=st.sampled_from([1, 3])),
    st.builds(LinkDeleted, link=KEYS),
    ERASURES,
)

SUBMISSIONS = st.one_of(
    st.builds(
        LinkSubmitted,
        reference=REFERENCES,
        link=KEYS,
        long_url=URLS,
        replaces=st.booleans(),
        max_clicks=CAPS,
        created_by=st.none() | PEOPLE,
        fingerprint=st.sampled_from([None, "f", "g"]),
    ),
    st.builds(LinkRefused, reference=REFERENCES, link=KEYS),
    st.builds(LinkReleased, reference=REFERENCES, link=KEYS),
    ERASURES,
)

CLICKS = st.builds(
    LinkClicked,
    link=KEYS,
    visitor=st.sampled_from(["v1", "v2", "v3"]),
    kind=st.sampled_from(["human", "bot", "preview"]),
    country=st.sampled_from(["DE", None]),
    device=st.sampled_from(["desktop", None]),
    user=st.none() | PEOPLE,
)

OF_FOLDS: dict[str, Any] = {
    "access": schedules(access, events=ACCESS),
    "links": schedules(links, events=LINKS),
    "submissions": schedules(submissions, events=SUBMISSIONS),
    "stats": schedules(stats, events=CLICKS),
}

every_fold = pytest.mark.parametrize("fold", OF_FOLDS)


@every_fold
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_schedule_ends_in_the_same_views(fold: str, data: st.DataObject) -> None:
    schedule: Schedule = data.draw(OF_FOLDS[fold])
    assert schedule.outcome(MemoryPair) == schedule.undisturbed(MemoryPair)


@every_fold
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_schedule_ends_in_the_same_views_on_the_real_pair(
    fold: str, data: st.DataObject
) -> None:
    schedule: Schedule = data.draw(OF_FOLDS[fold])
    assert schedule.outcome(SqlitePair) == schedule.undisturbed(SqlitePair)


@pytest.mark.soak
@every_fold
@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_very_many_schedules_do(fold: str, data: st.DataObject) -> None:
    schedule: Schedule = data.draw(OF_FOLDS[fold])
    assert schedule.outcome(MemoryPair) == schedule.undisturbed(MemoryPair)
