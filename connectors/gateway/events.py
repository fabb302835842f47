"""`POST /api/v1/events`: what happened elsewhere, as CloudEvents."""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, post
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.params import FromQuery

from connectors.gateway.given import Intake, Log
from connectors.gateway.intake import CONTENT_TYPES, split
from connectors.gateway.problems import FieldError, Problem


class AppendedEvent(msgspec.Struct):
    """Where an event is.

    Attributes:
        index: which of the posted events it is.
    """

    index: int
    id: str
    position: str


class PostedEvents(msgspec.Struct):
    """What became of posted events.

    Attributes:
        errors: what is wrong with those that were not taken.
    """

    events: list[AppendedEvent]
    errors: list[FieldError]


@dataclass
class _PostEvents(Operation):
    """The operation's description; the body is read by hand, so Litestar cannot know of it."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            description="One CloudEvent, an array of them, or one per line.",
            content={name: OpenAPIMediaType(schema=Schema()) for name in CONTENT_TYPES},
            required=True,
        )


@post(
    "/api/v1/events",
    scope="events:write",
    status_code=202,
    tags=["events"],
    operation_class=_PostEvents,
)
async def post_events(
    request: Request[Any, Any, Any], log: Log, intake: Intake, partial: FromQuery[bool] = False
) -> PostedEvents:
    """Append events, all or none; with `partial`, those that are not refused.

    Persons are named in `data` as the tenant names them; the log knows pseudonyms only. With an
    `Idempotency-Key`, events that come again with the same bytes at the same place of the request
    are dropped for 7 days, on topics that are deduplicated; others under that key are new ones.
    """
    posted = split(await request.body(), request.content_type[0])
    taken, errors = await asyncio.to_thread(intake.take, posted, log.origin, log.ids)
    if errors and not (partial and taken):
        raise Problem(400, f"{len(errors)} of {len(posted)} events are refused", errors=errors)
    positions = await log.append_entries([event.entry for event in taken])
    appended = [
        AppendedEvent(event.index, event.id, str(position))
        for event, position in zip(taken, positions, strict=True)
    ]
    return PostedEvents(appended, errors)
