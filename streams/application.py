"""The Faust application: one Faust agent per fold, fed with whole batches."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.tables.manager import TableManager

from schemas.catalog import Catalog
from streams.agent import Agent
from streams.control import Control
from streams.decode import Decoded, decode
from streams.log import Log, Records

log = structlog.get_logger()

# Batches, not records: a few are enough to keep an agent busy.
_BUFFERED_BATCHES = 4


class Application(faust.App):
    """Runs agents on a log.

    `await start()` runs it on the current event loop, and `await stop()` ends it when what was
    folded is durable.
    """

    def __init__(
        self, log: Log, catalog: Catalog, agents: Sequence[Agent], directory: Path
    ) -> None:
        super().__init__(
            "sixfold",
            broker="sixfold://",
            store="memory://",
            datadir=str(directory),
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            stream_wait_empty=False,
            stream_buffer_maxsize=_BUFFERED_BATCHES,
            autodiscover=False,
            TableManager=_NoTables,
        )
        self.event_log = log
        self._running = list(agents)
        self._catalog = catalog
        self._schema = _BatchSchema(catalog)
        self._control = Control(log, catalog, agents)
        self._failed = asyncio.Event()
        self._commits: list[asyncio.Task[None]] = []
        self._obeying: asyncio.Task[None] | None = None
        for agent in agents:
            self._bind(agent)
            if agent.fold.tick is not None:
                self.timer(agent.fold.tick_s, name=f"tick {agent.fold.name}")(_ticking(agent, log))

    def position(self, topic: str, partition: int) -> int:
        """Where to read a partition from: no agent has folded what comes then."""
        start, end = self.event_log.bounds(topic, partition)
        positions = [
            agent.position(topic, partition)
            for agent in self._running
            if topic in agent.fold.topics and agent.runners
        ]
        return max(start, min(positions, default=end))

    def batch_interval_s(self, topic: str) -> float:
        """How far apart batches of a topic may be."""
        folds = [agent.fold for agent in self._running if topic in agent.fold.topics]
        return min((fold.batch_interval_s for fold in folds), default=0.0)

    async def on_start(self) -> None:
        """Start the commits, then Faust."""
        self._commits = [
            asyncio.create_task(self._until_crash(agent.commit_forever()))
            for agent in self._running
        ]
        self._obeying = asyncio.create_task(self._until_crash(self._control.run()))
        await super().on_start()

    async def on_stop(self) -> None:
        """Stop Faust, then commit what is left."""
        if self._obeying is not None:
            self._obeying.cancel()
        await super().on_stop()
        for agent in self._running:
            agent.stop()
        await asyncio.gather(*self._commits)

    async def crash(self, reason: BaseException) -> None:
        """Stop working, because an agent cannot go on."""
        self._failed.set()
        await super().crash(reason)

    async def failure(self) -> BaseException:
        """Wait until an agent cannot go on; why."""
        await self._failed.wait()
        return self.crash_reason or RuntimeError("the application crashed without a reason")

    async def _until_crash(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            log.exception("agents cannot go on")
            await self.crash(error)

    def _bind(self, agent: Agent) -> None:
        """Run an agent on the topics of its fold."""
        topic = self.topic(*agent.fold.topics, schema=self._schema, maxsize=_BUFFERED_BATCHES)

        async def run(stream: Any) -> None:
            async for delivery in stream:
                try:
                    await self._feed(agent, delivery.decoded)
                except Exception as error:
                    log.exception("agent failed", fold=agent.fold.name)
                    await self.crash(error)
                    raise

        self.agent(topic, name=agent.fold.name)(run)

    async def _feed(self, agent: Agent, decoded: Decoded) -> None:
        """Give an agent a batch, and what it lacks before it."""
        topic, partition = decoded.topic, decoded.partition
        if not agent.runners:  # being built; it catches up then
            return
        if agent.position(topic, partition) < decoded.start:
            await agent.catch_up(self.event_log, self._catalog, topic, partition)
        await agent.process(decoded)


def _ticking(agent: Agent, log: Log) -> Callable[[], Awaitable[None]]:
    async def tick() -> None:
        agent.tick(datetime.now(UTC), log)

    return tick


class _NoTables(TableManager):
    """Does not wait a second for Faust's tables to be declared: there are none."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _Delivery:
    """A batch of records, decoded by the first agent that comes to it.

    Not before: what has just been decoded is still in the processor's cache.
    """

    def __init__(self, catalog: Catalog, records: Records) -> None:
        self._catalog = catalog
        self.records = records

    @cached_property
    def decoded(self) -> Decoded:
        return decode(self._catalog, self.records)


class _BatchSchema(faust.Schema[Any, Any]):
    """Takes a message for what it is: a batch of records, the same for all agents of its topic."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(key_serializer="raw", value_serializer="raw")
        self._catalog = catalog
        self._last: _Delivery | None = None

    def compile(self, app: Any, **kwargs: Any) -> Any:
        """A function from message to Faust event; Faust calls it for one agent after the other."""

        async def delivered(message: Any, *, propagate: bool = False) -> Any:
            if self._last is None or self._last.records is not message.value:
                self._last = _Delivery(self._catalog, message.value)
            return app.create_event(None, self._last, None, message)

        return delivered
