"""What clients say and hear about links."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from connectors.gateway.bodies import Body
from connectors.gateway.problems import FieldError
from streams.links.rules import warnings
from streams.links.views import Link, availability_of
from streams.vault import MAX_PERSON

MAX_BULK = 1_000

Tag = Annotated[str, Meta(min_length=1, max_length=64)]
Tags = Annotated[list[Tag], Meta(max_length=50)]
Password = Annotated[str, Meta(min_length=1, max_length=200)]
Person = Annotated[str, Meta(min_length=1, max_length=MAX_PERSON)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=200)]
Clicks = Annotated[int, Meta(ge=1, le=10**12)]
Time = Annotated[datetime, Meta(tz=True)]


class LinkFields(Body, kw_only=True):
    """What a link can be made with and changed to; null takes a limit away.

    Attributes:
        ttl: seconds from now; or give `expires_at`.
        expired_url: where an expired or used up link leads; it answers 410 otherwise.
        max_clicks: human clicks; those under way when the last one is counted may exceed it.
        password: what a visitor must know.
        redirect_code: 302 unless given; 307 or, for links that never end or change, 301 or 308.
        audit: `required`: the visitor must be signed in, and the click be durable first.
    """

    ttl: int | None | UnsetType = UNSET
    expires_at: Time | None | UnsetType = UNSET
    expired_url: str | None | UnsetType = UNSET
    max_clicks: Clicks | None | UnsetType = UNSET
    password: Password | None | UnsetType = UNSET
    redirect_code: int | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    audit: Literal["required"] | None | UnsetType = UNSET


class NewLink(LinkFields, kw_only=True):
    """A link to make.

    Attributes:
        custom_alias: 3 to 64 letters, digits, `-` or `_`; a key is generated if it is not given.
        external_id: your own id for it; asking again with the same one changes the link.
        sealed: whether `long_url` and `expired_url` are personal data of the link's owner.
        owner: of a sealed link, your own name for the person whose it is; whoever is signed in
            otherwise.
    """

    long_url: str
    custom_alias: str | None = None
    external_id: ExternalId | None = None
    sealed: bool = False
    owner: Person | None = None


class LinkPatch(LinkFields, kw_only=True):
    """What to change about a link; what is not given stays (RFC 7396).

    Attributes:
        disabled: whether the link is switched off.
    """

    long_url: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class NewLinks(Body):
    """Links to make at once."""

    urls: Annotated[list[NewLink], Meta(min_length=1, max_length=MAX_BULK)]


class ShownLink(msgspec.Struct):
    """A link.

    Attributes:
        status: active, expired, used_up, disabled, or password_required.
        sealed: whether its addresses are sealed; they are empty once its owner is erased.
    """

    key: str
    short_url: str
    long_url: str
    status: str
    created_at: datetime
    expires_at: datetime | None
    expired_url: str | None
    max_clicks: int | None
    redirect_code: int
    has_password: bool
    audit: Literal["required"] | None
    tags: tuple[str, ...]
    external_id: str | None
    sealed: bool
    warnings: list[str]


class ShownLinks(msgspec.Struct):
    """Some links, newest first.

    Attributes:
        next: the cursor that the list goes on with; none at its end.
    """

    urls: list[ShownLink]
    next: str | None


class BulkLink(msgspec.Struct):
    """One link of many that were asked for.

    Attributes:
        index: which of them it is.
        position: what a read must not be older than to see it.
        url: none if that is not decided yet.
    """

    index: int
    position: str
    url: ShownLink | None = None


class BulkLinks(msgspec.Struct):
    """What became of many links.

    Attributes:
        errors: what is wrong with those that were not made.
    """

    urls: list[BulkLink]
    errors: list[FieldError]


def shown(link: Link, public_url: str, now: datetime) -> ShownLink:
    """A link as clients see it."""
    terms = link.terms
    return ShownLink(
        key=link.link,
        short_url=f"{public_url}/{link.link}",
        long_url=link.url or "",
        status=availability_of(link, int(now.timestamp() * 1000)).value,
        created_at=at(link.created_ms),
        expires_at=None if terms.expires_at_ms is None else at(terms.expires_at_ms),
        expired_url=link.expired_url,
        max_clicks=terms.max_clicks,
        redirect_code=terms.redirect_code,
        has_password=terms.password_hash is not None,
        audit="required" if link.audit else None,
        tags=link.tags,
        external_id=link.external_id,
        sealed=link.is_sealed,
        warnings=warnings(terms),
    )


def at(time_ms: int) -> datetime:
    """Milliseconds since 1970 as a time."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)
