"""The routes that make links."""

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, JSONBody

from connectors.gateway.given import Caller, Log
from connectors.gateway.links.api import LinkApi
from connectors.gateway.links.bodies import (
    BulkLink,
    BulkLinks,
    NewLink,
    NewLinks,
    ShownLink,
)
from connectors.gateway.links.client import Client, client_of_request
from connectors.gateway.links.creation import Asked, Made, Refused, Undecided, taken
from connectors.gateway.log import Accepted
from connectors.gateway.openapi import Answer
from connectors.gateway.problems import FieldError, Problem
from streams.errors import RuleBroken
from streams.log import Position
from streams.sealing import Origin

_MAX_BULK_BYTES = 16 << 20

Links = NamedDependency[LinkApi]
From = NamedDependency[Client]


async def client(request: Request[Any, Any, Any], caller: Caller, log: Log, links: Links) -> Client:
    """Who calls."""
    return client_of_request(request, caller, log.origin.time, links.trusted_proxies)


CLIENT = {"client": Provide(client)}


_CREATED = {
    200: Answer("The link of this `external_id` was changed.", ShownLink),
    201: Answer("The link was made.", ShownLink),
    202: Answer("It is not decided yet; it is when this position has been applied.", Accepted),
}


@post("/api/v1/urls", scope="links:write", dependencies=CLIENT, answers=_CREATED, tags=["links"])
async def create(
    data: JSONBody[NewLink], client: From, log: Log, links: Links
) -> Response[ShownLink | Accepted]:
    """Make a short link.

    201 when it is decided who has the key; 202 with a position if that takes longer than 5 s. The
    target's redirects are followed, and the link leads to where they end.

    With an `external_id` that is in use the link is changed instead (200): it gets everything that
    is in the body, and keeps its key, its time of creation and whether it is disabled. With an
    `Idempotency-Key` the same request makes one link, however often it comes within 7 days;
    another request with that key is a 422.
    """
    origin = log.origin
    await links.admit(client, [data], origin)
    try:
        wanted = await links.checks.led(await links.checks.new(data, origin.time))
    except RuleBroken as broken:
        note(broken, client, origin, links)
        raise
    asked = await links.asked(data, wanted, client)
    (outcome,) = await links.creation.create([asked], origin)
    if isinstance(outcome, Refused):
        error = _error(outcome)
        raise Problem(outcome.status, f"{error.field}: {error.message}", errors=[error])
    headers = located(outcome.position)
    if isinstance(outcome, Undecided):
        return Response(Accepted(str(outcome.position)), status_code=202, headers=headers)
    made = await _shown(outcome, data, client, links)
    headers["Location"] = f"/api/v1/urls/{made.key}"
    return Response(made, status_code=201 if outcome.is_new else 200, headers=headers)


@post(
    "/api/v1/urls/bulk",
    scope="links:write",
    dependencies=CLIENT,
    request_max_body_size=_MAX_BULK_BYTES,
    tags=["links"],
)
async def create_many(
    data: JSONBody[NewLinks],
    client: From,
    log: Log,
    links: Links,
    partial: FromQuery[bool] = False,
) -> BulkLinks:
    """Make up to 1,000 short links, all or none; with `partial`, those that are not refused.

    Nothing is fetched: the links lead to the very targets that are given. Who has an alias is
    decided last, so one that somebody else claims at this moment is refused alone.
    """
    origin = log.origin
    await links.admit(client, data.urls, origin)
    asked, errors = await _checked(data, client, origin, links)
    if errors and not (partial and asked):
        detail = f"{len(errors)} of {len(data.urls)} links are refused"
        raise Problem(400, detail, errors=errors)
    outcomes = await links.creation.create(list(asked.values()), origin)
    made = []
    for index, outcome in zip(asked, outcomes, strict=True):
        if isinstance(outcome, Refused):
            errors.append(_error(outcome, index))
            continue
        link = BulkLink(index, position=str(outcome.position))
        if isinstance(outcome, Made):
            link.url = await _shown(outcome, data.urls[index], client, links)
        made.append(link)
    return BulkLinks(made, errors)


def located(position: Position) -> dict[str, str]:
    """The header that says what a read must not be older than."""
    return {"Sixfold-Position": str(position)}


async def _checked(
    data: NewLinks, client: Client, origin: Origin, links: LinkApi
) -> tuple[dict[int, Asked], list[FieldError]]:
    """Those of many links that may be made, and what is wrong with the others."""
    asked: dict[int, Asked] = {}
    aliases: set[str | None] = set()
    errors = []
    for index, body in enumerate(data.urls):
        try:
            wanted = await links.checks.new(body, origin.time)
            one = await links.asked(body, wanted, client, index)
            alias = one.wanted.alias
            if alias in aliases or not await links.creation.is_free(one, origin.tenant):
                raise RuleBroken("custom_alias", taken(alias or ""))
            asked[index] = one
            aliases |= {alias} - {None}
        except RuleBroken as broken:
            note(broken, client, origin, links)
            errors.append(FieldError(broken.field, broken.reason, index))
    return asked, errors


def note(broken: RuleBroken, client: Client, origin: Origin, links: LinkApi) -> None:
    """Watch who is refused targets: they may be looking for a way to harm others."""
    if broken.field == "long_url":
        links.quotas.refused(client, origin)


def _error(refused: Refused, index: int | None = None) -> FieldError:
    return FieldError(refused.field, refused.message, index)


async def _shown(made: Made, body: NewLink, client: Client, links: LinkApi) -> ShownLink:
    (opened,) = await links.opened([made.link])
    link = client.shown(opened)
    if body.custom_alias not in (None, link.key):
        kept = f"the link of this external_id keeps its key: {body.custom_alias!r} was not claimed"
        link.warnings.append(kept)
    return link


ROUTES = (create, create_many)
