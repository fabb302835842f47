"""Short links on the embedded log, store and vault, with their folds at work, and gateways."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from serving import Answer, Loop, Wire

import schemas.access
import schemas.dead
import schemas.links
import schemas.privacy
import streams.access.fold
import streams.links.fold
import streams.links.stats
import streams.links.submissions
from connectors.gateway.app import Deps, make_app
from connectors.gateway.dates import DateLine
from connectors.gateway.enrich import Enricher
from connectors.gateway.front import Front
from connectors.gateway.links.passwords import Passwords
from connectors.gateway.links.redirect import RedirectDeps, Redirects
from connectors.gateway.links.redirect_routes import ROUTES
from connectors.gateway.links.settings import LinkSettings
from connectors.gateway.overload import Overload
from connectors.gateway.server import Server
from connectors.gateway.settings import GatewaySettings
from connectors.log.spill import SpillingLog
from connectors.log.spiller import SpillSettings
from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import SqliteCommitter, SqliteViews
from connectors.vault.master import Keyring
from connectors.vault.sqlite import SqliteVault
from schemas.catalog import Catalog
from schemas.envelope import Event
from schemas.event import Data
from schemas.ids import uuid7
from schemas.links import LinkClicked, LinkRequested
from streams.agent import Agent
from streams.decode import decode
from streams.errors import LogUnavailable
from streams.fold import Fold
from streams.links.keys import KeySpace
from streams.links.views import Link, LinkTotals
from streams.log import Position
from streams.sealing import Origin, Sealer

CATALOG = Catalog.of(schemas.links, schemas.privacy, schemas.dead, schemas.access)
FOLDS = [
    Fold.of(module)
    for module in (
        streams.links.fold,
        streams.links.stats,
        streams.links.submissions,
        streams.access.fold,
    )
]
KEYS = KeySpace(bytes(32))
TARGET = "https://example.com/a/page?with=query"
BROWSER = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/117.0"


def eventually(condition: Callable[[], Any], timeout_s: float = 5.0) -> Any:
    """Wait until a condition holds; what it returned."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "this has not come about in time"
        time.sleep(0.002)
    return found


class MoodyLog:
    """A log that may be made to refuse appends."""

    def __init__(self, log: SqliteLog):
        self._log = log
        self.refuses = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append(self, entries):
        if not self.refuses:
            return self._log.append(entries)
        refused = Future()
        refused.set_exception(LogUnavailable("the disk is full"))
        return refused


class CountingStore:
    """Views that count how often a link was looked up."""

    def __init__(self, store: SqliteViews):
        self._store = store
        self.lookups: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get(self, view, tenant, key):
        if view is Link:
            self.lookups.append(key[0])
        return await self._store.get(view, tenant, key)


class Gateway:
    """A gateway with a connection of its own to the log, as another process would have it.

    Attributes:
        routes: those that it has besides redirects.
        overload: by default it bears everything.
    """

    routes: Sequence[Any] = ()
    overload = Overload()
    spill_settings = SpillSettings(retry_s=0.05)

    def __init__(self, platform: "Platform", loop: Loop, name: str):
        self._platform = platform
        self._loop = loop
        self.name = name
        self.log = MoodyLog(SqliteLog(platform.directory / "log.db", "NORMAL", watermark_bytes=0))
        self.store = CountingStore(SqliteViews(self.log, FOLDS))
        spill = platform.directory / f"{name}.spill"
        self.spill = SpillingLog(self.log, CATALOG, spill, self.spill_settings)
        self.passwords = Passwords()
        self.later_s = 0.0  # how far its clock is ahead

    async def start(self, links: LinkSettings, **settings: Any) -> None:
        made = GatewaySettings(port=0, **settings)
        platform, date = self._platform, DateLine(0)
        self.redirects = Redirects(
            RedirectDeps(
                settings=links,
                gateway_settings=made,
                catalog=CATALOG,
                log=self.log,
                click_log=self.spill,
                store=self.store,
                vault=platform.vault,
                key_space=KEYS,
                enricher=Enricher(country_header="cf-ipcountry"),
                passwords=self.passwords,
                date=date,
                gateway=self.name,
                clock=self.clock,
            )
        )
        deps = Deps(
            settings=made,
            catalog=CATALOG,
            log=self.log,
            store=self.store,
            vault=platform.vault,
            overload=self.overload,
            checks={"links": self.redirects.ready},
            services={"redirects": self.redirects, **self.services(links, made)},
            now=lambda: datetime.fromtimestamp(self.clock(), UTC),
        )
        app = make_app(deps, [*ROUTES, *self.routes])
        self._server = Server(app, Front(made, self.redirects.hot), date)
        await self._server.start()
        self.port = self._server.port
        await self.redirects.start()
        while await self.redirects.ready() is not None:
            await asyncio.sleep(0.002)

    def clock(self) -> float:
        return time.time() + self.later_s

    def services(self, links: LinkSettings, settings: GatewaySettings) -> dict[str, object]:
        """What its routes ask for besides redirects."""
        return {}

    async def stop(self) -> None:
        await self._server.stop()
        await self.redirects.stop()

    def request(self, text: str, *headers: str, body: str = "") -> Answer:
        """Send a request line without version, such as `GET /key`, on a new connection."""
        lines = [f"{text} HTTP/1.1", "Host: sho.rt", "Connection: close", *headers]
        if body:
            lines += ["Content-Type: application/x-www-form-urlencoded"]
            lines += [f"Content-Length: {len(body)}"]
        with Wire(self.port) as wire:
            wire.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            return wire.answer(to_head=text.startswith("HEAD"))

    def get(self, path: str, *headers: str) -> Answer:
        return self.request(f"GET {path}", *headers)


