from typing import Any, NamedTuple

import msgspec
import pytest
from sample_events import POLLS, Option, PollOpened, PollVoted, declared

from schemas.errors import DeclarationError
from schemas.event import Data, event, event_type_of
from schemas.fields import Mention, Personal, Subject


def test_an_event_type_knows_what_was_declared():
    described = event_type_of(PollVoted)
    assert described.name == "poll.voted"
    assert (described.topic, described.key) == (POLLS, "poll")
    assert (described.subject, described.mentions) == ("voter", ())
    assert described.personal == ("comment",)
    assert event_type_of(PollOpened).mentions == ("invited",)


def test_an_event_type_finds_key_and_subject_in_data():
    vote = PollVoted(poll="lunch", voter=Subject("5f0c"), option=1)
    assert event_type_of(PollVoted).key_of(vote) == "lunch"
    assert event_type_of(PollVoted).subject_of(vote) == "5f0c"
    assert event_type_of(PollOpened).subject_of(PollOpened("lunch", [])) is None


def test_a_topic_may_be_given_by_name():
    @event("tea.made", topic="tea", key="pot")
    class TeaMade(Data):
        """There is tea."""

        pot: str

    assert event_type_of(TeaMade).topic.name == "tea"
    assert not event_type_of(TeaMade).internal


def test_data_cannot_be_changed():
    with pytest.raises(AttributeError):
        PollOpened("lunch", []).poll = "dinner"


class Undecorated(Data):
    """Nobody said what this is."""


class Inherited(PollOpened):
    """A subclass is not the event type that its base is."""


@pytest.mark.parametrize("data", [Undecorated, Inherited, Data])
def test_a_class_without_event_is_no_event_type(data: type[Data]):
    with pytest.raises(DeclarationError, match="decorate it with @event"):
        event_type_of(data)


@pytest.mark.parametrize(
    "name", ["clicked", "Link.clicked", "link.", "link..clicked", "link.clicked_", "link-x.clicked"]
)
def test_a_type_is_named_like_link_clicked(name: str):
    with pytest.raises(DeclarationError, match=r"write it like 'link\.clicked'"):
        event(name, topic="polls", key="poll")(PollOpened)


class Person(msgspec.Struct):
    name: Personal[str]
    boss: "Person | None" = None


class Pair(NamedTuple):
    one: Subject
    other: int


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a key that is no field": ({"id": str}, "key 'key' is not one of its fields"),
    "a personal key": (
        {"who": Subject, "key": (Personal[str] | None, None)},
        "is Personal, but keys",
    ),
    "a key that may be absent": ({"key": (str | None, None)}, "may not be None"),
    "a key that is a union": ({"key": str | int}, "nor a union"),
    "two subjects": ({"key": str, "a": Subject, "b": Subject}, "not a, b"),
    "a list of subjects": ({"key": str, "a": list[Subject]}, r"list\[Mention\]"),
    "a personal subject": (
        {"key": str, "a": (Personal[Subject] | None, None)},
        r"write Subject or Subject \| None",
    ),
    "personal data of nobody": (
        {"key": str, "text": (Personal[str] | None, None)},
        "need a Subject",
    ),
    "personal data that must be there": (
        {"key": str, "who": Subject, "text": Personal[str]},
        "must be optional",
    ),
    "personal data with a default": (
        {"key": str, "who": Subject, "text": (Personal[str], "")},
        "must be optional",
    ),
    "personal data within a struct": (
        {"key": str, "who": Subject, "friends": list[Person]},
        r"something\.happened\.friends: .* not those of a struct",
    ),
    "a subject within a named tuple": ({"key": str, "pair": Pair}, r"happened\.pair"),
}

ENCODINGS = (
    {"rename": "camel"},
    {"array_like": True},
    {"tag": True},
    {"forbid_unknown_fields": True},
)


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_a_declaration_is_refused_for(fields: dict[str, Any], message: str):
    with pytest.raises(DeclarationError, match=message):
        declared("something.happened", fields)


@pytest.mark.parametrize("config", ENCODINGS)
def test_data_is_an_object_of_its_fields_names_that_may_grow(config: dict[str, Any]):
    with pytest.raises(DeclarationError, match="must encode as Data does"):
        declared("something.happened", {"key": str, "a_b": str}, **config)


def test_an_event_type_needs_a_docstring():
    class Mute(Data):
        key: str

    with pytest.raises(DeclarationError, match="what happened"):
        event("mute.happened", topic="things", key="key")(Mute)


@pytest.mark.parametrize(
    "fields",
    [
        {"key": Subject},
        {"key": int, "who": (Subject | None, None), "seen": (dict[str, list[Mention]], {})},
        {"key": str, "who": Subject, "text": (Personal[list[Option]] | None, None)},
    ],
)
def test_other_fields_are_taken(fields: dict[str, Any]):
    assert declared("something.happened", fields).key == "key"
