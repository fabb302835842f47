"""What clients ask for, checked: what a link may be, and where it leads in the end."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from connectors.gateway.links.bodies import LinkFields, LinkPatch, NewLink
from connectors.gateway.links.passwords import Passwords
from connectors.outbound import Outbound
from schemas.links import LinkChanged
from streams.links.rules import LinkTerms, check_alias, check_terms, expiry_ms
from streams.links.sealed import check_sealed, with_sealed_addresses
from streams.links.urls import UrlRules
from streams.links.views import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A link that may be made.

    Attributes:
        sealed: whether its addresses are personal data.
    """

    long_url: str
    terms: LinkTerms
    alias: str | None = None
    audit: bool = False
    tags: tuple[str, ...] = ()
    external_id: str | None = None
    sealed: bool = False


class Checks:
    """Checks bodies against the rules."""

    def __init__(self, rules: UrlRules, outbound: Outbound | None, passwords: Passwords) -> None:
        """Check against rules.

        Args:
            outbound: asks targets where they redirect to; None leaves them as they are.
        """
        self._rules = rules
        self._outbound = outbound
        self._passwords = passwords

    async def new(self, body: NewLink, now: datetime) -> Wanted:
        """A link to make; nothing is fetched.

        Raises:
            RuleBroken: it may not be made.
        """
        if body.custom_alias is not None:
            check_alias(body.custom_alias)
        long_url = self._rules.target(body.long_url)
        terms = await self._terms(body, LinkTerms(), now)
        if body.sealed:
            check_sealed(terms)
        return Wanted(
            long_url=long_url,
            terms=terms,
            alias=body.custom_alias,
            audit=body.audit == "required",
            tags=() if body.tags is UNSET else _distinct(body.tags),
            external_id=body.external_id,
            sealed=body.sealed,
        )

    async def led(self, wanted: Wanted) -> Wanted:
        """The link, leading to where its target redirects to in the end.

        Raises:
            RuleBroken: that may not be, or there is no end.
        """
        return replace(wanted, long_url=await self._final(wanted.long_url))

    async def patched(self, patch: LinkPatch) -> LinkPatch:
        """A patch whose target, if it has one, is where that redirects to in the end.

        Raises:
            RuleBroken: that may not be, or there is no end.
        """
        if patch.long_url is UNSET:
            return patch
        return msgspec.structs.replace(patch, long_url=await self._final(patch.long_url))

    async def _final(self, url: str) -> str:
        if self._outbound is None:
            return self._rules.target(url)
        return (await self._outbound.final_target(url, self._rules)).url

    async def change(self, link: Link, patch: LinkPatch, now: datetime) -> LinkChanged:
        """What a patch makes of a link as it is; one that is sealed must have been opened.

        Raises:
            RuleBroken: a link may not be that.
        """
        before = msgspec.structs.replace(link.terms, expired_url=link.expired_url)
        terms = await self._terms(patch, before, now)
        changed = LinkChanged(
            link=link.link,
            long_url=(link.url or "") if patch.long_url is UNSET else patch.long_url,
            redirect_code=terms.redirect_code,
            expires_at_ms=terms.expires_at_ms,
            expired_url=terms.expired_url,
            max_clicks=terms.max_clicks,
            password_hash=terms.password_hash,
            audit=link.audit if patch.audit is UNSET else patch.audit == "required",
            disabled=link.terms.disabled if patch.disabled is UNSET else patch.disabled,
            tags=list(link.tags if patch.tags is UNSET else _distinct(patch.tags)),
            revision=link.revision,
        )
        if not link.is_sealed:
            return changed
        check_sealed(terms)
        changed = msgspec.structs.replace(changed, created_by=link.created_by)
        return with_sealed_addresses(changed)

    async def _terms(self, fields: LinkFields, before: LinkTerms, now: datetime) -> LinkTerms:
        """The terms with what is given of them."""
        given: dict[str, Any] = {
            name: value
            for name in ("max_clicks", "redirect_code", "expired_url")
            if (value := getattr(fields, name)) is not UNSET
        }
        if given.get("expired_url") is not None:
            given["expired_url"] = self._rules.target(given["expired_url"], "expired_url")
        if fields.ttl is not UNSET or fields.expires_at is not UNSET:
            ttl_s = None if fields.ttl is UNSET else fields.ttl
            expires_at = None if fields.expires_at is UNSET else fields.expires_at
            given["expires_at_ms"] = expiry_ms(ttl_s, expires_at, now)
        if fields.password is not UNSET:
            given["password_hash"] = fields.password  # hashed when everything else is right
        terms = msgspec.structs.replace(before, **given)
        check_terms(terms)
        if fields.password is UNSET or fields.password is None:
            return terms
        hashed = await self._passwords.hash(fields.password)
        return msgspec.structs.replace(terms, password_hash=hashed)


def _distinct(tags: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))
