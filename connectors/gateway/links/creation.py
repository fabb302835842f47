"""Making links: who claims a key first in the log gets it, and the fold says who that was.

wanted → link.requested → row of `Link`: ours, or somebody else's

What may be asked for twice, under an external id or an `Idempotency-Key`, takes a step more:

wanted → link.submitted → row of `Submission`, and link.requested or link.changed → row of `Link`

As a fold's view and what it emits become durable together, whoever has seen the row of `Submission`
finds the event for the link before the end of its partition. So both ways lead to a row that is
there when the views have applied a certain position, and nobody has to look twice.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from connectors.gateway.links.checks import Wanted
from connectors.gateway.links.keys import LinkKeys
from connectors.gateway.links.lookup import last_position
from connectors.gateway.problems import RETRY_AFTER_S, Problem
from schemas.fields import Subject
from schemas.ids import uuid7
from schemas.links import LinkRequested, LinkSubmitted
from streams.errors import KeysExhausted, NotYetApplied
from streams.links.sealed import with_sealed_addresses
from streams.links.views import Link, Submission
from streams.log import Entry, Log, Position
from streams.sealing import Origin, Sealer
from streams.views import ViewStore

# A generated key is lost to an alias that looks like it, and a reference that was refused or
# released a moment ago has to be asked again: neither happens twice by chance.
_MAX_ROUNDS = 5

_TURN = 50  # decisions that are read before others get their turn


@dataclass(frozen=True, slots=True)
class Asked:
    """A link that somebody asks for.

    Attributes:
        reference: what it is asked for under, if it may be asked for again.
        fingerprint: of everything that was asked, if only the very same may be asked again.
    """

    wanted: Wanted
    by: Subject | None = None
    reference: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The link that was asked for.

    Attributes:
        is_new: whether it was made; otherwise it was changed, or is there for some time.
        position: what a read must not be older than to see it.
    """

    link: Link
    is_new: bool
    position: Position


@dataclass(frozen=True, slots=True)
class Undecided:
    """What was asked for is in the log, but nobody has decided it in time."""

    position: Position


@dataclass(frozen=True, slots=True)
class Refused:
    """A link that cannot be had."""

    status: int
    field: str
    message: str


Outcome = Made | Undecided | Refused


class _Claim(NamedTuple):
    """A key that was claimed, and where."""

    asked: Asked
    key: str
    id: str
    position: Position


