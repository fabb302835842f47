import sys
from datetime import datetime
from types import ModuleType
from typing import Any

import pytest
from sample_events import (
    CATALOG,
    NOTICES,
    POLLS,
    TYPES,
    NoticePosted,
    PersonForgotten,
    PollOpened,
    declared,
)

from schemas.catalog import Catalog
from schemas.errors import DeclarationError
from schemas.event import event_type_of
from schemas.fields import Personal, Subject
from schemas.topic import Topic

KEY: dict[str, Any] = {"key": str}


def test_the_catalog_of_modules_has_what_they_declare_themselves():
    module = sys.modules[PollOpened.__module__]
    elsewhere = ModuleType("elsewhere")
    elsewhere.PollOpened = PollOpened  # imported, not declared
    catalog = Catalog.of(elsewhere, module)
    assert set(catalog.types) == {event_type_of(type_).name for type_ in TYPES}
    assert not Catalog.of(elsewhere).types


def test_the_catalog_knows_topics_and_their_types():
    assert CATALOG.topics["polls"] == POLLS
    assert CATALOG.topics["notices"] == NOTICES
    names = [type_.name for type_ in CATALOG.types_of("polls")]
    assert names == ["poll.opened", "poll.voted", "person.forgotten"]


def test_broadcast_types_are_in_topics_that_name_persons_only():
    forgotten = event_type_of(PersonForgotten)
    assert forgotten in CATALOG.types_of("polls")
    assert list(CATALOG.types_of("forgotten")) == [forgotten]
    assert list(CATALOG.types_of("notices")) == [event_type_of(NoticePosted)]


def test_what_is_not_in_the_catalog_is_an_error():
    with pytest.raises(DeclarationError, match="'nowhere' is not in the catalog"):
        CATALOG.types_of("nowhere")
    with pytest.raises(DeclarationError, match="'nowhere' is not in the catalog"):
        CATALOG.decoder("nowhere")
    with pytest.raises(DeclarationError, match="PollOpened is not in the catalog"):
        Catalog([]).envelope(PollOpened)


def test_a_topic_is_declared_in_one_way():
    other = Topic("things", partitions=1)
    with pytest.raises(DeclarationError, match="topic things is declared twice, differently"):
        Catalog([declared("a.a", KEY), declared("b.b", KEY, topic=other)])


def test_an_event_type_is_declared_once():
    with pytest.raises(DeclarationError, match=r"a\.a is declared twice"):
        Catalog([declared("a.a", KEY), declared("a.a", KEY, topic="others")])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (str, int),
        (str | None, int | None),
        (str, Subject),
        (list[str], list[int]),
        (str, dict[str, None]),
        (str | int, str),
    ],
)
def test_a_field_has_one_type_within_a_topic(one: Any, other: Any):
    with pytest.raises(DeclarationError, match=r"b\.b\.at and a\.a\.at share a topic"):
        Catalog([declared("a.a", KEY | {"at": one}), declared("b.b", KEY | {"at": other})])


def test_a_field_is_personal_in_all_types_of_a_topic_or_in_none():
    personal = KEY | {"who": Subject, "at": (Personal[str] | None, None)}
    with pytest.raises(DeclarationError, match=r"b\.b\.at and a\.a\.at share a topic"):
        Catalog([declared("a.a", KEY | {"at": str}), declared("b.b", personal)])


def test_the_same_field_may_be_optional_in_one_type_and_not_in_another():
    some = KEY | {"at": datetime | None, "of": str | int}
    more = KEY | {"at": datetime, "of": int | None | str}
    assert len(Catalog([declared("a.a", some), declared("b.b", more)]).types) == 2


def test_the_same_field_may_differ_between_topics():
    some, more = KEY | {"at": datetime}, KEY | {"at": str}
    assert Catalog([declared("a.a", some), declared("b.b", more, topic="others")]).topics
