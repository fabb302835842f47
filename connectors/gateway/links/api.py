"""What the routes of links share, and how links are read, changed, listed and counted."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime

import msgspec
from msgspec import UNSET

from connectors.gateway.links.bodies import LinkPatch
from connectors.gateway.links.creation import Creation
from connectors.gateway.links.stats import Granularity, Range, Stats, stats
from connectors.gateway.log import Log
from connectors.gateway.problems import Problem, not_found
from connectors.gateway.views import Views
from schemas.links import LinkChanged, LinkDeleted
from streams.links.rules import LinkTerms, check_terms, expiry_ms
from streams.links.views import ALL, Link, LinkDay, LinkListing, LinkMonth, LinkTotals
from streams.log import Position
from streams.views import Key, Page

_MAX_CHANGES = 5


class LinkApi:
    """The links of tenants."""

    def __init__(self, creation: Creation) -> None:
        self.creation = creation
        self._passwords = creation.deps.passwords
        self._rules = creation.deps.rules

    async def link(self, key: str, tenant: str, views: Views) -> Link:
        """A tenant's link.

        Raises:
            Problem: 404: there is none of that key, it is another tenant's, or it was deleted.
        """
        link = await views.get(Link, key)
        if link is None or link.tenant != tenant or link.deleted:
            not_found("link", key)
        return link

    async def change(self, link: Link, patch: LinkPatch, log: Log) -> Link:
        """Change a link, and wait until it is changed.

        Who changes it at the same time may come first; then the patch is made again from what has
        become of the link, so that neither undoes the other's.

        Raises:
            RuleBroken: what would become of it is not allowed.
            Problem: 404: it was deleted; 409: others keep changing it.
            NotYetApplied: that takes too long; the change is durable.
        """
        for _ in range(_MAX_CHANGES):
            changed = await self._changed(link, patch, log.origin.time)
            id = log.ids.next()
            entry = self.creation.deps.sealer.entry(changed, log.origin, id)
            (position,) = await log.append_entries([entry])
            link = await self.applied(link, position)
            if link.deleted:
                not_found("link", link.link)
            if link.revision == id:
                return link
        raise Problem(409, "others are changing this link at the same time: try again")

    async def delete(self, link: Link, log: Log) -> Position:
        """Append that a link is no more; the position."""
        return Position.parse((await log.append(LinkDeleted(link.link))).position)

    async def applied(self, link: Link, position: Position) -> Link:
        """The link once a change of it is applied.

        Raises:
            NotYetApplied: that takes too long; the change is durable.
        """
        deps = self.creation.deps
        await deps.store.wait(Link, position, deps.timeout_s)
        return await deps.store.get(Link, "", (link.link,)) or link

    async def page(
        self, views: Views, after: Key | None, limit: int
    ) -> tuple[Sequence[Link], Key | None]:
        """Links, newest first, and where the list goes on."""
        found: list[Link] = []
        place: Key | None = None
        async for row in self._listings(views, after):
            if len(found) == limit:
                return found, place
            link = await views.get(Link, row.link)
            if link is not None and not link.deleted:
                found.append(link)
                place = (row.month, row.created_ms, row.link)
        return found, None

    async def stats(
        self, link: Link, views: Views, within: Range, granularity: Granularity
    ) -> Stats:
        """The clicks of a link."""
        totals = await views.get(LinkTotals, link.link)
        # The day before the first is the last that is left out.
        before = date.fromordinal(within.since.toordinal() - 1).isoformat()
        days = await views.slice(LinkDay, link.link, page=Page(after=(before,), limit=400))
        wanted = [day for day in days if day.day <= within.until.isoformat()]
        return stats(link, totals, wanted, within, granularity)

    async def _changed(self, link: Link, patch: LinkPatch, now: datetime) -> LinkChanged:
        terms = await self._terms(link.terms, patch, now)
        check_terms(terms)
        return LinkChanged(
            link=link.link,
            long_url=link.long_url
            if patch.long_url is UNSET
            else self._rules.target(patch.long_url),
            redirect_code=terms.redirect_code,
            expires_at_ms=terms.expires_at_ms,
            expired_url=terms.expired_url,
            max_clicks=terms.max_clicks,
            password_hash=terms.password_hash,
            audit=link.audit if patch.audit is UNSET else patch.audit == "required",
            disabled=terms.disabled,
            tags=list(link.tags) if patch.tags is UNSET else patch.tags,
            revision=link.revision,
        )

    async def _listings(self, views: Views, after: Key | None) -> AsyncIterator[LinkListing]:
        months = await views.slice(LinkMonth, ALL, page=Page(reverse=True))
        for month in (row.month for row in months):
            if after is not None and month > after[0]:
                continue
            within = after[1:] if after is not None and month == after[0] else None
            while rows := await views.slice(
                LinkListing, month, page=Page(after=within, limit=200, reverse=True)
            ):
                for row in rows:
                    yield row
                within = (rows[-1].created_ms, rows[-1].link)

    async def _terms(self, terms: LinkTerms, patch: LinkPatch, now: datetime) -> LinkTerms:
        changes: dict[str, object] = {
            field: value
            for field in ("max_clicks", "redirect_code", "disabled")
            if (value := getattr(patch, field)) is not UNSET
        }
        if patch.expired_url is not UNSET:
            changes["expired_url"] = (
                None
                if patch.expired_url is None
                else self._rules.target(patch.expired_url, "expired_url")
            )
        if patch.password is not UNSET:
            changes["password_hash"] = (
                None if patch.password is None else await self._passwords.hash(patch.password)
            )
        if patch.ttl is not UNSET or patch.expires_at is not UNSET:
            ttl = None if patch.ttl is UNSET else patch.ttl
            expires_at = None if patch.expires_at is UNSET else patch.expires_at
            changes["expires_at_ms"] = expiry_ms(ttl, expires_at, now)
        return msgspec.structs.replace(terms, **changes)
