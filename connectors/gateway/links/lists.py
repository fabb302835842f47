"""Lists of links: a tenant's, newest first, month by month."""

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile

import msgspec

from connectors.gateway.views import Views
from streams.errors import RuleBroken
from streams.links.fold import month_of
from streams.links.views import ALL, Link, LinkListing, LinkMonth, TaggedLink
from streams.views import Page

_MAX_MONTHS = 1_200  # a century

Row = LinkListing | TaggedLink


class Listed(msgspec.Struct, frozen=True):
    """Which links are listed: those with a tag, and made from a time on and before another."""

    tag: str | None = None
    external_id: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    @classmethod
    def of(
        cls,
        tag: str | None,
        external_id: str | None,
        since: datetime | None,
        before: datetime | None,
    ) -> "Listed":
        """What is asked for.

        Raises:
            RuleBroken: a time has no time zone, or there is one external id and more.
        """
        for field, time in (("since", since), ("before", before)):
            if time is not None and time.tzinfo is None:
                raise RuleBroken(field, "needs a time zone: end it with Z or an offset")
            if time is not None and not 1970 <= time.year < 9999:
                raise RuleBroken(field, "must be from 1970 on")
        if external_id is not None and (tag, since, before) != (None, None, None):
            raise RuleBroken("external_id", "names one link: leave tag, since and before out")
        return cls(tag, external_id, since, before)


async def rows_of(views: Views, listed: Listed, page: Page) -> Sequence[Row]:
    """The rows of a page; its `after` is a link's creation and key."""
    after = page.after
    if after is None and listed.before is not None:
        after = (_ms(listed.before), "")
    since_ms = 0 if listed.since is None else _ms(listed.since)
    found: list[Row] = []
    last = None if after is None else month_of(after[0])
    for month in await _months(views, month_of(since_ms), last):
        rest = Page(after=after, limit=page.limit - len(found), reverse=True)
        found += await _rows(views, listed.tag, month, rest)
        if len(found) == page.limit:
            break
    return list(takewhile(lambda row: row.created_ms >= since_ms, found))


async def links_of(views: Views, rows: Sequence[Row]) -> Sequence[Link]:
    """The links of some rows, but for those that were deleted a moment ago."""
    links = [await views.get(Link, row.link) for row in rows]
    return [link for link in links if link is not None and not link.deleted]


async def _months(views: Views, first: str, last: str | None) -> Sequence[str]:
    """The months in which links were made, newest first."""
    rows = await views.slice(LinkMonth, ALL, page=Page(limit=_MAX_MONTHS, reverse=True))
    return [row.month for row in rows if first <= row.month and (last is None or row.month <= last)]


async def _rows(views: Views, tag: str | None, month: str, page: Page) -> Sequence[Row]:
    if tag is None:
        return await views.slice(LinkListing, month, page=page)
    return await views.slice(TaggedLink, tag, month, page=page)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
