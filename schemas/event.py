"""Event types: a class per type, registered by `@event`.

@event("link.clicked", topic=CLICKS, key="link")
class LinkClicked(Data):
    \"""A short link was followed.\"""

    link: str
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from schemas.errors import DeclarationError
from schemas.fields import (
    Mention,
    Subject,
    field_types,
    is_marked,
    is_personal,
    is_plain_index,
    mentions_type,
    walk,
    without_none,
)
from schemas.frozen import Frozen
from schemas.topic import Topic

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+")


class Data(Frozen, omit_defaults=True):
    """Base class of what an event says: the `data` of its CloudEvent."""


@dataclass(frozen=True, slots=True)
class EventType:
    """What the catalog knows of one event type.

    Attributes:
        internal: only the platform itself writes such events; clients may not post them.
        broadcast: also appended to all other topics whose events name persons.
    """

    name: str
    topic: Topic
    key: str
    data: type[Data]
    subject: str | None
    mentions: tuple[str, ...]
    personal: tuple[str, ...]
    internal: bool = False
    broadcast: bool = False

    def key_of(self, data: Data) -> str:
        """The value of the field that events of this type are partitioned by."""
        return str(getattr(data, self.key))

    def subject_of(self, data: Data) -> Subject | None:
        """Whose event this is, if it is anybody's."""
        return getattr(data, self.subject) if self.subject else None


D = TypeVar("D", bound=type[Data])


def event(
    name: str,
    *,
    topic: Topic | str,
    key: str,
    internal: bool = False,
    broadcast: bool = False,
) -> Callable[[D], D]:
    """Register a struct as the event type `name` of a topic, partitioned by the field `key`.

    Args:
        internal: only the platform itself writes such events.
        broadcast: records of this type are also in all other topics whose events name persons.

    Raises:
        DeclarationError: the declaration breaks a rule of the catalog.
    """

    def register(data: D) -> D:
        declared = topic if isinstance(topic, Topic) else Topic(topic)
        data.__event_type__ = replace(  # type: ignore[attr-defined]
            _describe(name, declared, key, data), internal=internal, broadcast=broadcast
        )
        return data

    return register


def event_type_of(data: type[Data]) -> EventType:
    """What `@event` registered for a class.

    Raises:
        DeclarationError: the class is not an event type.
    """
    described = data.__dict__.get("__event_type__")
    if not isinstance(described, EventType):
        raise DeclarationError(f"{data.__qualname__} is no event type: decorate it with @event")
    return described


def _describe(name: str, topic: Topic, key: str, data: type[Data]) -> EventType:
    if not _NAME.fullmatch(name):
        raise DeclarationError(f"event type {name!r}: write it like 'link.clicked'")
    if not data.__doc__:
        raise DeclarationError(f"{name}: {data.__name__} needs a docstring: what happened?")
    fields = field_types(data)
    _refuse_other_encodings(name, data)
    _refuse_marks_within_structs(name, fields)
    _check_key(name, key, fields)
    subject = _subject_field(name, fields)
    personal = _personal_fields(name, data, fields)
    if personal and not subject:
        raise DeclarationError(
            f"{name}: Personal fields need a Subject, under whose key they are sealed"
        )
    return EventType(
        name=name,
        topic=topic,
        key=key,
        data=data,
        subject=subject,
        mentions=tuple(f for f, annotation in fields.items() if mentions_type(annotation, Mention)),
        personal=personal,
    )


def _refuse_other_encodings(name: str, data: type[Data]) -> None:
    """Data is an object of its fields' names, and one with unknown fields can be read."""
    config = data.__struct_config__
    renamed = data.__struct_encode_fields__ != data.__struct_fields__
    if renamed or config.array_like or config.forbid_unknown_fields or config.tag is not None:
        raise DeclarationError(
            f"{name}: {data.__name__} must encode as Data does: without rename, array_like, tag or "
            "forbid_unknown_fields"
        )


def _refuse_marks_within_structs(name: str, fields: dict[str, Any]) -> None:
    """Sealing and erasure see the fields of data, and not what is within them."""
    for field, annotation in fields.items():
        structs = [part for part in walk(annotation) if isinstance(part, type)]
        if any(is_marked(part) for part in structs):
            raise DeclarationError(
                f"{name}.{field}: Subject, Mention and Personal mark fields of {name} itself, "
                "not those of a struct within it"
            )


def _check_key(name: str, key: str, fields: dict[str, Any]) -> None:
    if key not in fields:
        raise DeclarationError(f"{name}: key {key!r} is not one of its fields")
    if is_personal(fields[key]):
        raise DeclarationError(f"{name}: key {key!r} is Personal, but keys are not sealed")
    if without_none(fields[key]) != {fields[key]}:
        raise DeclarationError(f"{name}: key {key!r} may not be None, nor a union")


def _subject_field(name: str, fields: dict[str, Any]) -> str | None:
    subjects = [field for field, annotation in fields.items() if mentions_type(annotation, Subject)]
    if not subjects:
        return None
    if len(subjects) > 1:
        raise DeclarationError(f"{name}: one field may be the Subject, not {', '.join(subjects)}")
    if without_none(fields[subjects[0]]) != {Subject}:
        raise DeclarationError(
            f"{name}.{subjects[0]}: write Subject or Subject | None; for several persons, "
            "list[Mention]"
        )
    return subjects[0]


def _personal_fields(name: str, data: type[Data], fields: dict[str, Any]) -> tuple[str, ...]:
    personal = tuple(field for field, annotation in fields.items() if is_personal(annotation))
    defaults = {f.name: f.default for f in msgspec.structs.fields(data)}
    for field in personal:
        if is_plain_index(fields[field]):
            raise DeclarationError(f"{name}.{field}: events have no index: write Personal")
        if defaults[field] is not None:
            raise DeclarationError(
                f"{name}: Personal field {field!r} must be optional, with None as its default"
            )
    return personal
