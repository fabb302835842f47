"""Gateways with the API of links, and clients of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
from redirecting import CATALOG, KEYS, Gateway, Platform, platform_in

from connectors.gateway.links.api import LinkApi, LinkDeps
from connectors.gateway.links.keys import LinkKeys
from connectors.gateway.links.routes import ROUTES
from connectors.gateway.links.settings import LinkSettings
from connectors.gateway.settings import GatewaySettings
from connectors.outbound import Outbound
from schemas.access import ApiKeyCreated, SigningKeyAdded
from schemas.ids import uuid7
from schemas.links import LINKS, LinkRequested
from streams.access.secrets import ApiKeyText
from streams.access.views import ApiKey, SigningKey
from streams.decode import decode
from streams.links.blocks import Blocks
from streams.links.urls import UrlRules
from streams.links.views import Link
from streams.sealing import Sealer

PUBLIC_URL = "https://sho.rt"
TARGET = "https://example.com/page"
_JWT_SECRET = b"a secret that is long enough for HS256"
ALL_SCOPES = ("links:read", "links:write", "links:delete")


async def resolve(host: str, port: int) -> list[str]:
    """Names that nobody knows, so that nothing outside is ever asked."""
    if host.replace(".", "").isdecimal():
        return [host]
    raise OSError("there is no such name")


class LinkGateway(Gateway):
    """A gateway with the API of links."""

    routes = ROUTES

    def services(self, links: LinkSettings, settings: GatewaySettings) -> dict[str, object]:
        sealer = Sealer(CATALOG, self._platform.vault)
        blocks = Blocks(links.region, links.base)
        self.keys = LinkKeys(self.log, sealer, blocks, KEYS, self.name)
        self._outbound = Outbound(allow_private=links.allow_private, resolve=resolve)
        rules = UrlRules.of(PUBLIC_URL, links.blocked_hosts, allow_private=links.allow_private)
        deps = LinkDeps(
            settings=links,
            gateway_settings=settings,
            catalog=CATALOG,
            log=self.log,
            store=self.store,
            vault=self._platform.vault,
            keys=self.keys,
            rules=rules,
            outbound=self._outbound,
            passwords=self.passwords,
        )
        return {"links": LinkApi(deps)}

    async def stop(self) -> None:
        await super().stop()
        await self.keys.stop()
        await self._outbound.__aexit__(None, None, None)


class Api:
    """A platform with a gateway; `acme` may do everything with its links."""

    def __init__(self, platform: Platform, gateway: LinkGateway, opened: ExitStack):
        self.platform = platform
        self.gateway = gateway
        self._opened = opened
        self.acme = self.client("acme")

    def client(self, tenant: str, *scopes: str, gateway: LinkGateway | None = None) -> httpx.Client:
        """A client with an API key of its own."""
        text = ApiKeyText.fresh()
        created = ApiKeyCreated(
            key=text.key,
            secret_hash=text.hash(self.platform.vault),
            name="test",
            scopes=list(scopes or ALL_SCOPES),
        )
        (position,) = self.platform.append(created, tenant=tenant)
        self.platform.loop.run(self.platform.store.wait(ApiKey, position, 5))
        return self._client(str(text), gateway or self.gateway)

    def user(self, tenant: str, name: str) -> httpx.Client:
        """A client of a tenant's user, with a token."""
        kid = f"kid-{tenant}"
        self.platform.vault.put_secret(tenant, "jwt", _JWT_SECRET)
        added = SigningKeyAdded(kid, "HS256", "app", list(ALL_SCOPES), secret="jwt")
        (position,) = self.platform.append(added, tenant=tenant)
        self.platform.loop.run(self.platform.store.wait(SigningKey, position, 5))
        claims = {"sub": name, "aud": "app", "exp": 4_000_000_000}
        token = jwt.encode(claims, _JWT_SECRET, "HS256", headers={"kid": kid})
        return self._client(token, self.gateway)

    def _client(self, credentials: str, gateway: LinkGateway) -> httpx.Client:
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{gateway.port}",
            headers={"Authorization": f"Bearer {credentials}"},
            timeout=20,
        )
        return self._opened.enter_context(client)

    def make(self, **fields: Any) -> dict[str, Any]:
        """A new link of acme's, as it is shown."""
        answer = self.acme.post("/api/v1/urls", json={"long_url": TARGET, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def append_claim(self, key: str, tenant: str, time: datetime) -> None:
        """A link that was made some other time; readers see it when this returns."""
        origin = replace(self.platform.origin(tenant), time=time)
        entry = self.platform.sealer.entry(LinkRequested(key, TARGET), origin, uuid7(0))
        (position,) = self.platform.log.append([entry]).result(timeout=5)
        self.platform.applied(position)

    def link(self, key: str) -> Link | None:
        """The row of a link."""
        return self.platform.loop.run(self.platform.store.get(Link, "", (key,)))

    def claims(self, key: str) -> list[LinkRequested]:
        """What is in the log of claims of a key."""
        return [e for e in self.events(LINKS.name, key) if isinstance(e, LinkRequested)]

    def events(self, topic: str, link: str | None = None) -> list[Any]:
        """The events of a topic, perhaps those of one link."""
        found = []
        for partition in range(CATALOG.topics[topic].partitions):
            records = self.platform.log.read(topic, partition, 0, 100_000)
            found += [] if records is None else decode(CATALOG, records).events
        return [e.data for e in found if link is None or e.data.link == link]


@contextmanager
def api_in(directory: Path, links: LinkSettings | None = None, **settings: Any) -> Iterator[Api]:
    """The API of links at work."""
    with (
        platform_in(directory) as platform,
        platform.running(
            LinkGateway, links or LinkSettings(), **{"public_url": PUBLIC_URL} | settings
        ) as gateway,
        ExitStack() as opened,
    ):
        yield Api(platform, gateway, opened)


def at_once(requests: list[Any]) -> list[Any]:
    """The answers to requests that are all sent at the same time."""
    with ThreadPoolExecutor(len(requests)) as threads:
        return [done.result() for done in [threads.submit(request) for request in requests]]


def problem(answer: httpx.Response) -> tuple[int, list[str]]:
    """The status of a problem, and the fields that it names."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, [error["field"] for error in answer.json().get("errors", [])]
