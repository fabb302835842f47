"""What every host is asked for: `/`, by people who wonder what it is, and `/robots.txt`."""

from litestar import MediaType, get

# Short links are for people: crawlers that follow them would only be counted as bots.
_ROBOTS = "User-agent: *\nDisallow: /\n"


@get("/", public=True, include_in_schema=False, sync_to_thread=False)
def root() -> dict[str, str]:
    """What this is, and where it is described."""
    return {"service": "Sixfold", "docs": "/docs", "openapi": "/openapi.json"}


@get(
    "/robots.txt",
    public=True,
    include_in_schema=False,
    media_type=MediaType.TEXT,
    sync_to_thread=False,
)
def robots() -> str:
    """Nothing here is for crawlers."""
    return _ROBOTS


ROUTES = (root, robots)
