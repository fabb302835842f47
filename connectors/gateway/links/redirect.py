"""Following a short link: what it answers, from memory if it can.

Links that are simply followed are answered by `Redirects.hot`, which the front calls. Everything
else goes through the routes: links that are not in memory, that have ended or ask for something,
and requests that are not as browsers make them.

A link that may be followed so many times is followed until the fold that counts clicks has said
`link.used_up`, the links' fold has applied that, and the gateway has dropped the link from memory.
So a cap is exceeded by the clicks of that time: some 100 ms; more if the agents lag; and all of an
outage of the log, since clicks are spilled then.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import structlog
from litestar import Response

from connectors.gateway.auth import Authenticator
from connectors.gateway.dates import DateLine
from connectors.gateway.enrich import Enricher
from connectors.gateway.front import Headers
from connectors.gateway.links import pages
from connectors.gateway.links.answers import redirect, redirect_head
from connectors.gateway.links.cache import CachedLink, LinkCache
from connectors.gateway.links.clicks import RECORDED, Clicks
from connectors.gateway.links.encoding import ClickedLink, ClickEncoder, Hit, client_of
from connectors.gateway.links.follower import Follower, KnownKeys
from connectors.gateway.links.passwords import Passwords, Tries
from connectors.gateway.links.settings import LinkSettings
from connectors.gateway.problems import Problem
from connectors.gateway.settings import GatewaySettings
from schemas.catalog import Catalog
from schemas.fields import Subject
from schemas.links import LINKS
from streams.cursor import NO_TENANT
from streams.links.blocks import Blocks
from streams.links.keys import KeySpace
from streams.links.rules import Availability
from streams.links.views import Link, Popular, availability_of
from streams.log import Log
from streams.sealing import Sealer
from streams.vault import Vault
from streams.views import ViewStore, opened

_KEPT_MS = 24 * 3600 * 1000
_WARM_PAUSE_S = 0.001

_SEE_OTHER = 303
_FOUND = 302

_ENDED = {
    Availability.DISABLED: "This link is switched off",
    Availability.EXPIRED: "This link has expired",
    Availability.USED_UP: "This link has been followed as often as it may be",
}

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectDeps:
    """What redirects stand on.

    Attributes:
        log: followed, and what clicks of audited links are appended to: they must not spill.
        click_log: takes all other clicks.
        date: the front's.
        gateway: the name of this gateway, which its clicks have as their source.
    """

    settings: LinkSettings
    gateway_settings: GatewaySettings
    catalog: Catalog
    log: Log
    click_log: Log
    store: ViewStore
    vault: Vault
    key_space: KeySpace
    enricher: Enricher
    passwords: Passwords
    date: DateLine
    gateway: str
    clock: Callable[[], float] = time.time


class Visitor(NamedTuple):
    """Somebody who follows a link.

    Attributes:
        wants_page: whether it is a browser.
        password: if one was typed in.
    """

    hit: Hit
    authorization: str | None = None
    wants_page: bool = False
    password: str | None = None


class Redirects:
    """The redirects of one gateway."""

    def __init__(self, deps: RedirectDeps) -> None:
        self._deps = deps
        self._clock = deps.clock
        self._date = deps.date
        self._trusted_proxies = deps.gateway_settings.trusted_proxies
        self._authenticator = Authenticator(
            deps.store, deps.vault, deps.gateway_settings.jwt_leeway_s
        )
        self._sealer = Sealer(deps.catalog, deps.vault)
        self._encoder = ClickEncoder(
            self._sealer,
            f"gateway/{deps.gateway}",
            deps.enricher,
            deps.vault.visitor,
            self._trusted_proxies,
        )
        self._clicks = Clicks(deps.click_log, self._encoder.entry, deps.settings.max_waiting_clicks)
        self._cache = LinkCache(deps.settings.cached, self._load)
        known = KnownKeys(deps.key_space, Blocks(deps.settings.region, deps.settings.base))
        self._follower = Follower(deps.log, deps.store, deps.catalog, known, self._cache)
        self._tries = Tries()
        self._is_warm = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow the log and to load what is followed most; requests may come already."""
        self._tasks = [
            asyncio.create_task(self._follower.run(), name="follow links"),
            asyncio.create_task(self._warm(), name="warm links"),
        ]

    async def stop(self) -> None:
        """Append the clicks that are left; no requests may come any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._clicks.stop()

    async def ready(self) -> str | None:
        """A readiness check."""
        if not self._follower.caught_up.is_set():
            return "the fold of links has not got to what was there before this gateway"
        return None if self._is_warm else "the most clicked links are being loaded"

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self._clock() * 1000)

    def hot(self, path: bytes, headers: Headers, peer: str) -> bytes | None:
        """The redirect of a link that is in memory and simply followed; see `front.Hot`."""
        path, _, query = path.partition(b"?")
        now_ms = int(self._clock() * 1000)
        found = self._cache.peek(path, now_ms)
        if found is None or found.head is None:
            return None
        self._clicks.record(found.clicked, Hit(now_ms, "GET", query, headers, peer))
        return found.head + self._date.line + b"\r\n"

    async def follow(self, key: str, visitor: Visitor) -> Response[Any]:
        """The answer to somebody who follows a link; browsers get pages instead of problems.

        Raises:
            Problem: 401, 404 or 410.
            LogUnavailable: the link is audited, and its click could not be made durable.
            NotYetApplied: whether the link exists cannot be said now.
        """
        try:
            return await self._follow(key, visitor)
        except Problem as problem:
            # A link may be made, or made to work again: nobody shall remember that there was none.
            problem.headers.setdefault("Cache-Control", "no-store")
            if visitor.wants_page:
                return pages.message(problem.status, problem.detail, problem.headers)
            raise

    async def _follow(self, key: str, visitor: Visitor) -> Response[Any]:
        now_ms = visitor.hit.time_ms
        found = await self._cache.get(key, now_ms)
        if found is None:
            raise _no_link()
        link = found.link
        state = availability_of(link, now_ms)
        if state in _ENDED or link.deleted or link.url is None:
            return _ended(link, state)
        user = await self._signed_in(link, visitor)
        if state is Availability.PASSWORD_REQUIRED:
            refused = await self._without_password(link, visitor)
            if refused is not None:
                return refused
        await self._record(found.clicked, visitor.hit, user)
        code = link.terms.redirect_code if visitor.password is None else _SEE_OTHER
        return redirect(code, link.url)

    async def _signed_in(self, link: Link, visitor: Visitor) -> Subject | None:
        """The user who follows a link, if it is audited.

        Raises:
            Problem: 401: nobody is signed in; 404: somebody of another tenant.
        """
        if not self._is_audited(link):
            return None
        now = datetime.fromtimestamp(visitor.hit.time_ms / 1000, UTC)
        caller = await self._authenticator.caller(visitor.authorization, now)
        if caller.tenant != link.tenant:
            raise _no_link()
        if caller.subject is None:
            raise Problem(
                401,
                "only signed-in users may follow this link: send a user's token",
                headers={"WWW-Authenticate": 'Bearer realm="sixfold"'},
            )
        return caller.subject

    async def _without_password(self, link: Link, visitor: Visitor) -> Response[Any] | None:
        """The form that a link's password is typed in; None if it was.

        Raises:
            Problem: 503: too many passwords are being checked.
        """
        if visitor.password is None:
            return pages.password_form()
        client = client_of(visitor.hit.headers, visitor.hit.peer, self._trusted_proxies)
        wait_s = math.ceil(self._tries.take(link.link, client, time.monotonic()))
        if wait_s > 0:
            alert = f"Too many tries. Wait {wait_s} seconds before the next."
            return pages.password_form(429, alert, {"Retry-After": str(wait_s)})
        if not await self._deps.passwords.verify(link.terms.password_hash or "", visitor.password):
            return pages.password_form(403, "This is not the password.")
        self._tries.give_back(link.link, client)
        return None

    async def _record(self, clicked: ClickedLink, hit: Hit, user: Subject | None) -> None:
        if user is None:
            self._clicks.record(clicked, hit)
        else:
            entry = self._encoder.entry_of_user(clicked, hit, user)
            await asyncio.wrap_future(self._deps.log.append([entry]))
            RECORDED.inc()

    async def _load(self, key: str) -> CachedLink | None:
        timeout_s = self._deps.gateway_settings.applied_timeout_s
        link = await self._follower.find(key, timeout_s)
        if link is None:
            return None
        if link.is_sealed:  # whose it is stays with it, so that the follower can drop it
            (link,) = await opened(self._sealer, [link], NO_TENANT)
        else:  # memory is not searched in erasures
            link = msgspec.structs.replace(link, created_by=None)
        now_ms = self.now_ms()
        until_ms = now_ms + _KEPT_MS
        expires_at_ms = link.terms.expires_at_ms
        if expires_at_ms is not None and expires_at_ms > now_ms:
            until_ms = min(until_ms, expires_at_ms)
        state = availability_of(link, now_ms)
        is_hot = state is Availability.ACTIVE and not link.deleted and not self._is_audited(link)
        head = redirect_head(link.terms.redirect_code, link.url) if is_hot and link.url else None
        return CachedLink(link, until_ms, self._encoder.link(link), head)

    def _is_audited(self, link: Link) -> bool:
        return link.audit or link.tenant in self._deps.settings.audited_tenants

    async def _warm(self) -> None:
        """Load the links that are followed most; a gateway that cannot is slow, not broken."""
        await self._follower.caught_up.wait()
        try:
            for partition in range(LINKS.partitions):
                popular = await self._deps.store.get(Popular, "", (partition,))
                share = self._deps.settings.warmed // LINKS.partitions
                for key in popular.links[:share] if popular else ():
                    await self._cache.get(key, self.now_ms())
                    await asyncio.sleep(_WARM_PAUSE_S)  # requests come first
        except Exception:
            logger.exception("the most clicked links could not be loaded")
        self._is_warm = True


def _ended(link: Link, state: Availability) -> Response[Any]:
    """What a link answers that redirects no more.

    Raises:
        Problem: 410, unless it leads somewhere else then.
    """
    if link.deleted or link.url is None:  # whose address it was, was erased
        raise Problem(410, "This link was deleted")
    if state is not Availability.DISABLED and link.expired_url is not None:
        return redirect(_FOUND, link.expired_url)
    raise Problem(410, _ENDED[state])


def _no_link() -> Problem:
    return Problem(404, "There is no such link")
