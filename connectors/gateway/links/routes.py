"""The API of short links: read, list, change, delete, count, draw."""

import asyncio
from datetime import date, datetime

from litestar import Response, delete, get, patch
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET

from connectors.gateway import qr
from connectors.gateway.given import Caller, Log, Paging, Views
from connectors.gateway.links import creation_routes
from connectors.gateway.links.api import own
from connectors.gateway.links.bodies import LinkPatch, ShownLink, ShownLinks
from connectors.gateway.links.creation import Undecided
from connectors.gateway.links.creation_routes import CLIENT, From, Links, located, note
from connectors.gateway.links.lists import Listed, links_of, rows_of
from connectors.gateway.links.stats import Granularity, Range, Stats, stats
from connectors.gateway.log import Accepted
from connectors.gateway.openapi import Answer
from streams.errors import RuleBroken
from streams.links.stats import DIMENSIONS
from streams.links.views import Link, LinkDay, LinkTotals
from streams.views import Page

_DRAWN = {"Cache-Control": "private, max-age=86400"}  # a short URL never changes


async def own_link(key: FromPath[str], caller: Caller, views: Views, links: Links) -> Link:
    """The link of a path; 404 if it is not the caller's."""
    return own(await views.get(Link, key) or await links.find(key), key, caller.tenant)


async def counted_link(key: FromPath[str], caller: Caller, links: Links) -> Link:
    """The same, for reads that are no older than what another view has applied."""
    return own(await links.find(key), key, caller.tenant)


async def listed(
    tag: FromQuery[str | None] = None,
    external_id: FromQuery[str | None] = None,
    since: FromQuery[datetime | None] = None,
    before: FromQuery[datetime | None] = None,
) -> Listed:
    """Which links to list."""
    return Listed.of(tag, external_id, since, before)


async def within(
    log: Log,
    since: FromQuery[date | None] = None,
    until: FromQuery[date | None] = None,
    granularity: FromQuery[Granularity] = Granularity.DAY,
) -> Range:
    """Which days to count, and how."""
    return Range.of(since, until, granularity, log.origin.time.date())


_CHANGED = {
    200: Answer("The link was changed.", ShownLink),
    202: Answer("It will be changed when this position has been applied.", Accepted),
}

_DELETED = {
    202: Answer(
        "The link will be deleted when the position in `Sixfold-Position` has been applied."
    ),
    204: Answer("The link was deleted."),
}

OwnLink = NamedDependency[Link]
_LINK = {"link": Provide(own_link)}
_COUNTED = {"link": Provide(counted_link), "within": Provide(within)}


@get(
    "/api/v1/urls",
    scope="links:read",
    dependencies={**CLIENT, "listed": Provide(listed)},
    tags=["links"],
)
async def list_links(
    client: From, views: Views, paging: Paging, links: Links, listed: NamedDependency[Listed]
) -> ShownLinks:
    """List links, newest first: all, those with a tag, or of some time; or that with an external id."""
    if listed.external_id is not None:
        link = await links.with_external_id(listed.external_id, client.caller.tenant)
        opened = await links.opened([link] if link else [])
        return ShownLinks([client.shown(link) for link in opened], None)
    rows, cursor = paging.cut(await rows_of(views, listed, paging.page))
    opened = await links.opened(await links_of(views, rows))
    return ShownLinks([client.shown(link) for link in opened], cursor)


@get("/api/v1/urls/{key:str}", scope="links:read", dependencies=CLIENT | _LINK, tags=["links"])
async def read(client: From, link: OwnLink, links: Links) -> ShownLink:
    """Show a link."""
    (opened,) = await links.opened([link])
    return client.shown(opened)


@patch(
    "/api/v1/urls/{key:str}",
    scope="links:write",
    dependencies=CLIENT | _LINK,
    answers=_CHANGED,
    tags=["links"],
)
async def change(
    data: JSONBody[LinkPatch], client: From, link: OwnLink, log: Log, links: Links
) -> Response[ShownLink | Accepted]:
    """Change a link; what is not in the body stays, and null takes a limit away.

    200 when it is changed, and within a second every gateway follows; 202 with a position if that
    takes longer than 5 s.
    """
    if data.long_url is not UNSET:  # to be looked at, like that of a new link
        links.quotas.pace(client, 1)
    try:
        outcome = await links.changes.change(link, data, log.origin)
    except RuleBroken as broken:
        note(broken, client, log.origin, links)
        raise
    headers = located(outcome.position)
    if isinstance(outcome, Undecided):
        return Response(Accepted(str(outcome.position)), status_code=202, headers=headers)
    (opened,) = await links.opened([outcome.link])
    return Response(client.shown(opened), headers=headers)


@delete(
    "/api/v1/urls/{key:str}",
    scope="links:delete",
    dependencies=_LINK,
    answers=_DELETED,
    tags=["links"],
)
async def remove(link: OwnLink, log: Log, links: Links) -> Response[None]:
    """Delete a link; its key is never given again.

    204 when it is deleted; 202 if that takes longer than 5 s.
    """
    outcome = await links.changes.delete(link, log.origin)
    status_code = 202 if isinstance(outcome, Undecided) else 204
    return Response(None, status_code=status_code, headers=located(outcome.position))


@get("/api/v1/urls/{key:str}/stats", scope="links:read", dependencies=_COUNTED, tags=["links"])
async def show_stats(
    link: OwnLink,
    views: Views,
    within: NamedDependency[Range],
    by: FromQuery[list[str] | None] = None,
) -> Stats:
    """Show the clicks of a link: in all, and those of a range of UTC days in detail.

    A range has up to 3,660 days, or 31 by hour. `by` names the dimensions that human clicks are
    broken down by, all if it is not given: country, device, browser, os, referrer, utm_source,
    utm_medium, utm_campaign, utm_term, utm_content.
    """
    totals = await views.get(LinkTotals, link.link)
    page = Page(after=(within.day_before,), limit=within.length)
    days = await views.slice(LinkDay, link.link, page=page)
    return stats(link, totals, days, within, DIMENSIONS if by is None else by)


@get(
    "/api/v1/urls/{key:str}/qr.svg",
    scope="links:read",
    media_type="image/svg+xml",
    dependencies=CLIENT | _LINK,
    response_headers=_DRAWN,
    tags=["links"],
)
async def qr_svg(
    client: From, link: OwnLink, size: FromQuery[int] = 256, border: FromQuery[int] = qr.QUIET_ZONE
) -> bytes:
    """Draw the short URL as a QR code, SVG."""
    return qr.svg(client.shown(link).short_url, size, border)


@get(
    "/api/v1/urls/{key:str}/qr.png",
    scope="links:read",
    media_type="image/png",
    dependencies=CLIENT | _LINK,
    response_headers=_DRAWN,
    tags=["links"],
)
async def qr_png(
    client: From, link: OwnLink, size: FromQuery[int] = 256, border: FromQuery[int] = qr.QUIET_ZONE
) -> bytes:
    """Draw the short URL as a QR code, PNG."""
    return await asyncio.to_thread(qr.png, client.shown(link).short_url, size, border)


ROUTES = (
    *creation_routes.ROUTES,
    list_links,
    read,
    change,
    remove,
    show_stats,
    qr_svg,
    qr_png,
)
