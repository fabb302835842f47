"""The gateway of one process: HTTP on one port, over the log and the views of a data directory."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

from connectors.gateway.app import Deps, make_app
from connectors.gateway.countries import Countries
from connectors.gateway.dates import DateLine
from connectors.gateway.enrich import Enricher
from connectors.gateway.front import Front
from connectors.gateway.links import redirect_routes, routes
from connectors.gateway.links.api import LinkApi, LinkDeps
from connectors.gateway.links.keys import LinkKeys
from connectors.gateway.links.passwords import Passwords
from connectors.gateway.links.redirect import RedirectDeps, Redirects
from connectors.gateway.links.settings import LinkSettings
from connectors.gateway.overload import Bounds, Load, Overload
from connectors.gateway.server import Server
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.shared_port import shared_port
from connectors.log.spill import open_spills
from connectors.outbound import Outbound
from connectors.store.lag import lags
from schemas.envelope import PLATFORM_TENANT
from sixfold.errors import NoHost
from sixfold.first_start import KEY_SPACE_SECRET
from sixfold.key_range import key_blocks
from sixfold.memory import settle, unsettle
from sixfold.platform import Platform, make_directory
from sixfold.settings import LinksSection
from sixfold.wiring import CATALOG, FOLDS
from streams.links.keys import KeySpace
from streams.links.urls import UrlRules


class Gateway:
    """Serves HTTP."""

    def __init__(self, platform: Platform) -> None:
        """Prepare everything but the port.

        Raises:
            NoHost: no host has prepared the data directory.
            BadSettings: the host makes keys with other settings.
        """
        settings = platform.settings.gateway.settings()
        blocks = key_blocks(platform)
        self._platform = platform
        self._stack = AsyncExitStack()
        make_directory("log.spill", platform.settings.spill)
        name, spills = open_spills(platform.log, CATALOG, platform.settings.spill)
        for spill in spills:
            self._stack.callback(spill.close)
        date = DateLine(time.time())
        passwords = Passwords()
        link_settings = _link_settings(platform.settings.links)
        self._redirects = Redirects(
            RedirectDeps(
                settings=link_settings,
                gateway_settings=settings,
                catalog=CATALOG,
                log=platform.log,
                click_log=spills[0],
                store=platform.views,
                vault=platform.vault,
                key_space=key_space(platform),
                enricher=_enricher(platform.settings.links),
                date=date,
                passwords=passwords,
                gateway=name,
            )
        )
        self._outbound = Outbound(allow_private=link_settings.allow_private)
        self._keys = LinkKeys(
            platform.log,
            platform.sealer,
            blocks,
            key_space(platform),
            name,
        )
        deps = Deps(
            settings=settings,
            catalog=CATALOG,
            log=platform.log,
            store=platform.views,
            vault=platform.vault,
            overload=_overload(platform),
            checks={"links": self._redirects.ready},
            services={
                "redirects": self._redirects,
                "links": self._links(platform, settings, passwords),
            },
        )
        app = make_app(deps, [*routes.ROUTES, *redirect_routes.ROUTES])
        self._server = Server(app, Front(settings, self._redirects.hot), date)

    def _links(
        self, platform: Platform, settings: GatewaySettings, passwords: Passwords
    ) -> LinkApi:
        link_settings = _link_settings(platform.settings.links)
        return LinkApi(
            LinkDeps(
                settings=link_settings,
                gateway_settings=settings,
                catalog=CATALOG,
                log=platform.log,
                store=platform.views,
                vault=platform.vault,
                keys=self._keys,
                rules=_url_rules(settings, link_settings),
                outbound=self._outbound,
                passwords=passwords,
            )
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    async def start(self) -> None:
        """Take requests.

        Raises:
            PortTaken: somebody else has the port.
        """
        listening = self._platform.settings.gateway
        self._stack.enter_context(
            shared_port(self._platform.settings.data, listening.host, listening.port)
        )
        await self._stack.enter_async_context(self._outbound)
        self._keys.prepare()
        self._stack.push_async_callback(self._keys.stop)
        await self._redirects.start()
        self._stack.push_async_callback(self._redirects.stop)
        await self._server.start()
        self._stack.push_async_callback(self._server.stop)
        settle()

    async def stop(self) -> None:
        """Finish the requests in flight, and make their clicks durable."""
        unsettle()
        await self._stack.aclose()


def key_space(platform: Platform) -> KeySpace:
    """The permutation that makes keys of counters.

    Raises:
        NoHost: its secret is not there.
    """
    secret = platform.vault.secret(PLATFORM_TENANT, KEY_SPACE_SECRET)
    if secret is None:
        raise NoHost(
            "the vault lacks the secret of short keys: start a host with `sixfold up` once"
        )
    return KeySpace(secret)


def _overload(platform: Platform) -> Overload:
    log, section = platform.log, platform.settings.log

    def look() -> Load:
        return Load(log.free_bytes, log.has_room, log.queued_bytes, lags(log, FOLDS))

    return Overload(look, Bounds(section.max_queue_mb << 20, section.max_lag_records))


def _url_rules(settings: GatewaySettings, links: LinkSettings) -> UrlRules:
    own = settings.public_url or f"http://{settings.host}:{settings.port}"
    return UrlRules.of(own, links.blocked_hosts, allow_private=links.allow_private)


def _link_settings(section: LinksSection) -> LinkSettings:
    return LinkSettings(
        region=section.region,
        base=section.base,
        cached=section.cached,
        blocked_hosts=tuple(section.blocked_hosts),
        allow_private=section.allow_private,
        follow_redirects=section.follow_redirects,
        max_links=section.max_links,
        creations_per_minute=section.creations_per_minute,
        creations_per_minute_from_address=section.creations_per_minute_from_address,
        usual_creations_per_minute=section.usual_creations_per_minute,
        usual_refusals_per_minute=section.usual_refusals_per_minute,
    )


def _enricher(section: LinksSection) -> Enricher:
    countries = Countries(Path(section.countries)) if section.countries else None
    return Enricher(countries, section.country_header.lower())
