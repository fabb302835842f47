"""The catalog: every topic and event type, collected from the modules that declare them."""

import inspect
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Annotated, Any, Union

import msgspec

from schemas.envelope import Envelope, Event, envelope_struct
from schemas.errors import DeclarationError, MalformedEvent, UnknownEventType
from schemas.event import Data, EventType, event_type_of
from schemas.fields import field_types, without_none
from schemas.topic import Topic


class Catalog:
    """Topics and event types, by name.

    Raises:
        DeclarationError: two declarations contradict each other.
    """

    def __init__(self, types: Iterable[EventType]) -> None:
        self.topics: dict[str, Topic] = {}
        self.types: dict[str, EventType] = {}
        self._of_topic: dict[str, list[EventType]] = {}
        for type_ in types:
            self._declare(type_)
        self._broadcast()
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
        """The event types of a topic, in the order of their declaration, then broadcast ones.

        Raises:
            DeclarationError: the topic is not in this catalog.
        """
        try:
            return self._of_topic[topic]
        except KeyError:
            raise DeclarationError(f"topic {topic!r} is not in the catalog") from None

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
        """The decoder of a topic's records.

        Raises:
            DeclarationError: the topic is not in this catalog.
        """
        if topic not in self._decoders:
            self._decoders[topic] = TopicDecoder(
                [self._envelopes[t.data] for t in self.types_of(topic)]
            )
        return self._decoders[topic]

    def _declare(self, type_: EventType) -> None:
        topic = self.topics.setdefault(type_.topic.name, type_.topic)
        if topic != type_.topic:
            raise DeclarationError(f"topic {topic.name} is declared twice, differently")
        if type_.name in self.types:
            raise DeclarationError(f"event type {type_.name} is declared twice")
        self.types[type_.name] = type_
        self._add(type_, topic.name)

    def _broadcast(self) -> None:
        """Add the broadcast types to every topic whose events name persons."""
        broadcast = [type_ for type_ in self.types.values() if type_.broadcast]
        for topic, types in self._of_topic.items():
            if any(type_.subject or type_.mentions for type_ in types):
                for type_ in broadcast:
                    if type_ not in types:
                        self._add(type_, topic)

    def _add(self, type_: EventType, topic: str) -> None:
        types = self._of_topic.setdefault(topic, [])
        for other in types:
            _refuse_conflicting_fields(type_, other)
        types.append(type_)


def _refuse_conflicting_fields(one: EventType, other: EventType) -> None:
    """A topic is one table of the lake, so a field name has one type within it."""
    theirs = field_types(other.data)
    for name, annotation in field_types(one.data).items():
        if name in theirs and without_none(theirs[name]) != without_none(annotation):
            raise DeclarationError(
                f"{one.name}.{name} and {other.name}.{name} share a topic, so they need one type"
            )


class _Never(Envelope, tag=""):
    """A type that no record has.

    A struct that is alone is decoded without its tag, too; one of a union never is.
    """

    never: Annotated[int, msgspec.Meta(gt=0, lt=0)]


class TopicDecoder:
    """Decodes the records of one topic into envelopes."""

    def __init__(self, envelopes: Sequence[type[Envelope]]) -> None:
        union: Any = Union[(_Never, *envelopes)]
        self._decode = msgspec.json.Decoder(union).decode
        self._tags = {envelope.__struct_config__.tag for envelope in envelopes}
        data_types = [field_types(envelope)["data"] for envelope in envelopes]
        self._personal = {
            data: personal for data in data_types if (personal := event_type_of(data).personal)
        }

    def many(self, values: Sequence[bytes]) -> list[Event[Any]]:
        """Decode a batch.

        Raises:
            MalformedEvent: at least one record is; `one` tells which.
        """
        try:
            events: list[Event[Any]] = list(map(self._decode, values))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedEvent(str(error)) from error
        if self._personal:
            for event in events:
                self._refuse_clear(event)
        return events

    def one(self, value: bytes) -> Event[Any]:
        """Decode one record.

        Raises:
            UnknownEventType: its type is not one of this topic.
            MalformedEvent: anything else is wrong with it.
        """
        try:
            event: Event[Any] = self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            type_ = _type_of(value)
            if type_ is not None and type_ not in self._tags:
                raise UnknownEventType(f"event type {type_!r} is not one of this topic") from error
            raise MalformedEvent(str(error)) from error
        self._refuse_clear(event)
        return event

    def _refuse_clear(self, event: Event[Any]) -> None:
        for field in self._personal.get(type(event.data), ()):
            if getattr(event.data, field) is not None:
                raise MalformedEvent(f"data.{field} is Personal, so it must be sealed")


class _Tagged(msgspec.Struct):
    type: str


_decode_tag = msgspec.json.Decoder(_Tagged).decode


def _type_of(value: bytes) -> str | None:
    try:
        return _decode_tag(value).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
