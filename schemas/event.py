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
from schemas.fields import Mention, Subject, field_types, is_personal, mentions_type
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
    """

    name: str
    topic: Topic
    key: str
    data: type[Data]
    subject: str | None
    mentions: tuple[str, ...]
    personal: tuple[str, ...]
    internal: bool = False

    def key_of(self, data: Data) -> str:
        """The value of the field that events of this type are partitioned by."""
        return str(getattr(data, self.key))

    def subject_of(self, data: Data) -> Subject | None:
        """Whose event this is, if it is anybody's."""
        return getattr(data, self.subject) if self.subject else None


D = TypeVar("D", bound=type[Data])


def event(name: str, *, topic: Topic | str, key: str, internal: bool = False) -> Callable[[D], D]:
    """Register a struct as the event type `name` of a topic, partitioned by the field `key`.

    Args:
        internal: only the platform itself writes such events.

    Raises:
        DeclarationError: the declaration breaks a rule of the catalog.
    """

    def register(data: D) -> D:
        declared = topic if isinstance(topic, Topic) else Topic(topic)
        described = replace(_describe(name, declared, key, data), internal=internal)
        data.__event_type__ = described  # type: ignore[attr-defined]
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
    if not data.__doc__ or data.__doc__.startswith(f"{data.__name__}("):
        raise DeclarationError(f"{name}: {data.__name__} needs a docstring: what happened?")
    fields = field_types(data)
    if key not in fields:
        raise DeclarationError(f"{name}: key {key!r} is not a field of {data.__name__}")
    subjects = [field for field, annotation in fields.items() if mentions_type(annotation, Subject)]
    if len(subjects) > 1:
        raise DeclarationError(f"{name}: one field may be the Subject, not {', '.join(subjects)}")
    personal = _personal_fields(name, data, fields)
    if personal and not subjects:
        raise DeclarationError(
            f"{name}: Personal fields need a Subject, under whose key they are sealed"
        )
    return EventType(
        name=name,
        topic=topic,
        key=key,
        data=data,
        subject=subjects[0] if subjects else None,
        mentions=tuple(f for f, annotation in fields.items() if mentions_type(annotation, Mention)),
        personal=personal,
    )


def _personal_fields(name: str, data: type[Data], fields: dict[str, Any]) -> tuple[str, ...]:
    personal = tuple(field for field, annotation in fields.items() if is_personal(annotation))
    defaults = {f.name: f.default for f in msgspec.structs.fields(data)}
    for field in personal:
        if defaults[field] is not None:
            raise DeclarationError(
                f"{name}: Personal field {field!r} must be optional, with None as its default"
            )
    return personal