G = TypeVar("G", bound=Gateway)


class Platform:
    """A data directory and its host."""

    def __init__(self, directory: Path, loop: Loop, opened: ExitStack):
        self.directory = directory
        self.loop = loop
        self.log = opened.enter_context(
            closing(SqliteLog(directory / "log.db", "NORMAL", watermark_bytes=0))
        )
        self.vault = opened.enter_context(
            closing(SqliteVault.open(directory / "vault", Keyring({1: bytes(32)}, "a test")))
        )
        self.log.create(CATALOG.topics.values())
        self.store = SqliteViews(self.log, FOLDS)
        self.sealer = Sealer(CATALOG, self.vault)
        committer = SqliteCommitter(self.log)
        self._agents = [
            Agent(fold, committer, self.sealer, CATALOG.topics[fold.topics[0]].partitions)
            for fold in FOLDS
        ]
        self.folds_rest = False
        self._names = iter(f"gateway{i}" for i in range(100))

    def append(self, *events: Data, tenant: str = "acme") -> list[Position]:
        """Append events durably."""
        return self.log.append(
            [self.sealer.entry(event, self.origin(tenant), uuid7(0)) for event in events]
        ).result(timeout=5)

    def origin(self, tenant: str = "acme") -> Origin:
        return Origin(source="test", tenant=tenant, time=datetime.now(UTC))

    def make(self, link: str, *, tenant: str = "acme", **terms: Any) -> str:
        """Make a link that readers see when this returns; its path."""
        claim = LinkRequested(link, **{"long_url": TARGET, "is_alias": True} | terms)
        self.applied(*self.append(claim, tenant=tenant))
        return f"/{link}"

    def change(self, event: Data) -> None:
        """Append what changes a link; readers see it when this returns."""
        self.applied(*self.append(event))

    def applied(self, *positions: Position) -> None:
        for position in positions:
            self.loop.run(self.store.wait(Link, position, 5))

    def clicks(self, link: str) -> list[Event[LinkClicked]]:
        """The clicks of a link that are in the log."""
        found = []
        for partition in range(schemas.links.CLICKS.partitions):
            records = self.log.read("clicks", partition, 0, 100_000)
            if records is not None:
                found += decode(CATALOG, records).events
        return [event for event in found if event.data.link == link]

    def click_of(self, link: str) -> LinkClicked:
        """The one click of a link."""
        (click,) = eventually(lambda: self.clicks(link))
        return click.data

    def counted(self, link: str) -> LinkTotals | None:
        return self.loop.run(self.store.get(LinkTotals, "acme", (link,)))

    @contextmanager
    def gateway(self, links: LinkSettings | None = None, **settings: Any) -> Iterator[Gateway]:
        """A gateway that is ready."""
        with self.running(Gateway, links or LinkSettings(), **settings) as gateway:
            yield gateway

    @contextmanager
    def running(self, kind: type[G], links: LinkSettings, **settings: Any) -> Iterator[G]:
        """A gateway of some kind that is ready."""
        loop = Loop()
        gateway = kind(self, loop, next(self._names))
        try:
            loop.run(gateway.start(links, **settings))
            try:
                yield gateway
            finally:
                loop.run(gateway.stop())
        finally:
            loop.close()
            gateway.passwords.close()
            gateway.spill.close()
            gateway.log.close()

    async def work(self) -> None:
        commits = [asyncio.create_task(agent.commit_forever()) for agent in self._agents]
        try:
            while True:
                version = self.log.version()
                await self._fold_all()
                await self.log.changed(version, 0.05)
        finally:
            for agent in self._agents:
                agent.stop()
            await asyncio.gather(*commits)

    async def _fold_all(self) -> None:
        for agent in self._agents:
            for topic in agent.fold.topics:
                for runner in agent.runners:
                    at = agent.position(topic, runner.partition)
                    while not self.folds_rest and (
                        records := self.log.read(topic, runner.partition, at, 1_000)
                    ):
                        await agent.process(decode(CATALOG, records))
                        at = records.next_offset


@contextmanager
def platform_in(directory: Path) -> Iterator[Platform]:
    """A platform whose folds are at work."""
    loop = Loop()
    with ExitStack() as opened:
        opened.callback(loop.close)
        platform = Platform(directory, loop, opened)
        work = loop.run(_started(platform.work()))
        try:
            yield platform
        finally:
            loop.run(_ended(work))


async def _started(coroutine) -> "asyncio.Task[None]":
    return asyncio.create_task(coroutine)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
