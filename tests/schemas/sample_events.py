"""Event types that the tests of this room share."""

from datetime import UTC, datetime
from types import new_class
from typing import Annotated, Any, Literal

import msgspec

from schemas.catalog import Catalog
from schemas.envelope import Envelope
from schemas.event import Data, EventType, event, event_type_of
from schemas.fields import Mention, Personal, Subject
from schemas.topic import Topic

POLLS = Topic("polls", partitions=8, retention_days=90)
NOTICES = Topic("notices", partitions=1, archived=False, retention_days=7, compacted=True)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Option(msgspec.Struct):
    """What can be chosen."""

    label: str
    weight: int = 1


@event("poll.opened", topic=POLLS, key="poll")
class PollOpened(Data):
    """A poll can be voted on."""

    poll: str
    options: list[Option]
    invited: list[Mention] = msgspec.field(default_factory=list)


@event("poll.voted", topic=POLLS, key="poll")
class PollVoted(Data):
    """A voter chose an option, instead of whatever they chose before."""

    poll: str
    voter: Subject
    option: Annotated[int, msgspec.Meta(ge=0)]
    via: Literal["web", "app"] = "web"
    comment: Personal[str] | None = None


@event("notice.posted", topic=NOTICES, key="notice")
class NoticePosted(Data):
    """Everybody may read something."""

    notice: str


@event("person.forgotten", topic="forgotten", key="person", broadcast=True)
class PersonForgotten(Data):
    """A person leaves everywhere."""

    person: Subject


TYPES: tuple[type[Data], ...] = (PollOpened, PollVoted, NoticePosted, PersonForgotten)
CATALOG = Catalog(event_type_of(type_) for type_ in TYPES)


def declared(
    name: str,
    fields: dict[str, Any],
    *,
    topic: Topic | str = "things",
    key: str = "key",
    **config: Any,
) -> EventType:
    """An event type made of its fields: annotations, or pairs of an annotation and a default."""
    pairs = {n: a if isinstance(a, tuple) else (a,) for n, a in fields.items()}
    namespace = {n: default for n, (_, *defaults) in pairs.items() for default in defaults}
    namespace |= {
        "__doc__": "Something happened.",
        "__annotations__": {n: annotation for n, (annotation, *_) in pairs.items()},
    }
    class_name = name.title().replace(".", "").replace("_", "")
    data = new_class(class_name, (Data,), config, lambda body: body.update(namespace))
    return event_type_of(event(name, topic=topic, key=key)(data))


def enveloped(data: Data, catalog: Catalog = CATALOG, **attributes: Any) -> Any:
    """Data in an envelope of its own, as the log has it."""
    envelope: type[Envelope] = catalog.envelope(type(data))
    given = {
        "specversion": "1.0",
        "id": "0195513a-9c00-7000-8000-000000000000",
        "source": "tests",
        "time": NOON,
        "tenant": "acme",
        "subject": event_type_of(type(data)).subject_of(data),
    }
    return envelope(**(given | attributes | {"data": data}))
