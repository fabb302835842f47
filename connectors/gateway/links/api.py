"""What the routes of links share."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from connectors.gateway.links.bodies import NewLink
from connectors.gateway.links.changes import Changes
from connectors.gateway.links.checks import Checks, Wanted
from connectors.gateway.links.client import Client
from connectors.gateway.links.creation import Asked, Creation
from connectors.gateway.links.keys import LinkKeys
from connectors.gateway.links.lookup import find
from connectors.gateway.links.passwords import Passwords
from connectors.gateway.links.quotas import Quotas
from connectors.gateway.links.settings import LinkSettings
from connectors.gateway.problems import not_found
from connectors.gateway.settings import GatewaySettings
from connectors.outbound import Outbound
from schemas.catalog import Catalog
from schemas.fields import Subject
from streams.cursor import NO_TENANT
from streams.errors import Erased, RuleBroken
from streams.links.submissions import external_reference, request_reference
from streams.links.urls import UrlRules
from streams.links.views import Link, Submission
from streams.log import Log
from streams.sealing import Origin, Sealer
from streams.vault import Vault
from streams.views import ViewStore, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDeps:
    """What the API of links stands on.

    Attributes:
        log: must not be one that spills.
    """

    settings: LinkSettings
    gateway_settings: GatewaySettings
    catalog: Catalog
    log: Log
    store: ViewStore
    vault: Vault
    keys: LinkKeys
    rules: UrlRules
    outbound: Outbound
    passwords: Passwords


class LinkApi:
    """The links of tenants: `services["links"]`."""

    def __init__(self, deps: LinkDeps) -> None:
        self._deps = deps
        log, store = deps.log, deps.store
        self._sealer = sealer = Sealer(deps.catalog, deps.vault)
        self._timeout_s = deps.gateway_settings.applied_timeout_s
        self.trusted_proxies = deps.gateway_settings.trusted_proxies
        outbound = deps.outbound if deps.settings.follow_redirects else None
        self.checks = Checks(deps.rules, outbound, deps.passwords)
        self.creation = Creation(log, sealer, store, deps.keys, self._timeout_s)
        self.changes = Changes(log, sealer, store, self.checks, self._timeout_s)
        self.quotas = Quotas(deps.settings, log, sealer, store)

    async def find(self, key: str) -> Link | None:
        """The link of a key, whose ever it is; None only if there is certainly none.

        Raises:
            NotYetApplied: that cannot be said now.
        """
        return await find(self._deps.log, self._deps.store, key, self._timeout_s)

    async def with_external_id(self, external_id: str, tenant: str) -> Link | None:
        """The tenant's link with an external id."""
        return await self._under(external_reference(external_id), tenant)

    async def admit(self, client: Client, bodies: Sequence[NewLink], origin: Origin) -> None:
        """Let a client ask for links; one that is there under its reference is no new one.

        Raises:
            Problem: 429: too many a minute, or more than the tenant may have.
        """

        async def count_new() -> int:
            references = [_reference(body, client, index) for index, body in enumerate(bodies)]
            links = [r and await self._under(r, origin.tenant) for r in references]
            return links.count(None)

        await self.quotas.admit(client, len(bodies), origin, count_new)

    async def _under(self, reference: str, tenant: str) -> Link | None:
        """The tenant's link that was asked for under a reference."""
        found = await self._deps.store.get(Submission, tenant, (reference,))
        link = await self.find(found.link) if found else None
        if link is None or link.deleted or (link.tenant, link.reference) != (tenant, reference):
            return None
        return link

    async def opened(self, links: Sequence[Link]) -> Sequence[Link]:
        """Links of a tenant with their addresses, be they sealed or not.

        Raises:
            VaultError: they cannot be opened now.
        """
        return await opened(self._sealer, links, NO_TENANT)

    async def asked(self, body: NewLink, wanted: Wanted, client: Client, index: int = 0) -> Asked:
        """A link that a client asks for: once, or under what it may ask for it again.

        Args:
            index: which of the request's links it is.

        Raises:
            RuleBroken: it is sealed and nobody's, or has an owner and is not sealed, or that cannot be.
        """
        by = await self._owner(body, client)
        reference = _reference(body, client, index)
        if reference is None or body.external_id is not None:
            return Asked(wanted, by, reference)
        fingerprint = self._deps.vault.keyed_hash("link request", msgspec.json.encode(body)).hex()
        return Asked(wanted, by, reference, fingerprint)

    async def _owner(self, body: NewLink, client: Client) -> Subject | None:
        """The person whose link it is to be, if it is anybody's."""
        caller = client.caller
        if body.owner is None:
            if body.sealed and caller.subject is None:
                raise RuleBroken(
                    "owner",
                    "is missing: the address of a sealed link is sealed under its owner's key, so "
                    "name the owner, or send the token of a user",
                )
            return caller.subject
        if not body.sealed:
            raise RuleBroken("owner", "goes with sealed: only a sealed link has one")
        if caller.subject is not None:
            raise RuleBroken("owner", "is whoever is signed in: leave it out")
        try:
            return await asyncio.to_thread(self._deps.vault.pseudonym, caller.tenant, body.owner)
        except Erased as error:
            raise RuleBroken("owner", "was erased, and does not come back") from error


def _reference(body: NewLink, client: Client, index: int) -> str | None:
    """What a link is asked for under, if it may be asked for again."""
    if body.external_id is not None:
        return external_reference(body.external_id)
    if client.idempotency_key is None:
        return None
    return request_reference(client.idempotency_key, index)


def own(link: Link | None, key: str, tenant: str) -> Link:
    """A tenant's link.

    Raises:
        Problem: 404: there is none of that key, it is another tenant's, or it was deleted.
    """
    if link is None or link.tenant != tenant or link.deleted:
        not_found("link", key)
    return link
