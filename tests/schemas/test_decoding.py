import json
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_events import (
    CATALOG,
    NOON,
    NoticePosted,
    Option,
    PersonForgotten,
    PollOpened,
    PollVoted,
    enveloped,
)

from schemas.envelope import encode
from schemas.errors import MalformedEvent, UnknownEventType
from schemas.fields import Mention, Subject

POLLS = CATALOG.decoder("polls")
NOTICES = CATALOG.decoder("notices")  # a topic of one type

OPENED = encode(enveloped(PollOpened("lunch", [Option("soup"), Option("salad", 2)])))
VOTED = encode(enveloped(PollVoted("lunch", Subject("5f0c"), 1), cause="polls/0/7", ordinal=2))
POSTED = encode(enveloped(NoticePosted("n1")))


def changed(value: bytes, **attributes: Any) -> bytes:
    """A record with other attributes; None removes one."""
    given = json.loads(value) | attributes
    return json.dumps({k: v for k, v in given.items() if v is not None}).encode()


def test_a_batch_of_mixed_types_is_decoded_in_order():
    forgotten = encode(enveloped(PersonForgotten(Subject("5f0c"))))
    events = POLLS.many([OPENED, VOTED, forgotten, OPENED])
    assert [type(e.data) for e in events] == [PollOpened, PollVoted, PersonForgotten, PollOpened]
    assert events[0].data.options == [Option("soup"), Option("salad", 2)]
    assert (events[1].subject, events[1].cause, events[1].ordinal) == ("5f0c", "polls/0/7", 2)
    assert events[1].time == NOON


def test_an_empty_batch_is_no_events():
    assert POLLS.many([]) == []


def test_a_record_is_a_cloudevent_in_structured_mode():
    assert json.loads(VOTED) == {
        "type": "poll.voted",
        "specversion": "1.0",
        "id": "0195513a-9c00-7000-8000-000000000000",
        "source": "tests",
        "time": "2026-03-01T12:00:00Z",
        "tenant": "acme",
        "subject": "5f0c",
        "cause": "polls/0/7",
        "ordinal": 2,
        "data": {"poll": "lunch", "voter": "5f0c", "option": 1},
    }


def test_unknown_fields_and_attributes_are_ignored():
    data = {"poll": "lunch", "options": [], "colour": "red"}
    (event,) = POLLS.many([changed(OPENED, data=data, dataschema="urn:polls")])
    assert event.data == PollOpened("lunch", [])


MALFORMED = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "no type": changed(OPENED, type=None),
    "no data": changed(OPENED, data=None),
    "a missing field": changed(OPENED, data={"poll": "lunch"}),
    "a field of another type": changed(OPENED, data={"poll": 7, "options": []}),
    "a value out of range": changed(VOTED, data={"poll": "p", "voter": "v", "option": -1}),
    "another specversion": changed(OPENED, specversion="0.3"),
    "a time without its zone": changed(OPENED, time="2026-03-01T12:00:00"),
    "invalid UTF-8": OPENED.replace(b"lunch", b"l\xffnch"),
    "invalid UTF-8 outside of texts": b"\xff" + OPENED,
    "two JSON values": OPENED + b"," + OPENED,
    "two lines": OPENED + b"\n" + OPENED,
    "personal data in the clear": changed(
        VOTED, data={"poll": "lunch", "voter": "v", "option": 1, "comment": "It was me"}
    ),
}


@pytest.mark.parametrize("bad", MALFORMED.values(), ids=MALFORMED)
def test_a_bad_record_among_good_ones_is_malformed(bad: bytes):
    with pytest.raises(MalformedEvent):
        POLLS.many([OPENED, bad, VOTED])
    with pytest.raises(MalformedEvent):
        POLLS.one(bad)
    assert POLLS.many([OPENED, VOTED]) == [POLLS.one(OPENED), POLLS.one(VOTED)]


def test_an_error_about_personal_data_does_not_repeat_it():
    with pytest.raises(MalformedEvent, match=r"data\.comment is Personal") as raised:
        POLLS.one(MALFORMED["personal data in the clear"])
    assert "It was me" not in str(raised.value)


def test_a_record_without_type_is_refused_by_a_topic_of_one_type_too():
    assert NOTICES.one(POSTED).data == NoticePosted("n1")
    with pytest.raises(MalformedEvent, match="type"):
        NOTICES.one(changed(POSTED, type=None))


@pytest.mark.parametrize("type_", ["poll.closed", "notice.posted", ""])
def test_a_type_of_another_topic_is_unknown(type_: str):
    with pytest.raises(UnknownEventType, match=repr(type_)):
        POLLS.one(changed(OPENED, type=type_))
    with pytest.raises(MalformedEvent):
        POLLS.many([OPENED, changed(OPENED, type=type_)])


def test_halves_of_a_record_are_not_put_together():
    first, second = b'{"a":[1', OPENED + b"," + OPENED
    with pytest.raises(MalformedEvent):
        POLLS.many([second, first, b"2]}"])
    cut = OPENED.index(b',"source"')
    with pytest.raises(MalformedEvent):
        POLLS.many([OPENED[:cut], OPENED[cut + 1 :], OPENED + b"," + OPENED])


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_errors_of_this_room(value: bytes):
    with pytest.raises((MalformedEvent, UnknownEventType)):
        POLLS.one(value)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VOTES = st.builds(
    PollVoted,
    poll=TEXTS,
    voter=TEXTS.map(Subject),
    option=st.integers(0, 2**63 - 1),
    via=st.sampled_from(["web", "app"]),
)
OPENINGS = st.builds(
    PollOpened,
    poll=TEXTS,
    options=st.lists(st.builds(Option, TEXTS, st.integers(-(2**63), 2**63 - 1))),
    invited=st.lists(TEXTS.map(Mention)),
)
# RFC 3339 writes offsets in whole minutes.
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
EVENTS = st.builds(
    enveloped,
    VOTES | OPENINGS,
    id=TEXTS,
    source=TEXTS,
    tenant=TEXTS,
    time=st.datetimes(timezones=ZONES),
    cause=st.none() | TEXTS,
    ordinal=st.integers(0, 2**31 - 1),
    traceparent=st.none() | TEXTS,
    sealed=st.none() | TEXTS,
)


@given(st.lists(EVENTS))
def test_what_was_encoded_is_decoded_again(events: list[Any]):
    values = [encode(event) for event in events]
    assert POLLS.many(values) == events
    assert [POLLS.one(value) for value in values] == events
