"""A host without Faust: agents that follow the log, and whatever control asks of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import schemas.control
from schemas.catalog import Catalog
from schemas.control import CONTROL
from streams.agent import Agent
from streams.control import Control
from streams.fold import Fold
from streams.rehearsal import OpenVault, catalog_of
from streams.sealing import Sealer


class Host:
    """Agents at work on a pair."""

    def __init__(self, catalog: Catalog, pair: Any, *folds: Fold):
        self.catalog = catalog
        self.pair = pair
        self.agents = [
            Agent(
                fold,
                pair.store,
                Sealer(catalog, OpenVault()),
                catalog.topics[fold.topics[0]].partitions,
            )
            for fold in folds
        ]
        self._control = Control(pair.log, catalog, self.agents)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Host"]:
        """Work meanwhile; what fails raises here."""
        work = [
            *(self._follow(agent) for agent in self.agents),
            *(agent.commit_forever() for agent in self.agents),
            self._control.run(),
        ]
        tasks = [asyncio.create_task(task) for task in work]
        try:
            yield self
            tasks[-1].cancel()  # first, as an application does: it may keep agents from committing
            for agent in self.agents:
                agent.stop()
            await asyncio.gather(*tasks[len(self.agents) : 2 * len(self.agents)])
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ended:
            if isinstance(end, Exception):
                raise end

    async def caught_up(self) -> None:
        """Wait until everything is applied, and nothing is left to build."""
        await until(self._is_caught_up)

    def _is_caught_up(self) -> bool:
        obeyed = self._control.position == self.pair.log.bounds(CONTROL.name, 0)[1]
        return obeyed and all(
            agent.building is None
            and self._applied(agent, topic, partition) == self.pair.log.bounds(topic, partition)[1]
            for agent in self.agents
            for topic in agent.fold.topics
            for partition in range(self.catalog.topics[topic].partitions)
        )

    def _applied(self, agent: Agent, topic: str, partition: int) -> int:
        return self.pair.store.applied(agent.active).get((topic, partition), 0)

    async def _follow(self, agent: Agent) -> None:
        log = self.pair.log
        while True:
            version = log.version()
            for topic in agent.fold.topics if agent.runners else ():
                for partition in range(self.catalog.topics[topic].partitions):
                    await agent.catch_up(log, self.catalog, topic, partition)
            await log.changed(version, 1.0)


async def until(condition: Any, timeout_s: float = 10.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.001)


def with_control(*folds: Fold) -> Catalog:
    """The catalog of folds, and the control topic."""
    types = catalog_of(*folds).types | Catalog.of(schemas.control).types
    return Catalog(types.values())
