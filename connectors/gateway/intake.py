"""Intake: posted CloudEvents become entries of the log, or are refused one by one.

Persons go by the names that the tenant has for them: fields that are a `Subject` or `Mention` of
the event type come with those names, and get the pseudonyms here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from connectors.gateway.idempotency import EventIds
from connectors.gateway.log import trace_of
from connectors.gateway.problems import FieldError, Problem, invalid
from schemas.catalog import Catalog
from schemas.event import Data, EventType
from schemas.patterns import VISIBLE_ASCII
from schemas.posted import posted_struct
from streams.errors import Erased
from streams.log import Entry
from streams.sealing import Origin, Sealer
from streams.vault import MAX_PERSON, Vault

_MAX_AHEAD = timedelta(minutes=5)

_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=VISIBLE_ASCII)]


class PostedEvent(msgspec.Struct, forbid_unknown_fields=True):
    """A CloudEvent as clients post it.

    It has no `subject`: whose event it is, its data says. `source` is the client's own name for
    where it comes from.
    """

    type: str
    data: msgspec.Raw
    specversion: Literal["1.0"] = "1.0"
    id: UUID | None = None
    source: _Short | None = None
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    tenant: str | None = None
    traceparent: str | None = None
    datacontenttype: Literal["application/json"] | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A posted event that is fit for the log."""

    index: int
    id: str
    entry: Entry


class Refused(Exception):
    """An event that is not."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.error = FieldError(field, message)


class Intake:
    """Checks and seals what clients post."""

    def __init__(
        self, catalog: Catalog, sealer: Sealer, vault: Vault, max_event_bytes: int
    ) -> None:
        self._catalog = catalog
        self._sealer = sealer
        self._vault = vault
        self._max_event_bytes = max_event_bytes

    def take(
        self, posted: Sequence[bytes], origin: Origin, ids: EventIds
    ) -> tuple[list[Taken], list[FieldError]]:
        """Those events that are fit, and what is wrong with the others.

        Blocks on the vault, so call it in a thread.
        """
        taken, errors = [], []
        for index, raw in enumerate(posted):
            try:
                taken.append(Taken(index, *self._take(raw, origin, ids.at(index, raw))))
            except Refused as refused:
                errors.append(msgspec.structs.replace(refused.error, index=index))
        return taken, errors

    def _take(self, raw: bytes, origin: Origin, id: str) -> tuple[str, Entry]:
        if len(raw) > self._max_event_bytes:
            raise Refused("data", f"an event may have {self._max_event_bytes} bytes")
        posted = _decoded(raw, PostedEvent, "")
        type_ = self._catalog.types.get(posted.type)
        if type_ is None:
            raise Refused("type", f"{posted.type!r} is no event type")
        if type_.internal:
            raise Refused("type", f"{posted.type!r} is written by the platform only")
        origin = _origin(posted, origin)
        data = self._pseudonymous(
            type_, _decoded(bytes(posted.data), posted_struct(type_.data), "data"), origin.tenant
        )
        if posted.id is not None:
            id = str(posted.id)
        try:
            return id, self._sealer.entry(data, origin, id)
        except Erased as erased:
            raise Refused(f"data.{type_.subject}", "this person was erased") from erased

    def _pseudonymous(self, type_: EventType, named: Data, tenant: str) -> Data:
        """The data with pseudonyms instead of names, as the event type itself."""
        values = {name: getattr(named, name) for name in named.__struct_fields__}
        persons = (type_.subject, *type_.mentions) if type_.subject else type_.mentions
        for name in persons:
            try:
                values[name] = _map_names(
                    values[name], lambda person: self._vault.pseudonym(tenant, person)
                )
            except Erased as erased:
                raise Refused(f"data.{name}", "this person was erased") from erased
            except ValueError as error:
                raise Refused(f"data.{name}", str(error)) from error
        if type_.subject and values[type_.subject] is None:
            for name in type_.personal:
                if values[name] is not None:
                    raise Refused(f"data.{name}", f"is personal, so {type_.subject} must be given")
        return type_.data(**values)


def split(body: bytes, content_type: str) -> list[bytes]:
    """The single events in a request's body.

    Raises:
        Problem: 415: a content type that holds no events; 400: it is not what it says.
    """
    match content_type:
        case "application/x-ndjson":
            events = [line for line in body.splitlines() if line.strip()]
        case "application/cloudevents+json":
            events = [body]
        case "application/cloudevents-batch+json":
            events = _elements(body)
        case "application/json" | "":
            events = _elements(body) if body.lstrip()[:1] == b"[" else [body]
        case _:
            raise Problem(415, f"{content_type}: {', '.join(CONTENT_TYPES)} are taken")
    if not events:
        raise Problem(400, "there is no event in it")
    return events


CONTENT_TYPES = (
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
)


def _elements(body: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        wrong = invalid(error)
        raise Problem(400, f"{wrong.field}: {wrong.message}", errors=[wrong]) from error


def _decoded(raw: bytes, type_: type[Any], root: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        wrong = invalid(error, root)
        raise Refused(wrong.field, wrong.message) from error


def _origin(posted: PostedEvent, request: Origin) -> Origin:
    """Where an event comes from: what it says, within what its request allows."""
    if posted.tenant is not None and posted.tenant != request.tenant:
        raise Refused("tenant", "is not the caller's: leave it out")
    if posted.time is not None and posted.time > request.time + _MAX_AHEAD:
        raise Refused("time", "is in the future")
    if posted.traceparent is not None and trace_of(posted.traceparent) is None:
        raise Refused("traceparent", "is malformed")
    return replace(
        request,
        source=f"{request.source}/{posted.source}" if posted.source else request.source,
        time=posted.time or request.time,
        traceparent=posted.traceparent or request.traceparent,
    )


def _map_names(value: Any, pseudonym: Callable[[str], str]) -> Any:
    """A name, or a list of them, with pseudonyms instead."""
    match value:
        case None:
            return None
        case str():
            if not 1 <= len(value) <= MAX_PERSON:
                raise ValueError(f"a person's name has 1 to {MAX_PERSON} characters")
            return pseudonym(value)
        case _:
            return type(value)(_map_names(part, pseudonym) for part in value)
