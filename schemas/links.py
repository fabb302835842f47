"""Short links: claims of keys, what becomes of links, and clicks.

Links that are made with `sealed` have no `long_url` and no `expired_url` in the clear, but a
`target` and an `expired_target`, which are personal data of whoever made the link.
"""

from typing import Annotated

from schemas import patterns
from schemas.event import Data, event
from schemas.fields import Personal, Subject
from schemas.posted import posted
from schemas.topic import Topic

# Keys and clicks of one link meet in the same partition, so both have as many.
_PARTITIONS = 4

BLOCKS = Topic("blocks", partitions=1)
SUBMISSIONS = Topic("submissions", partitions=_PARTITIONS, deduplicated=True)
LINKS = Topic("links", partitions=_PARTITIONS, deduplicated=True, global_keys=True)
CLICKS = Topic("clicks", partitions=_PARTITIONS, deduplicated=True, spills=True, global_keys=True)
LINK_ALERTS = Topic("link_alerts", partitions=1)


@event("block.granted", topic=BLOCKS, key="gateway", internal=True)
class BlockGranted(Data):
    """A gateway may make keys of a block of counters: the block is the record's offset."""

    gateway: str


@event("link.submitted", topic=SUBMISSIONS, key="reference", internal=True)
class LinkSubmitted(Data):
    """Somebody who may ask twice asks for a link: the first time makes it.

    The reference is the tenant's `external_id` (a later submission changes the link) or an
    idempotency key (a later one changes nothing). Of what was asked there is a keyed hash, the
    fingerprint, so that a key that comes with something else is noticed.
    """

    reference: str
    link: str
    long_url: str
    replaces: bool
    is_alias: bool = False
    redirect_code: int = 302
    expires_at_ms: int | None = None
    expired_url: str | None = None
    max_clicks: int | None = None
    password_hash: str | None = None
    audit: bool = False
    tags: list[str] = []
    external_id: str | None = None
    created_by: Subject | None = None
    fingerprint: str | None = None
    target: Personal[str] | None = None
    expired_target: Personal[str] | None = None


@event("link.refused", topic=SUBMISSIONS, key="reference", internal=True)
class LinkRefused(Data):
    """The key that a submission asked for was another's: the reference is free again."""

    reference: str
    link: str


@event("link.released", topic=SUBMISSIONS, key="reference", internal=True)
class LinkReleased(Data):
    """The link that an external id stood for was deleted: the reference is free again."""

    reference: str
    link: str


@event("link.requested", topic=LINKS, key="link", internal=True)
class LinkRequested(Data):
    """Somebody claims a key for a link; the first claim in the log wins."""

    link: str
    long_url: str
    is_alias: bool = False
    redirect_code: int = 302
    expires_at_ms: int | None = None
    expired_url: str | None = None
    max_clicks: int | None = None
    password_hash: str | None = None
    audit: bool = False
    tags: list[str] = []
    external_id: str | None = None
    created_by: Subject | None = None
    reference: str | None = None
    target: Personal[str] | None = None
    expired_target: Personal[str] | None = None


@event("link.changed", topic=LINKS, key="link", internal=True)
class LinkChanged(Data):
    """Everything about a link that can change, as it is from now on.

    A change that was made from a revision, the id of the event that made it, is void if the link
    has another one by now. Only sealed addresses say whose they are.
    """

    link: str
    long_url: str
    redirect_code: int = 302
    expires_at_ms: int | None = None
    expired_url: str | None = None
    max_clicks: int | None = None
    password_hash: str | None = None
    audit: bool = False
    disabled: bool | None = None  # as it was
    tags: list[str] = []
    revision: str | None = None
    created_by: Subject | None = None
    target: Personal[str] | None = None
    expired_target: Personal[str] | None = None


@event("link.used_up", topic=LINKS, key="link", internal=True)
class LinkUsedUp(Data):
    """A link got as many human clicks as it may have."""

    link: str
    max_clicks: int


@event("link.deleted", topic=LINKS, key="link", internal=True)
class LinkDeleted(Data):
    """A link was deleted; its key is never given again."""

    link: str


# What a client may say of a click that somebody else has seen: nothing that is an address.
_Visitor = Annotated[str, posted(pattern=patterns.VISITOR)]
_Kind = Annotated[str, posted(pattern=patterns.KIND)]
_Country = Annotated[str, posted(pattern=patterns.COUNTRY)]
_Host = Annotated[str, posted(pattern=patterns.HOST)]
_Name = Annotated[str, posted(min_length=1, max_length=100)]


@event("link.clicked", topic=CLICKS, key="link")
class LinkClicked(Data):
    """A short link was followed."""

    link: Annotated[str, posted(min_length=1, max_length=64)]
    visitor: _Visitor  # a hash that changes daily
    kind: _Kind = "human"
    country: _Country | None = None  # ISO 3166-1 alpha-2
    device: _Name | None = None
    browser: _Name | None = None
    os: _Name | None = None
    referrer: _Host | None = None
    utm_source: _Name | None = None
    utm_medium: _Name | None = None
    utm_campaign: _Name | None = None
    utm_term: _Name | None = None
    utm_content: _Name | None = None
    user: Subject | None = None  # who was signed in, where the link requires it


@event("link.creation_unusual", topic=LINK_ALERTS, key="caller", internal=True)
class LinkCreationUnusual(Data):
    """Somebody makes many links, or is refused many targets: more than `per_minute`.

    `caller` is the id of an API key, or of the key that signed a token.
    """

    caller: str
    reason: str  # links, or refusals
    per_minute: int
    user: Subject | None = None
