"""What readers are served of links."""

from typing import ClassVar

import msgspec

from schemas.fields import Personal, Sealed, Subject
from streams.links.rules import Availability, LinkTerms, availability
from streams.views import Clustering, Partition, View


class Link(View):
    """A link, by its key; deleted ones stay, since their keys are never given again.

    Attributes:
        claim: the id of the event that won the key.
        revision: the id of the event that made what can be changed as it is.
        reference: what the link was submitted under, if it was.
        long_url: empty if the link is sealed: then it leads to `target`, of `created_by`.
    """

    GLOBAL: ClassVar[bool] = True

    link: Partition[str]
    tenant: str
    claim: str
    revision: str
    long_url: str
    terms: LinkTerms
    created_ms: int
    is_alias: bool = False
    audit: bool = False
    used_up: bool = False
    deleted: bool = False
    tags: tuple[str, ...] = ()
    external_id: str | None = None
    created_by: Subject | None = None
    reference: str | None = None
    target: Personal[str] | None = None
    expired_target: Personal[str] | None = None
    sealed: Sealed = None

    @property
    def is_sealed(self) -> bool:
        """Whether its addresses are personal data."""
        return not self.long_url

    @property
    def url(self) -> str | None:
        """Where it leads; None if that is sealed and was not opened, or its maker was erased."""
        return self.long_url or self.target

    @property
    def expired_url(self) -> str | None:
        """Where it leads once it has ended."""
        return self.terms.expired_url or self.expired_target


def availability_of(link: Link, now_ms: int) -> Availability:
    """What a link answers with; whether it is used up, the fold has said."""
    clicks = link.terms.max_clicks or 0 if link.used_up else 0
    return availability(link.terms, clicks, now_ms)


class LinkListing(View):
    """A tenant's links in the order of their creation, month by month."""

    BUCKETS: ClassVar[int] = 16  # millions in a month

    month: Partition[str]  # YYYY-MM
    created_ms: Clustering[int]
    link: Clustering[str]


class TaggedLink(View):
    """A tenant's links that have a tag, in the same order."""

    tag: Partition[str]
    month: Partition[str]  # YYYY-MM
    created_ms: Clustering[int]
    link: Clustering[str]


class LinkMonth(View):
    """The months in which a tenant made links."""

    scope: Partition[str]  # always ALL
    month: Clustering[str]


class LinkCount(View):
    """How many links a tenant has in one partition."""

    partition: Partition[int]
    links: int


class Alias(View):
    """Every custom alias, for the filters of gateways."""

    GLOBAL: ClassVar[bool] = True
    BUCKETS: ClassVar[int] = 16

    scope: Partition[str]  # always ALL
    link: Clustering[str]


class Submission(View):
    """The link that a reference (external id or idempotency key) stands for.

    Attributes:
        submission, fingerprint: of the submission that claimed the link.
    """

    reference: Partition[str]
    link: str
    submission: str
    fingerprint: str | None = None


class DayCounts(msgspec.Struct, gc=False):
    """The clicks of one link on one UTC day.

    Attributes:
        humans, bots, previews: clicks by kind.
        uniques: different human visitors.
        hours: human clicks in each hour.
        by: human clicks by dimension and value; beyond MAX_VALUES values they count as OTHER.
    """

    humans: int = 0
    bots: int = 0
    previews: int = 0
    uniques: int = 0
    hours: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    by: dict[str, dict[str, int]] = {}


class LinkDay(View):
    """The clicks of a link, day by day."""

    link: Partition[str]
    day: Clustering[str]  # YYYY-MM-DD
    counts: DayCounts


class LinkTotals(View):
    """The clicks of a link since it was made."""

    link: Partition[str]
    humans: int
    bots: int
    previews: int
    last_ms: int | None  # of the newest human click


class Popular(View):
    """The most clicked links of one partition, for gateways that start."""

    GLOBAL: ClassVar[bool] = True

    partition: Partition[int]
    links: tuple[str, ...]


ALL = "all"
OTHER = "(other)"
