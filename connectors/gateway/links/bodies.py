"""What clients say and hear about links."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from connectors.gateway.bodies import Body
from streams.links.rules import warnings
from streams.links.views import Link

MAX_BULK = 1_000

Tag = Annotated[str, Meta(min_length=1, max_length=50)]
Tags = Annotated[list[Tag], Meta(max_length=20)]
Password = Annotated[str, Meta(min_length=1, max_length=200)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=300)]
Clicks = Annotated[int, Meta(ge=1, le=2**53)]
Audit = Annotated[str, Meta(pattern="^(required|none)$")]
Time = Annotated[datetime, Meta(tz=True)]


class NewLink(Body):
    """A link to make.

    Attributes:
        custom_alias: 3 to 64 letters, digits, `-` or `_`; a key is generated if it is not given.
        ttl: seconds from now; or give `expires_at`.
        expired_url: where an expired or used up link leads; it answers 410 otherwise.
        max_clicks: human clicks; those under way when the last one is counted may exceed it.
        redirect_code: 302, 307, or, for links that never change, 301 or 308.
        external_id: your own id for it; asking again with the same one changes the link.
        audit: `required`: the visitor must be signed in, and the click be durable first.
    """

    long_url: str
    custom_alias: str | None = None
    ttl: int | None = None
    expires_at: Time | None = None
    expired_url: str | None = None
    max_clicks: Clicks | None = None
    password: Password | None = None
    redirect_code: int = 302
    tags: Tags = []
    external_id: ExternalId | None = None
    audit: Audit = "none"


class Bulk(Body):
    """Links to make at once; their targets are not fetched."""

    urls: Annotated[list[NewLink], Meta(min_length=1, max_length=MAX_BULK)]


class LinkPatch(Body):
    """What to change about a link; null takes a limit away, what is not given stays."""

    long_url: str | UnsetType = UNSET
    ttl: int | None | UnsetType = UNSET
    expires_at: Time | None | UnsetType = UNSET
    expired_url: str | None | UnsetType = UNSET
    max_clicks: Clicks | None | UnsetType = UNSET
    password: Password | None | UnsetType = UNSET
    redirect_code: int | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    audit: Audit | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class ShownLink(msgspec.Struct):
    """A link."""

    key: str
    short_url: str
    long_url: str
    created_at: datetime
    expires_at: datetime | None
    expired_url: str | None
    max_clicks: int | None
    redirect_code: int
    has_password: bool
    disabled: bool
    used_up: bool
    audit: str
    tags: tuple[str, ...]
    external_id: str | None
    warnings: list[str]


class LinkList(msgspec.Struct):
    """Some links, newest first.

    Attributes:
        next: the cursor that the list goes on with; none at its end.
    """

    urls: list[ShownLink]
    next: str | None


class BulkResult(msgspec.Struct, omit_defaults=True):
    """What became of one link of a bulk: the link, or what is wrong."""

    index: int
    url: ShownLink | None = None
    error: str | None = None
    field: str | None = None


class BulkResults(msgspec.Struct):
    """What became of every link of a bulk, in their order."""

    results: list[BulkResult]


def shown(link: Link, public_url: str) -> ShownLink:
    """A link as clients see it."""
    terms = link.terms
    return ShownLink(
        key=link.link,
        short_url=f"{public_url}/{link.link}",
        long_url=link.long_url,
        created_at=at(link.created_ms),
        expires_at=None if terms.expires_at_ms is None else at(terms.expires_at_ms),
        expired_url=terms.expired_url,
        max_clicks=terms.max_clicks,
        redirect_code=terms.redirect_code,
        has_password=terms.password_hash is not None,
        disabled=terms.disabled,
        used_up=link.used_up,
        audit="required" if link.audit else "none",
        tags=link.tags,
        external_id=link.external_id,
        warnings=warnings(terms),
    )


def at(time_ms: int) -> datetime:
    """Milliseconds since 1970 as a time."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)
