"""Making links: who claims a key first in the log gets it, and the fold says who that was."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import msgspec

from connectors.gateway.auth import Caller
from connectors.gateway.links.bodies import NewLink
from connectors.gateway.links.keys import LinkKeys
from connectors.gateway.links.passwords import Passwords
from connectors.gateway.log import Log
from connectors.gateway.problems import FieldError, Problem
from connectors.outbound import Outbound
from schemas.ids import derived_id
from schemas.links import LinkRequested, LinkSubmitted
from streams import log as log_port
from streams.errors import NotYetApplied
from streams.links.rules import LinkTerms, check_alias, check_terms, expiry_ms
from streams.links.submissions import external_reference, request_reference
from streams.links.urls import UrlRules
from streams.links.views import Link, Submission
from streams.log import Position
from streams.sealing import Sealer
from streams.vault import Vault
from streams.views import ViewStore

# A generated key is lost only to an alias that looks like one.
_MAX_CLAIMS = 5


class Undecided(Exception):
    """The fold has not decided in time; the claim is durable and will be.

    Attributes:
        position: what to read after.
    """

    def __init__(self, position: Position) -> None:
        super().__init__(str(position))
        self.position = position


@dataclass(frozen=True, slots=True)
class Spec:
    """A link to make, checked."""

    long_url: str
    terms: LinkTerms
    alias: str | None
    audit: bool
    tags: list[str]
    external_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreationDeps:
    """What making links stands on."""

    log: log_port.Log
    store: ViewStore
    sealer: Sealer
    keys: LinkKeys
    outbound: Outbound
    rules: UrlRules
    passwords: Passwords
    vault: Vault
    timeout_s: float = 5.0


class Creation:
    """Makes links."""

    def __init__(self, deps: CreationDeps) -> None:
        self.deps = deps

    async def spec(self, body: NewLink, now: datetime, *, fetched: bool) -> Spec:
        """Check what a client asks for.

        Args:
            fetched: whether to follow the target's redirects to where they end.

        Raises:
            RuleBroken: something about it is not allowed.
        """
        deps = self.deps
        if body.custom_alias is not None:
            check_alias(body.custom_alias)
        terms = LinkTerms(
            redirect_code=body.redirect_code,
            expires_at_ms=expiry_ms(body.ttl, body.expires_at, now),
            expired_url=None
            if body.expired_url is None
            else deps.rules.target(body.expired_url, "expired_url"),
            max_clicks=body.max_clicks,
            password_hash=None
            if body.password is None
            else await deps.passwords.hash(body.password),
        )
        check_terms(terms)
        long_url = deps.rules.target(body.long_url)
        if fetched:
            long_url = (await deps.outbound.final_target(long_url, deps.rules)).url
        return Spec(
            long_url=long_url,
            terms=terms,
            alias=body.custom_alias,
            audit=body.audit == "required",
            tags=body.tags,
            external_id=body.external_id,
        )

    async def create(self, spec: Spec, log: Log, caller: Caller, index: int = 0) -> Link:
        """Make a link, or change the one with this external id.

        Args:
            index: which of the links of one request it is.

        Raises:
            Problem: 409: the alias is taken; 422: the idempotency key was used for another link.
            Undecided: not yet known.
            LogUnavailable: nothing was made.
        """
        if spec.external_id is not None:
            reference = external_reference(spec.external_id)
            return await self._submit(reference, spec, log, caller, index)
        if log.ids.idempotency_key is not None:
            reference = request_reference(log.ids.idempotency_key, index)
            return await self._submit(reference, spec, log, caller, index)
        return await self._claim(spec, log, caller)

    async def _claim(self, spec: Spec, log: Log, caller: Caller) -> Link:
        for _ in range(_MAX_CLAIMS):
            key = spec.alias or await self.deps.keys.take()
            id = log.ids.next()
            entry = self.deps.sealer.entry(_requested(spec, key, caller), log.origin, id)
            (position,) = await log.append_entries([entry])
            await self._wait(Link, position)
            link = await self._link(key)
            if link is not None and link.claim == id:
                return link
            if spec.alias is not None:
                raise _taken(spec.alias)
        raise Problem(503, "no free key was found: try again", headers={"Retry-After": "1"})

    async def _submit(
        self, reference: str, spec: Spec, log: Log, caller: Caller, index: int = 0
    ) -> Link:
        """Claim a reference, which claims or changes a key; wait until the link shows it."""
        key = spec.alias or await self.deps.keys.take()
        submitted = _submitted(spec, reference, key, caller)
        submitted = msgspec.structs.replace(submitted, fingerprint=self._fingerprint(submitted))
        entry = self.deps.sealer.entry(submitted, log.origin, log.ids.at(index))
        (position,) = await log.append_entries([entry])
        await self._wait(Submission, position)
        made_by = _derived_from(position, log.origin.time)
        deadline = asyncio.get_running_loop().time() + self.deps.timeout_s
        while True:
            version = self.deps.log.version()
            link = await self._decided(submitted, made_by, log.origin.tenant)
            if link is not None:
                return link
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                raise Undecided(position)
            await self.deps.log.changed(version, left_s)

    async def _decided(self, submitted: LinkSubmitted, made_by: str, tenant: str) -> Link | None:
        """The link that a reference stands for, once it shows what was submitted.

        Raises:
            Problem: 409: its key was another's; 422: the reference stands for something else.
        """
        row = await self.deps.store.get(Submission, tenant, (submitted.reference,))
        if row is None:
            raise _taken(submitted.link)
        if not submitted.replaces and row.fingerprint != submitted.fingerprint:
            raise Problem(422, "this Idempotency-Key was used for another link: use a new one")
        link = await self._link(row.link)
        if link is None or (link.tenant, link.reference) != (tenant, submitted.reference):
            return None
        if submitted.replaces and made_by not in (link.claim, link.revision):
            return None
        return link

    def _fingerprint(self, submitted: LinkSubmitted) -> str:
        """What was asked for, as a keyed hash; generated keys and salted passwords differ anyway."""
        asked = msgspec.structs.replace(
            submitted,
            link=submitted.link if submitted.is_alias else "",
            password_hash=None,
            expires_at_ms=None,
        )
        return self.deps.vault.keyed_hash("link-request", msgspec.json.encode(asked)).hex()

    async def _link(self, key: str) -> Link | None:
        return await self.deps.store.get(Link, "", (key,))

    async def _wait(self, view: type[Link] | type[Submission], position: Position) -> None:
        try:
            await self.deps.store.wait(view, position, self.deps.timeout_s)
        except NotYetApplied:
            raise Undecided(position) from None


def _requested(spec: Spec, key: str, caller: Caller) -> LinkRequested:
    terms = spec.terms
    return LinkRequested(
        link=key,
        long_url=spec.long_url,
        is_alias=spec.alias is not None,
        redirect_code=terms.redirect_code,
        expires_at_ms=terms.expires_at_ms,
        expired_url=terms.expired_url,
        max_clicks=terms.max_clicks,
        password_hash=terms.password_hash,
        audit=spec.audit,
        tags=spec.tags,
        created_by=caller.subject,
    )


def _submitted(spec: Spec, reference: str, key: str, caller: Caller) -> LinkSubmitted:
    terms = spec.terms
    return LinkSubmitted(
        reference=reference,
        link=key,
        long_url=spec.long_url,
        replaces=spec.external_id is not None,
        is_alias=spec.alias is not None,
        redirect_code=terms.redirect_code,
        expires_at_ms=terms.expires_at_ms,
        expired_url=terms.expired_url,
        max_clicks=terms.max_clicks,
        password_hash=terms.password_hash,
        audit=spec.audit,
        tags=spec.tags,
        external_id=spec.external_id,
        created_by=caller.subject,
    )


def _derived_from(position: Position, time: datetime) -> str:
    """The id of the event that the submissions' fold derives from a submission."""
    return derived_id(int(time.timestamp() * 1000), "links-submissions", str(position), 0)


def _taken(alias: str) -> Problem:
    message = f"{alias!r} is taken: choose another one"
    return Problem(409, message, errors=[FieldError("custom_alias", message)])
