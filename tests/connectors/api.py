"""The whole API on the embedded log, store and vault, with its folds running."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import serving as served

from connectors.gateway.app import Deps, make_app
from connectors.gateway.settings import GatewaySettings
from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import SqliteCommitter, SqliteViews
from connectors.vault.master import Keyring
from connectors.vault.sqlite import SqliteVault
from schemas import access
from schemas.access import ApiKeyCreated
from schemas.catalog import Catalog
from schemas.dead import RecordRejected
from schemas.event import Data, event, event_type_of
from schemas.fields import Mention, Personal, Subject
from schemas.ids import uuid7
from schemas.topic import Topic
from streams.access import fold as access_fold
from streams.access.secrets import ApiKeyText
from streams.access.views import ApiKey
from streams.agent import Agent
from streams.decode import decode
from streams.errors import LogUnavailable
from streams.fold import Fold
from streams.log import Position
from streams.sealing import Origin, Sealer

_NOW = datetime(2026, 1, 1, tzinfo=UTC)

POLLS = Topic("polls", partitions=2, deduplicated=True)


@event("poll.voted", topic=POLLS, key="poll")
class PollVoted(Data):
    """A voter chose an option."""

    poll: str
    option: int
    voter: Subject | None = None
    seconded_by: tuple[Mention, ...] = ()
    comment: Personal[str] | None = None


@event("poll.tallied", topic=POLLS, key="poll", internal=True)
class PollTallied(Data):
    """A poll was counted."""

    poll: str


class Log:
    """The log, which may be made to refuse appends."""

    def __init__(self, log: SqliteLog):
        self._log = log
        self.refuses = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append(self, entries):
        future = self._log.append([]) if self.refuses else self._log.append(entries)
        if self.refuses:
            future = type(future)()
            future.set_exception(LogUnavailable("/secret/path is full"))
        return future


class Api(NamedTuple):
    client: httpx.Client
    port: int
    log: Log
    store: SqliteViews
    vault: SqliteVault
    catalog: Catalog
    clients: ExitStack

    def as_(self, api_key: str | None) -> httpx.Client:
        """A client with other credentials."""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        return self.clients.enter_context(
            httpx.Client(base_url=self.client.base_url, headers=headers)
        )

    def new_key(self, tenant: str, *scopes: str) -> str:
        body = {"name": "test", "scopes": scopes, "tenant": tenant}
        answer = self.client.post("/api/v1/keys", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["api_key"]

    def events(self, *positions: str) -> list[Any]:
        """The events at these positions, as they are in the log."""
        found = []
        for position in map(Position.parse, positions):
            values = self.log.read(*position, 1).values  # with others of its segment behind it
            found.append(self.catalog.decoder(position.topic).one(values[0]))
        return found


@contextmanager
def running(directory, routes=(), deps=None, **settings) -> Iterator[Api]:
    """The API with an admin of the tenant acme as its client."""
    types = [event_type_of(type_) for type_ in (PollVoted, PollTallied, RecordRejected)]
    catalog = Catalog([*types, *Catalog.of(access).types.values()])
    fold = Fold.of(access_fold)
    with (
        closing(SqliteLog(directory / "log.db", "NORMAL", watermark_bytes=0)) as log,
        closing(SqliteVault.open(directory, Keyring({1: bytes(32)}, "a test"))) as vault,
    ):
        log.create(catalog.topics.values())
        sealer = Sealer(catalog, vault)
        agent = Agent(fold, SqliteCommitter(log), sealer, 1)
        store = SqliteViews(log, [fold])
        text = _admin(log, sealer, vault)
        made = Deps(
            settings=GatewaySettings(**settings),
            catalog=catalog,
            log=Log(log),
            store=store,
            vault=vault,
            **(deps or {}),
        )
        with served.serving(make_app(made, routes), **settings) as server:
            work = server.loop.run(_start(log, catalog, agent))
            try:
                server.loop.run(store.wait(ApiKey, Position("access", 0, 0), timeout_s=5))
                client = httpx.Client(
                    base_url=f"http://127.0.0.1:{server.port}",
                    headers={"Authorization": f"Bearer {text}"},
                )
                with client, ExitStack() as clients:
                    yield Api(client, server.port, made.log, store, vault, catalog, clients)
            finally:
                server.loop.run(_stop(agent, work))


def _admin(log, sealer, vault) -> ApiKeyText:
    text = ApiKeyText.fresh()
    created = ApiKeyCreated(
        key=text.key, secret_hash=text.hash(vault), name="admin", scopes=["admin"]
    )
    origin = Origin(source="test", tenant="acme", time=_NOW)
    log.append([sealer.entry(created, origin, uuid7(0))]).result()
    return text


async def _start(log, catalog, agent):
    async def follow():
        while True:
            version = log.version()
            records = log.read("access", 0, agent.position("access", 0), 1_000)
            if records is None:
                await log.changed(version, 10)
            else:
                await agent.process(decode(catalog, records))

    return [asyncio.create_task(follow()), asyncio.create_task(agent.commit_forever())]


async def _stop(agent, work):
    agent.stop()
    for task in work[:1]:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
