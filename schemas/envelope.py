"""The envelope of every record: CloudEvents 1.0, structured mode, as one JSON object.

One struct per event type, all tagged by `type`, so that msgspec decodes the records of one topic
into their union.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar, cast

import msgspec

from schemas.event import Data, EventType

# The tenant of events that are the platform's own: dead letters, erasures, its own settings.
PLATFORM_TENANT = "platform"

SPECVERSION: Final = "1.0"
CONTENT_TYPE = "application/cloudevents+json"


class Envelope(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="type"):
    """What every event carries beside its data.

    Attributes:
        id: a UUIDv7, or derived with the same layout; the same event has the same id.
        source: who wrote it: a client, `import/…`, or the fold that derived it.
        time: when it happened (not when it was appended).
        tenant: whose customer's data this is.
        subject: the pseudonym whose event this is.
        cause: the position it was derived from, `topic/partition/offset`.
        ordinal: which of the events that its cause brought about this one is, from 0.
        traceparent: W3C Trace Context.
        sealed: its `Personal` fields, sealed under the subject's key (base64).
    """

    specversion: Literal["1.0"]
    id: str
    source: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    tenant: str
    subject: str | None = None
    cause: str | None = None
    ordinal: int = 0
    traceparent: str | None = None
    sealed: str | None = None


D_co = TypeVar("D_co", bound=Data, covariant=True)


class Event(Protocol[D_co]):
    """An envelope with its data, as folds see it; the fields are `Envelope`'s."""

    id: str
    source: str
    time: datetime
    tenant: str
    subject: str | None
    cause: str | None
    ordinal: int
    traceparent: str | None
    sealed: str | None

    @property
    def data(self) -> D_co:
        """What happened."""


def envelope_struct(type_: EventType) -> type[Envelope]:
    """The struct that envelopes of one event type decode into."""
    struct = msgspec.defstruct(
        f"{type_.data.__name__}Event",
        [("data", type_.data)],
        bases=(Envelope,),
        module=type_.data.__module__,
        tag=type_.name,
        kw_only=True,
        omit_defaults=True,
        gc=False,
    )
    return cast(type[Envelope], struct)


def encode(event: Event[Any]) -> bytes:
    """An envelope as the value of a record."""
    return _encode(event)


_encode = msgspec.json.Encoder().encode
