"""The API of short links."""

import asyncio
from datetime import date
from typing import Any

from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody

from connectors.gateway import qr
from connectors.gateway.given import Caller, Limit, Log, Paging, Views
from connectors.gateway.links.api import LinkApi
from connectors.gateway.links.bodies import (
    Bulk,
    BulkResult,
    BulkResults,
    LinkList,
    LinkPatch,
    NewLink,
    ShownLink,
    shown,
)
from connectors.gateway.links.creation import Undecided
from connectors.gateway.links.stats import Granularity, Range, Stats
from connectors.gateway.log import Accepted
from connectors.gateway.problems import Problem
from streams.errors import RuleBroken
from streams.links.views import Link

# Enough to share commits with each other; more would only wait in memory.
_BULK_AT_ONCE = 100

Links = NamedDependency[LinkApi]


@post("/api/v1/urls", scope="links:write", tags=["links"])
async def create(
    request: Request[Any, Any, Any], data: JSONBody[NewLink], caller: Caller, log: Log, links: Links
) -> Response[ShownLink | Accepted]:
    """Make a short link.

    201 when it is decided who has the key; 202 with a position if that takes longer than 5 s. The
    target's redirects are followed, and the link leads to where they end.
    """
    spec = await links.creation.spec(data, log.origin.time, fetched=True)
    try:
        link = await links.creation.create(spec, log, caller)
    except Undecided as undecided:
        return Response(Accepted(str(undecided.position)), status_code=202)
    made = shown(link, public_url(request))
    return Response(made, status_code=201, headers={"Location": f"/api/v1/urls/{made.key}"})


@post("/api/v1/urls/bulk", scope="links:write", status_code=200, tags=["links"])
async def create_many(
    request: Request[Any, Any, Any], data: JSONBody[Bulk], caller: Caller, log: Log, links: Links
) -> BulkResults:
    """Make many short links, each by itself; their targets are not fetched."""
    at_once = asyncio.Semaphore(_BULK_AT_ONCE)

    async def make(index: int, wanted: NewLink) -> BulkResult:
        try:
            async with at_once:
                spec = await links.creation.spec(wanted, log.origin.time, fetched=False)
                link = await links.creation.create(spec, log, caller, index)
        except RuleBroken as broken:
            return BulkResult(index, error=broken.reason, field=broken.field)
        except Problem as problem:
            return BulkResult(index, error=problem.detail)
        except Undecided as undecided:
            return BulkResult(index, error=f"not decided yet; read after {undecided}")
        return BulkResult(index, url=shown(link, public_url(request)))

    made = [make(index, wanted) for index, wanted in enumerate(data.urls)]
    return BulkResults(await asyncio.gather(*made))


@get("/api/v1/urls", scope="links:read", tags=["links"])
async def list_links(
    request: Request[Any, Any, Any], views: Views, links: Links, paging: Paging, limit: Limit = 100
) -> LinkList:
    """List links, newest first."""
    page, place = await links.page(views, paging.page.after, limit)
    return LinkList(
        [shown(link, public_url(request)) for link in page],
        None if place is None else paging.cursor(place),
    )


async def own_link(key: FromPath[str], caller: Caller, views: Views, links: Links) -> Link:
    """The link of a path; 404 if it is not the caller's."""
    return await links.link(key, caller.tenant, views)


async def asked_range(
    log: Log, since: FromQuery[date | None] = None, until: FromQuery[date | None] = None
) -> Range:
    """The days that statistics are asked for."""
    return Range.of(since, until, log.origin.time.date())


_LINK = {"link": Provide(own_link)}
OwnLink = NamedDependency[Link]


@get("/api/v1/urls/{key:str}", scope="links:read", dependencies=_LINK, tags=["links"])
async def read(request: Request[Any, Any, Any], link: OwnLink) -> ShownLink:
    """Show a link."""
    return shown(link, public_url(request))


@patch("/api/v1/urls/{key:str}", scope="links:write", dependencies=_LINK, tags=["links"])
async def change(
    request: Request[Any, Any, Any],
    data: JSONBody[LinkPatch],
    link: OwnLink,
    log: Log,
    links: Links,
) -> ShownLink:
    """Change a link; every gateway follows within a second."""
    return shown(await links.change(link, data, log), public_url(request))


@delete("/api/v1/urls/{key:str}", scope="links:delete", dependencies=_LINK, tags=["links"])
async def remove(link: OwnLink, log: Log, links: Links) -> None:
    """Delete a link; its key is never given again."""
    await links.applied(link, await links.delete(link, log))


@get(
    "/api/v1/urls/{key:str}/stats",
    scope="links:read",
    dependencies={**_LINK, "within": Provide(asked_range)},
    tags=["links"],
)
async def show_stats(
    link: OwnLink,
    views: Views,
    links: Links,
    within: NamedDependency[Range],
    granularity: FromQuery[Granularity] = Granularity.DAY,
) -> Stats:
    """Show the clicks of a link: in all, and within a range of UTC days in detail."""
    return await links.stats(link, views, within, granularity)


@get(
    "/api/v1/urls/{key:str}/qr.svg",
    scope="links:read",
    media_type="image/svg+xml",
    dependencies=_LINK,
    tags=["links"],
)
async def qr_svg(
    request: Request[Any, Any, Any],
    link: OwnLink,
    size: FromQuery[int] = 256,
    border: FromQuery[int] = 4,
) -> bytes:
    """Draw the short URL as a QR code, SVG."""
    return qr.svg(f"{public_url(request)}/{link.link}", size, border)


@get(
    "/api/v1/urls/{key:str}/qr.png",
    scope="links:read",
    media_type="image/png",
    dependencies=_LINK,
    tags=["links"],
)
async def qr_png(
    request: Request[Any, Any, Any],
    link: OwnLink,
    size: FromQuery[int] = 256,
    border: FromQuery[int] = 4,
) -> bytes:
    """Draw the short URL as a QR code, PNG."""
    return qr.png(f"{public_url(request)}/{link.link}", size, border)


def public_url(request: Request[Any, Any, Any]) -> str:
    """What short URLs begin with: the setting, or else how the client has reached us."""
    configured: str = request.app.state.get("public_url", "")
    return configured or str(request.base_url).rstrip("/")


ROUTES = (
    create,
    create_many,
    list_links,
    read,
    change,
    remove,
    show_stats,
    qr_svg,
    qr_png,
)