class Creation:
    """Makes links."""

    def __init__(
        self, log: Log, sealer: Sealer, store: ViewStore, keys: LinkKeys, timeout_s: float
    ) -> None:
        """Append to a log, which must not be one that spills.

        Args:
            timeout_s: how long to wait for decisions.
        """
        self._log = log
        self._sealer = sealer
        self._store = store
        self._keys = keys
        self._timeout_s = timeout_s

    async def create(self, asked: Sequence[Asked], origin: Origin) -> Sequence[Outcome]:
        """Make links; what became of each.

        Raises:
            LogUnavailable: nothing more was made.
            Problem: 503: there are no keys left, or others ask for the same at once.
        """
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        outcomes: dict[int, Outcome] = {}
        for _ in range(_MAX_ROUNDS):
            open_ = [index for index in range(len(asked)) if index not in outcomes]
            claims = await self._claim([asked[index] for index in open_], origin)
            for n, (index, claim) in enumerate(zip(open_, claims, strict=True)):
                outcome = await self._outcome(claim, origin.tenant, deadline_s)
                if outcome is not None:
                    outcomes[index] = outcome
                if n % _TURN == 0:
                    await asyncio.sleep(0)
            if len(outcomes) == len(asked):
                return [outcomes[index] for index in range(len(asked))]
        retry = {"Retry-After": str(RETRY_AFTER_S)}
        raise Problem(503, "others ask for the same link at once: try again", headers=retry)

    async def is_free(self, asked: Asked, tenant: str) -> bool:
        """Whether an alias seems to be free, or to be that of the same reference; if there is one."""
        alias = asked.wanted.alias
        link = None if alias is None else await self._store.get(Link, "", (alias,))
        return link is None or (
            asked.reference is not None
            and (link.tenant, link.reference) == (tenant, asked.reference)
        )

    async def _claim(self, asked: Sequence[Asked], origin: Origin) -> list[_Claim]:
        """Claim a key for each, in one append."""
        now_ms = int(origin.time.timestamp() * 1000)
        claimed = [(a, a.wanted.alias or await self._key(), uuid7(now_ms)) for a in asked]
        entries = await self._sealed(claimed, origin)
        positions = await asyncio.wrap_future(self._log.append(entries))
        return [_Claim(*c, position) for c, position in zip(claimed, positions, strict=True)]

    async def _sealed(
        self, claimed: Sequence[tuple[Asked, str, str]], origin: Origin
    ) -> list[Entry]:
        def entries() -> list[Entry]:
            return [self._sealer.entry(_event(a, key), origin, id) for a, key, id in claimed]

        if any(asked.wanted.sealed for asked, _, _ in claimed):
            return await asyncio.to_thread(entries)  # the vault may use the disk
        return entries()

    async def _key(self) -> str:
        try:
            return await self._keys.take()
        except KeysExhausted as error:
            raise Problem(503, "there are no keys left here: ask for a custom_alias") from error

    async def _outcome(self, claim: _Claim, tenant: str, deadline_s: float) -> Outcome | None:
        """What has become of a claim; None: another one must be made."""
        try:
            if claim.asked.reference is None:
                return await self._of_request(claim, deadline_s)
            return await self._of_submission(claim, tenant, deadline_s)
        except NotYetApplied:
            return Undecided(claim.position)

    async def _of_request(self, claim: _Claim, deadline_s: float) -> Outcome | None:
        await self._wait(Link, claim.position, deadline_s)
        link = await self._store.get(Link, "", (claim.key,))
        if link is not None and link.claim == claim.id:
            return Made(link, is_new=True, position=claim.position)
        return _lost(claim, link)

    async def _of_submission(self, claim: _Claim, tenant: str, deadline_s: float) -> Outcome | None:
        asked = claim.asked
        await self._wait(Submission, claim.position, deadline_s)
        found = await self._store.get(Submission, tenant, (asked.reference,))
        key = found.link if found else claim.key
        position = last_position(self._log, key)
        await self._wait(Link, position, deadline_s)
        link = await self._store.get(Link, "", (key,))
        stands = link is not None and (link.tenant, link.reference) == (tenant, asked.reference)
        if found is None or link is None or not stands:
            return _lost(claim, link)
        if asked.fingerprint is not None:
            return _repeated(asked, found, Made(link, is_new=True, position=position))
        if link.deleted:
            return None
        return Made(link, found.submission == claim.id, position)

    async def _wait(
        self, view: type[Link] | type[Submission], position: Position, deadline_s: float
    ) -> None:
        left_s = deadline_s - asyncio.get_running_loop().time()
        await self._store.wait(view, position, max(left_s, 0))


def _lost(claim: _Claim, link: Link | None) -> Refused | None:
    """A claim that was in vain: a refusal if it was for an alias, which another link has."""
    alias = claim.asked.wanted.alias
    if link is not None and link.link == alias:
        return Refused(409, "custom_alias", taken(alias))
    return None


def taken(alias: str) -> str:
    """What to say to whoever asks for an alias that is another link's."""
    return f"{alias!r} is taken: choose another one"


def _repeated(asked: Asked, found: Submission, made: Made) -> Outcome:
    """What to say to an `Idempotency-Key`, be it the first time or not."""
    if found.fingerprint != asked.fingerprint:
        return Refused(422, "Idempotency-Key", "came with another request before: use a new one")
    if made.link.deleted:
        return Refused(409, "Idempotency-Key", "the link that it has made was deleted")
    return made


def _event(asked: Asked, key: str) -> LinkRequested | LinkSubmitted:
    wanted = asked.wanted
    said: dict[str, Any] = {
        "link": key,
        "long_url": wanted.long_url,
        "is_alias": wanted.alias is not None,
        "redirect_code": wanted.terms.redirect_code,
        "expires_at_ms": wanted.terms.expires_at_ms,
        "expired_url": wanted.terms.expired_url,
        "max_clicks": wanted.terms.max_clicks,
        "password_hash": wanted.terms.password_hash,
        "audit": wanted.audit,
        "tags": list(wanted.tags),
        "external_id": wanted.external_id,
        "created_by": asked.by,
    }
    event: LinkRequested | LinkSubmitted = LinkRequested(**said)
    if asked.reference is not None:
        event = LinkSubmitted(
            reference=asked.reference,
            replaces=asked.fingerprint is None,
            fingerprint=asked.fingerprint,
            **said,
        )
    return with_sealed_addresses(event) if wanted.sealed else event
