"""The catalog: every topic and event type, collected from the modules that declare them."""

import inspect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Union

import msgspec

from schemas.envelope import Envelope, Event, envelope_struct
from schemas.errors import DeclarationError, MalformedEvent, UnknownEventType
from schemas.event import Data, EventType, event_type_of
from schemas.fields import field_types
from schemas.topic import Topic


class Catalog:
    """Topics and event types, by name.

    Raises:
        DeclarationError: two declarations contradict each other.
    """

    def __init__(self, types: Iterable[EventType]) -> None:
        self.topics: dict[str, Topic] = {}
        self.types: dict[str, EventType] = {}
        self._of_topic: defaultdict[str, list[EventType]] = defaultdict(list)
        for type_ in types:
            self._add(type_)
        self._envelopes = {t.data: envelope_struct(t) for t in self.types.values()}
        self._decoders: dict[str, TopicDecoder] = {}

    @classmethod
    def of(cls, *modules: ModuleType) -> "Catalog":
        """The catalog of all event types that these modules declare."""
        return cls(
            event_type_of(member)
            for module in modules
            for member in vars(module).values()
            if inspect.isclass(member)
            and issubclass(member, Data)
            and "__event_type__" in vars(member)
            and member.__module__ == module.__name__
        )

    def types_of(self, topic: str) -> Sequence[EventType]:
        """The event types of a topic, in the order of their declaration."""
        return self._of_topic[topic]

    def envelope(self, data: type[Data]) -> type[Envelope]:
        """The envelope struct of an event type.

        Raises:
            DeclarationError: the type is not in this catalog.
        """
        try:
            return self._envelopes[data]
        except KeyError:
            raise DeclarationError(f"{data.__name__} is not in the catalog") from None

    def decoder(self, topic: str) -> "TopicDecoder":
        """The decoder of a topic's records."""
        if topic not in self._decoders:
            self._decoders[topic] = TopicDecoder(
                [self._envelopes[t.data] for t in self.types_of(topic)]
            )
        return self._decoders[topic]

    def _add(self, type_: EventType) -> None:
        topic = self.topics.setdefault(type_.topic.name, type_.topic)
        if topic != type_.topic:
            raise DeclarationError(f"topic {topic.name} is declared twice, differently")
        if type_.name in self.types:
            raise DeclarationError(f"event type {type_.name} is declared twice")
        for other in self._of_topic[topic.name]:
            _refuse_conflicting_fields(type_, other)
        self.types[type_.name] = type_
        self._of_topic[topic.name].append(type_)


def _refuse_conflicting_fields(one: EventType, other: EventType) -> None:
    """A topic is one table of the lake, so a field name has one type within it."""
    theirs = field_types(other.data)
    for name, annotation in field_types(one.data).items():
        if name in theirs and _not_none(theirs[name]) != _not_none(annotation):
            raise DeclarationError(
                f"{one.name}.{name} and {other.name}.{name} share a topic, so they need one type"
            )


def _not_none(annotation: Any) -> frozenset[Any]:
    """The alternatives of an annotation, without None."""
    parts = getattr(annotation, "__args__", ()) if _is_union(annotation) else (annotation,)
    return frozenset(part for part in parts if part is not type(None))


def _is_union(annotation: Any) -> bool:
    return type(None) in getattr(annotation, "__args__", ())


class TopicDecoder:
    """Decodes the records of one topic into envelopes."""

    def __init__(self, envelopes: Sequence[type[Envelope]]) -> None:
        union: Any = Union[tuple(envelopes)]  # noqa: UP007 — made of a tuple
        self._one = msgspec.json.Decoder(union)
        self._many = msgspec.json.Decoder(list[union])
        self._tags = {envelope.__struct_config__.tag for envelope in envelopes}

    def many(self, values: Sequence[bytes]) -> list[Event[Any]]:
        """Decode a batch in one call.

        Raises:
            MalformedEvent: at least one record is; `one` tells which.
        """
        try:
            events: list[Event[Any]] = self._many.decode(b"[" + b",".join(values) + b"]")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedEvent(str(error)) from error
        if len(events) != len(values):
            raise MalformedEvent("a record holds more than one JSON value")
        return events

    def one(self, value: bytes) -> Event[Any]:
        """Decode one record.

        Raises:
            UnknownEventType: its type is not one of this topic.
            MalformedEvent: anything else is wrong with it.
        """
        try:
            event: Event[Any] = self._one.decode(value)
            return event
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            type_ = _type_of(value)
            if type_ is not None and type_ not in self._tags:
                raise UnknownEventType(f"event type {type_!r} is not one of this topic") from error
            raise MalformedEvent(str(error)) from error


class _Tagged(msgspec.Struct):
    type: str


_decode_tag = msgspec.json.Decoder(_Tagged).decode


def _type_of(value: bytes) -> str | None:
    try:
        return _decode_tag(value).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
